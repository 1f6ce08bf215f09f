"""The report of a fitted prior: all its sections in order."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from varfx._version import __version__
from varfx.errors import ConfigError
from varfx.genome.gene_models import GeneModel
from varfx.io.visible import visible
from varfx.pages.associations import associations_section
from varfx.pages.config import ReportConfig
from varfx.pages.genes import MOST_NAMED, genes_of_loci, named_genes
from varfx.pages.held_out import evaluation_of, held_out_section, learning_section
from varfx.pages.heritability import enrichment_file, heritability_section, read_heritability
from varfx.pages.loci import Locus, read_loci
from varfx.pages.locus import Channels, drawn_channels, locus_part, top_channel
from varfx.pages.methods import methods_section
from varfx.pages.quality import ledger_section, quality_section
from varfx.pages.request import ReportRequest
from varfx.pages.study import Study, open_study, study_section
from varfx.pages.words import MISSING, fixed, p_value
from varfx.progress import Progress, silent
from varfx.report.html.blocks import Absent, Block, Cell, Column, Download, Downloads, Page, Prose, Section, Table

logger = logging.getLogger(__name__)
ONLY_EXPRESSION = ("variants", "explained", "genes", "states", "cohort")
VARIANTS_DRAWN = 36_000  # of all loci together
MOST_PER_LOCUS = 3_000
LEAST_PIP = 0.01  # of the variants in the file


def prior_page(request: ReportRequest, progress: Progress = silent) -> Page:
    """The report of a run of `varfx prior fit`.

    Args:
        request: the run, and what is shown.
        progress: told about windows and loci.

    Raises:
        ConfigError: an option that belongs to runs on expression.
        VarfxError: a file that cannot be read, or is of another study.
    """
    config = request.config
    given = [name for name in ONLY_EXPRESSION if getattr(config, name)]
    if given:
        raise ConfigError(f"`{given[0]}` belongs to reports of runs on expression, but `{request.run}` is a prior.")
    study = open_study(request.run, request.inputs, config.trait)
    found = read_heritability(config.file("h2", ".json"))
    loci = read_loci(study, config)
    if config.gtf is not None and config.finemap is None:
        logger.warning("`%s` (--gtf) is not used: genes are drawn below the loci of --finemap", config.gtf)
    genes = genes_of_loci(config.gtf, loci or [], study.sumstats.metadata.get("genome_build"))
    evaluation = evaluation_of(study, config, progress)
    quality = [config.file("qc", ending) for ending in (".json", ".windows.tsv", ".variants.tsv")]
    drawn = [] if loci is None else loci[: config.drawn_loci]
    peaks = [
        (each.chrom, each.position, float(each.y.max()), each.name, each.anchor if each in drawn else "loci")
        for each in loci or []
    ]
    channels = drawn_channels(study, config.channels)
    name = str(study.trait["name"])
    sections = [
        study_section(study, request.command, _others(config)),
        ledger_section(study),
        quality_section(quality[0], quality[1], quality[2], study),
        associations_section(study, peaks),
        learning_section(study),
        held_out_section(study, evaluation),
        heritability_section(found, name, study.run.path),
        loci_section(study, loci, drawn, channels, genes),
        *_locus_sections(study, drawn, channels, genes, progress),
        methods_section(
            study, finemapping=bool(loci), heritability=found is not None, evaluated=not isinstance(evaluation, str)
        ),
        _downloads(study, loci, found, evaluation, genes),
    ]
    return Page(
        title=config.title or f"{name}: a prior from GWAS",
        subtitle=f"{study.kind} prior, {study.panel.variants.height:,} variants, N = {study.trait['n_ref']:,.0f}",
        sections=tuple(sections),
        footer=f"Made by varfx {__version__}. This file is complete in itself and loads nothing. It holds summary statistics only, no data of individuals.",
    )


def _others(config: ReportConfig) -> Mapping[str, Path]:
    """Further files whose checksums are shown."""
    named = {
        "fine-mapping": config.file("finemap", ".pip.tsv.gz"),
        "heritability": config.file("h2", ".json"),
        "quality control": config.file("qc", ".windows.tsv"),
        "evaluation": config.evaluation,
        "genes": config.gtf,
    }
    return {name: path for name, path in named.items() if path is not None}


def loci_section(
    study: Study, loci: Sequence[Locus] | None, drawn: Sequence[Locus], channels: Channels, genes: Sequence[GeneModel]
) -> Section:
    """The table of loci."""
    if loci is None:
        command = f"varfx finemap --run {study.run.path.name} --out F"
        blocks: tuple[Block, ...] = (Absent(command=command, option="--finemap F"),)
        return Section(anchor="loci", heading="Loci", blocks=blocks)
    if not loci:
        return Section(anchor="loci", heading="Loci", blocks=(Prose(text="The fine-mapping has no locus."),))
    columns = (
        Column(heading="lead"),
        Column(heading="position", numeric=True),
        Column(heading="p", numeric=True),
        Column(heading="quality"),
        Column(heading="genes", about="protein-coding genes within 500 kb, the nearest first", wide=True),
        Column(heading="sets", numeric=True, about="credible sets"),
        Column(heading="best variant"),
        Column(heading="PIP", numeric=True, about="of the best variant"),
        Column(heading="PIP, uniform", numeric=True, about="of the same variant under the uniform prior"),
        Column(heading="size", numeric=True, about="variants in the smallest credible set"),
        Column(heading="annotations", about="annotations, of those drawn, that hold the best variant", wide=True),
    )
    place = {each.anchor for each in drawn}
    rows = tuple(_row(study, each, channels, genes, linked=each.anchor in place) for each in loci)
    more = f" The strongest {len(drawn)} of {len(loci)} are drawn below." if len(drawn) < len(loci) else ""
    table = Table(
        name="loci-table",
        caption=f"{len(loci)} loci, the strongest first.{more}",
        columns=columns,
        rows=rows,
        visible_rows=40,
    )
    return Section(anchor="loci", heading="Loci", blocks=(table,))


def _row(
    study: Study, locus: Locus, channels: Channels, genes: Sequence[GeneModel], *, linked: bool
) -> tuple[Cell, ...]:
    near = named_genes(genes, locus.chrom, locus.position)
    best, pip = locus.best
    uniform = locus.variants.filter(pl.col("variant_id") == best)["uniform"][0]
    smallest = min(locus.sets["n"].to_list(), default=None)
    mark = str(locus.row.get("qc") or "")
    return (
        Cell(shown=locus.name, anchor=locus.anchor if linked else ""),
        Cell(shown=f"{locus.chrom}:{locus.position:,}", sort=_order(locus)),
        Cell(shown=p_value(float(locus.y.max())), sort=-float(locus.y.max())),
        Cell(shown=mark or MISSING, emphasis=mark if mark in ("pass", "warn", "fail") else ""),
        Cell(
            shown=", ".join(near[:MOST_NAMED])
            + (f" and {len(near) - MOST_NAMED} more" if len(near) > MOST_NAMED else "")
            or MISSING
        ),
        Cell(shown=str(locus.sets.height), sort=locus.sets.height),
        Cell(shown=best),
        Cell(shown=fixed(pip), sort=pip),
        Cell(shown=fixed(uniform), sort=uniform),
        Cell(shown=MISSING if smallest is None else str(smallest), sort=smallest),
        Cell(shown=top_channel(study, locus, channels) or MISSING),
    )


def _order(locus: Locus) -> float:
    from varfx.genome.chromosomes import CHROMOSOMES

    rank = CHROMOSOMES.index(locus.chrom) if locus.chrom in CHROMOSOMES else len(CHROMOSOMES)
    return rank * 1e9 + locus.position


def _locus_sections(
    study: Study, drawn: Sequence[Locus], channels: Channels, genes: Sequence[GeneModel], progress: Progress
) -> list[Section]:
    if not drawn:
        return []
    most = max(300, min(MOST_PER_LOCUS, VARIANTS_DRAWN // len(drawn)))
    parts = []
    for number_, each in enumerate(drawn, start=1):
        parts.append(locus_part(study, each, channels, genes, most))
        progress(number_, len(drawn), "loci")
    return [Section(anchor="locus-views", heading="Locus by locus", blocks=tuple(parts))]


def _downloads(
    study: Study,
    loci: Sequence[Locus] | None,
    found: Mapping[str, Any] | None,
    evaluation: Mapping[str, Any] | str,
    genes: Sequence[GeneModel],
) -> Section:
    files = []
    if loci:
        files.append(
            _file(
                "loci.csv",
                "the table of loci",
                pl.DataFrame([_plain(each, genes) for each in loci], infer_schema_length=None),
            )
        )
        sets = pl.concat([each.sets for each in loci])
        files.append(_file("credible_sets.csv", "credible sets", sets))
        variants = pl.concat([each.variants for each in loci]).filter(
            (pl.col("pip") >= LEAST_PIP) | (pl.col("set") > 0)
        )
        files.append(
            _file("variants.csv", f"variants of credible sets, or with a PIP of at least {LEAST_PIP}", variants)
        )
    if found is not None:
        files.append(enrichment_file(found))
    if not isinstance(evaluation, str):
        windows = pl.DataFrame(evaluation["windows"], infer_schema_length=None)
        files.append(_file("windows.csv", "held-out windows and their gain", windows))
    if not files:
        return Section(anchor="downloads", heading="Downloads", blocks=(Prose(text="None."),))
    return Section(anchor="downloads", heading="Downloads", blocks=(Downloads(files=tuple(files)),))


def _plain(locus: Locus, genes: Sequence[GeneModel]) -> dict[str, object]:
    best, pip = locus.best
    return {
        "lead": locus.name,
        "chrom": locus.chrom,
        "position": locus.position,
        "neg_log10_p": float(locus.y.max()),
        "genes": " ".join(named_genes(genes, locus.chrom, locus.position)),
        "n_sets": locus.sets.height,
        "best_variant": best,
        "best_pip": pip,
        **{name: value for name, value in locus.row.items() if name not in ("lead", "chrom")},
    }


def _file(name: str, about: str, table: pl.DataFrame) -> Download:
    plain = table.with_columns(pl.col(pl.String).map_elements(visible, return_dtype=pl.String))
    return Download(file_name=name, about=about, content=plain.write_csv(float_precision=6).encode())
