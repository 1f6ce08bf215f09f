"""Weights of polygenic scores in several ancestries, each with what the others tell about it, and over all (META)."""

from __future__ import annotations

import gzip
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from varfx.device import find_float64_device
from varfx.errors import ConfigError
from varfx.genome.variants import identifier
from varfx.io import sealed
from varfx.io.workers import Workers
from varfx.prior.ancestries.correlation import correlation_matrix, estimate_correlations
from varfx.prior.ancestries.inputs import META
from varfx.prior.ancestries.posterior import Ancestries, AncestryTrait, Effects, joint_posterior
from varfx.prior.ancestries.run import AncestryRun, open_ancestries
from varfx.prior.ancestries.union import Union, union_of
from varfx.prior.files import PriorInputs, inputs_of_run
from varfx.prior.inputs import align_trait, panel_variants
from varfx.prior.pairs import Cores
from varfx.prior.posterior import IN_THIS_PROCESS
from varfx.prior.predict import variances
from varfx.prior.run import Run
from varfx.progress import Progress, silent

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class AncestryWeights:
    """Weights in several ancestries.

    Attributes:
        table: `chrom, position, variant_id, effect_allele, other_allele`; per ancestry `eaf.NAME`, the posterior-mean effect per allele
            (`weight.NAME`) and on standardised genotypes (`beta.NAME`) and the latter's posterior standard deviation (`beta_sd.NAME`), null
            where the panel lacks the variant; `weight.META`, the mean of the ancestries' weights, each by the inverse of its posterior
            variance.
        correlations: of effects, per pair of ancestries: `ancestries, rho, se, regions`.
    """

    table: pl.DataFrame
    correlations: list[dict[str, Any]]


