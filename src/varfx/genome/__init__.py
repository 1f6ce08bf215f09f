"""The genome as coordinates: variants and their keys, builds, intervals, lift-over, FASTA, GTF, harmonisation.

Imports `io` only. Start with `variants` (the key of a variant), then `harmonise` (one table of variants against another).
"""
