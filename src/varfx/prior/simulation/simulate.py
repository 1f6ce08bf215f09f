"""`simulate`: summary statistics from a known prior on the real LD of a panel (paper, section 5 and B.7).

    b = sqrt(N) beta ~ N(0, N f)          one draw for all of a replicate's windows
    w_i = B_i b + sigma e_i,  e ~ N(0, I)          z_i = V_i lam_i^1/2 w_i          for the core i of each window

so that `z_i ~ N(sqrt(N) R[i,+] beta, sigma2 R[i,i])` with the panel's R. Neighbouring windows share the effects of the variants that
both see; the noise of two cores is independent, where in a GWAS it is correlated across their border like everything else.
"""

from __future__ import annotations

import gzip
import math
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from numpy import ndarray

from varfx.annotations import Standardiser
from varfx.annotations.snpvar import PREDICTION_KIND
from varfx.device import find_float64_device
from varfx.errors import ConfigError
from varfx.genome.variants import identifier
from varfx.gwas.sumstats import SCHEMA, SumStats, replicate_names
from varfx.io import sealed, sealed_folder
from varfx.io.output_lock import one_writer
from varfx.ld import LDPanel
from varfx.prior.files import FeaturePaths, PriorInputs
from varfx.prior.inputs import heterozygosity, panel_variants, raw_features
from varfx.prior.predict import predict
from varfx.prior.run import Run, folder_of
from varfx.prior.simulation.config import SimulateConfig, TruthConfig
from varfx.prior.simulation.truth_network import CPU, linear_r2, log_variances, random_score, track_score
from varfx.progress import Progress, silent
from varfx.short_repr import short_repr
from varfx.tracks.inputs import tracks_for_fit
from varfx.tracks.panel import PanelTracks

PathLike = str | os.PathLike[str]
TRUTH, REPLICATES, EACH = "truth.parquet", "replicates.sumstats.parquet", "each"
EFFECTS, NOISE = 1, 2  # which stream of random numbers


@dataclass(frozen=True, kw_only=True, eq=False)
class Simulation:
    """Files of a simulation.

    Attributes:
        folder: with `truth.parquet` and `replicates.sumstats.parquet`.
        truth: f of each of the panel's variants.
        record: how it was made: options, N, sigma2, mean of N f, h2, `linear_r2` of log f.
    """

    __repr__ = short_repr

    folder: Path
    truth: pl.DataFrame
    record: dict[str, Any]


@one_writer
def simulate(
    panel: PathLike | PriorInputs,
    out: PathLike,
    *,
    truth: TruthConfig | PathLike | Run | None = None,
    config: SimulateConfig | None = None,
    trait: str = "simulated",
    write_each: bool = False,
    device: str = "auto",
    progress: Progress = silent,
    **inputs: Unpack[FeaturePaths],
) -> Simulation:
    """Draws summary statistics for a panel's variants, and writes them with the f that they come from.

    Args:
        panel: LD panel, or all inputs as one object; its LD is that of the simulated GWAS.
        out: the folder to write.
        truth: a random network, or a run whose f (up to the scale) is taken for true.
        config: signal, noise, replicates, seed.
        trait: its name.
        write_each: also write `each/1.tsv.gz, 2.tsv.gz, ...`, one replicate each, for other programs.
        device: of networks and products: auto, cpu, cuda or cuda:N; for mps, which has no float64, the CPU. What is random is
            drawn on the CPU, so that devices differ by rounding only.
        progress: told about each window.
        **inputs: `annotations` are the features of a random network, by default minor-allele frequency and LD score; `tracks`
            (with `chain`) are read around each variant: base by base by enformer and filter, averaged by the others.

    Raises:
        VarfxError: inputs that cannot be read, options out of range, or no such device.
    """
    files = panel if isinstance(panel, PriorInputs) else PriorInputs.of(panel=panel, **inputs)
    config, where = config or SimulateConfig(), find_float64_device(device)
    reference = files.open_panel()
    log_f, features, described = _log_truth(reference, files, truth, where)
    share = np.exp(log_f - log_f.max())
    f = config.mean_f(share.size) * share / share.mean()
    record = {
        "panel": sealed.sha256(reference.path / sealed.MANIFEST),
        "truth": described,
        "config": asdict(config),
        "n": config.n,
        "sigma2": config.noise,
        "mean_signal": float(config.n * f.mean()),
        "h2": float(f.sum()),
        "linear_r2": None
        if features is None
        else linear_r2(log_f, features, heterozygosity(panel_variants(reference, []))),
    }
    metadata = {"simulated": record, "provenance": sealed.provenance(described, files.named())}
    z = draw(reference, config.n * f, config.noise, config.replicates, config.seed, device=where, progress=progress)
    keys = reference.variants.select("chrom", "position", "variant_id", "effect_allele", "other_allele", "eaf")
    table = keys.with_columns(f=pl.Series(f))
    stats = SumStats(table=_sumstats_table(keys, z, config.n), trait=trait, metadata=metadata)
    with sealed.atomic_path(out) as partial:
        partial.mkdir()
        sealed.write_table(table, partial / TRUTH, kind=PREDICTION_KIND, metadata=metadata)
        stats.write(partial / REPLICATES)
        if write_each:
            _write_each(stats, partial / EACH)
        sealed_folder.seal_directory(partial)
    return Simulation(folder=Path(out), truth=table, record=record)


