"""Builds an LD panel from any LD source: window by window, in parallel processes, resumable after a kill."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import zarr
from jaxtyping import Float, Int
from numpy import ndarray

from varfx.errors import DataError, StoreError
from varfx.genome.builds import chosen_build, require_within
from varfx.genotypes.ld_source import CorrelationSource, GenotypeSource, LDSource
from varfx.io import sealed
from varfx.io.output_lock import one_writer
from varfx.io.run_folder import RESULT, RunFolder
from varfx.io.workers import Job, Workers, map_pieces
from varfx.ld.config import PanelConfig
from varfx.ld.store import PANEL, LDPanel, open_panel, write_window
from varfx.ld.whiten import Factors, factors_from_correlation, factors_from_genotypes
from varfx.ld.windows import Core, tile
from varfx.progress import Progress, silent

logger = logging.getLogger(__name__)
HALF_PRECISION_ABOVE = 8 * 2**30  # bytes of float32 `B` in the whole panel
DTYPES = {"float16": np.float16, "float32": np.float32, "float64": np.float64}


@one_writer
def build_panel(
    source: LDSource,
    out: str | os.PathLike[str],
    config: PanelConfig | None = None,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    inputs: Sequence[str | os.PathLike[str]] = (),
    build: str | None = None,
    progress: Progress = silent,
) -> LDPanel:
    """Writes the panel of a source and opens it.

    Finished windows stand in `OUT.building` until all are done; run again after an interruption, and they are not
    done twice.

    Args:
        source: the reference.
        out: the folder to make, by convention `*.ld.zarr`.
        config: windows, rank rule and storage.
        workers: processes; by default one per core of the machine, at most one per window.
        scheduler: address of a running dask.distributed scheduler whose workers see the same files; in place of
            `workers`.
        overwrite: replace a finished panel in `out`, when the new one is whole.
        inputs: files whose checksums go into the provenance; an interrupted build goes on with the same ones only.
        build: genome build of the positions (GRCh37 or GRCh38); by default what the source states.
        progress: told about each finished window.

    Raises:
        ConfigError: `workers` is not positive, no scheduler answers, or a `build` that is not the source's.
        WorkerError: workers or the scheduler were lost; finished windows are kept.
        DataError: the source has no usable variants, or its values are wrong.
        StoreError: the disk is full, `out` is finished or something else, or `OUT.building` was begun with other options.
    """
    config, where = config or PanelConfig(), Workers(workers=workers, scheduler=scheduler)
    genome_build = chosen_build(build, getattr(source, "build", None), source.name)
    require_within(
        genome_build, source.variants.group_by("chrom").agg(pl.col("position").max()).iter_rows(), source.name
    )
    config = replace(config, rank_variance=config.share(source.num_people))
    folder = PANEL.at(out)
    folder.check(resume=True, overwrite=overwrite, identity={"config": asdict(config)})
    cores = _cores(source, config)
    dtype = _storage_dtype(source, cores, config)
    provenance = sealed.provenance(asdict(config), {str(path): path for path in inputs})
    folder.begin(_identity(source, config, dtype, provenance), resume=True, overwrite=overwrite)
    folder.below(RESULT, "windows")
    with folder.starting():
        _build_windows(folder, _Build(source, config, dtype, folder.result.absolute()), cores, where, progress)
    metadata = {
        "num_people": source.num_people,
        "build": genome_build,
        "config": {**asdict(config), "dtype": dtype.name},
        "ledger": list(getattr(source, "ledger", ())),
        "missing": [asdict(region) for region in source.missing],
        "provenance": provenance,
    }
    clipped = _clipped(folder.result, cores)
    if clipped is not None:
        metadata["clipped"] = clipped
    PANEL.write(folder.result, *_tables(source, folder.result, cores), metadata)
    folder.finish()
    return open_panel(out)


def _cores(source: LDSource, config: PanelConfig) -> list[Core]:
    """The windows that have LD and variants.

    Raises:
        DataError: there are none.
    """
    cores = [
        core
        for core in tile(source.variants, config.core)
        if not _missing(source, core) and source.select(core.chrom, core.start, core.end, 0)[0].size
    ]
    if not cores:
        raise DataError(f"`{source.name}` holds no variants after its filters. Check the path and --maf.")
    return cores


def _build_windows(folder: RunFolder, build: _Build, cores: Sequence[Core], where: Workers, progress: Progress) -> None:
    """Writes the windows that an earlier call has not finished."""
    done = _finished(folder.result)
    todo = [core for core in cores if core.name not in done]
    finished = len(cores) - len(todo)
    if done:
        logger.info("resuming: %d of %d windows are done", finished, len(cores))
    job = Job(
        function=_build_window,
        start=_Build,
        arguments=(build.source, build.config, build.dtype, build.result),
        what="windows",
        finished=finished,
        again="Give the same command again: finished windows are kept.",
        folder=folder.building,
    )
    for _ in map_pieces(job, todo, where):
        progress(finished := finished + 1, len(cores), "windows")


def _tables(source: LDSource, root: Path, cores: Sequence[Core]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The variants with their LD scores, and the windows."""
    notes = []
    scores = np.full(source.variants.height, np.nan)
    for core in cores:
        note, rows, ld_score = _note(root, core)
        notes.append(note)
        scores[rows] = ld_score
    return source.variants.with_columns(ld_score=pl.Series(scores).fill_nan(None)), pl.DataFrame(notes)


