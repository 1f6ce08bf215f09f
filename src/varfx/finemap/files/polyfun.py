"""`OUT.pip.tsv.gz`: the columns of PolyFun's finemapper (Weissbrod et al. 2020), and ours after them."""

from __future__ import annotations

import polars as pl

from varfx.finemap.run import FineMapping
from varfx.finemap.tables import scientific, variant_table

COLUMNS = (
    "CHR", "SNP", "BP", "A1", "A2", "SNPVAR", "Z", "N", "P", "PIP", "BETA_MEAN", "BETA_SD", "DISTANCE_FROM_CENTER", "CREDIBLE_SET",
    "PIP_UNIFORM", "LBF", "LOCUS", "QC",
)  # fmt: skip


def pip_table(mapping: FineMapping) -> pl.DataFrame:
    """The columns, largest inclusion probability first; `CREDIBLE_SET` counts within a locus, 0 for none."""
    table = variant_table(mapping)
    return (
        table.with_columns(P=pl.Series(scientific(table["log10_p"].to_numpy()), dtype=pl.String))
        .sort("pip", descending=True, maintain_order=True)
        .select(
            CHR="chrom",
            SNP="variant_id",
            BP="position",
            A1="effect_allele",
            A2="other_allele",
            SNPVAR="f",
            Z="z",
            N=pl.col("n").round().cast(pl.Int64),
            P="P",
            PIP="pip",
            BETA_MEAN="mean",
            BETA_SD="sd",
            DISTANCE_FROM_CENTER=pl.col("from_centre").abs(),
            CREDIBLE_SET="set",
            PIP_UNIFORM="pip_uniform",
            LBF="log_bf",
            LOCUS="locus",
            QC="qc",
        )
    )
