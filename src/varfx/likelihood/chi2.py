"""The data of the objectives that look at one association at a time: chi2 and squared correlations, no covariance.

E[chi2_m] = v_m = N_m / N_ref sum_k r2_mk F_k + sigma2                                (paper, Eq. 4)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from varfx.errors import DataError
from varfx.likelihood.result import check_parameters
from varfx.linalg.blocks import column_blocks


@dataclass(frozen=True, kw_only=True, eq=False)
class Chi2Window:
    """One window and trait.

    Attributes:
        squares: squared correlations of core with panel variants, corrected for their sampling bias; any precision.
        rows: which core variants have an association, ascending.
        chi2: their z squared; of replicates the mean.
        scale: their sample size over the reference one.
        weights: of their squared residuals, positive; what `ldsr` uses.
        replicates: how many independent replicates `chi2` is the mean of; all scores are sums over them.
        scatter: sum over replicates of their squared distances from that mean; None where there is one replicate.
    """

    squares: Float[Tensor, "core panel"]
    rows: Int[Tensor, " observed"]
    chi2: Float[Tensor, " observed"]
    scale: Float[Tensor, " observed"]
    weights: Float[Tensor, " observed"]
    replicates: int = 1
    scatter: Float[Tensor, " observed"] | None = None

    def __post_init__(self) -> None:
        shapes = [tuple(each.shape) for each in (self.rows, self.chi2, self.scale, self.weights)]
        if self.squares.ndim != 2 or len(set(shapes)) != 1 or len(shapes[0]) != 1:
            raise DataError(
                f"`squares` must have 2 axes, and `rows`, `chi2`, `scale` and `weights` one length; got "
                f"{tuple(self.squares.shape)} and {shapes}."
            )

    @property
    def num_variants(self) -> int:
        """The number of variants that may carry effects."""
        return self.squares.shape[1]

    @property
    def num_observed(self) -> int:
        """The number of associations over all replicates."""
        return self.chi2.shape[0] * self.replicates

    def signal(self, F: Float[Tensor, " panel"]) -> Float[Tensor, " observed"]:
        """`v_m - sigma2`, in the precision of F."""
        total = F.new_zeros(self.squares.shape[0])
        for part, block in column_blocks(self.squares, F.dtype):
            total.addmv_(block, F[part])
        return self.scale.to(F) * total[self.rows]

    def by_variant(self, by_signal: Float[Tensor, " observed"]) -> Float[Tensor, " panel"]:
        """The derivative by F of what has the derivative `by_signal` by `signal(F)`."""
        rows = by_signal.new_zeros(self.squares.shape[0])
        rows[self.rows] = self.scale.to(by_signal) * by_signal
        out = by_signal.new_empty(self.num_variants)
        for part, block in column_blocks(self.squares, by_signal.dtype):
            out[part] = block.T @ rows
        return out

    def to(self, device: torch.device | str, squares: Tensor | None = None) -> Chi2Window:
        """The same window on another device; `squares` if they are there already, for another trait."""
        return Chi2Window(
            squares=self.squares.to(device) if squares is None else squares,
            rows=self.rows.to(device),
            chi2=self.chi2.to(device),
            scale=self.scale.to(device),
            weights=self.weights.to(device),
            replicates=self.replicates,
            scatter=None if self.scatter is None else self.scatter.to(device),
        )


def checked(window: Chi2Window, F: Tensor, sigma2: float | Tensor) -> tuple[Tensor, Tensor, Tensor, float]:
    """F and sigma2 as tensors of the graph, F in the working precision, sigma2 as a number.

    Raises:
        DataError: they are no variances.
    """
    F = torch.as_tensor(F, device=window.squares.device)
    variance = sigma2 if isinstance(sigma2, Tensor) else torch.tensor(float(sigma2), dtype=torch.float64)
    check_parameters(window, F.detach(), variance.detach())
    return F, variance, F.detach().to(torch.promote_types(F.dtype, torch.float32)), float(variance.detach())
