"""Genotypes of individuals and published LD: PLINK 1 and 2, VCF, and the LD sources behind `varfx ld build`.

Imports `io` and `genome`. Start with `donors` (individuals) and `open_ld` (which reader serves a path).
"""
