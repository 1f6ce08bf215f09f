"""FINEMAP 1.4's `OUT.snp`: a row per variant, most probable first. `allele1` is the effect allele."""

from __future__ import annotations

import numpy as np
import polars as pl

from varfx.finemap.files.finngen import per_allele
from varfx.finemap.run import FineMapping
from varfx.finemap.tables import LN10, variant_table


def snp_table(mapping: FineMapping) -> pl.DataFrame:
    """The columns of `.snp`; `log10bf` compares posterior with prior odds of inclusion, at equal prior weights of one effect per locus.

    Effects are per allele of a trait of variance 1; NA where the panel has no frequency.
    """
    table = variant_table(mapping).with_columns(per_allele())
    size = table.select(pl.len().over("locus"))["len"].to_numpy().astype(float)
    prob = np.clip(table["pip"].to_numpy(), 1e-300, 1 - 1e-15)
    prior = 1 / np.maximum(size, 2)
    log10bf = (np.log(prob) - np.log1p(-prob) - np.log(prior) + np.log1p(-prior)) / LN10
    allele = (2 * pl.col("eaf") * (1 - pl.col("eaf"))).sqrt()
    incl = pl.col("pip").clip(1e-300)
    square = (pl.col("sd") ** 2 + pl.col("mean") ** 2) / incl
    return (
        table.with_columns(pl.Series("log10bf", log10bf))
        .sort("pip", descending=True, maintain_order=True)
        .select(
            index=pl.int_range(1, pl.len() + 1),
            rsid="variant_id",
            chromosome="chrom",
            position="position",
            allele1="effect_allele",
            allele2="other_allele",
            maf=pl.min_horizontal("eaf", 1 - pl.col("eaf")),
            beta="beta",
            se="se",
            z="z",
            prob="pip",
            log10bf="log10bf",
            mean=pl.col("mean") / allele,
            sd=pl.col("sd") / allele,
            mean_incl=pl.col("mean") / incl / allele,
            sd_incl=(square - (pl.col("mean") / incl) ** 2).clip(0).sqrt() / allele,
        )
    )
