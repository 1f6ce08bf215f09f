"""Blocks of neighbouring pieces of a likelihood, for standard errors where pieces depend on their neighbours.

Windows with flanks share effects and noise: their scores G_i are correlated, and the sum of G_i G_i' over windows is too small. A jackknife
whose blocks hold L consecutive pieces misses only the products of pieces in different blocks. With autocovariances `gamma_k` of the scores,
averaged over parameters, P_k pairs of pieces at lag k, and W_k of them within a block, the missing share of the variance is

    2 sum_k (P_k - W_k) gamma_k / (n gamma_0 + 2 sum_k P_k gamma_k)

L is the smallest length whose share is at most a tenth, and that reaches as far as a flank if enough blocks are left: gamma is itself an estimate.
What is left is corrected by a factor. Künsch 1989, Annals of Statistics 17:1217 (blocks, and
their bias of 1/L). A variance from B blocks of unequal parts v_b has `(sum v_b)^2 / sum v_b^2 - 1` degrees of freedom (Satterthwaite 1946,
Biometrics Bulletin 2:110).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from varfx.likelihood.ldsr_closed import block_bounds

MAX_MISSING = 0.1  # share of the variance between blocks at which blocks are long enough
MIN_BLOCKS = 10  # blocks are not lengthened further if fewer would be left
FEW_BLOCKS = 20  # fewer are not trusted; blocks are lengthened to the reach of dependence if as many are left
MAX_CORRECTED = 0.5  # largest missing share that the correction believes
NOTHING = 1e-12  # eigenvalues of the scores' covariance below this share of the largest are left out


@dataclass(frozen=True, eq=False)
class Blocks:
    """Contiguous blocks of pieces.

    Attributes:
        bounds: block b holds the pieces bounds[b] to bounds[b+1] - 1.
        length: smallest number of pieces per block, except for stretches with fewer pieces.
        missing: estimated share of the variance that lies between blocks.
    """

    bounds: Int[ndarray, " bound"]
    length: int
    missing: float

    @property
    def count(self) -> int:
        """Number of blocks."""
        return len(self.bounds) - 1

    @property
    def inflation(self) -> float:
        """Factor of standard errors that makes up for the missing share."""
        return float((1 - min(max(self.missing, 0.0), MAX_CORRECTED)) ** -0.5)


def choose_blocks(
    score: Float[ndarray, "piece parameter"], stretches: Int[ndarray, " bound"], *, reach: int, max_lag: int, most: int
) -> Blocks:
    """The shortest blocks of pieces that are nearly independent of each other, by the autocovariance of the scores.

    Args:
        score: d log p / d theta of each piece, at the maximum.
        stretches: bounds of runs of pieces that depend on each other; different runs are independent.
        reach: length that blocks have if enough of them are left.
        max_lag: largest distance of dependent pieces, in pieces.
        most: largest number of blocks.
    """
    gamma = autocovariance(score, stretches, max_lag)
    longest = int(np.diff(stretches).max())
    chosen = _cut(gamma, stretches, 1)
    for length in range(2, longest + 1):
        enough = chosen.missing <= MAX_MISSING
        if enough and length > reach:
            break
        further = _cut(gamma, stretches, length)
        if further.count < (FEW_BLOCKS if enough else MIN_BLOCKS):
            break
        chosen = further
    if chosen.count <= most:
        return chosen
    merged = chosen.bounds[block_bounds(chosen.count, most)]
    return Blocks(merged, int(np.diff(merged).min()), _missing(gamma, stretches, merged))


def autocovariance(
    score: Float[ndarray, "piece parameter"], stretches: Int[ndarray, " bound"], max_lag: int
) -> Float[ndarray, " lag"]:
    """Autocovariance of the scores within stretches at lags 0 to `max_lag`, divided by that at lag 0.

    The mean over parameters, whose scores are made uncorrelated first; values within one standard error of 0 count as 0.
    """
    values, vectors = np.linalg.eigh(score.T @ score)
    kept = values > NOTHING * max(values[-1], 1e-300)
    white = score @ vectors[:, kept] / np.sqrt(values[kept] / len(score))
    gamma = np.zeros(max_lag + 1)
    gamma[0] = 1.0
    for lag in range(1, max_lag + 1):
        products = [
            (white[start : end - lag] * white[start + lag : end]).sum(1)
            for start, end in itertools.pairwise(stretches)
            if end - start > lag
        ]
        if products:
            together = np.concatenate(products) / white.shape[1]
            mean = float(together.mean())
            gamma[lag] = mean if abs(mean) > 1 / np.sqrt(together.size * white.shape[1]) else 0.0
    return gamma


def effective_degrees(variances: Float[ndarray, " block"]) -> float:
    """Degrees of freedom of a variance that is the sum of these parts: `(sum v)^2 / sum v^2 - 1`; 0 if all lies in one block."""
    total = float((variances**2).sum())
    return float(variances.sum()) ** 2 / total - 1 if total > 0 else 0.0


def _cut(gamma: ndarray, stretches: Int[ndarray, " bound"], length: int) -> Blocks:
    """Each stretch in blocks of at least `length` pieces, as equal as can be."""
    bounds = [0]
    for start, end in itertools.pairwise(stretches):
        count = max(int(end - start) // length, 1)
        bounds += [int(start + (end - start) * (k + 1) // count) for k in range(count)]
    found = np.array(bounds)
    return Blocks(found, length, _missing(gamma, stretches, found))


def _missing(gamma: ndarray, stretches: Int[ndarray, " bound"], bounds: Int[ndarray, " bound"]) -> float:
    """Share of the variance between blocks; 0 where the autocovariances leave no variance."""
    lags = np.arange(1, len(gamma))
    within, every = (
        np.maximum(np.diff(edges)[:, None] - lags, 0).sum(0) for edges in (np.union1d(bounds, stretches), stretches)
    )
    between = 2 * float(((every - within) * gamma[1:]).sum())
    total = float(stretches[-1]) + 2 * float((every * gamma[1:]).sum())
    return between / total if total > 0 else 0.0
