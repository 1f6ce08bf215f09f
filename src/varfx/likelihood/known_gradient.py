"""A value whose gradient was computed together with it, as one node of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def with_gradient(
    value: Float[Tensor, ""], inputs: Sequence[Float[Tensor, "..."]], gradients: Sequence[Float[Tensor, "..."]]
) -> Float[Tensor, ""]:
    """`value`, so that `backward` hands each input its known gradient.

    Args:
        value: a scalar computed outside the graph.
        inputs: what it depends on; each may require a gradient or not.
        gradients: derivatives of `value`, of as many elements as the inputs.
    """
    attached: Tensor = _Known.apply(value.detach(), tuple(gradients), *inputs)  # type: ignore[no-untyped-call]
    return attached


class _Known(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: tuple[Tensor, ...], *inputs: Tensor) -> Tensor:
        ctx.save_for_backward(*gradients)
        ctx.like = [(each.shape, each.dtype, each.device) for each in inputs]
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        parts = zip(ctx.saved_tensors, ctx.like, strict=True)
        return (
            None,
            None,
            *(
                (grads[0] * known).reshape(shape).to(dtype=dtype, device=device)
                for known, (shape, dtype, device) in parts
            ),
        )
