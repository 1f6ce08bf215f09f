"""Heritabilities, enrichments and coefficients from a calibrated prior, each with its jackknife error.

Everything is a function of sums of f: with `v = X'f` for columns X, a deleted block moves it by `X' (f o D) eps_b`, the calibration's step
eps_b to first order. So no quantity needs another pass over windows, and an enrichment near 0 keeps a true error.

    h2(c) = sum a_mc f_m          enrichment(c) = (h2(c) / h2) / (M_c / M)         M_c = sum_m a_mc
    coef(c) = h2(c) / M_c - (h2 - h2(c)) / (M - M_c)                               0/1 annotations: inside minus outside
    tau = (X'X)^-1 X'f, X = [1, annotations]                                       the best linear summary of f
    tau*(c) = sd(a_c) tau(c) M / h2                                                Gazal et al. 2017
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from varfx.likelihood.ldsr_closed import BlockJackknife
from varfx.prior.heritability.errors import LEAST_DEGREES, Steps

STEP = 1e-4  # of numeric derivatives by sums, relative


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its standard error and 95 % interval (t distribution), and their degrees of freedom; None where windows are too few
    or all information lies in one block of them."""

    value: float
    se: float | None
    ci95: tuple[float, float] | None
    df: float | None = None


@dataclass(frozen=True, kw_only=True)
class AnnotationHeritability:
    """One annotation's part of the heritability.

    Attributes:
        name: of the annotation.
        binary: whether it holds 0 and 1 only.
        total: M_c, the sum of the annotation.
        prop_snps: M_c / M.
        h2: h2(c).
        prop_h2: h2(c) / h2.
        enrichment: None where the annotation has negative values or a sum of 0.
        enrichment_p: that the mean of f inside is that outside, by a t test on the difference; None without error or outside.
        log10_p_mean: log10 p that the mean of f inside is that of all variants (graphREML's test, by a t test).
        coefficient: inside minus outside; 0/1 annotations only.
        tau: partial coefficient of the annotation in f.
        tau_star: standardised tau.
        plug_in_h2: h2(c) before calibration.
        plug_in_enrichment: enrichment before calibration.
    """

    name: str
    binary: bool
    total: float
    prop_snps: float
    h2: Estimate
    prop_h2: Estimate
    enrichment: Estimate | None
    enrichment_p: float | None
    log10_p_mean: float | None
    coefficient: Estimate | None
    tau: Estimate
    tau_star: Estimate
    plug_in_h2: float
    plug_in_enrichment: float | None


