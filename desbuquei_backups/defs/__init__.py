"""The thin Dagster layer: each asset's body calls one operation."""
