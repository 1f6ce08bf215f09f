"""How anything is read and written: sealed files and folders, run folders, text tables, compressed streams, the cache.

Imports nothing of ours but errors and progress. Start with `sealed` (every file we write), then `run_folder` and `text_table`.
"""
