"""The thin command layer over the same operations."""
