"""Small VCF and FASTA files for tests, and strings of haplotypes made without varfx as their oracle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pysam

HEADER = (
    '##fileformat=VCFv4.2\n##FILTER=<ID=PASS,Description="p">\n##ALT=<ID=DEL,Description="d">\n'
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="g">\n##FORMAT=<ID=DP,Number=1,Type=Integer,Description="d">\n'
)


def write_vcf(
    path: Path, rows: Sequence[str], people: Sequence[str], contigs: Sequence[str] = ("22",), index: bool = True
) -> Path:
    """A bgzip VCF with its index; each row is `CHROM POS ID REF ALT FORMAT genotype...`, split by blanks."""
    text = HEADER + "".join(f"##contig=<ID={name}>\n" for name in contigs)
    text += "\t".join(("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *people)) + "\n"
    for row in rows:
        fields = row.split()
        text += "\t".join((*fields[:5], ".", ".", ".", *fields[5:])) + "\n"
    plain = path.with_suffix("")
    plain.write_text(text)
    pysam.tabix_compress(str(plain), str(path), force=True)
    plain.unlink()
    if index:
        pysam.tabix_index(str(path), preset="vcf", force=True)
    return path


def write_fasta(path: Path, sequences: dict[str, str], width: int = 60) -> Path:
    """A FASTA file, bgzip if the path ends in .gz, without an index."""
    lines = [
        line
        for name, bases in sequences.items()
        for line in (f">{name} some words", *(bases[i : i + width] for i in range(0, len(bases), width)))
    ]
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    plain.write_text("\n".join(lines) + "\n")
    if path.suffix == ".gz":
        pysam.tabix_compress(str(plain), str(path), force=True)
        plain.unlink()
    return path


def reverse_complement(bases: str) -> str:
    return bases[::-1].translate(str.maketrans("ACGTN", "TGCAN"))
