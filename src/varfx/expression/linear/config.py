"""Configuration of linear models; free of numpy, for help pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from varfx.errors import ConfigError
from varfx.expression.model_names import sized_name
from varfx.expression.network.config import ZeroShotConfig

INFORMED, PRIOR, ZERO_SHOT = "informed-blup", "prior-blup", "zero-shot"
LINEAR = ("elastic-net", "lasso", "ridge", "blup", "top1", INFORMED)
WEIGHTED = (*LINEAR, PRIOR)  # models with a weight per variant
MODELS = (*WEIGHTED, ZERO_SHOT)
LEAST_TRAIN = 5  # individuals that a linear model can be fitted on


@dataclass(frozen=True, kw_only=True)
class InformedConfig:
    """Configuration of the shared prior."""

    network: Literal["linear", "mlp"] = "linear"
    """linear: log f is a weighted sum of the features; mlp: a perceptron."""
    hidden: tuple[int, ...] = (16,)
    """Widths of the perceptron's hidden layers."""
    penalties: tuple[float, ...] = (300.0, 100.0, 30.0, 10.0, 3.0, 1.0)
    """Candidates for the strength of the pull to 0, in nats per squared parameter, descending; tuning individuals choose."""
    patience: int = 2
    """Candidates in a row that may be worse on the tuning individuals before the search ends."""
    max_steps: int = 40
    """L-BFGS steps per candidate."""
    max_genes: int = 300
    """Training genes that teach the prior; of more, so many are drawn."""
    seed: int | None = None
    """Of that draw, and of a perceptron's first weights; by default the run's."""

    def __post_init__(self) -> None:
        if self.network not in ("linear", "mlp"):
            raise ConfigError(f"`network` must be linear or mlp, got {self.network!r}.")
        if not self.penalties or any(b >= a for a, b in zip(self.penalties, self.penalties[1:], strict=False)):
            raise ConfigError(f"`penalties` must be one or more numbers, descending, got {self.penalties}.")
        if min(self.penalties) <= 0:
            raise ConfigError(f"`penalties` must be positive, got {min(self.penalties)}.")
        for name in ("patience", "max_steps", "max_genes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"`{name}` must be at least 1, got {getattr(self, name)}.")


@dataclass(frozen=True, kw_only=True)
class BaselineConfig:
    """Configuration of the linear models: models, genes, folds."""

    models: tuple[str, ...] = LINEAR
    """Of elastic-net, lasso, ridge, blup, top1, informed-blup, prior-blup and zero-shot."""
    folds: tuple[int, ...] = ()
    """Numbers of the folds; all if empty."""
    genes: tuple[str, ...] = ()
    """Ensembl ids, or files with one per line; all genes of the cohort, held-out ones too, if empty, or for `all`."""
    fit_on: Literal["train", "train+tune"] = "train"
    """Individuals that models are fitted on. Expression is adjusted by what the training individuals show in both cases."""
    train_size: tuple[int, ...] = ()
    """Numbers of training individuals of a learning curve: each model is fitted on so many too, nested, and is called MODEL@N."""
    keep_weights: bool = True
    """Write the weights of the variants."""
    seed: int = 0
    """Of all that is random: genes that teach the shared prior where there are too many, and training individuals left out."""
    informed: InformedConfig = field(default_factory=InformedConfig)
    """Configuration of the shared prior."""
    zero_shot: ZeroShotConfig | None = None
    """Checkpoint of the pretrained network, for zero-shot only."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of all fitted models: each by itself, and at each size of the learning curve; zero-shot learns from nobody."""
        sized = [sized_name(model, size) for model in self.models if model != ZERO_SHOT for size in self.train_size]
        return (*self.models, *sized)

    def __post_init__(self) -> None:
        other = [name for name in self.models if name not in MODELS]
        if other or not self.models:
            raise ConfigError(f"`models` must be some of {', '.join(MODELS)}, got {other[0] if other else 'none'!r}.")
        if len(set(self.models)) < len(self.models):
            raise ConfigError(f"`models` names a model more than once: {', '.join(self.models)}.")
        if self.train_size and (min(self.train_size) < LEAST_TRAIN or len(set(self.train_size)) < len(self.train_size)):
            raise ConfigError(
                f"`train_size` must be different numbers of at least {LEAST_TRAIN}, got {', '.join(map(str, self.train_size))}."
            )
        if self.fit_on not in ("train", "train+tune"):
            raise ConfigError(f"`fit_on` must be train or train+tune, got {self.fit_on!r}.")
        if ZERO_SHOT in self.models and self.zero_shot is None:
            raise ConfigError(
                "model zero-shot needs the published Enformer as a local file: give --checkpoint (docs/enformer.md says "
                "where to get it), or leave zero-shot out of --models."
            )
