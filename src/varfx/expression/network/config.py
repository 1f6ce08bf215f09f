"""Which networks `expr fit` trains, on which genes and individuals."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from varfx.errors import ConfigError
from varfx.models.config import ExpressionNetworkConfig
from varfx.training.people.config import ExpressionTrainConfig


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
