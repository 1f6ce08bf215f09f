"""Effects of variants on expression: in-silico mutagenesis, gradients, drivers.

Start with `score` (the command `expr variants`).
"""
