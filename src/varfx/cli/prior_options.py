"""The configurations that commands of `varfx prior` share, as options."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from varfx.cli.options import HIDDEN, as_options
from varfx.errors import ConfigError
from varfx.genome.matching import Palindromes
from varfx.models.config import ModelConfig, TrackEnformerConfig
from varfx.prior.ancestries.inputs import AncestryInputs, CommonPaths, by_ancestry
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
class FitInputs:
    """The files of a fit, which has no run to take them from: of one panel, or of one per ancestry."""

    panel: tuple[Path, ...] = field()
    """LD panel (`varfx ld build`); one per ancestry as NAME=PANEL."""
    sumstats: tuple[Path, ...] = field()
    """Cleaned summary statistics (`varfx sumstats clean`), one file per trait; several traits share one network. With named panels one
    file per ancestry as NAME=FILE: one trait, whose ancestries share one score."""
    annotations: tuple[Path, ...] = ()
    """Annotations (`varfx annot build`) of the panel's variants; with named panels one table per ancestry as NAME=FILE, or one that has the
    variants of all. Without, the features are minor-allele frequency and LD score."""
    tracks: Path | None = None
    """Signals along the genome (`varfx tracks build`): read base by base by enformer, averaged for linear and mlp."""
    chain: Path | None = None
    """UCSC chain file from the panel's genome build to the tracks', where they differ (hg19ToHg38.over.chain.gz)."""
    palindromes: Palindromes | None = None
    """A/T and C/G variants of summary statistics: infer (by frequencies, where other variants confirm these; else dropped; the
    default), drop, or keep (both files are on one strand)."""
    min_overlap: float | None = None
    """Smallest share of variants of summary statistics and panel found in each other, where both have variants; by default 0.2."""

    def files(self) -> PriorInputs | AncestryInputs:
        """The files by role and, where they have names, by ancestry.

        Raises:
            ConfigError: names that do not go together, or several panels without names.
        """
        panels, sumstats, annotations = (
            by_ancestry(getattr(self, role), option=option)
            for role, option in (("panel", "panel"), ("sumstats", "sumstats"), ("annotations", "annot"))
        )
        common: CommonPaths = {
            "tracks": self.tracks,
            "chain": self.chain,
            "palindromes": self.palindromes,
            "min_overlap": self.min_overlap,
        }
        for option, found in (("panel", self.panel), ("annot", self.annotations)):
            if len(found) > 1 and not by_ancestry(found, option=option):
                raise ConfigError(
                    f"`--{option}` is given {len(found)} times. Give one, or one per ancestry as NAME=FILE."
                )
        one = self.annotations[0] if self.annotations else None
        if panels is None and sumstats is None and annotations is None:
            (panel,) = self.panel
            return PriorInputs.of(panel=panel, sumstats=self.sumstats, annotations=one, **common)
        return AncestryInputs.of(panels or {}, sumstats or {}, annotations or one, **common)


Model = Annotated[ModelConfig, as_options(ModelConfig, group="Model", kind=Parameter(name=("--model", "--kind")))]
Training = Annotated[TrainConfig, as_options(TrainConfig, group="Training")]
Split = Annotated[SplitConfig, as_options(SplitConfig, group="Split", seed=Parameter(name="--split-seed"))]
Inputs = Annotated[PriorInputs, as_options(PriorInputs, group="Inputs", annotations=ANNOTATIONS)]
FitFiles = Annotated[FitInputs, as_options(FitInputs, group="Inputs", annotations=ANNOTATIONS)]
Effects = Annotated[EffectsConfig, as_options(EffectsConfig, group="Effects")]
Computing = Annotated[Float64Device, as_options(Float64Device)]
