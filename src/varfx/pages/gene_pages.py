"""A page per gene, as far as the report has room, each reached by `#gene=NAME`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from varfx.pages.agreement import agreement_block
from varfx.pages.config import LARGEST, ReportConfig
from varfx.pages.explained import motif_table
from varfx.pages.gene_effects import UNIT, effects_chart, effects_csv, effects_table
from varfx.pages.gene_logos import logo_charts, networks_of
from varfx.pages.gene_room import fitting_pages
from varfx.pages.gene_study import GeneStudy
from varfx.pages.words import fixed, interval, number, rounded, signed
from varfx.progress import Progress
from varfx.report.html.blocks import (
    Absent,
    Block,
    Cell,
    Chart,
    Column,
    Columns,
    Download,
    Downloads,
    Facts,
    Folded,
    Links,
    Part,
    Prose,
    Section,
    Table,
)
from varfx.report.html.charts.forest import forest

if TYPE_CHECKING:
    from varfx.expression.network.opened import OpenNetworks

logger = logging.getLogger(__name__)
MOST_SHORT_ROWS = 3  # of the table of effects on a short page
SPLITS = {"hop": "individuals held out (HOP)", "hogp": "gene and individuals held out (HOGP)"}


def gene_pages(study: GeneStudy, config: ReportConfig, room: int, progress: Progress) -> tuple[Section, frozenset[str]]:
    """The section of pages, and the genes that have one.

    Args:
        study: what they show.
        config: of the report.
        room: bytes of all pages.
        progress: told about complete pages.
    """
    networks = networks_of(study.run)

    def complete(place: int) -> list[Block]:
        progress(place + 1, len(study.genes), "pages of genes")
        return _page(study, networks, study.genes[place], place + 1, config)

    built, whole = fitting_pages(
        len(study.genes),
        complete,
        lambda place: _short_page(study, study.genes[place], place + 1),
        room,
        static=config.static,
    )
    shown = study.genes[: len(built)]
    parts = tuple(
        Part(
            anchor=study.anchor(gene),
            heading=study.name(gene),
            blocks=(_links(study, shown, place), *blocks),
            routes=tuple(dict.fromkeys((study.anchor(gene), f"gene={gene}"))),
        )
        for place, (gene, blocks) in enumerate(zip(shown, built, strict=True))
    )
    if whole < len(study.genes):
        logger.warning(
            "the report stays below %g MB: of %d genes %d have a complete page, %d a short one without pictures, and %d none. Name genes with --genes for complete pages.",
            LARGEST / 1e6, len(study.genes), whole, len(shown) - whole, len(study.genes) - len(shown),
        )  # fmt: skip
    left = [*study.genes[len(built) :], *study.others]
    section = Section(anchor="effects", heading="Gene by gene", blocks=(*_intro(study, whole, shown, left), *parts))
    return section, frozenset(shown)


def _intro(study: GeneStudy, whole: int, shown: Sequence[str], left: Sequence[str]) -> list[Block]:
    """How many genes have a page, which pages are short, and which genes were left out."""
    how = "those named by `--genes`" if study.chosen else "the best predicted first"
    blocks: list[Block] = [
        Prose(text=f"{len(shown):,} of {len(shown) + len(left):,} genes have a page of their own: {how}."),
    ]
    if whole < len(shown):
        text = f"The first {whole:,} pages are complete; the other {len(shown) - whole:,} have no pictures and no CSV, so that the report stays small enough to send. Name genes with `--genes` for complete pages."
        blocks.append(Prose(text=text))
    if shown:
        blocks.append(Prose(text="Choose a gene in the table of genes.", emphasis="note choose"))
    if left:
        names = ", ".join(study.name(gene) for gene in left)
        said = Prose(
            text=f"Without a page, so that the report stays small enough to send; name genes with `--genes` to have theirs: {names}."
        )
        blocks.append(Folded(summary=f"{len(left):,} genes without a page", blocks=(said,)))
    return blocks


def _links(study: GeneStudy, shown: Sequence[str], place: int) -> Links:
    entries = [("All genes", "genes")]
    if place:
        entries.append((f"Previous: {study.name(shown[place - 1])}", study.anchor(shown[place - 1])))
    if place + 1 < len(shown):
        entries.append((f"Next: {study.name(shown[place + 1])}", study.anchor(shown[place + 1])))
    return Links(about=f"Pages beside {study.name(shown[place])}", entries=tuple(entries))


def _page(study: GeneStudy, networks: OpenNetworks | None, gene: str, place: int, config: ReportConfig) -> list[Block]:
    effects = None if study.effects is None else study.effects.filter(pl.col("gene_id") == gene)
    blocks: list[Block] = [_facts(study, gene, effects), *_metrics(study, gene, place)]
    if study.cohort is not None:
        mine = study.run.predictions.filter(pl.col("gene_id") == gene)
        blocks.append(agreement_block(study.cohort, mine, gene, f"agreement-{place}"))
    if effects is None:
        command = f"varfx expr variants {study.run.path.name} --long effects.parquet"
        return [*blocks, Absent(command=command, option="--variants effects.parquet", what="Variant effects: not given.")]  # fmt: skip
    if not effects.height:
        return [*blocks, Prose(text="No variant of this gene has an effect.")]
    models = [each for each in study.models if each.gene_id == gene] + [
        each for each in study.models if each.gene_id != gene
    ]
    blocks.append(
        effects_chart(
            effects,
            title=study.name(gene),
            name=f"effects-{place}",
            unit=UNIT,
            genes=models,
            states=study.states,
        )
    )
    blocks.append(effects_table(effects, f"variants-{place}"))
    if study.cohort is not None:
        blocks += logo_charts(networks, study.cohort, effects, config.logos, f"logo-{place}")
    blocks += _explained(study, gene, place)
    about = f"{effects.height:,} effects of variants"
    name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in study.name(gene))
    blocks.append(Downloads(files=(Download(file_name=f"{name}.csv", about=about, content=effects_csv(effects)),)))
    return blocks


def _short_page(study: GeneStudy, gene: str, place: int) -> list[Block]:
    """Facts, scores and the largest effects of a gene, without pictures and CSV."""
    effects = None if study.effects is None else study.effects.filter(pl.col("gene_id") == gene)
    blocks: list[Block] = [_facts(study, gene, effects)]
    if any(each["r2"] is not None for each in study.means[gene]):
        blocks.append(_folds(study, gene, place))
    if effects is not None and effects.height:
        blocks.append(effects_table(effects, f"variants-{place}", most=MOST_SHORT_ROWS))
    text = f"A short page, so that the report stays small enough to send. `--genes {gene}` makes a report with its complete page."
    return [*blocks, Prose(text=text, emphasis="note")]


def _facts(study: GeneStudy, gene: str, effects: pl.DataFrame | None) -> Facts:
    rows = [("gene", gene)]
    if study.cohort is not None:
        window = study.cohort.gene(gene)
        rows.append(("TSS", f"chromosome {window.chrom}, {window.tss:,}, strand {window.strand}"))
        rows.append(("window", f"{window.start + 1:,} to {window.end:,}"))
        rows.append(("variants in the window", f"{study.cohort.window_variants(gene)[0].height:,}"))
    individuals = max((int(each["n_people"]) for each in study.folds.get(gene, [])), default=0)
    if individuals:
        rows.append(("test individuals", f"up to {individuals:,} per fold"))
    if effects is not None:
        rows.append(("effects", f"{effects.height:,} that are not 0, fold {effects['fold'][0]}" if effects.height else "none"))  # fmt: skip
    return Facts(rows=tuple(rows))


def _metrics(study: GeneStudy, gene: str, place: int) -> list[Block]:
    """Each model's scores: means over folds as a picture, folds as a table."""
    means = [each for each in study.means[gene] if each["r2"] is not None]
    if not means:
        return [Prose(text="No model predicts this gene.")]
    charts = [_forest(means, metric, words, f"{metric}-{place}") for metric, words in (("r2", "R²"), ("pcc", "correlation"))]  # fmt: skip
    blocks: list[Block] = [each for each in charts if each is not None]
    return [*blocks, _folds(study, gene, place)]


