"""Newton's method with average information on a log-likelihood of independent pieces, and its one-step jackknife.

    theta_(-b) = theta - (H - AI_b)^-1 G_b       the maximum without block b, by one Newton step
    sandwich   = H^-1 (sum_b G_b G_b') H^-1 n / (n - 1)

Busing, Meijer & van der Leeden 1999 (jackknife by blocks); White 1982, Econometrica 50:1 (sandwich). Blocks: `varfx.likelihood.blocks`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from varfx.errors import DataError

MAX_STEP = 1.0  # of any parameter
MAX_ROUNDS = 60
SMALL_DECREMENT = 1e-5  # G' H^-1 G, in squared standard errors
LEAST_DAMPING, FIRST_DAMPING, MAX_DAMPING = 0.01, 0.1, 1e6
EASE, GROWTH = 2.0, 5.0  # of the damping
GOOD, POOR = 0.6, 0.25  # shares of the predicted change that lower or raise the damping
NO_CHANGE = -1e300  # of a step to where the likelihood does not exist


class PieceInformation(Protocol):
    """What one window's likelihood says of the parameters."""

    @property
    def log_p(self) -> float: ...  # noqa: D102  see `Pieces`
    @property
    def score(self) -> Float[ndarray, " parameter"]: ...  # noqa: D102
    @property
    def information(self) -> Float[ndarray, "parameter parameter"]: ...  # noqa: D102
    @property
    def curvature(self) -> Float[ndarray, "parameter parameter"]: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class Pieces:
    """A log-likelihood of independent pieces at one theta.

    Attributes:
        log_p: their sum.
        score: d log p / d theta per piece.
        information: average information per piece.
        curvature: what the parametrisation adds to minus the Hessian of the sum, for steps alone: it tends to 0 at an inner maximum, and is
            all there is where a variance tends to 0.
    """

    log_p: float
    score: Float[ndarray, "piece parameter"]
    information: Float[ndarray, "piece parameter parameter"]
    curvature: Float[ndarray, "parameter parameter"] | None = None

    @classmethod
    def of(cls, found: Sequence[PieceInformation]) -> Pieces:
        """The pieces one after the other; their curvatures are summed."""
        return cls(
            log_p=float(sum(each.log_p for each in found)),
            score=np.stack([each.score for each in found]),
            information=np.stack([each.information for each in found]),
            curvature=np.sum([each.curvature for each in found], axis=0),
        )


@dataclass(frozen=True)
class Round:
    """One Newton step: its change of the penalised log-likelihood (negative: refused), and its damping."""

    change: float
    damping: float


@dataclass(frozen=True, eq=False)
class Maximum:
    """Where the (penalised) likelihood is largest.

    Attributes:
        theta: the parameters.
        pieces: likelihood, scores and information there, without the penalty.
        rounds: the steps that led there.
        converged: whether the last Newton step was below a third of a hundredth of a standard error.
    """

    theta: Float[ndarray, " parameter"]
    pieces: Pieces
    rounds: tuple[Round, ...]
    converged: bool

    @property
    def covariance(self) -> Float[ndarray, "parameter parameter"]:
        """Inverse of the average information."""
        return scaled_inverse(self.pieces.information.sum(0))


