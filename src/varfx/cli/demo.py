"""`varfx demo`: the main jobs on real, small data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table

from varfx.cli.console import console, print_files, progress_bar
from varfx.cli.options import Out, as_options
from varfx.demos.options import DemoOptions
from varfx.io.output_lock import one_writer

if TYPE_CHECKING:
    from varfx.demos.prior import Demo
    from varfx.prior.heritability.quantities import Estimate

Options = Annotated[DemoOptions, as_options(DemoOptions)]
DEFAULT_OUT = Path("demo-output")
PICTURES = {
    "training.png": "log p at each check of the training",
    "manhattan.png": "|z| of the GWAS, and the learned prior variance f",
    "gain_by_window.png": "gain of each model, by held-out window",
    "gain.png": "total gain of each model with its interval",
}


@one_writer
def prior(
    *,
    out: Out = DEFAULT_OUT,
    data: Path | None = None,
    options: Options = DemoOptions(),
) -> None:
    """Fit and evaluate priors on a real GWAS of height, chromosome 22.

    Fetches 378 European genomes of the 1000 Genomes Project and UK Biobank's associations with height (7 MB, once; kept in
    ~/.cache/varfx, or VARFX_CACHE), fits three priors, scores them on held-out windows, estimates heritability and enrichment, checks
    the GWAS against the LD, finds credible sets, scores the genomes, and writes a report. About two minutes on two processors.

        varfx demo prior
        varfx demo prior --out height --data annotations/

    Args:
        out: The folder to write to.
        data: A folder with BED files (hg19) to use as annotations, or with a folder `annotations` of them; by default the
            environment's VARFX_DATA, if set. Without, the annotations are frequency and LD score.
    """
    from varfx.demos.download import fetch_demo_data
    from varfx.demos.prior import beds_in, run_demo

    folder = data or _environment_folder()
    beds = [] if folder is None else beds_in(folder)
    source = fetch_demo_data(archive=options.archive)
    with progress_bar() as progress:
        demo = run_demo(
            source,
            out,
            beds=beds,
            gtf=_genes_in(folder),
            workers=options.workers,
            seed=options.seed,
            progress=progress,
        )
    _draw(demo)
    _show(demo)


def _environment_folder() -> Path | None:
    """`VARFX_DATA` where it holds annotations; unlike --data it may serve other purposes and have none."""
    path = Path(os.environ.get("VARFX_DATA", ""))
    return path if os.environ.get("VARFX_DATA") and (path / "annotations").is_dir() else None


def _genes_in(folder: Path | None) -> Path | None:
    """A GTF file in the folder `genes` of a folder of data, if there is one."""
    found = [] if folder is None else sorted((folder / "genes").glob("*.gtf*"))
    return found[0] if found else None


def _draw(demo: Demo) -> None:
    """Writes the pictures named in `PICTURES`."""
    from varfx import report

    evaluations = {kind: evaluation.to_dict() for kind, evaluation in demo.evaluations.items()}
    traits = {kind: evaluation["traits"][0] for kind, evaluation in evaluations.items()}
    figures = (
        report.training_curve({kind: run.path for kind, run in demo.runs.items()}),
        report.manhattan(demo.stats.table, demo.prior, trait="height (UK Biobank)", held_out=demo.held_out),
        report.gain_by_window(evaluations),
        report.gain_table(
            [(kind, trait["gain"], trait["gain_ci95"]) for kind, trait in traits.items()],
            title=f"Gain over no heritability, {traits['constant']['n_windows']} held-out windows",
            xlabel="nats (95 % interval over windows)",
        ),
    )
    report.save_all(dict(zip(PICTURES, figures, strict=True)), demo.folder)


def _show(demo: Demo) -> None:
    panel, split = demo.panel, demo.runs["constant"].record["split"]
    console.print(
        f"height, chromosome 22: {panel.variants.height:,} variants, {panel.num_people} individuals, {len(demo.channels)} channels; "
        f"windows: {len(split['train'])} training, {len(split['validation'])} validation, {len(split['holdout'])} held out, "
        f"{len(split['gap'])} in gaps",
        soft_wrap=True,
    )
    table = Table("model", title="held-out gain over no heritability, nats (95 % interval)", title_justify="left")
    for heading in ("gain", "interval", "over constant", "interval", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for kind, evaluation in demo.evaluations.items():
        trait = evaluation.traits[0]
        over = (f"{trait['difference']:.2f}", _bounds(trait["difference_ci95"])) if "difference" in trait else ("", "")
        seconds = f"{demo.seconds[f'fit {kind}']:.0f}"
        table.add_row(kind, f"{trait['gain']:.2f}", _bounds(trait["gain_ci95"]), *over, seconds)
    console.print(table)
    _show_answers(demo)
    listing = {
        "report.html": f"all of it, to be opened in a browser ({demo.answers.report_bytes / 1e6:.1f} MB)",
        "results.json": "all numbers",
        "prior.parquet": "f of every variant under mlp",
        "H.* Q.* F.*": "heritability, quality control and credible sets, under mlp",
        "weights.tsv scores.tsv": "polygenic weights under mlp, and the scores of the reference's individuals",
        **PICTURES,
        "constant/ linear/ mlp/": "the runs, for `varfx prior evaluate`, `predict` and `weights`",
    }
    print_files(demo.folder, listing)


def _show_answers(demo: Demo) -> None:
    """Prints heritability, the largest enrichments, quality control, the scores and the credible sets."""
    found = demo.answers.heritability
    console.print(f"heritability of chromosome 22's variants: {_with_error(found.h2)}")
    rows = [
        each
        for each in found.annotations
        if each.binary and each.enrichment is not None and each.enrichment_p is not None
    ]
    enriched = Table("annotation", "enrichment (s.e.)", "p", title="enrichment of heritability", title_justify="left")
    for each in sorted(rows, key=lambda row: row.enrichment_p or 0.0)[:5]:
        assert each.enrichment is not None
        enriched.add_row(each.name, _with_error(each.enrichment), f"{each.enrichment_p:.2g}")
    if rows:
        console.print(enriched)
    marks = ", ".join(f"{count} {mark}" for mark, count in demo.answers.quality.items())
    console.print(f"quality control against LD: {marks} of {len(demo.panel.cores)} windows")
    scores = demo.answers.scores
    console.print(
        f"polygenic scores of {scores['n_individuals']:,} individuals by {scores['n_variants']:,} variants: standard deviation "
        f"{scores['sd']:.2f} of the trait's"
    )
    sets = demo.answers.sets
    if sets is None:
        console.print("no association is genome-wide significant: nothing was fine-mapped")
        return
    table = Table("lead", "PIP", "variants", "log10 Bayes factor", title="credible sets (95 %)", title_justify="left")
    for row in sets.sort("lead_pip", descending=True).head(10).iter_rows(named=True):
        table.add_row(row["lead"], f"{row['lead_pip']:.3f}", str(row["n"]), f"{row['log10bf']:.1f}")
    console.print(table)


def _with_error(estimate: Estimate) -> str:
    return f"{estimate.value:.3g}" + ("" if estimate.se is None else f" ({estimate.se:.2g})")


def _bounds(bounds: list[float] | None) -> str:
    return "" if bounds is None else f"{bounds[0]:.2f} to {bounds[1]:.2f}"
