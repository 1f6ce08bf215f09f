"""Genes of loci: those to draw, and those to name in the table."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from varfx.errors import ConfigError
from varfx.genome.builds import build_name
from varfx.genome.gene_models import GeneModel, read_gene_models
from varfx.io.text_lines import numbered_lines
from varfx.pages.loci import Locus
from varfx.report.html.blocks import Columns

NEAR = 500_000  # bases from the lead
MOST_NAMED = 4
MOST_DRAWN = 60
CODING = "protein_coding"
_BUILDS = ("GRCh37", "GRCh38", "hg19", "hg38")


def genes_of_loci(path: Path | None, loci: Sequence[Locus], build: object) -> list[GeneModel]:
    """All genes that touch a locus or its surroundings; none where no file is given.

    Args:
        path: the GTF file.
        loci: the loci.
        build: that of the summary statistics, if known.

    Raises:
        FormatError: no GTF file.
        ConfigError: its header names another genome build than the study's.
    """
    if path is None or not loci:
        return []
    stated = _stated_build(path)
    if stated and isinstance(build, str) and build and build_name(build) != build_name(stated):
        raise ConfigError(
            f"`{path}` is of {stated}, the summary statistics of {build}. Give the genes of the study's build with --gtf."
        )
    around = [
        (each.chrom, max(1, int(each.variants["position"].min()) - NEAR), int(each.variants["position"].max()) + NEAR)  # type: ignore[arg-type]
        for each in loci
    ]
    return read_gene_models(path, around)


def _stated_build(path: Path) -> str:
    """The genome build that the comments above a GTF name; "" if none, or several."""
    comments = itertools.takewhile(lambda line: line[1].startswith(b"#"), numbered_lines(path))
    text = b"\n".join(line for _, line in itertools.islice(comments, 50)).decode("utf-8", "replace")
    named = {build_name(word) for word in _BUILDS if word in text}
    return named.pop() if len(named) == 1 else ""


def named_genes(genes: Sequence[GeneModel], chrom: str, position: int) -> list[str]:
    """Names of protein-coding genes (or of all where none is) within 500 kb of a lead, the nearest first."""
    near = [(distance(gene, position), gene) for gene in genes if gene.chrom == chrom]
    near = [pair for pair in near if pair[0] <= NEAR]
    coding = [pair for pair in near if pair[1].gene_type in (CODING, "")]
    return [gene.name for _, gene in sorted(coding or near, key=lambda pair: (pair[0], pair[1].name))]


def distance(gene: GeneModel, position: int) -> int:
    """Bases between a gene's body and a position; 0 within."""
    return max(gene.start - position, position - gene.end, 0)


def drawn_genes(genes: Sequence[GeneModel], chrom: str, first: int, last: int) -> tuple[Columns, Columns]:
    """Genes and exons to draw between two positions; protein-coding ones first where there are too many."""
    touching = [gene for gene in genes if gene.chrom == chrom and gene.start <= last and gene.end >= first]
    chosen = sorted(touching, key=lambda gene: (gene.gene_type not in (CODING, ""), -(gene.end - gene.start)))
    if len(chosen) > MOST_DRAWN or sum(gene.gene_type == CODING for gene in chosen) > MOST_DRAWN // 3:
        chosen = [gene for gene in chosen if gene.gene_type in (CODING, "")] or chosen
    shown = sorted(chosen[:MOST_DRAWN], key=lambda gene: (gene.start, gene.end))
    bodies: Mapping[str, list[object]] = {
        "start": [gene.start / 1e6 for gene in shown],
        "end": [gene.end / 1e6 for gene in shown],
        "name": [gene.name for gene in shown],
        "strand": [gene.strand for gene in shown],
    }
    pieces = [(k, start, end) for k, gene in enumerate(shown) for start, end in gene.exons]
    exons: Mapping[str, list[object]] = {
        "start": [start / 1e6 for _, start, _ in pieces],
        "end": [end / 1e6 for _, _, end in pieces],
        "gene": [k for k, _, _ in pieces],
    }
    return bodies, exons