def factors_of(
    source: LDSource, core: ndarray, panel: ndarray, rank_variance: float
) -> tuple[Factors, Float[ndarray, " core"], float]:
    """Whitened LD of one window, LD scores of its core variants, and the share of LD variance kept.

    Args:
        source: genotypes or correlations.
        core: variant indexes of the core.
        panel: variant indexes of core and flank.
        rank_variance: see `varfx.ld.whiten.kept_rank`.
    """
    if isinstance(source, GenotypeSource):
        X = source.standardised(panel)
        X_core = X[:, np.searchsorted(panel, core)]
        factors = factors_from_genotypes(X_core, X, rank_variance=rank_variance)
        R_cross = (X_core.T @ X) / X.shape[0]
        trace = float(core.size)
    elif isinstance(source, CorrelationSource):
        R_core, R_cross = source.correlation(core, panel)
        factors = factors_from_correlation(R_core, R_cross, rank_variance=rank_variance)
        if getattr(source, "truncated", False):  # what the source has left out belongs to the variance, and to |R|^2
            trace, factors = float(core.size), replace(factors, square_norm=None)
        else:
            trace = float(np.trace(R_core, dtype=np.float64))
    else:
        raise DataError(f"`{source.name}` offers neither genotypes nor correlations.")
    return factors, ld_scores(R_cross, source.num_people), float(factors.lam.sum() / trace)


def ld_scores(R_cross: Float[ndarray, "core panel"], num_people: int) -> Float[ndarray, " core"]:
    """LD scores `sum_k r2_mk` over the panel, each r2 corrected for its sampling bias: `r2 - (1 - r2) / (n - 2)`.

    Bulik-Sullivan et al. 2015, supplement.
    """
    squares = np.einsum("mk,mk->m", R_cross, R_cross, dtype=np.float64)
    size = R_cross.shape[1]
    return np.asarray(squares - (size - squares) / (num_people - 2)) if num_people > 2 else squares


def _missing(source: LDSource, core: Core) -> bool:
    """True if the source announces that it lacks this core's LD; a neighbour's flank would be one-sided."""
    return any(gap.chrom == core.chrom and gap.start <= core.start and core.end <= gap.end for gap in source.missing)