def _forest(means: Sequence[Any], metric: str, words: str, name: str) -> Chart | None:
    known = [each for each in means if each[metric] is not None]
    if not known:
        return None
    bounds = [each[f"{metric}_ci95"] or (None, None) for each in known]
    rows: Columns = {
        "name": [str(each["model"]) for each in known],
        "value": rounded(each[metric] for each in known),
        "low": rounded(low for low, _ in bounds),
        "high": rounded(high for _, high in bounds),
        "detail": [f"{len(each['folds'])} folds, {SPLITS[each['split']]}" for each in known],
    }
    said = "; ".join(f"{model} {number(value)}" for model, value in zip(rows["name"], rows["value"], strict=True))
    return forest(
        rows,
        name=name,
        title=f"{words[0].upper()}{words[1:]} within the gene, over test individuals",
        label=f"{words}, mean over folds (95 % interval over individuals)",
        alternative=f"{words}: {said}.",
        reference=0.0,
    )


def _folds(study: GeneStudy, gene: str, place: int) -> Table:
    columns = (
        Column(heading="model"), Column(heading="fold", numeric=True), Column(heading="held out"), Column(heading="individuals", numeric=True),
        Column(heading="R²", numeric=True), Column(heading="95 % interval"), Column(heading="correlation", numeric=True),
        Column(heading="95 % interval"),
    )  # fmt: skip
    every = [*study.folds.get(gene, [])] or [{**each, "fold": None, "n_people": None} for each in study.means[gene]]
    rows = tuple(
        (
            Cell(shown=str(each["model"])),
            Cell(shown="all" if each["fold"] is None else str(each["fold"]), sort=each["fold"]),
            Cell(shown=SPLITS[each["split"]]),
            Cell(shown="" if each["n_people"] is None else f"{each['n_people']:,}", sort=each["n_people"]),
            Cell(shown=fixed(each["r2"]), sort=each["r2"]),
            Cell(shown=interval(each["r2_ci95"])),
            Cell(shown=fixed(each["pcc"]), sort=each["pcc"]),
            Cell(shown=interval(each["pcc_ci95"])),
        )
        for each in every
    )
    caption = "Each fold. A correlation is missing where the prediction is constant."
    return Table(name=f"folds-{place}", caption=caption, columns=columns, rows=rows, visible_rows=10)


