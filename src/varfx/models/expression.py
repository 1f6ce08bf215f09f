"""A person's DNA around a gene -> that gene's expression: Enformer, read at the bin of the TSS by one linear head.

    (person, base, A C G T) -> Enformer -> embedding (2 width) of bin (L / 128) // 2 -> linear -> (person,)

The sequence is strand-oriented, the TSS at base L // 2 (Variformer: 49,152 bp, bin 192). The last layers compute only that bin,
unless statistics learn. All genes share the head: a gene is known by its sequence alone, so that genes never seen can be
predicted. Targets are standardised per gene, and the head starts at 0: the untrained network predicts each gene's mean.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from varfx.errors import ConfigError, DataError, FormatError
from varfx.models.attention import BASIS_FAMILIES, GammaScale
from varfx.models.channel_norm import ChannelNorm, NormPolicy, calibration
from varfx.models.enformer import Enformer, EnformerConfig, Precision
from varfx.models.enformer_weights import load_enformer
from varfx.models.low_rank import adapt_attention

WHERE_TO_GET_IT = (
    "Download `pytorch_model.bin` of the model EleutherAI/enformer-official-rough from the Hugging Face hub (1 GB), "
    "and give its path with --checkpoint"
)


@dataclass(frozen=True, kw_only=True)
class ExpressionNetworkConfig:
    """The network's sizes (the defaults are the published Enformer's), and which part of it learns."""

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
    """Halvings of the length; 7 give bins of 128 bases."""
    dropout: float = 0.4
    """In the transformer's residual branches, as published; an eighth of it before the head."""
    attention_dropout: float = 0.05
    """Of attention weights."""
    position_dropout: float = 0.01
    """Of the position functions."""
    gamma_scale: GammaScale = "function"
    """How the gamma position functions are scaled: function (as the published weights were trained) or distance (as
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
    precision: Precision = "float32"
    """Of the trunk's convolutions and matrix products; head and predictions are float32 with bfloat16 too."""
    checkpointing: bool = False
    """Keep only each stage's input for the backward pass and compute the stage again."""

    def __post_init__(self) -> None:
        if self.width < 12 or self.width % 12:
            raise ConfigError(
                f"`width` must be a multiple of 12, got {self.width}. Take {max(12, self.width // 12 * 12)}."
            )
        for name in ("window", "channels", "num_downsamples"):
            if getattr(self, name) < 1:
                raise ConfigError(f"`{name.replace('_', '-')}` must be at least 1, got {getattr(self, name)}.")
        if self.window < 2**self.num_downsamples:
            raise ConfigError(
                f"`window` must be at least one bin of {2**self.num_downsamples} bases, got {self.window}."
            )
        if self.lora_rank < 0:
            raise ConfigError(f"`lora-rank` must not be negative, got {self.lora_rank}.")
        if self.lora_rank and self.freeze_trunk:
            raise ConfigError("`freeze-trunk` and `lora-rank` exclude each other. Take one of them.")
        if self.lora_rank and not self.depth:
            raise ConfigError("`lora-rank` adapts attention, and `depth` = 0 has none. Take a depth of at least 1.")
        self.trunk()  # checks the rest

    @property
    def readout(self) -> int:
        """The bin that holds base window // 2."""
        return int((self.window // 2) // 2**self.num_downsamples)

    def trunk(self) -> EnformerConfig:
        """The Enformer without heads, of all bins."""
        heads = self.heads
        if heads is None:
            heads = max(count for count in range(1, 9) if self.width % (BASIS_FAMILIES * count) == 0)
        return EnformerConfig(
            channels=self.channels,
            width=self.width,
            depth=self.depth,
            heads=heads,
            key_width=self.key_width if self.key_width is not None else max(16, self.width // 24),
            num_downsamples=self.num_downsamples,
            output_heads={},
            target_length=None,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
            position_dropout=self.position_dropout,
            gamma_scale=self.gamma_scale,
            norm=self.norm,
            norm_momentum=self.norm_momentum,
            precision=self.precision,
            checkpointing=self.checkpointing,
        )

    def to_json(self) -> dict[str, Any]:
        """All fields by name; `ExpressionNetworkConfig(**it)` is this configuration."""
        return asdict(self)


class ExpressionNetwork(nn.Module):
    """The network.

    Args:
        config: its sizes and what learns.
        generator: where the first weights come from; seed 0 if not given.
        trunk: an Enformer of `config.trunk()` with weights of its own; random if not given.
    """

    def __init__(
        self,
        config: ExpressionNetworkConfig,
        *,
        generator: torch.Generator | None = None,
        trunk: Enformer | None = None,
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        self.config = config
        self.trunk = Enformer(config.trunk(), generator=generator) if trunk is None else trunk
        self.head = nn.Linear(2 * config.width, 1, device="meta").to_empty(device="cpu")  # no global random state
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        if config.lora_rank:
            self.trunk.requires_grad_(False)
            adapt_attention(self.trunk, config.lora_rank, generator=generator)
        elif config.freeze_trunk:
            self.trunk.requires_grad_(False)
        elif config.norm == "frozen":
            for module in self.trunk.modules():
                if isinstance(module, ChannelNorm):
                    module.requires_grad_(False)

    def forward(
        self, x: Float[Tensor, "person base 4"] | Float[Tensor, "person haplotype base 4"]
    ) -> Float[Tensor, " person"]:
        """Predicted expression, float32, in units of the training people's standard deviation.

        Args:
            x: averaged sequences; or both haplotypes, whose predictions are averaged.

        Raises:
            DataError: another length than `config.window`, or another shape.
        """
        if x.ndim == 4:
            return self(x.flatten(0, 1)).unflatten(0, x.shape[:2]).mean(1)  # type: ignore[no-any-return]
        if x.ndim != 3 or x.shape[1] != self.config.window:
            raise DataError(
                f"`x` must be (person, base, channel) or (person, haplotype, base, channel) with {self.config.window:,} bases, "
                f"got shape {tuple(x.shape)}."
            )
        if self.training and self.config.norm == "running":
            return self.read(self._embed_all(x))
        return self.read(self.trunk.embed(x, self.config.readout))

    def _embed_all(self, x: Float[Tensor, "person base 4"]) -> Float[Tensor, "person channel"]:
        """The same embedding, with all bins computed: the last norm's statistics are then those of all bins, as published.

        At the TSS of one gene people hardly differ, at first: statistics of this bin alone would jump as attention learns.
        """
        return self.trunk.embed(x)[:, self.config.readout]

    def read(self, embedding: Float[Tensor, "person channel"]) -> Float[Tensor, " person"]:
        """The head's output for embeddings of the readout bin; never in less than float32."""
        with torch.autocast(embedding.device.type, enabled=False):
            return self.head(embedding)[:, 0]  # type: ignore[no-any-return]

    def train(self, mode: bool = True) -> ExpressionNetwork:
        """Sets training mode; a frozen trunk stays in evaluation mode."""
        super().train(mode)
        if self.config.freeze_trunk:
            self.trunk.eval()
        return self

    @torch.no_grad()
    def calibrate(self, x: Float[Tensor, "person base 4"] | Float[Tensor, "person haplotype base 4"]) -> None:
        """Sets the norms' statistics to those of these sequences, layer after layer; for random weights, once, before training."""
        training = self.training
        self.eval()
        with calibration(self.trunk):
            self._embed_all(x.flatten(0, 1) if x.ndim == 4 else x)
        self.train(training)


@dataclass(frozen=True, eq=False)
class LoadedNetwork:
    """A network that starts from the published weights.

    Attributes:
        network: the network.
        sha256: checksum of the checkpoint file.
    """

    network: ExpressionNetwork
    sha256: str


def load_network(
    path: str | os.PathLike[str], config: ExpressionNetworkConfig, *, generator: torch.Generator | None = None
) -> LoadedNetwork:
    """The network with the trunk of a checkpoint in enformer-pytorch's names, and a fresh head.

    Raises:
        ConfigError: `norm` = layer, which has no use for the checkpoint's statistics.
        FormatError: the file is missing, damaged, lacks tensors, or is of other sizes than `config`.
    """
    if config.norm == "layer":
        raise ConfigError("`norm` = layer cannot use a checkpoint's batch norms. Take frozen, running or batch.")
    if not Path(path).is_file():
        raise FormatError(f"the checkpoint `{path}` does not exist. {WHERE_TO_GET_IT}; or train from random weights.")
    loaded = load_enformer(path, config.trunk())
    return LoadedNetwork(ExpressionNetwork(config, generator=generator, trunk=loaded.model), loaded.sha256)