@dataclass(frozen=True, kw_only=True)
class GroupHeritability:
    """Heritability of a group of variants: those of largest f, or a quantile of an annotation.

    Attributes:
        name: of the group.
        share: of the counted variants.
        h2: their heritability.
        prop_h2: its share.
        enrichment: prop_h2 / share.
        enrichment_p: as for annotations.
        plug_in_enrichment: before calibration.
    """

    name: str
    share: float
    h2: Estimate
    prop_h2: Estimate
    enrichment: Estimate
    enrichment_p: float | None
    plug_in_enrichment: float


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums of calibrated f over columns, and what deleted blocks make of them.

    Attributes:
        jackknife: of `X'f`; one "block" that changes nothing where there are too few windows.
        plug_in: `X'f` before calibration.
        totals: `X'1`.
        slopes: d X'f / d delta.
        steps: of the deleted blocks; None where standard errors do not exist.
    """

    jackknife: BlockJackknife
    plug_in: Float[ndarray, " column"]
    totals: Float[ndarray, " column"]
    slopes: Float[ndarray, "direction column"]
    steps: Steps | None

    def estimate(self, function: Callable[[ndarray], ndarray], *, positive: bool = False) -> Estimate:
        """A function of the sums, (..., column) to (...), with its `positive_interval` if it cannot be negative."""
        value = float(function(self.jackknife.estimate))
        if self.steps is None:
            return Estimate(value=value, se=None, ci95=None)
        df = self.steps.degrees(np.r_[self.slopes @ self._gradient(function), 0.0])
        if df < LEAST_DEGREES:
            return Estimate(value=value, se=None, ci95=None, df=df)
        moved = self.jackknife.transform(lambda sums: np.asarray(function(sums))[..., None])
        se = float(moved.standard_error[0])
        interval = positive_interval if positive else t_interval
        return Estimate(value=value, se=se, ci95=interval(value, se, df), df=df)

    def _gradient(self, function: Callable[[ndarray], ndarray]) -> Float[ndarray, " column"]:
        """Derivative of a function by the sums, from central differences."""
        sums = self.jackknife.estimate
        step = STEP * np.maximum(np.abs(sums), STEP * np.abs(sums).max())
        up, down = (np.asarray(function(sums + sign * np.diag(step))) for sign in (1, -1))
        return np.asarray((up - down) / (2 * step))


def sums_of(
    columns: Float[ndarray, "variant column"],
    f: Float[ndarray, " variant"],
    factor: Float[ndarray, " variant"],
    directions: Float[ndarray, "variant direction"],
    steps: Steps | None,
) -> Sums:
    """The sums of calibrated f over columns.

    Args:
        columns: X.
        f: plug-in variances.
        factor: exp(D delta).
        directions: D.
        steps: of the deleted blocks, with log sigma2 last.
    """
    calibrated = f * factor
    value = columns.T @ calibrated
    slopes = directions.T @ (calibrated[:, None] * columns)
    moved = value[None] if steps is None else value + steps.values[:, :-1] @ slopes
    return Sums(BlockJackknife(estimate=value, delete_values=moved), columns.T @ f, columns.sum(0), slopes, steps)


def annotation_heritability(
    sums: Sums, columns: Float[ndarray, "variant column"], names: Sequence[str], binary: Bool[ndarray, " annotation"]
) -> list[AnnotationHeritability]:
    """One entry per annotation.

    Args:
        sums: over `columns`.
        columns: 1, then the annotations, of the counted variants.
        names: of the annotations.
        binary: which are 0/1.
    """
    inverse = np.linalg.pinv(columns.T @ columns)
    return [
        _annotation(sums, inverse, columns[:, number + 1], number + 1, name, bool(binary[number]))
        for number, name in enumerate(names)
    ]


def _annotation(
    sums: Sums, inverse: ndarray, values: Float[ndarray, " variant"], column: int, name: str, binary: bool
) -> AnnotationHeritability:
    M, M_c = sums.totals[0], sums.totals[column]
    proper = bool(M_c > 0 and values.min() >= 0)
    p, log10_p, coefficient, enrichment = None, None, None, None
    if proper:
        enrichment = sums.estimate(lambda v: v[..., column] / v[..., 0] * M / M_c, positive=True)
    if enrichment is not None and M_c < M:
        coefficient = sums.estimate(lambda v: v[..., column] / M_c - (v[..., 0] - v[..., column]) / (M - M_c))
        if enrichment.se is not None:
            p = t_test(coefficient)
            log10_p = log10_p_value(sums.estimate(lambda v: v[..., column] / M_c - v[..., 0] / M))
    spread = float(values.std())
    return AnnotationHeritability(
        name=name,
        binary=binary,
        total=float(M_c),
        prop_snps=float(M_c / M),
        h2=sums.estimate(lambda v: v[..., column], positive=proper),
        prop_h2=sums.estimate(lambda v: v[..., column] / v[..., 0], positive=proper),
        enrichment=enrichment,
        enrichment_p=p,
        log10_p_mean=log10_p,
        coefficient=coefficient if binary else None,
        tau=sums.estimate(lambda v: v @ inverse[column]),
        tau_star=sums.estimate(lambda v: spread * (v @ inverse[column]) * M / v[..., 0]),
        plug_in_h2=float(sums.plug_in[column]),
        plug_in_enrichment=float(sums.plug_in[column] / sums.plug_in[0] * M / M_c) if proper else None,
    )


def group_heritability(sums: Sums, names: Sequence[str]) -> list[GroupHeritability]:
    """One entry per group; the columns of `sums` are 1, then each group's 0/1."""
    return [_group(sums, number + 1, name) for number, name in enumerate(names)]


