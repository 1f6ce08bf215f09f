"""Drivers: the few variants whose summed effects reproduce a model's predictions, by three published rules.

Variants are tried in order of falling |weight|. The contribution of variant v to individual i is x_iv w_v, x the copies of ALT that
the model sees (`dosage / 2` with a homozygous in-silico effect, the dosage with a linear model's weight per allele). r_k is the
correlation of the partial sum with the full prediction; v must itself correlate with the prediction, by a test at 0.01
over the number m of variants.

    rule         partial sum               variant k is a driver if                                  own correlation
    sasse        all variants up to k      r_k / r_all - r_(k-1) / r_all > 0.05                      > 0, two-sided p < 0.01 / m
    variformer   drivers so far, and k     r_k / r_all - r_(last driver) / r_all > 0.05              > 0, one-sided p < 0.01 / m
    rastogi      drivers so far, and k     r_k - r_(last driver) >= 0.05                             >= 0, two-sided p m <= 0.01

(Sasse et al., Nature Genetics 2023; the Variformer paper's methods; Rastogi et al., 2024.) Published code chose drivers on the
individuals they are scored on; here they are chosen on some and scored on others (`driver_score`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from numpy import ndarray
from scipy.stats import beta

from varfx.errors import ConfigError, DataError
from varfx.expression.variants.config import RULES, Rule

GAIN = 0.05
LEVEL = 0.01
MIN_PEOPLE = 4


@dataclass(frozen=True, eq=False)
class Drivers:
    """Drivers of one model and gene.

    Attributes:
        chosen: of each variant, whether it is a driver.
        order: rows of the drivers as they were found, by falling |weight|.
        linear_r: correlation of the sum over all variants with the prediction: how additive the model is; NaN where either
            is constant.
    """

    chosen: Bool[ndarray, " variant"]
    order: Int64[ndarray, " driver"]
    linear_r: float


@dataclass(frozen=True)
class DriverScore:
    """Accuracy of the drivers' sum plus the model's prediction for the reference, as a stand-in for another quantity.

    Attributes:
        r: correlation; NaN where either side is constant.
        r2: 1 - residual / total sum of squares, scale and intercept as they are; NaN where the other side is constant.
    """

    r: float
    r2: float


def find_drivers(
    copies: Float[ndarray, "individual variant"],
    weights: Float[ndarray, " variant"],
    prediction: Float[ndarray, " individual"],
    *,
    rule: Rule = "variformer",
) -> Drivers:
    """The drivers of a model among a window's variants.

    Args:
        copies: what multiplies the weights: dosages / 2 with in-silico effects, dosages with weights per allele.
        weights: of the variants.
        prediction: the model's, of the same individuals.
        rule: sasse, variformer or rastogi.

    Raises:
        ConfigError: an unknown rule.
        DataError: shapes that do not fit, values that are not finite, or fewer than 4 individuals.
    """
    if rule not in RULES:
        raise ConfigError(f"`rule` must be one of {', '.join(RULES)}, got {rule!r}.")
    copies, weights, y = _checked(copies, weights, prediction)
    parts = copies * weights
    order = np.argsort(-np.abs(weights), kind="stable")
    linear_r = float(correlations(parts.sum(axis=1, keepdims=True), y)[0])
    accepted = _significant(correlations(parts, y), len(y), rule)
    chosen = (
        _running(parts, y, order, accepted, linear_r)
        if rule == "sasse"
        else _stepwise(parts, y, order, accepted, 1.0 if rule == "rastogi" else linear_r, inclusive=rule == "rastogi")
    )
    mask = np.zeros(weights.size, dtype=bool)
    mask[chosen] = True
    return Drivers(mask, np.array(chosen, dtype=np.int64), linear_r)


def driver_score(
    copies: Float[ndarray, "individual variant"],
    weights: Float[ndarray, " variant"],
    reference: float,
    observed: Float[ndarray, " individual"],
) -> DriverScore:
    """Accuracy of `reference + copies @ weights` for `observed`: the model's predictions, or measured expression.

    Args:
        copies: as in `find_drivers`, of individuals who had no part in choosing the drivers, and of the drivers only.
        weights: of the drivers.
        reference: the model's prediction for the reference sequence (a linear model's intercept).
        observed: of the same individuals.
    """
    copies, weights, y = _checked(copies, weights, observed)
    linear = reference + copies @ weights
    total = float(((y - y.mean()) ** 2).sum())
    r2 = float("nan") if _constant(y) else 1 - float(((y - linear) ** 2).sum()) / total
    return DriverScore(float(correlations(linear[:, None], y)[0]), r2)


def high_scoring(weights: Float[ndarray, " variant"], count: int) -> Bool[ndarray, " variant"]:
    """The `count` variants with the largest |weight|, weights of 0 never among them; equal ones in their order."""
    if count < 0:
        raise ConfigError(f"`count` must not be negative, got {count}.")
    order = np.argsort(-np.abs(weights), kind="stable")[:count]
    mask = np.zeros(weights.size, dtype=bool)
    mask[order] = True
    return np.asarray(mask & (weights != 0))


def correlations(
    parts: Float[ndarray, "individual column"], y: Float64[ndarray, " individual"]
) -> Float64[ndarray, " column"]:
    """Pearson's r of each column with y; NaN where either is constant."""
    centred = parts - parts.mean(axis=0)
    deviation = y - y.mean()
    spread = np.sqrt((centred**2).sum(axis=0))
    flat = np.ptp(parts, axis=0) == 0
    if flat.all() or _constant(y):
        return np.full(parts.shape[1], np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = deviation @ centred / (spread * np.sqrt((deviation**2).sum()))
    return np.asarray(np.where(flat, np.nan, np.clip(r, -1, 1)))


def _significant(r: Float64[ndarray, " variant"], people: int, rule: Rule) -> Bool[ndarray, " variant"]:
    """Mask of variants whose own correlation is significant; r under the null has (r + 1) / 2 ~ Beta(n / 2 - 1, n / 2 - 1)."""
    half = people / 2 - 1
    one_sided = beta.sf(r, half, half, loc=-1, scale=2)
    two_sided = 2 * beta.sf(np.abs(r), half, half, loc=-1, scale=2)
    m = r.size
    if rule == "variformer":
        return np.asarray((r > 0) & (one_sided < LEVEL / m))
    if rule == "sasse":
        return np.asarray((r > 0) & (two_sided < LEVEL / m))
    return np.asarray((r >= 0) & (two_sided * m <= LEVEL))


def _running(parts: ndarray, y: ndarray, order: ndarray, accepted: ndarray, total: float) -> list[int]:
    """Partial sums of all variants so far; what was reached moves with every one."""
    shares = correlations(np.cumsum(parts[:, order], axis=1), y) / total
    before = np.concatenate([[0.0], shares[:-1]])
    gained = shares - np.nan_to_num(before, nan=0.0)
    return [int(row) for row, gain in zip(order, gained, strict=True) if gain > GAIN and accepted[row]]


def _stepwise(
    parts: ndarray, y: ndarray, order: ndarray, accepted: ndarray, unit: float, *, inclusive: bool
) -> list[int]:
    """Partial sums of the drivers so far and one more; what was reached moves with each driver."""
    chosen: list[int] = []
    reached, total = 0.0, np.zeros(len(y))
    for row in order:
        if not accepted[row]:
            continue
        share = float(correlations((total + parts[:, row])[:, None], y)[0]) / unit
        gain = share - reached
        if gain > GAIN or (inclusive and share >= reached + GAIN):
            chosen.append(int(row))
            reached, total = share, total + parts[:, row]
    return chosen


def _checked(
    copies: Float[ndarray, "individual variant"], weights: Float[ndarray, " variant"], y: Float[ndarray, " individual"]
) -> tuple[Float64[ndarray, "individual variant"], Float64[ndarray, " variant"], Float64[ndarray, " individual"]]:
    copies, weights, y = (np.asarray(each, dtype=np.float64) for each in (copies, weights, y))
    if copies.shape != (y.size, weights.size):
        raise DataError(
            f"`copies` must be (individual, variant) = ({y.size}, {weights.size}) as predictions and weights say, got "
            f"{copies.shape}."
        )
    if y.size < MIN_PEOPLE:
        raise DataError(f"drivers need at least {MIN_PEOPLE} individuals to correlate over, got {y.size}. Take more.")
    for name, values in (("copies", copies), ("weights", weights), ("prediction", y)):
        if not np.isfinite(values).all():
            raise DataError(f"`{name}`: {np.count_nonzero(~np.isfinite(values))} of {values.size} are not finite.")
    return copies, weights, y


def _constant(y: Float64[ndarray, " individual"]) -> bool:
    return bool(np.ptp(y) <= 1e-12 * np.abs(y).max(initial=0.0))
