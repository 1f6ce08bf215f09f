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
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float
from numpy import ndarray

from varfx.annotations.channels import Rows
from varfx.annotations.features import Features
from varfx.annotations.moments import Moments
from varfx.likelihood.ldsr_closed import BlockJackknife
from varfx.prior.heritability.errors import LEAST_DEGREES, Steps
from varfx.prior.heritability.stacked import Columns, as_features, row_blocks

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

    def take(self, columns: Sequence[int]) -> Sums:
        """The sums over some of the columns, in this order."""
        some = list(columns)
        moved = BlockJackknife(
            estimate=self.jackknife.estimate[some], delete_values=self.jackknife.delete_values[:, some]
        )
        return replace(
            self, jackknife=moved, plug_in=self.plug_in[some], totals=self.totals[some], slopes=self.slopes[:, some]
        )

    def _gradient(self, function: Callable[[ndarray], ndarray]) -> Float[ndarray, " column"]:
        """Derivative of a function by the sums, from central differences."""
        sums = self.jackknife.estimate
        step = STEP * np.maximum(np.abs(sums), STEP * np.abs(sums).max())
        up, down = (np.asarray(function(sums + sign * np.diag(step))) for sign in (1, -1))
        return np.asarray((up - down) / (2 * step))


def sums_of(
    columns: Columns,
    f: Float[ndarray, " variant"],
    factor: Float[ndarray, " variant"],
    directions: Columns,
    steps: Steps | None,
    counted: Bool[ndarray, " variant"] | None = None,
) -> Sums:
    """The sums of calibrated f over columns.

    Args:
        columns: X.
        f: plug-in variances.
        factor: exp(D delta).
        directions: D.
        steps: of the deleted blocks, with log sigma2 last.
        counted: variants to sum over; by default all.
    """
    X, D = as_features(columns), as_features(directions)
    value, plug_in, totals = np.zeros((3, X.width))
    slopes = np.zeros((D.width, X.width))
    for rows in row_blocks(np.ones(f.size, dtype=bool) if counted is None else counted):
        mine, calibrated = X.rows(rows).astype(np.float64, copy=False), f[rows] * factor[rows]
        value += mine.T @ calibrated
        plug_in += mine.T @ f[rows]
        totals += mine.sum(0)
        slopes += D.rows(rows).T @ (calibrated[:, None] * mine)
    moved = value[None] if steps is None else value + steps.values[:, :-1] @ slopes
    return Sums(BlockJackknife(estimate=value, delete_values=moved), plug_in, totals, slopes, steps)


@dataclass(frozen=True, eq=False)
class Spread:
    """What is needed of columns beside sums of f.

    Attributes:
        inverse: pseudo-inverse of X'X.
        low: smallest value of each column.
        sd: standard deviation of each column.
    """

    inverse: Float[ndarray, "column column"]
    low: Float[ndarray, " column"]
    sd: Float[ndarray, " column"]


def spread_of(columns: Features, counted: Bool[ndarray, " variant"]) -> Spread:
    """The spread of columns over counted variants."""
    squares, found = np.zeros((columns.width, columns.width)), [Moments() for _ in range(columns.width)]
    for rows in row_blocks(counted):
        part = columns.rows(rows)
        squares += part.T @ part
        for number, each in enumerate(found):
            each.add(part[:, number])
    sd = [sqrt(each.square / each.count) for each in found]
    return Spread(np.linalg.pinv(squares), np.array([each.low for each in found]), np.array(sd))


def annotation_heritability(
    sums: Sums, spread: Spread, names: Sequence[str], binary: Bool[ndarray, " annotation"]
) -> list[AnnotationHeritability]:
    """One entry per annotation.

    Args:
        sums: over 1, then the annotations.
        spread: of the same columns.
        names: of the annotations.
        binary: which are 0/1.
    """
    return [_annotation(sums, spread, number + 1, name, bool(binary[number])) for number, name in enumerate(names)]


def _annotation(sums: Sums, spread: Spread, column: int, name: str, binary: bool) -> AnnotationHeritability:
    M, M_c = sums.totals[0], sums.totals[column]
    proper = bool(M_c > 0 and spread.low[column] >= 0)
    p, log10_p, coefficient, enrichment = None, None, None, None
    if proper:
        enrichment = sums.estimate(lambda v: v[..., column] / v[..., 0] * M / M_c, positive=True)
    if enrichment is not None and M_c < M:
        coefficient = sums.estimate(lambda v: v[..., column] / M_c - (v[..., 0] - v[..., column]) / (M - M_c))
        if enrichment.se is not None:
            p = t_test(coefficient)
            log10_p = log10_p_value(sums.estimate(lambda v: v[..., column] / M_c - v[..., 0] / M))
    inverse, sd = spread.inverse[column], float(spread.sd[column])
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
        tau=sums.estimate(lambda v: v @ inverse),
        tau_star=sums.estimate(lambda v: sd * (v @ inverse) * M / v[..., 0]),
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


def top_groups(f: Float[ndarray, " variant"], shares: Sequence[float]) -> Bool[ndarray, "variant group"]:
    """0/1 columns of the `ceil(q M)` variants of largest f per share q."""
    order = np.argsort(-f, kind="stable")
    groups = np.zeros((f.size, len(shares)), dtype=bool)
    for column, share in enumerate(shares):
        groups[order[: int(np.ceil(share * f.size - 1e-9))], column] = True
    return groups


def quantile_groups(
    values: Float[ndarray, " variant"], count: int, cuts: Float[ndarray, " cut"] | None = None
) -> Bool[ndarray, "variant group"]:
    """0/1 columns of `count` groups by rank, of equal size but for ties, which stay together.

    Args:
        values: of the variants.
        count: number of groups.
        cuts: smallest value of each group but the first; by default those of these variants.
    """
    number = np.searchsorted(quantile_cuts(values, count) if cuts is None else cuts, values, side="right")
    return np.asarray(number[:, None] == np.arange(count))


def quantile_cuts(values: Float[ndarray, " variant"], count: int) -> Float[ndarray, " cut"]:
    """Smallest value of each group but the first; infinite where this group and all later ones are empty."""
    ordered = np.r_[np.sort(values), np.inf]
    begin = -(-np.arange(1, count) * values.size // count)
    at = ordered[begin]
    tied = np.searchsorted(ordered, at, side="left") < begin
    return np.asarray(ordered[np.where(tied, np.searchsorted(ordered, at, side="right"), begin)])


@dataclass(frozen=True, eq=False)
class QuantileColumns:
    """0/1 columns of the quantiles of several annotations, those of the first before those of the second.

    Attributes:
        annotations: continuous ones.
        count: number of quantiles of each.
        cuts: of each, see `quantile_cuts`.
    """

    annotations: Features
    count: int
    cuts: Sequence[Float[ndarray, " cut"]]

    @property
    def height(self) -> int:
        """Number of variants."""
        return self.annotations.height

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.count * self.annotations.width

    def rows(self, rows: Rows) -> Bool[ndarray, "row column"]:
        """Those of some variants."""
        values = self.annotations.rows(rows)
        return np.hstack([quantile_groups(values[:, k], self.count, cuts) for k, cuts in enumerate(self.cuts)])


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
