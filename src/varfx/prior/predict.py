"""`predict`: the variance of each variant's effect under a fitted prior, for any variants with the run's channels."""

from __future__ import annotations

import gzip
import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from varfx.annotations.features import Features, no_features
from varfx.annotations.file import AnyAnnotations
from varfx.annotations.snpvar import PREDICTION_KIND
from varfx.device import find_float64_device
from varfx.errors import ConfigError
from varfx.genome.builds import require_same_build
from varfx.genome.variants import identifier
from varfx.io import sealed
from varfx.io.run_folder import check_file
from varfx.models import VariancePrior
from varfx.models.track_enformer import TrackFeatures
from varfx.prior.ancestries.run import AncestryRun, has_ancestries, members_of, open_ancestries, require_no_files
from varfx.prior.files import InputPaths, PriorInputs, inputs_of_run
from varfx.prior.held_out import learned_note
from varfx.prior.inputs import align_trait, heterozygosity, panel_variants, raw_features, require_track_build
from varfx.prior.plausibility import capped, ratio_warning
from varfx.prior.run import Run, folder_of, open_run
from varfx.prior.run_options import PredictConfig, PredictionFormat
from varfx.tracks.gather import TrackGather
from varfx.tracks.inputs import TrackInputs
from varfx.tracks.places import place

logger = logging.getLogger(__name__)
PathLike = str | os.PathLike[str]
CPU = torch.device("cpu")
SEVERAL_TRAITS = "the snpvar layout holds one trait. Write parquet or TSV for several."
CHUNK = 2**16  # variants per pass of the network
Output = Callable[[VariancePrior, Any, Tensor], Tensor]  # (model, features, heterozygosity) -> (variant, trait)


def predict(
    run: PathLike | Run | AncestryRun,
    *,
    cap: float | None = None,
    inputs: PriorInputs | None = None,
    device: str = "auto",
    **paths: Unpack[InputPaths],
) -> pl.DataFrame:
    """f of each variant: the variance of its effect on standardised genotypes.

    Args:
        run: the run, or its folder; of a run of several ancestries the table holds all, see
            `varfx.prior.ancestries.predict.predict_ancestries`.
        cap: largest ratio of f between two variants of a trait, see `varfx.prior.plausibility.capped`; by default none.
        inputs: files in place of the run's own. Annotations are variants and their channels; without, the variants are those
            of the run's panel. The chain file is from the variants' build to the tracks'.
        device: of the network: auto, cpu, cuda or cuda:N; for mps, which has no float64, the CPU.
        **paths: `inputs` as single arguments: `annotations`, `panel`, `tracks`, `chain`.

    Returns:
        `chrom, position, variant_id, effect_allele, other_allele, eaf, f, sigma2`; with several traits `f.NAME` and `sigma2.NAME` for
        each. sigma2 is the residual variance that goes with f, the same for all variants. A run fitted with `effects="mixture"` adds
        `inclusion`, the prior probability of a sparse effect; f is the variance of background and sparse part together.

    Raises:
        ConfigError: `cap` is below 1, or there is no such device.
        DataError: a channel that the run needs is missing, or an input of the run's own is not that of the fit.
        HarmonisationError: annotations or tracks of another genome build, or a chain file between equal builds.
        VarfxError: inputs that cannot be read.
    """
    where = find_float64_device(device)
    given = inputs or PriorInputs.of(**paths)
    if has_ancestries(run):
        from varfx.prior.ancestries.predict import predict_ancestries

        joint = open_ancestries(run)
        require_no_files(joint, given.named())
        return predict_ancestries(joint, cap=cap, device=device)
    fitted = open_run(run)
    files, _ = inputs_of_run(fitted, given, used=used_by_predict(given))
    table = files.read_annotations()
    if given.annotations is None:
        reference = files.open_panel()
        source, build = str(reference.path), reference.build
        known = not reference.variants["eaf"].null_count()
        if not known:
            inputs_of_run(fitted, given, used=("sumstats",))
        traits = [] if known else [align_trait(each, reference, files.matching) for each in files.read_sumstats()]
        variants = panel_variants(reference, traits)
    else:
        assert table is not None
        require_same_build(str(given.annotations), table.build, str(fitted.path), fitted.build)
        source, build = str(given.annotations), table.build or fitted.build
        frequency = table.column("eaf") if "eaf" in table.channels else pl.lit(None)
        variants = table.keys.with_columns(frequency.cast(pl.Float64).alias("eaf"))
    tracks = given.tracks_of_run(fitted)
    if tracks is not None:
        require_track_build(source, build, tracks)
    f = variances(fitted, variants, table, tracks, device=where)
    chances = inclusion(fitted, variants, table, tracks, device=where)
    sigma2 = np.tile(fitted.model.sigma2_values(), (len(f), 1))
    return prediction_table(variants, f, sigma2, fitted.trait_names, cap=cap, inclusion=chances)


