"""Files that are split by chromosome: `@` in a file's name stands for the chromosome."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from varfx.errors import FormatError
from varfx.genome.chromosomes import CHROMOSOMES
from varfx.io.file_names import as_file_name

_log = logging.getLogger(__name__)
_OTHER_NAMES = {"X": ("23", "chrX", "chr23"), "Y": ("24", "chrY", "chr24"), "MT": ("26", "M", "chrMT", "chrM", "chr26")}


def is_split(path: Path) -> bool:
    """Whether a path stands for a file per chromosome."""
    return "@" in path.name and not path.exists()


def files_of(pattern: Path, chroms: Sequence[str] = CHROMOSOMES[:22], others: Sequence[str] = ()) -> dict[str, Path]:
    """The file of each chromosome; those without one are logged.

    Args:
        pattern: `@` in its name stands for 1, 01, chr1, chr01; X, 23 and so on.
        chroms: the chromosomes that should have a file.
        others: chromosomes that may have one.

    Raises:
        FormatError: none has one.
    """
    found: dict[str, Path] = {}
    for chrom in (*chroms, *others):
        padded = (f"0{chrom}", f"chr0{chrom}") if len(chrom) == 1 and chrom.isdigit() else ()
        names = (chrom, f"chr{chrom}", *padded, *_OTHER_NAMES.get(chrom, ()))
        paths = [pattern.with_name(pattern.name.replace("@", as_file_name(name))) for name in names]
        present = [path for path in paths if path.exists()]  # a panel is a folder
        if present:
            found[chrom] = present[0]
    if not found:
        first = pattern.with_name(pattern.name.replace("@", as_file_name(chroms[0] if chroms else "1")))
        raise FormatError(f"`{pattern}`: none of its {len(chroms)} files exists, first `{first}`. Check the path.")
    lacking = [chrom for chrom in chroms if chrom not in found]
    if lacking:
        _log.warning(
            "`%s` has no file for %d chromosomes (%s): missing there", pattern, len(lacking), ", ".join(lacking)
        )
    return found
