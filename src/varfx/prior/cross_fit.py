"""Cross-fitted variances: each chromosome's f from a network that has not seen its associations.

A prior that is used with the very associations that taught it is too sure of itself: fine-mapping and polygenic scores then count the
same evidence twice. Here the chromosomes are dealt out to K folds of about equal size; for each fold the run's model is fitted anew, with
the run's options, to the other chromosomes, and gives f of the fold's (cross-fitting; Chernozhukov et al. 2018, Econometrics
Journal 21:C1). PolyFun's even and odd chromosomes are K = 2.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from varfx.device import find_float64_device
from varfx.errors import ConfigError, StoreError
from varfx.io import sealed
from varfx.prior.config import SplitConfig
from varfx.prior.files import PriorInputs, inputs_of_run
from varfx.prior.fit import FitOptions, fit_inputs
from varfx.prior.inputs import align_trait, panel_variants
from varfx.prior.predict import inclusion, prediction_table, variances
from varfx.prior.run import RECORD, Run, open_run
from varfx.progress import Progress, silent
from varfx.training.gwas.config import TrainConfig

PathLike = str | os.PathLike[str]


def cross_fit(
    run: PathLike | Run,
    folder: PathLike,
    *,
    folds: int,
    cap: float | None = None,
    inputs: PriorInputs | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> pl.DataFrame:
    """f of each panel variant from a fit that has not seen its chromosome; the table of `varfx.prior.predict.predict`.

    Args:
        run: a run, whose model, options and inputs all fits have.
        folder: keeps the fits `fold1`, `fold2`, ...; finished ones are used again, an interrupted one goes on.
        folds: number of fits, at least 2 and at most the number of chromosomes.
        cap: largest ratio of f between two variants of a trait.
        inputs: files in place of the run's own, where they moved.
        device: of the predictions and, unless it is auto, of fits that are still to be made, in place of the run's own.
        progress: told about each fit.

    Raises:
        ConfigError: a number of folds that does not fit the chromosomes, annotations of other variants, or a run of several ancestries.
        StoreError: the folder holds the fits of another run.
        VarfxError: inputs that cannot be read.
    """
    where = find_float64_device(device)
    fitted = open_run(run)
    if fitted.record.get("joint"):
        raise ConfigError(
            f"`{fitted.path}` was fitted together with other ancestries, which cross-fits would leave out. Cross-fit the run of one "
            "panel, or leave --cross-fit away."
        )
    files, _ = inputs_of_run(fitted, inputs or PriorInputs())
    panel = files.open_panel()
    split = SplitConfig(**fitted.record["config"]["split"])
    parts = deal(panel.windows["chrom"].to_list(), folds, excluded=split.exclude_chrom)
    root = Path(folder)
    root.mkdir(exist_ok=True)
    associations = files.read_sumstats() if panel.variants["eaf"].null_count() else []
    variants = panel_variants(panel, [align_trait(each, panel, files.matching) for each in associations])
    annotations = files.read_annotations()
    f, sigma2, chances = (np.zeros((variants.height, len(fitted.trait_names))) for _ in range(3))
    chrom = variants["chrom"].to_numpy()
    # chromosomes that the run excludes taught none of its networks: they keep the run's own f
    sources = [(split.exclude_chrom, fitted), *_fits(fitted, files, split, parts, root, device, progress)]
    for names, source in sources:
        rows = np.flatnonzero(np.isin(chrom, names))
        if rows.size:
            features = variants[rows], annotations, files.tracks_of_run(source)
            f[rows] = variances(source, *features, device=where)
            sigma2[rows] = source.model.in_double().sigma2_values()
            own = inclusion(source, *features, device=where)
            if own is not None:
                chances[rows] = own
    known = None if fitted.model.mixture is None else chances
    return prediction_table(variants, f, sigma2, fitted.trait_names, cap=cap, inclusion=known)


def deal(chroms: Sequence[str], folds: int, *, excluded: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """Chromosomes in `folds` parts of about as many windows each: the largest first, each to the smallest part so far.

    Args:
        chroms: the chromosome of each window.
        folds: number of parts.
        excluded: chromosomes that belong to none.

    Raises:
        ConfigError: fewer than two parts, or more than there are chromosomes.
    """
    counts = {name: list(chroms).count(name) for name in dict.fromkeys(chroms) if name not in excluded}
    if not 2 <= folds <= len(counts):
        raise ConfigError(
            f"`cross-fit` must be at least 2 and at most the number of the panel's chromosomes ({len(counts)}), got {folds}."
        )
    parts: list[list[str]] = [[] for _ in range(folds)]
    for name in sorted(counts, key=lambda each: -counts[each]):
        min(parts, key=lambda part: sum(counts[each] for each in part)).append(name)
    return [tuple(part) for part in parts]


def _fits(
    run: Run,
    files: PriorInputs,
    split: SplitConfig,
    parts: Sequence[tuple[str, ...]],
    root: Path,
    device: str,
    progress: Progress,
) -> list[tuple[tuple[str, ...], Run]]:
    """Each part's chromosomes and the fit to the others."""
    training = TrainConfig(**run.record["config"]["training"])
    training = training if device == "auto" else replace(training, device=device)
    found = []
    for number, names in enumerate(parts, start=1):
        validation = tuple(name for name in split.validation_chrom if name not in names)
        held_out = replace(split, holdout_chrom=names, holdout_fraction=0.0, validation_chrom=validation)
        out = root / f"fold{number}"
        found.append((names, _finished(out, run, names) or _fit(files, out, run, training, held_out)))
        progress(number, len(parts), "cross-fits")
    return found


def _fit(files: PriorInputs, out: Path, run: Run, training: TrainConfig, split: SplitConfig) -> Run:
    return fit_inputs(files, out, FitOptions(model=run.model.config, training=training, split=split), resume=True)


def _finished(out: Path, run: Run, names: tuple[str, ...]) -> Run | None:
    """The finished fit in a folder, or None if there is none.

    Raises:
        StoreError: it is that of another run or other folds.
    """
    if not (out / RECORD).is_file() or not (out / sealed.MANIFEST).is_file():
        return None
    found = open_run(out)
    same = _identity(found) == _identity(run) and tuple(found.record["config"]["split"]["holdout_chrom"]) == names
    if not same:
        raise StoreError(
            f"`{out}` holds a fit of another run, or of another number of folds. Remove `{out.parent}`, or choose another --out."
        )
    return found


def _identity(run: Run) -> dict[str, Any]:
    """Model, training (wherever it was computed) and inputs of a fit."""
    config = run.record["config"]
    training = {name: value for name, value in config["training"].items() if name != "device"}
    inputs = {name: entry["sha256"] for name, entry in run.record["provenance"]["inputs"].items()}
    return {"model": config["model"], "training": training, "inputs": inputs}
