"""Pairs of relatives as KING, PLINK, vcftools, somalier and hail list them, or two columns without header.

Where the table has a coefficient of relatedness, pairs beyond the fourth degree are no relatives: such tables list all pairs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from varfx.errors import DataError, FormatError
from varfx.genotypes.name_lists import FAMILY, PAIR, NameTable, choose_reading, compared, joined, read_name_table

LEAST_KINSHIP = 2**-5.5  # of a fourth-degree relative, by KING's bounds (Manichaikul et al. 2010)
# Coefficients by their columns, the best first, and what they are of a kinship of 1.
_COEFFICIENTS = {
    "kinship": 1.0,
    "kin": 1.0,
    "relatedness_phi": 1.0,
    "pi_hat": 2.0,
    "propibd": 2.0,
    "relatedness": 2.0,
    "relatedness_ajk": 2.0,
}
_FAMILY_PAIR = re.compile(r"(?:fid|family|famid)_?(1|2|a|b|i|j)")
_SECOND = ("2", "b", "j")


@dataclass(frozen=True)
class Pairs:
    """Pairs of individuals.

    Attributes:
        pairs: relatives of whom both are known.
        unknown: how many others there are.
        first_unknown: the first of them; None without any.
        unrelated: how many pairs of known individuals have too small a coefficient.
        bound: that coefficient and its name, in words; empty without any.
    """

    pairs: tuple[tuple[str, str], ...]
    unknown: int = 0
    first_unknown: tuple[str, str] | None = None
    unrelated: int = 0
    bound: str = ""


def read_pairs(path: str | os.PathLike[str], what: str, known: Collection[str]) -> Pairs:
    """Pairs of a table such as KING's .kin0, PLINK's .genome, or of two columns without header.

    Raises:
        DataError: none of the pairs is of known individuals, or two readings name different pairs.
        FormatError: as `read_name_table`; a line with fewer than two fields, or a pair of a name with itself that has no
            coefficient.
    """
    names = set(known)
    table = read_name_table(path, what, known=names)
    table.require_columns(2)
    chosen = choose_reading(
        table,
        _pair_readings(table),
        lambda reading: {pair for pair in reading if set(pair) <= names and len(set(pair)) > 1},
    )
    bound, related = _related(table)
    selves = [number for number, (first, second) in enumerate(chosen) if first == second]
    if selves and not bound:  # tables of coefficients may have everyone's with themselves
        line, name = table.rows[selves[0]][0], chosen[selves[0]][0]
        remedy = "Name the columns of the two individuals in a header line, such as IID1 and IID2."
        raise FormatError(
            f"`{path}`: {len(selves)} of {len(chosen)} pairs are of a name with itself, first in line {line} ({name}). "
            f"{'Leave such lines out.' if table.header else remedy}"
        )
    kept = [(pair, is_related) for pair, is_related in zip(chosen, related, strict=True) if pair[0] != pair[1]]
    unknown = [pair for pair, _ in kept if not set(pair) <= names]
    found = {pair: is_related for pair, is_related in kept if set(pair) <= names}
    if not found:
        raise DataError(
            f"`{path}`: none of its {len(chosen)} pairs (first {chosen[0][0]} {chosen[0][1]}) is of individuals with genotypes"
            f"{compared([name for pair in chosen for name in pair], known)}. Its columns must be names of individuals."
        )
    pairs = tuple(pair for pair, is_related in found.items() if is_related)
    return Pairs(pairs, len(unknown), unknown[0] if unknown else None, len(found) - len(pairs), bound)


def _related(table: NameTable) -> tuple[str, list[bool]]:
    """The least coefficient of relatives in words (empty without such a column), and which rows reach it or have none."""
    column = table.found(tuple(_COEFFICIENTS))
    if column is None:
        return "", [True] * len(table.rows)
    name = table.header[column]
    least = LEAST_KINSHIP * _COEFFICIENTS[name]
    return f"{name} below {least:.4f}", [not _number(text) < least for text in table.column(column)]


def _number(text: str) -> float:
    """The number, or NaN."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _pair_readings(table: NameTable) -> list[list[tuple[str, str]]]:
    """The pairs by each two columns that may hold them, the likeliest first."""
    names, families = (_pair_columns(table.header, pattern) for pattern in (PAIR, _FAMILY_PAIR))
    if names is not None:
        readings = [_paired(table.column(names[0]), table.column(names[1]))]
        shared = table.found(FAMILY)
        fid = families or ((shared, shared) if shared is not None else None)
        if fid is not None:
            readings.append(_paired(joined(table, fid[0], names[0]), joined(table, fid[1], names[1])))
        return readings
    readings = [_paired(table.column(0), table.column(1))]
    if table.width >= 4:  # FID1 IID1 FID2 IID2
        readings += [
            _paired(table.column(1), table.column(3)),
            _paired(joined(table, 0, 1), joined(table, 2, 3)),
        ]
    return readings


def _pair_columns(header: Sequence[str], pattern: re.Pattern[str]) -> tuple[int, int] | None:
    found: dict[bool, int] = {}
    for number, word in enumerate(header):
        match = pattern.fullmatch(word)
        if match is not None:
            ending = next(group for group in match.groups() if group)
            found.setdefault(ending in _SECOND, number)
    return (found[False], found[True]) if len(found) == 2 else None


def _paired(first: Sequence[str], second: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(first, second, strict=True))
