"""`varfx expr variants`: what a run's models say about each variant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.table import Table

from varfx.cli.console import console, progress_bar
from varfx.cli.options import Out, as_options, genes_option
from varfx.expression.variants.config import VariantConfig
from varfx.io.output_lock import one_writer

if TYPE_CHECKING:
    from varfx.expression.variants.score import VariantScores

Scoring = Annotated[VariantConfig, as_options(VariantConfig, genes=genes_option())]
SHOWN = 20  # genes on the screen
DRAWN = 20  # genes that get a picture


@one_writer
def variants(
    run: Path,
    /,
    *,
    out: Out,
    baseline: Path | None = None,
    config: Scoring = VariantConfig(),
    long: Path | None = None,
    json: Path | None = None,
    figures: Path | None = None,
    cohort: Path | None = None,
    workers: int = 1,
    scheduler: str | None = None,
) -> None:
    """Score the variants of the genes' windows: effects, high-scoring variants and drivers, as annotations.

    A network's effect of a variant is its prediction for the reference with ALT, minus that for the reference (in-silico
    mutagenesis, in float32 whatever the training precision); a linear model's is its weight. Drivers are chosen on tuning individuals
    and scored on test individuals. The file is one that `varfx prior fit --annot` takes: variants outside the windows
    have scored = 0 there, and no other value.

        varfx expr variants RUN --out V.annot.parquet
        varfx expr variants NETWORK --baseline BASELINES --long scores.parquet --figures figures --out V.annot.parquet

    Args:
        run: A run of `varfx expr fit` or `varfx expr baseline`.
        out: The file to make, by convention ending in .annot.parquet.
        baseline: A run with elastic nets on the same cohort: a gene's high-scoring variants are as many as its elastic net has.
        long: Write a row per gene and variant to this Parquet file.
        json: Write a record per gene to this file: how many drivers, and how well they stand for model and expression.
        figures: Write pictures into this folder: effects along the windows of the first 20 genes, and against the elastic net.
        cohort: Where the run's cohort lies, if it moved.
        workers: Processes, each with its own copy of the network.
        scheduler: Address of a running dask.distributed scheduler, in place of --workers; its workers see the same files.
    """
    from varfx.expression.variants.score import score_variants
    from varfx.expression.variants.table import LONG_KIND, as_annotations
    from varfx.io import sealed
    from varfx.io.run_folder import check_file, check_folder, check_parquet

    for path in filter(None, (out, long)):
        check_parquet(path)
    if json is not None:
        check_file(json)
    if figures is not None:
        check_folder(figures)
    with progress_bar() as progress:
        found = score_variants(
            run,
            config,
            baseline=baseline,
            cohort=cohort,
            workers=workers,
            scheduler=scheduler,
            folder=out.absolute().parent,
            progress=progress,
        )
    rule = config.rule
    options = {name: getattr(config, name) for name in ("fold", "rule", "gradients", "top", "float64")}
    options["model"] = found.model
    inputs = {"run": run} | ({} if baseline is None else {"baseline": baseline})
    provenance = sealed.provenance(options, inputs)
    annotations = as_annotations(
        found.table, found.variants, rule=rule, metadata={"provenance": provenance, "model": found.model}
    )
    annotations.write(out)
    if long is not None:
        sealed.write_table(found.table, long, kind=LONG_KIND, metadata={"provenance": provenance})
    if json is not None:
        sealed.write_json(json, {"model": found.model, "genes": found.genes, "provenance": provenance})
    pictures = _draw(found, figures, rule) if figures is not None else 0
    _show(found, rule)
    scored = int(annotations.table["scored"].sum())
    console.print(
        f"{out}: {annotations.table.height:,} variants, {scored:,} with a score of {found.model}, channels "
        f"{', '.join(annotations.channels)}",
        soft_wrap=True,
    )
    if pictures:
        console.print(f"{figures}: {pictures} pictures", soft_wrap=True)


def _draw(found: VariantScores, folder: Path, rule: str) -> int:
    """Writes the pictures, and says how many."""
    from varfx import report
    from varfx.io.file_names import as_file_name
    from varfx.report.variants import effects_against_elastic_net, effects_along_window

    folder.mkdir(exist_ok=True)
    drawn = {}
    for record in found.genes[:DRAWN]:
        rows = found.table.filter((found.table["gene_id"] == record["gene"]) & found.table["weight"].is_not_null())
        if rows.height:
            title = f"{record['name']}, {record['gene']}"
            drawn[f"{as_file_name(record['gene'])}.png"] = effects_along_window(rows, title=title, rule=rule)
    beside = found.table["elastic_net"].drop_nulls()
    if found.model != "elastic-net" and (beside != 0).any():
        drawn["against-elastic-net.png"] = effects_against_elastic_net(found.table)
    report.save_all(drawn, folder)
    return len(drawn)


def _show(found: VariantScores, rule: str) -> None:
    """Prints a line per gene."""
    listing = Table(title=f"{found.model}: drivers by the rule of {rule}; r and R2 of their sum on test individuals")
    for heading in ("gene", "name"):
        listing.add_column(heading)
    for heading in ("variants", "high-scoring", "drivers", "r", "R2 of prediction", "r", "R2 of expression"):
        listing.add_column(heading, justify="right")
    for record in found.genes[:SHOWN]:
        drivers = "-" if record["drivers"] is None else str(record["drivers"][rule])
        numbers = (
            _number(record.get(f"drivers_{score}_{name}_test"))
            for name in ("prediction", "expression")
            for score in ("r", "r2")
        )
        counts = (f"{record[name]:,}" for name in ("variants", "high_scoring"))
        listing.add_row(record["gene"], record["name"], *counts, drivers, *numbers)
    console.print(listing)
    if len(found.genes) > SHOWN:
        console.print(f"... and {len(found.genes) - SHOWN} more genes")


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.3f}"
