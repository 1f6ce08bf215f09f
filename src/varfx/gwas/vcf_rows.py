"""Rows of GWAS-VCF: the fields of one sample, by each row's FORMAT, one row per ALT allele."""

from __future__ import annotations

import polars as pl

from varfx.gwas.roles import NUMBER_ROLES, SYNONYMS, plain
from varfx.io.ledger import Ledger

VCF_FIELDS = {
    "ES": "beta",
    "SE": "se",
    "LP": "neg_log10_p",
    "AF": "eaf",
    "SS": "n",
    "NS": "n",
    "EZ": "z",
    "SI": "info",
    "NC": "n_case",
    "NE": "n_eff",
    "ID": "sample_id",
}
_CAP = r"^(999|999\.0+|(?i)inf)$"  # the converters write p = 0 as 999


def role_of(key: str) -> str | None:
    """The role of a FORMAT field: by the specification, or by the names that tables use."""
    if key in VCF_FIELDS:
        return VCF_FIELDS[key]
    return next((role for role in NUMBER_ROLES if any(plain(key) in tier for tier in SYNONYMS.get(role, ()))), None)


def gwas_vcf(block: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """The fields of the one sample as columns; a row of several ALT alleles becomes several rows."""
    parts = [_fields(part) for part in block.partition_by("format", maintain_order=True)] or [_fields(block)]
    whole = pl.concat(parts, how="diagonal_relaxed").sort("row", maintain_order=True)
    whole = _with_info_frequency(whole)
    names = [name for name in NUMBER_ROLES if name in whole.columns and name != "position"]
    whole = _one_allele_per_row(whole, names, ledger)
    whole = whole.with_columns(
        [pl.when(pl.col(name) == ".").then(None).otherwise(pl.col(name)).alias(name) for name in names]
    )
    if "neg_log10_p" in whole.columns:
        capped = pl.col("neg_log10_p").str.contains(_CAP)
        count = int(whole.select(capped.sum()).item())
        if count:
            ledger.add("repaired", count, "LP at its cap (999): p was 0, so z comes from ES/SE")
            whole = whole.with_columns(pl.when(capped).then(None).otherwise(pl.col("neg_log10_p")).alias("neg_log10_p"))
    return whole


def _fields(part: pl.DataFrame) -> pl.DataFrame:
    """The fields of rows that share one FORMAT, as columns."""
    keys = (part["format"][0] or "").split(":") if part.height else []
    fields = pl.col("sample").str.split(":")
    columns: dict[str, pl.Expr] = {}
    for place, key in enumerate(keys):
        role = role_of(key)
        if role and role not in columns and role not in part.columns:
            columns[role] = fields.list.get(place, null_on_oob=True)
    part = part.with_columns(**columns)
    if "sample_id" in part.columns:
        known = pl.when(pl.col("sample_id") == ".").then(None).otherwise(pl.col("sample_id"))
        part = part.with_columns(variant_id=pl.coalesce(known, "variant_id")).drop("sample_id")
    return part.drop("format", "sample")


def _with_info_frequency(whole: pl.DataFrame) -> pl.DataFrame:
    """The frequency of INFO's AF where the sample has none."""
    if "info_text" not in whole.columns:
        return whole
    of_info = pl.col("info_text").str.extract(r"(?:^|;)AF=([^;]*)")
    own = pl.when(pl.col("eaf") != ".").then("eaf") if "eaf" in whole.columns else pl.lit(None, pl.String)
    eaf = pl.coalesce(own, of_info)
    return whole.with_columns(eaf=eaf).drop("info_text")


def _one_allele_per_row(whole: pl.DataFrame, names: list[str], ledger: Ledger) -> pl.DataFrame:
    """Rows of several ALT alleles as several rows, each with its own values."""
    several = pl.col("effect_allele").str.contains(",", literal=True).fill_null(False)
    split = whole.filter(several)
    if not split.height:
        return whole
    counts = pl.col("effect_allele").list.len()
    split = split.with_columns([pl.col(name).str.split(",") for name in ("effect_allele", *names)])
    fits = pl.all_horizontal(
        [pl.lit(True)] + [(pl.col(name).list.len() == counts) | pl.col(name).is_null() for name in names]
    )
    kept = split.filter(fits)
    ledger.drop(split.height - kept.height, "multi-allelic: as many values as ALT alleles are needed")
    ledger.add("split", kept.height, "rows of several ALT alleles, into one row per allele")
    empty = [
        pl.when(pl.col(name).is_null())
        .then(pl.lit(None, pl.String).repeat_by(counts))
        .otherwise(pl.col(name))
        .alias(name)
        for name in names
    ]
    kept = kept.with_columns(empty).explode(["effect_allele", *names])
    return pl.concat([whole.filter(~several), kept]).sort("row", maintain_order=True)