def draw(
    panel: LDPanel,
    F: Float[ndarray, " variant"],
    sigma2: float,
    replicates: int,
    seed: int,
    *,
    device: torch.device = CPU,
    progress: Progress = silent,
) -> Float[ndarray, "variant replicate"]:
    """Associations of all core variants, float64; a column depends on the seed and its number only.

    Args:
        panel: whose LD the associations have.
        F: N f of its variants.
        sigma2: variance of the noise.
        replicates: how many columns.
        seed: of effects and noise, which are drawn on the CPU.
        device: of the products, in float64.
        progress: told about each window.
    """
    effects = np.empty((F.size, replicates))
    for number in range(replicates):
        effects[:, number] = np.sqrt(F) * np.random.default_rng([seed, EFFECTS, number]).standard_normal(F.size)
    z = np.full((F.size, replicates), np.nan)
    for index in range(len(panel.cores)):
        window = panel.window(index)
        rank = window.factors.lam.size
        noise = np.empty((rank, replicates))
        for number in range(replicates):
            noise[:, number] = np.random.default_rng([seed, NOISE, number, index]).standard_normal(rank)
        B, half, beta, e = (
            torch.from_numpy(each).to(device, torch.float64)
            for each in (
                window.factors.B,
                window.factors.V * np.sqrt(window.factors.lam),
                effects[window.panel_rows],
                noise,
            )
        )
        z[window.core_rows] = (half @ (B @ beta + math.sqrt(sigma2) * e)).cpu().numpy()
        progress(index + 1, len(panel.cores), "windows simulated")
    return z


def _log_truth(
    reference: LDPanel, inputs: PriorInputs, truth: TruthConfig | PathLike | Run | None, device: torch.device
) -> tuple[Float[ndarray, " variant"], Float[ndarray, "variant feature"] | None, dict[str, Any]]:
    """Log f up to a constant, the features that a linear model of it would have, and what it is in words of JSON."""
    if truth is not None and not isinstance(truth, TruthConfig):
        if inputs.annotations is not None or inputs.tracks is not None:
            raise ConfigError("a run as the truth brings its own inputs: leave out --annotations and --tracks.")
        return _log_f_of_run(truth, reference, device), None, {"run": str(folder_of(truth))}
    config = truth or TruthConfig()
    config = replace(config, kind=config.kind or ("mlp" if inputs.tracks is None else "enformer"))
    by_base = config.kind in ("enformer", "filter")
    if by_base and (inputs.tracks is None or inputs.annotations is not None):
        raise ConfigError(f"a random {config.kind} reads tracks, and no annotations: give it `tracks` alone.")
    variants = panel_variants(reference, [])
    averages = tracks_for_fit(inputs.tracks, inputs.chain, kind="mlp", window=config.window)
    given = inputs.read_annotations()
    channels = raw_features(variants, given, averages)
    features = Standardiser.of([channels]).features(channels).rows(slice(None))
    if by_base:
        assert averages is not None
        signals = PanelTracks(averages.store, reference.variants, width=config.window, chain=averages.chain)
        score = track_score(reference, signals, config, device=device)
    else:
        score = random_score(features, config)
    log_f = log_variances(score, heterozygosity(variants), config)
    return (
        log_f,
        features,
        {"network": {**asdict(config), "hidden": list(config.hidden)}, "channels": list(channels.names)},
    )


def _log_f_of_run(run: PathLike | Run, reference: LDPanel, device: torch.device) -> Float[ndarray, " variant"]:
    """Log f of the panel's variants under a run of one trait."""
    table = predict(run, panel=reference.path, device=str(device))
    if "f" not in table.columns:
        raise ConfigError(f"`{folder_of(run)}` is a run of several traits: a simulation needs one of them alone.")
    f = table["f"].to_numpy()
    if not (f > 0).all():
        raise ConfigError(f"`{folder_of(run)}` gives {int((f <= 0).sum())} of {f.size} variants no variance at all.")
    return np.asarray(np.log(f))


def _sumstats_table(keys: pl.DataFrame, z: Float[ndarray, "variant replicate"], n: float) -> pl.DataFrame:
    columns = [pl.Series(name, z[:, i + 1]) for i, name in enumerate(replicate_names(z.shape[1]))]
    table = keys.with_columns(
        z=pl.Series(z[:, 0]), n=pl.lit(n, pl.Float64), info=pl.lit(None, pl.Float64)
    ).with_columns(columns)
    return table.select(*SCHEMA, *(column.name for column in columns)).filter(pl.col("z").is_finite())


def _write_each(stats: SumStats, folder: Path) -> None:
    """A text file a replicate, with the columns that LDSC, PolyFun and `varfx sumstats clean` know."""
    folder.mkdir()
    names = ["z", *replicate_names(stats.replicates)]
    keys = [identifier().alias("SNP"), pl.col("chrom").alias("CHR"), pl.col("position").alias("BP")]
    alleles = [pl.col(old).alias(new) for old, new in (("effect_allele", "A1"), ("other_allele", "A2"), ("eaf", "FRQ"))]
    for number, name in enumerate(names, start=1):
        text = stats.table.select(*keys, *alleles, pl.col(name).alias("Z"), pl.col("n").alias("N")).write_csv(
            separator="\t"
        )
        path = folder / f"{number}.tsv.gz"
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
