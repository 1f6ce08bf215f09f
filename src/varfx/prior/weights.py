"""`weights`: posterior-mean effects of a run's traits as weights of polygenic scores, and their files."""

from __future__ import annotations

import gzip
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import polars as pl

from varfx._version import __version__
from varfx.device import find_float64_device
from varfx.errors import ConfigError
from varfx.genome.builds import GRC
from varfx.genome.variants import identifier
from varfx.io import sealed
from varfx.io.run_folder import check_text
from varfx.io.workers import SingleWorker, Workers
from varfx.prior.effects.choose import trait_effects
from varfx.prior.effects.config import EffectsConfig
from varfx.prior.files import InputPaths, PriorInputs, inputs_of_run
from varfx.prior.inputs import align_trait, panel_variants
from varfx.prior.pairs import Cores
from varfx.prior.predict import inclusion, variances
from varfx.prior.run import Run, folder_of, open_run
from varfx.prior.run_options import WeightsFormat
from varfx.progress import Progress, silent

PathLike = str | os.PathLike[str]
_DEFAULT = EffectsConfig()
ONE_TRAIT = "the PGS-Catalog format holds one trait. Use --format plink for several."


@dataclass(frozen=True, eq=False)
class PosteriorWeights:
    """Weights of polygenic scores, and how they came about.

    Attributes:
        table: see `weights`.
        traits: per trait the effect distribution used, its evidence, hyperparameters and convergence (`TraitEffects.record`).
    """

    table: pl.DataFrame
    traits: list[dict[str, Any]]


def weights(
    run: PathLike | Run,
    *,
    effects: EffectsConfig = _DEFAULT,
    inputs: PriorInputs | None = None,
    workers: int | None = 1,
    scheduler: str | None = None,
    folder: Path | None = None,
    device: str = "auto",
    progress: Progress = silent,
    **paths: Unpack[InputPaths],
) -> pl.DataFrame:
    """Posterior-mean effects of a run's traits for every panel variant.

    Args:
        run: the run, or its folder.
        effects: distribution of effects around the run's variances, and the sampling of its posterior.
        inputs: files in place of the run's own.
        workers: processes, each with the memory of two windows; 1 computes in this process, with all its threads where the
            distribution is normal; None is one per core.
        scheduler: address of a running dask.distributed scheduler whose workers see the same files; in place of
            `workers`.
        folder: existing folder that all workers of the scheduler see; by default the current one.
        device: of the computation, in float64: auto, cpu, cuda or cuda:N; for mps, which has no float64, the CPU. Each process
            finds it on its own machine; several processes of one machine share one GPU. Markov chains run on the CPU.
        progress: told about each window.
        **paths: `inputs` as single arguments: `panel`, `sumstats`, `annotations`, `tracks`, `chain`.

    Returns:
        `chrom, position, variant_id, effect_allele, other_allele, eaf`, and for each trait the effect per allele
        (`weight` or `weight.NAME`) and on standardised genotypes (`beta` or `beta.NAME`). With y of variance 1,
        `weight = beta / sqrt(2 p (1 - p))`. With a sparse part also its posterior probability (`pip`) and the posterior
        standard deviation of beta (`beta_sd`).

    Raises:
        DataError: an input of the run's own is not that of the fit.
        ConfigError: there is no such device.
        WorkerError: workers or the scheduler were lost.
        VarfxError: inputs that cannot be read or do not fit the run.
    """
    where = SingleWorker(workers=workers, scheduler=scheduler)
    given = inputs or PriorInputs.of(**paths)
    return posterior_weights(run, effects, given, where=where, folder=folder, device=device, progress=progress).table


