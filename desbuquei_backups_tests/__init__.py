"""What an operator would lose if the code were wrong: real PostgreSQL, a real S3 server."""
