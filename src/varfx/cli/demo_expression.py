"""`varfx demo expression`: linear models and small networks of expression, on real individuals."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.table import Table

from varfx.cli.console import console, print_files, progress_bar
from varfx.cli.options import Out, as_options
from varfx.demos.options import DemoOptions
from varfx.io.output_lock import one_writer

if TYPE_CHECKING:
    from varfx.demos.expression import ExpressionDemo
    from varfx.demos.study import DemoStudy

Options = Annotated[DemoOptions, as_options(DemoOptions)]
DEFAULT_OUT = Path("demo-output/expression")
PICTURES = {
    "models.png": "mean R2 of the linear models, with intervals over genes",
    "genes.png": "R2 of each gene under each linear model, against elastic-net",
    "network.png": "R2 of the genes with a network, every model, with intervals over individuals",
    "variants.png": "effects of the variants of one gene: network and elastic-net",
}
PAR = 0.005  # mean R2 closer than this are called alike


@one_writer
def expression(
    *,
    out: Out = DEFAULT_OUT,
    data: Path | None = None,
    options: Options = DemoOptions(),
) -> None:
    """Predict expression from personal genomes: linear models of all genes, small networks of a few.

    With VARFX_DATA (or --data): GEUVADIS expression and 1000 Genomes genotypes of chromosome 22. Without: expression is simulated
    upon the real genotypes of 378 Europeans, which are fetched (7 MB, once; kept in ~/.cache/varfx, or VARFX_CACHE). Goes through
    prepare, baseline, fit, evaluate and variants as any study does; about two minutes on two processors.

        varfx demo expression
        varfx demo expression --out geuvadis --data DIR

    Args:
        out: The folder to write to.
        data: A folder with one file each in genotypes (.vcf.gz), expression (.bed.gz), reference (.fa.gz) and genes (.gtf.gz), and
            covariates in expression if there are any; by default the environment's VARFX_DATA, if it has them.
    """
    from varfx.demos.expression import DemoConfig, run_demo

    config = DemoConfig(seed=options.seed)
    study = _study(out, data, options, config.window)
    with progress_bar() as progress:
        demo = run_demo(study, out, config, workers=options.workers, progress=progress)
    _draw(demo)
    _show(demo)


def _study(out: Path, data: Path | None, options: DemoOptions, window: int) -> DemoStudy:
    """Real files where there are some, else a simulation."""
    from varfx.demos.download import fetch_demo_data
    from varfx.demos.study import find_study, holds_study, simulate_study

    folder = Path(os.environ.get("VARFX_DATA", ""))
    if data is not None:
        return find_study(data)
    if os.environ.get("VARFX_DATA") and holds_study(folder):
        return find_study(folder)
    genotypes = fetch_demo_data(archive=options.archive).genotypes
    return simulate_study(genotypes, out / "study", window=window, seed=options.seed)


def _draw(demo: ExpressionDemo) -> None:
    """Writes the pictures named in `PICTURES`."""
    from varfx import report
    from varfx.report.grouped import grouped_intervals
    from varfx.report.variants import effects_along_window

    evaluation = demo.evaluation.to_dict()
    linear = {
        name: [entry for entry in evaluation[name] if entry["model"] != demo.network_model]
        for name in ("models", "gene_means")
    }
    beside = demo.side_by_side()
    names = {gene: demo.cohort.gene(gene).name for gene in demo.network.record["genes"]}
    groups = {
        name: [
            (record["model"], entry["r2"], entry["r2_ci95"])
            for record in beside
            for entry in record["genes"]
            if entry["gene"] == gene
        ]
        for gene, name in names.items()
    }
    best = max(beside[-1]["genes"], key=lambda entry: entry["r2"])["gene"]
    table = demo.scores["network"].table
    people = demo.cohort.fold(0).test.size
    figures = (
        report.model_means(linear),
        report.model_scatter(linear, against="elastic-net"),
        grouped_intervals(
            groups,
            title=f"R² on {people} test individuals of the first fold",
            xlabel="R² (95 % interval over individuals)",
            highlight=demo.network_model,
        ),
        effects_along_window(table.filter(table["gene_id"] == best), title=f"Effects of variants on {names[best]}"),
    )
    report.save_all(dict(zip(PICTURES, figures, strict=True)), demo.folder)


def _show(demo: ExpressionDemo) -> None:
    cohort, fold = demo.cohort, demo.cohort.fold(0)
    if demo.study.truth is not None:
        _say_what_is_simulated(demo)
    console.print(
        f"{len(cohort.people)} individuals, {cohort.genes.height} genes ({len(cohort.genes_heldout)} held out) of chromosome "
        f"{cohort.genes['chrom'][0]}, {cohort.variants.height:,} variants in windows of {cohort.window:,} bases; "
        f"{cohort.num_folds} folds: {fold.train.size} individuals to train, {fold.tune.size} to tune, {fold.test.size} to test on",
        soft_wrap=True,
    )
    _print_linear(demo)
    _print_side_by_side(demo)
    _print_ranks(demo)
    times = ", ".join(f"{step} {value:.0f} s" for step, value in demo.seconds.items())
    console.print(f"time: {times}", soft_wrap=True)
    listing = {
        "results.json": "all numbers",
        **({} if demo.study.truth is None else {"study/": "the simulated genome, genes, expression, and the truth"}),
        "cohort/": "the cohort, for `varfx expr baseline` and `fit`",
        "baselines/ network/": "the runs, for `varfx expr evaluate` and `variants`",
        "*.annot.parquet": "scores of variants by elastic-net and networks, for `varfx prior fit --annot`",
        **PICTURES,
    }
    print_files(demo.folder, listing)


def _say_what_is_simulated(demo: ExpressionDemo) -> None:
    from varfx.demos.study import KINDS

    kinds = "; ".join(
        f"{kind.name}: heritability {kind.heritability}, causal variant {kind.nearest:,} to {kind.farthest:,} bases from the TSS"
        if kind.heritability
        else f"{kind.name}: no causal variant"
        for kind in KINDS
    )
    console.print(
        "SIMULATED: individuals and genotypes are real (1000 Genomes); the genome, the genes and their expression are not. "
        f"Genes are named by kind ({kinds}). Set VARFX_DATA or give --data for real expression.",
        soft_wrap=True,
    )


def _print_linear(demo: ExpressionDemo) -> None:
    from varfx.demos.expression import heritability

    known = heritability(demo.evaluation)
    if known["mean"] is not None:
        console.print(
            f"cis-heritability by REML: mean {known['mean']:.3f}{_interval(known['ci95'], ' (', ')')}, "
            f"{known['significant']} of {known['genes']} genes with p < 0.05",
            soft_wrap=True,
        )
    means = demo.linear_means()
    count = max(entry["genes"] for entry in means)
    table = Table("model", title=f"linear models: {count} training genes, individuals held out", title_justify="left")
    for heading in ("mean PCC", "95 % interval", "mean R2", "95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in means:
        cells = [
            text
            for name in ("pcc", "r2")
            for text in (f"{entry[f'mean_{name}']:.3f}", _interval(entry[f"mean_{name}_ci95"]))
        ]
        table.add_row(entry["model"], *cells)
    console.print(table)


def _print_side_by_side(demo: ExpressionDemo) -> None:
    """The networks and what they must be judged by, on the same genes and individuals."""
    genes = demo.network.record["genes"]
    fold = demo.cohort.fold(0)
    title = f"R2 of genes with a network of their own, {fold.test.size} test individuals of the first fold"
    table = Table("model", *(demo.cohort.gene(gene).name for gene in genes), title=title, title_justify="left")
    for heading in ("mean R2", "mean PCC"):
        table.add_column(heading)
    for column in table.columns[1:]:
        column.justify = "right"
    records = demo.side_by_side()
    for record in records:
        values = {entry["gene"]: f"{entry['r2']:.3f}" for entry in record["genes"]}
        cells = [values.get(gene, "") for gene in genes]
        table.add_row(record["model"], *cells, f"{record['r2']:.3f}", f"{record['pcc']:.3f}")
    console.print(table)
    console.print(_verdict(demo, records), soft_wrap=True)


def _verdict(demo: ExpressionDemo, records: list[dict[str, Any]]) -> str:
    """Comparison of the networks with the elastic net, in words."""
    of = {record["model"]: record for record in records}
    network, linear = of[demo.network_model], of["elastic-net"]
    theirs = {entry["gene"]: entry["r2"] for entry in linear["genes"]}
    common = [entry for entry in network["genes"] if entry["gene"] in theirs]
    better = sum(entry["r2"] > theirs[entry["gene"]] for entry in common)
    gap, bounds = linear["minus_network"], linear["minus_network_ci95"]
    bounds = bounds and [-bounds[1], -bounds[0]]
    word = "as good as" if abs(gap) < PAR else "worse than" if gap > 0 else "better than"
    best = max((record for record in records if record is not network), key=lambda record: record["r2"])
    return (
        f"The networks are {word} elastic-net: mean R2 {network['r2']:.3f} against {linear['r2']:.3f}, a difference of "
        f"{-gap:+.3f}{_interval(bounds, ' (95 % interval over genes ', ')')}, above it in {better} of "
        f"{len(common)} genes; best linear model: {best['model']}, {best['r2']:.3f}. They start from random weights, read "
        f"{demo.config.network.window:,} bases and have seen {demo.cohort.fold(0).train.size} individuals; the linear models see "
        f"{demo.cohort.window:,} bases. Published results start from Enformer's weights (`varfx expr fit --checkpoint`)."
    )


def _print_ranks(demo: ExpressionDemo) -> None:
    for model, ranks in demo.causal_ranks().items():
        if ranks:
            first, seen = sum(each["rank"] == 1 for each in ranks), [each["variants"] for each in ranks]
            console.print(
                f"the causal variant has the largest effect by {model} in {first} of {len(ranks)} genes, which have "
                f"{min(seen)} to {max(seen)} variants where it looks",
                soft_wrap=True,
            )


def _interval(bounds: list[float] | None, before: str = "", after: str = "") -> str:
    return "" if bounds is None else f"{before}{bounds[0]:.3f} to {bounds[1]:.3f}{after}"
