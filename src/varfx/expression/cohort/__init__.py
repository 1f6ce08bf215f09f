"""A cohort: individuals' genotypes and expression in one file, how it is prepared, normalised, adjusted and split.

Start with `store` (the file), then `prepare` (the command).
"""
