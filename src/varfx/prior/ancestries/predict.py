"""f of every variant in every ancestry, in one table."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import polars as pl

from varfx.prior.ancestries.run import AncestryRun, open_ancestries
from varfx.prior.ancestries.union import union_of
from varfx.prior.predict import predict

PathLike = str | os.PathLike[str]


def predict_ancestries(run: PathLike | AncestryRun, **options: Any) -> pl.DataFrame:
    """`varfx.prior.predict` of each ancestry, joined by position and alleles.

    Args:
        run: the run of several ancestries, or its folder.
        **options: those of `predict`, but for files: these are of one ancestry.

    Returns:
        `chrom, position, variant_id, effect_allele, other_allele`, then per ancestry `eaf.NAME`, `f.NAME` and `sigma2.NAME`, null where its
        panel lacks the variant.

    Raises:
        VarfxError: see `predict`.
    """
    tables = {name: predict(each, **options) for name, each in open_ancestries(run).members.items()}
    union = union_of(tables)
    columns = []
    for name, table in tables.items():
        eaf = table["eaf"].cast(pl.Float64).fill_null(np.nan).to_numpy()
        columns += [pl.Series(f"eaf.{name}", union.frequency(name, eaf))]
        columns += [pl.Series(f"{what}.{name}", union.spread(name, table[what].to_numpy())) for what in ("f", "sigma2")]
    return union.variants.with_columns(column.fill_nan(None) for column in columns)
