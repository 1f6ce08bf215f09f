"""Self-attention with relative positions (Enformer: Avsec et al., 2021; after Transformer-XL: Dai et al., 2019).

    logit[i, j] = (q_i / sqrt(d) + u) . k_j  +  (q_i / sqrt(d) + v) . r(j - i)       r = W_r basis(j - i)

`basis` describes the distance j - i by exponentials, central boxes and gamma densities, and by the same times its sign.
"""

from __future__ import annotations

import functools
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from varfx.models.config import BASIS_FAMILIES, GammaScale


class RelativeAttention(nn.Module):
    """Multi-head attention whose output layer starts at 0, so that a block starts as the identity.

    Args:
        width: channels in and out; the values of a head have `width / heads` channels, the basis as many functions.
        heads: number of heads.
        key_width: channels of each head's queries and keys.
        dropout: of the attention weights.
        position_dropout: of the basis.
        functions: of the basis, where they are of another number.
    """

    def __init__(
        self,
        width: int,
        *,
        heads: int,
        key_width: int,
        dropout: float,
        position_dropout: float,
        functions: int | None = None,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.scale = key_width**-0.5
        self.to_q = nn.Linear(width, heads * key_width, bias=False)
        self.to_k = nn.Linear(width, heads * key_width, bias=False)
        self.to_v = nn.Linear(width, width, bias=False)
        self.to_out = nn.Linear(width, width)
        self.to_rel_k = nn.Linear(functions or width // heads, heads * key_width, bias=False)
        self.rel_content_bias = nn.Parameter(torch.zeros(1, heads, 1, key_width))
        self.rel_pos_bias = nn.Parameter(torch.zeros(1, heads, 1, key_width))
        self.pos_dropout = nn.Dropout(position_dropout)
        self.attn_dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "batch position channel"],
        basis: Float[Tensor, "distance function"],
        rows: slice,
    ) -> Float[Tensor, "batch row channel"]:
        """Attention output of the positions `rows` over all positions.

        Args:
            x: the sequence.
            basis: functions of the distances, (2 positions - 1, function), e.g. `position_basis(positions, width / heads)`.
            rows: the positions whose output is wanted, as a slice with start, stop and step 1.
        """
        length = x.shape[1]
        first, last = rows.start, rows.stop - 1
        q = self._split(self.to_q(x[:, rows])) * self.scale
        k, v = self._split(self.to_k(x)), self._split(self.to_v(x))
        distances = basis[length - 1 - last : 2 * length - 1 - first]  # from -last to length - 1 - first
        r = self._split(self.to_rel_k(self.pos_dropout(distances)))
        logits = (q + self.rel_content_bias) @ k.mT + by_position((q + self.rel_pos_bias) @ r.mT, length)
        weights = self.attn_dropout(logits.softmax(dim=-1))
        return self.to_out((weights @ v).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        """(..., position, head * channel) -> (..., head, position, channel)."""
        return x.reshape(*x.shape[:-1], self.heads, -1).transpose(-3, -2)


def by_position(by_distance: Float[Tensor, "*batch row distance"], length: int) -> Float[Tensor, "*batch row position"]:
    """Logits per key position from logits per distance: `out[a, j] = in[a, j + rows - 1 - a]`.

    Read row after row, entry (a, j) is number `rows - 1 + a (distances - 1) + j`: rows one shorter, after a first cut.
    """
    rows, distances = by_distance.shape[-2:]
    if rows == 1:
        return by_distance
    flat = by_distance.flatten(-2)[..., rows - 1 : rows - 1 + rows * (distances - 1)]
    return flat.reshape(*flat.shape[:-1], rows, distances - 1)[..., :length]


@functools.lru_cache(maxsize=16)
def position_basis(
    length: int, num_functions: int, gamma_scale: GammaScale, device: torch.device
) -> Float[Tensor, "distance function"]:
    """The functions of the distances -(length - 1) to length - 1, (2 length - 1, num_functions), in float32.

    A third each of: `2^(-|d| / h)` with half-lives h from 8 to `length`; `1[|d| < 2^m - 1]`; and gamma densities with means up
    to `length`. Then the same, times sign(d).

    The densities are differences of large numbers, off by up to 0.3 % in float32. So that a network computes the same
    everywhere, they are always made on the CPU and in this order of operations, which is enformer-pytorch's.

    Args:
        length: number of positions.
        num_functions: a multiple of 6.
        gamma_scale: each density is divided by the largest of all densities at that distance (`distance`, as
            enformer-pytorch does), or by its own peak (`function`, as the TensorFlow original does).
        device: where the result is wanted.
    """
    count = num_functions // BASIS_FAMILIES
    with torch.inference_mode(False), torch.no_grad():  # a cached inference tensor could not be used in training
        signed = torch.arange(-length + 1, length, dtype=torch.float32)[:, None]
        distance = signed.abs()
        half_life = 2 ** torch.linspace(3.0, math.log(length) / math.log(2.0), count)
        exponential = torch.exp(-math.log(2.0) / half_life * distance)
        box = (2.0 ** torch.arange(1, count + 1) - 1 > distance).float()
        gamma = _gamma_densities(distance, count, length)
        gamma = gamma / gamma.amax(dim=-1 if gamma_scale == "distance" else 0, keepdim=True)
        symmetric = torch.cat([exponential, box, gamma], dim=-1)
        return torch.cat([symmetric, signed.sign() * symmetric], dim=-1).to(device)


def _gamma_densities(distance: Tensor, count: int, length: int) -> Tensor:
    deviation = length / (2 * count)
    mean = torch.linspace(length / count, length, count)
    shape = (mean / deviation) ** 2
    rate = mean / deviation**2
    log_density = torch.xlogy(shape - 1.0, distance) - rate * distance
    return torch.exp(log_density - (torch.lgamma(shape) - shape * torch.log(rate))) + 1e-8
