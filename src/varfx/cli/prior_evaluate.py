"""`varfx prior evaluate`: held-out scores of a run, or of anybody's per-variant variances."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from varfx.cli.console import console, print_notes, progress_bar
from varfx.cli.options import as_options
from varfx.cli.prior_options import Computing, Inputs
from varfx.cli.prior_truth import print_truth
from varfx.errors import ConfigError
from varfx.prior.files import PriorInputs
from varfx.prior.run_options import Float64Device, ForeignPrior, ScoredWindows, Yardsticks

if TYPE_CHECKING:
    from varfx.prior.evaluate import Evaluation

Foreign = Annotated[ForeignPrior, as_options(ForeignPrior)]
Scored = Annotated[ScoredWindows, as_options(ScoredWindows)]
Beside = Annotated[Yardsticks, as_options(Yardsticks, compare_with=Parameter(name=("--compare", "--compare-with")))]


def evaluate(
    run: Path | None = None,
    /,
    *,
    foreign: Foreign = ForeignPrior(),
    inputs: Inputs = PriorInputs(),
    scored: Scored = ScoredWindows(),
    beside: Beside = Yardsticks(),
    plot: Path | None = None,
    computing: Computing = Float64Device(),
    json: Path | None = None,
) -> None:
    """Score a prior on held-out windows.

    The gain is the log-likelihood of held-out associations under the prior, minus that of no heritability at all (sigma2
    refitted), in nats, with a 95 % interval over windows. Beside it stands the gain of the constant prior, and the paired difference: what
    annotations add. `--snpvar` scores anybody's per-variant variances the same way. All inputs are by default the run's own, and
    must then be those of the fit.

        varfx prior evaluate RUN --compare RUN2 --json OUT.json
        varfx prior evaluate --snpvar FILE --like RUN --sigma2 fit
        varfx prior evaluate --snpvar FILE --sigma2 1.0 --panel P.ld.zarr --sumstats S.parquet --chrom 20,21,22

    Args:
        run: A run of `varfx prior fit`.
        plot: Draw the comparison with --truth to this PNG.
        json: Write all numbers to this file.
    """
    from varfx.io import sealed
    from varfx.io.run_folder import check_parent
    from varfx.prior import evaluate as evaluate_run
    from varfx.prior import evaluate_variances

    if json is not None:
        check_parent(json)
    _check(run, foreign, inputs, beside, plot)
    with progress_bar() as progress:
        common: dict[str, Any] = {**vars(scored), **vars(computing), "inputs": inputs, "progress": progress}
        if run is not None:
            result = evaluate_run(run, **vars(beside), **common)
        else:
            assert foreign.snpvar is not None
            result = evaluate_variances(foreign.snpvar, like=foreign.like, sigma2=foreign.sigma2, **common)
    if json is not None:
        sealed.write_json(json, result.to_dict())
    _show(result)
    if beside.truth is not None:
        print_truth(result.traits, plot)
    print_notes(result.notes)


def _check(run: Path | None, foreign: ForeignPrior, inputs: PriorInputs, beside: Yardsticks, plot: Path | None) -> None:
    """Refuses options that do not belong together.

    Raises:
        ConfigError: with the options.
    """
    if (run is None) == (foreign.snpvar is None):
        raise ConfigError("give either a RUN or --snpvar FILE, one of the two.")
    if plot is not None and beside.truth is None:
        raise ConfigError("`plot` draws the comparison with a truth: give --truth too.")
    if run is not None:
        if foreign.like is not None or foreign.sigma2 is not None:
            raise ConfigError("`--like` and `--sigma2` belong to --snpvar FILE.")
        return
    without_place = foreign.like is None and (inputs.panel is None or not inputs.sumstats)
    others = (beside.compare_with, beside.truth, inputs.annotations, inputs.tracks, inputs.chain)
    if without_place or len(inputs.sumstats) > 1 or any(others):
        raise ConfigError(
            "`--snpvar` needs --like RUN, or --panel and one --sumstats, and takes no --compare, --truth, --annot, --tracks or "
            "--chain."
        )


def _show(result: Evaluation) -> None:
    console.print(_gain_table(result.traits))
    console.print(_difference_table(result.traits))
    for trait in result.traits:
        if "mixture" in trait:
            bound = trait["mixture"]
            console.print(
                f"{trait['name']}: with sparse effects the log density is higher than with normal ones of the same f by at least "
                f"{bound['difference']:.2f} nats ({interval(bound['difference_ci95'])})",
                soft_wrap=True,
                markup=False,
            )


def _gain_table(traits: list[dict[str, Any]]) -> Table:
    """Each trait's gain."""
    table = Table("trait", "windows", "variants", "rank", "log p", "gain (nats)", "95 % interval", "sigma2")
    for trait in traits:
        table.add_row(
            trait["name"], str(trait["n_windows"]), f"{trait['n_variants']:,}", f"{trait['rank']:,}", f"{trait['log_p']:.2f}",
            f"{trait['gain']:.2f}", interval(trait["gain_ci95"]), f"{trait['sigma2']:.3f}",
        )  # fmt: skip
    return table


def _difference_table(traits: list[dict[str, Any]]) -> Table:
    """Gain of each trait's prior over the constant prior and over the prior it is compared with."""
    table = Table("trait", "compared with", "its gain", "difference", "95 % interval")
    for trait in traits:
        constant = trait["constant"]
        table.add_row(
            trait["name"], "constant prior", f"{constant['gain']:.2f}", f"{constant['difference']:.2f}",
            interval(constant["difference_ci95"]),
        )  # fmt: skip
        if "difference" in trait:
            gain = f"{trait['gain'] - trait['difference']:.2f}"
            table.add_row(
                trait["name"],
                trait["compared_with"],
                gain,
                f"{trait['difference']:.2f}",
                interval(trait["difference_ci95"]),
            )
    return table


def interval(bounds: list[float] | None) -> str:
    """An interval for the screen."""
    return "(one window)" if bounds is None else f"{bounds[0]:.2f} to {bounds[1]:.2f}"