def _storage_dtype(source: LDSource, cores: list[Core], config: PanelConfig) -> np.dtype[Any]:
    if config.dtype != "auto":
        return np.dtype(DTYPES[config.dtype])
    per_base = source.variants.height / max(1, len(cores) * config.core)
    rank = min(per_base * config.core, source.num_people)
    size = 4 * len(cores) * rank * per_base * (config.core + 2 * config.flank)
    return np.dtype(np.float16 if size > HALF_PRECISION_ABOVE else np.float32)


def _identity(
    source: LDSource, config: PanelConfig, dtype: np.dtype[Any], provenance: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Options that an interrupted build must share with the present command to be resumed; paths do not matter."""
    variants = hashlib.sha256(source.variants.hash_rows(seed=1).to_numpy().tobytes()).hexdigest()
    checksums = sorted(str(entry["sha256"]) for entry in provenance["inputs"].values())
    return {
        "config": asdict(config),
        "inputs": {
            "variants": variants,
            "num_people": source.num_people,
            "files": checksums,
            "dtype": dtype.name,
        },
    }


def _finished(result: Path) -> set[str]:
    """Names of the windows that are whole."""
    return {path.name for path in (result / "windows").iterdir() if not path.name.startswith(".") and path.is_dir()}


@dataclass(frozen=True)
class _Build:
    """Inputs shared by all windows."""

    source: LDSource
    config: PanelConfig
    dtype: np.dtype[Any]
    result: Path


def _build_window(build: _Build, core: Core) -> None:
    """Writes one window, unless it is whole already."""
    if (build.result / "windows" / core.name).is_dir():
        return
    core_rows, panel_rows = build.source.select(core.chrom, core.start, core.end, build.config.flank)
    factors, scores, kept = factors_of(build.source, core_rows, panel_rows, build.config.share(build.source.num_people))
    write_window(
        build.result,
        core,
        factors,
        core_rows,
        panel_rows,
        scores,
        kept,
        dtype=build.dtype,
        storage=build.config.storage,
    )


def _clipped(result: Path, cores: Sequence[Core]) -> dict[str, Any] | None:
    """Windows whose correlations have clearly negative eigenvalues, which are left out; None without any. Said in one line."""
    attributes = [zarr.open_group(result / "windows" / core.name, mode="r").attrs for core in cores]
    found = [(float(each["lowest"]), int(each["negative"])) for each in attributes if each.get("negative")]  # type: ignore[arg-type]
    if not found:
        return None
    lowest, count = min(found)[0], sum(number for _, number in found)
    logger.warning(
        "%d of %d windows have correlations that are not positive semidefinite (rounded, thresholded, or of unequal samples): %d "
        "negative eigenvalues, the lowest %.2g of the largest, were left out",
        *(len(found), len(cores), count, lowest),
    )
    return {"windows": len(found), "eigenvalues": count, "lowest": lowest}


def _note(result: Path, core: Core) -> tuple[dict[str, Any], Int[ndarray, " core"], Float[ndarray, " core"]]:
    """A finished window's row in the table of windows, its core rows and their LD scores."""
    path = result / "windows" / core.name
    try:
        group = zarr.open_group(path, mode="r")
        arrays = {name: zarr.open_array(path / name, mode="r") for name in ("lam", "panel", "core", "ld_score")}
        rank, num_panel = arrays["lam"].size, arrays["panel"].size
        rows, ld_score = np.asarray(arrays["core"][...]), np.asarray(arrays["ld_score"][...])
        kept, square_norm = group.attrs["variance_kept"], group.attrs.get("square_norm")
    except (ValueError, OSError, KeyError) as error:
        raise StoreError(
            f"`{path}`, a window of an interrupted build, is damaged ({error}). Delete this folder and run again."
        ) from error
    note = {
        "name": core.name,
        "chrom": core.chrom,
        "start": core.start,
        "end": core.end,
        "num_core": rows.size,
        "num_panel": num_panel,
        "rank": rank,
        "variance_kept": kept,
        "square_norm": square_norm,
    }
    return note, rows, ld_score
