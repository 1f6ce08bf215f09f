"""Associations simulated from a known truth, and how close a fitted prior comes to it.

Start with `simulate` (the command), then `truth`.
"""
