"""Where bytes rest: the streaming pass, the disk, S3, and the catalog of what is there."""
