"""Enformer's transformer when few bins of its input differ from a reference: exact, and only what the readout needs.

The first layer. Changing the bins J changes, in the attention of every other bin i, the terms j in J only:

    out_i = (sum_j e_ij v_j - sum_J e_ij v_j + sum_J e'_ij v'_j) / (sum_j e_ij - sum_J e_ij + sum_J e'_ij),  e = exp(logit)

The reference's sums are kept in float64, so that the difference loses nothing. The bins J themselves see all bins anew.

The last layer, for few rows: keys and values are linear in x_j, so that they need not be made,

    q . W_k x_j = (W_k' q) . x_j,        sum_j a_j W_v x_j = W_v sum_j a_j x_j

Layers between are computed in full.
"""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from varfx.models.attention import RelativeAttention, by_position, position_basis
from varfx.models.enformer import Enformer
from varfx.models.local_tower import ChangedBins
from varfx.models.transformer import Residual, TransformerLayer

MIN_SHARE = 1e-8  # of a bin's attention that stays: with less, the difference would lose float32's digits


class LocalTransformer:
    """The transformer around a reference, or around several. The network must be in evaluation mode.

    Args:
        network: the Enformer.
        bins: the reference after the tower; of several windows along the first axis.
        rows: the bins whose output is wanted.
    """

    @torch.no_grad()
    def __init__(self, network: Enformer, bins: Float[Tensor, "*window bin channel"], rows: slice) -> None:
        bins = bins if bins.ndim == 3 else bins[None]
        self._bins = bins
        self._rows = rows
        layers = [cast(TransformerLayer, layer) for layer in network.transformer]
        config = network.config
        self._basis = position_basis(bins.shape[1], config.width // config.heads, config.gamma_scale, bins.device)
        self._basis = self._basis.to(bins.dtype)
        self._first = [_FirstLayer(layers[0], each, self._basis) for each in bins] if len(layers) > 1 else []
        self._middle = layers[1:-1]
        self._last = _LastLayer(layers[-1], bins.shape[2], self._basis, rows) if layers else None

    @torch.no_grad()
    def change(
        self, changed: ChangedBins, window: Int64[Tensor, " variant"] | None = None
    ) -> Float[Tensor, "variant row channel"]:
        """The output at `rows` for each variant, with its changed bins in place of the reference's.

        Args:
            changed: of the tower.
            window: of several windows, the number of each variant's, ascending.
        """
        count = changed.values.shape[1]
        places = changed.first[:, None] + torch.arange(count, device=changed.first.device)
        x = self._bins[0].repeat(len(places), 1, 1) if window is None else self._bins[window]
        x.scatter_(1, _like(places, changed.values), changed.values)
        if self._last is None:
            return x[:, self._rows]
        if self._first:
            x = self._attend_first(x, places, window)
        for layer in self._middle:
            x = layer(x, self._basis, slice(0, x.shape[1], 1))
        return self._last.read(x)

    def _attend_first(
        self, x: Float[Tensor, "variant bin channel"], places: Int64[Tensor, "variant changed"], window: Tensor | None
    ) -> Float[Tensor, "variant bin channel"]:
        """The first layer: each window has kept sums of its own, and its variants stand together."""
        if window is None:
            return self._first[0].change(x, places)
        numbers, counts = torch.unique_consecutive(window, return_counts=True)
        sizes = counts.tolist()
        parts = zip(numbers.tolist(), torch.split(x, sizes), torch.split(places, sizes), strict=True)
        return torch.cat([x[:0], *(self._first[number].change(some, where) for number, some, where in parts)])


class _FirstLayer:
    """The first layer's attention of the reference: logits, and the sums of numerator and denominator."""

    def __init__(
        self, layer: TransformerLayer, bins: Float[Tensor, "bin channel"], basis: Float[Tensor, "distance function"]
    ) -> None:
        self._layer, self._basis = layer, basis
        self._norm, self._attention = _parts(layer)
        a = self._attention
        q, self._k, self._v = self._project(bins)
        self._distances = a._split(a.to_rel_k(basis))
        self._by_content = q + a.rel_content_bias[0]
        positions = by_position((q + a.rel_pos_bias[0]) @ self._distances.mT, len(bins))
        logits = (self._by_content @ self._k.mT + positions).double()
        self._peak: Float64[Tensor, "head row"] = logits.amax(dim=-1)
        weight = (logits - self._peak[..., None]).exp()
        self._sum: Float64[Tensor, "head row"] = weight.sum(dim=-1)
        self._weighted: Float64[Tensor, "head row value"] = weight @ self._v.double()
        # By the bin that is looked at, so that those of a variant lie together.
        self._weight: Float64[Tensor, "bin head row"] = weight.permute(2, 0, 1).contiguous()
        self._positions: Float[Tensor, "bin head row"] = positions.permute(2, 0, 1).contiguous()

    def change(
        self, x: Float[Tensor, "variant bin channel"], places: Int64[Tensor, "variant changed"]
    ) -> Float[Tensor, "variant bin channel"]:
        """The layer's output at all bins, where `x` differs from the reference at `places` only."""
        q, k, v = self._project(x.gather(1, places[:, :, None].expand(-1, -1, x.shape[2])))
        attended, share = self._other_rows(places, k, v)
        rows = self._changed_rows(places, q, k, v)
        attended.scatter_(1, _like(places, rows), rows)
        share.scatter_(1, places, 1.0)
        lost = torch.nonzero((share < MIN_SHARE).any(dim=1))[:, 0]
        y = self._layer[1](x + self._attention.to_out(attended))
        if len(lost):
            y[lost] = self._layer(x[lost], self._basis, slice(0, x.shape[1], 1))
        return cast(Tensor, y)

    def _other_rows(
        self, places: Tensor, k: Tensor, v: Tensor
    ) -> tuple[Float[Tensor, "variant row value"], Float64[Tensor, "variant row"]]:
        """Values attended to by unchanged bins, and the smallest retained share over the heads."""
        logits = torch.einsum("hrd,bhcd->bchr", self._by_content, k)
        gained = ((logits + self._positions[places]).double() - self._peak).exp()
        lost = self._weight[places]
        before = self._v.transpose(0, 1)[places]  # (variant, changed, head, value)
        weights = torch.cat([gained, -lost], dim=1)
        values = torch.cat([v.transpose(1, 2), before], dim=1).double()
        weighted = self._weighted + torch.einsum("bchr,bchd->bhrd", weights, values)
        stays = self._sum - lost.sum(dim=1)
        attended = weighted / (stays + gained.sum(dim=1))[..., None]
        return attended.transpose(1, 2).flatten(2).to(k.dtype), (stays / self._sum).amin(dim=1)

    def _changed_rows(self, places: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Float[Tensor, "variant changed value"]:
        """Attention output of the changed bins."""
        a, length = self._attention, self._k.shape[1]
        by_content = q + a.rel_content_bias
        logits = by_content @ self._k.mT
        columns = places[:, None, None].expand(*logits.shape[:3], -1)
        logits.scatter_(3, columns, by_content @ k.mT)
        distance = length - 1 - places[:, :, None] + torch.arange(length, device=places.device)
        by_distance = (q + a.rel_pos_bias) @ self._distances.mT
        logits += by_distance.gather(3, distance[:, None].expand(-1, logits.shape[1], -1, -1))
        weights = logits.softmax(dim=-1)
        change = v - self._v[:, places].transpose(0, 1)
        gathered = weights @ self._v + weights.gather(3, columns) @ change
        return gathered.transpose(1, 2).flatten(2)

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, x = self._attention, self._norm(x)
        return a._split(a.to_q(x)) * a.scale, a._split(a.to_k(x)), a._split(a.to_v(x))


class _LastLayer:
    """The last layer, for a few rows of any input."""

    def __init__(
        self, layer: TransformerLayer, width: int, basis: Float[Tensor, "distance function"], rows: slice
    ) -> None:
        self._rows = rows
        self._perceptron = layer[1]
        self._norm, self._attention = _parts(layer)
        a, length = self._attention, (len(basis) + 1) // 2
        distances = basis[length - rows.stop : 2 * length - 1 - rows.start]
        self._distances = a._split(a.to_rel_k(distances))
        one = torch.eye(width, dtype=basis.dtype, device=basis.device)
        # Any linear maps will do, as with adapters of low rank.
        self._keys: Float[Tensor, "head channel key"] = a._split(a.to_k(one))
        self._values: Float[Tensor, "head channel value"] = a._split(a.to_v(one))

    def read(self, x: Float[Tensor, "variant bin channel"]) -> Float[Tensor, "variant row channel"]:
        """The output at the rows."""
        a, normalised = self._attention, self._norm(x)
        q = a._split(a.to_q(normalised[:, self._rows])) * a.scale
        heads, rows = q.shape[1:3]
        probe = ((q + a.rel_content_bias) @ self._keys.mT).flatten(1, 2)
        content = (probe @ normalised.mT).unflatten(1, (heads, rows))
        logits = content + by_position((q + a.rel_pos_bias) @ self._distances.mT, x.shape[1])
        mixed = logits.softmax(dim=-1).flatten(1, 2) @ normalised
        gathered = mixed.unflatten(1, (heads, rows)) @ self._values
        return cast(Tensor, self._perceptron(x[:, self._rows] + a.to_out(gathered.transpose(1, 2).flatten(2))))


def _parts(layer: TransformerLayer) -> tuple[nn.Module, RelativeAttention]:
    norm, attention, _ = cast(Residual, layer[0]).fn
    return norm, cast(RelativeAttention, attention)


def _like(places: Int64[Tensor, "variant place"], values: Tensor) -> Int64[Tensor, "variant place channel"]:
    return places[:, :, None].expand_as(values)
