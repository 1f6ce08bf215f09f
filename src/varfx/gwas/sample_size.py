"""The effective sample size of each variant: one meaning of n for the whole file, cross-checked."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from varfx.errors import ConfigError, DataError
from varfx.gwas.roles import SIZES
from varfx.gwas.study import Study
from varfx.gwas.unused import or_named
from varfx.io.ledger import Ledger

logger = logging.getLogger(__name__)

BOLT_LARGE_CHISQ = 30.0
BOLT_MIN_VARIANTS = 50
_SAME = 0.02  # relative difference within which two sample sizes are the same
_ABOVE = 0.1  # share by which a column of N may exceed the cases and controls given, as where a count is rounded
_DOUBTFUL = 0.6  # an effective size below this share of 4 / (1 / cases + 1 / controls) is asked about


def effective_n(n_case: float, n_control: float) -> float:
    """4 / (1 / n_case + 1 / n_control): the size of a balanced study of the same power."""
    return 4.0 / (1.0 / n_case + 1.0 / n_control)


@dataclass(frozen=True, kw_only=True)
class SampleSize:
    """A sample size given by the user.

    Attributes:
        n: individuals, cases and controls together.
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


@dataclass(frozen=True, eq=False)
class Sizes:
    """Sample sizes according to a file, its metadata and its user.

    Attributes:
        raw: table of roles from `read_gwas`.
        names: the file's own column name of each role.
        named: roles that the user names; they win over synonyms.
        study: the file's metadata.
        ledger: what was used is noted here.
        source: the file, for messages.
        unused: its columns without a role, for messages.
    """

    raw: pl.DataFrame
    names: Mapping[str, str]
    named: frozenset[str]
    study: Study
    ledger: Ledger
    source: str
    unused: tuple[str, ...] = ()

    def has(self, *roles: str) -> bool:
        """Whether the file has all these roles; a column of sizes without any value counts only if the user names it."""
        empty = {
            role for role in SIZES if role in self.raw.columns and self.raw[role].null_count() == self.raw.height > 0
        }
        return set(roles) <= set(self.raw.columns) - (empty - self.named)

    def column(self, role: str) -> str:
        """The column of a role, for messages."""
        return f"`{self.names.get(role, role)}`"

    def note(self, values: pl.Series, what: str) -> pl.Series:
        """The values as n, and a line in the ledger."""
        self.ledger.add("n", values.count(), what)
        return values.cast(pl.Float64).alias("n")

    def warn(self, rows: int, what: str) -> None:
        """A line in the ledger and in the log."""
        self.ledger.add("warning", rows, what)
        logger.warning("`%s`: %s", self.source, what)


def sample_sizes(sizes: Sizes, given: SampleSize | None) -> pl.Series:
    """n of each row, null where the file's own is missing.

    In this order: N given by the user for all rows, or N times 4 phi (1 - phi) for cases and controls given by the
    user; the columns that the user names; the file's cases and controls, checked against its effective N; its
    effective N; its total N, times 4 phi (1 - phi) where the metadata gives cases and controls; the metadata's N. A
    file with a missingness per variant and no N (BOLT-LMM on genotypes) has N (1 - missingness).

    Raises:
        DataError: neither the file nor the user says N, or what the file says contradicts itself.
    """
    if given is not None:
        return _given(sizes, given, "given with --n")
    return _of_file(sizes)


def _of_file(sizes: Sizes) -> pl.Series:
    """n by what the file and its metadata say."""
    study = sizes.study
    if sizes.named & {"n", "n_case", "n_control", "n_eff", "n_eff_half"}:
        return _named(sizes)
    counts = _effective_of_counts(sizes)
    if sizes.has("n_eff_half"):
        return _checked_effective(sizes, "n_eff_half", sizes.raw["n_eff_half"] * 2, counts)
    if sizes.has("n_eff"):
        half = "half" in sizes.names.get("n_eff", "").lower()
        return _checked_effective(sizes, "n_eff", sizes.raw["n_eff"] * (2 if half else 1), counts)
    if counts is not None:
        return _complete(sizes, counts)
    if study.n_case and study.n_control:
        of_study = SampleSize(n=study.n_case + study.n_control, n_case=study.n_case, n_control=study.n_control)
        return _given(sizes, of_study, "from the study's metadata")
    total = _total(sizes)
    if total is not None:
        return _of_total(sizes, total)
    if study.n:
        return _constant(sizes, study.n, "from the study's metadata")
    raise DataError(
        f"`{sizes.source}` has no sample size. Give it with --n N, or --n CASES,CONTROLS{or_named(sizes.unused, 'n')}."
    )


