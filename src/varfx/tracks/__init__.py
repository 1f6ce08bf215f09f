"""Base-resolution signals along the genome: the quantised store, how it is built, and its windows around variants.

Imports `io`, `genome` and the rooms above. Start with `store`, then `gather` (windows on the device).
"""
