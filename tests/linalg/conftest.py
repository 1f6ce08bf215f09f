"""Matrices of a known spectrum."""

from cases.spectra import generator, ld_like, matrix_of

__all__ = ["generator", "ld_like", "matrix_of"]
