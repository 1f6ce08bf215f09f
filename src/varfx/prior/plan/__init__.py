"""Time and memory of a fit before it starts.

Start with `plan` (the command); `rates` measures this machine.
"""
