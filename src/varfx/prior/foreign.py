"""Scores of per-variant variances from any source, by the likelihood that scores a run, and on the same windows if asked for."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Unpack

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import minimize_scalar
from torch import Tensor

from varfx.annotations.snpvar import build_of_variances, read_sigma2, read_variances
from varfx.device import find_float64_device
from varfx.errors import ConfigError, DataError
from varfx.genome.builds import require_same_build
from varfx.genome.chromosomes import chrom_list
from varfx.io.frames import Source, as_path
from varfx.ld import LDPanel
from varfx.prior.constant import ConstantPrior, beside_constant, constant_of_record, fit_constant
from varfx.prior.evaluate import Evaluation, nulls_of_run, per_window
from varfx.prior.files import InputPaths, PriorInputs, inputs_of_run
from varfx.prior.held_out import chosen_windows, has_association, training_windows, windows_to_score
from varfx.prior.inputs import assemble
from varfx.prior.run import Run, open_run
from varfx.prior.score import CPU, VarianceOf, eigen_squares, null_sigma2, score_windows, summarise
from varfx.prior.split import check_chroms
from varfx.progress import Progress, silent
from varfx.training.gwas.placement import Placement
from varfx.training.gwas.windows import PriorWindow, WindowData, in_background

PathLike = str | os.PathLike[str]
Sigma2 = float | Literal["fit"] | None
MAX_WINDOWS = 64  # of those that sigma2 is fitted on
SIGMA2_BOUNDS = (math.log(0.05), math.log(20.0))


@dataclass(frozen=True, eq=False)
class _Setting:
    """Windows and null on which a foreign prior is scored.

    Attributes:
        panel: the LD panel.
        data: its windows with the one trait.
        windows: scored, with associations.
        training: from which sigma2, the null and the constant prior come.
        null: sigma2 without heritability.
        constant: the constant prior.
        notes: remarks for the reader.
        device: of the computation.
    """

    panel: LDPanel
    data: WindowData
    windows: list[int]
    training: list[int]
    null: float
    constant: ConstantPrior
    notes: list[str]
    device: torch.device


def evaluate_variances(
    variances: Source,
    *,
    like: PathLike | Run | None = None,
    sigma2: Sigma2 = None,
    inputs: PriorInputs | None = None,
    chrom: Sequence[str] = (),
    exclude_chrom: Sequence[str] = (),
    seed: int = 0,
    device: str = "auto",
    progress: Progress = silent,
    **paths: Unpack[InputPaths],
) -> Evaluation:
    """Scores of per-variant variances from any source.

    Variants of the panel that the file lacks have f = 0; how many is noted.

    Args:
        variances: PolyFun's `CHR SNP BP A1 A2 SNPVAR`, or a table with `variant, f`, or a file of `prior predict`; a path or a DataFrame.
        like: a run whose held-out windows are scored, with its null and its constant prior, so that gains can be compared. Without it,
            both come from the windows that are not scored, or from the scored ones if there are no others.
        sigma2: residual variance that goes with the prior; "fit" takes the one of largest likelihood on the windows that are not
            scored; by default that in the file (`prior predict` writes it), or 1.
        inputs: a panel and the summary statistics of one trait; by default those of `like`.
        chrom: chromosomes to score; by default the held-out windows of `like`, or all.
        exclude_chrom: chromosomes to leave out.
        seed: of the bootstrap.
        device: of the computation, in float64; see `varfx.prior.evaluate`.
        progress: told about each window.
        **paths: `inputs` as single arguments.

    Raises:
        ConfigError: neither a panel and summary statistics nor `like`, a sigma2 that is not positive, or no such device.
        VarfxError: inputs that cannot be read, negative variances, too little overlap.
    """
    if sigma2 not in (None, "fit") and not (math.isfinite(float(sigma2)) and float(sigma2) > 0):
        raise ConfigError(f"`sigma2` must be positive, or `fit`, got {sigma2}.")
    given = inputs or PriorInputs.of(**paths)
    where = find_float64_device(device)
    run = None if like is None else open_run(like)
    setting = _setting(given, run, chrom_list(chrom), chrom_list(exclude_chrom, option="exclude-chrom"), where)
    path = as_path(variances)
    require_same_build(str(path), build_of_variances(path), str(setting.panel.path), setting.panel.build)
    f = read_variances(path, setting.panel.variants)
    missing = int(np.isnan(f).sum())
    if missing:
        setting.notes.append(f"{missing} of {f.size} panel variants are not in {path}: their f is 0")
    variance_of = _variance_of(setting, f)
    level = _sigma2(sigma2, path, setting, variance_of)
    scores = score_windows(setting.data, setting.windows, variance_of, [level], device=where, progress=progress)
    constant = setting.constant.score(setting.data, setting.windows, device=where, progress=progress)
    nulls = [setting.null]
    traits = summarise(scores, [setting.data.traits[0].name], [level], nulls, seed=seed)
    beside_constant(traits, scores, constant, setting.constant.model.sigma2_values(), nulls, seed=seed)
    return Evaluation(traits, per_window(scores, setting.data, nulls, constant), setting.notes)


def _setting(
    given: PriorInputs, run: Run | None, chrom: Sequence[str], exclude: Sequence[str], device: torch.device
) -> _Setting:
    """The setting of a run, or of given files."""
    files, notes = (given, []) if run is None else inputs_of_run(run, given)
    if len(files.sumstats) != 1:
        raise ConfigError(
            "the file's variances are those of one trait: name one file with --sumstats"
            + (", or --like RUN." if run is None else f"; the run has {len(files.sumstats)}.")
        )
    panel = files.open_panel()
    check_chroms(exclude, [core.chrom for core in panel.cores], option="exclude-chrom")
    data = assemble(panel, files.read_sumstats(), None, kind="constant", dtype=torch.float64, matching=files.matching)
    if run is None:
        windows = chosen_windows(panel, chrom, exclude)
    else:
        windows, about_windows = windows_to_score(run, panel, chrom, exclude)
        notes = [*notes, *about_windows]
    usable = [index for index in windows if has_association(panel, data, index)]
    if not usable:
        raise DataError(f"none of the {len(windows)} windows holds an association of `{files.sumstats[0]}`.")
    if run is not None:
        (null,), about_null = nulls_of_run(run, data, own=given.panel is None and not given.sumstats)
        training = training_windows(run, panel) or usable
        constant = constant_of_record(run.record["traits"]) or fit_constant(data, training, device=device)
        return _Setting(panel, data, usable, training, null, constant, [*notes, *about_null], device)
    scored = set(windows)
    rest = [
        index
        for index, core in enumerate(panel.cores)
        if index not in scored and core.chrom not in exclude and has_association(panel, data, index)
    ]
    notes.append(
        f"the null's sigma2 and the constant prior were fitted on {len(rest)} other windows"
        if rest
        else "the null's sigma2 and the constant prior were fitted on the scored windows: there are no others"
    )
    (null,) = null_sigma2(data, rest or usable)
    constant = fit_constant(data, rest or usable, device=device)
    return _Setting(panel, data, usable, rest or usable, null, constant, notes, device)


def _variance_of(setting: _Setting, f: Float[ndarray, " variant"]) -> VarianceOf:
    """F = N f of a window's variants."""
    F = torch.from_numpy(np.nan_to_num(f, nan=0.0) * setting.data.traits[0].n_ref)

    def variance_of(window: PriorWindow) -> Tensor:
        return F[torch.from_numpy(setting.panel.rows(window.index)[1])][:, None]

    return variance_of


