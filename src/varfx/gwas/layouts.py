"""What some formats need beyond a renaming of columns: choice of rows, alleles, packed fields.

Each function takes a block of strings whose columns are named by the fields in `formats.py`, and returns a block
of roles; rows it leaves out go to the ledger. Rows keep their number in the file in `row`.
"""

from __future__ import annotations

import polars as pl

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
}
_VCF_CAP = r"^(999|999\.0+|(?i)inf)$"  # the converters write p = 0 as 999


def unchanged(block: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """The block as it is."""
    del ledger
    return block


def regenie(block: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """REGENIE step 2: additive tests that did not fail."""
    block = _additive(block, ledger)
    if "extra" in block.columns:
        block = _keep(block, ~pl.col("extra").str.contains("TEST_FAIL"), ledger, "EXTRA is TEST_FAIL")
    return block.drop("test", "extra", strict=False)


def regenie_htp(block: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """REGENIE `--htp`: `Effect` is an odds ratio for binary traits (those with controls), else a slope.

    For binary traits the model's own log odds ratio stands in `Info` as REGENIE_BETA, next to REGENIE_SE.
    """
    block = _additive(block, ledger)
    binary = pl.col("num_controls").is_not_null()

    def packed(name: str) -> pl.Expr:
        value = pl.col("info_text").str.extract(rf"(?:^|;){name}=([^;]*)")
        return pl.when(value == "NA").then(None).otherwise(value)

    beta = packed("REGENIE_BETA")
    block = block.with_columns(
        beta=pl.when(binary).then(beta).otherwise(pl.col("effect")),
        odds_ratio=pl.when(binary & beta.is_null()).then(pl.col("effect")),
        se=packed("REGENIE_SE"),
        info=packed("INFO"),
        n=pl.when(~binary).then(pl.col("num_cases")),
        n_case=pl.when(binary).then(pl.col("num_cases")),
        n_control=pl.col("num_controls"),
    )
    packed_names = ("test", "effect", "effect_lower", "effect_upper", "num_cases", "num_controls", "info_text")
    return block.drop(packed_names, strict=False)


def plink2(block: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """PLINK 2 `--glm`: additive tests without error code; the other allele is OMITTED, or the one of REF/ALT left."""
    block = _additive(block, ledger)
    if "error_code" in block.columns:
        block = _keep(block, pl.col("error_code") == ".", ledger, "ERRCODE is not '.'")
    if "omitted" in block.columns:
        block = block.with_columns(other_allele=pl.col("omitted"))
    else:
        block = block.with_columns(
            other_allele=pl.when(pl.col("effect_allele") == pl.col("ref")).then(pl.col("alt")).otherwise(pl.col("ref"))
        )
    several = pl.col("effect_allele").str.contains(",", literal=True) | pl.col("other_allele").str.contains(
        ",", literal=True
    )
    block = _keep(block, ~several, ledger, "multi-allelic: the other allele is not one")
    return block.drop("test", "error_code", "omitted", "ref", "alt", strict=False)


def gwas_vcf(block: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """GWAS-VCF: the fields of the one sample, by the row's FORMAT; a row of several ALT alleles becomes several rows."""
    parts = [_vcf_fields(part) for part in block.partition_by("format", maintain_order=True)]
    if not parts:
        parts = [_vcf_fields(block)]
    whole = pl.concat(parts, how="diagonal_relaxed").sort("row", maintain_order=True)
    names = [name for name in dict.fromkeys(VCF_FIELDS.values()) if name in whole.columns]
    several = pl.col("effect_allele").str.contains(",", literal=True).fill_null(False)
    split = whole.filter(several)
    if split.height:
        lists = [pl.col(name).str.split(",") for name in ("effect_allele", *names)]
        counts = pl.col("effect_allele").list.len()
        split = split.with_columns(lists)
        fits = pl.all_horizontal(
            [pl.lit(True)] + [(pl.col(name).list.len() == counts) | pl.col(name).is_null() for name in names]
        )
        kept = split.filter(fits)
        ledger.drop(split.height - kept.height, "multi-allelic: as many values as ALT alleles are needed")
        ledger.add("split", kept.height, "rows of several ALT alleles, into one row an allele")
        empty = [
            pl.when(pl.col(name).is_null())
            .then(pl.lit(None, pl.String).repeat_by(counts))
            .otherwise(pl.col(name))
            .alias(name)
            for name in names
        ]
        kept = kept.with_columns(empty).explode(["effect_allele", *names])
        whole = pl.concat([whole.filter(~several), kept]).sort("row", maintain_order=True)
    whole = whole.with_columns(
        [pl.when(pl.col(name).is_in(["."])).then(None).otherwise(pl.col(name)).alias(name) for name in names]
    )
    if "neg_log10_p" in whole.columns:
        capped = pl.col("neg_log10_p").str.contains(_VCF_CAP)
        count = int(whole.select(capped.sum()).item())
        if count:
            ledger.add("repaired", count, "LP at its cap (999): p was 0, so z comes from ES/SE")
            whole = whole.with_columns(pl.when(capped).then(None).otherwise(pl.col("neg_log10_p")).alias("neg_log10_p"))
    return whole


def _vcf_fields(part: pl.DataFrame) -> pl.DataFrame:
    """The fields of rows that share one FORMAT, as columns."""
    keys = (part["format"][0] or "").split(":") if part.height else []
    fields = pl.col("sample").str.split(":")
    columns: dict[str, pl.Expr] = {}
    for place, key in enumerate(keys):
        role = VCF_FIELDS.get(key) or ("sample_id" if key == "ID" else None)
        if role and role not in columns:
            columns[role] = fields.list.get(place, null_on_oob=True)
    part = part.with_columns(**columns)
    if "sample_id" in part.columns:
        known = pl.when(pl.col("sample_id") == ".").then(None).otherwise(pl.col("sample_id"))
        part = part.with_columns(variant_id=pl.coalesce(known, "variant_id")).drop("sample_id")
    return part.drop("format", "sample")


def _additive(block: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """The rows of the additive test: TEST is ADD or ADD-something, but no interaction."""
    if "test" not in block.columns:
        return block
    test = pl.col("test")
    additive = (test == "ADD") | (test.str.starts_with("ADD-") & ~test.str.contains("INT_", literal=True))
    return _keep(block, additive.fill_null(False), ledger, "another test than ADD")


def _keep(block: pl.DataFrame, rule: pl.Expr, ledger: Ledger, note: str) -> pl.DataFrame:
    kept = block.filter(rule.fill_null(True))
    ledger.drop(block.height - kept.height, note)
    return kept
