"""Variant scores as tables: a row per gene and variant, and annotations with a row per variant.

A variant may stand in the windows of several genes. As an annotation it has the score of the gene where it is largest in
magnitude; flags are 1 if they are for any gene.
"""

from __future__ import annotations

import polars as pl

from varfx.annotations.places import ABSENT
from varfx.annotations.store import Annotations
from varfx.errors import DataError

KEY = ("chrom", "position", "variant_id", "effect_allele", "other_allele")
LONG_KIND = "expression variant scores"
LONG_SCHEMA: dict[str, pl.DataType] = {
    "gene_id": pl.String(),
    "model": pl.String(),
    "fold": pl.Int64(),
    "chrom": pl.String(),
    "position": pl.Int64(),
    "variant_id": pl.String(),
    "effect_allele": pl.String(),  # ALT
    "other_allele": pl.String(),  # REF
    "tss_distance": pl.Int64(),  # bases along the strand; negative upstream
    "eaf": pl.Float64(),  # frequency of ALT in the fold's training individuals
    "weight": pl.Float64(),  # adjusted expression per copy of ALT; of a network half of `ism`
    "ism": pl.Float64(),  # homozygous effect by in-silico mutagenesis; null for linear models
    "gradient": pl.Float64(),  # standardised input gradient on the reference, at the variant's base
    "people_gradient": pl.Float64(),  # the same, averaged over test individuals' sequences
    "elastic_net": pl.Float64(),  # weight of the elastic net per copy of ALT; null without one
    "high_scoring": pl.Boolean(),  # among the n largest |weight|, n as many as the elastic net has
    "driver_sasse": pl.Boolean(),  # by each rule, chosen on tuning individuals; null without their predictions
    "driver_variformer": pl.Boolean(),
    "driver_rastogi": pl.Boolean(),
}
SIGNED = ("ism", "weight")  # the effect of ALT, whichever allele a panel calls the effect allele
FOR_ABSENT = {"scored": 0.0}  # what variants without a row have; all other channels are missing there


def as_annotations(
    table: pl.DataFrame, variants: pl.DataFrame, *, rule: str, metadata: dict[str, object] | None = None
) -> Annotations:
    """A row per variant, keyed as `*.annot.parquet`, with the mask `scored`.

    Channels: `ism` (networks) or `weight` (linear models), signed for ALT; `abs_ism` or `abs_weight`; `gradient` and
    `people_gradient`, the largest over genes, where there are any; `abs_elastic_net` where a network's scores have one beside;
    `high_scoring`, `driver`; `scored`, 1 where the variant lies in the window of a scored gene. All but `scored` are null where
    it is 0.

    Args:
        table: columns of `LONG_SCHEMA`, of one model and fold.
        variants: the rows of the result; columns of `KEY`.
        rule: whose drivers.
        metadata: added to the annotations', by convention with a key "provenance".

    Raises:
        DataError: no variant has a score.
    """
    table = table.filter(pl.col("weight").is_not_null())
    if not table.height:
        raise DataError("no variant has a score: the windows of the genes hold none, or no gene could be fitted.")
    score = "ism" if table["ism"].null_count() < table.height else "weight"
    best = pl.col(score).sort_by(pl.col(score).abs(), descending=True, nulls_last=True).first()
    channels = [best.alias(score), pl.col(score).abs().max().alias(f"abs_{score}")]
    channels += [
        pl.col(name).max() for name in ("gradient", "people_gradient") if table[name].null_count() < table.height
    ]
    if score == "ism" and table["elastic_net"].null_count() < table.height:
        channels.append(pl.col("elastic_net").abs().max().alias("abs_elastic_net"))
    channels += [pl.col("high_scoring").max(), pl.col(f"driver_{rule}").max().alias("driver")]
    key = [name for name in KEY if name != "variant_id"]
    each = table.group_by(key).agg(channels).with_columns(scored=pl.lit(1.0))
    if each["driver"].null_count() == each.height:
        each = each.drop("driver")
    joined = variants.select(KEY).join(each, on=key, how="left", maintain_order="left")
    joined = joined.with_columns(pl.col("scored").fill_null(0.0))
    names = [name for name in joined.columns if name not in KEY]
    return Annotations(
        table=joined.with_columns(pl.col(names).cast(pl.Float32)),
        metadata={**(metadata or {}), ABSENT: FOR_ABSENT},
    )