def prediction_table(
    variants: pl.DataFrame,
    f: Float[ndarray, "variant trait"],
    sigma2: Float[ndarray, "variant trait"],
    traits: Sequence[str],
    *,
    cap: float | None = None,
    inclusion: Float[ndarray, "variant trait"] | None = None,
) -> pl.DataFrame:
    """The table that `predict` returns; ratios of f that are hard to believe are logged, or capped.

    Raises:
        ConfigError: `cap` is below 1.
    """
    _check_cap(cap)
    table = variants.select("chrom", "position", "variant_id", "effect_allele", "other_allele", "eaf")
    suffixes = [""] if len(traits) == 1 else [f".{name}" for name in traits]
    for i, (name, suffix) in enumerate(zip(traits, suffixes, strict=True)):
        column = f[:, i] if cap is None else capped(f[:, i], cap)
        doubt = ratio_warning(name, column)
        if doubt is not None:
            logger.warning(doubt)
        table = table.with_columns(pl.Series(f"f{suffix}", column))
    table = table.with_columns(pl.Series(f"sigma2{suffix}", sigma2[:, i]) for i, suffix in enumerate(suffixes))
    if inclusion is None:
        return table
    return table.with_columns(pl.Series(f"inclusion{suffix}", inclusion[:, i]) for i, suffix in enumerate(suffixes))


def check_prediction(run: PathLike | Run, out: PathLike, config: PredictConfig) -> None:
    """Checks before the work that a prediction of a run can be written so.

    Raises:
        ConfigError: `cap` is below 1, or the snpvar layout is asked for several traits.
        StoreError: no such run, or a folder that cannot be written to.
    """
    check_file(Path(out))
    _check_cap(config.cap)
    if _form(out, config.format) == "snpvar" and len(open_run(run).trait_names) > 1:
        raise ConfigError(SEVERAL_TRAITS)


def _check_cap(cap: float | None) -> None:
    if cap is not None and not cap >= 1:
        raise ConfigError(f"`cap` is a ratio of variances and must be at least 1, got {cap}.")


def _form(out: PathLike, form: PredictionFormat | None) -> PredictionFormat:
    """The format of a file: the one asked for, else by its ending."""
    name = Path(out).name
    return form or ("parquet" if name.endswith(".parquet") else "snpvar" if ".snpvar" in name else "tsv")


def used_by_predict(given: PriorInputs) -> tuple[str, ...]:
    """Names of the inputs that a prediction reads, but for summary statistics: the panel only without other annotations."""
    return ("annotations", "tracks", "chain") + (("panel",) if given.annotations is None else ())


@torch.no_grad()
def variances(
    run: Run,
    variants: pl.DataFrame,
    annotations: AnyAnnotations | None,
    tracks: TrackInputs | None = None,
    *,
    device: torch.device = CPU,
) -> Float[ndarray, "variant trait"]:
    """f of each variant and trait, in float64.

    Args:
        run: the fitted prior.
        variants: columns of `varfx.genome.variants.SCHEMA`, and `ld_score` where there are no annotations.
        annotations: their channels; None for minor-allele frequency and LD score alone.
        tracks: the run's tracks, if it has any.
        device: of the network; it must have float64.
    """
    n_ref = np.array([trait["n_ref"] for trait in run.record["traits"]])
    F = _outputs(run, variants, annotations, tracks, device, lambda model, x, p: model(x, p))
    return np.asarray(F.numpy() / n_ref)


