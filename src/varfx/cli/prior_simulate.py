"""`varfx prior simulate`: summary statistics from a known prior on real LD."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from varfx.cli.console import console, progress_bar
from varfx.cli.options import Out, Switch, as_options
from varfx.cli.prior_options import ANNOTATIONS
from varfx.errors import ConfigError
from varfx.prior.files import PriorInputs
from varfx.prior.simulation.config import SimulateConfig, TruthConfig


@dataclass(frozen=True, kw_only=True)
class SimulateInputs:
    """The files of a simulation."""

    panel: Path
    """LD panel (`varfx ld build`); its LD is taken for that of the simulated GWAS."""
    annotations: Path | None = None
    """Annotations (`varfx annot build`): features of the random network; by default minor-allele frequency and LD score."""
    tracks: Path | None = None
    """Signals along the genome (`varfx tracks build`): read base by base by enformer and filter, averaged by the others."""
    chain: Path | None = None
    """UCSC chain file from the panel's genome build to the tracks', where they differ."""


SimulateFiles = Annotated[SimulateInputs, as_options(SimulateInputs, group="Inputs", annotations=ANNOTATIONS)]
Truth = Annotated[
    TruthConfig,
    as_options(
        TruthConfig, group="Truth", kind=Parameter(name=("--truth", "--kind")), seed=Parameter(name="--truth-seed")
    ),
]
Simulating = Annotated[SimulateConfig, as_options(SimulateConfig, group="Signal and noise")]


def simulate(
    *,
    out: Out,
    inputs: SimulateFiles,
    truth_run: Path | None = None,
    network: Truth = TruthConfig(),
    config: Simulating = SimulateConfig(),
    trait: str = "simulated",
    write_each: Annotated[bool, Switch] = False,
    device: str = "auto",
) -> None:
    """Simulate summary statistics on a panel's LD, from a random network or a fitted run.

    Effects and noise are drawn anew for every replicate; `varfx prior fit` takes all replicates as one trait, and
    `varfx prior evaluate RUN --truth OUT/truth.parquet` compares a fit with the f behind them.

        varfx prior simulate --panel P.ld.zarr --annot A.annot.parquet --replicates 100 --out SIM
        varfx prior simulate --panel P.ld.zarr --truth-run RUN --h2 0.5 --out SIM

    Args:
        out: The folder to write: truth.parquet (f of each variant) and replicates.sumstats.parquet.
        truth_run: Take the f of this run for true, up to its scale, instead of a random network.
        trait: Name of the simulated trait.
        write_each: Also write each/1.tsv.gz, ...: one replicate each, for other programs.
        device: Where to compute: auto (a GPU if there is one, else the CPU), cpu, cuda or cuda:N. Numbers are computed in float64, for
            mps therefore on the CPU. What is random does not depend on it.
    """
    from varfx.prior.simulation.simulate import simulate

    if truth_run is not None and network != TruthConfig():
        raise ConfigError("`truth-run` brings its own network: leave out --truth and its options.")
    with progress_bar() as progress:
        made = simulate(
            PriorInputs(**asdict(inputs)),
            out,
            truth=network if truth_run is None else truth_run,
            config=config,
            trait=trait,
            write_each=write_each,
            device=device,
            progress=progress,
        )
    record = made.record
    linear = "" if record["linear_r2"] is None else f", of log f a linear function explains {record['linear_r2']:.0%}"
    console.print(
        f"{out}: {made.truth.height:,} variants, {config.replicates} replicates; mean N f {record['mean_signal']:.4g}, h2 "
        f"{record['h2']:.4g}, sigma2 {record['sigma2']:g}{linear}",
        soft_wrap=True,
    )
