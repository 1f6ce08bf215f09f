"""Training of priors on summary statistics: windows, objective, loop.

Start with `fit`.
"""