def _explained(study: GeneStudy, gene: str, place: int) -> list[Block]:
    """Motifs that the gene's variants make or break, and its fine-mapped eQTLs."""
    blocks: list[Block] = []
    if study.motifs is not None:
        mine = study.motifs.filter(pl.col("gene_id") == gene)
        table = motif_table(mine, f"motifs-{place}")
        blocks.append(table or Prose(text="No high-scoring variant or driver of this gene changes a motif strongly."))
    if study.pairs is not None:
        mine = study.pairs.filter(pl.col("gene_id") == gene)
        blocks.append(_eqtls(mine, place) if mine.height else Prose(text="No fine-mapped eQTL of this gene is scored."))
    return blocks


def _eqtls(pairs: pl.DataFrame, place: int) -> Table:
    columns = (
        Column(heading="fine-mapped eQTL"), Column(heading="pip", numeric=True), Column(heading="effect", numeric=True, about=UNIT),
        Column(heading="kb from TSS", numeric=True), Column(heading="matched control"), Column(heading="its effect", numeric=True),
    )  # fmt: skip

    def name(row: dict[str, Any], begin: str) -> str:
        return str(row[f"{begin}variant_id"] or f"{row[f'{begin}chrom']}:{row[f'{begin}position']}")

    rows = tuple(
        (
            Cell(shown=name(row, "")),
            Cell(shown=fixed(row["pip"], 3), sort=row["pip"]),
            Cell(shown=signed(row["weight"]), sort=row["weight"]),
            Cell(shown=fixed(row["tss_distance"] / 1000, 2, sign=True), sort=row["tss_distance"]),
            Cell(shown=name(row, "control_")),
            Cell(shown=signed(row["control_weight"]), sort=row["control_weight"]),
        )
        for row in pairs.iter_rows(named=True)
    )
    return Table(name=f"eqtls-{place}", caption="Fine-mapped eQTLs of the gene.", columns=columns, rows=rows)