def posterior_weights(
    run: PathLike | Run,
    effects: EffectsConfig,
    given: PriorInputs,
    *,
    where: Workers,
    folder: Path | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> PosteriorWeights:
    """What `weights` returns, with a record of the effect distributions."""
    here = find_float64_device(device if where.scheduler is None else "auto")
    fitted = open_run(run)
    files, _ = inputs_of_run(fitted, given)
    reference = files.open_panel()
    traits = [align_trait(each, reference, files.matching) for each in files.read_sumstats()]
    variants = panel_variants(reference, traits)
    features = files.read_annotations(), given.tracks_of_run(fitted)
    f = variances(fitted, variants, *features, device=here)
    chances = inclusion(fitted, variants, *features, device=here)
    eaf = variants["eaf"].cast(pl.Float64).to_numpy()
    spread = np.sqrt(2 * eaf * (1 - eaf))
    result = variants.select("chrom", "position", "variant_id", "effect_allele", "other_allele", "eaf")
    records = []
    for i, trait in enumerate(traits):
        suffix = "" if len(traits) == 1 else f".{trait.data.name}"
        sigma2 = fitted.model.sigma2_values()[i]
        cores = Cores(reference, trait.data, device)
        found = trait_effects(
            cores,
            f[:, i],
            sigma2,
            effects,
            inclusion=None if chances is None else chances[:, i],
            where=where,
            folder=folder,
            progress=progress,
        )
        weight = np.divide(found.mean, spread, out=np.full_like(found.mean, np.nan), where=spread > 0)
        result = result.with_columns(
            pl.Series(f"weight{suffix}", weight).fill_nan(None), pl.Series(f"beta{suffix}", found.mean)
        )
        if found.pip is not None and found.sd is not None:
            result = result.with_columns(pl.Series(f"pip{suffix}", found.pip), pl.Series(f"beta_sd{suffix}", found.sd))
        records.append(found.record)
    return PosteriorWeights(result, records)


def write_record(found: PosteriorWeights, out: PathLike, *, run: PathLike | Run, effects: EffectsConfig) -> Path:
    """Writes how the weights came about beside them, as `OUT.effects.json`; returns its path."""
    path = Path(f"{out}.effects.json")
    record = {
        "format_version": sealed.FORMAT_VERSION,
        "config": asdict(effects),
        "traits": found.traits,
        "provenance": sealed.provenance({}, {"run": folder_of(run)}),
    }
    sealed.write_json(path, record)
    return path


def check_form(run: PathLike | Run, out: PathLike, form: WeightsFormat) -> None:
    """Checks before the work that the weights of a run can be written so.

    Raises:
        ConfigError: `out` is named as Parquet, or the PGS-Catalog format is asked for several traits.
        StoreError: no such run, or a folder that cannot be written to.
    """
    check_text(Path(out))
    if form == "pgs-catalog" and len(open_run(run).trait_names) > 1:
        raise ConfigError(ONE_TRAIT)


def write_weights(table: pl.DataFrame, out: PathLike, *, run: PathLike | Run, form: WeightsFormat = "plink") -> None:
    """Writes weights as a PLINK `--score` file or a PGS-Catalog scoring file (format 2.0).

    The PLINK file's columns are `ID A1 WEIGHT ...`: `plink2 --score FILE 1 2 3 header`; with several traits the weights
    are columns 3 on. PIP and BETA_SD stand last, where effects have a sparse part. Variants of weight 0 or unknown frequency are left out.

    Raises:
        ConfigError: the PGS-Catalog format is asked for several traits.
    """
    names = [name for name in table.columns if name == "weight" or name.startswith("weight.")]
    kept = table.filter(pl.any_horizontal(pl.col(names).is_not_null() & (pl.col(names) != 0)))
    if form == "pgs-catalog":
        if len(names) > 1:
            raise ConfigError(ONE_TRAIT)
        body = kept.select(
            rsID=identifier(),
            chr_name="chrom",
            chr_position="position",
            effect_allele="effect_allele",
            other_allele="other_allele",
            effect_weight="weight",
            allelefrequency_effect="eaf",
        )
        name = folder_of(run).name
        fitted = open_run(run)
        lines = [
            "###PGS CATALOG SCORING FILE - see https://www.pgscatalog.org/downloads/#dl_ftp_scoring for additional information",
            "#format_version=2.0",
            "##POLYGENIC SCORE (PGS) INFORMATION",
            f"#pgs_id={name}",
            f"#pgs_name={name}",
            f"#trait_reported={fitted.trait_names[0]}",
            "#weight_type=beta",
            f"#genome_build={'NR' if fitted.build is None else GRC[fitted.build]}",
            f"#variants_number={kept.height}",
            "##SOURCE INFORMATION",
            f"#citation=varfx {__version__}",
        ]
        text = "\n".join(lines) + "\n" + body.write_csv(separator="\t")
    else:
        body = kept.select(
            identifier().alias("ID"),
            pl.col("effect_allele").alias("A1"),
            *[pl.col(name).alias(name.replace("weight", "WEIGHT", 1)) for name in names],
            pl.col("chrom").alias("CHROM"),
            pl.col("position").alias("POS"),
            pl.col("other_allele").alias("A2"),
            pl.col("eaf").alias("A1_FREQ"),
            *[pl.col(name.replace("weight", "beta", 1)).alias(name.replace("weight", "BETA_STD", 1)) for name in names],
            *[
                pl.col(name.replace("weight", ours, 1)).alias(name.replace("weight", theirs, 1))
                for name in names
                for ours, theirs in (("pip", "PIP"), ("beta_sd", "BETA_SD"))
                if name.replace("weight", ours, 1) in table.columns
            ],
        )
        text = body.write_csv(separator="\t")
    with sealed.atomic_path(out) as partial:
        partial.write_bytes(gzip.compress(text.encode(), mtime=0) if str(out).endswith(".gz") else text.encode())