def _given(sizes: Sizes, given: SampleSize, label: str) -> pl.Series:
    """One N for all rows, or the file's N times the power of given cases and controls."""
    total = _total(sizes)
    if given.n_case is None:
        _warn_of_total(sizes, sizes.raw.height, "n is given as one number")
        return _constant(sizes, given.n, f"{label}{' in place of the column' if total is not None else ''}")
    note = f"4 phi (1 - phi) with {given.n_case / given.n:.4g} of cases, {label}"
    if total is None:
        return _constant(sizes, given.n * given.power_factor, note)
    if _is_effective(sizes, total, given, label):
        return sizes.note(total, "effective size of each variant, as given")
    return sizes.note(total * given.power_factor, f"{note}, times the N of each variant")


def _is_effective(sizes: Sizes, total: pl.Series, given: SampleSize, label: str) -> bool:
    """Whether the file's N is the effective size of the cases and controls given already; warns where it does not fit these."""
    effective, middle, largest = given.n * given.power_factor, _median(total), float(total.max() or 0.0)  # type: ignore[arg-type]
    column, said = sizes.column("n"), f"{given.n_case:g} cases and {given.n_control:g} controls {label}"
    if abs(middle / effective - 1) < _SAME < abs(middle / given.n - 1):
        sizes.warn(
            total.count(), f"{column} is 4 / (1 / cases + 1 / controls) of the {said} already: n is the column as it is"
        )
        return True
    if largest > given.n * (1 + _ABOVE):
        sizes.warn(
            total.count(),
            f"{column} is up to {largest:g}, more than the {said}: check them, as n is the column times their power",
        )
    elif largest < (1 + _SAME) * effective and largest < (1 - _ABOVE) * given.n:
        sizes.warn(
            total.count(),
            f"{column} is {largest:g} at most, less than the {said}: if it is an effective size, name it with --columns "
            f"n_eff={sizes.names.get('n', 'NAME')} and leave out --n",
        )
    return False


def _warn_of_total(sizes: Sizes, rows: int, what: str) -> None:
    """A warning where odds ratios or frequencies of cases and controls say that a total N is not the effective size."""
    ratios = "odds_ratio" in sizes.raw.columns and not (sizes.has("beta") and sizes.raw["beta"].count())
    groups = sizes.has("eaf_case", "eaf_control") and sizes.raw["eaf_case"].count() and sizes.raw["eaf_control"].count()
    if ratios or groups:
        evidence = "odds ratios" if ratios else "frequencies of cases and of controls"
        sizes.warn(
            rows,
            f"{evidence}, but {what}: give --n CASES,CONTROLS for the effective size, unless it is that already",
        )


def _named(sizes: Sizes) -> pl.Series:
    """n by the columns that the user names, and no others."""
    raw, named = sizes.raw, sizes.named
    if named & {"n_case", "n_control"}:
        counts = _effective_of_counts(sizes)
        if counts is None:
            raise DataError(
                f"`{sizes.source}`: n_case alone is no sample size. Name n_control or n as well, as "
                f"--columns n_case=NAME,n_control=NAME."
            )
        return _complete(sizes, counts)
    for role in ("n_eff", "n"):
        if role in named and "half" in sizes.names.get(role, "").lower():
            column = sizes.names[role]
            raise DataError(
                f"`{sizes.source}`: `{column}` is half the effective size by its name. Name it with --columns "
                f"n_eff_half={column}, or name cases and controls."
            )
    if "n_eff" in named:
        counts = _effective_of_counts(sizes)
        if counts is not None and _is_half(raw["n_eff"], counts):
            raise DataError(
                f"`{sizes.source}`: {sizes.column('n_eff')} is half of 4 / (1 / cases + 1 / controls), which "
                f"{sizes.column('n_case')} and {sizes.column('n_control')} give. Name it with --columns "
                f"n_eff_half={sizes.names['n_eff']}, or name n_case and n_control."
            )
        return sizes.note(raw["n_eff"], "effective size of each variant, in the column named")
    if "n_eff_half" in named:
        return sizes.note(raw["n_eff_half"] * 2, f"twice {sizes.column('n_eff_half')}, as named")
    _warn_of_total(sizes, raw.height, "n is the column named")
    return sizes.note(raw["n"], f"of each variant, in the column named ({sizes.names.get('n', 'n')})")


