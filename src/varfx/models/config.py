"""Configurations of all networks: frozen dataclasses, checked on construction, importable without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from varfx.errors import ConfigError

Precision = Literal["float32", "bfloat16"]
GammaScale = Literal["distance", "function"]
NormPolicy = Literal["batch", "running", "frozen", "layer"]
NORM_POLICIES = ("batch", "running", "frozen", "layer")
STEM_KERNEL = 15  # input positions
TOWER_KERNEL = 5
BASIS_FAMILIES = 6  # exponential, central mask and gamma; each symmetric and with the sign of the distance
Kind = Literal["constant", "linear", "mlp", "enformer"]
Link = Literal["softplus", "exp"]
FittedEffects = Literal["normal", "mixture"]


@dataclass(frozen=True, kw_only=True)
class EnformerConfig:
    """The sizes of an Enformer; the defaults are the published model."""

    channels: int = 4
    """Input channels: 4 bases, or any number of tracks."""
    width: int = 1536
    """Channels of the transformer; the stem has half as many, the output twice as many."""
    depth: int = 11
    """Transformer layers."""
    heads: int = 8
    """Attention heads; `width / heads` must be a multiple of 6 (the kinds of position functions)."""
    key_width: int = 64
    """Channels of the queries and keys of each head."""
    num_downsamples: int = 7
    """Stages of stem and tower; each halves the length. 7 give bins of 128 positions."""
    width_multiple: int | None = None
    """Channels between stem and transformer are rounded to multiples of this; by default the largest power of two, up to the
    published 128, that divides `width / 2`."""
    output_heads: Mapping[str, int] = field(default_factory=lambda: {"human": 5313, "mouse": 1643})
    """Output tracks of each head, by name; may be empty where only `embed` is used."""
    target_length: int | None = 896
    """Bins in the centre of the window that are put out; all if None."""
    dropout: float = 0.4
    """In the transformer's residual branches; an eighth of it before the heads."""
    attention_dropout: float = 0.05
    """Of attention weights."""
    position_dropout: float = 0.01
    """Of the position functions."""
    gamma_scale: GammaScale = "distance"
    """Scale of the gamma position functions: as enformer-pytorch does by default (distance), or as the TensorFlow
    original, with which the published weights were trained (function)."""
    norm: NormPolicy = "batch"
    """Statistics of the normalisation: batch (published), running, frozen, or layer (see `models/channel_norm.py`)."""
    norm_momentum: float = 0.1
    """Weight of the newest statistics in the running averages."""
    precision: Precision = "float32"
    """Of the convolutions and matrix products; with bfloat16 too, the heads and all outputs are float32."""
    checkpointing: bool = False
    """Keep only each stage's input for the backward pass and compute the stage again: less memory, a third more time."""

    def __post_init__(self) -> None:
        for name in ("channels", "width", "heads", "key_width"):
            if getattr(self, name) < 1:
                raise ConfigError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        if self.depth < 0:
            raise ConfigError(f"`depth` must not be negative, got {self.depth}.")
        if self.num_downsamples < 2:
            raise ConfigError(f"`num_downsamples` must be at least 2 (stem and one stage), got {self.num_downsamples}.")
        if self.width % (self.heads * BASIS_FAMILIES):
            raise ConfigError(
                f"`width` must be a multiple of 6 x heads = {self.heads * BASIS_FAMILIES}, got {self.width}. "
                f"Take width {self._near_width()}, or other `heads`."
            )
        if self.width % 2 or (self.width_multiple is not None and not self._divides(self.width_multiple)):
            raise ConfigError(
                f"`width_multiple` must be positive and divide width = {self.width}, and `width` be even; got "
                f"{self.width_multiple}. Leave it unset for the largest power of two that fits."
            )
        if self.target_length is not None and self.target_length < 1:
            raise ConfigError(f"`target_length` must be at least 1, or unset for all bins, got {self.target_length}.")
        for name in ("dropout", "attention_dropout", "position_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"`{name}` must be in [0, 1), got {getattr(self, name)}.")
        if not 0 < self.norm_momentum <= 1:
            raise ConfigError(f"`norm_momentum` must be in (0, 1], got {self.norm_momentum}.")
        if self.norm not in NORM_POLICIES:
            raise ConfigError(f"`norm` must be one of {', '.join(NORM_POLICIES)}, got {self.norm!r}.")
        if self.precision not in ("float32", "bfloat16"):
            raise ConfigError(f"`precision` must be float32 or bfloat16, got {self.precision!r}.")
        if self.gamma_scale not in ("distance", "function"):
            raise ConfigError(f"`gamma_scale` must be distance or function, got {self.gamma_scale!r}.")
        for name, size in self.output_heads.items():
            if not name.isidentifier() or size < 1:
                raise ConfigError(f"`output_heads` must map names to positive sizes, got {name!r}: {size}.")

    def _divides(self, multiple: int) -> bool:
        return multiple > 0 and self.width % multiple == 0

    def _near_width(self) -> int:
        step = math.lcm(2, self.heads * BASIS_FAMILIES)
        return int(max(1, round(self.width / step)) * step)

    @property
    def bin_size(self) -> int:
        """Input positions per bin."""
        return int(2**self.num_downsamples)

    @property
    def embedding_width(self) -> int:
        """Channels of the embedding."""
        return 2 * self.width

    @property
    def reach(self) -> int:
        """Input positions beside a bin, on either side, on which its value after the tower depends."""
        return STEM_KERNEL // 2 + TOWER_KERNEL // 2 * (self.bin_size - 2)

    def num_bins(self, length: int) -> int:
        """Bins of the transformer for `length` input positions; an unpaired last position makes a bin of its own."""
        return -(-length // self.bin_size)

    def tower_widths(self) -> list[int]:
        """Channels after the stem and after each stage of the tower: a geometric row from half the width to the width."""
        half = self.width // 2
        multiple = self.width_multiple or math.gcd(half, 128)
        steps = self.num_downsamples - 2
        row = [half * 2 ** (step / steps) for step in range(steps + 1)] if steps else [self.width]
        return [half, *(round(size / multiple) * multiple for size in row)]


def trunk_of(config: object, **others: Any) -> EnformerConfig:
    """The Enformer without heads, of all bins, with the sizes of `config` and `others` in place of some."""
    sizes = {each.name: getattr(config, each.name) for each in fields(EnformerConfig) if hasattr(config, each.name)}
    return EnformerConfig(**{**sizes, "output_heads": {}, "target_length": None, **others})


@dataclass(frozen=True, kw_only=True)
class TrackEnformerConfig:
    """The network over tracks; with 165 tracks, width 768 has 16 million weights and width 384 4.4 million."""

    window: int = 256
    """Positions around each variant (w)."""
    width: int = 384
    """Channels of the transformer: 384 as the paper's smaller model, 768 as its larger."""
    depth: int = 2
    """Transformer layers."""
    heads: int = 4
    """Attention heads; `width / heads` must be a multiple of 6."""
    key_width: int = 64
    """Channels of the queries and keys of each head."""
    num_downsamples: int = 4
    """Stages that halve the window: 256 positions become 16 bins."""
    dropout: float = 0.0
    """In the transformer. Which values are dropped depends on `variants_per_pass`, unlike all else."""
    norm: NormPolicy = "running"
    """Statistics of the normalisation; `batch` would make a variant's score depend on the others in its pass."""
    norm_momentum: float = 0.1
    """Weight of the newest statistics in the running averages."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the network; scores are float32."""
    variants_per_pass: int = 512
    """Variants that go through the network together; bounds the memory, does not change the result."""
    checkpointing: bool = False
    """Keep only each stage's input within a pass too."""
    zero_output: bool = True
    """Start at score 0. False gives a random function of the features, for simulations (appendix B.7)."""

    def __post_init__(self) -> None:
        for name in ("window", "variants_per_pass"):
            if getattr(self, name) < 1:
                raise ConfigError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        self.trunk(1)

    def trunk(self, num_tracks: int) -> EnformerConfig:
        """The configuration of the Enformer inside."""
        return trunk_of(
            self,
            channels=num_tracks,
            attention_dropout=self.dropout,
            position_dropout=self.dropout,
            gamma_scale="function",
        )


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Network that scores the variants."""

    kind: Kind = "mlp"
    """constant: no features; linear: the paper's generalised linear model; mlp: a multi-layer perceptron; enformer: an
    Enformer over base-resolution tracks."""
    link: Link = "softplus"
    """Link from score to variance factor: softplus (grows linearly; robust) or exp (log-linear)."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the perceptron's hidden layers."""
    effects: FittedEffects = "normal"
    """Distribution of effects in the fit: normal, or mixture: after the normal fit a second head of the network learns each variant's
    log-odds of a sparse larger effect, by an evidence lower bound."""
    enformer: TrackEnformerConfig = field(default_factory=TrackEnformerConfig)
    """The network over tracks; its `window` is also the stretch that linear and mlp see averages of."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ConfigError(f"`model` must be constant, linear, mlp or enformer, got {self.kind!r}.")
        if self.link not in ("softplus", "exp"):
            raise ConfigError(f"`link` must be softplus or exp, got {self.link!r}.")
        if self.effects not in get_args(FittedEffects):
            raise ConfigError(f"`effects` of a fit must be normal or mixture, got {str(self.effects)[:40]!r}.")
        if self.kind == "mlp" and not (self.hidden and all(size > 0 for size in self.hidden)):
            raise ConfigError(f"`hidden` must be one or more positive widths, got {self.hidden}.")


@dataclass(frozen=True, kw_only=True)
class AttributionConfig:
    """Accuracy of the integrals of an attribution."""

    steps: int = 16
    """Gauss-Legendre points of the first attempt."""
    max_steps: int = 256
    """Points at most, or `steps` if that is more; an attempt that misses `tolerance` is repeated with twice as many up to
    here."""
    tolerance: float = 0.01
    """Largest error of completeness, in log f. What is still above it after `max_steps` is reported, not hidden."""
    variants_per_pass: int = 64
    """Variants whose gradients are computed together; bounds the memory."""

    def __post_init__(self) -> None:
        for name in ("steps", "variants_per_pass"):
            if getattr(self, name) < 1:
                raise ConfigError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        object.__setattr__(self, "max_steps", max(self.steps, self.max_steps))
        if not self.tolerance > 0:
            raise ConfigError(f"`tolerance` must be positive, got {self.tolerance}.")
