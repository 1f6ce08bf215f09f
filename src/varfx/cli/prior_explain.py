"""`varfx prior explain`: what a fitted prior looks at, and what that is worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from varfx.cli.console import console, print_notes, progress_bar
from varfx.cli.options import Names, as_options
from varfx.cli.prior_options import Computing, Inputs
from varfx.io.output_lock import one_writer
from varfx.models.config import AttributionConfig
from varfx.prior.explain.config import ExplainConfig
from varfx.prior.files import PriorInputs
from varfx.prior.run_options import Float64Device

if TYPE_CHECKING:
    from varfx.prior.explain.explain import Explanation

Explaining = Annotated[ExplainConfig, as_options(ExplainConfig)]
Integration = Annotated[AttributionConfig, as_options(AttributionConfig)]
ROWS = 20  # of a table on the screen


@one_writer
def explain(
    run: Path,
    /,
    *,
    out: Annotated[Path, Parameter(alias="-o")],
    groups: str = "each",
    variants: Path | None = None,
    trait: str | None = None,
    config: Explaining = ExplainConfig(),
    integration: Integration = AttributionConfig(),
    chrom: Names = (),
    exclude_chrom: Names = (),
    inputs: Inputs = PriorInputs(),
    computing: Computing = Float64Device(),
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Say which channels and positions a prior looks at, and how many nats each group of channels is worth.

    On the held-out windows: contributions of channels and bases to log f of some variants (integrated gradients), and the
    held-out likelihood that is lost when a group's channels are permuted between variants. Tables and pictures. All inputs are by
    default the run's own, and must then be those of the fit.

        varfx prior explain RUN --out WHY
        varfx prior explain RUN --out WHY --groups groups.yaml --top 200 --scope all

    Args:
        run: A run of `varfx prior fit`.
        out: The folder to write.
        groups: What is permuted together: each (channel), prefix (names up to the first of . _ : / -), or a YAML file with
            `group: [channel, pattern*]`.
        variants: Explain the variants that this text file names, one a line: rsID, chrom:position or chrom:position:A:B.
        trait: Whose f is explained; by default the first. Importance is that of all traits.
        chrom: Chromosomes to look at instead of the held-out windows.
        exclude_chrom: Chromosomes to leave out.
        overwrite: Replace a finished explanation.
    """
    from varfx.io import sealed
    from varfx.prior.explain.explain import explain as explain_run
    from varfx.prior.explain.explain import explanation_folder, write_explanation

    folder = explanation_folder(out)
    folder.check(resume=True, overwrite=overwrite)  # all is written at the end: what a kill left then is made anew
    with progress_bar() as progress:
        found = explain_run(
            run,
            variants=variants,
            trait=trait,
            groups=groups,
            inputs=inputs,
            chrom=chrom,
            exclude_chrom=exclude_chrom,
            config=config,
            integration=integration,
            device=computing.device,
            progress=progress,
        )
    folder.begin({"config": found.config, "inputs": {"run": sealed.sha256(run / sealed.MANIFEST)}}, overwrite=True)
    write_explanation(found, folder.result, run=run)
    pictures = _draw(found, folder.result)
    folder.finish()
    _show(found, out, pictures)


def _draw(found: Explanation, folder: Path) -> list[str]:
    """Writes the pictures, and returns their names."""
    from varfx import report
    from varfx.report.attribution import channel_bars, channel_profile, importance_bars, variant_view

    tables = found.attributions
    figures = {"channels.png": channel_bars(tables.channels)}
    if tables.profile.height:
        figures["profile.png"] = channel_profile(tables.profile)
    if found.importance:
        figures["importance.png"] = importance_bars(found.importance, trait=found.trait)
    figures["variants.png"] = variant_view(tables.variants, tables.bases, count=max(1, found.config["detail"]))
    report.save_all(figures, folder)
    return list(figures)


def _show(found: Explanation, out: Path, pictures: list[str]) -> None:
    from varfx.prior.explain.explain import importance_table

    channels = found.attributions.channels
    table = Table("channel", title=f"contributions to log f of {found.trait}", title_justify="left")
    table.add_column("mean size", justify="right")
    table.add_column("mean", justify="right")
    for row in channels.head(ROWS).iter_rows(named=True):
        table.add_row(row["channel"], f"{row['mean_abs']:.4f}", f"{row['mean']:+.4f}")
    console.print(table)
    if found.importance:
        table = Table("trait", "group", title="held-out nats lost when permuted", title_justify="left")
        for heading in ("importance", "95 % interval"):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in importance_table(found.importance).head(ROWS).iter_rows(named=True):
            bounds = "(one window)" if row["low"] is None else f"{row['low']:.2f} to {row['high']:.2f}"
            table.add_row(row["trait"], row["group"], f"{row['importance']:.2f}", bounds)
        console.print(table)
    print_notes(found.notes)
    console.print(
        f"{out}: {found.attributions.variants.height:,} variants explained; tables, and {', '.join(pictures)}",
        soft_wrap=True,
    )