def ancestry_weights(
    run: PathLike | AncestryRun,
    *,
    rho: float | Literal["estimate"] = "estimate",
    where: Workers = IN_THIS_PROCESS,
    folder: Path | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> AncestryWeights:
    """Posterior-mean effects in all ancestries together, normal around the run's variances.

    Args:
        run: the run of several ancestries, or its folder.
        rho: correlation of a variant's effects between two ancestries; 0 takes each by itself.
        where: processes of this machine, each with the memory of two windows per ancestry, or a scheduler.
        folder: existing folder that all workers of a scheduler see; by default the current one.
        device: of the computation, in float64.
        progress: told about each window.

    Raises:
        ConfigError: correlations that cannot be those of so many ancestries, or there is no such device.
        DataError: an input is not that of the fit.
        VarfxError: inputs that cannot be read.
    """
    joint = open_ancestries(run)
    traits, union, eaf = ancestry_traits(joint, device=device)
    size, names = len(traits), list(joint.members)
    ancestries = Ancestries(traits, np.eye(size))
    if rho == "estimate":
        found = estimate_correlations(ancestries, progress=progress)
        matrix, correlations = correlation_matrix(size, found), [each.to_dict(names) for each in found]
    else:
        if size > 1 and rho <= -1 / (size - 1):
            raise ConfigError(f"`rho` of {size} ancestries must be above {-1 / (size - 1):.3g}, got {rho}.")
        matrix = np.where(np.eye(size) > 0, 1.0, rho)
        correlations = [
            {"ancestries": [names[i], names[j]], "rho": rho, "se": None, "regions": 0}
            for i in range(size)
            for j in range(i + 1, size)
        ]
    ancestries = Ancestries(traits, matrix)
    effects = joint_posterior(ancestries, where=where, folder=folder, progress=progress)
    return AncestryWeights(_table(names, union, eaf, effects), correlations)


def ancestry_traits(
    joint: AncestryRun, *, device: str = "auto"
) -> tuple[tuple[AncestryTrait, ...], Union, dict[str, np.ndarray]]:
    """The trait in each ancestry with its prior, the union of variants, and each panel's frequencies."""
    cores, f, sigma2, variants = {}, {}, {}, {}
    for name, run in joint.members.items():
        cores[name], variants[name], f[name] = _inputs(run, device)
        sigma2[name] = run.model.sigma2_values()[0]
    union = union_of(variants)
    eaf = {name: table["eaf"].cast(pl.Float64).fill_null(np.nan).to_numpy() for name, table in variants.items()}
    traits = tuple(
        AncestryTrait(cores[name], f[name], sigma2[name], union.rows[name], union.signs[name]) for name in joint.members
    )
    return traits, union, eaf


def _inputs(run: Run, device: str) -> tuple[Cores, pl.DataFrame, np.ndarray]:
    """One ancestry's panel with its associations, its variants, and their f."""
    here = find_float64_device(device)
    files, _ = inputs_of_run(run, PriorInputs())
    panel = files.open_panel()
    (trait,) = [align_trait(each, panel, files.matching) for each in files.read_sumstats()]
    variants = panel_variants(panel, [trait])
    f = variances(run, variants, files.read_annotations(), files.tracks_of_run(run), device=here)[:, 0]
    return Cores(panel, trait.data, device), variants, f


def _table(names: Sequence[str], union: Union, eaf: dict[str, np.ndarray], effects: Sequence[Effects]) -> pl.DataFrame:
    """The table of `AncestryWeights`."""
    columns: dict[str, np.ndarray] = {}
    total, information = (np.zeros(union.variants.height) for _ in range(2))
    for name, each in zip(names, effects, strict=True):
        frequency = union.frequency(name, eaf[name])
        beta = union.spread(name, each.mean) * union.signs[name]
        variance = union.spread(name, each.variance)
        spread = np.sqrt(2 * frequency * (1 - frequency))
        with np.errstate(divide="ignore", invalid="ignore"):
            weight = np.where(spread > 0, beta / spread, np.nan)
            precision = np.where((spread > 0) & (variance > 0), spread**2 / variance, 0.0)
        columns |= {f"eaf.{name}": frequency, f"weight.{name}": weight, f"beta.{name}": beta}
        columns[f"beta_sd.{name}"] = np.sqrt(variance)
        total += precision * np.nan_to_num(weight)
        information += precision
    columns[f"weight.{META}"] = np.divide(total, information, out=np.full(total.size, np.nan), where=information > 0)
    return union.variants.with_columns(pl.Series(name, values).fill_nan(None) for name, values in columns.items())


def check_options(effects: str, form: str) -> None:
    """Checks the options that weights of one panel have and these do not.

    Raises:
        ConfigError: naming the option.
    """
    if effects == "mixture":
        raise ConfigError(
            "`--effects mixture` is for one panel. Give one ancestry's run, as RUN/NAME, or leave the option out for normal effects."
        )
    if form == "pgs-catalog":
        raise ConfigError(
            "the PGS-Catalog format holds one score. Give one ancestry's run, as RUN/NAME, or --format plink."
        )


def write_ancestry_weights(found: AncestryWeights, out: PathLike, *, run: AncestryRun) -> None:
    """Writes weights as a PLINK `--score` file `ID A1 WEIGHT.NAME ... WEIGHT.META CHROM POS A2 ...`, and `OUT.ancestries.json`.

    The latter has the correlations and the provenance. Weights of a variant that a panel lacks are 0; variants without any weight are
    left out.
    """
    weights = [name for name in found.table.columns if name.startswith("weight.")]
    others = [name for name in found.table.columns if name.partition(".")[0] in ("eaf", "beta", "beta_sd")]
    titles = {"weight": "WEIGHT", "eaf": "A1_FREQ", "beta": "BETA_STD", "beta_sd": "BETA_SD"}

    def title(name: str) -> str:
        kind, _, whose = name.partition(".")
        return f"{titles[kind]}.{whose}"

    kept = found.table.filter(pl.any_horizontal(pl.col(name).fill_null(0.0) != 0 for name in weights))
    text = kept.select(
        identifier().alias("ID"),
        pl.col("effect_allele").alias("A1"),
        *[pl.col(name).fill_null(0.0).alias(title(name)) for name in weights],
        pl.col("chrom").alias("CHROM"),
        pl.col("position").alias("POS"),
        pl.col("other_allele").alias("A2"),
        *[pl.col(name).alias(title(name)) for name in others],
    ).write_csv(separator="\t")
    with sealed.atomic_path(out) as partial:
        partial.write_bytes(gzip.compress(text.encode(), mtime=0) if str(out).endswith(".gz") else text.encode())
    record = {
        "format_version": sealed.FORMAT_VERSION,
        "correlations": found.correlations,
        "provenance": sealed.provenance({}, {"run": run.path}),
    }
    sealed.write_json(Path(f"{out}.ancestries.json"), record)
