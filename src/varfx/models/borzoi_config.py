"""Sizes of Borzoi and Flashzoi; importable without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from varfx.errors import ConfigError
from varfx.models.config import NORM_POLICIES, NormPolicy, Precision

BORZOI_STEM_KERNEL = 15  # bases
BORZOI_TOWER_KERNEL = 5
BINS_PER_STEP = 4  # output bins per position of the transformer: two levels of the U-net, each doubling
Attention = Literal["relative", "rotary"]


@dataclass(frozen=True, kw_only=True)
class BorzoiConfig:
    """The sizes of a Borzoi; the defaults are the published model."""

    channels: int = 4
    """Input channels: A, C, G, T."""
    stem_width: int = 512
    """Channels of the first convolution."""
    tower_widths: tuple[int, ...] = (608, 736, 896, 1056, 1280)
    """Channels after each block of the tower. Stem and blocks halve the length: five blocks end at bins of 32 bases."""
    width: int = 1536
    """Channels of the transformer and of the way up."""
    depth: int = 8
    """Transformer layers."""
    heads: int = 8
    """Attention heads; they divide `width`."""
    key_width: int = 64
    """Channels of the queries and keys of each head (relative attention)."""
    attention: Attention = "relative"
    """relative: Borzoi's relative positions; rotary: Flashzoi's rotary positions and shared keys."""
    position_functions: int = 32
    """Central boxes of relative attention, half of them with the distance's sign."""
    position_length: int = 4096
    """Positions of the transformer to which the widths of the boxes grow."""
    final_width: int = 1920
    """Channels of the embedding that the heads read."""
    output_heads: Mapping[str, int] = field(default_factory=lambda: {"human": 7611})
    """Output tracks of each head, by name (the published mouse head has 2,608); may be empty where only `embed` is used."""
    target_length: int | None = 6144
    """Bins in the centre of the window that are put out; all if None."""
    dropout: float = 0.2
    """In the transformer's residual branches; half of it before the heads."""
    attention_dropout: float = 0.05
    """Of attention weights."""
    position_dropout: float = 0.01
    """Of the position functions."""
    norm: NormPolicy = "batch"
    """Statistics of the normalisation: batch (published), running, frozen, or layer (see `models/channel_norm.py`)."""
    norm_momentum: float = 0.1
    """Weight of the newest statistics in the running averages."""
    precision: Precision = "float32"
    """Of the convolutions and matrix products; with bfloat16 too, the heads and all outputs are float32."""
    checkpointing: bool = False
    """Keep only each stage's input for the backward pass and compute the stage again."""

    def __post_init__(self) -> None:
        sizes = ("channels", "stem_width", "width", "heads", "key_width", "position_length", "final_width")
        for name in sizes:
            if getattr(self, name) < 1:
                raise ConfigError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        if self.depth < 0:
            raise ConfigError(f"`depth` must not be negative, got {self.depth}.")
        if not self.tower_widths or min(self.tower_widths) < 1:
            raise ConfigError(f"`tower_widths` must be one or more positive widths, got {self.tower_widths}.")
        if self.width % self.heads:
            raise ConfigError(f"`width` must be a multiple of heads = {self.heads}, got {self.width}.")
        if self.attention not in ("relative", "rotary"):
            raise ConfigError(f"`attention` must be relative or rotary, got {self.attention!r}.")
        if self.attention == "rotary" and self.heads % 2:
            raise ConfigError(f"`heads` must be even for rotary attention, got {self.heads}.")
        if self.position_functions < 2 or self.position_functions % 2:
            raise ConfigError(f"`position_functions` must be even and positive, got {self.position_functions}.")
        if self.target_length is not None and self.target_length < 1:
            raise ConfigError(f"`target_length` must be at least 1, or unset for all bins, got {self.target_length}.")
        for name in ("dropout", "attention_dropout", "position_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"`{name}` must be in [0, 1), got {getattr(self, name)}.")
        if self.norm not in NORM_POLICIES:
            raise ConfigError(f"`norm` must be one of {', '.join(NORM_POLICIES)}, got {self.norm!r}.")
        for name, size in self.output_heads.items():
            if not name.isidentifier() or size < 1:
                raise ConfigError(f"`output_heads` must map names to positive sizes, got {name!r}: {size}.")

    @classmethod
    def of_width(cls, width: int, *, blocks: int = 5, **others: Any) -> BorzoiConfig:
        """The network of a width, with so many blocks of the tower, other sizes in proportion.

        Width 1536 is the published model. Below, stem and tower are those of calico's smaller models, of which 768 is
        `mini` and 320 `micro`: a geometric row from half the width, and a stem of five twelfths (mini) of it.
        """
        if blocks < 1:
            raise ConfigError(f"Borzoi halves the length at least 3 times, got {blocks + 2}.")
        if width == cls.width and blocks == len(cls.tower_widths):
            return cls(**others)
        multiple = max(1, math.gcd(width // 2, 16))
        row = (width / 2 * 2 ** (step / blocks) for step in range(blocks))
        sizes: dict[str, Any] = {
            "width": width,
            "stem_width": max(1, round(width * 5 / 12 / multiple)) * multiple,
            "tower_widths": tuple(max(1, round(size / multiple)) * multiple for size in row),
            "final_width": width * 5 // 4,
            "heads": next(heads for heads in (4, 2, 1) if width % heads == 0),
            "key_width": min(64, max(16, width // 10)),
        }
        return cls(**{**sizes, **others})

    @property
    def bin_size(self) -> int:
        """Input positions per output bin."""
        return int(2 ** len(self.tower_widths))

    @property
    def step(self) -> int:
        """Input positions per position of the transformer; windows are multiples of it."""
        return BINS_PER_STEP * self.bin_size

    @property
    def embedding_width(self) -> int:
        """Channels of the embedding."""
        return self.final_width

    def num_bins(self, length: int) -> int:
        """Output bins for `length` input positions, before the crop."""
        return length // self.bin_size
