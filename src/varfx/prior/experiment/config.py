"""Configuration of an experiment, as its YAML."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from varfx.errors import ConfigError
from varfx.genome.matching import Matching, Palindromes
from varfx.io.yaml_text import read_yaml
from varfx.ld import PanelConfig
from varfx.prior.config import SplitConfig
from varfx.prior.experiment.typed import from_mapping, locate_from
from varfx.prior.simulation.config import SimulateConfig, TruthConfig
from varfx.training import Objective

Kind = Literal["fig3", "table1", "table2", "ablation"]


@dataclass(frozen=True, kw_only=True)
class PanelSource:
    """An LD panel: one that exists, or a reference from which it is built."""

    path: Path | None = None
    """A panel of `varfx ld build`."""
    reference: tuple[Path, ...] = ()
    """Instead: PLINK files (`*` is understood), a folder of UKBB_LD, or LDGM metadata."""
    maf: float = 0.01
    """Of the reference's variants, at least."""
    core: int = 1_000_000
    """Bases of a core."""
    flank: int = 1_000_000
    """Bases of flank on each side."""
    rank_variance: float | None = None
    """Share of LD variance that is kept; by default that of `varfx ld build`."""

    def __post_init__(self) -> None:
        if (self.path is None) == (not self.reference):
            raise ConfigError("give either `path` (a panel) or `reference` (what to build it from).")
        PanelConfig(core=self.core, flank=self.flank)


@dataclass(frozen=True, kw_only=True)
class AnnotationSource:
    """Annotations: a file that exists, or BED files from which they are built."""

    path: Path | None = None
    """A file of `varfx annot build`."""
    bed: tuple[Path, ...] = ()
    """Instead: BED files (`*` is understood); frequency, minor-allele frequency and LD score join them."""
    min_coverage: float = 0.0
    """BED files that cover a smaller share of the panel's variants are left out."""

    def __post_init__(self) -> None:
        if self.path is not None and self.bed:
            raise ConfigError("give either `path` (annotations) or `bed` (what to build them from).")


@dataclass(frozen=True, kw_only=True)
class TrackSource:
    """Tracks: a store that exists, or signals from which it is built."""

    path: Path | None = None
    """A store of `varfx tracks build`."""
    bigwig: tuple[Path, ...] = ()
    """Instead: bigWig files."""
    simulated: int = 0
    """And so many simulated tracks: peaks of random place, width and height on every core of the panel."""
    build: str = "hg19"
    """Genome build of the signals."""
    chain: Path | None = None
    """From the panel's genome build to that of a store on another."""
    seed: int = 0
    """Of the simulated tracks."""

    def __post_init__(self) -> None:
        if (self.path is None) == (not self.bigwig and not self.simulated):
            raise ConfigError("give either `path` (a track store), or `bigwig` and `simulated` to build it from.")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A row of the result: a model, and what it sees."""

    name: str
    """Label in the table and the figure."""
    kind: Literal["constant", "linear", "mlp", "enformer"]
    """Kind of network."""
    link: Literal["softplus", "exp"] = "softplus"
    """From its score to the variance."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of a perceptron's hidden layers."""
    window: int = 256
    """Bases around each variant that are read from tracks."""
    width: int = 384
    """Channels of an enformer."""
    depth: int = 2
    """Its transformer layers."""
    heads: int = 4
    """Its attention heads."""
    downsamples: int = 4
    """Its stages that halve the window."""
    tracks: bool = True
    """Whether it sees the tracks."""
    annotations: bool = True
    """Whether it sees the annotations; without, frequency and LD score alone."""
    without: tuple[str, ...] = ()
    """Channels of the annotations that it does not see."""
    flank: int | None = None
    """Another flank than the panel's, which is then built anew."""
    objectives: tuple[Objective, ...] = ()
    """Its objectives, where not all of the experiment's."""
    training: dict[str, Any] = field(default_factory=dict)
    """Options of training, over the experiment's."""


