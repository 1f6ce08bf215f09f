"""Shared inputs of an experiment's cells, made once below its folder: panels, annotations, tracks, traits or simulations."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from varfx import gwas
from varfx.annotations import Annotations, BedSpec, build_annotations, read_annotations
from varfx.errors import ConfigError
from varfx.genome.builds import LENGTHS
from varfx.genotypes.open_ld import open_source
from varfx.gwas.sumstats import KIND as SUMSTATS
from varfx.io import sealed, sealed_folder
from varfx.io.workers import Workers
from varfx.ld import LDPanel, PanelConfig, build_panel, open_panel
from varfx.prior.experiment.config import AnnotationSource, Entry, Experiment, PanelSource, TrackSource, expanded
from varfx.prior.simulation.simulate import TRUTH, simulate
from varfx.progress import Progress, silent
from varfx.tracks.build import build_tracks
from varfx.tracks.manifest import TrackSpec, stem

logger = logging.getLogger(__name__)
REPLICATES = "replicates.sumstats.parquet"


@dataclass(frozen=True, kw_only=True)
class Trait:
    """One trait of an experiment.

    Attributes:
        name: for the table.
        sumstats: its file.
        truth: where f is known.
        seed: of the simulated truth.
        linear_r2: how much of the true log f a linear function explains.
        replicates: of the simulation.
    """

    name: str
    sumstats: Path
    truth: Path | None = None
    seed: int | None = None
    linear_r2: float | None = None
    replicates: int = 1


@dataclass(frozen=True, kw_only=True)
class Materials:
    """Files of an experiment.

    Attributes:
        panel: the LD panel of a flank; None for the experiment's own.
        annotations: by what is left out.
        tracks: the store.
        chain: from the panel's build to the tracks'.
        traits: what is fitted.
    """

    panel: dict[int | None, Path]
    annotations: dict[tuple[str, ...], Path]
    tracks: Path | None
    chain: Path | None
    traits: tuple[Trait, ...]


def prepare(
    experiment: Experiment,
    out: Path,
    where: Workers | None = None,
    *,
    device: str = "auto",
    progress: Progress = silent,
) -> Materials:
    """Makes what is not there yet.

    Args:
        experiment: what is needed.
        out: the experiment's folder; what is made stands in `data`.
        where: processes of this machine (by default one per core), or a scheduler.
        device: of simulations.
        progress: told about windows.

    Raises:
        VarfxError: inputs that cannot be read.
    """
    where = where or Workers()
    folder = out / "data"
    folder.mkdir(exist_ok=True)
    flanks = dict.fromkeys([None, *(each.flank for each in experiment.models)])
    panels = {flank: _panel(experiment.panel, flank, folder, where, progress) for flank in flanks}
    panel = open_panel(panels[None])
    annotations = _annotations(experiment, panel, folder)
    tracks, chain = _tracks(experiment.tracks, panel, folder, where, progress)
    if experiment.truth is None:
        traits = tuple(_real(path, experiment.sumstats_n, folder) for path in experiment.sumstats)
    else:
        traits = tuple(
            _simulated(experiment, seed, panels[None], annotations.get(()), tracks, chain, folder, device, progress)
            for seed in experiment.truth.seeds
        )
    return Materials(panel=panels, annotations=annotations, tracks=tracks, chain=chain, traits=traits)


def _made(path: Path, make: Callable[[], object]) -> Path:
    """Makes a file or folder unless it is there; ours appear when they are whole."""
    if not path.exists():
        make()
    return path


def _panel(source: PanelSource, flank: int | None, folder: Path, where: Workers, progress: Progress) -> Path:
    if source.path is not None:
        return source.path
    references = expanded(source.reference)
    target = folder / ("panel.ld.zarr" if flank is None else f"panel.flank{flank}.ld.zarr")

    def make() -> None:
        opened = open_source(references, maf=source.maf)
        config = PanelConfig(
            core=source.core, flank=source.flank if flank is None else flank, rank_variance=source.rank_variance
        )
        inputs = [path for path in references if path.is_file()]
        build_panel(opened, target, config, **vars(where), inputs=inputs, progress=progress)

    return _made(target, make)


def _annotations(experiment: Experiment, panel: LDPanel, folder: Path) -> dict[tuple[str, ...], Path]:
    """One file for each set of channels that some model does not see."""
    source = experiment.annotations
    if source is None:
        return {}
    full = folder / "annotations.annot.parquet"
    _made(full, lambda: _build_annotations(source, panel, full))
    made: dict[tuple[str, ...], Path] = {(): full}
    for entry in experiment.models:
        if entry.without and entry.annotations:
            made.setdefault(entry.without, folder / f"annotations.without{len(made)}.annot.parquet")
            _write_without(read_annotations(full), entry, made[entry.without])
    return made


def _build_annotations(source: AnnotationSource, panel: LDPanel, out: Path) -> None:
    if source.path is not None:
        read_annotations(source.path).write(out)
        return
    beds = expanded(source.bed)
    built = build_annotations(panel.variants, [BedSpec(path) for path in beds], panel_name=str(panel.path))
    thin = [
        name
        for name in built.channels
        if (built.table[name].fill_null(0) != 0).sum() < source.min_coverage * panel.variants.height
    ]
    if thin:
        logger.info("left out, for they cover too few variants: %s", ", ".join(thin))
    provenance = sealed.provenance({"left_out": thin}, {"panel": panel.path, **{path.name: path for path in beds}})
    Annotations(table=built.table.drop(thin), metadata={"provenance": provenance}).write(out)


def _write_without(full: Annotations, entry: Entry, out: Path) -> None:
    unknown = [name for name in entry.without if name not in full.channels]
    if unknown:
        raise ConfigError(
            f"the model `{entry.name}` is to go without `{unknown[0]}`, which is no channel. There are "
            f"{', '.join(full.channels)}."
        )
    if len(entry.without) == len(full.channels):
        raise ConfigError(f"the model `{entry.name}` goes without every channel: say `annotations: false` instead.")
    Annotations(table=full.table.drop(entry.without), metadata=full.metadata).write(out)


def _tracks(
    source: TrackSource | None, panel: LDPanel, folder: Path, where: Workers, progress: Progress
) -> tuple[Path | None, Path | None]:
    if source is None:
        return None, None
    if source.path is not None:
        return source.path, source.chain
    target = folder / "tracks.tracks.zarr"

    def make() -> None:
        specs = [TrackSpec(name=stem(path), file=path, kind="bigwig") for path in expanded(source.bigwig)]
        for number in range(source.simulated):
            path = folder / f"simulated{number + 1}.bedgraph"
            sealed.write_text(path, simulated_signal(panel, source.build, source.seed + number))
            specs.append(TrackSpec(name=f"simulated{number + 1}", file=path, kind="bedgraph", store="float16"))
        build_tracks(specs, target, build=source.build, **vars(where), progress=progress)

    return _made(target, make), source.chain


def simulated_signal(panel: LDPanel, build: str, seed: int, *, step: int = 16, per_peak: int = 1000) -> str:
    """A bedGraph with peaks over the cores of a panel: bells of random place, width (40 to 160 bases) and height.

    Args:
        panel: where.
        build: whose chromosome lengths bound it.
        seed: of the peaks.
        step: bases of one value.
        per_peak: bases per peak, on average.
    """
    rng = np.random.default_rng([seed, 7])
    tables = []
    for core in panel.cores:
        end = min(core.end, LENGTHS[build][core.chrom])
        start = np.arange(core.start, end - step, step)
        middle = start + step / 2
        signal = np.zeros(start.size)
        for _ in range(max(1, (end - core.start) // per_peak)):
            place, width, height = rng.uniform(core.start, end), rng.uniform(40, 160), rng.gamma(2.0)
            near = slice(*np.searchsorted(middle, [place - 4 * width, place + 4 * width]))
            signal[near] += height * np.exp(-0.5 * ((middle[near] - place) / width) ** 2)
        tables.append(
            pl.DataFrame({"chrom": f"chr{core.chrom}", "start": start, "end": start + step, "value": signal.round(4)})
        )
    return pl.concat(tables).write_csv(separator="\t", include_header=False)


def _real(path: Path, n: float | None, folder: Path) -> Trait:
    """A trait as we keep them, or a GWAS that is cleaned first."""
    if sealed.table_kind(path) == SUMSTATS:
        return Trait(name=path.name.split(".")[0], sumstats=path)
    name = path.name.split(".")[0]
    target = folder / f"{name}.sumstats.parquet"
    _made(target, lambda: gwas.clean(path, out=target, trait=name, n=None if n is None else str(n)))
    return Trait(name=name, sumstats=target)


def _simulated(
    experiment: Experiment,
    seed: int,
    panel: Path,
    annotations: Path | None,
    tracks: Path | None,
    chain: Path | None,
    folder: Path,
    device: str,
    progress: Progress,
) -> Trait:
    source = experiment.truth
    assert source is not None
    target = folder / f"truth{seed}"
    read_tracks = source.tracks and tracks is not None
    if source.tracks and tracks is None:
        raise ConfigError("`truth` reads tracks, but there are no `tracks`.")

    def make() -> None:
        simulate(
            panel,
            target,
            annotations=None if read_tracks else annotations,
            tracks=tracks if read_tracks else None,
            chain=chain if read_tracks else None,
            truth=replace(source.network, seed=seed),
            config=replace(source.signal, seed=source.signal.seed + seed),
            trait=f"truth {seed}",
            device=device,
            progress=progress,
        )

    _made(target, make)
    sealed_folder.check_directory(target)
    _, metadata = sealed.read_table(target / TRUTH, kind="prior")
    return Trait(
        name=f"truth {seed}",
        sumstats=target / REPLICATES,
        truth=target / TRUTH,
        seed=seed,
        linear_r2=metadata["simulated"]["linear_r2"],
        replicates=source.signal.replicates,
    )
