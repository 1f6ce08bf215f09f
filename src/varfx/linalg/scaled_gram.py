"""The covariance of a linear model, `C = T B diag(F) B' T' + sigma2 I`, which is never formed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override  # comes with torch; in `typing` from Python 3.12

from varfx.errors import DataError
from varfx.linalg.blocks import column_blocks, default_block_bytes
from varfx.linalg.operators import LinearOperator, require_finite
from varfx.short_repr import short_repr


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class ScaledGram(LinearOperator):
    """`C = T B diag(F) B' T' + sigma2 I`, in the precision of `F`.

    `B` may have any other floating dtype: its column blocks are converted one at a time, once per product, so that a pass
    holds `block_bytes` besides `B` and float64 needs no second `B`.

    Attributes:
        B: (s, M); also a view of a memory-mapped file.
        F: variances of the M columns, not negative; their dtype and device are the operator's.
        sigma2: variance of the noise, not negative.
        T: (r, s), or None for the identity, when r = s.
        block_bytes: the size of a converted block; None chooses for the device, and takes a `B` that needs no conversion whole.

    Raises:
        DataError: on construction, for shapes that do not fit and variances that are negative or not finite.
    """

    __repr__ = short_repr

    B: Float[Tensor, "s m"]
    F: Float[Tensor, " m"]
    sigma2: float
    T: Float[Tensor, "r s"] | None = None
    block_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.B.ndim != 2 or self.F.shape != self.B.shape[1:]:
            raise DataError(
                f"`F` must hold one variance per column of `B`: `B` has shape {tuple(self.B.shape)}, `F` {tuple(self.F.shape)}."
            )
        if self.T is not None and (
            self.T.ndim != 2 or self.T.shape[1] != self.B.shape[0] or self.T.dtype != self.F.dtype
        ):
            raise DataError(
                f"`T` must have one column per row of `B` and the dtype of `F`: `B` has {self.B.shape[0]} rows, `F` is {self.F.dtype}, "
                f"`T` is {self.T.dtype} of shape {tuple(self.T.shape)}."
            )
        if not 0 <= self.sigma2 < torch.inf:
            raise DataError(f"`sigma2` must be finite and not negative, got {self.sigma2}.")
        require_finite("F", self.F)
        lowest = float(self.F.min()) if self.F.numel() else 0.0
        if lowest < 0:
            raise DataError(
                f"`F` holds variances and must not be negative: {int((self.F < 0).sum())} of {self.F.numel()} are, "
                f"the lowest at index {int(self.F.argmin())} ({lowest:.3g})."
            )

    @property
    @override
    def size(self) -> int:
        return self.B.shape[0] if self.T is None else self.T.shape[0]

    @property
    @override
    def like(self) -> Tensor:
        return self.F

    @property
    def num_columns(self) -> int:
        """M, the number of columns of `B`."""
        return self.B.shape[1]

    def matmul(self, X: Float[Tensor, "r k"]) -> Float[Tensor, "r k"]:
        """`C X`: each block of `B` is converted once and used in both products while it is in the cache."""
        rows = self._left(X)
        out = torch.zeros_like(rows, memory_format=torch.contiguous_format)
        for part, block in self._blocks():
            out.addmm_((rows @ block).mul_(self.F[part]), block.T)
        return self._with_noise(out, X)

    def matmul_and_project(
        self, X: Float[Tensor, "r k"], also: Float[Tensor, "s j"]
    ) -> tuple[Float[Tensor, "r k"], Float[Tensor, "m k"], Float[Tensor, "m j"]]:
        """`C X`, `B' T' X` and `B' also`, in one pass over `B`."""
        rows = self._left(X)
        both, width = torch.cat([rows, also.T]), rows.shape[0]
        out = rows.new_zeros((width, self.B.shape[0]))
        projected = rows.new_empty((both.shape[0], self.num_columns))
        for part, block in self._blocks():
            torch.mm(both, block, out=projected[:, part])
            out.addmm_(projected[:width, part] * self.F[part], block.T)
        return self._with_noise(out, X), projected[:width].T, projected[width:].T

    def project(self, X: Float[Tensor, "r k"]) -> Float[Tensor, "m k"]:
        """`B' T' X`."""
        rows = self._left(X)
        out = rows.new_empty((rows.shape[0], self.num_columns))
        for part, block in self._blocks():
            torch.mm(rows, block, out=out[:, part])
        return out.T

    def expand(self, Y: Float[Tensor, "m k"]) -> Float[Tensor, "r k"]:
        """`T B Y`, so that `C X = expand(F * project(X)) + sigma2 X`."""
        rows = Y.T
        out = rows.new_zeros((rows.shape[0], self.B.shape[0]))
        for part, block in self._blocks():
            out.addmm_(rows[:, part], block.T)
        return out.T if self.T is None else (out @ self.T.T).T

    def diagonal(self) -> Float[Tensor, " r"]:
        """`sum_m F_m (T B)_im^2 + sigma2`: one pass over `B` without `T`; with it, the full product `T B`, r s M flops."""
        total = self.F.new_zeros(self.size)
        for part, squares in self._squares():
            total.addmv_(squares, self.F[part])
        return total.add_(self.sigma2)

    def column_quadratic(self, weights: Float[Tensor, " r"]) -> Float[Tensor, " m"]:
        """`b_m' diag(weights) b_m` for every column b_m of `T B`; costs what `diagonal` does."""
        out = self.F.new_empty(self.num_columns)
        for part, squares in self._squares():
            torch.mv(squares.T, weights, out=out[part])
        return out

    def _with_noise(self, signal: Float[Tensor, "k s"], X: Float[Tensor, "r k"]) -> Float[Tensor, "r k"]:
        image = signal.T if self.T is None else (signal @ self.T.T).T
        return image.add_(X, alpha=self.sigma2)

    def _left(self, X: Float[Tensor, "r k"]) -> Float[Tensor, "k s"]:
        return X.T if self.T is None else X.T @ self.T

    def _blocks(self) -> Iterator[tuple[slice, Float[Tensor, "s block"]]]:
        return column_blocks(self.B, self.dtype, self.block_bytes)

    def _squares(self) -> Iterator[tuple[slice, Float[Tensor, "r block"]]]:
        # Blocks even where `B` needs no conversion: the squares must not take a second `B`.
        budget = self.block_bytes or default_block_bytes(self.device)
        buffer: Tensor | None = None  # the squares overwrite one another: fresh memory would cost more than they do
        for part, block in column_blocks(self.B, self.dtype, budget):
            columns = block if self.T is None else self.T @ block
            if buffer is None:
                buffer = torch.empty_like(columns, memory_format=torch.contiguous_format)
            yield part, torch.mul(columns, columns, out=buffer[:, : columns.shape[1]])
