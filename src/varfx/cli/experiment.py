"""`varfx experiment`: an experiment written as YAML, from data to figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from varfx.cli.console import console, progress_bar

if TYPE_CHECKING:
    from varfx.prior.experiment import Outcome


def experiment(
    file: Path,
    /,
    *,
    out: Annotated[Path, Parameter(alias="-o")],
    workers: int | None = None,
    scheduler: str | None = None,
    device: str = "auto",
    resume: Annotated[bool, Parameter(negative=())] = False,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Run an experiment: prepare its data, fit every model, and write a figure, a table and all numbers.

    Paths in the YAML are relative to it, or start with $VARFX_DATA.

        varfx experiment examples/fig3.yaml --out FIG3
        varfx experiment examples/table1.yaml --out TABLE1 --workers 1

    Args:
        file: The experiment; see docs/experiments.md and examples/.
        out: The folder to write: figure.png, table.tsv, results.json, and every fit below cells/.
        workers: Fits at the same time; by default one per processor.
        scheduler: Address of a running dask.distributed scheduler, in place of --workers; its workers see the same files.
        device: Where all fits and evaluations compute: auto (a GPU if there is one, else the CPU), cpu, cuda, cuda:N or mps. By
            default as the YAML's `training` says.
        resume: Keep the fits that an earlier run has finished.
        overwrite: Remove an earlier experiment in the folder, with all its fits.
    """
    from varfx.prior.experiment import read_experiment, run_experiment
    from varfx.report.experiment import figure
    from varfx.report.style import save

    described = read_experiment(file)
    with progress_bar() as progress:
        outcome = run_experiment(
            described,
            out,
            workers=workers,
            scheduler=scheduler,
            device=device,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    picture = figure(outcome.results, outcome.summary, title=described.title, error=described.kind == "fig3")
    save(picture, out / "figure.png")
    _show(outcome)


def _show(outcome: Outcome) -> None:
    simulated = any(each["rmse_log_f"] is not None for each in outcome.results)
    compared = any("difference" in each for each in outcome.summary)
    table = Table(
        "model", "objective", "weights", *(["RMSE of log f", "each", "correlation"] if simulated else []), "gain (nats)"
    )
    for heading in ("95 % interval", *(["difference", "95 % interval"] if compared else []), "seconds"):
        table.add_column(heading)
    for entry in outcome.summary:
        row = [entry["model"], entry["objective"], f"{entry['num_weights']:,}"]
        if simulated:
            each = ", ".join("-" if value is None else f"{value:.2f}" for value in entry["by_trait"].values())
            row += [_number(entry["rmse_log_f"], 3), each, _number(entry["corr_log_f"], 3)]
        row += [_number(entry["gain"], 1), _bounds(entry["gain_ci95"])]
        if compared:
            row += [_number(entry["difference"], 1), _bounds(entry["difference_ci95"])]
        table.add_row(*row, f"{entry['seconds']:.0f}")
    console.print(table)
    known = {each["trait"]: each["linear_r2_of_truth"] for each in outcome.results}
    for trait, share in known.items():
        if share is not None:
            console.print(f"{trait}: a linear function explains {share:.0%} of log f", soft_wrap=True)
    console.print(f"{outcome.folder}: figure.png, table.tsv, results.json", soft_wrap=True)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _bounds(bounds: list[float] | None) -> str:
    return "-" if bounds is None else f"{bounds[0]:.1f} to {bounds[1]:.1f}"