def _group(sums: Sums, column: int, name: str) -> GroupHeritability:
    M, size = sums.totals[0], sums.totals[column]
    enrichment = sums.estimate(lambda v: v[..., column] / v[..., 0] * M / size, positive=True)
    p = None
    if size < M and enrichment.se is not None:
        contrast = sums.estimate(lambda v: v[..., column] / size - (v[..., 0] - v[..., column]) / (M - size))
        p = t_test(contrast)
    return GroupHeritability(
        name=name,
        share=float(size / M),
        h2=sums.estimate(lambda v: v[..., column], positive=True),
        prop_h2=sums.estimate(lambda v: v[..., column] / v[..., 0], positive=True),
        enrichment=enrichment,
        enrichment_p=p,
        plug_in_enrichment=float(sums.plug_in[column] / sums.plug_in[0] * M / size),
    )


def top_groups(f: Float[ndarray, " variant"], shares: Sequence[float]) -> Float[ndarray, "variant group"]:
    """0/1 columns of the `ceil(q M)` variants of largest f per share q."""
    order = np.argsort(-f, kind="stable")
    groups = np.zeros((f.size, len(shares)))
    for column, share in enumerate(shares):
        groups[order[: int(np.ceil(share * f.size - 1e-9))], column] = 1.0
    return groups


def quantile_groups(values: Float[ndarray, " variant"], count: int) -> Float[ndarray, "variant group"]:
    """0/1 columns of `count` groups by rank, of equal size but for ties, which stay together."""
    rank: Int[ndarray, " variant"] = np.searchsorted(np.sort(values), values, side="left")
    number = np.minimum(rank * count // values.size, count - 1)
    return np.asarray((number[:, None] == np.arange(count)).astype(np.float64))


def t_interval(value: float, se: float, df: float) -> tuple[float, float]:
    """The 95 % interval by Student's t."""
    reach = se * float(scipy.stats.t.isf(0.025, df))
    return value - reach, value + reach


def positive_interval(value: float, se: float, df: float) -> tuple[float, float]:
    """The 95 % interval of a quantity that is not negative, by Student's t.

    The error of a variance or of a ratio of variances grows with its value, so that estimates that are too low come with errors that are too small:
    the upper limit is that on the log scale, up to e times the value, or the usual one where this is larger. The lower limit is the usual one.
    """
    low, high = t_interval(value, se, df)
    by_log = value * float(np.exp(min((high - value) / value, 1.0))) if value > 0 else 0.0
    return max(low, 0.0), max(high, by_log)


def t_test(estimate: Estimate) -> float | None:
    """Two-sided p that an estimate is 0, by Student's t; None without a standard error."""
    if not estimate.se or estimate.df is None:
        return None
    return float(2 * scipy.stats.t.sf(abs(estimate.value / estimate.se), estimate.df))


def log10_p_value(estimate: Estimate) -> float | None:
    """log10 of `t_test`, finite where p itself is too small for a float; None without a standard error."""
    p = t_test(estimate)
    if p is None or estimate.se is None or estimate.df is None:
        return None
    if p > 0:
        return float(np.log10(p))
    t, df = abs(estimate.value / estimate.se), estimate.df
    # the tail's leading term: density times (df + t^2) / (df t)
    return float((np.log(2) + scipy.stats.t.logpdf(t, df) + np.log(df + t * t) - np.log(df * t)) / np.log(10))


def liability_factor(population: float, sample: float) -> float:
    """Factor from the observed to the liability scale: `K^2 (1-K)^2 / (P (1-P) phi(t)^2)` (Lee et al. 2011)."""
    density = scipy.stats.norm.pdf(scipy.stats.norm.isf(population))
    return float((population * (1 - population)) ** 2 / (sample * (1 - sample) * density**2))
