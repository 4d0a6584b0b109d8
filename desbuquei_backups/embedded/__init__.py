"""Servers from wheels, for the demo, the tests and whoever asks for them by name."""
