"""The exact likelihood of a whitened window, with closed gradients (DeepWAS Eq. 3 in whitened form).

    C = B F B' + sigma2 I_r        log p = -1/2 [ log|C| + w' C^-1 w + r log 2 pi ]
    d log p / dF_m    = 1/2 [ (b_m' C^-1 w)^2 - b_m' C^-1 b_m ]
    d log p / dsigma2 = 1/2 [ |C^-1 w|^2 - tr C^-1 ]

Independent replicates (w with a second axis) share C: their log p are added, for one factorisation.

Two forms give the same numbers. The *rank form* factorises C (r x r). The *symmetric form* factorises
`A = I + F^1/2 B'B F^1/2 / sigma2` (M x M); it needs fewer operations where r is close to M, but loses more digits where
the signal is large next to sigma2. The conditioning of each is looked at, and what it cannot carry is done again by the
rank form in float64.
"""

from __future__ import annotations

import functools
import logging
import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from varfx.errors import ConfigError
from varfx.ld.whiten import WhitenedWindow
from varfx.likelihood.result import LikelihoodResult, check_parameters, working_dtype

logger = logging.getLogger(__name__)
Form = Literal["rank", "symmetric"]
GRAM_CALLS = (
    4  # calls with the same window object among which the one product B'B is shared when operations are counted
)
BLOCK_BYTES = 2**27  # of B in the working precision, converted and multiplied at a time
# Up to which `_Terms.condition` a form is trusted. Measured against float64 over F of 12 orders of magnitude and sigma2
# from 1e-6 to 1e3, the error of the gradient stayed below 1e-4 of its norm.
MAX_CONDITION: dict[tuple[Form, torch.dtype], float] = {
    ("rank", torch.float32): 3e3,
    ("rank", torch.float64): 1e12,
    ("symmetric", torch.float32): 3e2,
    ("symmetric", torch.float64): 1e4,
}


