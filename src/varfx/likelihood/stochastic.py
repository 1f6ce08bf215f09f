"""The likelihood of a whitened window by random probes: cost r M instead of r^2 M, unbiased, with error bars.

    C = T B F B' T' + sigma2 I          P = diag(C) or nearly so, K behind it (see `probing`)

One block conjugate-gradient solve of `C [x_1 .. x_k, x_w] = [z_1 .. z_k, w]`, `E[z z'] = P`, gives everything:

    log|C|         = log|P| + tr log(P^-1 C)             by the quadrature that the coefficients of CG are
    w' C^-1 w      = w' x_w + x_w' (w - C x_w)           with an error of second order in the residual
    b_m' C^-1 b_m  = E[(b_m' x) (b_m' P^-1 z)]           `(b_m' P^-1 z)^2` as control variate
    tr C^-1        = tr P^-1 + E[(x - P^-1 z)' P^-1 z]

The score `b_m' C^-1 w` has no scatter at all. Probes are added until the error of the whole gradient, seen from the scatter
between probes, is what was asked for. What float32 or probes cannot do is done by float64 or `exact`, and the result says so.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from scipy.special import stdtrit
from torch import Tensor

from varfx.errors import ConfigError
from varfx.ld.whiten import WhitenedWindow
from varfx.likelihood.exact import exact
from varfx.likelihood.known_gradient import with_gradient
from varfx.likelihood.probing import Probing
from varfx.likelihood.result import LikelihoodResult, check_parameters, working_dtype
from varfx.linalg import (
    Estimate,
    Outcome,
    ScaledGram,
    Tridiagonals,
    cg,
    inverse_quadratic_diagonal,
    inverse_trace,
    quadrature_logdet,
)

logger = logging.getLogger(__name__)
FIRST_PROBES = 8
MAX_PROBES = 512
_RESIDUAL_SHARE = 0.01  # rtol of the solve, as a share of the gradient error asked for: its error is then not seen
_MIN_RTOL = {torch.float32: 1e-5, torch.float64: 1e-10}
_MAX_RTOL = 1e-2
_RESIDUAL_SLACK = 3.0  # by how much the recomputed residual may exceed rtol before the precision counts as exhausted
_MARGIN = 1.2  # more probes are drawn than the scatter so far asks for, so as not to come back for a few
_CHUNK = 4096  # variants whose probes are averaged at a time


def stochastic(
    window: WhitenedWindow,
    F: Float[Tensor, " variant"],
    sigma2: float | Tensor,
    *,
    gradient_error: float = 0.1,
    generator: torch.Generator,
    dtype: torch.dtype | None = None,
    num_probes: int | None = None,
    rtol: float | None = None,
    block_bytes: int | None = None,
) -> LikelihoodResult:
    """An unbiased estimate of the log marginal likelihood of a window and of its gradient, with errors.

    Args:
        window: whitened data; a half-precision `B` is converted block by block and never held twice.
        F: N times the variance of each variant's effect, not negative, (M,).
        sigma2: residual variance of z, positive.
        gradient_error: `|grad_F - exact| / |exact|` to aim at. Probes and tolerance follow from it.
        generator: of the probes; a CPU generator gives the same probes on every device.
        dtype: precision to compute in; by default the widest of the inputs, at least float32.
        num_probes: draw exactly this many, at least 2, whatever the error.
        rtol: residual of the solve, instead of what follows from `gradient_error`.
        block_bytes: size of a converted block of `B`; None chooses for the device.

    Returns:
        The result in the working precision, `log_p` carrying the estimated gradients. `engine` says what computed it:
        float64 where float32 did not suffice, and `exact` where the solve does not converge.

    Raises:
        DataError: `F` or `sigma2` are no variances, or shapes do not fit.
        ConfigError: an option out of range, or replicates.
    """
    F = torch.as_tensor(F, device=window.B.device)
    variance = sigma2 if isinstance(sigma2, Tensor) else torch.tensor(float(sigma2), dtype=torch.float64)
    check_parameters(window, F.detach(), variance.detach())
    if window.w.ndim != 1:
        raise ConfigError(
            f"engine stochastic takes one replicate, got {window.replicates}: use exact, which factorises once for all of them."
        )
    dtype = working_dtype(window, F, dtype)
    _check_options(gradient_error, dtype, num_probes, rtol)
    given = F.detach()
    failure = ""
    for precision in dict.fromkeys((dtype, torch.float64)):
        C = ScaledGram(
            B=window.B,
            F=given.to(precision),
            sigma2=float(variance.detach()),
            T=None if window.T is None else window.T.to(precision),
            block_bytes=block_bytes,
        )
        tolerance = rtol or min(max(_RESIDUAL_SHARE * gradient_error, _MIN_RTOL[precision]), _MAX_RTOL)
        run = _run(C, window.w.to(precision), tolerance, gradient_error, num_probes, generator)
        name = str(precision).removeprefix("torch.")
        if isinstance(run, _Estimates):
            return _result(run, F, variance, dtype, f"stochastic ({name}, {{}}{failure})", gradient_error, num_probes)
        failure = f": {name} was not enough"
        if run is Outcome.MAX_STEPS:
            failure = ": the solve does not converge"
            break
    logger.debug("stochastic gave up%s", failure)
    certain = exact(window, F, variance, dtype=dtype)
    return replace(certain, engine=f"{certain.engine}, for stochastic{failure}")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Batch:
    """One block solve, reduced to what the estimates need.

    Attributes:
        projected: `B' T' C^-1 z` of the probes.
        known: `B' K^-1 k`, what stands behind them.
        solutions: `C^-1 z` and `P^-1 z`.
        tridiagonals: of the probes.
    """

    projected: Float[Tensor, "variant probe"]
    known: Float[Tensor, "variant probe"]
    solutions: tuple[Float[Tensor, "rank probe"], Float[Tensor, "rank probe"]]
    tridiagonals: Tridiagonals


@dataclass(frozen=True, kw_only=True, eq=False)
class _Data:
    """Gradient terms of the associations, without scatter.

    Attributes:
        solved: `C^-1 w`.
        score: `B' T' C^-1 w`.
        quadratic: `w' C^-1 w`.
        error: `|e|_C / |C^-1 w|_C` of the solve.
    """

    solved: Float[Tensor, " rank"]
    score: Float[Tensor, " variant"]
    quadratic: float
    error: float


@dataclass(frozen=True, kw_only=True, eq=False)
class _Estimates:
    """Everything, in float64."""

    logdet: Estimate
    trace: Estimate
    data: _Data
    grad_F: Float[Tensor, " variant"]
    error: float
    num_probes: int
    freedom: int  # degrees of freedom behind the scatter of logdet and trace
    precision: torch.dtype


def _run(
    C: ScaledGram,
    w: Float[Tensor, " rank"],
    rtol: float,
    gradient_error: float,
    num_probes: int | None,
    generator: torch.Generator,
) -> _Estimates | Outcome:
    """The estimates in one precision, or why there are none."""
    probing = Probing.of(C)
    if probing is None:
        return Outcome.BREAKDOWN
    # Beyond these an exact evaluation costs less.
    max_steps, most = max(40, C.size // 16), min(MAX_PROBES, max(64, C.size // 4))
    batches: list[_Batch] = []
    data: _Data | None = None
    wanted = num_probes or min(first_probes(gradient_error), most)
    while True:
        drawn = sum(batch.tridiagonals.num_probes for batch in batches)
        solved = _solve(probing, wanted - drawn, None if data else w, rtol, max_steps, generator)
        if isinstance(solved, Outcome):
            return solved
        batches.append(solved[0])
        data = data or solved[1]
        assert data is not None
        estimates = _estimate(probing, batches, data)
        if num_probes is not None or estimates.error <= gradient_error or wanted >= most:
            return estimates
        ratio = min((estimates.error / gradient_error) ** 2 * _MARGIN, 8.0)  # the first scatter is rough: not too far
        wanted = min(math.ceil(wanted * max(ratio, 1.5) / 4) * 4, most)


def _solve(
    probing: Probing,
    num: int,
    w: Float[Tensor, " rank"] | None,
    rtol: float,
    max_steps: int,
    generator: torch.Generator,
) -> tuple[_Batch, _Data | None] | Outcome:
    """A block of probes, and the associations where they are given, in one solve."""
    C = probing.C
    Z, known = probing.draw(num, generator)
    rhs = Z if w is None else torch.cat([Z.T, w[None]]).T
    solution = cg(C, rhs, preconditioner=probing.P, rtol=rtol, max_steps=max_steps, verify=False)
    if solution.outcome is not Outcome.CONVERGED:
        return solution.outcome
    X = solution.value
    # One pass over B for all that is left: the projections, and the other half of a product for the residual.
    product, images, known = C.matmul_and_project(X, known)
    residual = rhs - product
    lengths, limits = torch.linalg.vector_norm(residual, dim=0), torch.linalg.vector_norm(rhs, dim=0)
    if not bool((lengths <= _RESIDUAL_SLACK * rtol * limits).all()):
        return Outcome.ROUNDING
    preconditioned = probing.P.solve(Z)
    batch = _Batch(
        projected=images[:, :num],
        known=known,
        solutions=(X[:, :num], preconditioned),
        tridiagonals=solution.tridiagonals(slice(0, num)),
    )
    if w is None:
        return batch, None
    x, rest = X[:, num].double(), residual[:, num]
    length = float(w.double() @ x)
    energy = float(rest.double() @ probing.P.solve(rest[:, None])[:, 0].double())
    data = _Data(
        solved=x,
        score=images[:, num].double(),
        quadratic=length + float(x @ rest.double()),
        error=math.sqrt(energy / length) if length > 0 else 0.0,
    )
    return batch, data


def _estimate(probing: Probing, batches: Sequence[_Batch], data: _Data) -> _Estimates:
    """All estimates from all probes so far."""
    tridiagonals = Tridiagonals.joined([batch.tridiagonals for batch in batches])
    mean = probing.mean_eigenvalue
    control = None if mean is None else tridiagonals.diagonal[:, 0] - mean
    solved, preconditioned = (torch.cat([batch.solutions[i] for batch in batches], dim=1) for i in (0, 1))
    size = data.score.shape[0]
    leverage, variance = data.score.new_empty(size), data.score.new_empty(size)
    for start in range(0, size, _CHUNK):
        rows = slice(start, start + _CHUNK)
        part = inverse_quadratic_diagonal(
            torch.cat([batch.projected[rows] for batch in batches], dim=1),
            torch.cat([batch.known[rows] for batch in batches], dim=1),
            probing.quadratic[rows],
        )
        leverage[rows], variance[rows] = part.value, part.stderr.square()
    squares = data.score.square()
    grad_F = 0.5 * (squares - leverage)
    # A slope fitted on the other probes is seen to fit the probes at hand a little better than it does.
    drawn = tridiagonals.num_probes
    scatter = 0.25 * float(variance.sum()) * drawn / (drawn - 1)
    # The scatter lengthens the gradient that is seen; the solve's own error moves each square by twice its share.
    length = float(grad_F.square().sum()) - scatter
    solve = data.error * float(squares.norm())
    error = math.sqrt((scatter + solve**2) / length) if length > 0 else (math.inf if scatter + solve > 0 else 0.0)
    return _Estimates(
        logdet=quadrature_logdet(tridiagonals, probing.P, mean_eigenvalue=mean),
        trace=inverse_trace(solved, preconditioned, probing.inverse_trace, control=control),
        data=data,
        grad_F=grad_F,
        error=error,
        num_probes=drawn,
        freedom=max(drawn - (1 if mean is None else 2), 1),
        precision=probing.C.dtype,
    )


def _result(
    run: _Estimates,
    F: Tensor,
    sigma2: Tensor,
    dtype: torch.dtype,
    engine: str,
    gradient_error: float,
    num_probes: int | None,
) -> LikelihoodResult:
    """The estimates as a result in the working precision."""
    solved, count = run.data.solved, run.num_probes
    log_det = run.logdet.value.to(solved.device)
    constant = solved.shape[0] * math.log(2 * math.pi)
    log_p = (-0.5 * (log_det + run.data.quadratic + constant)).to(dtype)
    grad_F = run.grad_F.to(dtype)
    grad_sigma2 = (0.5 * (solved.square().sum() - run.trace.value)).to(dtype)
    missed = num_probes is None and not run.error <= gradient_error
    text = f"{count} probes"
    if missed:
        text += f", gradient error {run.error:.2g} above the requested {gradient_error:g}"
    # Few probes know their scatter badly; Student's t makes up for it. What is known without scatter is as good as the
    # solve and the working precision.
    wider = 0.5 * float(stdtrit(run.freedom, 0.975)) / 1.96 * math.sqrt((count - 1) / run.freedom)
    unit = torch.finfo(run.precision).eps
    logdet, quadratic, length = float(log_det), run.data.quadratic, float(solved.square().sum())
    certain = 0.5 * (run.data.error**2 * quadratic + unit * (abs(logdet) + quadratic + constant))
    certain_trace = run.data.error * length + 0.5 * (unit + run.data.error**2) * (length + float(run.trace.value))
    return LikelihoodResult(
        log_p=with_gradient(log_p, (F, sigma2), (grad_F, grad_sigma2)),
        grad_F=grad_F,
        grad_sigma2=grad_sigma2,
        log_p_stderr=math.hypot(wider * float(run.logdet.stderr), certain),
        engine=engine.format(text),
        grad_F_error=run.error,
        grad_sigma2_stderr=math.hypot(wider * float(run.trace.stderr), certain_trace),
        outcome=Outcome.MAX_STEPS if missed else Outcome.CONVERGED,
        num_probes=count,
    )


def first_probes(gradient_error: float) -> int:
    """Initial number of probes: 8 on real LD give about 5 % (see docs/engines.md), and the error falls with the root."""
    return min(max(FIRST_PROBES, FIRST_PROBES * round((0.05 / gradient_error) ** 2)), 64)


def _check_options(gradient_error: float, dtype: torch.dtype, num_probes: int | None, rtol: float | None) -> None:
    if not 0 < gradient_error < math.inf:
        raise ConfigError(f"`gradient_error` must be positive, got {gradient_error}.")
    if dtype not in _MIN_RTOL:
        raise ConfigError(f"`dtype` must be torch.float32 or torch.float64, got {dtype}.")
    if num_probes is not None and num_probes < 2:
        raise ConfigError(f"`num_probes` must be at least 2, the fewest that know their error, got {num_probes}.")
    if rtol is not None and not 0 < rtol < 1:
        raise ConfigError(f"`rtol` must be between 0 and 1, got {rtol}.")
