"""The paper's own formulation: the likelihood of z under `A = R[i,+] F R[+,i] + sigma2 R[i,i] + eps I`.

Here so that the paper's Figure 2 can be redrawn and trusted (Cholesky; CG and stochastic Lanczos quadrature without
preconditioner, with randomised Nystrom, with the paper's structured preconditioner). Users are served by `exact`.

    log p = -1/2 [ log|A| + z' A^-1 z + n log 2 pi ]                                     y = A^-1 z
    d log p / dF_m    = 1/2 [ (r_m' y)^2 - r_m' A^-1 r_m ]                               r_m = column m of R[i,+]
    d log p / dsigma2 = 1/2 [ y' R y - tr(A^-1 R) ]                                      (B.2, with dA/dF_m = r_m r_m')

These are nats of the n associations z, smeared by the ridge. Whitened nats differ: where R[i,i] has full rank and eps is 0,
`log p(z) = log p(w) - 1/2 log|R[i,i]|` with equal gradients; where R[i,i] is singular the ridge adds a constant
`log eps / 2` and `z_null^2 / (2 eps)` for every direction outside its range, and blurs those with small eigenvalues.

Where the printed formulas slip (docs/paper.md derives each):

- Section 3 slices `A^(i) = R_(i),: F R_:,(i) + sigma2 R_(i),(i)`, and then "acts as though (i) = (i)+", which makes it
  `R^(i) F^(i) R^(i)`: flank variants would carry no effect. Here R[i,+] stays rectangular; the preconditioner alone is square.
- The printed banded form, `R_(i),(i) + F R_(i)+,(i) + sigma2 R`, has lost a product: it is `R_(i),(i)+ F R_(i)+,(i) + sigma2 R`.
- Woodbury's `Gamma = 1/(mu lam^2 + sigma2 lam) + eps` should be `g / (g + eps)` with `g = mu lam^2 + sigma2 lam`.
- `eps = 1e-4` next to `sigma_N^2 = sigma2 / N` (about 2e-6) would be N eps = 40 times the noise. It makes sense, and is used
  here, for z = sqrt(N) beta, where sigma2 is about 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override  # comes with torch; in `typing` from Python 3.12

from varfx.errors import ConfigError, DataError
from varfx.likelihood.known_gradient import with_gradient
from varfx.likelihood.paper.nystrom import nystrom
from varfx.likelihood.result import LikelihoodResult, check_parameters
from varfx.linalg import (
    EigenPreconditioner,
    Identity,
    LinearOperator,
    Preconditioner,
    Tridiagonals,
    cg,
    quadrature_logdet,
    symmetric_eigen,
)

Preconditioning = Literal["none", "nystrom", "structured"]
RIDGE = 1e-4  # B.1
NYSTROM_RANK = 64  # of the first sketch
NYSTROM_MAX_RANK = 512
QUADRATURE_STEPS = 100  # of CG whose coefficients make the Lanczos matrices


@dataclass(frozen=True, kw_only=True, eq=False)
class PaperWindow:
    """One window as the paper takes it: correlations, not whitened.

    Attributes:
        R_core: `R[i,i]` among the core variants.
        R_cross: `R[i,+]`, core by panel; the same tensor as `R_core` where there is no flank, which saves a product a step.
        z: associations of the core variants.
    """

    R_core: Float[Tensor, "core core"]
    R_cross: Float[Tensor, "core panel"]
    z: Float[Tensor, " core"]

    def __post_init__(self) -> None:
        size = self.z.shape[0] if self.z.ndim == 1 else -1
        if tuple(self.R_core.shape) != (size, size) or self.R_cross.ndim != 2 or self.R_cross.shape[0] != size:
            raise DataError(
                f"`R_core` {tuple(self.R_core.shape)}, `R_cross` {tuple(self.R_cross.shape)} and `z` {tuple(self.z.shape)} must "
                "be (core, core), (core, panel) and (core,)."
            )

    @property
    def num_variants(self) -> int:
        """The number of variants that may carry effects."""
        return self.R_cross.shape[1]

    @cached_property
    def eigen(self) -> tuple[Float[Tensor, " core"], Float[Tensor, "core core"]]:
        """lam (negative ones set to 0) and V of `R_core`: computed once, before training."""
        pairs = symmetric_eigen(self.R_core)
        return pairs.values, pairs.vectors

    def to(self, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> PaperWindow:
        """The same window in another precision or on another device."""
        square = self.R_core.to(dtype=dtype, device=device)
        cross = square if self.R_cross is self.R_core else self.R_cross.to(dtype=dtype, device=device)
        return PaperWindow(R_core=square, R_cross=cross, z=self.z.to(dtype=dtype, device=device))


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class RidgedCovariance(LinearOperator):
    """`A = R[i,+] F R[+,i] + sigma2 R[i,i] + eps I`, by products with the correlations; never formed."""

    window: PaperWindow
    F: Float[Tensor, " panel"]
    sigma2: float
    eps: float

    @property
    @override
    def like(self) -> Tensor:
        return self.window.R_core

    @override
    def matmul(self, X: Float[Tensor, "core k"]) -> Float[Tensor, "core k"]:
        R, rows = self.window.R_core, X.T
        inner = (rows @ self.window.R_cross).mul_(self.F)
        if self.window.R_cross is R:
            image = inner.add_(rows, alpha=self.sigma2) @ R
        else:
            image = torch.addmm(inner @ self.window.R_cross.T, rows, R, alpha=self.sigma2)
        return image.add_(rows, alpha=self.eps).T

    @override
    def diagonal(self) -> Float[Tensor, " core"]:
        return self.window.R_cross.square() @ self.F + self.sigma2 * self.window.R_core.diagonal() + self.eps


def cholesky(
    window: PaperWindow, F: Float[Tensor, " panel"], sigma2: float | Tensor, *, eps: float = RIDGE
) -> LikelihoodResult:
    """The likelihood of z by a Cholesky factor of A, in the precision of the window; NaN where A has none.

    Args:
        window: correlations and associations.
        F: N times the variance of each variant's effect.
        sigma2: residual variance of z.
        eps: the ridge; 0 is allowed where `R_core` has full rank.

    Raises:
        DataError: `F` or `sigma2` are no variances.
        ConfigError: `eps` is negative.
    """
    F, variance = _checked(window, F, sigma2, eps)
    values, level = F.detach().to(window.z), float(variance.detach())
    R, cross, z = window.R_core, window.R_cross, window.z
    A = torch.addmm(R, cross * values, cross.T, beta=level)
    A.diagonal().add_(eps)
    L, failed = torch.linalg.cholesky_ex(A)
    half_z = torch.linalg.solve_triangular(L, z[:, None], upper=False)
    y = torch.linalg.solve_triangular(L.T, half_z, upper=True)[:, 0]
    leverage = torch.linalg.solve_triangular(L, cross, upper=False).square_().sum(0)
    trace = torch.cholesky_inverse(L).mul_(R).sum()
    nats = -0.5 * (2 * L.diagonal().log().sum() + half_z.square().sum() + z.shape[0] * math.log(2 * math.pi))
    grad_F = 0.5 * ((y @ cross).square() - leverage)
    grad_sigma2 = 0.5 * (y @ (R @ y) - trace)
    engine = f"paper, Cholesky ({_name(window.z.dtype)})"
    if bool(failed):
        nats, grad_F, grad_sigma2 = (torch.full_like(each, math.nan) for each in (nats, grad_F, grad_sigma2))
        engine += ": A is not positive definite"
    return LikelihoodResult(
        log_p=with_gradient(nats, (F, variance), (grad_F, grad_sigma2)),
        grad_F=grad_F,
        grad_sigma2=grad_sigma2,
        log_p_stderr=0.0,
        engine=engine,
    )


def iterative(
    window: PaperWindow,
    F: Float[Tensor, " panel"],
    sigma2: float | Tensor,
    *,
    preconditioning: Preconditioning,
    generator: torch.Generator,
    num_probes: int = 100,
    rtol: float = 1e-6,
    max_steps: int = 1000,
    eps: float = RIDGE,
) -> LikelihoodResult:
    """The likelihood of z by CG and stochastic Lanczos quadrature, in the precision of the window (Figure 2's settings).

    One block CG on `[probes | z]` gives the solves, and its coefficients the Lanczos matrices (Gardner et al. 2018): less
    work than the separate runs of the paper's library, so that the baseline stands at its best. Probes u have covariance
    P (the identity without preconditioner), and `tr(A^-1 dA) = E[(A^-1 u)' dA (P^-1 u)]`: plain Hutchinson, as in B.2.

    Args:
        window: correlations and associations.
        F: N times the variance of each variant's effect.
        sigma2: residual variance of z.
        preconditioning: "structured" is the paper's `V [mu lam^2 + sigma2 lam] V' + eps I` with mu = mean F.
        generator: of the probes.
        num_probes: right-hand sides besides z.
        rtol: of CG.
        max_steps: of CG; `engine` says so where it ends there.
        eps: the ridge.

    Raises:
        DataError: `F` or `sigma2` are no variances, or a preconditioner needs a ridge and `eps` is 0.
        ConfigError: `eps` is negative.
    """
    F, variance = _checked(window, F, sigma2, eps)
    operator = RidgedCovariance(window=window, F=F.detach().to(window.z), sigma2=float(variance.detach()), eps=eps)
    P = _preconditioner(operator, preconditioning, generator)
    probes = P.sample(num_probes, generator=generator)
    solution = cg(
        operator, torch.cat([probes, window.z[:, None]], dim=1), preconditioner=P, rtol=rtol, max_steps=max_steps
    )
    solved, y = solution.value[:, :num_probes], solution.value[:, num_probes]
    logdet = quadrature_logdet(_first_steps(solution.tridiagonals(slice(0, num_probes)), QUADRATURE_STEPS), P)
    known = P.solve(probes)
    R, cross = window.R_core, window.R_cross
    leverage = torch.linalg.vecdot(solved.T @ cross, known.T @ cross, dim=0) / num_probes
    trace = torch.linalg.vecdot(solved, R @ known, dim=0).mean()
    nats = -0.5 * (logdet.value.to(window.z) + window.z @ y + window.z.shape[0] * math.log(2 * math.pi))
    grad_F = 0.5 * ((y @ cross).square() - leverage)
    grad_sigma2 = 0.5 * (y @ (R @ y) - trace)
    steps = int(solution.steps.max())
    return LikelihoodResult(
        log_p=with_gradient(nats, (F, variance), (grad_F, grad_sigma2)),
        grad_F=grad_F,
        grad_sigma2=grad_sigma2,
        log_p_stderr=0.5 * float(logdet.stderr),
        engine=f"paper, CG + SLQ (preconditioner: {preconditioning}; {_name(window.z.dtype)}): {steps} steps, "
        f"{solution.outcome.name}, residual {solution.rel_residual:.0e}",
    )


def _preconditioner(
    operator: RidgedCovariance, preconditioning: Preconditioning, generator: torch.Generator
) -> Preconditioner:
    match preconditioning:
        case "none":
            return Identity(operator.size, operator.dtype, operator.device)
        case "nystrom":
            limit = min(NYSTROM_MAX_RANK, operator.size)
            return nystrom(
                operator,
                shift=operator.eps,
                generator=generator,
                rank=min(NYSTROM_RANK, limit),
                max_rank=limit,
            ).preconditioner
        case "structured":
            lam, V = operator.window.eigen
            g = operator.F.mean() * lam.square() + operator.sigma2 * lam
            return EigenPreconditioner(V=V, values=g + operator.eps, rest=operator.eps)


def _first_steps(tridiagonals: Tridiagonals, limit: int) -> Tridiagonals:
    """The matrices of the first steps only: eigenvalues of hundreds of rows would cost more than CG itself."""
    steps = tridiagonals.steps.clamp(max=limit)
    if int(tridiagonals.steps.max()) <= limit:
        return tridiagonals
    return Tridiagonals.padded(
        tridiagonals.diagonal[:, :limit], tridiagonals.off_diagonal[:, : limit - 1], steps, tridiagonals.outcome
    )


def _checked(
    window: PaperWindow, F: Float[Tensor, " panel"], sigma2: float | Tensor, eps: float
) -> tuple[Float[Tensor, " panel"], Tensor]:
    F = torch.as_tensor(F, device=window.z.device)
    variance = sigma2 if isinstance(sigma2, Tensor) else torch.tensor(float(sigma2), dtype=torch.float64)
    check_parameters(window, F.detach(), variance.detach())
    if not 0 <= eps < math.inf:
        raise ConfigError(f"`eps` must be finite and not negative, got {eps}. The paper has 1e-4.")
    return F, variance


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
