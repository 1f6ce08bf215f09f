"""`varfx expr evaluate`: all models of some runs on held-out individuals and genes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from varfx.cli.console import console, print_ledger, print_notes, progress_bar
from varfx.cli.options import Paths, Where, as_options
from varfx.errors import ConfigError
from varfx.expression.evaluation_config import EvaluationConfig
from varfx.expression.transfer.config import TransferConfig
from varfx.io.workers import Workers

Options = Annotated[EvaluationConfig, as_options(EvaluationConfig, num_samples=Parameter(alias="--samples"))]
Transfer = Annotated[TransferConfig, as_options(TransferConfig, group="Another cohort")]


def evaluate(
    runs: Paths,
    /,
    *,
    json: Path | None = None,
    tsv: Path | None = None,
    figures: Path | None = None,
    against: str | None = None,
    cohort: Path | None = None,
    home: Path | None = None,
    config: Options = EvaluationConfig(),
    transfer: Transfer = TransferConfig(),
    where: Where = Workers(),
) -> None:
    """Score all models of some runs on one cohort's test individuals, or on another cohort.

    Correlation and R2 over individuals, per gene and fold, and their means: on training genes and held-out individuals (hop),
    and on genes that a network never saw (hogp). Intervals come from resampling individuals for a gene, and genes for a mean.

        varfx expr evaluate RUN --json scores.json
        varfx expr evaluate BASELINES NETWORK --tsv scores.tsv --figures figures
        varfx expr evaluate RUN --cohort OTHER --json elsewhere.json

    Args:
        runs: Runs of `varfx expr baseline` and `varfx expr fit`, all on the same cohort.
        json: Write all numbers to this file.
        tsv: Write a row per gene, model and fold to this file.
        figures: Write pictures into this folder: models against each other, their means, and means by class of heritability.
        against: The model that the others are compared with on the screen; by default elastic-net, or the first.
        cohort: Where the runs' cohort lies, if it moved; or another cohort to judge them in, without the individuals of their own.
        home: Where the runs' own cohort lies, if it moved and --cohort is another.
    """
    from varfx.expression.evaluate import evaluate as evaluate_runs
    from varfx.io import sealed
    from varfx.io.run_folder import check_file, check_folder, check_text

    if home is not None and cohort is None:
        raise ConfigError(
            "`--home` belongs to --cohort OTHER. Where the runs' own cohort moved, --cohort says so alone."
        )
    if tsv is not None:
        check_text(tsv)
    if json is not None:
        check_file(json)
    if figures is not None:
        check_folder(figures)
    with progress_bar() as progress:
        result = evaluate_runs(
            runs, config, cohort=cohort, home=home, transfer=transfer, **vars(where), progress=progress
        )
    names = list(dict.fromkeys(entry["model"] for entry in result.models))
    against = against or ("elastic-net" if "elastic-net" in names else names[0])
    if against not in names:
        raise ConfigError(f"`against` must be one of {', '.join(names)}, got {against!r}.")
    if json is not None:
        sealed.write_json(json, result.to_dict())
    if tsv is not None:
        with sealed.atomic_path(tsv) as partial:
            result.table().write_csv(partial, separator="\t")
    if figures is not None:
        from varfx.report.expression import draw_evaluation

        console.print(
            f"{figures}: {', '.join(draw_evaluation(result.to_dict(), figures, against=against))}", soft_wrap=True
        )
    console.print(_means_table(result.models, result.differences, against))
    _print_heritability(result.heritability)
    for run, ledger in zip(result.runs, result.matching, strict=False):
        print_ledger(ledger, f"{run}: ")
    print_notes(result.notes)


def _means_table(models: list[dict[str, Any]], differences: list[dict[str, Any]], against: str) -> Table:
    table = Table("genes", "split", "model", "n", "mean PCC", "95 % interval", "mean R2", "95 % interval", "constant")
    table.add_column(f"R2 minus {against}")
    table.add_column("95 % interval")
    for entry in models:
        table.add_row(
            entry["gene_set"],
            entry["split"],
            entry["model"],
            str(entry["genes"]),
            _number(entry["mean_pcc"]),
            _interval(entry["mean_pcc_ci95"]),
            _number(entry["mean_r2"]),
            _interval(entry["mean_r2_ci95"]),
            str(entry["constant"]),
            *_difference(entry, differences, against),
        )
    return table


def _difference(entry: dict[str, Any], differences: list[dict[str, Any]], against: str) -> tuple[str, str]:
    """R2 of a model minus that of `against` on the same genes, and its interval."""
    mine = (entry["model"], entry["split"])
    for each in differences:
        first, second = (each["first"], each["first_split"]), (each["second"], each["second_split"])
        if each["gene_set"] == entry["gene_set"] and mine in (first, second) and mine[0] != against:
            other = second if mine == first else first
            if other[0] == against and each["r2"] is not None:
                sign = 1 if mine == first else -1
                bounds = each["r2_ci95"]
                return f"{sign * each['r2']:+.3f}", _interval(bounds and sorted(sign * bound for bound in bounds), "+")
    return "", ""


def _print_heritability(records: list[dict[str, Any]]) -> None:
    known = [record for record in records if record["h2"] is not None]
    if known:
        mean = sum(record["h2"] for record in known) / len(known)
        significant = sum(record["p"] < 0.05 for record in known)
        console.print(
            f"cis-heritability by REML in all individuals: mean {mean:.3f} over {len(known)} genes, {significant} with p < 0.05",
            soft_wrap=True,
        )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _interval(bounds: list[float] | None, sign: str = "") -> str:
    return "" if bounds is None else f"{bounds[0]:{sign}.3f} to {bounds[1]:{sign}.3f}"
