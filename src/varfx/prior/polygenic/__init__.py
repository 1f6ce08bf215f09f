"""Polygenic scores of individuals: weights matched to genotypes, summed, and compared with a phenotype.

Start with `score` (sums per individual); `weights_file` reads weights, `dosages` genotypes, `worth` judges a score by a phenotype.
"""
