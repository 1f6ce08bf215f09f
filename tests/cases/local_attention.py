"""Small Enformers whose every layer matters, and what a change of one base does to them, the long way."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from varfx.models.attention import RelativeAttention
from varfx.models.channel_norm import ChannelNorm
from varfx.models.enformer import Enformer, EnformerConfig
from varfx.models.low_rank import LowRankLinear

SMALL: dict[str, Any] = {
    "width": 48,
    "depth": 2,
    "heads": 4,
    "key_width": 16,
    "num_downsamples": 3,
    "target_length": None,
}


def lively(dtype: torch.dtype = torch.float64, **changes: Any) -> Enformer:
    """A network in evaluation mode whose norms have statistics and whose attention puts something out."""
    generator = torch.Generator().manual_seed(5)
    network = Enformer(EnformerConfig(**{**SMALL, "output_heads": {}, **changes}), generator=generator)
    enliven(network, generator)
    return network.to(dtype).eval()


@torch.no_grad()
def enliven(network: torch.nn.Module, generator: torch.Generator) -> None:
    for module in network.modules():
        if isinstance(module, ChannelNorm) and module.policy != "layer":
            module.running_mean.normal_(generator=generator).mul_(0.1)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
        elif isinstance(module, RelativeAttention):
            out = module.to_out.base if isinstance(module.to_out, LowRankLinear) else module.to_out
            out.weight.normal_(generator=generator).mul_(0.2)


def sequence(length: int, dtype: torch.dtype = torch.float64, seed: int = 6) -> Tensor:
    codes = torch.randint(0, 4, (length,), generator=torch.Generator().manual_seed(seed))
    return torch.eye(4, dtype=dtype)[codes]


def changed_sequences(reference: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """The whole sequence of each variant: (variant, base, 4)."""
    x = reference.repeat(len(places), 1, 1)
    x[torch.arange(len(places)), places] = values
    return x
