"""The report of a run on expression: models, genes, and variant effects around genes. Individuals are counted, never shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from varfx._version import __version__
from varfx.errors import ConfigError, DataError
from varfx.expression.evaluate import evaluate
from varfx.expression.evaluation_config import EvaluationConfig
from varfx.expression.run import ExpressionRun, open_run
from varfx.io import sealed
from varfx.pages.config import LARGEST, ReportConfig
from varfx.pages.explained import explained_section
from varfx.pages.gene_pages import gene_pages
from varfx.pages.gene_study import GeneStudy, cohort_or_none, gene_study
from varfx.pages.request import ReportRequest
from varfx.pages.words import fixed, interval, number, rounded, without_folders
from varfx.progress import Progress, silent
from varfx.report.html.blocks import (
    Block,
    Cell,
    Chart,
    Column,
    Columns,
    Download,
    Downloads,
    Facts,
    Page,
    Prose,
    Section,
    Table,
)
from varfx.report.html.charts.forest import forest
from varfx.report.html.charts.genes import model_scatter
from varfx.report.html.document import document

SETS = {
    ("training", "hop"): "training genes, held-out individuals (HOP)",
    ("held-out", "hogp"): "held-out genes and individuals (HOGP)",
    ("held-out", "hop"): "held-out genes, models of their own",
}
MOST_GENES = 2_000  # rows of their table
MOST_POINTS = 3_000  # of models against each other
MOST_DOWNLOADED = 5_000  # rows of genes.csv
PER_NAME = 30  # bytes of a gene without a page
ONLY_PRIORS = ("finemap", "h2", "qc", "trait", "channels")


def expression_page(request: ReportRequest, progress: Progress = silent) -> Page:
    """The report of a run of `varfx expr fit` or `varfx expr baseline`.

    Args:
        request: the run, and what is shown.
        progress: told about genes.

    Raises:
        ConfigError: an option that belongs to priors.
        VarfxError: a file that cannot be read, or is of another run.
    """
    config, opened = request.config, open_run(request.run)
    given = [name for name in ONLY_PRIORS if getattr(config, name)]
    if given:
        raise ConfigError(f"`{given[0]}` belongs to reports of priors, but `{opened.path}` is a run on expression.")
    explained = explained_section(config, opened.path.name, {*opened.record["genes"], *opened.predictions["gene_id"]})
    scores = _scores(opened, config, progress)
    study = gene_study(opened, scores, config, progress, cohort_or_none(opened, config))

    def page(shown: Iterable[str], pages: tuple[Section, ...]) -> Page:
        anchors = {gene: study.anchor(gene) for gene in shown}
        sections = (
            _study(opened, scores, request.command),
            _models(scores, anchors),
            _genes(scores, study, anchors),
            *pages,
            explained,
            _methods(opened),
            _downloads(scores),
        )
        return Page(
            title=config.title or f"Expression: {', '.join(opened.record['models'])}",
            subtitle=f"{len(opened.record['genes']):,} genes, run {opened.path.name}",
            sections=sections,
            footer=f"Made by varfx {__version__}. This file is complete in itself and loads nothing. It holds scores per gene and variant, no data of individuals.",
        )

    rest = len(document(page(study.genes, ()), static=config.static).encode())
    names = PER_NAME * (len(study.genes) + len(study.others))
    pages, shown = gene_pages(study, config, max(0, LARGEST - rest - names), progress)
    return page(shown, (pages,))


def _scores(run: ExpressionRun, config: ReportConfig, progress: Progress) -> Mapping[str, Any]:
    """The evaluation: the given JSON, or one made now without heritability."""
    if config.evaluation is None:
        return evaluate(
            [run.path], EvaluationConfig(heritability=False), cohort=config.cohort, progress=progress
        ).to_dict()
    found = sealed.read_json(config.evaluation)
    if not isinstance(found, dict) or not {"models", "gene_means"} <= found.keys():
        raise DataError(
            f"`{config.evaluation}` is no evaluation of expression. Give the --json of `varfx expr evaluate`."
        )
    if not set(run.record["models"]) & {str(each["model"]).partition(":")[0] for each in found["models"]}:
        raise DataError(
            f"`{config.evaluation}` holds none of the run's models ({', '.join(run.record['models'])}). Evaluate this run."
        )
    return found


def _study(run: ExpressionRun, scores: Mapping[str, Any], command: str) -> Section:
    record = run.record
    individuals = max((int(each["n_people"]) for each in scores.get("genes", [])), default=0)
    made, unknown = record["provenance"], "not recorded"
    inputs = made.get("inputs", {})
    rows = [
        ("run", f"{run.path.name}, {run.kind}"),
        ("models", ", ".join(record["models"])),
        ("cohort", f"{Path(record['cohort']).name}, checksum of its manifest `{record['cohort_seal']}`"),
        ("genes", f"{len(record['genes']):,}"),
        ("folds", ", ".join(map(str, record["folds"])) if isinstance(record["folds"], list) else str(record["folds"])),
        ("test individuals", f"up to {individuals:,} per gene and fold"),
        ("fitted", str(made.get("created", unknown))),
        (
            "versions",
            f"varfx {made.get('varfx', unknown)}, Python {made.get('python', unknown)}; report: varfx {__version__}",
        ),
        ("made by", f"`{command}`"),
    ]
    cells = tuple(
        (Cell(shown=name), Cell(shown=Path(entry["path"]).name), Cell(shown=str(entry["sha256"] or "not recorded")))
        for name, entry in inputs.items()
    )
    columns = (Column(heading="input"), Column(heading="file"), Column(heading="SHA-256"))
    notes = [Prose(text=without_folders(note), emphasis="note") for note in scores.get("notes", [])]
    blocks: list[Block] = [Facts(rows=tuple(rows)), *notes]
    if cells:
        blocks.append(Table(name="inputs", caption="Inputs.", columns=columns, rows=cells, sortable=False))
    return Section(anchor="study", heading="Study", blocks=tuple(blocks))


def _models(scores: Mapping[str, Any], anchors: Mapping[str, str]) -> Section:
    """Means over genes with intervals, and models against each other."""
    blocks: list[Block] = []
    for metric, words in (("r2", "R²"), ("pcc", "correlation")):
        rows = [each for each in scores["models"] if each[f"mean_{metric}"] is not None]
        if not rows:
            continue
        bounds = [each[f"mean_{metric}_ci95"] or (None, None) for each in rows]
        columns: Columns = {
            "name": [f"{each['model']} ({_short(each)})" for each in rows],
            "value": rounded(each[f"mean_{metric}"] for each in rows),
            "low": rounded(low for low, _ in bounds),
            "high": rounded(high for _, high in bounds),
            "detail": [f"{each['genes']} genes, {SETS[each['gene_set'], each['split']]}" for each in rows],
        }
        said = "; ".join(
            f"{name} {number(value)}" for name, value in zip(columns["name"], columns["value"], strict=True)
        )
        blocks.append(
            forest(
                columns,
                name=f"mean-{metric}",
                title=f"Mean {words} over genes",
                label=f"mean {words} (95 % interval over genes)",
                alternative=f"Mean {words}: {said}.",
                reference=0.0,
                detail="genes",
            )
        )
    blocks += [
        chart
        for chart in (_scatter(scores, gene_set, anchors) for gene_set in ("training", "held-out"))
        if chart is not None
    ]
    blocks.append(_model_table(scores["models"]))
    return Section(anchor="models", heading="Models", blocks=tuple(blocks))


def _short(entry: Mapping[str, Any]) -> str:
    return "HOGP" if entry["split"] == "hogp" else "HOP" if entry["gene_set"] == "training" else "HOP, held-out genes"


def _scatter(scores: Mapping[str, Any], gene_set: str, anchors: Mapping[str, str]) -> Chart | None:
    tables: dict[str, dict[str, float]] = {}
    for each in scores["gene_means"]:
        if each["gene_set"] == gene_set and each["r2"] is not None:
            tables.setdefault(each["model"], {})[each["gene"]] = each["r2"]
    if len(tables) < 2:
        return None
    base = "elastic-net" if "elastic-net" in tables else next(iter(tables))
    others = [name for name in tables if name != base]
    pairs = [(name, gene, value) for name in others for gene, value in tables[name].items() if gene in tables[base]]
    if not pairs:
        return None
    drawn = _thinned(pairs, tables[base])
    columns: Columns = {
        "gene": [gene for _, gene, _ in drawn],
        "model": [name for name, _, _ in drawn],
        "value": rounded(value for *_, value in drawn),
        "base": rounded(tables[base][gene] for _, gene, _ in drawn),
        "anchor": [anchors.get(gene, "") for _, gene, _ in drawn],
    }
    better = "; ".join(
        f"{name} is better on {sum(v > tables[base][g] for n, g, v in pairs if n == name)} of {sum(n == name for n, *_ in pairs)} genes"
        for name in others
    )
    return model_scatter(
        columns,
        name=f"scatter-{gene_set}",
        base=base,
        models=others,
        metric="R²",
        alternative=f"{gene_set.capitalize()} genes: {better}.",
        note=""
        if len(drawn) == len(pairs)
        else f"Of {len(pairs):,} points {len(drawn):,} are drawn: those furthest from the line, and an even sample of the others.",
    )


def _thinned(pairs: Sequence[tuple[str, str, float]], base: Mapping[str, float]) -> list[tuple[str, str, float]]:
    """At most `MOST_POINTS` points: a third are the furthest from the diagonal, the others an even sample along it."""
    if len(pairs) <= MOST_POINTS:
        return list(pairs)
    far = sorted(range(len(pairs)), key=lambda k: -abs(pairs[k][2] - base[pairs[k][1]]))
    kept, rest = far[: MOST_POINTS // 3], far[MOST_POINTS // 3 :]
    along = sorted(rest, key=lambda k: base[pairs[k][1]])
    count = MOST_POINTS - len(kept)
    kept += [along[number * len(along) // count] for number in range(count)]
    return [pairs[k] for k in sorted(kept)]


def _model_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    columns = (
        Column(heading="model"),
        Column(heading="genes and individuals", wide=True),
        Column(heading="genes", numeric=True),
        Column(heading="mean R²", numeric=True),
        Column(heading="95 % interval"),
        Column(heading="mean correlation", numeric=True),
        Column(heading="95 % interval"),
        Column(heading="constant", numeric=True, about="genes with a constant prediction"),
        Column(heading="missing", numeric=True, about="genes without a prediction"),
    )
    cells = tuple(
        (
            Cell(shown=str(each["model"])),
            Cell(shown=SETS[each["gene_set"], each["split"]]),
            Cell(shown=f"{each['genes']:,}", sort=each["genes"]),
            Cell(shown=fixed(each["mean_r2"]), sort=each["mean_r2"]),
            Cell(shown=interval(each["mean_r2_ci95"])),
            Cell(shown=fixed(each["mean_pcc"]), sort=each["mean_pcc"]),
            Cell(shown=interval(each["mean_pcc_ci95"])),
            Cell(shown=str(each["constant"]), sort=each["constant"]),
            Cell(shown=str(each["missing"]), sort=each["missing"]),
        )
        for each in rows
    )
    return Table(name="models-table", caption="", columns=columns, rows=cells)


def _genes(scores: Mapping[str, Any], study: GeneStudy, anchors: Mapping[str, str]) -> Section:
    """A row per gene and model, with links to the pages that there are."""
    columns = (
        Column(heading="gene"),
        Column(heading="name"),
        Column(heading="model"),
        Column(heading="genes and individuals"),
        Column(heading="R²", numeric=True),
        Column(heading="95 % interval"),
        Column(heading="correlation", numeric=True),
        Column(heading="95 % interval"),
    )
    ordered = sorted(scores["gene_means"], key=_best_first)
    cells = tuple(
        (
            Cell(shown=str(each["gene"]), anchor=anchors.get(each["gene"], "")),
            Cell(shown=study.name(each["gene"])),
            Cell(shown=str(each["model"])),
            Cell(shown=_short(each)),
            Cell(shown=fixed(each["r2"]), sort=each["r2"]),
            Cell(shown=interval(each["r2_ci95"])),
            Cell(shown=fixed(each["pcc"]), sort=each["pcc"]),
            Cell(shown=interval(each["pcc_ci95"])),
        )
        for each in ordered[:MOST_GENES]
    )
    more = f", the best {MOST_GENES:,} of {len(ordered):,}; the download has more" if len(ordered) > MOST_GENES else ""
    table = Table(
        name="genes-table",
        caption=f"Means over folds, a row per gene and model{more}. A gene leads to its page.",
        columns=columns,
        rows=cells,
        visible_rows=25,
    )
    return Section(anchor="genes", heading="Genes", blocks=(table,))


def _best_first(entry: Mapping[str, Any]) -> float:
    return -float(entry["r2"]) if entry["r2"] is not None else 1e9


def _methods(run: ExpressionRun) -> Section:
    kind = (
        "linear models of variants near each gene"
        if run.weights is not None
        else "a network that reads the sequence of each individual"
    )
    blocks = (
        Prose(
            text=f"Expression, adjusted for covariates as the cohort says, is predicted by {kind} ({', '.join(run.record['models'])}). Individuals are split into training, tuning and test; scores are on test individuals."
        ),
        Prose(
            text="HOP: genes that the model was trained on, individuals held out. HOGP: genes and individuals held out. R² is 1 − Σ(y − ŷ)² / Σ(y − ȳ)² over test individuals, averaged over folds; a constant prediction counts as correlation 0. Intervals resample individuals for a gene, and genes for a mean."
        ),
        Prose(
            text="Effects are changes of adjusted expression, in standard deviations, per copy of the ALT allele. Drivers are the few variants whose summed effects reproduce the model's predictions in tuning individuals (Variformer's rule)."
        ),
    )
    return Section(anchor="methods", heading="Methods", blocks=blocks)


def _downloads(scores: Mapping[str, Any]) -> Section:
    every = sorted(scores["gene_means"], key=_best_first)
    rows = [
        {name: value for name, value in each.items() if not isinstance(value, list | dict)}
        for each in every[:MOST_DOWNLOADED]
    ]
    text = pl.DataFrame(rows, infer_schema_length=None).write_csv(float_precision=6) if rows else ""
    about = "scores per gene and model"
    if len(every) > len(rows):
        about += f", the best {len(rows):,} of {len(every):,}; `varfx expr evaluate --tsv` writes all"
    files = (Download(file_name="genes.csv", about=about, content=text.encode()),)
    return Section(anchor="downloads", heading="Downloads", blocks=(Downloads(files=files),))
