"""Result of every likelihood engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from varfx.errors import DataError
from varfx.ld.whiten import WhitenedWindow
from varfx.linalg import Outcome
from varfx.short_repr import short_repr


@dataclass(frozen=True, kw_only=True, eq=False)
class LikelihoodResult:
    """The log marginal likelihood of one window, and its gradient.

    Attributes:
        log_p: total nats of the window's whitened data. Differentiable with respect to `F` and `sigma2` if they
            require gradients.
        grad_F: derivative of `log_p` by each variant's F.
        grad_sigma2: derivative of `log_p` by sigma2.
        log_p_stderr: standard error of `log_p`, such that +-1.96 of it hold 95 %; 0 for exact engines.
        engine: what computed it, e.g. "exact (rank form, float32)"; says so where float32 was not enough.
        grad_F_error: estimated error of `grad_F`, relative to its norm; 0 for exact engines.
        grad_sigma2_stderr: standard error of `grad_sigma2`, in the sense of `log_p_stderr`.
        outcome: MAX_STEPS where a requested error was not reached; its numbers are still unbiased.
        num_probes: how many random probes were averaged; 0 for exact engines.
    """

    __repr__ = short_repr

    log_p: Float[Tensor, ""]
    grad_F: Float[Tensor, " variant"]
    grad_sigma2: Float[Tensor, ""]
    log_p_stderr: float
    engine: str
    grad_F_error: float = 0.0
    grad_sigma2_stderr: float = 0.0
    outcome: Outcome = Outcome.CONVERGED
    num_probes: int = 0


def working_dtype(window: WhitenedWindow, F: Tensor, dtype: torch.dtype | None) -> torch.dtype:
    """The precision to compute in: `dtype` if given, else the widest of the inputs, at least float32."""
    if dtype is not None:
        return dtype
    wide = torch.promote_types(torch.promote_types(window.B.dtype, window.w.dtype), F.dtype)
    return torch.promote_types(wide, torch.float32)


class VariantWindow(Protocol):
    """The data of one window, in whatever form."""

    @property
    def num_variants(self) -> int:
        """The number of variants that may carry effects."""
        ...


def check_parameters(window: VariantWindow, F: Tensor, sigma2: Tensor) -> None:
    """Checks that F and sigma2 can be variances of this window.

    Raises:
        DataError: wrong shape, negative or not finite values.
    """
    if F.shape != (window.num_variants,):
        raise DataError(
            f"`F` must have shape ({window.num_variants},), one value per variant of the panel, got {tuple(F.shape)}."
        )
    bad = ~(torch.isfinite(F) & (F >= 0))
    wrong = ~(torch.isfinite(sigma2) & (sigma2 > 0))
    any_bad, any_wrong = torch.stack([bad.any(), wrong.any().to(F.device)]).tolist()  # one wait for the device
    if any_bad:
        first = int(bad.nonzero()[0])
        raise DataError(
            f"`F` must be finite and not negative: {int(bad.sum())} of {F.numel()} are not, first F[{first}] = {float(F[first])}."
        )
    if sigma2.numel() != 1 or any_wrong:
        raise DataError(f"`sigma2` must be one positive number, got {sigma2.tolist()}.")