def _sigma2(wanted: Sigma2, path: PathLike, setting: _Setting, variance_of: VarianceOf) -> float:
    """The residual variance, and a note on where it comes from."""
    if wanted == "fit":
        level = fit_sigma2(setting.data, setting.training, variance_of, device=setting.device)
        setting.notes.append(f"sigma2 = {level:.4g} was fitted on {min(MAX_WINDOWS, len(setting.training))} windows")
        return level
    if wanted is not None:
        return float(wanted)
    carried = read_sigma2(path)
    setting.notes.append(
        "sigma2 = 1 is assumed: the file has none. Give --sigma2 NUMBER, or --sigma2 fit"
        if carried is None
        else f"sigma2 = {carried:.6g} is that of {path}"
    )
    return 1.0 if carried is None else carried


def fit_sigma2(
    data: WindowData, windows: Sequence[int], variance_of: VarianceOf, *, device: torch.device = CPU
) -> float:
    """The sigma2 of largest likelihood of the first trait on (up to `MAX_WINDOWS` of) the windows, for given F."""
    places = np.unique(np.linspace(0, len(windows) - 1, min(MAX_WINDOWS, len(windows))).astype(int))
    chosen = [windows[place] for place in places]
    parts = [
        eigen_squares(window.traits[0], variance_of(window)[:, 0].to(device))
        for window in in_background(data, chosen, tracks=False, place=Placement(device, room=0))
        if window.traits[0] is not None
    ]
    a, squares = (np.concatenate(each) for each in zip(*parts, strict=True))

    def minus_log_p(log_sigma2: float) -> float:
        variance = a + math.exp(log_sigma2)
        return float(np.sum(np.log(variance) + squares / variance))

    return math.exp(minimize_scalar(minus_log_p, bounds=SIGMA2_BOUNDS, method="bounded", options={"xatol": 1e-8}).x)
