"""The effect allele's frequency from whatever a file gives, and the minor allele's where no more is known."""

from __future__ import annotations

import polars as pl

from varfx.gwas.sample_size import SampleSize
from varfx.io.ledger import Ledger


def with_frequencies(raw: pl.DataFrame, given: SampleSize | None, ledger: Ledger) -> pl.DataFrame:
    """The table with `eaf` and `maf`, of which `maf` serves only as a filter.

    In this order: the frequency of the effect allele; one minus that of the other allele; the mean over cases and
    controls, weighted by their numbers where these are known, else that of the controls. A frequency that may be of
    either allele gives `maf` only.

    Args:
        raw: table of roles from `read_gwas`.
        given: cases and controls by the user.
        ledger: where the frequency comes from, if not from a column of its own.
    """
    has = set(raw.columns).__contains__
    if not has("eaf") and has("eaf_other"):
        raw = raw.with_columns(eaf=1 - pl.col("eaf_other"))
        ledger.add("eaf", raw["eaf"].count(), "1 - frequency of the other allele")
    elif not has("eaf") and (has("eaf_case") or has("eaf_control")):
        raw = _of_groups(raw, given, ledger)
    if not has("maf") and has("frequency"):
        raw = raw.with_columns(maf=pl.min_horizontal(pl.col("frequency"), 1 - pl.col("frequency")))
        ledger.add("maf", raw["maf"].count(), "a frequency that may be of either allele: for --min-maf only")
    return raw.drop("eaf_other", "eaf_case", "eaf_control", "frequency", strict=False)


def _of_groups(raw: pl.DataFrame, given: SampleSize | None, ledger: Ledger) -> pl.DataFrame:
    """The frequency over cases and controls, or that of one of the groups."""
    has = set(raw.columns).__contains__
    if not (has("eaf_case") and has("eaf_control")):
        group = "eaf_case" if has("eaf_case") else "eaf_control"
        ledger.add("eaf", raw[group].count(), f"that of the {'cases' if has('eaf_case') else 'controls'}")
        return raw.with_columns(eaf=pl.col(group))
    if given is not None and given.n_case is not None:
        case, control = pl.lit(given.n_case), pl.lit(given.n_control)
    elif has("n_case") and has("n_control"):
        case, control = pl.col("n_case"), pl.col("n_control")
    else:
        ledger.add("eaf", raw["eaf_control"].count(), "that of the controls: cases and controls are not counted")
        return raw.with_columns(eaf=pl.coalesce("eaf_control", "eaf_case"))
    mean = (pl.col("eaf_case") * case + pl.col("eaf_control") * control) / (case + control)
    ledger.add("eaf", raw["eaf_control"].count(), "mean of cases and controls, weighted by their numbers")
    return raw.with_columns(eaf=pl.coalesce(mean, "eaf_control", "eaf_case"))
