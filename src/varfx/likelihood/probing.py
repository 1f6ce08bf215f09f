"""Source of a window's random probes: a matrix close to `C` with a known inverse.

The signal covariance in stored coordinates, `G = B F B' + sigma2 I`, is nearly diagonal wherever B is whitened: for a core
that is the whole panel and a constant F it *is* `F lam + sigma2`, the paper's preconditioner. So K = diag(G), one cheap pass
over B, plus exactly the few columns whose variance stands out (Woodbury). With `z = T k`, `E[k k'] = K`:

    E[(b' T' C^-1 z) (b' K^-1 k)] = b' T' C^-1 T b          and (b' K^-1 k)^2, of the known mean b' K^-1 b, takes the scatter out
    E[z z'] = T K T' = P                                     which is also the preconditioner of the solve

Without T, P is K. With T, P has no diagonal, but a Cholesky factor of r x r numbers: r^2 (s + r/3) operations.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from varfx.linalg import (
    CholeskyPreconditioner,
    DiagonalPreconditioner,
    LowRankPreconditioner,
    Preconditioner,
    Probe,
    ScaledGram,
)

OUTSTANDING = 2.0  # a column with F_m b_m' K^-1 b_m above this stands out: alone it moves an eigenvalue of K^-1 G to 3
MAX_COLUMNS = 64  # that are taken out


@dataclass(frozen=True, kw_only=True, eq=False)
class Probing:
    """The deterministic part of the estimates, and how to draw the random one.

    Attributes:
        C: the window's covariance.
        stored: G, the same without T.
        K: nearly G.
        P: `T K T'`, or K where there is no T.
        quadratic: `b_m' K^-1 b_m` of every column of the stored B.
        inverse_trace: `tr P^-1`.
        mean_eigenvalue: `tr(P^-1 C) / r` where it is known.
    """

    C: ScaledGram
    stored: ScaledGram
    K: DiagonalPreconditioner | LowRankPreconditioner
    P: Preconditioner
    quadratic: Float[Tensor, " variant"]
    inverse_trace: float
    mean_eigenvalue: float | None

    @staticmethod
    def of(C: ScaledGram) -> Probing | None:
        """The probing of a covariance, or None where its precision does not suffice to find one."""
        stored = ScaledGram(B=C.B, F=C.F, sigma2=C.sigma2, block_bytes=C.block_bytes)
        values = stored.diagonal()
        if not bool(((values > 0) & torch.isfinite(values)).all()):
            return None
        K: DiagonalPreconditioner | LowRankPreconditioner = DiagonalPreconditioner(values)
        quadratic = stored.column_quadratic(1 / values)
        outstanding = _outstanding(C.F * quadratic, stored.size)
        if outstanding.numel():
            K = _without(stored, outstanding)
            quadratic = stored.column_quadratic(1 / K.values) - stored.project(K.correction()).square().sum(dim=1)
        if C.T is None:
            mean = 1.0 if isinstance(K, DiagonalPreconditioner) else None
            return Probing(
                C=C,
                stored=stored,
                K=K,
                P=K,
                quadratic=quadratic,
                inverse_trace=_inverse_trace(K),
                mean_eigenvalue=mean,
            )
        half = K.sqrt_matmul(torch.eye(stored.size, dtype=C.dtype, device=C.device)).T @ C.T.T
        L, failed = torch.linalg.cholesky_ex(half.T @ half)
        if bool(failed):
            return None
        return Probing(
            C=C,
            stored=stored,
            K=K,
            P=CholeskyPreconditioner(L),
            quadratic=quadratic,
            inverse_trace=float(torch.cholesky_inverse(L).diagonal().double().sum()),
            mean_eigenvalue=None,
        )

    def draw(
        self, num: int, generator: torch.Generator
    ) -> tuple[Float[Tensor, "rank probe"], Float[Tensor, "stored probe"]]:
        """Probes z, and `K^-1 k` behind them."""
        # Normalising a probe in the quadrature of log|C| is unbiased for signs and, through a T that is not square,
        # for normal probes only.
        probe = Probe.RADEMACHER if self.C.T is None else Probe.GAUSSIAN
        k = self.K.sample(num, generator=generator, probe=probe)
        return k if self.C.T is None else (k.T @ self.C.T.T).T, self.K.solve(k)


def _outstanding(weights: Float[Tensor, " variant"], size: int) -> Tensor:
    """Indexes of the columns to take out, the largest first."""
    count = min(int((weights > OUTSTANDING).sum()), MAX_COLUMNS, size)
    return weights.topk(count).indices


def _without(stored: ScaledGram, columns: Tensor) -> LowRankPreconditioner:
    """K with some columns taken exactly, and the diagonal of the others."""
    U = stored.B[:, columns].to(stored.dtype) * stored.F[columns].sqrt()
    rest = stored.F.index_fill(0, columns, 0)  # not by subtraction, which would cancel
    others = ScaledGram(B=stored.B, F=rest, sigma2=stored.sigma2, block_bytes=stored.block_bytes)
    return LowRankPreconditioner.from_columns(others.diagonal(), U)


def _inverse_trace(K: DiagonalPreconditioner | LowRankPreconditioner) -> float:
    trace = (1 / K.values.double()).sum()
    if isinstance(K, LowRankPreconditioner):
        trace = trace - K.correction().double().square().sum()
    return float(trace)
