"""Borzoi in plain torch (Linder et al., Nature Genetics 2025), and Flashzoi: a tower down, a transformer, a U-net up.

    (batch, length, 4) -> stem -> tower -> bins of 32 -> bins of 64 -> bins of 128 -> transformer
                                             |             |                             |
                    heads <- pointwise <- bins of 32  <-  bins of 64     <-     bins of 128

The way up doubles the length twice, each time adds what the way down had there, and mixes neighbours. Names and shapes of
the weights are those of borzoi-pytorch, so that its checkpoints load (`models/borzoi_weights.py`). Flashzoi differs in the
attention alone (`models/rotary.py`). Sizes: `models/borzoi_config.py`.
"""

from __future__ import annotations

import functools
import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn

from varfx.errors import DataError
from varfx.models.attention import RelativeAttention
from varfx.models.borzoi_config import BINS_PER_STEP, BORZOI_STEM_KERNEL, BORZOI_TOWER_KERNEL, BorzoiConfig
from varfx.models.channel_norm import ChannelNorm
from varfx.models.rotary import RotaryAttention
from varfx.models.transformer import TransformerLayer
from varfx.models.trunk import Trunk, initialise

EPS = 1e-3  # of all normalisations, as in TensorFlow


class Borzoi(Trunk):
    """The network. Outputs are per bin of 32 bases, in the order of the input positions.

    Args:
        config: its sizes.
        generator: where the first weights come from; seed 0 if not given.
    """

    config: BorzoiConfig

    def __init__(self, config: BorzoiConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        width, inside = config.width, config.tower_widths[-1]
        with torch.device("meta"):  # `initialise` below sets every value; the global random state is not used
            self.conv_dna = Stem(config.channels, config.stem_width)
            blocks = [
                ConvolutionBlock(narrow, wide, BORZOI_TOWER_KERNEL, config)
                for narrow, wide in itertools.pairwise((config.stem_width, *config.tower_widths))
            ]
            # Pooling stands between the blocks, and has a place in the names.
            tower = list(itertools.chain(*((block, nn.MaxPool1d(2)) for block in blocks)))
            self.res_tower = nn.Sequential(*tower[:-1])
            self.unet1 = nn.Sequential(nn.MaxPool1d(2), ConvolutionBlock(inside, width, BORZOI_TOWER_KERNEL, config))
            self.transformer = nn.Sequential(*(transformer_layer(config) for _ in range(config.depth)))
            self.horizontal_conv0 = ConvolutionBlock(inside, width, 1, config)
            self.horizontal_conv1 = ConvolutionBlock(width, width, 1, config)
            self.upsampling_unet1 = nn.Sequential(
                ConvolutionBlock(width, width, 1, config), nn.Upsample(scale_factor=2)
            )
            self.separable1 = SeparableConvolution(width)
            self.upsampling_unet0 = nn.Sequential(
                ConvolutionBlock(width, width, 1, config), nn.Upsample(scale_factor=2)
            )
            self.separable0 = SeparableConvolution(width)
            self.final_joined_convs = nn.Sequential(
                ConvolutionBlock(width, config.final_width, 1, config),
                nn.Dropout(config.dropout / 2),
                nn.GELU(approximate="tanh"),
            )
            for name, size in config.output_heads.items():
                self.add_module(f"{name}_head", nn.Conv1d(config.final_width, size, 1))
        self.to_empty(device="cpu")
        initialise(self, torch.Generator().manual_seed(0) if generator is None else generator)

    def forward(
        self, x: Float[Tensor, "batch position channel"], readout: int | slice | None = None
    ) -> dict[str, Float[Tensor, "batch *bin track"]]:
        """The tracks of each head, in float32.

        Args:
            x: DNA as one-hot (A, C, G, T), or averaged over haplotypes; N as zeros.
            readout: which output bins, counted after the crop to `target_length`, as an index (drops the bin axis) or a
                slice with step 1. Equal to taking them from the whole output; only what they need is computed after the
                tower (not so in training mode with `norm` = batch).

        Raises:
            DataError: wrong shape, or fewer bins than asked for.
        """
        embedding = self.embed(x, readout)
        with torch.autocast(x.device.type, enabled=False):
            return {name: self._head(name, embedding) for name in self.config.output_heads}

    def _head(self, name: str, embedding: Tensor) -> Tensor:
        head = self.get_submodule(f"{name}_head")
        assert isinstance(head, nn.Conv1d)
        return nn.functional.softplus(nn.functional.linear(embedding, head.weight[..., 0], head.bias))

    def embed(
        self, x: Float[Tensor, "batch position channel"], readout: int | slice | None = None
    ) -> Float[Tensor, "batch *bin channel"]:
        """Embedding read by the heads, in float32; arguments and errors as in `forward`."""
        self._check_input(x)
        if x.shape[1] % self.config.step:
            raise DataError(
                f"Borzoi's windows are multiples of {self.config.step} bases, got {x.shape[1]:,}. "
                f"Take {max(1, x.shape[1] // self.config.step) * self.config.step:,}."
            )
        bins = self.config.num_bins(x.shape[1])
        rows = self.output_rows(bins, readout)
        # Statistics of the pass are those of all output bins, whatever is read.
        computed = self.output_rows(bins) if self.training and self.config.norm == "batch" else rows
        around = needed_steps(computed, bins // BINS_PER_STEP)
        fine, coarse, down = self.convolve(x.mT)
        up = self.ascend(self.attend(down.mT, around).mT, coarse[..., _times(around, 2)], fine[..., _times(around, 4)])
        first = computed.start - BINS_PER_STEP * around.start
        embedding = self.pointwise(up[..., first : first + computed.stop - computed.start])
        embedding = embedding[:, rows.start - computed.start : rows.stop - computed.start]
        return embedding[:, 0] if isinstance(readout, int) else embedding

    def convolve(self, x: Float[Tensor, "batch channel position"]) -> tuple[Tensor, Tensor, Tensor]:
        """Stem and tower: (batch, channel, bin) at 32 and at 64 bases (for the way up), and at 128 (for the transformer)."""
        with self._autocast(x):
            x = self._stage(self.conv_dna, x)
            for stage in self.res_tower:
                x = self._stage(stage, x)
            coarse = self._stage(self.unet1, x)
            return x, coarse, nn.functional.max_pool1d(coarse, 2)

    def attend(self, x: Float[Tensor, "batch step channel"], rows: slice) -> Float[Tensor, "batch row channel"]:
        """The transformer's output at the positions `rows`; all positions are read."""
        steps, config = x.shape[1], self.config
        if not config.depth:
            return x[:, rows]
        basis = box_basis(steps, config.position_functions, config.position_length, x.device)
        basis = basis.to(next(self.transformer.parameters()).dtype)
        with self._autocast(x):
            for number, layer in enumerate(self.transformer):
                last = number == config.depth - 1
                x = self._stage(layer, x, basis, rows if last else slice(0, steps, 1))
            return x

    def ascend(self, x: Tensor, coarse: Tensor, fine: Tensor) -> Float[Tensor, "batch channel bin"]:
        """Bins of 32 from positions of 128, with what the way down had at 64 (`coarse`) and at 32 (`fine`)."""
        with self._autocast(x):
            x = self._stage(self.upsampling_unet1, x) + self._stage(self.horizontal_conv1, coarse)
            x = self._stage(self.separable1, x)
            x = self._stage(self.upsampling_unet0, x) + self._stage(self.horizontal_conv0, fine)
            return self._stage(self.separable0, x)

    def pointwise(self, x: Float[Tensor, "batch channel bin"]) -> Float[Tensor, "batch bin channel"]:
        """The last layer before the heads, in float32."""
        with self._autocast(x):
            x = self._stage(self.final_joined_convs, x).mT
        return x if x.dtype == torch.float64 else x.float()


class Stem(nn.Module):
    """The first convolution, and the first halving."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv_layer = nn.Conv1d(channels, width, BORZOI_STEM_KERNEL, padding=BORZOI_STEM_KERNEL // 2)

    def forward(self, x: Float[Tensor, "batch channel position"]) -> Float[Tensor, "batch channel half"]:
        """Motifs, the stronger of each pair of positions."""
        return nn.functional.max_pool1d(self.conv_layer(x), 2)


class ConvolutionBlock(nn.Module):
    """Normalisation, activation, convolution."""

    def __init__(self, narrow: int, wide: int, kernel: int, config: BorzoiConfig) -> None:
        super().__init__()
        self.norm = ChannelNorm(narrow, config.norm, momentum=config.norm_momentum, eps=EPS)
        self.conv_layer = nn.Conv1d(narrow, wide, kernel, padding=kernel // 2)

    def forward(self, x: Float[Tensor, "batch channel bin"]) -> Float[Tensor, "batch channel bin"]:
        """The block's output."""
        return self.conv_layer(nn.functional.gelu(self.norm(x), approximate="tanh"))  # type: ignore[no-any-return]


class SeparableConvolution(nn.Module):
    """Three neighbouring bins of each channel, then all channels of each bin."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_layer = nn.Sequential(
            nn.Conv1d(width, width, 3, padding=1, groups=width, bias=False), nn.Conv1d(width, width, 1)
        )

    def forward(self, x: Float[Tensor, "batch channel bin"]) -> Float[Tensor, "batch channel bin"]:
        """The convolution."""
        return self.conv_layer(x)  # type: ignore[no-any-return]


def transformer_layer(config: BorzoiConfig) -> TransformerLayer:
    """One layer with Borzoi's or Flashzoi's attention."""
    attention: nn.Module
    if config.attention == "rotary":
        attention = RotaryAttention(config.width, heads=config.heads, dropout=config.attention_dropout)
    else:
        attention = RelativeAttention(
            config.width,
            heads=config.heads,
            key_width=config.key_width,
            dropout=config.attention_dropout,
            position_dropout=config.position_dropout,
            functions=config.position_functions,
        )
    return TransformerLayer(attention, config.width, config.dropout, eps=EPS)


def needed_steps(rows: slice, steps: int) -> slice:
    """Positions of the transformer on which the output bins `rows` depend after it: their own, and one on either side."""
    return slice(max(0, rows.start // BINS_PER_STEP - 1), min(steps, (rows.stop - 1) // BINS_PER_STEP + 2), 1)


def _times(rows: slice, factor: int) -> slice:
    return slice(factor * rows.start, factor * rows.stop)


@functools.lru_cache(maxsize=16)
def box_basis(steps: int, num_functions: int, longest: int, device: torch.device) -> Float[Tensor, "distance function"]:
    """The functions of the distances -(steps - 1) to steps - 1, (2 steps - 1, num_functions), in float32.

    Half of them are the boxes 1[|d| < w_k], w_k = (longest + 1)^(k / count) - 1, k = 1 ... count; the others the same, times
    sign(d). `longest` is fixed (4,096), so that a distance looks the same in windows of all lengths.
    """
    with torch.inference_mode(False), torch.no_grad():  # a cached inference tensor could not be used in training
        count = num_functions // 2
        distance = torch.arange(-steps + 1, steps)[:, None]
        rate = torch.tensor(float(longest + 1)).log().div(count).exp()
        width = rate ** torch.arange(1, count + 1) - 1
        box = (width > distance.abs()).float()
        return torch.cat([box, distance.sign() * box], dim=1).to(device)
