"""Format-specific steps beyond the renaming of columns: choice of rows, alleles, packed fields.

Each function takes a block of strings whose columns are named by the fields in `formats.py`, and returns a block
of roles; rows it leaves out go to the ledger. Rows keep their number in the file in `row`.
"""

from __future__ import annotations

import polars as pl

from varfx.gwas.keys import unpacked
from varfx.gwas.roles import ALLELE_FIELD, FIRST_FREQUENCY
from varfx.io.ledger import Ledger

_CASE_CONTROL = ("case_total", "control_total", "case_alleles", "control_alleles")
_GENOTYPES = ("none", "het", "hom")


def unchanged(block: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """The block as it is."""
    del ledger
    return block


def generic(block: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """Any table: additive tests without error code, where it has such columns."""
    return low_confidence(_without_errors(_additive(block, ledger), ledger), ledger)


def regenie(block: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """REGENIE step 2: additive tests that did not fail."""
    block = _additive(block, ledger)
    if "extra" in block.columns:
        block = keep(block, ~pl.col("extra").str.contains("TEST_FAIL"), ledger, "EXTRA is TEST_FAIL")
    return block.drop("extra", strict=False)


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
    packed_names = ("effect", "effect_lower", "effect_upper", "num_cases", "num_controls", "info_text")
    return block.drop(packed_names, strict=False)


def plink2(block: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """PLINK 2 `--glm`: additive tests without error code; the other allele is OMITTED, or the one of REF/ALT left."""
    block = _without_errors(_additive(block, ledger), ledger)
    if "omitted" in block.columns:
        block = block.with_columns(other_allele=pl.col("omitted"))
    else:
        of_ref = pl.col("effect_allele").str.to_uppercase() == pl.col("ref").str.to_uppercase()
        block = block.with_columns(other_allele=pl.when(of_ref).then(pl.col("alt")).otherwise(pl.col("ref")))
    several = pl.col("effect_allele").str.contains(",", literal=True) | pl.col("other_allele").str.contains(
        ",", literal=True
    )
    block = keep(block, ~several, ledger, "multi-allelic: the other allele is not one")
    return _plink2_counts(block).drop("omitted", "ref", "alt", strict=False)


def _plink2_counts(block: pl.DataFrame) -> pl.DataFrame:
    """Cases and controls: OBS_CT, divided as the allele or genotype counts of cases and controls are.

    Allele counts are twice the individuals only outside chromosomes X and Y; their ratio is right everywhere. A1's own
    counts serve too, divided by A1's frequencies; without these they stay `case_alleles` and `control_alleles`.
    """
    has = set(block.columns).__contains__
    counts = [name for name in _CASE_CONTROL if has(name)]
    genotypes = [f"{group}_{kind}" for group in ("case", "control") for kind in _GENOTYPES if has(f"{group}_{kind}")]
    fields = [*counts, *genotypes, *(name for name in ("n", "eaf_case", "eaf_control") if has(name))]
    numbers = block.select(pl.col(fields).cast(pl.Float64, strict=False)) if fields else block.select([])
    if len(genotypes) == 2 * len(_GENOTYPES):
        case, control = (
            pl.sum_horizontal([f"{group}_{kind}" for kind in _GENOTYPES], ignore_nulls=False)
            for group in ("case", "control")
        )
    elif has("case_total") and has("control_total"):
        case, control = pl.col("case_total"), pl.col("control_total")
    elif {"case_alleles", "control_alleles", "eaf_case", "eaf_control"} <= set(block.columns):
        case, control = pl.col("case_alleles") / pl.col("eaf_case"), pl.col("control_alleles") / pl.col("eaf_control")
    else:
        return block.drop(genotypes, "case_total", "control_total", strict=False)
    share = case / (case + control)
    split = numbers.select(n_case=pl.col("n") * share, n_control=pl.col("n") * (1 - share)).fill_nan(None)
    return block.drop(genotypes, _CASE_CONTROL, strict=False).with_columns(split.get_columns())


def metal(block: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """METAL: `Weight` of a meta-analysis by sample size is the sum of the studies' sizes."""
    del ledger
    if "weight" in block.columns and not {"n", "n_eff", "n_case"} & set(block.columns):
        block = block.with_columns(n=pl.col("weight"))
    return block.drop("weight", strict=False)


def snptest(block: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """SNPTEST: effects are those of alleleB, whose frequency comes from the (expected) counts of genotypes."""
    del ledger
    genotypes = ("all_aa", "all_ab", "all_bb")
    if set(genotypes) <= set(block.columns):
        first, both, second = (pl.col(name).cast(pl.Float64, strict=False) for name in genotypes)
        share = (both + 2 * second) / (2 * (first + both + second))
        block = block.with_columns(eaf=pl.when(share.is_finite()).then(share))
    return block.drop(genotypes, strict=False)


def first_rsid(block: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """FinnGen: the first of several rsIDs."""
    del ledger
    if "variant_id" not in block.columns:
        return block
    return block.with_columns(variant_id=pl.col("variant_id").str.split(",").list.first())


def neale(block: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """Neale lab: `variant` is chr:position:ref:alt, effects are those of alt, and the frequency is the minor allele's."""
    block = unpacked(low_confidence(block, ledger))
    if {"minor_allele", "minor_af"} <= set(block.columns):
        minor = pl.col("minor_af").cast(pl.Float64, strict=False)
        of_alt = pl.col("minor_allele") == pl.col("effect_allele")
        of_ref = pl.col("minor_allele") == pl.col("other_allele")
        block = block.with_columns(eaf=pl.when(of_alt).then(minor).when(of_ref).then(1 - minor))
    return block.drop("minor_allele", "minor_af", strict=False)


def low_confidence(block: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """Rows that the release calls of low confidence are counted and marked, for `--drop-low-confidence`."""
    if "low_confidence" in block.columns:
        marked = pl.col("low_confidence").cast(pl.String).str.to_lowercase().is_in(["true", "1", "t"]).fill_null(False)
        block = block.with_columns(low_confidence=marked)
        count = int(block["low_confidence"].sum())
        if count:
            ledger.add("low confidence", count, "rows of low confidence by the file itself")
    return block


def with_other_allele(block: pl.DataFrame) -> pl.DataFrame:
    """The allele that is not the effect allele, of the columns `allele_0, ...`, where none says that it is the other."""
    pairs = sorted(name for name in block.columns if name.startswith(ALLELE_FIELD))
    if pairs and "other_allele" not in block.columns:
        effect = pl.col("effect_allele").str.to_uppercase()
        other = pl.coalesce([pl.when(pl.col(name).str.to_uppercase() != effect).then(pl.col(name)) for name in pairs])
        block = block.with_columns(other_allele=other)
    if FIRST_FREQUENCY in block.columns:
        first, frequency = pl.col(pairs[0]).str.to_uppercase(), pl.col(FIRST_FREQUENCY).cast(pl.Float64, strict=False)
        effect = pl.col("effect_allele").str.to_uppercase()
        block = block.with_columns(eaf=pl.when(effect == first).then(frequency).otherwise(1 - frequency))
    return block.drop(pairs, FIRST_FREQUENCY, strict=False)


def _without_errors(block: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """The rows whose ERRCODE is '.'."""
    if "error_code" not in block.columns:
        return block
    return keep(block, pl.col("error_code") == ".", ledger, "ERRCODE is not '.'").drop("error_code")


def _additive(block: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """The rows of the additive test: TEST is ADD or ADD-something, but no interaction."""
    if "test" not in block.columns:
        return block
    test = pl.col("test")
    additive = (test == "ADD") | (test.str.starts_with("ADD-") & ~test.str.contains("INT_", literal=True))
    return keep(block, additive.fill_null(False), ledger, "another test than ADD").drop("test")


def keep(block: pl.DataFrame, rule: pl.Expr, ledger: Ledger, note: str) -> pl.DataFrame:
    """The rows that pass a rule, or of which it cannot tell; the others are counted."""
    kept = block.filter(rule.fill_null(True))
    ledger.drop(block.height - kept.height, note)
    return kept
