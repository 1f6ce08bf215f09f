"""`varfx prior rg`: genetic correlation of two traits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table

from varfx.cli.console import console, print_notes, progress_bar
from varfx.cli.feature_inputs import FeatureInputs, OtherFeatures
from varfx.cli.options import as_options
from varfx.errors import ConfigError
from varfx.prior.correlation.config import CorrelationConfig, PairChoice

if TYPE_CHECKING:
    from varfx.prior.correlation.estimate import Correlation, GeneticCorrelation

Correlating = Annotated[CorrelationConfig, as_options(CorrelationConfig, group="Estimation")]
Pair = Annotated[PairChoice, as_options(PairChoice)]


def rg(
    run1: Path,
    run2: Path,
    /,
    *,
    json: Path | None = None,
    out: Path | None = None,
    annot: Path | None = None,
    pair: Pair = PairChoice(),
    config: Correlating = CorrelationConfig(),
    inputs: FeatureInputs = OtherFeatures(),
) -> None:
    """Estimate the genetic correlation of the traits of two runs, with shared individuals allowed.

    Both runs' associations are taken on one panel, at the variants that both have. Two traits of one run are compared by naming it
    twice, with --trait1 and --trait2.

        varfx prior rg RUN1 RUN2 --json RG.json
        varfx prior rg RUN1 RUN2 --annot A.annot.parquet --json RG.json

    Args:
        run1: A run of `varfx prior fit`.
        run2: Another one, on the same panel.
        json: File to write all numbers to.
        out: File to write ldsc's table to.
        annot: 0/1 annotations (`varfx annot build`) whose own correlation is asked.
    """
    from varfx.annotations.file import open_annotations
    from varfx.io import sealed
    from varfx.io.run_folder import check_parent, check_text
    from varfx.prior.correlation import correlation_table, genetic_correlation, paired
    from varfx.prior.heritability import source_of_run

    if out is not None:
        check_text(out)
    if json is not None:
        check_parent(json)
    if inputs.sumstats or inputs.annotations or inputs.tracks:
        raise ConfigError("`rg` takes each run's own --sumstats, --features and --tracks.")
    first, second = (
        source_of_run(
            run,
            inputs=inputs,
            trait=trait,
            windows=config.windows,
            exclude_chrom=pair.exclude_chrom,
            device=config.device,
        )
        for run, trait in ((run1, pair.trait1), (run2, pair.trait2))
    )
    with progress_bar() as progress:
        found = genetic_correlation(
            paired(first, second),
            None if annot is None else open_annotations(annot),
            config,
            annotations_name=str(annot),
            progress=progress,
        )
    if json is not None:
        used = {
            f"{name}.{number}": path for number, each in ((1, first), (2, second)) for name, path in each.inputs.items()
        }
        provenance = sealed.provenance({"windows": config.windows, "se": config.se, "blocks": config.blocks}, used)
        sealed.write_json(json, {**found.to_dict(), "provenance": provenance})
    if out is not None:
        sealed.write_text(out, correlation_table(found))
    _show(found)


def _show(found: GeneticCorrelation) -> None:
    """Prints the correlations, and what the model says of each trait."""
    table = Table("variants", "rg (se)", "95 % interval", "z", "p")
    for each in (found.whole, *found.annotations):
        table.add_row(*_row(each))
    console.print(table)
    for number, (name, h2, sigma2) in enumerate(
        zip((found.record["p1"], found.record["p2"]), found.h2, found.intercepts, strict=True), start=1
    ):
        console.print(f"trait {number}, {name}: h2 {_pair(*h2)}, sigma2 {_pair(*sigma2)}", soft_wrap=True, markup=False)
    console.print(f"residual covariance (shared individuals): {_pair(*found.gcov_intercept)}", soft_wrap=True)
    print_notes(dict.fromkeys(found.notes))


def _row(each: Correlation) -> tuple[str, ...]:
    bounds = "NA" if each.ci95 is None else f"{each.ci95[0]:.3f} to {each.ci95[1]:.3f}"
    z, p = ("NA" if value is None else f"{value:.3g}" for value in (each.z, each.p))
    return each.name, _pair(each.rg, each.se), bounds, z, p


def _pair(value: float, se: float | None) -> str:
    return f"{value:.4f} ({'NA' if se is None else f'{se:.4f}'})"
