"""`GeneModels`: linear models of genes' expression, whichever file they come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from varfx.errors import DataError
from varfx.genome import variants
from varfx.short_repr import short_repr

GENES_SCHEMA: dict[str, pl.DataType] = {
    "gene": pl.String(),
    "name": pl.String(),
    "model": pl.String(),
    "r2": pl.Float64(),  # squared correlation of held-out predictions and expression; NaN where unknown
    "p": pl.Float64(),  # of that correlation
    "n": pl.Int64(),  # individuals of the fit
}
WEIGHTS_SCHEMA: dict[str, pl.DataType] = {"gene": pl.String(), **variants.SCHEMA, "weight": pl.Float64()}
Scale = Literal["allele", "standardised"]


@dataclass(frozen=True, kw_only=True, eq=False)
class GeneModels:
    """One linear model per gene.

    Attributes:
        genes: columns of `GENES_SCHEMA`.
        weights: columns of `WEIGHTS_SCHEMA`, weights that are not 0; chrom and position are null where a file has rsIDs alone.
        scale: whether a weight is per copy of the effect allele, or per standard deviation of the genotype.
        build: hg19, hg38, or None where it is not known.
        source: for messages.
        notes: what the user should know.
    """

    __repr__ = short_repr

    genes: pl.DataFrame
    weights: pl.DataFrame
    scale: Scale
    build: str | None
    source: str
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        table, remedy = self.weights, "Correct or remove these rows."
        bad = ~table["weight"].is_finite().fill_null(False)
        variants.require_no(bad, table, "the weight is no number", remedy, source=self.source)
        if not table.height:
            raise DataError(f"`{self.source}` holds no weight that is not 0.")

    def oriented(self) -> pl.DataFrame:
        """The weights with the alphabetically first allele as effect allele, so that genes spell a variant alike."""
        turned = pl.col("effect_allele") > pl.col("other_allele")
        return self.weights.with_columns(
            effect_allele=pl.when(turned).then("other_allele").otherwise("effect_allele"),
            other_allele=pl.when(turned).then("effect_allele").otherwise("other_allele"),
            weight=pl.when(turned).then(-pl.col("weight")).otherwise("weight"),
            eaf=pl.when(turned).then(1 - pl.col("eaf")).otherwise("eaf"),
        )