@dataclass(frozen=True, eq=False)
class _Terms:
    """Terms computed by both forms, and an upper estimate of the condition number of the factorised matrix."""

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
        window: whitened data, (r, M) and (r,), or (r, k) for k replicates, over which all results are sums.
        F: N times the variance of each variant's effect, not negative, (M,).
        sigma2: residual variance of z, positive (1 where nothing is confounded).
        dtype: precision to compute in; by default the widest of the inputs, at least float32.
        form: which matrix to factorise; by default the one with fewer operations.

    Returns:
        The result in the working precision; `log_p` carries first derivatives to `F` and `sigma2` where they require
        them. `engine` names the form and the precision that the numbers come from. Where even float64 cannot carry the
        range of F against sigma2 (about 1e12), all numbers are NaN and `engine` says so.

    Raises:
        DataError: `F` or `sigma2` are no variances, or shapes do not fit.
        ConfigError: another `dtype` than float32 and float64.
    """
    F = torch.as_tensor(F, device=window.B.device)
    variance = sigma2 if isinstance(sigma2, Tensor) else torch.tensor(float(sigma2), dtype=torch.float64)
    check_parameters(window, F.detach(), variance.detach())
    dtype = working_dtype(window, F, dtype)
    if dtype not in (torch.float32, torch.float64):
        raise ConfigError(f"`dtype` must be torch.float32 or torch.float64, got {dtype}.")
    form = form or cheaper_form(window)
    log_p, grad_F, grad_sigma2, engine = _Exact.apply(F, variance, window, dtype, form)  # type: ignore[no-untyped-call]
    return LikelihoodResult(
        log_p=log_p, grad_F=grad_F.detach(), grad_sigma2=grad_sigma2.detach(), log_p_stderr=0.0, engine=engine
    )


def cheaper_form(window: WhitenedWindow) -> Form:
    """The form with fewer floating-point operations."""
    rewhitened = None if window.T is None else window.B.shape[0]
    counts = operations(window.rank, window.num_variants, rewhitened, kept=window.kept)
    return "symmetric" if counts["symmetric"] < counts["rank"] else "rank"


def operations(rank: int, num_variants: int, rewhitened: int | None = None, *, kept: bool = True) -> dict[Form, float]:
    """Multiplications that each form takes.

    Rank form: half of `B F B'`, Cholesky and inverse of C, and `L^-1 B`; with T the products with it. Symmetric form:
    Cholesky and inverse of A, and a share of `B'B` (with T of `T B`), which is computed once per window object.

    Args:
        rank: r.
        num_variants: M.
        rewhitened: the number of rows of the stored B where there is a T.
        kept: whether the window object serves several calls.
    """
    r, stored, M, calls = rank, rewhitened or rank, num_variants, GRAM_CALLS if kept else 1
    gram = 5 / 8 * stored**2 * M
    by_rank, symmetric = gram + r**3 / 2 + r**2 * M / 2, M**3 / 2 + M**2 * r / calls
    if rewhitened is not None:
        by_rank = gram + r * stored * (stored + r) + r**3 / 2 + r**2 * stored / 2 + r * stored * M
        symmetric += r * stored * M / calls
    return {"rank": by_rank, "symmetric": symmetric}


class _Exact(torch.autograd.Function):
    """log p as one node of the graph: its gradient is known when the value is."""

    @staticmethod
    def forward(
        ctx: Any, F: Tensor, sigma2: Tensor, window: WhitenedWindow, dtype: torch.dtype, form: Form
    ) -> tuple[Tensor, Tensor, Tensor, str]:
        terms, engine = _compute(window, F, float(sigma2), dtype, form)
        log_p, grad_F, grad_sigma2 = (value.to(dtype) for value in (terms.log_p, terms.grad_F, terms.grad_sigma2))
        ctx.save_for_backward(grad_F, grad_sigma2)
        ctx.like = F.dtype, sigma2.dtype, sigma2.device, sigma2.shape
        ctx.mark_non_differentiable(grad_F, grad_sigma2)
        return log_p, grad_F, grad_sigma2, engine

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        grad_F, grad_sigma2 = ctx.saved_tensors
        F_dtype, dtype, device, shape = ctx.like
        by_sigma2 = (grads[0] * grad_sigma2).to(dtype=dtype, device=device).reshape(shape)
        return (grads[0] * grad_F).to(F_dtype), by_sigma2, None, None, None


def _compute(window: WhitenedWindow, F: Tensor, sigma2: float, dtype: torch.dtype, form: Form) -> tuple[_Terms, str]:
    """The terms, and what they come from in words."""
    compute = _rank_form if form == "rank" else _symmetric_form
    terms = compute(window, F.to(dtype), sigma2, dtype)
    name = str(dtype).removeprefix("torch.")
    if terms.condition <= MAX_CONDITION[form, dtype]:
        return terms, f"exact ({form} form, {name})"
    why = f"{name} was not enough" if form == "rank" else f"the symmetric form in {name} was not enough"
    if (form, dtype) != ("rank", torch.float64):
        _say_slow(F.device)
        terms = _rank_form(window, F.double(), sigma2, torch.float64)
    if terms.condition <= MAX_CONDITION["rank", torch.float64]:
        return terms, f"exact (rank form, float64: {why})"
    failed = "exact (failed: the range of F against sigma2 is beyond float64)"
    logger.warning("%s: largest F %.3g, sigma2 %.3g", failed, float(F.max()), sigma2)
    return _nothing(window, F.device), failed


@functools.cache
def _say_slow(device: torch.device) -> None:
    """Warns once per GPU that windows are computed in float64 there."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        logger.warning(
            "some windows need float64, which takes up to 64 times as long as float32 on consumer GPUs (%s)", name
        )


def _rank_form(window: WhitenedWindow, F: Tensor, sigma2: float, dtype: torch.dtype) -> _Terms:
    blocks = _column_blocks(window, dtype)
    stored = window.B.shape[0]
    G = torch.zeros(stored, stored, dtype=dtype, device=F.device)
    for columns in blocks:
        _add_lower_gram(G, window.B[:, columns].to(dtype), F[columns])
    left = None if window.T is None else window.T.to(dtype)
    C = G if left is None else left @ _mirror(G) @ left.T
    signal = _lower_norm(C)
    C.diagonal().add_(sigma2)
    L, failed = torch.linalg.cholesky_ex(C)
    lowest = L.diagonal().min().square()
    norm, broke, pivot = _numbers(signal, failed, lowest)
    if broke:
        return _nothing(window, F.device)
    w, k = _columns(window, dtype), window.replicates
    half_w = torch.linalg.solve_triangular(L, w, upper=False)
    solved_w = torch.linalg.solve_triangular(L.T, half_w, upper=True)
    log_det = 2 * L.diagonal().log().sum()
    half_left = None if left is None else torch.linalg.solve_triangular(L, left, upper=False)
    leverage, score2 = torch.empty_like(F), torch.empty_like(F)
    back = solved_w if left is None else left.T @ solved_w
    for columns in blocks:
        B = window.B[:, columns].to(dtype)
        half_B = torch.linalg.solve_triangular(L, B, upper=False) if half_left is None else half_left @ B
        leverage[columns] = half_B.square_().sum(0)
        score2[columns] = (back.T @ B).square_().sum(0)
    return _Terms(
        log_p=-0.5 * (k * log_det + half_w.square().sum() + window.num_terms * math.log(2 * math.pi)),
        grad_F=0.5 * (score2 - k * leverage),
        grad_sigma2=0.5 * (solved_w.square().sum() - k * torch.cholesky_inverse(L).trace()),
        condition=(sigma2 + norm) / pivot,
    )


