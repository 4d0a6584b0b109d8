"""The rules: pure functions and frozen values; `now` is passed in."""
