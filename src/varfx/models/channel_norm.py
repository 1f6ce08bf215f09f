"""Normalisation of channels whose result does not depend on how a window is cut into micro-batches.

A convolution tower with batch norm, as published, makes the score of a variant depend on which others share its pass. Here
the statistics are one of four, by `NormPolicy`:

- `batch`: as published: the pass's own statistics in training, running averages in evaluation;
- `running`: averages that stay constant during a step, in training too. What the passes of the step see is summed exactly
  (count, sum, sum of squares in float64) and folded into the averages by `fold_statistics` after the step;
- `frozen`: the averages as loaded or calibrated, never changed;
- `layer`: no statistics over variants: each position is normalised over its channels.

All but `batch` give the same values and gradients for any cut, and the same in training and evaluation mode.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from varfx.errors import DataError
from varfx.models.config import NormPolicy


class ChannelNorm(nn.Module):
    """Scales each channel to mean `bias` and standard deviation `weight`; names and shapes are those of `nn.BatchNorm1d`.

    Args:
        channels: number of channels.
        policy: whose statistics (see the module).
        momentum: weight of the newest statistics in the running averages.
        eps: added to the variance.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, channels: int, policy: NormPolicy, *, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.policy = policy
        self.momentum = momentum
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        if policy != "layer":
            self.register_buffer("running_mean", torch.zeros(channels))
            self.register_buffer("running_var", torch.ones(channels))
            self.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.long))
        self.calibrating = False
        # Count, sum and sum of squares of the step so far; no buffer, as DDP would overwrite it with another rank's.
        self._pending: Tensor | None = None

    def reset(self) -> None:
        """Weight 1, bias 0, and statistics of standardised values."""
        with torch.no_grad():
            self.weight.fill_(1)
            self.bias.zero_()
            if self.policy != "layer":
                self.running_mean.zero_()
                self.running_var.fill_(1)
                self.num_batches_tracked.zero_()
        self._pending = None

    def forward(self, x: Float[Tensor, "batch channel position"]) -> Float[Tensor, "batch channel position"]:
        """The normalised values.

        Raises:
            DataError: one value a channel has no batch statistics.
        """
        if self.policy == "layer":
            normalised = nn.functional.layer_norm(x.mT, (x.shape[1],), self.weight, self.bias, self.eps)
            return normalised.mT
        if self.calibrating:
            self._set_statistics(x.detach())
        batch_statistics = self.policy == "batch" and self.training and not self.calibrating
        if batch_statistics and x.shape[0] * x.shape[2] < 2:
            raise DataError(
                f"`norm` = batch needs 2 values a channel in training, got input of shape {tuple(x.shape)}. "
                "Give more samples or longer windows, or take `norm` = running, frozen or layer."
            )
        if batch_statistics:
            self.num_batches_tracked += 1
        if self.policy == "running" and self.training and not self.calibrating:
            self._observe(x.detach())
        return nn.functional.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=batch_statistics,
            momentum=self.momentum,
            eps=self.eps,
        )

    def expect(self) -> None:
        """Makes room for what the passes of a step will see."""
        if self.policy == "running" and self._pending is None:
            self._pending = torch.zeros(1 + 2 * len(self.weight), dtype=torch.float64, device=self.weight.device)

    def fold(self, all_reduce: Callable[[Tensor], object] | None = None) -> None:
        """Moves the running averages towards the statistics seen since the last call; see `fold_statistics`."""
        self.expect()  # a process without a window has to take part in the sum nevertheless
        pending, self._pending = self._pending, None
        if pending is None:
            return
        if all_reduce is not None:
            all_reduce(pending)
        if not pending[0]:
            return
        count, total, squares = pending[0], pending[1::2], pending[2::2]
        shift = total / count  # sums are taken about the running mean, so that nothing cancels
        variance = (squares - count * shift.square()).clamp_min(0) / (count - 1).clamp_min(1)
        self.num_batches_tracked += 1
        # The first folds are plain averages: a start at 0 and 1 is no observation.
        rate = (1 / self.num_batches_tracked.double()).clamp_min(self.momentum)
        self.running_mean += (rate * shift).to(self.running_mean.dtype)
        self.running_var += (rate * (variance - self.running_var)).to(self.running_var.dtype)

    @torch.no_grad()
    def _observe(self, x: Tensor) -> None:
        count = x.shape[0] * x.shape[2]
        if not count:
            return
        variance, mean = torch.var_mean(_at_least_float32(x), dim=(0, 2), correction=0)
        shift = mean.double() - self.running_mean
        sums = torch.stack([count * shift, count * (variance.double() + shift.square())], dim=1).flatten()
        seen = torch.cat([sums.new_tensor([count]), sums])
        self._pending = seen if self._pending is None else self._pending + seen

    @torch.no_grad()
    def _set_statistics(self, x: Tensor) -> None:
        variance, mean = torch.var_mean(_at_least_float32(x), dim=(0, 2), correction=0)
        self.running_mean.copy_(mean)
        self.running_var.copy_(variance)
        self.num_batches_tracked.fill_(1)


def fold_statistics(network: nn.Module, all_reduce: Callable[[Tensor], object] | None = None) -> None:
    """Takes what the passes of a step saw into the running averages of every `running` norm of the network.

    Call it after the step's last backward pass: a checkpoint that computes a pass again needs the same averages.

    Args:
        network: any module.
        all_reduce: sums a tensor in place over the processes of a distributed run, e.g. `torch.distributed.all_reduce`.
    """
    for norm in _norms(network):
        norm.fold(all_reduce)


@contextlib.contextmanager
def calibration(network: nn.Module) -> Iterator[None]:
    """Inside it, each pass sets the statistics of each norm to those of the pass, layer after layer, and uses them."""
    norms = _norms(network)
    for norm in norms:
        norm.calibrating = True
    try:
        yield
    finally:
        for norm in norms:
            norm.calibrating = False


@contextlib.contextmanager
def observed(network: nn.Module) -> Iterator[None]:
    """For the first of the two times that a checkpoint computes a pass: both times do exactly the same then."""
    for norm in _norms(network):
        norm.expect()
    yield


@contextlib.contextmanager
def unobserved(network: nn.Module) -> Iterator[None]:
    """Inside it, passes leave no trace in the statistics: for the second time that a checkpoint computes a pass.

    They do all they did before, on copies, as torch.compile would otherwise make another graph of them.
    """
    norms = [(norm, norm._pending, dict(norm.named_buffers())) for norm in _norms(network)]
    for norm, _, buffers in norms:
        for name, value in buffers.items():
            setattr(norm, name, value.clone())
    try:
        yield
    finally:
        for norm, pending, buffers in norms:
            norm._pending = pending
            for name, value in buffers.items():
                setattr(norm, name, value)


def _at_least_float32(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def _norms(network: nn.Module) -> list[ChannelNorm]:
    return [module for module in network.modules() if isinstance(module, ChannelNorm)]
