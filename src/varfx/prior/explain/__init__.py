"""What a fitted prior looks at: attribution of the score to channels, and permutation importance.

Start with `explain` (the command).
"""
