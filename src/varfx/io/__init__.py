"""Reading and writing: sealed files, run folders, text tables, compressed streams, workers, the cache.

Imports nothing of ours but errors and progress. Start with `sealed` (every file that varfx writes), then `text_table` (every table
that others wrote), `run_folder` and `workers`. Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.io.cache import cache_folder
    from varfx.io.ledger import Ledger
    from varfx.io.text_table import Table, open_table
    from varfx.io.workers import Job, Workers, map_pieces

__all__ = [
    "Job",
    "Ledger",
    "Table",
    "Workers",
    "cache_folder",
    "map_pieces",
    "open_table",
]

export(
    __name__,
    {
        "cache": "cache_folder",
        "ledger": "Ledger",
        "text_table": "Table open_table",
        "workers": "Job Workers map_pieces",
    },
)
