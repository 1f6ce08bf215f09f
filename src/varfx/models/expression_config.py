"""Configuration of a network that predicts expression; importable without torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from varfx.errors import ConfigError
from varfx.models.borzoi_config import BorzoiConfig
from varfx.models.config import BASIS_FAMILIES, EnformerConfig, GammaScale, NormPolicy, Precision, trunk_of

Architecture = Literal["enformer", "borzoi", "flashzoi"]
Pooling = Literal["bin", "attention"]


@dataclass(frozen=True, kw_only=True)
class ExpressionNetworkConfig:
    """The network's sizes (the defaults are the published Enformer's), and which part of it learns."""

    model: Architecture = "enformer"
    """The network below the head: enformer (bins of 128 bases), borzoi or flashzoi (bins of 32)."""
    window: int = 49_152
    """Bases of the window; the TSS stands at base window // 2 of the strand-oriented sequence."""
    channels: int = 4
    """A, C, G, T."""
    width: int = 1536
    """Channels of the transformer."""
    depth: int = 11
    """Transformer layers."""
    heads: int | None = None
    """Attention heads; by default the most, up to the published 8, for which `width / heads` is a multiple of 6."""
    key_width: int | None = None
    """Channels of the queries and keys of each head; by default width / 24 (the published 64), and at least 16."""
    num_downsamples: int = 7
    """Halvings of the length before the transformer: 7 give positions of 128 bases, which are Enformer's bins; Borzoi's bins are
    a quarter of them."""
    pooling: Pooling = "bin"
    """What the head reads: the bin of the TSS, or the `pooled_bins` around it, weighted by attention that learns."""
    pooled_bins: int = 10
    """Bins around the TSS that attention weighs."""
    dropout: float = 0.4
    """In the transformer's residual branches, as published; an eighth of it before the head."""
    attention_dropout: float = 0.05
    """Of attention weights."""
    position_dropout: float = 0.01
    """Of the position functions."""
    gamma_scale: GammaScale = "function"
    """Scale of the gamma position functions: function (as the published weights were trained) or distance (as
    enformer-pytorch, and so Variformer, computes them at other lengths than 196,608 bp)."""
    norm: NormPolicy = "frozen"
    """Batch norms: frozen (statistics, scales and shifts stay; as the paper for the published weights); running
    (statistics constant within a step and moved after it: for random weights); batch (of the micro-batch); layer."""
    norm_momentum: float = 0.1
    """Weight of the newest statistics in the running averages."""
    freeze_trunk: bool = False
    """Train the head only; the trunk then computes as in evaluation, without dropout."""
    lora_rank: int = 0
    """Train low-rank adapters of this rank on the attention's q, k, v and out, and the head; 0 trains all weights."""
    locon_rank: int = 0
    """Train low-rank adapters of this rank on the trunk's convolutions too, and the head; 0 for none."""
    coverage_tracks: int = 0
    """Tracks of coverage that are predicted in every bin, in place of one value at the TSS; 0 for that value."""
    precision: Precision = "float32"
    """Of the trunk's convolutions and matrix products; head and predictions are float32 with bfloat16 too."""
    checkpointing: bool = False
    """Keep only each stage's input for the backward pass and compute the stage again."""

    def __post_init__(self) -> None:
        if self.model not in get_args(Architecture):
            raise ConfigError(f"`model` must be one of {', '.join(get_args(Architecture))}, got {self.model!r}.")
        if self.model != "enformer" and self.gamma_scale != "function":
            raise ConfigError(
                f"`gamma-scale` is of Enformer's position functions, which {self.model} does not have. Leave it out."
            )
        if self.coverage_tracks < 0:
            raise ConfigError(f"`coverage_tracks` must not be negative, got {self.coverage_tracks}.")
        if self.coverage_tracks and self.pooling != "bin":
            raise ConfigError("`readout` is for one value at the TSS; coverage is read from every bin. Leave it out.")
        if self.pooling not in ("bin", "attention"):
            raise ConfigError(f"`readout` must be bin or attention, got {self.pooling!r}.")
        if self.width < 12 or self.width % 12:
            raise ConfigError(
                f"`width` must be a multiple of 12, got {self.width}. Take {max(12, self.width // 12 * 12)}."
            )
        for name in ("window", "channels", "num_downsamples", "pooled_bins"):
            if getattr(self, name) < 1:
                raise ConfigError(f"`{name.replace('_', '-')}` must be at least 1, got {getattr(self, name)}.")
        if self.window < 2**self.num_downsamples:
            raise ConfigError(
                f"`window` must be at least one bin of {2**self.num_downsamples} bases, got {self.window}."
            )
        if self.model != "enformer" and self.window % 2**self.num_downsamples:
            step = 2**self.num_downsamples
            raise ConfigError(
                f"`window` must be a multiple of {step} bases for {self.model}, got {self.window:,}. "
                f"Take {self.window // step * step:,}."
            )
        for name in ("lora_rank", "locon_rank"):
            option = name.replace("_", "-")
            if getattr(self, name) < 0:
                raise ConfigError(f"`{option}` must not be negative, got {getattr(self, name)}.")
            if getattr(self, name) and self.freeze_trunk:
                raise ConfigError(f"`freeze-trunk` and `{option}` exclude each other. Take one of them.")
        if self.lora_rank and not self.depth:
            raise ConfigError("`lora-rank` adapts attention, and `depth` = 0 has none. Take a depth of at least 1.")
        bins = self.trunk().num_bins(self.window)  # checks the rest
        if self.pooling == "attention" and self.pooled_bins > bins:
            raise ConfigError(f"`pooled-bins` must be at most the window's {bins} bins, got {self.pooled_bins}.")

    @property
    def readout(self) -> int:
        """The bin that holds base window // 2."""
        return (self.window // 2) // self.trunk().bin_size

    @property
    def rows(self) -> slice:
        """The bins that the head reads."""
        count = self.pooled_bins if self.pooling == "attention" else 1
        first = min(max(0, self.readout - count // 2), self.trunk().num_bins(self.window) - count)
        return slice(first, first + count, 1)

    @property
    def adapted(self) -> bool:
        """Whether adapters train in place of the trunk's own weights."""
        return self.lora_rank > 0 or self.locon_rank > 0

    def trunk(self) -> EnformerConfig | BorzoiConfig:
        """The network without heads, of all bins."""
        if self.model != "enformer":
            return self._borzoi()
        heads = self.heads
        if heads is None:
            heads = max(count for count in range(1, 9) if self.width % (BASIS_FAMILIES * count) == 0)
        key_width = self.key_width if self.key_width is not None else max(16, self.width // 24)
        return trunk_of(self, heads=heads, key_width=key_width)

    def _borzoi(self) -> BorzoiConfig:
        chosen = {name: getattr(self, name) for name in ("heads", "key_width") if getattr(self, name) is not None}
        same = ("channels", "depth", "dropout", "attention_dropout", "position_dropout", "norm", "norm_momentum")
        return BorzoiConfig.of_width(
            self.width,
            blocks=self.num_downsamples - 2,
            attention="rotary" if self.model == "flashzoi" else "relative",
            output_heads={},
            target_length=None,
            precision=self.precision,
            checkpointing=self.checkpointing,
            **chosen,
            **{name: getattr(self, name) for name in same},
        )

    def to_json(self) -> dict[str, Any]:
        """All fields by name; `ExpressionNetworkConfig(**it)` is this configuration."""
        return asdict(self)
