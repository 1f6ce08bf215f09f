"""The bivariate model at one theta, for some variants at a time: no table of all variants and annotations lies in memory.

F_t = n_t f_t exp(D delta_t)        rho = tanh(D eta)        theta = (delta1, delta2, eta, s12, log s11, log s22)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray

from varfx.annotations.channels import Rows
from varfx.annotations.features import Features
from varfx.device import find_device
from varfx.likelihood.bivariate import PairVariances, pair_information
from varfx.likelihood.ldsr_closed import BlockJackknife
from varfx.likelihood.maximise import Pieces
from varfx.prior.correlation.pairs import PairedTraits
from varfx.prior.heritability.calibrate import log_factor_exp
from varfx.prior.heritability.errors import Steps
from varfx.prior.heritability.stacked import row_blocks
from varfx.progress import Progress

MAX_ETA = 6.0
NOISE = 3  # parameters s12, log s11, log s22, the last ones


@dataclass(frozen=True, eq=False)
class PairModel:
    """Variances and correlations of two traits at one theta.

    Attributes:
        traits: the priors of both.
        directions: D.
        theta: the parameters.
    """

    traits: PairedTraits
    directions: Features
    theta: Float[ndarray, " parameter"]

    @property
    def noise(self) -> tuple[float, float, float]:
        """Residual covariance and variances, (s12, s11, s22)."""
        s12, log_s11, log_s22 = self.theta[-NOISE:]
        return float(s12), math.exp(log_s11), math.exp(log_s22)

    def rows(self, rows: Rows) -> VariantPairs:
        """Variances and correlations of some variants."""
        D = np.ascontiguousarray(self.directions.rows(rows), dtype=np.float64)
        delta1, delta2, eta = np.split(self.theta[:-NOISE], 3)
        F1, F2 = (
            source.n_ref * source.f[rows] * log_factor_exp(D, delta)
            for source, delta in ((self.traits.first, delta1), (self.traits.second, delta2))
        )
        return VariantPairs(F1, F2, np.tanh(np.clip(D @ eta, -MAX_ETA, MAX_ETA)), D)


@dataclass(frozen=True, eq=False)
class VariantPairs:
    """Variances and correlations of some variants.

    Attributes:
        F1: N f of the first trait.
        F2: of the second.
        rho: correlation of effects.
        directions: rows of D.
    """

    F1: Float[ndarray, " row"]
    F2: Float[ndarray, " row"]
    rho: Float[ndarray, " row"]
    directions: Float[ndarray, "row direction"]


def pair_pieces(model: PairModel, device: str, progress: Progress) -> Pieces | None:
    """Likelihood of both traits, with scores and information, per window; None where a covariance is not positive definite."""
    where = find_device(device)
    s12, s11, s22 = model.noise
    found = []
    for done, (rows, pair) in enumerate(model.traits):
        here = model.rows(rows)
        F1, F2, rho, D = (torch.from_numpy(array).to(where) for array in (here.F1, here.F2, here.rho, here.directions))
        variances = PairVariances(F1=F1, F2=F2, rho=rho, directions=D, s11=s11, s22=s22, s12=s12)
        information = pair_information(pair.to(where), variances)
        if information is None:
            return None
        found.append(information)
        progress(done + 1, len(model.traits.windows), "windows")
    return Pieces.of(found)


@dataclass(frozen=True, eq=False)
class PairSums:
    """Sums of f1, f2 and rho sqrt(f1 f2) over a column, and the changes of them by deleted blocks.

    Attributes:
        jackknife: of the three sums.
        slopes: their derivatives by theta.
        steps: of the deleted blocks; None without standard errors.
    """

    jackknife: BlockJackknife
    slopes: Float[ndarray, "parameter 3"]
    steps: Steps | None


def pair_sums(
    model: PairModel, columns: Features, steps: Steps | None, counted: Bool[ndarray, " variant"]
) -> list[PairSums]:
    """Sums of f1, f2 and rho sqrt(f1 f2) per column.

    Args:
        model: at the maximum.
        columns: X.
        steps: of the deleted blocks; None without standard errors.
        counted: variants to sum over.
    """
    K = model.directions.width
    value = np.zeros((columns.width, 3))
    by_delta1, by_delta2, by_delta, by_eta = np.zeros((4, K, columns.width))
    for rows in row_blocks(counted):
        here, X = model.rows(rows), columns.rows(rows).astype(np.float64, copy=False)
        f1, f2 = here.F1 / model.traits.first.n_ref, here.F2 / model.traits.second.n_ref
        root = np.sqrt(f1 * f2)
        value += X.T @ np.column_stack([f1, f2, here.rho * root])
        D = here.directions.T
        by_delta1 += D @ (f1[:, None] * X)
        by_delta2 += D @ (f2[:, None] * X)
        by_delta += D @ ((0.5 * here.rho * root)[:, None] * X)
        by_eta += D @ (((1 - here.rho**2) * root)[:, None] * X)
    slopes = np.zeros((columns.width, model.theta.size, 3))
    slopes[:, :K, 0], slopes[:, K : 2 * K, 1] = by_delta1.T, by_delta2.T
    slopes[:, :K, 2] = slopes[:, K : 2 * K, 2] = by_delta.T
    slopes[:, 2 * K : 3 * K, 2] = by_eta.T
    found = []
    for mine, slope in zip(value, slopes, strict=True):
        moved = mine[None] if steps is None else mine + steps.values @ slope
        found.append(PairSums(BlockJackknife(estimate=mine, delete_values=moved), slope, steps))
    return found
