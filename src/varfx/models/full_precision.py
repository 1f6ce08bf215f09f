"""Evaluation in full precision, whatever a network was trained in: what differences of predictions need.

The effect of a variant is a small difference of two predictions. bfloat16 resolves steps of 1/256 of their size, TF32 of
1/2048; both would drown most effects.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

import torch
from torch import nn

from varfx.errors import DataError
from varfx.models.trunk import Trunk


@contextlib.contextmanager
def full_precision(network: nn.Module) -> Iterator[None]:
    """Inside it the network is in evaluation mode (running statistics, no dropout) and computes in its weights' float32.

    `precision="bfloat16"`, an autocast around it, checkpointing, and TF32 of convolutions and matrix products are off;
    afterwards all is as before. Weights in float64 compute in float64.

    Raises:
        DataError: the weights themselves are stored in less than float32.
    """
    short = [name for name, weight in network.named_parameters() if weight.dtype not in (torch.float32, torch.float64)]
    if short:
        raise DataError(
            f"{len(short)} of the network's weights are stored in less than float32, first `{short[0]}`. Load it in float32."
        )
    modes = [(module, module.training) for module in network.modules()]
    trunks = [(module, module.config) for module in network.modules() if isinstance(module, Trunk)]
    device = next((weight.device for weight in network.parameters()), torch.device("cpu"))
    matmul, convolution = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    network.eval()
    for trunk, config in trunks:
        trunk.config = dataclasses.replace(config, precision="float32", checkpointing=False)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, convolution
        for trunk, config in trunks:
            trunk.config = config
        for module, training in modes:
            module.training = training
