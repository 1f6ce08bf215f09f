"""An individual's DNA around a gene -> that gene's expression: Enformer or Borzoi, read at the TSS by one linear head.

    (individual, base, A C G T) -> trunk -> embedding of the TSS's bin, or of the bins around it -> linear -> (individual,)

The sequence is strand-oriented, the TSS at base L // 2 (Variformer: Enformer, 49,152 bp, bin 192). The last layers compute only
the bins that are read, unless statistics learn. All genes share the head: a gene is known by its sequence alone, so that genes never seen can be
predicted. Targets are standardised per gene, and the head starts at 0: the untrained network predicts each gene's mean.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from varfx.errors import ConfigError, DataError, FormatError
from varfx.models.borzoi import Borzoi
from varfx.models.borzoi_config import BorzoiConfig
from varfx.models.borzoi_weights import load_borzoi
from varfx.models.channel_norm import ChannelNorm, calibration
from varfx.models.enformer import Enformer
from varfx.models.enformer_weights import load_enformer
from varfx.models.expression_config import ExpressionNetworkConfig
from varfx.models.low_rank import adapt_attention, adapt_convolutions
from varfx.models.trunk import Trunk

PUBLISHED_FILES = {
    "enformer": "`pytorch_model.bin` of the model EleutherAI/enformer-official-rough from the Hugging Face hub (1 GB)",
    "borzoi": "`model.safetensors` of the model johahi/borzoi-replicate-0 from the Hugging Face hub (0.7 GB)",
    "flashzoi": "`model.safetensors` of the model johahi/flashzoi-replicate-0 from the Hugging Face hub (0.7 GB)",
}


class ExpressionNetwork(nn.Module):
    """The network.

    Args:
        config: its sizes and what learns.
        generator: where the first weights come from; seed 0 if not given.
        trunk: a network of `config.trunk()` with weights of its own; random if not given.
    """

    def __init__(
        self,
        config: ExpressionNetworkConfig,
        *,
        generator: torch.Generator | None = None,
        trunk: Trunk | None = None,
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        self.config = config
        self.trunk = make_trunk(config, generator) if trunk is None else trunk
        self.head = zero_linear(self.trunk.config.embedding_width, 1)
        self.pool = zero_linear(self.trunk.config.embedding_width, 1) if config.pooling == "attention" else None
        if config.adapted:
            self.trunk.requires_grad_(False)
            if config.lora_rank:
                adapt_attention(self.trunk, config.lora_rank, generator=generator)
            if config.locon_rank:
                adapt_convolutions(self.trunk, config.locon_rank, generator=generator)
        elif config.freeze_trunk:
            self.trunk.requires_grad_(False)
        elif config.norm == "frozen":
            for module in self.trunk.modules():
                if isinstance(module, ChannelNorm):
                    module.requires_grad_(False)

    def forward(
        self, x: Float[Tensor, "individual base 4"] | Float[Tensor, "individual haplotype base 4"]
    ) -> Float[Tensor, " individual"]:
        """Predicted expression, float32, in units of the training individuals' standard deviation.

        Args:
            x: averaged sequences; or both haplotypes, whose predictions are averaged.

        Raises:
            DataError: another length than `config.window`, or another shape.
        """
        if x.ndim == 4:
            return self(x.flatten(0, 1)).unflatten(0, x.shape[:2]).mean(1)  # type: ignore[no-any-return]
        self.check_input(x)
        if self.training and self.config.norm == "running":
            return self.read(self._embed_all(x))
        return self.read(self.trunk.embed(x, self.config.rows))

    def check_input(self, x: Tensor) -> None:
        """Raises DataError if sequences have another shape than the network's."""
        if x.ndim != 3 or x.shape[1] != self.config.window:
            raise DataError(
                f"`x` must be (individual, base, channel) or (individual, haplotype, base, channel) with {self.config.window:,} bases, "
                f"got shape {tuple(x.shape)}."
            )

    def _embed_all(self, x: Float[Tensor, "individual base 4"]) -> Float[Tensor, "individual bin channel"]:
        """The same embedding, with all bins computed: the last norm's statistics are then those of all bins, as published.

        At the TSS of one gene individuals hardly differ, at first: statistics of this bin alone would jump as attention learns.
        """
        return self.trunk.embed(x)[:, self.config.rows]

    def read(self, embedding: Float[Tensor, "individual bin channel"]) -> Float[Tensor, " individual"]:
        """The head's output for embeddings of the bins `config.rows`; never in less than float32."""
        with torch.autocast(embedding.device.type, enabled=False):
            if self.pool is None:
                pooled = embedding[:, 0]
            else:
                pooled = (self.pool(embedding).softmax(dim=1) * embedding).sum(dim=1)
            return self.head(pooled)[:, 0]  # type: ignore[no-any-return]

    def train(self, mode: bool = True) -> ExpressionNetwork:
        """Sets training mode; a frozen trunk stays in evaluation mode."""
        super().train(mode)
        if self.config.freeze_trunk:
            self.trunk.eval()
        return self

    @torch.no_grad()
    def calibrate(self, x: Float[Tensor, "individual base 4"] | Float[Tensor, "individual haplotype base 4"]) -> None:
        """Sets the norms' statistics to those of these sequences, layer after layer; for random weights, once, before training."""
        training = self.training
        self.eval()
        with calibration(self.trunk):
            self._embed_all(x.flatten(0, 1) if x.ndim == 4 else x)
        self.train(training)


def make_trunk(config: ExpressionNetworkConfig, generator: torch.Generator) -> Trunk:
    """The network below the head, with random weights."""
    sizes = config.trunk()
    return (
        Borzoi(sizes, generator=generator) if isinstance(sizes, BorzoiConfig) else Enformer(sizes, generator=generator)
    )


def zero_linear(inside: int, outside: int) -> nn.Linear:
    """A linear layer whose weights are all 0."""
    layer = nn.Linear(inside, outside, device="meta").to_empty(device="cpu")  # no global random state
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


@dataclass(frozen=True, eq=False)
class LoadedNetwork:
    """A network that starts from the published weights.

    Attributes:
        network: the network.
        sha256: checksum of the checkpoint file.
    """

    network: ExpressionNetwork
    sha256: str


def load_trunk(path: str | os.PathLike[str], config: ExpressionNetworkConfig) -> tuple[Trunk, str]:
    """The network below the head with the weights of a checkpoint, and the file's checksum; errors as of `load_network`."""
    if config.norm == "layer":
        raise ConfigError("`norm` = layer cannot use a checkpoint's batch norms. Take frozen, running or batch.")
    if not Path(path).is_file():
        raise FormatError(
            f"the checkpoint `{path}` does not exist. Download {PUBLISHED_FILES[config.model]}, and give its path with "
            "--checkpoint; or train from random weights."
        )
    sizes = config.trunk()
    loaded = load_borzoi(path, sizes) if isinstance(sizes, BorzoiConfig) else load_enformer(path, sizes)
    return loaded.model, loaded.sha256


def load_network(
    path: str | os.PathLike[str], config: ExpressionNetworkConfig, *, generator: torch.Generator | None = None
) -> LoadedNetwork:
    """The network with the trunk of a checkpoint in enformer-pytorch's or borzoi-pytorch's names, and a fresh head.

    Raises:
        ConfigError: `norm` = layer, which has no use for the checkpoint's statistics.
        FormatError: the file is missing, damaged, lacks tensors, or is of other sizes than `config`.
    """
    trunk, checksum = load_trunk(path, config)
    return LoadedNetwork(ExpressionNetwork(config, generator=generator, trunk=trunk), checksum)
