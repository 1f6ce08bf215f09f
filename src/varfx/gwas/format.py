"""`GwasFormat`: which columns one layout of summary statistics has, what they mean, and what its rows need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from varfx.gwas import layouts
from varfx.io.ledger import Ledger


def no_constants(names: Sequence[str]) -> dict[str, float]:
    """Nothing: the header holds no numbers."""
    del names
    return {}


@dataclass(frozen=True, kw_only=True)
class GwasFormat:
    """One layout.

    Attributes:
        name: for messages and the ledger.
        columns: role, or field that `prepare` turns into roles -> its possible names, in order of preference; `FRQ_A_*` is
            any name that begins with `FRQ_A_`.
        required: a header is of this format if it has one name of each group.
        prepare: turns a block of strings (columns named as in `columns`, and `row`) into one of roles, counting the
            rows it leaves out.
        chrom_codes: numeric chromosome codes that differ from PLINK's.
        constants: roles whose value stands in the header itself.
        also_missing: words of missing values beside `varfx.io.text_numbers.ABSENT`; NaN is else an error, since something failed.
        ignored: names of columns that look like a role but are not -> what they are.
        refused_with: groups of names; a header with one name of each group is not of this format.
        remark: a sentence for the ledger and the log on what must be known about this format.
    """

    name: str
    columns: Mapping[str, tuple[str, ...]]
    required: tuple[tuple[str, ...], ...]
    prepare: Callable[[pl.DataFrame, Ledger], pl.DataFrame] = layouts.unchanged
    chrom_codes: Mapping[str, str] = field(default_factory=dict)
    constants: Callable[[Sequence[str]], dict[str, float]] = no_constants
    also_missing: frozenset[str] = frozenset()
    ignored: Mapping[str, str] = field(default_factory=dict)
    refused_with: tuple[tuple[str, ...], ...] = ()
    remark: str = ""

    def lacking(self, names: Sequence[str]) -> list[str]:
        """The groups of `required` of which a header has no name, in words."""
        return [" or ".join(dict.fromkeys(group)) for group in self.required if not has_one(group, names)]

    def refused(self, names: Sequence[str]) -> bool:
        """Whether the header has names that another tool's files have."""
        return bool(self.refused_with) and all(has_one(group, names) for group in self.refused_with)


def columns_of(*lines: str) -> dict[str, tuple[str, ...]]:
    """Role -> spellings, from words such as `chrom=CHR` and `variant_id=MarkerID|rsid`, separated by blanks."""
    pairs = (word.partition("=") for line in lines for word in line.split())
    return {role: tuple(spellings.split("|")) for role, _, spellings in pairs}


def groups_of(*lines: str) -> tuple[tuple[str, ...], ...]:
    """Groups of spellings, from words such as `CHR` and `BETA|OR`, separated by blanks."""
    return tuple(tuple(word.split("|")) for line in lines for word in line.split())


def matches(spelling: str, name: str) -> bool:
    """Whether a name has a spelling, without regard to case; `X*` is any name that begins with X."""
    if spelling.endswith("*"):
        return name.lower().startswith(spelling[:-1].lower())
    return spelling.lower() == name.lower()


def has_one(group: Sequence[str], names: Sequence[str]) -> bool:
    """Whether one spelling of the group is a name of the header."""
    return any(matches(spelling, name) for spelling in group for name in names)