@torch.no_grad()
def inclusion(
    run: Run,
    variants: pl.DataFrame,
    annotations: AnyAnnotations | None,
    tracks: TrackInputs | None = None,
    *,
    device: torch.device = CPU,
) -> Float[ndarray, "variant trait"] | None:
    """Prior probability of a sparse effect of each variant and trait; None for a run with normal effects. Arguments as of `variances`."""
    if run.model.mixture is None:
        return None
    log_odds = _outputs(run, variants, annotations, tracks, device, lambda model, x, p: model.both_heads(x, p)[1])
    return np.asarray(log_odds.sigmoid().numpy())


def _outputs(
    run: Run,
    variants: pl.DataFrame,
    annotations: AnyAnnotations | None,
    tracks: TrackInputs | None,
    device: torch.device,
    output: Output,
) -> Float[Tensor, "variant trait"]:
    """An output of the run's network for all variants, in float64."""
    features: Features = no_features(variants.height)
    if run.standardiser is not None:
        features = run.standardiser.features(raw_features(variants, annotations, tracks))
    model = run.model.in_double().to(device)
    p = torch.from_numpy(heterozygosity(variants))
    if tracks is not None and tracks.read_as == "bases":
        found = _along_tracks(partial(output, model), features, p, variants, tracks, device)
    else:
        chunks = [slice(i, i + CHUNK) for i in range(0, max(1, len(p)), CHUNK)]
        found = torch.cat(
            [
                output(model, torch.from_numpy(features.rows(rows)).to(device).double(), p[rows].to(device)).cpu()
                for rows in chunks
            ]
        )
    model.cpu()
    return found


def _along_tracks(
    output: Callable[[TrackFeatures, Tensor], Tensor],
    features: Features,
    p: Tensor,
    variants: pl.DataFrame,
    tracks: TrackInputs,
    device: torch.device,
) -> Float[Tensor, "variant trait"]:
    """An output for variants from the signals around them, a stretch of the genome at a time; the model lies on the device."""
    places = place(tracks.store, variants, tracks.chain)
    gather = TrackGather(tracks.store, width=tracks.window, device=device, mask_channels=True)
    nowhere = np.flatnonzero(~places.placed)
    found: Tensor | None = None
    stretches = [*places.stretches(), *((None, nowhere[i : i + CHUNK]) for i in range(0, nowhere.size, CHUNK))]
    for chrom, rows in stretches:
        position, predictors = places.position[rows], torch.from_numpy(features.rows(rows))
        window = (
            gather.load_near(places.chrom[rows], position, predictors=predictors)
            if chrom is None
            else gather.load(chrom, position, predictors=predictors)
        )
        values = output(window, p[rows].to(device)).double().cpu()
        found = torch.empty(len(p), values.shape[1], dtype=torch.float64) if found is None else found
        found[rows] = values
    assert found is not None
    return found


def write_prediction(
    table: pl.DataFrame,
    out: PathLike,
    *,
    run: PathLike | Run | AncestryRun,
    form: PredictionFormat | None = None,
    learned: str | None = None,
) -> None:
    """Writes a prediction as a sealed parquet, TSV (.gz), or PolyFun's snpvar layout.

    Args:
        table: from `predict`.
        out: the file; without `form` its ending decides: .parquet, .snpvar(.gz), else TSV.
        run: for the provenance.
        form: the format.
        learned: what to record about variants whose associations taught the prior; by default `learned_note`.

    Raises:
        ConfigError: snpvar is asked for several traits.
    """
    name = Path(out).name
    form = _form(out, form)
    if form == "parquet":
        metadata = {
            "provenance": sealed.provenance({}, {"run": folder_of(run)}),
            "learned": learned or learned_note(run, table),
            "build": members_of(run)[0].build,
        }
        sealed.write_table(table, out, kind=PREDICTION_KIND, metadata=metadata)
        return
    if form == "snpvar":
        if "f" not in table.columns:
            raise ConfigError(SEVERAL_TRAITS)
        table = table.select(
            CHR="chrom",
            SNP=identifier(),
            BP="position",
            A1="effect_allele",
            A2="other_allele",
            SNPVAR="f",
            SIGMA2="sigma2",
        )
    text = table.write_csv(
        separator="\t",
        float_scientific=True if form == "snpvar" else None,
        float_precision=6 if form == "snpvar" else None,
    )
    with sealed.atomic_path(out) as unfinished:
        unfinished.write_bytes(gzip.compress(text.encode(), mtime=0) if name.endswith(".gz") else text.encode())
