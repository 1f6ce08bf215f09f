"""The variants of several panels in one table: which rows are one variant, and which panels count its other allele."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float, Int64
from numpy import ndarray

from varfx.genome.variant_codes import SWAPPED, encode, find
from varfx.genome.variants import in_genome_order

KEY = ("chrom", "position", "variant_id", "effect_allele", "other_allele")


@dataclass(frozen=True, eq=False)
class Union:
    """The variants of several panels.

    Attributes:
        variants: `chrom, position, variant_id, effect_allele, other_allele` as in the first panel that has the variant, in genome
            order.
        rows: for each panel the row of each variant, -1 where it is not in that panel.
        signs: for each panel 1 where its effect allele is that of `variants`, else -1.
    """

    variants: pl.DataFrame
    rows: dict[str, Int64[ndarray, " variant"]]
    signs: dict[str, Float[ndarray, " variant"]]

    def spread(self, name: str, values: Float[ndarray, " row"]) -> Float[ndarray, " variant"]:
        """A panel's values on the rows of `variants`; NaN where it lacks the variant."""
        return np.where(self.rows[name] >= 0, np.asarray(values, dtype=np.float64)[self.rows[name]], np.nan)

    def frequency(self, name: str, eaf: Float[ndarray, " row"]) -> Float[ndarray, " variant"]:
        """A panel's frequencies of the effect alleles of `variants`; NaN where unknown."""
        own = self.spread(name, eaf)
        return np.where(self.signs[name] > 0, own, 1 - own)


def union_of(panels: Mapping[str, pl.DataFrame]) -> Union:
    """The union of some panels' variants, known by position and alleles in either order.

    Args:
        panels: columns `chrom, position, variant_id, effect_allele, other_allele` and any others.
    """
    coded = dict(zip(panels, encode(list(panels.values()), both_strands=False, sources=list(panels)), strict=True))
    parts = []
    known: ndarray = np.zeros(0, dtype=np.int64)
    for name, table in panels.items():
        new = find(coded[name].key, known) < 0
        parts.append(
            table.select(KEY)
            .with_columns(key=pl.Series(coded[name].key), form=pl.Series(coded[name].form & SWAPPED))
            .filter(pl.Series(new))
        )
        known = np.concatenate([known, coded[name].key[new]])
    whole = in_genome_order(pl.concat(parts))
    key, form = whole["key"].to_numpy(), whole["form"].to_numpy()
    rows = {name: find(key, each.key) for name, each in coded.items()}
    signs = {name: np.where((coded[name].form[rows[name]] & SWAPPED) == form, 1.0, -1.0) for name in panels}
    return Union(whole.select(KEY), rows, signs)
