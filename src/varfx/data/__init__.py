"""File formats: one a file; each reads, checks and writes."""
