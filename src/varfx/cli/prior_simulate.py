"""`varfx prior simulate`: summary statistics from a known prior on real LD."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from varfx.cli.console import console, progress_bar
from varfx.cli.options import Out, Switch
from varfx.cli.prior_options import SimulateFiles, Simulating, Truth
from varfx.errors import ConfigError
from varfx.prior.files import PriorInputs
from varfx.prior.simulation.config import SimulateConfig, TruthConfig


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
    from varfx.prior.simulation.simulate import simulate_inputs

    if truth_run is not None and network != TruthConfig():
        raise ConfigError("`truth-run` brings its own network: leave out --truth and its options.")
    with progress_bar() as progress:
        made = simulate_inputs(
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