def maximise(
    evaluate: Callable[[ndarray], Pieces | None],
    start: Float[ndarray, " parameter"],
    *,
    prior_precision: Float[ndarray, " parameter"] | None = None,
    max_rounds: int = MAX_ROUNDS,
) -> Maximum:
    """The theta of largest penalised likelihood, by damped Newton steps with average information (Levenberg-Marquardt).

    Args:
        evaluate: the pieces at a theta; None where the likelihood does not exist.
        start: the first theta.
        prior_precision: of a normal prior around 0 per parameter, which keeps parameters finite that the data do not bound.
        max_rounds: number of steps, refused ones included.

    Raises:
        DataError: the likelihood does not exist at the start.
    """
    precision = np.zeros(len(start)) if prior_precision is None else prior_precision
    theta, damping = np.asarray(start, dtype=np.float64), 0.0
    pieces = evaluate(theta)
    if pieces is None:
        raise DataError("the likelihood does not exist at the starting point: variances are not finite.")
    rounds: list[Round] = []
    converged = False
    for _ in range(max_rounds):
        gradient = pieces.score.sum(0) - precision * theta
        H = pieces.information.sum(0) + np.diag(precision)
        if pieces.curvature is not None:
            H = H + _positive_part(pieces.curvature)
        if float(gradient @ scaled_inverse(H) @ gradient) < SMALL_DECREMENT:
            converged = True
            break
        step = scaled_inverse(H + damping * np.diag(np.diag(H))) @ gradient
        step *= min(1.0, MAX_STEP / np.abs(step).max(initial=1e-300))
        predicted = float(step @ gradient - 0.5 * step @ H @ step)
        further = evaluate(theta + step)
        change = NO_CHANGE
        if further is not None and math.isfinite(further.log_p):
            change = _penalised(further, theta + step, precision) - _penalised(pieces, theta, precision)
        rounds.append(Round(change, damping))
        if further is not None and change > 0:
            theta, pieces = theta + step, further
        if change > GOOD * predicted:
            damping = 0.0 if damping < LEAST_DAMPING else damping / EASE
        elif change < POOR * predicted:
            damping = max(FIRST_DAMPING, damping * GROWTH)
        if damping > MAX_DAMPING:
            break
    return Maximum(theta, pieces, tuple(rounds), converged)


def _penalised(pieces: Pieces, theta: ndarray, precision: ndarray) -> float:
    return pieces.log_p - 0.5 * float(precision @ theta**2)


def _positive_part(A: Float[ndarray, "n n"]) -> Float[ndarray, "n n"]:
    values, vectors = np.linalg.eigh(A)
    return np.asarray((vectors * values.clip(0.0)) @ vectors.T)


def scaled_inverse(H: Float[ndarray, "n n"]) -> Float[ndarray, "n n"]:
    """Inverse of a positive semidefinite matrix after scaling its diagonal to 1; directions below 1e-10 are left out."""
    scale = np.sqrt(np.maximum(np.diag(H), 1e-300))
    values, vectors = np.linalg.eigh(H / scale[:, None] / scale)
    kept = values > 1e-10 * max(values[-1], 1e-300)
    inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    return np.asarray(inverse / scale[:, None] / scale)


def deleted_steps(
    pieces: Pieces, bounds: Int[ndarray, " bound"], prior_precision: Float[ndarray, " parameter"] | None = None
) -> Float[ndarray, "block parameter"]:
    """One Newton step each from theta to the maximum without a block of pieces: `-(H - AI_b)^-1 G_b`.

    Args:
        pieces: at the maximum.
        bounds: block b holds the pieces bounds[b] to bounds[b+1] - 1.
        prior_precision: as in `maximise`, part of H.
    """
    H = penalised_information(pieces, prior_precision)
    score, information = in_blocks(pieces.score, bounds), in_blocks(pieces.information, bounds)
    return np.stack([-scaled_inverse(H - each) @ g for g, each in zip(score, information, strict=True)])


def sandwich_steps(
    pieces: Pieces, bounds: Int[ndarray, " bound"], prior_precision: Float[ndarray, " parameter"] | None = None
) -> Float[ndarray, "block parameter"]:
    """Steps whose jackknife covariance is the sandwich `n / (n - 1) H^-1 (sum G_b G_b') H^-1` over n blocks.

    Args:
        pieces: at the maximum.
        bounds: of the blocks.
        prior_precision: as in `maximise`, part of H.
    """
    n = len(bounds) - 1
    inverse = scaled_inverse(penalised_information(pieces, prior_precision))
    return np.asarray(-n / (n - 1) * in_blocks(pieces.score, bounds) @ inverse)


def penalised_information(
    pieces: Pieces, prior_precision: Float[ndarray, " parameter"] | None = None
) -> Float[ndarray, "parameter parameter"]:
    """Average information of all pieces and of the prior."""
    H = pieces.information.sum(0)
    return np.asarray(H if prior_precision is None else H + np.diag(prior_precision))


def in_blocks(values: Float[ndarray, "piece ..."], bounds: Int[ndarray, " bound"]) -> Float[ndarray, "block ..."]:
    """Sums over blocks of pieces."""
    return np.asarray(np.add.reduceat(values, np.asarray(bounds)[:-1]))