@dataclass(frozen=True, kw_only=True)
class TruthSource:
    """True prior of a simulation."""

    network: TruthConfig = field(default_factory=TruthConfig)
    """Depth, gain, spread and so on; its `seed` is replaced by each of `seeds`."""
    seeds: tuple[int, ...] = (1, 2, 3)
    """One truth each."""
    tracks: bool = False
    """Whether the truth reads the tracks, and nothing else."""
    signal: SimulateConfig = field(default_factory=SimulateConfig)
    """Heritability, noise, N, replicates; its `seed` is added to that of the truth."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One experiment."""

    kind: Kind
    """fig3: error of log f on simulated data; table1, table2, ablation: gain on real data (or simulated, with `truth`)."""
    title: str
    """Above the figure."""
    panel: PanelSource
    """LD."""
    annotations: AnnotationSource | None = None
    """Features of the variants."""
    tracks: TrackSource | None = None
    """Signals along the genome."""
    sumstats: tuple[Path, ...] = ()
    """Real traits: files of `varfx sumstats clean`, or a GWAS that is cleaned first."""
    sumstats_n: float | None = None
    """Sample size, where a GWAS does not say it."""
    palindromes: Palindromes = "infer"
    """A/T and C/G variants of real traits: infer (by frequencies), drop, or keep (both files are on one strand)."""
    min_overlap: float = 0.2
    """Smallest share of variants of a real trait and the panel found in each other, where both have variants."""
    truth: TruthSource | None = None
    """Instead of real traits: simulated ones."""
    split: SplitConfig = field(default_factory=SplitConfig)
    """Held-out part."""
    models: tuple[Entry, ...] = ()
    """The rows."""
    objectives: tuple[Objective, ...] = ("ldsr", "likelihood")
    """Each model is trained by each of them."""
    seeds: tuple[int, ...] = (0,)
    """Of first weights and window order: one fit each."""
    training: dict[str, Any] = field(default_factory=dict)
    """Options of training, for all models."""
    per_objective: dict[str, Any] = field(default_factory=dict)
    """Options of training by objective, over those."""
    reference: str | None = None
    """The model (trained by the last objective) that gains are compared with, in pairs of windows."""

    def __post_init__(self) -> None:
        if (self.truth is None) == (not self.sumstats):
            raise ConfigError("give either `sumstats` (real traits) or `truth` (simulated ones).")
        if self.kind == "fig3" and self.truth is None:
            raise ConfigError("`kind` fig3 measures the error of log f, so that it needs a `truth`.")
        Matching(palindromes=self.palindromes, min_overlap=self.min_overlap)
        if not self.models:
            raise ConfigError("`models` is empty: name at least one.")
        names = [each.name for each in self.models]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(
                    f"the model `{name}` stands {names.count(name)} times in `models`: name one otherwise."
                )
        if self.reference is not None and self.reference not in names:
            raise ConfigError(f"`reference` is {self.reference!r}, which is none of the models {', '.join(names)}.")
        if any(each.flank is not None for each in self.models) and not self.panel.reference:
            raise ConfigError("a model with a `flank` of its own needs a panel that is built from a `reference`.")
        if self.truth is not None and any(each.flank is not None for each in self.models):
            raise ConfigError("a `flank` of its own is for real traits: a simulation's LD is that of its panel.")


def read_experiment(path: str | os.PathLike[str]) -> Experiment:
    """The experiment in a YAML file.

    Paths in it are relative to the file, or start with $VARFX_DATA (or another environment variable).

    Raises:
        ConfigError: it cannot be read, or says something that cannot be.
    """
    path = Path(path)
    return from_mapping(Experiment, read_yaml(path), f"`{path}`", locate_from(path.parent.resolve()))


def expanded(paths: tuple[Path, ...]) -> list[Path]:
    """Files, with every `*` replaced by what is there.

    Raises:
        ConfigError: nothing is there.
    """
    found = []
    for path in paths:
        matches = sorted(glob.glob(str(path))) if "*" in str(path) else [str(path)]
        if not matches:
            raise ConfigError(f"`{path}` matches no file.")
        found += [Path(match) for match in matches]
    return found
