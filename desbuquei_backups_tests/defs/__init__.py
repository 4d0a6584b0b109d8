"""The Dagster layer."""
