"""Priors of one trait in several ancestries: one network, and for each ancestry its own panel, scale, alpha and sigma2.

Start with `inputs` (whose files are whose) and `run` (a folder with a run per ancestry); `split` holds out the same regions in all.
"""
