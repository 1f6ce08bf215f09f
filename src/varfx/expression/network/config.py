"""Which networks are trained or read, on which genes and individuals; without torch, so that help pages can show it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from varfx.device import check_device
from varfx.errors import ConfigError
from varfx.models.config import EnformerConfig, ExpressionNetworkConfig
from varfx.training.people.config import ExpressionTrainConfig

HEAD = "human"
TRACK = 4950  # 'CAGE:blood, adult, pool1'


def published() -> EnformerConfig:
    """The sizes of the published model, with all bins put out and the human head only."""
    return EnformerConfig(output_heads={HEAD: 5313}, target_length=None, gamma_scale="function")


@dataclass(frozen=True, kw_only=True)
class ZeroShotConfig:
    """Which network is read, and where."""

    checkpoint: Path
    """Local file with the published weights: `.safetensors` or a state dict of torch."""
    track: int = TRACK
    """Output track of the human head, counted from 0."""
    people_per_batch: int = 4
    """Sequences in memory at a time."""
    device: str = "auto"
    """Where to compute: auto (a GPU if there is one, else the CPU), cpu, cuda, cuda:N or mps."""
    network: EnformerConfig | None = None
    """Other sizes than the published ones."""

    def __post_init__(self) -> None:
        check_device(self.device)
        tracks = (self.network or published()).output_heads[HEAD]
        if not 0 <= self.track < tracks:
            raise ConfigError(f"`track` must be from 0 to {tracks - 1}, got {self.track}.")
        if self.people_per_batch < 1:
            raise ConfigError(f"`people_per_batch` must be at least 1, got {self.people_per_batch}.")


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Which networks are trained, on whom."""

    name: str = "enformer"
    """The model's name in tables."""
    folds: tuple[int, ...] = (0,)
    """Numbers of the folds; all if empty."""
    genes: tuple[str, ...] = ()
    """Ensembl ids to train on and to predict; all genes of the cohort if empty. Held-out ones among them (all, if there are none
    among them) are predicted, not trained on."""
    single_gene: bool = False
    """A network for each gene, in place of one for all; any gene of `genes` is then trained on."""
    phased: bool = False
    """Predict from both haplotypes and average, in place of one averaged sequence."""
    checkpoint: Path | None = None
    """Published weights to start from; random ones if not given."""
    network: ExpressionNetworkConfig = field(default_factory=ExpressionNetworkConfig)
    """Its sizes, and which part of it learns."""
    training: ExpressionTrainConfig = field(default_factory=ExpressionTrainConfig)
    """How it is trained."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ConfigError("`name` must not be empty.")
