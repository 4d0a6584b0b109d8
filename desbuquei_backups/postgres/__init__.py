"""PostgreSQL's own programs and SQL."""
