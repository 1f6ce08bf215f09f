"""The configurations of `varfx prior` and `varfx plan` as options."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from varfx.cli.options import HIDDEN, as_options
from varfx.genome.matching import Palindromes  # noqa: F401  FitInputs' inherited annotations are evaluated here
from varfx.models.config import AttributionConfig, ModelConfig, TrackEnformerConfig
from varfx.prior.config import SplitConfig
from varfx.prior.explain.config import ExplainConfig
from varfx.prior.files import PriorInputs
from varfx.prior.simulation.config import SimulateConfig, TruthConfig
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


@dataclass(frozen=True, kw_only=True)
class SimulateInputs:
    """The files of a simulation."""

    panel: Path
    """LD panel (`varfx ld build`); its LD is taken for that of the simulated GWAS."""
    annotations: Path | None = None
    """Annotations (`varfx annot build`): features of the random network; by default minor-allele frequency and LD score."""
    tracks: Path | None = None
    """Signals along the genome (`varfx tracks build`): read base by base by enformer and filter, averaged by the others."""
    chain: Path | None = None
    """UCSC chain file from the panel's genome build to the tracks', where they differ."""


Model = Annotated[ModelConfig, as_options(ModelConfig, group="Model", kind=Parameter(name=("--model", "--kind")))]
Training = Annotated[TrainConfig, as_options(TrainConfig, group="Training")]
Split = Annotated[SplitConfig, as_options(SplitConfig, group="Split", seed=Parameter(name="--split-seed"))]
Inputs = Annotated[PriorInputs, as_options(PriorInputs, group="Inputs", annotations=ANNOTATIONS)]
FitFiles = Annotated[FitInputs, as_options(FitInputs, group="Inputs", annotations=ANNOTATIONS)]
Explaining = Annotated[ExplainConfig, as_options(ExplainConfig)]
Integration = Annotated[AttributionConfig, as_options(AttributionConfig)]
SimulateFiles = Annotated[SimulateInputs, as_options(SimulateInputs, group="Inputs", annotations=ANNOTATIONS)]
Truth = Annotated[
    TruthConfig,
    as_options(
        TruthConfig, group="Truth", kind=Parameter(name=("--truth", "--kind")), seed=Parameter(name="--truth-seed")
    ),
]
Simulating = Annotated[SimulateConfig, as_options(SimulateConfig, group="Signal and noise")]
