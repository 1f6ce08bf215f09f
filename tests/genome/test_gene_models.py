"""Genes with exons from a GTF: the canonical transcript, strands, stretches, and damaged files."""

from __future__ import annotations

from pathlib import Path

import pytest

from cases.reports import write_gtf
from varfx.errors import FormatError
from varfx.genome.gene_models import read_gene_models


def test_genes_that_touch_a_stretch_with_the_exons_of_one_transcript(tmp_path: Path) -> None:
    path = write_gtf(tmp_path / "g.gtf")
    alpha, beta = read_gene_models(path, [("1", 50_000, 1_500_000)])
    assert (alpha.name, alpha.gene_id, alpha.strand, alpha.start, alpha.end) == (
        "ALPHA",
        "ENSGALPHA",
        "+",
        1_000,
        900_000,
    )
    assert alpha.exons == ((100_000, 100_500),)  # canonical, though A2 has more bases; A1 lies outside the stretch
    assert (beta.name, beta.strand, beta.exons) == ("BETA", "-", ())


def test_bounds_are_inclusive(tmp_path: Path) -> None:
    path = write_gtf(tmp_path / "g.gtf")
    assert [gene.name for gene in read_gene_models(path, [("2", 20_000, 30_000)])] == ["GAMMA"]
    assert read_gene_models(path, [("2", 20_001, 30_000)]) == []
    assert [gene.name for gene in read_gene_models(path, [("3", 1, 10_000), ("2", 1, 10_000)])] == ["GAMMA", "FAR"]


def test_without_marks_the_longest_transcript_stands_for_a_gene(tmp_path: Path) -> None:
    path = write_gtf(tmp_path / "g.gtf")
    path.write_text(path.read_text().replace("Ensembl_canonical", "other").replace("basic", "other"))
    alpha, _ = read_gene_models(path, [("1", 1, 2_000_000)])
    assert alpha.exons == ((5_000, 90_000),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# nothing\n", "has no `gene` rows"),
        ('chr1\tT\tgene\t5\tx\t.\t+\t.\tgene_id "a";\n', "line 1 is no GTF row"),
        ('chr1\tT\tgene\t5\t9\t.\t?\t.\tgene_id "a";\n', "line 1 is no GTF row"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "g.gtf").write_text(text)
    with pytest.raises(FormatError, match=message):
        read_gene_models(tmp_path / "g.gtf", [("1", 1, 100)])
