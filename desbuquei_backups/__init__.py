"""Backs up PostgreSQL to disk and S3, proves every backup by restoring it, and reports what was proven."""

__version__ = "0.1.0"
