"""Sequence models of expression: personal sequences, batches, fine-tuning, zero-shot predictions.

Start with `fit` (the command `expr fit`), then `sequences`.
"""
