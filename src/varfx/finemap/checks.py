"""Checks of the plain arrays that SuSiE is given."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from varfx.errors import DataError

WEIGHT_FLOOR = 1e-8  # of the mean prior weight
LOOKED_AT = 300  # variants of largest |z|, among which R is checked for directions of negative variance
MOST_NEGATIVE = 0.2  # eigenvalue below zero that rounding and missing genotypes leave in a matrix of real LD


def check_numbers(L: int, n: float | None) -> None:
    """Checks number of effects and sample size.

    Raises:
        DataError: L is no whole number of at least 1, or n no number above 2.
    """
    if not isinstance(L, Integral) or L < 1:
        raise DataError(f"`L` must be at least 1 and whole, got {L!r}. Give the largest number of effects.")
    if n is None:
        return
    if np.ndim(n) != 0:
        raise DataError(
            f"`n` must be one number, got {np.size(n)} values. Give the median of the variants' sample sizes."
        )
    if isinstance(n, str) or not 2 < n < np.inf:
        raise DataError(f"`n` must be above 2 and finite, got {n!r}. Give the sample size, or leave n out.")


def checked_vector(name: str, values: ndarray | Sequence[float], size: int | None) -> Float[ndarray, " variant"]:
    """A finite vector in float64.

    Raises:
        DataError: no vector of that size, or values that are no finite numbers.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"`{name}` must hold numbers: {error}.") from None
    if array.ndim != 1 or array.size == 0 or (size is not None and array.size != size):
        raise DataError(f"`{name}` must be a vector of {size or 'at least one'} values, got shape {array.shape}.")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise DataError(
            f"`{name}` must be finite: {bad.size} of {array.size} values are not, first {array[bad[0]]} at {bad[0]}. Leave these "
            "variants out."
        )
    return array


def normalised_weights(given: ndarray | Sequence[float] | None, size: int) -> Float[ndarray, " variant"]:
    """Prior probabilities that sum to 1, none of them 0; equal ones where none are given.

    Raises:
        DataError: not one finite weight per variant, a negative one, or none above 0.
    """
    if given is None:
        return np.full(size, 1 / size)
    weights = checked_vector("prior_weights", given, size)
    negative = np.flatnonzero(weights < 0)
    if negative.size or not weights.sum() > 0:
        raise DataError(
            f"`prior_weights` must not be negative, and not all 0: {negative.size} of {size} are negative. Give variances or "
            "probabilities."
        )
    weights = np.maximum(weights, WEIGHT_FLOOR * weights.mean())
    return np.asarray(weights / weights.sum())


def require_positive(R: Float[ndarray, "variant variant"], z: Float[ndarray, " variant"]) -> None:
    """Refuses a matrix of plain numbers that is no correlation matrix, where it matters: among the variants of largest |z|.

    Raises:
        DataError: an entry beyond 1, or a direction of clearly negative variance.
    """
    beyond = max(float(R.max()), -float(R.min()))
    if beyond > 1 + 1e-3:
        row, column = (int(place) for place in np.unravel_index(np.abs(R).argmax(), R.shape))
        raise DataError(f"`R` must hold correlations, but has {R[row, column]:.4g} at ({row}, {column}).")
    rows = np.sort(np.argsort(-np.abs(z), kind="stable")[:LOOKED_AT])
    lowest = float(np.linalg.eigvalsh(R[np.ix_(rows, rows)])[0])
    if lowest < -MOST_NEGATIVE:
        raise DataError(
            f"`R` is not positive semidefinite: the variance of one direction is {lowest:.3g}. Compute R from one set of individuals "
            "without missing genotypes."
        )
