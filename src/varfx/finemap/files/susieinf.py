"""SuSiE-inf's `OUT.susieinf.tsv.gz`: the input's columns, then what each effect says about each variant."""

from __future__ import annotations

import numpy as np
import polars as pl

from varfx.finemap.files.finngen import per_allele
from varfx.finemap.files.text import numbered
from varfx.finemap.run import FineMapping
from varfx.finemap.tables import scientific, variant_table


def inf_table(mapping: FineMapping) -> pl.DataFrame:
    """`prob`, per effect `alpha, mu, omega, lbf_variable`, then `alpha, post_mean, tausq, sigmasq, cs` (-1 for none) and the locus.

    `mu` is on standardised genotypes and `omega` its posterior precision; `alpha` is the posterior mean of the background, which
    `post_mean` includes. `tausq` is the mean variance of the background.
    """
    table = variant_table(mapping).with_columns(per_allele())
    effects = max(each.fit.alpha.shape[0] for each in mapping.loci)
    parts = []
    for (locus,), rows in table.group_by("locus", maintain_order=True):
        each = next(one for one in mapping.loci if one.locus.name == locus)
        shown, fit, scale = np.flatnonzero(each.reported), each.fit, np.sqrt(each.n - 1)
        spread = np.maximum(fit.square - fit.mean**2, 1e-300)
        arrays = {
            "alpha": fit.alpha,
            "mu": fit.mean / scale,
            "omega": np.where(fit.V[:, None] > 0, scale**2 / spread, 0.0),
            "lbf_variable": fit.log_bf_variant,
        }
        part = rows.select(
            "chrom", "position", rsid="variant_id", allele1="effect_allele", allele2="other_allele",
            maf=pl.min_horizontal("eaf", 1 - pl.col("eaf")), beta="beta", se="se",
            p=pl.Series(scientific(rows["log10_p"].to_numpy()), dtype=pl.String), z="z", prob="pip",
        ).rename({"chrom": "chromosome"})  # fmt: skip
        parts.append(
            part.with_columns(
                *[column for name, values in arrays.items() for column in numbered(name, values[:, shown], effects)],
                alpha=pl.Series(fit.background_mean[shown] / scale),
                post_mean=rows["mean"],
                tausq=pl.lit(each.background_variance),
                sigmasq=pl.lit(fit.sigma2),
                cs=pl.when(rows["set"] > 0).then(rows["set"]).otherwise(-1),
                locus=pl.lit(locus),
            )
        )
    return pl.concat(parts)
