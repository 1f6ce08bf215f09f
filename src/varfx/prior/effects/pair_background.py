"""The polygenic background of two large neighbouring cores, which need not be whitened together before.

The variants of both cores may have sparse effects. Those of their flanks are half a core and more from any variant that the pair
serves: they have all their variance F in the background, whose factor C has to be computed over all variants in any case.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from varfx.prior.effects.background import SOLVED_LARGE, FactoredBackground, inverse_factor, too_far, turned_rows
from varfx.prior.effects.gibbs import SparseRegression
from varfx.prior.effects.shape import EffectShape
from varfx.prior.large_pairs import PairCovariance, pair_covariance
from varfx.prior.pairs import MIN_NOISE, Side


@dataclass(frozen=True, eq=False)
class PairRegressors:
    """See `varfx.prior.effects.background.Regressors`; products are in float32."""

    C: PairCovariance

    def product(self, b: Float[ndarray, " variant"]) -> Float[ndarray, " rank"]:
        """`[A; B] b`."""
        return _column(self.C.signal(torch.from_numpy(b).float()[:, None]))

    def scores(self, u: Float[ndarray, " rank"]) -> Float[ndarray, " variant"]:
        """`[A; B]' u`."""
        return _column(self.C.project(torch.from_numpy(u).float()[:, None]))

    def noise(self, u: Float[ndarray, " rank"]) -> Float[ndarray, " rank"]:
        """`[[I, X'], [X, I]] u`."""
        return _column(self.C.noise(torch.from_numpy(u).float()[:, None]))


def _column(value: torch.Tensor) -> ndarray:
    return np.asarray(value[:, 0].double().numpy())


def pair_background(
    sides: tuple[Side, Side],
    own: tuple[Int[ndarray, " row"], Int[ndarray, " row"]],
    F: Float[ndarray, " variant"],
    sigma2: float,
    shape: EffectShape,
    inclusion: Float[ndarray, " variant"] | None = None,
) -> tuple[Int[ndarray, " union"], FactoredBackground]:
    """Panel rows of the variants of two large cores, and their background.

    Args:
        sides: the two cores.
        own: panel rows of the variants within each.
        F: N f of the panel's variants.
        sigma2: residual variance.
        shape: the effect distribution.
        inclusion: of the panel's variants, see `EffectShape.slabs`.
    """
    rows, noise, w = pair_covariance(*sides, sigma2)
    sampled = np.flatnonzero(np.isin(rows, np.concatenate(own)))
    variance = F[rows]
    variance[sampled] *= shape.background
    C = replace(noise, F=torch.from_numpy(variance).float())
    inverse = _inverse_factor(C)
    chances, _, variances = shape.slabs(F[rows[sampled]], None if inclusion is None else inclusion[rows[sampled]])
    A = turned_rows(inverse, _rows_of(C, sampled))
    return rows, FactoredBackground(
        regressors=PairRegressors(C),
        w=w.numpy(),
        variance=variance,
        sigma2=sigma2,
        solved_to=SOLVED_LARGE,
        inverse=inverse,
        regression=SparseRegression.of(A, inverse @ w.float().numpy(), chances, variances, variance[sampled]),
        sampled=sampled,
    )


def _inverse_factor(C: PairCovariance) -> Float[ndarray, "n n"]:
    """`L^-1` of C, in float32 where its condition allows."""
    signal = C.signal_covariance(torch.float32)
    if too_far(signal.numpy(), MIN_NOISE * C.sigma2):  # of a direction that both cores nearly repeat
        signal = C.signal_covariance(torch.float64)
    first = C.A.shape[0]
    shared = C.sigma2 * C.X.to(signal.dtype)
    signal[first:, :first] += shared
    signal[:first, first:] += shared.T
    signal.diagonal().add_(C.sigma2)
    return inverse_factor(signal.numpy())


def _rows_of(C: PairCovariance, sampled: Int[ndarray, " sampled"]) -> Float[ndarray, "sampled n"]:
    """Rows of `[A; B]'`."""
    first = C.A.shape[0]
    A = torch.zeros(sampled.size, first + C.B.shape[0])
    for signal, columns, part in ((C.A, C.columns[0], slice(first)), (C.B, C.columns[1], slice(first, None))):
        _, here, there = np.intersect1d(columns.numpy(), sampled, return_indices=True)
        A[torch.from_numpy(there), part] = signal[:, torch.from_numpy(here)].T
    return A.numpy()
