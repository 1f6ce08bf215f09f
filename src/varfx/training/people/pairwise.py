"""Variformer's loss over a whole effective batch, exact however the batch is cut into micro-batches and devices.

With residuals `e_i = prediction_i - target_i` of n individuals and one gene (paper, Methods, Loss function):

    L = 1/2 mean_i e_i^2 + 1/2 mean_{i<j} (e_i - e_j)^2

The mean over pairs is twice the unbiased variance of e, so that with `S1 = sum e`, `S2 = sum e^2`

    L       = S2 / (2 n) + (S2 - S1^2 / n) / (n - 1)                        O(n)
    dL/de_i = e_i / n + 2 (e_i - S1 / n) / (n - 1)

The gradient of one prediction needs S1 of all. So `backward` computes all predictions first, without graphs, adds up n,
S1 and S2 (over processes too), and then each micro-batch again with its graph, which starts backwards from the known dL/de. Both passes see
the same dropout. Cost: one further forward pass, a third more time than a loss that is a plain sum over individuals; memory of
one micro-batch. A batch that is one micro-batch on each process keeps its graph, and costs nothing more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from varfx.models.channel_norm import unobserved
from varfx.training.dropout import Dropout

HALVES = (0.5, 0.5)
AllReduce = Callable[[Tensor], object]  # sums a tensor in place over processes, e.g. `torch.distributed.all_reduce`


@dataclass(frozen=True)
class ResidualSums:
    """Sufficient sums of a batch's loss; sums of parts add up.

    Attributes:
        n: individuals.
        first: sum of residuals.
        second: sum of squared residuals.
        weights: of the mean over individuals and of the mean over pairs.
    """

    n: float
    first: float
    second: float
    weights: tuple[float, float] = HALVES

    @classmethod
    def of(
        cls,
        residuals: Float[Tensor, " individual"],
        all_reduce: AllReduce | None = None,
        weights: tuple[float, float] = HALVES,
    ) -> ResidualSums:
        """The sums, in float64, over all processes."""
        e = residuals.detach().double()
        sums = torch.stack([e.new_tensor(float(len(e))), e.sum(), e.square().sum()])
        if all_reduce is not None:
            all_reduce(sums)
        n, first, second = sums.tolist()
        return cls(n, first, second, weights)

    @property
    def loss(self) -> float:
        """L of the whole batch. One individual has no pairs: 1/2 e^2. Nobody: 0."""
        if not self.n:
            return 0.0
        alone, of_pairs = self.weights
        pairs = (self.second - self.first**2 / self.n) / (self.n - 1) if self.n > 1 else 0.0
        return alone * (self.second / self.n) + 2 * of_pairs * max(pairs, 0.0)

    def gradient(self, residuals: Float[Tensor, " individual"]) -> Float[Tensor, " individual"]:
        """dL/de of some of the individuals."""
        if not self.n:
            return torch.zeros_like(residuals)
        e, (alone, of_pairs) = residuals.detach().double(), self.weights
        pairs = 4 * of_pairs * (e - self.first / self.n) / (self.n - 1) if self.n > 1 else 0.0
        return (2 * alone * e / self.n + pairs).to(residuals.dtype)


def pairwise_loss(
    prediction: Float[Tensor, " individual"], target: Float[Tensor, " individual"]
) -> Float64[Tensor, ""]:
    """L of a batch that is there as a whole, in float64 and differentiable."""
    e = prediction.double() - target.double()
    n = len(e)
    half_mse = 0.5 * e.square().mean()
    return half_mse + (e - e.mean()).square().sum() / (n - 1) if n > 1 else half_mse


def backward(
    network: nn.Module,
    parts: Sequence[Callable[[], Float[Tensor, " individual"]]],
    targets: Sequence[Float[Tensor, " individual"]],
    dropout: Dropout,
    *,
    all_reduce: AllReduce | None = None,
    keep_graphs: bool = False,
    weights: tuple[float, float] = HALVES,
) -> ResidualSums:
    """Adds dL/dtheta of a whole batch to the parameters' `.grad`, and returns the sums that make its loss.

    Args:
        network: whose parameters learn; its `running` statistics are moved by the caller, after the step.
        parts: for each micro-batch of this process a function that computes its predictions; called twice, unless there is one.
        targets: for each micro-batch.
        dropout: the step's random numbers.
        all_reduce: sums over processes; each process then has its own individuals' share of the gradient, and the caller adds the
            shares up (`sum_gradients`). A process may have no individuals.
        keep_graphs: keep the graphs of all micro-batches instead of computing them twice: faster, memory of the whole batch.
        weights: of the loss's two parts.

    With `norm` = batch, statistics are those of a micro-batch, so that the result depends on the cut, as published.
    """
    keep = passes(len(parts), keep_graphs) == 1
    predictions: list[Tensor] = []
    with contextlib.nullcontext() if keep else unobserved(network), torch.set_grad_enabled(keep):
        for number, part in enumerate(parts):
            with dropout.part(number):
                predictions.append(part())
    residuals = [
        prediction.detach() - target.to(prediction) for prediction, target in zip(predictions, targets, strict=True)
    ]
    empty = next(network.parameters()).new_zeros(0)
    sums = ResidualSums.of(torch.cat([empty, *residuals]), all_reduce, weights)
    for number, residual in enumerate(residuals):
        if keep:
            prediction = predictions[number]
        else:
            with dropout.part(number):
                prediction = parts[number]()
        torch.autograd.backward(prediction, sums.gradient(residual))
    return sums


def passes(parts: int, keep_graphs: bool) -> int:
    """Forward passes of `backward` over each of a batch's micro-batches, one round after the other."""
    return 1 if keep_graphs or parts <= 1 else 2


def sum_gradients(network: nn.Module, all_reduce: AllReduce) -> None:
    """Adds up the gradients of all processes, in one message per type; parameters without one take part with 0."""
    by_type: dict[torch.dtype, list[nn.Parameter]] = {}
    for parameter in network.parameters():
        if parameter.requires_grad:
            by_type.setdefault(parameter.dtype, []).append(parameter)
    for parameters in by_type.values():
        flat = torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in parameters])
        all_reduce(flat)
        for parameter, part in zip(parameters, torch.split(flat, [p.numel() for p in parameters]), strict=True):
            parameter.grad = part.view_as(parameter).clone()
