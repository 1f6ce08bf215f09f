"""The configurations that commands of `varfx prior` share, as options."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from varfx.cli.options import HIDDEN, as_options
from varfx.genome.matching import Palindromes  # noqa: F401  FitInputs' inherited annotations are evaluated here
from varfx.models.config import ModelConfig, TrackEnformerConfig
from varfx.prior.config import SplitConfig
from varfx.prior.effects.config import EffectsConfig
from varfx.prior.files import PriorInputs
from varfx.prior.run_options import Float64Device
from varfx.training.gwas.config import TrainConfig

ANNOTATIONS = Parameter(alias="--annot")
as_options(
    TrackEnformerConfig,
    num_downsamples=Parameter(alias="--downsamples"),
    precision=Parameter(name="--network-precision"),  # `--precision` is that of the likelihood
    zero_output=HIDDEN,  # of random networks in simulations
)


@dataclass(frozen=True, kw_only=True)
class FitInputs(PriorInputs):
    """The files of a fit, which has no run to take them from."""

    panel: Path = field()  # required here
    sumstats: tuple[Path, ...] = field()


Model = Annotated[ModelConfig, as_options(ModelConfig, group="Model", kind=Parameter(name=("--model", "--kind")))]
Training = Annotated[TrainConfig, as_options(TrainConfig, group="Training")]
Split = Annotated[SplitConfig, as_options(SplitConfig, group="Split", seed=Parameter(name="--split-seed"))]
Inputs = Annotated[PriorInputs, as_options(PriorInputs, group="Inputs", annotations=ANNOTATIONS)]
FitFiles = Annotated[FitInputs, as_options(FitInputs, group="Inputs", annotations=ANNOTATIONS)]
Effects = Annotated[EffectsConfig, as_options(EffectsConfig, group="Effects")]
Computing = Annotated[Float64Device, as_options(Float64Device)]
