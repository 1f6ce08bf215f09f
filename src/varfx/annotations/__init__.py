"""Annotations of variants: the table and its file, how it is built, and how it becomes features.

Imports `io`, `genome` and the rooms above. Start with `store` (the table), then `build` (from BED files and tables) and
`standardise` (channels to features). Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.annotations.build import (
        BedSpec,
        TableSpec,
        build_annotations,
        parse_named_path,
        parse_table,
        with_frequencies,
    )
    from varfx.annotations.dbnsfp import DbnsfpSpec
    from varfx.annotations.standardise import Standardiser
    from varfx.annotations.store import Annotations, read_annotations

__all__ = [
    "Annotations",
    "BedSpec",
    "DbnsfpSpec",
    "Standardiser",
    "TableSpec",
    "build_annotations",
    "parse_named_path",
    "parse_table",
    "read_annotations",
    "with_frequencies",
]

export(
    __name__,
    {
        "build": "BedSpec TableSpec build_annotations parse_named_path parse_table with_frequencies",
        "dbnsfp": "DbnsfpSpec",
        "standardise": "Standardiser",
        "store": "Annotations read_annotations",
    },
)
