"""Genes with their exons in some stretches of the genome, from a GTF file: one transcript per gene, for drawing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from varfx.errors import FormatError
from varfx.genome.chromosomes import spelled
from varfx.genome.gtf import attributes, bare_gene_id, position_of
from varfx.io.text_lines import as_text, numbered_lines

# Which transcript stands for a gene, the best first; among equals the one with most bases in exons.
_CANONICAL = ("MANE_Select", "Ensembl_canonical", "appris_principal", "basic")


@dataclass(frozen=True, kw_only=True)
class GeneModel:
    """A gene: 1-based, inclusive bounds of its body and of the exons of one transcript."""

    gene_id: str
    name: str
    gene_type: str
    chrom: str
    strand: str
    start: int
    end: int
    exons: tuple[tuple[int, int], ...]


@dataclass
class _Found:
    """What a file says of a gene, while it is read."""

    gene: GeneModel
    ranks: dict[str, int] = field(default_factory=dict)  # of transcripts
    exons: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def model(self) -> GeneModel:
        def order(transcript: str) -> tuple[int, int]:
            return self.ranks[transcript], -sum(end - start + 1 for start, end in self.exons[transcript])

        best = min(self.exons, key=order, default=None)
        exons = () if best is None else tuple(sorted(self.exons[best]))
        g = self.gene
        return GeneModel(
            gene_id=g.gene_id,
            name=g.name,
            gene_type=g.gene_type,
            chrom=g.chrom,
            strand=g.strand,
            start=g.start,
            end=g.end,
            exons=exons,
        )


def read_gene_models(path: str | os.PathLike[str], stretches: Sequence[tuple[str, int, int]]) -> list[GeneModel]:
    """The genes that touch some stretches, in genome order.

    Args:
        path: GENCODE or Ensembl GTF, plain, gzip or zstd.
        stretches: chromosome without "chr", first and last 1-based position each.

    Raises:
        FormatError: no such file, damaged, no gene rows at all, or a row that is no GTF.
    """
    wanted = _by_chromosome(stretches)
    found: dict[str, _Found] = {}
    genes = 0
    for feature, chrom, start, end, strand, text in _rows(Path(path), wanted):
        genes += feature == "gene"
        if chrom not in wanted or not _touches(wanted[chrom], start, end):
            continue
        marks = attributes(text)
        gene_id = marks.get("gene_id", "")
        if not gene_id:
            continue
        if feature == "gene":
            kind = marks.get("gene_type", marks.get("gene_biotype", ""))
            found[gene_id] = _Found(
                GeneModel(
                    gene_id=bare_gene_id(gene_id),
                    name=marks.get("gene_name", gene_id),
                    gene_type=kind,
                    chrom=chrom,
                    strand=strand,
                    start=start,
                    end=end,
                    exons=(),
                )
            )
        elif gene_id in found:
            transcript = marks.get("transcript_id", "")
            found[gene_id].ranks.setdefault(transcript, _rank(text))
            found[gene_id].exons.setdefault(transcript, []).append((start, end))
    if not genes:
        raise FormatError(f"`{path}` has no `gene` rows. Give a GENCODE or Ensembl GTF (not GFF3, and with genes).")
    models = [each.model() for each in found.values()]
    return sorted(models, key=lambda gene: (gene.chrom, gene.start, gene.end, gene.gene_id))


def _rank(text: str) -> int:
    return next((number for number, word in enumerate(_CANONICAL) if word in text), len(_CANONICAL))


def _by_chromosome(stretches: Sequence[tuple[str, int, int]]) -> Mapping[str, np.ndarray]:
    by: dict[str, list[tuple[int, int]]] = {}
    for chrom, start, end in stretches:
        by.setdefault(chrom, []).append((start, end))
    return {chrom: np.array(bounds) for chrom, bounds in by.items()}


def _touches(bounds: np.ndarray, start: int, end: int) -> bool:
    return bool(((bounds[:, 0] <= end) & (bounds[:, 1] >= start)).any())


def _rows(path: Path, wanted: Mapping[str, np.ndarray]) -> Iterator[tuple[str, str, int, int, str, str]]:
    """Rows of genes, and of exons on wanted chromosomes: feature, chromosome, bounds, strand, attributes."""
    names: dict[str, str] = {}
    for number, line in numbered_lines(path):
        if line.startswith(b"#") or not (b"\tgene\t" in line or b"\texon\t" in line):
            continue
        fields = [part.strip() for part in as_text(line).split("\t")]
        if len(fields) > 2 and fields[2] not in ("gene", "exon"):
            continue
        start, end = (position_of(part) for part in fields[3:5]) if len(fields) > 4 else (None, None)
        if len(fields) < 9 or start is None or end is None or fields[6] not in ("+", "-"):
            raise FormatError(f"`{path}`: line {number} is no GTF row with start, end and strand. Check the file.")
        chrom = names.setdefault(fields[0], spelled(fields[0]))
        if fields[2] == "gene" or chrom in wanted:
            yield fields[2], chrom, start, end, fields[6], fields[8]
