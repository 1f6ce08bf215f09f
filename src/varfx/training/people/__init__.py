"""Training of expression networks on individuals: batches, pairwise loss, loop.

Start with `fit`.
"""
