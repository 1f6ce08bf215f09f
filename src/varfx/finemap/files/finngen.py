"""FinnGen's `OUT.SUSIE.snp` and `OUT.SUSIE.cred`: a row per variant, and per credible set, as in its public releases.

`allele2` is the effect allele, and `v` names `allele1` before `allele2`; which of them is the reference's is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from varfx.finemap.files.text import numbered
from varfx.finemap.run import FineMapping
from varfx.finemap.sets import CredibleSet
from varfx.finemap.tables import LN10, scientific, variant_table

EFFECTS = 10
LOW_PURITY = 0.25  # of the smallest r2, below which FinnGen calls a set impure


def snp_table(mapping: FineMapping) -> pl.DataFrame:
    """The columns of `.SUSIE.snp`; frequencies and effects per allele are NA where the panel has no frequency."""
    table = variant_table(mapping).with_columns(per_allele())
    parts = []
    for (locus,), rows in table.group_by("locus", maintain_order=True):
        each = next(one for one in mapping.loci if one.locus.name == locus)
        shown = np.flatnonzero(each.reported)
        marks = {
            name: [_set_values(sets, number) for number in rows[column].to_list()]
            for name, sets, column in (("95", each.sets, "set"), ("99", each.sets_99, "set_99"))
        }
        part = rows.select(
            trait=pl.lit(mapping.study.sumstats.trait),
            region=pl.lit(f"chr{each.locus.chrom}:{each.locus.own_start + 1}-{each.locus.own_end}"),
            v=pl.concat_str("chrom", "position", "other_allele", "effect_allele", separator=":"),
            rsid="variant_id",
            chromosome=pl.concat_str(pl.lit("chr"), "chrom"),
            position="position",
            allele1="other_allele",
            allele2="effect_allele",
            maf=pl.min_horizontal("eaf", 1 - pl.col("eaf")),
            beta="beta",
            se="se",
            p=pl.Series(scientific(rows["log10_p"].to_numpy()), dtype=pl.String),
            mean="mean",
            sd="sd",
            prob="pip",
            cs=pl.when(pl.col("set") > 0).then("set").otherwise(-1),
            cs_specific_prob="set_probability",
            low_purity=pl.Series([int(one[0]) for one in marks["95"]]),
            lead_r2=pl.Series([one[1] for one in marks["95"]], dtype=pl.Float64),
            mean_99="mean",
            sd_99="sd",
            prob_99="pip",
            cs_99=pl.when(pl.col("set_99") > 0).then("set_99").otherwise(-1),
            cs_specific_prob_99="set_probability_99",
            low_purity_99=pl.Series([int(one[0]) for one in marks["99"]]),
            lead_r2_99=pl.Series([one[1] for one in marks["99"]], dtype=pl.Float64),
        )
        fit, scale = each.fit, np.sqrt(each.n - 1)
        spread = np.sqrt(np.maximum(fit.square - fit.mean**2, 0.0))
        arrays = {
            "alpha": fit.alpha,
            "mean": fit.mean / scale,
            "sd": spread / scale,
            "lbf_variable": fit.log_bf_variant,
        }
        parts.append(
            part.with_columns(
                *[column for name, values in arrays.items() for column in numbered(name, values[:, shown], EFFECTS)]
            )
        )
    return pl.concat(parts)


def _set_values(sets: Sequence[CredibleSet], number: int) -> tuple[bool, float | None]:
    """Whether the set is impure, and the smallest r2 with its lead."""
    if number == 0:
        return False, None
    one = sets[number - 1]
    return one.purity**2 < LOW_PURITY, float(one.r2.min())


def cred_table(mapping: FineMapping) -> pl.DataFrame:
    """The columns of `.SUSIE.cred`."""
    rows = [
        {
            "trait": mapping.study.sumstats.trait,
            "region": f"chr{each.locus.chrom}:{each.locus.own_start + 1}-{each.locus.own_end}",
            "cs": number,
            "cs_log10bf": one.log_bf / LN10,
            "cs_avg_r2": one.purity_mean**2,
            "cs_min_r2": one.purity**2,
            "low_purity": int(one.purity**2 < LOW_PURITY),
            "cs_size": len(one),
        }
        for each in mapping.loci
        for number, one in enumerate(each.sets, start=1)
    ]
    schema = {
        "trait": pl.String(), "region": pl.String(), "cs": pl.Int64(), "cs_log10bf": pl.Float64(), "cs_avg_r2": pl.Float64(),
        "cs_min_r2": pl.Float64(), "low_purity": pl.Int64(), "cs_size": pl.Int64(),
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def per_allele() -> list[pl.Expr]:
    """`beta` and `se` per allele of a trait of variance 1, from z, n and the frequency; null where that is unknown."""
    eaf = pl.col("eaf").cast(pl.Float64)
    se = 1 / (2 * eaf * (1 - eaf) * (pl.col("n") + pl.col("z") ** 2)).sqrt()
    return [(pl.col("z") * se).alias("beta"), se.alias("se")]
