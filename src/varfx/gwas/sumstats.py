"""`SumStats`: the marginal associations of one trait, and its file `*.sumstats.parquet`.

Foreign formats are read by `varfx.gwas`; this is what they are turned into.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from jaxtyping import Float64
from numpy import ndarray

from varfx.errors import DataError
from varfx.genome import variants
from varfx.genome.builds import known_build
from varfx.io import sealed
from varfx.short_repr import short_repr

SCHEMA: dict[str, pl.DataType] = {
    **variants.SCHEMA,
    "z": pl.Float64(),
    "n": pl.Float64(),
    "info": pl.Float64(),
}
MAX_ABS_Z = 1e4
KIND = "sumstats"


@dataclass(frozen=True, kw_only=True, eq=False)
class SumStats:
    """Marginal associations of one trait, one row per variant, in genome order.

    Attributes:
        table: columns `chrom, position, variant_id, effect_allele, other_allele, eaf, z, n, info`. `z` is
            sqrt(n) times the effect of `effect_allele` on standardised genotypes; `n` is the effective sample size.
            `position` and `chrom` are null where the source format has none; `eaf`, `info` where unknown. Simulations may
            add columns `z.2, z.3, ...`: independent replicates of the trait on the same variants.
        trait: a name for tables and pictures.
        metadata: provenance and the ledger of filters, JSON-able.
    """

    __repr__ = short_repr

    table: pl.DataFrame
    trait: str
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_sumstats(self.table, source=self.trait)

    @property
    def build(self) -> str | None:
        """Genome build of the positions, hg19 or hg38; None where it is not known."""
        return self.metadata.get("build") or known_build(self.metadata.get("genome_build"))

    @property
    def replicates(self) -> int:
        """Number of independent replicates; 1 unless the trait was simulated."""
        return 1 + self.table.width - len(SCHEMA)

    @property
    def z(self) -> Float64[ndarray, "variant ..."]:
        """The associations; with a second axis where there are replicates."""
        if self.replicates == 1:
            return self.table["z"].to_numpy()
        return self.table.select("z", *replicate_names(self.replicates)).to_numpy()

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes a sealed `*.sumstats.parquet`.

        Raises:
            StoreError: the file cannot be written.
        """
        sealed.write_table(self.table, path, kind=KIND, metadata={**self.metadata, "trait": self.trait})


def read_sumstats(path: str | os.PathLike[str]) -> SumStats:
    """The summary statistics in a `*.sumstats.parquet`.

    Raises:
        StoreError: not such a file, or damaged.
        DataError: its values cannot be right.
    """
    table, metadata = sealed.read_table(path, kind=KIND, made_by="varfx sumstats clean")
    return SumStats(table=table, trait=str(metadata.pop("trait")), metadata=metadata)


def replicate_names(count: int) -> list[str]:
    """The columns of all replicates but the first, whose column is `z`."""
    return [f"z.{number}" for number in range(2, count + 1)]


def check_sumstats(table: pl.DataFrame, *, source: str) -> None:
    """Checks the columns and values of a table of summary statistics.

    Raises:
        DataError: with what, how many, the first offender and what to do.
    """
    further = replicate_names(1 + max(0, table.width - len(SCHEMA)))
    if dict(table.schema) != SCHEMA | dict.fromkeys(further, pl.Float64()):
        raise DataError(
            f"`{source}`: columns must be { ({k: str(v) for k, v in SCHEMA.items()}) }, "
            f"but are { ({k: str(v) for k, v in table.schema.items()}) }. Make the file with `varfx sumstats clean`."
        )
    if table.height == 0:
        raise DataError(f"`{source}` holds no variants. Check the file and the filters.")
    n = pl.col("n")
    all_z = pl.col("z", *further)
    checks = [
        (
            pl.any_horizontal(~all_z.is_finite().fill_null(False)),
            "z is missing or not finite",
            "Remove these rows, or drop them with --drop-invalid.",
        ),
        (
            pl.any_horizontal(all_z.abs() > MAX_ABS_Z),
            f"|z| is above {MAX_ABS_Z:g}",
            "Check the columns of the file, or drop these rows with --drop-invalid.",
        ),
        (~(n.is_finite() & (n > 0)).fill_null(False), "n is missing or not positive", "Give the sample size with --n."),
        (
            (pl.col("eaf") < 0) | (pl.col("eaf") > 1) | pl.col("eaf").is_nan(),
            "eaf is outside 0 to 1",
            "Check the frequency column, or use --drop-invalid.",
        ),
    ]
    for bad, what, remedy in checks:
        variants.require_no(table.select(bad.fill_null(False).alias("bad"))["bad"], table, what, remedy, source=source)
    variants.require_no(
        variants.bad_alleles(table),
        table,
        "alleles are missing, equal, or hold letters other than ACGT",
        "Drop these rows with --drop-invalid.",
        source=source,
    )
    variants.require_no(
        variants.duplicated(table),
        table,
        "the same variant stands more than once",
        "Drop all copies with --drop-invalid.",
        source=source,
    )
