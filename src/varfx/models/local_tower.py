"""Enformer's stem and tower around one changed base: the reference's values everywhere else are kept, of one window or of several.

A base reaches 15 positions through the stem's convolution, half as many after pooling, then four more with each stage before
the next halving: never more than eight. Each stage recomputes these few positions from the kept input of the reference
with the changed ones laid over it, which is exact: the same products and sums as in the whole window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from varfx.models.enformer import Enformer


@dataclass(frozen=True, eq=False)
class ChangedBins:
    """The bins that a changed base may change, as many for each variant, all inside the window.

    Attributes:
        first: the first of them; the others follow.
        values: their values after the tower.
    """

    first: Int64[Tensor, " variant"]
    values: Float[Tensor, "variant bin channel"]


@dataclass(frozen=True, eq=False)
class _Stage:
    """One halving of the reference: `padded` is what its convolution reads, with `half + 1` zeros around."""

    before: nn.Module  # what stands before the convolution, position by position
    convolution: nn.Conv1d
    after: nn.Sequential  # the residual block, position by position, and the pooling of pairs
    padded: Float[Tensor, "window channel position"]
    length: int  # positions of the input

    @property
    def half(self) -> int:
        return self.convolution.kernel_size[0] // 2


class LocalTower:
    """Stem and tower of a reference sequence, or of several, kept so that changes of one base are cheap.

    The network must be in evaluation mode: with statistics of the pass, every bin depends on every base.

    Args:
        network: the Enformer.
        reference: what it sees, on its device and in its dtype; of several windows along the first axis.

    Attributes:
        bins: the reference after the tower.
    """

    bins: Float[Tensor, "*window bin channel"]

    @torch.no_grad()
    def __init__(self, network: Enformer, reference: Float[Tensor, "*window position channel"]) -> None:
        self._stages: list[_Stage] = []
        x = reference.mT if reference.ndim == 3 else reference.mT[None]
        for number, stage in enumerate([network.stem, *network.conv_tower]):
            parts = list(cast(nn.Sequential, stage))
            block = nn.Sequential(nn.Identity(), parts[0]) if number == 0 else cast(nn.Sequential, parts[0])
            before, convolution, after = block[:-1], cast(nn.Conv1d, block[-1]), nn.Sequential(*parts[1:])
            activated = before(x)
            margin = convolution.kernel_size[0] // 2 + 1
            padded = nn.functional.pad(activated, (margin, margin))
            self._stages.append(_Stage(before, convolution, after, padded, x.shape[2]))
            x = after(convolution(activated))
        bins = x.mT.contiguous()
        self.bins = bins if reference.ndim == 3 else bins[0]

    @torch.no_grad()
    def change(
        self,
        positions: Int64[Tensor, " variant"],
        values: Float[Tensor, "variant channel"],
        window: Int64[Tensor, " variant"] | None = None,
    ) -> ChangedBins:
        """The bins around each variant, computed with `values` in place of the reference at its position.

        Args:
            positions: 0-based, in the order of the reference.
            values: what stands there, e.g. the one-hot of the other allele.
            window: of several windows, the number of each variant's.
        """
        first, x = positions, values[:, :, None]
        for stage in self._stages:
            first, x = _through(stage, first, x, window)
        return ChangedBins(first=first, values=x.mT)


def _through(
    stage: _Stage,
    first: Int64[Tensor, " variant"],
    x: Float[Tensor, "variant channel position"],
    window: Int64[Tensor, " variant"] | None,
) -> tuple[Int64[Tensor, " variant"], Float[Tensor, "variant channel half"]]:
    """The positions after a stage that see the changed ones before it, `first` and the following."""
    size, half = x.shape[2], stage.half
    num_pooled = -(-stage.length // 2)
    count = min((size + 2 * half) // 2 + 1, num_pooled)  # enough wherever the pairs begin
    begin = torch.div(first - half, 2, rounding_mode="floor").clamp(0, num_pooled - count)
    start = 2 * begin - half  # of what the convolution reads
    width = 2 * count + 2 * half
    places = (start + half + 1)[:, None] + torch.arange(width, device=first.device)
    if window is None:
        read = stage.padded[0][:, places].transpose(0, 1)
    else:
        channels = torch.arange(x.shape[1], device=first.device)[:, None]
        read = stage.padded[window[:, None, None], channels, places[:, None]]
    changed = (first - start)[:, None] + torch.arange(size, device=first.device)
    read = read.scatter(2, changed[:, None].expand(-1, x.shape[1], -1), stage.before(x))
    y = nn.functional.conv1d(read, stage.convolution.weight, stage.convolution.bias)
    if stage.length % 2:  # an unpaired last position stays: a pair of two equal ones
        outside = (2 * begin)[:, None] + torch.arange(2 * count, device=first.device) >= stage.length
        y = torch.where(outside[:, None], y.roll(1, dims=2), y)
    return begin, stage.after(y)
