"""The effective sample size of each variant."""

from __future__ import annotations

import math
from dataclasses import dataclass

import polars as pl

from varfx.errors import ConfigError, DataError
from varfx.gwas.study import Study
from varfx.io.ledger import Ledger

BOLT_LARGE_CHISQ = 30.0
BOLT_MIN_VARIANTS = 50


def effective_n(n_case: float, n_control: float) -> float:
    """4 / (1 / n_case + 1 / n_control): the size of a balanced study of the same power."""
    return 4.0 / (1.0 / n_case + 1.0 / n_control)


@dataclass(frozen=True, kw_only=True)
class SampleSize:
    """A sample size given by the user.

    Attributes:
        n: people, cases and controls together.
        n_case: cases, None for a quantitative trait.
        n_control: controls, None for a quantitative trait.
    """

    n: float
    n_case: float | None = None
    n_control: float | None = None

    @property
    def power_factor(self) -> float:
        """Effective over total size: 4 phi (1 - phi) of the case fraction phi, 1 for a quantitative trait."""
        if self.n_case is None or self.n_control is None:
            return 1.0
        return effective_n(self.n_case, self.n_control) / self.n


def parse_sample_size(text: str | float) -> SampleSize:
    """The sample size in "N" or "CASES,CONTROLS".

    Raises:
        ConfigError: not one or two positive numbers.
    """
    try:
        numbers = [float(part) for part in str(text).split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2) or not all(math.isfinite(number) and number > 0 for number in numbers):
        raise ConfigError(f"`--n` is {str(text)[:40]!r}; it must be a positive number N, or two: CASES,CONTROLS.")
    if len(numbers) == 1:
        return SampleSize(n=numbers[0])
    return SampleSize(n=sum(numbers), n_case=numbers[0], n_control=numbers[1])


def sample_sizes(
    raw: pl.DataFrame, given: SampleSize | None, study: Study, ledger: Ledger, *, source: str
) -> pl.Series:
    """n of each row, null where the file's own is missing.

    In this order: N given by the user for all rows; the file's effective N; its cases and controls; its total N,
    times 4 phi (1 - phi) where the user or the study's metadata gives cases and controls; the metadata's N. A file
    with a missingness per variant and no N (BOLT-LMM on genotypes) has N (1 - missingness).

    Raises:
        DataError: neither the file nor the user says N.
    """
    if given is None and study.n_case and study.n_control:
        given = SampleSize(n=study.n_case + study.n_control, n_case=study.n_case, n_control=study.n_control)
        label = "from the study's metadata"
    else:
        label = "given with --n"
    total = _total_n(raw)
    if given is not None and given.n_case is None:
        return _constant(raw, given.n, ledger, f"{label}{' in place of the column' if total is not None else ''}")
    if given is None and "n_eff" in raw.columns:
        ledger.add("n", raw["n_eff"].count(), "effective size of each variant, as given")
        return raw["n_eff"].alias("n")
    if given is None and (counts := _case_control(raw)) is not None:
        ledger.add("n", counts.count(), "4 / (1 / cases + 1 / controls) of each variant")
        return counts if total is None else pl.select(pl.coalesce(counts, total)).to_series().alias("n")
    if given is not None:
        phi = (given.n_case or 0.0) / given.n
        note = f"4 phi (1 - phi) with {phi:.4g} of cases, {label}"
        if total is None:
            return _constant(raw, given.n * given.power_factor, ledger, note)
        ledger.add("n", total.count(), f"{note}, times the N of each variant")
        return (total * given.power_factor).alias("n")
    if total is not None:
        ledger.add("n", total.count(), "of each variant, as given")
        return total.alias("n")
    if study.n:
        return _constant(raw, study.n, ledger, "from the study's metadata")
    raise DataError(f"`{source}` has no sample size. Give it with --n N, or --n CASES,CONTROLS.")


def bolt_power_gain(raw: pl.DataFrame, ledger: Ledger) -> float:
    """How many more unrelated people would give linear regression the power of BOLT-LMM's mixed model; 1 if unknown.

    The median of CHISQ_BOLT_LMM / CHISQ_LINREG over variants with CHISQ_LINREG > 30 (Loh et al. 2018), if there are
    at least 50 of them.
    """
    if not {"chisq", "chisq_linreg"} <= set(raw.columns):
        return 1.0
    large = raw.filter(
        (pl.col("chisq_linreg") > BOLT_LARGE_CHISQ) & pl.col("chisq_linreg").is_finite() & pl.col("chisq").is_finite()
    )
    if large.height < BOLT_MIN_VARIANTS:
        note = f"variants with CHISQ_LINREG > 30, fewer than {BOLT_MIN_VARIANTS}: n is not scaled by BOLT's gain"
        ledger.add("n", large.height, note)
        return 1.0
    gain = float((large["chisq"] / large["chisq_linreg"]).median())  # type: ignore[arg-type]
    note = (
        f"variants with CHISQ_LINREG > 30: n is scaled by BOLT's gain {gain:.4f} (median CHISQ_BOLT_LMM/CHISQ_LINREG)"
    )
    ledger.add("n", large.height, note)
    return gain


def _constant(raw: pl.DataFrame, n: float, ledger: Ledger, note: str) -> pl.Series:
    if "missingness" in raw.columns and "n" not in raw.columns:
        ledger.add("n", raw.height, f"{n:g} (1 - missingness), {note}")
        return raw.select(n=n * (1.0 - pl.col("missingness")))["n"]
    ledger.add("n", raw.height, f"{n:g}, {note}")
    return raw.select(n=pl.repeat(n, pl.len(), dtype=pl.Float64))["n"]


def _total_n(raw: pl.DataFrame) -> pl.Series | None:
    if "n" in raw.columns:
        return raw["n"]
    if {"n_case", "n_control"} <= set(raw.columns):
        return raw["n_case"] + raw["n_control"]
    return None


def _case_control(raw: pl.DataFrame) -> pl.Series | None:
    """Effective n of each row from its case and control counts; null where it has none, as in a quantitative trait."""
    if "n_case" not in raw.columns or not {"n", "n_control"} & set(raw.columns):
        return None
    control = pl.col("n_control") if "n_control" in raw.columns else pl.col("n") - pl.col("n_case")
    counts = raw.select(n=4.0 / (1.0 / pl.col("n_case") + 1.0 / control))["n"]
    return counts if counts.count() else None
