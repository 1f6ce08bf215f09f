"""Whether the statistics of a file agree with each other: effect over SE, chi-square, p-values and z.

A few rows disagree after Firth or SPA corrections, in mixed models, and by rounding; that is counted. Where nearly
all rows disagree, a column is not what its name says: log odds called OR, odds ratios called BETA, ln p called p.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
import polars as pl

from varfx.errors import DataError
from varfx.gwas.evidence import NEARLY_ALL, Reading, Z, effect_name, magnitude, median_of, tests_of, values_of
from varfx.gwas.meanings import fitting
from varfx.gwas.statistics import effect_of, wald
from varfx.io.ledger import Ledger

logger = logging.getLogger(__name__)

_TOLERANCE = (0.1, 0.05)  # absolute and relative, on |z|: two-digit p-values stay within
_FACTOR, _FAR = 1.5, 0.5  # rows contradict if |z| differs by more than both: genomic control and SPA stay within
_INFORMATIVE = 1.0  # rows of smaller |z|, by both statistics, cannot contradict
_WRONG_SIGNS = 0.2  # share of informative rows whose z and effect have opposite signs
_ROWS = 200_000  # that are looked at for the columns that fit


def check_agreement(raw: pl.DataFrame, ledger: Ledger, names: Mapping[str, str], *, source: str) -> int:
    """Number of rows with an effect / SE that differs from the file's own test, as after Firth or SPA.

    Rows are compared on the scale of |z|, with room for p-values of two digits. The count goes to the ledger and,
    if it is not 0, to the log as a warning.

    Args:
        raw: table of roles from `read_gwas`.
        ledger: the count is noted here.
        names: the file's own column name of each role.
        source: the file, for messages.

    Raises:
        DataError: two statistics contradict each other in nearly all rows; the message says which columns fit.
    """
    _check_signs(raw, names, source)
    _check_outside(raw, ledger, names, source)
    tests = tests_of(raw, names)
    effect = effect_of(raw)
    if effect is not None and "se" in raw.columns:
        label = f"{effect_name(raw, names)} / {names.get('se', 'SE')}"
        estimate = Reading(label, magnitude(wald(effect, raw["se"])))
        wrong = (values_of(raw, "odds_ratio") <= 0) if "odds_ratio" in raw.columns else np.zeros(raw.height, dtype=bool)
        estimate = Reading(label, np.where(wrong, np.inf, estimate.z))
    elif len(tests) > 1:
        estimate = tests.pop()
    else:
        _check_ratio(raw, names, source)
        return 0
    for test in tests:
        if _contradict(estimate.z, test.z):
            raise _contradiction(raw, estimate, test, names, source)
    if not tests:
        _check_ratio(raw, names, source)
        return 0
    return _note(estimate.z, tests[0], ledger, source, raw.height)


def _note(estimate: Z, test: Reading, ledger: Ledger, source: str, rows: int) -> int:
    absolute, relative = _TOLERANCE
    both = np.isfinite(estimate) & np.isfinite(test.z)
    with np.errstate(invalid="ignore"):
        count = int((both & (np.abs(estimate - test.z) > absolute + relative * test.z)).sum())
    if count:
        note = f"effect / SE disagrees with `{test.what}` (mixed model, Firth, SPA or rounding)"
        ledger.add("warning", count, note)
        logger.warning("`%s`: %s in %d of %d rows", source, note, count, rows)
    return count


def _contradict(one: Z, other: Z) -> bool:
    """Whether nearly all rows in which either statistic is informative have quite another |z| by the other one."""
    both = ~np.isnan(one) & np.isfinite(other)
    one, other = one[both], other[both]
    high, low = np.maximum(one, other), np.minimum(one, other)
    informative = high > _INFORMATIVE
    apart = informative & (high > _FACTOR * low) & (high - low > _FAR)
    return bool(informative.any() and apart.sum() >= NEARLY_ALL * informative.sum())


def _contradiction(
    raw: pl.DataFrame, estimate: Reading, test: Reading, names: Mapping[str, str], source: str
) -> DataError:
    """The error that says which columns fit."""
    raw = raw.gather_every(max(1, raw.height // _ROWS))
    remedy = fitting(raw, names) or (
        "One of the columns is not what its name says: name those that are right, e.g. --columns z=NAME, or "
        "beta=NAME,se=NAME"
    )
    return DataError(
        f"`{source}`: {estimate.what} and {test.what} contradict each other in nearly all of {raw.height} rows (median "
        f"|z| {median_of(estimate.z):.3g} and {median_of(test.z):.3g}). {remedy}."
    )


def _check_signs(raw: pl.DataFrame, names: Mapping[str, str], source: str) -> None:
    """Refuses effects on two scales, or an effect and its z, of opposite signs: one is unsigned, or of the other allele."""
    _check_signs_of_ratio(raw, names, source)
    effect = effect_of(raw)
    if effect is None or "z" not in raw.columns:
        return
    z = values_of(raw, "z")
    signs = np.sign(effect.cast(pl.Float64).fill_null(float("nan")).to_numpy())
    informative = (np.abs(z) > _INFORMATIVE) & (np.abs(signs) == 1)
    opposite = int((informative & (np.sign(z) != signs)).sum())
    if opposite > _WRONG_SIGNS * informative.sum():
        raise DataError(
            f"`{source}`: `{names.get('z', 'z')}` and `{effect_name(raw, names)}` have opposite signs in {opposite} of "
            f"{int(informative.sum())} rows with |z| above {_INFORMATIVE:g}: one of them has no sign, or is of the other "
            f"allele. Name the right one with --columns."
        )


def _check_signs_of_ratio(raw: pl.DataFrame, names: Mapping[str, str], source: str) -> None:
    """Refuses an effect beside an odds or hazard ratio whose logarithm has the opposite sign."""
    for role in ("odds_ratio", "hazard_ratio"):
        if not {"beta", role} <= set(raw.columns):
            continue
        beta, ratio = values_of(raw, "beta"), values_of(raw, role)
        with np.errstate(all="ignore"):
            log_ratio = np.where(ratio > 0, np.log(ratio), np.nan)
        largest = np.nanquantile(np.abs(beta), 0.5) if np.isfinite(beta).any() else np.nan
        informative = (np.abs(beta) >= largest) & (np.abs(log_ratio) > 0) & (beta != 0)
        opposite = int((informative & (np.sign(beta) != np.sign(log_ratio))).sum())
        if opposite > _WRONG_SIGNS * informative.sum():
            raise DataError(
                f"`{source}`: `{names.get('beta', 'beta')}` and log({names.get(role, role)}) have opposite signs in {opposite} of "
                f"the {int(informative.sum())} rows with the larger effects: one of them is of the other allele, or is not what its "
                f"name says. Name the right one with --columns."
            )


def _check_outside(raw: pl.DataFrame, ledger: Ledger, names: Mapping[str, str], source: str) -> None:
    """Warning that a column called p holds no p-values; an error where nothing else gives z."""
    if "p_outside" not in raw.columns:
        return
    outside = raw["p_outside"].drop_nulls()
    if not outside.len():
        return
    known = outside.len() + raw["neg_log10_of_p"].count()
    name = names.get("p", "p")
    looks = (
        f"ln p (ln_p={name}) or log10 p (log10_p={name})"
        if (outside <= 0).all()
        else f"-log10 p (neg_log10_p={name}) or percentages"
    )
    what = f"`{name}` is outside 0 to 1 in {outside.len()} of {known} rows, first {outside[0]:g}: it looks like {looks}"
    others = {"chisq", "chisq_inf", "neg_log10_p", "z", "se"} & set(raw.columns)
    if not others and outside.len() > raw["neg_log10_of_p"].count() * (1 - NEARLY_ALL):
        raise DataError(f"`{source}`: {what}. Name it so with --columns, beside the effect.")
    ledger.add("warning", outside.len(), f"{what}; these are not used")
    logger.warning("`%s`: %s; these are not used", source, what)


def _check_ratio(raw: pl.DataFrame, names: Mapping[str, str], source: str) -> None:
    """Refuses odds ratios that lie nowhere near 1, where no test says whether they are log odds."""
    for role in ("odds_ratio", "hazard_ratio"):
        if role in raw.columns and raw[role].count():
            middle = median_of(values_of(raw, role))
            if not 0.5 < middle < 2 or (values_of(raw, role) < 0).mean() > 1 - NEARLY_ALL:
                name = names.get(role, role)
                raise DataError(
                    f"`{source}`: `{name}` looks like log odds (median {middle:.3g}; odds ratios are near 1). Name it "
                    f"with --columns beta={name}, beside the other statistics."
                )
