"""Linear models of expression: elastic net and ridge, BLUP, informed BLUP, the best single variant.

Start with `run` (the command `expr baseline`), then `gene`.
"""
