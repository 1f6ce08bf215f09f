"""Self-attention of Flashzoi (Hingerl et al., 2024): rotary positions (Su et al., 2021), and half as many keys as queries.

    logit[i, j] = (R_i q_i) . (R_j k_j) / sqrt(d)

R_i turns the pairs (c, c + r/2) of the first r channels of a head by the angles i / base^(2c/r), so that a logit depends on j - i.
Heads 2g and 2g + 1 of the queries share head g of keys and values. Names of the weights are those of the package flash-attn.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

ROTARY_BASE = 20_000.0
ROTARY_WIDTH = 128  # channels of a head that turn; in narrow heads two thirds of them


class Projections(nn.Module):
    """The linear layers, under their published names: queries, keys and values in one, and the output."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.Wqkv = nn.Linear(width, 2 * width)
        self.out_proj = nn.Linear(width, width)


class RotaryAttention(nn.Module):
    """Multi-head attention whose output layer starts at 0.

    Args:
        width: channels in and out; a head has `width / heads` channels.
        heads: of the queries; keys and values have half as many.
        dropout: of the attention weights.
    """

    def __init__(self, width: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.head_width, self.dropout = heads, width // heads, dropout
        self.rotary_width = min(ROTARY_WIDTH, 2 * (self.head_width // 3))
        self.mha = Projections(width)

    def forward(
        self, x: Float[Tensor, "batch position channel"], basis: object, rows: slice
    ) -> Float[Tensor, "batch row channel"]:
        """Attention output of the positions `rows` over all positions; `basis` is not used."""
        parts = [self.heads, self.heads // 2, self.heads // 2]
        heads = self.mha.Wqkv(x).unflatten(-1, (-1, self.head_width)).transpose(1, 2)
        q, k, v = torch.split(heads, parts, dim=1)
        q, k = self._turned(q)[:, :, rows], self._turned(k)
        k, v = (each.repeat_interleave(2, dim=1) for each in (k, v))
        found = nn.functional.scaled_dot_product_attention(
            q, k, v, dropout_p=self.dropout if self.training else 0.0, scale=self.head_width**-0.5
        )
        return self.mha.out_proj(found.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _turned(self, x: Float[Tensor, "batch head position channel"]) -> Float[Tensor, "batch head position channel"]:
        half = self.rotary_width // 2
        rate = ROTARY_BASE ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
        angle = torch.arange(x.shape[2], device=x.device, dtype=torch.float32)[:, None] * rate
        cosine, sine = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        first, second, rest = torch.split(x, [half, half, x.shape[3] - 2 * half], dim=3)
        return torch.cat([first * cosine - second * sine, second * cosine + first * sine, rest], dim=3)
