"""The use cases, each usable with no orchestrator running."""
