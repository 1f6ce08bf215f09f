"""Names of chromosomes in our spelling, and ranges of them; without polars, so that a configuration can be checked at once."""

from __future__ import annotations

import re
from collections.abc import Iterable

from varfx.errors import ConfigError

CHROMOSOMES = (*map(str, range(1, 23)), "X", "Y", "MT")
PLINK_CODES = {"23": "X", "24": "Y", "25": "X", "26": "MT", "M": "MT", "XY": "X"}
_RANGE = re.compile(r"(?:CHR)?(\d{1,2})-(?:CHR)?(\d{1,2})")


def chrom_names(names: Iterable[object]) -> tuple[str, ...]:
    """Each chromosome name in our spelling, as `chrom_expr` has it: `chr20`, `020` and 20 are the same."""
    return tuple(_spelled(str(name).strip().upper()) for name in names)


def chrom_list(names: Iterable[object]) -> tuple[str, ...]:
    """The chromosomes that a user names, in our spelling: `1-3,chr5 X` is 1, 2, 3, 5, X.

    Raises:
        ConfigError: a range that runs backwards or beyond 22.
    """
    found: list[str] = []
    for word in (word for name in names for word in str(name).replace(",", " ").upper().split()):
        span = _RANGE.fullmatch(word)
        if span is None:
            found.append(_spelled(word))
            continue
        first, last = int(span[1]), int(span[2])
        if not 1 <= first <= last <= 22:
            raise ConfigError(f"chromosome range {word} must run upwards within 1-22.")
        found += map(str, range(first, last + 1))
    return tuple(dict.fromkeys(found))


def _spelled(name: str) -> str:
    bare = re.sub("^0+(?=[0-9])", "", name.removeprefix("CHR"))
    return PLINK_CODES.get(bare, bare)