def _checked_effective(sizes: Sizes, role: str, n_eff: pl.Series, counts: pl.Series | None) -> pl.Series:
    """The file's effective N, unless its cases and controls say that it is something else."""
    column = sizes.column(role)
    doubled = not n_eff.equals(sizes.raw[role])
    what = (
        f"twice {column}, which is half the effective size" if doubled else "effective size of each variant, as given"
    )
    if counts is None or not counts.count():
        return sizes.note(n_eff, what)
    if _is_half(n_eff, counts):
        sizes.warn(
            counts.count(), f"{column} is half of 4 / (1 / cases + 1 / controls): n comes from cases and controls"
        )
        return _complete(sizes, counts)
    ratio = _median(n_eff / counts)
    if doubled and abs(ratio - 1) < _SAME:  # the same, but for the digits of a rounded half
        return _complete(sizes, counts)
    if ratio > 1 + _SAME:
        cases_and_controls = _total(sizes)
        if cases_and_controls is not None and abs(_median(n_eff / cases_and_controls) - 1) < _SAME:
            sizes.warn(counts.count(), f"{column} is the total of cases and controls: n comes from these")
            return _complete(sizes, counts)
        raise DataError(
            f"`{sizes.source}`: {column} is {ratio:.3g} times 4 / (1 / cases + 1 / controls), above which no effective "
            f"size can be. Name the right ones with --columns n_eff=NAME, or n_case=NAME,n_control=NAME."
        )
    if ratio < _DOUBTFUL:
        sizes.warn(
            n_eff.count(),
            f"{column} is {ratio:.3g} times 4 / (1 / cases + 1 / controls): if it is half the effective size, as in "
            f"files of the PGC, name it with --columns n_eff_half={sizes.names.get(role, 'NAME')}",
        )
    return sizes.note(n_eff, what)


def _complete(sizes: Sizes, counts: pl.Series) -> pl.Series:
    """n from cases and controls; rows without these get none, because one file has one kind of n."""
    lacking = counts.null_count()
    if lacking:
        sizes.warn(lacking, "without cases and controls: no n, as total and effective sizes are not mixed")
    return sizes.note(counts, "4 / (1 / cases + 1 / controls) of each variant")


def _of_total(sizes: Sizes, total: pl.Series) -> pl.Series:
    """The file's N, with a warning where it is that of cases and controls, of which nothing is known."""
    _warn_of_total(sizes, total.count(), "n is the total of cases and controls")
    return sizes.note(total, "of each variant, as given")


def _constant(sizes: Sizes, n: float, what: str) -> pl.Series:
    raw = sizes.raw
    if sizes.has("missingness") and not sizes.has("n"):
        return sizes.note(raw.select(n=n * (1.0 - pl.col("missingness")))["n"], f"{n:g} (1 - missingness), {what}")
    return sizes.note(raw.select(n=pl.repeat(n, pl.len(), dtype=pl.Float64))["n"], f"{n:g}, {what}")


def _total(sizes: Sizes) -> pl.Series | None:
    """Individuals of each row."""
    if sizes.has("n"):
        return sizes.raw["n"]
    if sizes.has("n_case", "n_control"):
        return sizes.raw["n_case"] + sizes.raw["n_control"]
    return None


def _effective_of_counts(sizes: Sizes) -> pl.Series | None:
    """Effective n of each row from its case and control counts; None where there are none, as in a quantitative trait."""
    raw = sizes.raw
    if sizes.has("case_alleles", "control_alleles") and sizes.has("n"):
        cases, controls = (float(raw[role].sum()) for role in ("case_alleles", "control_alleles"))
        share = cases / (cases + controls) if cases + controls > 0 else 0.0
        if 0 < share < 1:
            sizes.ledger.add("n", 0, f"share of cases {share:.4g}, by the counts of allele A1")
            return raw.select(n=pl.col("n") * 4 * share * (1 - share))["n"]
    if sizes.has("n_case", "n_control"):
        case, control = pl.col("n_case"), pl.col("n_control")
    elif sizes.has("n_case", "n"):
        case, control = pl.col("n_case"), pl.col("n") - pl.col("n_case")
    elif sizes.has("n_control", "n"):
        case, control = pl.col("n") - pl.col("n_control"), pl.col("n_control")
    else:
        return None
    counts = raw.select(n=4.0 / (1.0 / case + 1.0 / control))["n"]
    return counts if counts.count() else None


def _is_half(n_eff: pl.Series, counts: pl.Series) -> bool:
    """Whether most rows have half of 4 / (1 / cases + 1 / controls)."""
    ratio = (n_eff / counts).drop_nulls()
    return bool(ratio.len() and ((ratio - 0.5).abs() < _SAME / 2).mean() > 0.5)  # type: ignore[operator]


def _median(values: pl.Series) -> float:
    known = values.drop_nulls().to_numpy()
    known = known[np.isfinite(known)]
    return float(np.median(known)) if known.size else 1.0


def bolt_power_gain(raw: pl.DataFrame, ledger: Ledger) -> float:
    """Factor by which more unrelated individuals would give linear regression the power of BOLT-LMM's mixed model; 1 if unknown.

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
