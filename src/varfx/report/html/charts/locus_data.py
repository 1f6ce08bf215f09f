"""What is drawn of one locus, and where its genes go; shared by the interactive view and the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from varfx.report.html.blocks import Columns
from varfx.report.html.theme import SETS

NO_SET = "none"
NEUTRAL = "#A8B0B8"
CHARACTER = 0.011  # of a gene's name, as a share of the view: how much place labels need


@dataclass(frozen=True, kw_only=True, eq=False)
class LocusData:
    """What is drawn of a locus; positions in Mb.

    Attributes:
        name: in words.
        chrom: its chromosome.
        domain: of the x axis when all is seen.
        view: of the x axis at first.
        variants: `mb`, `id`, `alleles`, `p` (-log10), `z`, `r2` (null where unknown), `lead` (0 or 1), and where there is fine-mapping
            `pip`, `uniform` (null where unknown), `set` ("none" or a number); `f` where there is a prior.
        sets: names of the credible sets.
        ticks: `mb`, `name` of variants within annotations.
        genes: `start`, `end`, `name`, `strand`; empty without a GTF file.
        exons: `start`, `end`, `gene` (place in `genes`).
    """

    name: str
    chrom: str
    domain: tuple[float, float]
    view: tuple[float, float]
    variants: Columns
    sets: tuple[str, ...]
    ticks: Columns
    genes: Columns
    exons: Columns


def set_colours(sets: Sequence[str]) -> dict[str, str]:
    """The colour of each credible set."""
    return {name: SETS[number % len(SETS)] for number, name in enumerate(sets)}


def gene_rows(genes: Columns, view: tuple[float, float]) -> list[int]:
    """The row of each gene: the first in which neither body nor name meets another, at the scale of a view."""
    character = CHARACTER * (view[1] - view[0])
    ends: list[float] = []
    found = []
    for start, end, label in zip(genes["start"], genes["end"], gene_labels(genes), strict=True):
        right = max(end, start + character * (len(label) + 1))
        row = next((number for number, last in enumerate(ends) if last < start), len(ends))
        ends[row:] = [right, *ends[row + 1 :]]
        found.append(row)
    return found


def gene_labels(genes: Columns) -> list[str]:
    """Names of genes with their direction."""
    return [
        f"{name} →" if strand == "+" else f"← {name}"
        for name, strand in zip(genes["name"], genes["strand"], strict=True)
    ]
