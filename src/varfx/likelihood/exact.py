"""The exact likelihood of a whitened window, with closed gradients (DeepWAS Eq. 3 in whitened form).

    C = B F B' + sigma2 I_r        log p = -1/2 [ log|C| + w' C^-1 w + r log 2 pi ]
    d log p / dF_m    = 1/2 [ (b_m' C^-1 w)^2 - b_m' C^-1 b_m ]
    d log p / dsigma2 = 1/2 [ |C^-1 w|^2 - tr C^-1 ]

Two forms give the same numbers. The *rank form* factorises C (r x r). The *symmetric form* factorises
`A = I + F^1/2 B'B F^1/2 / sigma2` (M x M); it needs fewer operations where r is close to M. In float32 the factor's
conditioning is looked at, and what float32 cannot carry is done again in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from varfx.ld.whiten import WhitenedWindow
from varfx.likelihood.result import LikelihoodResult, check_parameters, working_dtype

Form = Literal["rank", "symmetric"]
BLOCK_BYTES = 2**27  # of B in the working precision, converted and multiplied at a time
FLOAT32_MAX_CONDITION = 1e5  # of C or A, estimated from the diagonal of its Cholesky factor


@dataclass(frozen=True, eq=False)
class _Terms:
    """What the forms compute."""

    log_p: Tensor
    grad_F: Tensor
    grad_sigma2: Tensor
    condition: float


def exact(
    window: WhitenedWindow,
    F: Float[Tensor, " variant"],
    sigma2: float | Tensor,
    *,
    dtype: torch.dtype | None = None,
    form: Form | None = None,
) -> LikelihoodResult:
    """The log marginal likelihood of a window and its exact gradient.

    Args:
        window: whitened data, (r, M) and (r,).
        F: N times the variance of each variant's effect, not negative, (M,).
        sigma2: residual variance of z, positive (1 where nothing is confounded).
        dtype: precision to compute in; by default the widest of the inputs, at least float32.
        form: which matrix to factorise; by default the one with fewer operations.

    Returns:
        The result in the working precision; `log_p` carries gradients to `F` and `sigma2` where they require them.

    Raises:
        DataError: `F` or `sigma2` are no variances, or shapes do not fit.
    """
    F = torch.as_tensor(F, device=window.B.device)
    variance = sigma2 if isinstance(sigma2, Tensor) else torch.tensor(float(sigma2), dtype=torch.float64)
    check_parameters(window, F.detach(), variance.detach())
    dtype = working_dtype(window, F, dtype)
    form = form or cheaper_form(window.rank, window.num_variants)
    log_p, grad_F, grad_sigma2, engine = _Exact.apply(F, variance, window, dtype, form)  # type: ignore[no-untyped-call]
    return LikelihoodResult(
        log_p=log_p, grad_F=grad_F.detach(), grad_sigma2=grad_sigma2.detach(), log_p_stderr=0.0, engine=engine
    )


def cheaper_form(rank: int, num_variants: int) -> Form:
    """The form with fewer floating-point operations: about 2.25 r^2 M + r^3 against M^3."""
    return "symmetric" if num_variants**3 < 2.25 * rank**2 * num_variants + rank**3 else "rank"


class _Exact(torch.autograd.Function):
    """log p as one node of the graph: its gradient is known when the value is."""

    @staticmethod
    def forward(
        ctx: Any, F: Tensor, sigma2: Tensor, window: WhitenedWindow, dtype: torch.dtype, form: Form
    ) -> tuple[Tensor, Tensor, Tensor, str]:
        compute = _rank_form if form == "rank" else _symmetric_form
        terms = compute(window, F.to(dtype), float(sigma2), dtype)
        engine = f"exact ({form} form, {str(dtype).removeprefix('torch.')})"
        if dtype == torch.float32 and not terms.condition < FLOAT32_MAX_CONDITION:
            terms = compute(window, F.double(), float(sigma2), torch.float64)
            engine = f"exact ({form} form, float64: float32 was not enough)"
        log_p, grad_F, grad_sigma2 = (value.to(dtype) for value in (terms.log_p, terms.grad_F, terms.grad_sigma2))
        ctx.save_for_backward(grad_F, grad_sigma2)
        ctx.dtypes, ctx.shape = (F.dtype, sigma2.dtype), sigma2.shape
        ctx.mark_non_differentiable(grad_F, grad_sigma2)
        return log_p, grad_F, grad_sigma2, engine

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        grad_F, grad_sigma2 = ctx.saved_tensors
        by_F, by_sigma2 = ctx.dtypes
        return (grads[0] * grad_F).to(by_F), (grads[0] * grad_sigma2).to(by_sigma2).reshape(ctx.shape), None, None, None


def _rank_form(window: WhitenedWindow, F: Tensor, sigma2: float, dtype: torch.dtype) -> _Terms:
    blocks = _column_blocks(window, dtype)
    stored = window.B.shape[0]
    G = torch.zeros(stored, stored, dtype=dtype, device=F.device)
    for columns in blocks:
        _add_lower_gram(G, window.B[:, columns].to(dtype), F[columns])
    left = None if window.T is None else window.T.to(dtype)
    C = G if left is None else left @ _mirror(G) @ left.T
    C.diagonal().add_(sigma2)
    L, failed = torch.linalg.cholesky_ex(C)
    if bool(failed):
        return _failed(window, F, dtype)
    w = window.w.to(dtype)
    half_w = torch.linalg.solve_triangular(L, w[:, None], upper=False)
    solved_w = torch.linalg.solve_triangular(L.T, half_w, upper=True)[:, 0]
    log_det = 2 * L.diagonal().log().sum()
    half_left = None if left is None else torch.linalg.solve_triangular(L, left, upper=False)
    leverage, score = torch.empty_like(F), torch.empty_like(F)
    back = solved_w if left is None else left.T @ solved_w
    for columns in blocks:
        B = window.B[:, columns].to(dtype)
        half_B = torch.linalg.solve_triangular(L, B, upper=False) if half_left is None else half_left @ B
        leverage[columns] = half_B.square_().sum(0)
        score[columns] = back @ B
    return _Terms(
        log_p=-0.5 * (log_det + half_w.square().sum() + window.rank * math.log(2 * math.pi)),
        grad_F=0.5 * (score.square() - leverage),
        grad_sigma2=0.5 * (solved_w.square().sum() - torch.cholesky_inverse(L).trace()),
        condition=_condition(L),
    )


def _symmetric_form(window: WhitenedWindow, F: Tensor, sigma2: float, dtype: torch.dtype) -> _Terms:
    B = window.merged(dtype)
    w = B.w
    R = B.B.T @ B.B
    u = B.B.T @ w
    # Where F is 0 the formulas divide 0 by 0; a floor far below every other F leaves all other values as they are.
    root = F.clamp_min(max(float(F.max()) * 1e-14, 1e-30)).sqrt()
    A = (root[:, None] * R * root).div_(sigma2)
    A.diagonal().add_(1)
    L, failed = torch.linalg.cholesky_ex(A)
    if bool(failed):
        return _failed(window, F, dtype)
    y = torch.cholesky_solve((root * u)[:, None], L)[:, 0]
    score = (u - R @ (root * y) / sigma2) / sigma2
    log_det = window.rank * math.log(sigma2) + 2 * L.diagonal().log().sum()
    quadratic = (w.square().sum() - (u * root) @ y / sigma2) / sigma2
    inverse = torch.cholesky_inverse(L)
    leverage = (inverse.mul_(R) @ root) / (
        sigma2 * root
    )  # b_m' C^-1 b_m without the cancellation of (1 - A^-1_mm) / F_m
    solved_w = (w - B.B @ (root * y) / sigma2) / sigma2
    trace = (window.rank - (F * leverage).sum()) / sigma2
    return _Terms(
        log_p=-0.5 * (log_det + quadratic + window.rank * math.log(2 * math.pi)),
        grad_F=0.5 * (score.square() - leverage),
        grad_sigma2=0.5 * (solved_w.square().sum() - trace),
        condition=_condition(L),
    )


def _column_blocks(window: WhitenedWindow, dtype: torch.dtype) -> list[slice]:
    """Slices of the columns of B; one for all where B need not be converted."""
    if window.B.dtype == dtype:
        width = window.num_variants
    else:
        width = max(1, BLOCK_BYTES // (window.B.shape[0] * dtype.itemsize))
    return [slice(start, start + width) for start in range(0, window.num_variants, width)]


def _add_lower_gram(G: Tensor, B: Tensor, F: Tensor, num_blocks: int = 4) -> None:
    """Adds the lower triangle of `B F B'` to G, by block rows: 5/8 of the operations of the whole product."""
    size = -(-B.shape[0] // num_blocks)
    for start in range(0, B.shape[0], size):
        rows = slice(start, start + size)
        G[rows, : start + size].addmm_(B[rows] * F, B[: start + size].T)


def _mirror(G: Tensor) -> Tensor:
    """The symmetric matrix whose lower triangle is that of G."""
    return G.tril() + G.tril(-1).T


def _condition(L: Tensor) -> float:
    diagonal = L.diagonal()
    return float((diagonal.max() / diagonal.min()).square())


def _failed(window: WhitenedWindow, F: Tensor, dtype: torch.dtype) -> _Terms:
    """Asks for float64 by an infinite condition; in float64 the caller sees NaN."""
    nan = torch.full((), math.nan, dtype=dtype, device=F.device)
    return _Terms(log_p=nan, grad_F=nan.expand(window.num_variants).clone(), grad_sigma2=nan, condition=math.inf)
