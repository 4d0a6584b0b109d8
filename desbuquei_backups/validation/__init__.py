"""Great Expectations suites and their results; the only importer of it."""