def _symmetric_form(window: WhitenedWindow, F: Tensor, sigma2: float, dtype: torch.dtype) -> _Terms:
    R, w, k = window.gram(dtype), _columns(window, dtype), window.replicates
    u = _project(window, w)
    # Where F is 0 the formulas divide 0 by 0; a floor far below every other F leaves all other values as they are.
    root = F.clamp_min(max(float(F.max()) * 1e-14, 1e-30)).sqrt()
    A = (R * root).mul_((root / sigma2)[:, None])
    signal = _lower_norm(A)
    A.diagonal().add_(1)
    # The factor takes the place of A, the inverse that of the factor: one M x M matrix beside R on the CPU. On a GPU torch copies
    # inside both functions.
    L, failed = torch.linalg.cholesky_ex(A, out=(A, torch.empty((), dtype=torch.int32, device=A.device)))
    norm, broke = _numbers(signal, failed)
    if broke:
        return _nothing(window, F.device)
    u_root = u * root[:, None]
    y = torch.cholesky_solve(u_root, L)
    y_root = y * root[:, None]
    score = (u - R @ y_root / sigma2) / sigma2
    log_det = window.rank * math.log(sigma2) + 2 * L.diagonal().log().sum()
    quadratic = (w.square().sum() - (u_root * y).sum() / sigma2) / sigma2
    inverse = torch.cholesky_inverse(L, out=L)
    # b_m' C^-1 b_m, without the cancellation of (1 - A^-1_mm) / F_m
    leverage = (inverse.mul_(R) @ root) / (sigma2 * root)
    solved_w = (w - _expand(window, y_root / sigma2)) / sigma2
    trace = (window.rank - (F * leverage).sum()) / sigma2
    return _Terms(
        log_p=-0.5 * (k * log_det + quadratic + window.num_terms * math.log(2 * math.pi)),
        grad_F=0.5 * (score.square().sum(1) - k * leverage),
        grad_sigma2=0.5 * (solved_w.square().sum() - k * trace),
        condition=1 + norm,  # the smallest eigenvalue of A is at least 1
    )


def _columns(window: WhitenedWindow, dtype: torch.dtype) -> Tensor:
    """w with a column a replicate."""
    return window.w.to(dtype).reshape(window.rank, -1)


def _project(window: WhitenedWindow, w: Tensor) -> Tensor:
    """`B' T' w` for every column of w, B converted block by block."""
    back = w if window.T is None else window.T.to(w.dtype).T @ w
    return torch.cat([window.B[:, columns].to(w.dtype).T @ back for columns in _column_blocks(window, w.dtype)])


def _expand(window: WhitenedWindow, v: Tensor) -> Tensor:
    """`T B v`, likewise."""
    blocks = _column_blocks(window, v.dtype)
    stored = torch.stack([window.B[:, columns].to(v.dtype) @ v[columns] for columns in blocks]).sum(0)
    return stored if window.T is None else window.T.to(v.dtype) @ stored


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


def _lower_norm(G: Tensor) -> Tensor:
    """The Frobenius norm, no less than the largest eigenvalue, of the symmetric matrix whose lower triangle is that of G."""
    return (2 * G.tril().square().sum() - G.diagonal().square().sum()).sqrt()


def _numbers(*values: Tensor) -> list[float]:
    """The values as numbers: one wait for the device, whatever their count."""
    numbers: list[float] = torch.stack([value.double() for value in values]).tolist()
    return numbers


def _nothing(window: WhitenedWindow, device: torch.device) -> _Terms:
    """NaN terms for a factorisation that failed."""
    nan = torch.full((), math.nan, dtype=torch.float64, device=device)
    return _Terms(log_p=nan, grad_F=nan.repeat(window.num_variants), grad_sigma2=nan, condition=math.inf)
