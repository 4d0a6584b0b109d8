"""`make bench`: what the guide's procedure costs and what ours costs, on the same database, in turn."""
