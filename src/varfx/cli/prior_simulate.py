"""`varfx prior simulate`: summary statistics from a known prior on real LD."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from varfx.cli.console import Widths, console, progress_bar
from varfx.errors import ConfigError


def simulate(
    *,
    panel: Path,
    out: Annotated[Path, Parameter(alias="-o")],
    annot: Path | None = None,
    tracks: Path | None = None,
    chain: Path | None = None,
    truth_run: Path | None = None,
    truth: Literal["mlp", "linear", "enformer", "filter"] | None = None,
    hidden: Widths = (64, 64),
    gain: float = 2.0,
    window: int = 256,
    width: int = 384,
    depth: int = 2,
    link: Literal["exp", "softplus"] = "exp",
    spread: float = 1.0,
    alpha: float = 0.0,
    truth_seed: int = 0,
    mean_signal: float | None = None,
    h2: float | None = None,
    n: float = 407_527,
    sigma2: float | None = None,
    replicates: int = 1,
    seed: int = 0,
    trait: str = "simulated",
    write_each: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Simulate summary statistics on a panel's LD, from a random network or a fitted run.

    Effects and noise are drawn anew for every replicate; `varfx prior fit` takes all replicates as one trait, and
    `varfx prior evaluate RUN --truth OUT/truth.parquet` compares a fit with the f behind them.

        varfx prior simulate --panel P.ld.zarr --annot A.annot.parquet --replicates 100 --out SIM
        varfx prior simulate --panel P.ld.zarr --truth-run RUN --h2 0.5 --out SIM

    Args:
        panel: The LD panel; its LD is taken for that of the simulated GWAS.
        out: The folder to write: truth.parquet (f of each variant) and replicates.sumstats.parquet.
        annot: Features of the random network; by default frequency, minor-allele frequency and LD score.
        tracks: Signals along the genome that a random network reads: base by base by enformer, averaged by the others.
        chain: UCSC chain file from the panel's genome build to the tracks', where they differ.
        truth_run: Take the f of this run for true, up to its scale, instead of a random network.
        truth: The random network: mlp, linear, or over --tracks base by base enformer, or filter (a weighted sum of bases whose
            window average says nothing); by default enformer with tracks, else mlp.
        hidden: Widths of the perceptron's hidden layers.
        gain: Factor of the perceptron's random weights; the larger, the more the function bends.
        window: Bases around each variant that are read from the tracks.
        width: Enformer's channels.
        depth: Its transformer layers.
        link: From the network's score to the variance.
        spread: Standard deviation of the score over the panel: with exp that of log f.
        alpha: Exponent of p (1 - p).
        truth_seed: Of the random network.
        mean_signal: Mean of N f; by default 0.017 (the paper's) where no --h2 is given.
        h2: Instead: the sum of f over the panel's variants.
        n: Sample size N.
        sigma2: Variance of the noise; by default 1 - h2 where --h2 is given, else 0.5.
        replicates: Independent draws of effects and noise.
        seed: Of effects and noise.
        trait: Its name.
        write_each: Also write each/1.tsv.gz, ...: one replicate each, for other programs.
    """
    from varfx.prior.simulation.config import SimulateConfig, TruthConfig
    from varfx.prior.simulation.simulate import TrackTruth
    from varfx.prior.simulation.simulate import simulate as simulate_prior

    if truth_run is not None and (truth is not None or annot is not None or tracks is not None):
        raise ConfigError("`truth-run` brings its own network and inputs: leave out --truth, --annot and --tracks.")
    kind = truth or ("mlp" if tracks is None else "enformer")
    network = TruthConfig(
        kind=kind, hidden=hidden, gain=gain, link=link, spread=spread, alpha=alpha, seed=truth_seed,
        window=window, width=width, depth=depth,
    )  # fmt: skip
    config = SimulateConfig(mean_signal=mean_signal, h2=h2, n=n, sigma2=sigma2, replicates=replicates, seed=seed)
    with progress_bar() as progress:
        made = simulate_prior(
            panel,
            out,
            annotations=annot,
            tracks=None if tracks is None else TrackTruth(tracks, chain),
            truth=network if truth_run is None else truth_run,
            config=config,
            trait=trait,
            write_each=write_each,
            progress=progress,
        )
    record = made.record
    linear = "" if record["linear_r2"] is None else f", of log f a linear function explains {record['linear_r2']:.0%}"
    console.print(
        f"{out}: {made.truth.height:,} variants, {replicates} replicates; mean N f {record['mean_signal']:.4g}, h2 "
        f"{record['h2']:.4g}, sigma2 {record['sigma2']:g}{linear}",
        soft_wrap=True,
    )
