"""Enformer in plain torch (Avsec et al., Nature Methods 2021): convolutions with attention pooling, then a transformer.

    (batch, length, channel) -> stem -> tower -> (batch, bin, width) -> transformer -> pointwise -> (batch, bin, 2 width) -> heads

Each stage of stem and tower halves the length, so that a bin is `2^num_downsamples` input positions. The sizes are free: four
channels of DNA with the published sizes by default, or tracks (`models/track_enformer.py`). Names and shapes of the weights are
those of enformer-pytorch, so that its checkpoints load (`models/enformer_weights.py`).
"""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn

from varfx.models.attention import RelativeAttention, position_basis
from varfx.models.channel_norm import ChannelNorm
from varfx.models.config import STEM_KERNEL, TOWER_KERNEL, EnformerConfig
from varfx.models.transformer import Residual, TransformerLayer
from varfx.models.trunk import Trunk, initialise


class Enformer(Trunk):
    """The network. Outputs are per bin, in the order of the input positions.

    Args:
        config: its sizes.
        generator: where the first weights come from; seed 0 if not given.
    """

    config: EnformerConfig

    def __init__(self, config: EnformerConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        widths = config.tower_widths()
        with torch.device("meta"):  # `initialise` below sets every value; the global random state is not used
            self.stem = nn.Sequential(
                nn.Conv1d(config.channels, widths[0], STEM_KERNEL, padding=STEM_KERNEL // 2),
                Residual(convolution_block(widths[0], widths[0], 1, config)),
                AttentionPool(widths[0]),
            )
            self.conv_tower = nn.Sequential(
                *(
                    nn.Sequential(
                        convolution_block(narrow, wide, TOWER_KERNEL, config),
                        Residual(convolution_block(wide, wide, 1, config)),
                        AttentionPool(wide),
                    )
                    for narrow, wide in itertools.pairwise(widths)
                )
            )
            self.transformer = nn.Sequential(*(transformer_layer(config) for _ in range(config.depth)))
            # Place 0 of this and of the heads' names is as in enformer-pytorch, where layers without weights stand between.
            self.final_pointwise = nn.Sequential(
                nn.Identity(),
                convolution_block(config.width, 2 * config.width, 1, config),
                nn.Identity(),
                nn.Dropout(config.dropout / 8),
                SigmoidGELU(),
            )
            self._heads = nn.ModuleDict(
                {
                    name: nn.Sequential(nn.Linear(2 * config.width, size), nn.Softplus())
                    for name, size in config.output_heads.items()
                }
            )
        self.to_empty(device="cpu")
        for module in self.modules():
            if isinstance(module, AttentionPool):
                module.reset()
        initialise(self, torch.Generator().manual_seed(0) if generator is None else generator)

    def forward(
        self, x: Float[Tensor, "batch position channel"], readout: int | slice | None = None
    ) -> dict[str, Float[Tensor, "batch *bin track"]]:
        """The tracks of each head, in float32.

        Args:
            x: DNA as one-hot (A, C, G, T), or averaged over haplotypes; any channels, in the order the caller trained with.
            readout: which output bins, counted after the crop to `target_length`, as an index (drops the bin axis) or a
                slice with step 1. Equal to taking them from the whole output; only what they need is computed in the last
                layer and after it (not so in training mode with `norm` = batch).

        Raises:
            DataError: wrong shape, or fewer bins than asked for.
        """
        embedding = self.embed(x, readout)
        with torch.autocast(x.device.type, enabled=False):
            return {name: head(embedding) for name, head in self._heads.items()}

    def embed(
        self, x: Float[Tensor, "batch position channel"], readout: int | slice | None = None
    ) -> Float[Tensor, "batch *bin channel"]:
        """Embedding read by the heads, (batch, bin, 2 width), in float32; arguments and errors as in `forward`."""
        self._check_input(x)
        bins = self.config.num_bins(x.shape[1])
        rows = self.output_rows(bins, readout)
        # Statistics of the pass are those of all output bins, whatever is read.
        computed = self.output_rows(bins) if self.training and self.config.norm == "batch" else rows
        embedding = self.pointwise(self.attend(self.convolve(x.mT), computed))
        embedding = embedding[:, rows.start - computed.start : rows.stop - computed.start]
        return embedding[:, 0] if isinstance(readout, int) else embedding

    def convolve(self, x: Float[Tensor, "batch channel position"]) -> Float[Tensor, "batch bin channel"]:
        """Stem and tower. A bin depends on few positions beside its own, so a change of the input may be followed locally."""
        with self._autocast(x):
            x = self._stage(self.stem, x)
            for stage in self.conv_tower:
                x = self._stage(stage, x)
            return x.mT

    def attend(self, x: Float[Tensor, "batch bin channel"], rows: slice) -> Float[Tensor, "batch row channel"]:
        """The transformer's output at the bins `rows`; all bins are read."""
        bins = x.shape[1]
        if not self.config.depth:
            return x[:, rows]
        functions = self.config.width // self.config.heads
        basis = position_basis(bins, functions, self.config.gamma_scale, x.device)
        basis = basis.to(next(self.transformer.parameters()).dtype)
        with self._autocast(x):
            for number, layer in enumerate(self.transformer):
                last = number == self.config.depth - 1
                x = self._stage(layer, x, basis, rows if last else slice(0, bins, 1))
            return x

    def pointwise(self, x: Float[Tensor, "batch bin channel"]) -> Float[Tensor, "batch bin channel"]:
        """The last layer before the heads, in float32."""
        with self._autocast(x):
            x = self._stage(self.final_pointwise, x.mT).mT
        return x if x.dtype == torch.float64 else x.float()


def transformer_layer(config: EnformerConfig) -> TransformerLayer:
    """One layer with Enformer's attention."""
    attention = RelativeAttention(
        config.width,
        heads=config.heads,
        key_width=config.key_width,
        dropout=config.attention_dropout,
        position_dropout=config.position_dropout,
    )
    return TransformerLayer(attention, config.width, config.dropout)


class SigmoidGELU(nn.Module):
    """x sigmoid(1.702 x): the approximation of GELU with which the published weights were trained."""

    def forward(self, x: Tensor) -> Tensor:
        """The activation."""
        return x * torch.sigmoid(1.702 * x)


class AttentionPool(nn.Module):
    """Halves the length: of each pair the average with weights softmax(W x), per channel; W starts at 2 I.

    Of two, the softmax is sigmoid(W (a - b)), so that one product with W serves both. An unpaired last position stays.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_attn_logits = nn.Conv2d(
            channels, channels, 1, bias=False
        )  # the published shape, (channel, channel, 1, 1)

    @torch.no_grad()
    def reset(self) -> None:
        """W = 2 I."""
        nn.init.dirac_(self.to_attn_logits.weight).mul_(2)

    def forward(self, x: Float[Tensor, "batch channel position"]) -> Float[Tensor, "batch channel half"]:
        """The weighted averages."""
        pairs = x.shape[2] // 2
        if not pairs:
            return x
        first, second = x[..., : 2 * pairs].reshape(*x.shape[:2], pairs, 2).unbind(3)
        difference = first - second
        weight = torch.sigmoid(nn.functional.conv1d(difference, self.to_attn_logits.weight[..., 0]))
        pooled = second + weight * difference
        return torch.cat([pooled, x[..., 2 * pairs :]], dim=2) if x.shape[2] % 2 else pooled


def convolution_block(narrow: int, wide: int, kernel: int, config: EnformerConfig) -> nn.Sequential:
    """Normalisation, activation, convolution."""
    return nn.Sequential(
        ChannelNorm(narrow, config.norm, momentum=config.norm_momentum),
        SigmoidGELU(),
        nn.Conv1d(narrow, wide, kernel, padding=kernel // 2),
    )
