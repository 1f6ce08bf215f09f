"""Genes of GTF files: TSS by strand, ids, both spellings of the gene type, and files that are something else."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from varfx.errors import FormatError
from varfx.genome.gtf import SCHEMA, bare_gene_id, read_gtf

LINES = [
    '##description: evidence-based annotation\n',
    'chr1\tHAVANA\tgene\t100\t900\t.\t+\t.\tgene_id "ENSG00000000001.12"; gene_type "lincRNA"; gene_name "LINC1"; tag "a"; tag "b";\n',
    'chr1\tHAVANA\ttranscript\t50\t950\t.\t+\t.\tgene_id "ENSG00000000001.12"; transcript_id "ENST1.1"; gene_type "lincRNA";\n',
    'chrX\tENSEMBL\tgene\t2000\t5000\t.\t-\t.\tgene_id "ENSG00000000002.3"; gene_type "protein_coding"; gene_name "CODING";\n',
    'chrY\tENSEMBL\tgene\t2000\t5000\t.\t-\t.\tgene_id "ENSG00000000002.3_PAR_Y"; gene_type "protein_coding"; gene_name "CODING";\n',
    'chrY\tENSEMBL\tgene\t2000\t5000\t.\t-\t.\tgene_id "ENSGR0000000002.3"; gene_type "protein_coding"; gene_name "CODING";\n',
    '2\tensembl\tgene\t7\t70\t.\t-\t.\tgene_id "ENSG00000000003"; gene_version "5"; gene_biotype "protein_coding";\n',
]  # fmt: skip


def write(folder: Path, lines: list[str], name: str = "genes.gtf") -> Path:
    path = folder / name
    path.write_text("".join(lines))
    return path


@pytest.mark.parametrize("compressed", [False, True])
def test_the_tss_is_the_start_on_plus_and_the_end_on_minus(tmp_path: Path, compressed: bool) -> None:
    path = write(tmp_path, LINES)
    if compressed:
        (tmp_path / "genes.gtf.gz").write_bytes(gzip.compress(path.read_bytes()))
        path = tmp_path / "genes.gtf.gz"
    genes = read_gtf(path)
    assert dict(genes.schema) == SCHEMA
    assert genes.rows() == [
        ("ENSG00000000001", "LINC1", "lincRNA", "1", "+", 100),
        ("ENSG00000000002", "CODING", "protein_coding", "X", "-", 5000),
        ("ENSG00000000003", "ENSG00000000003", "protein_coding", "2", "-", 70),
    ]


def test_the_last_line_needs_no_newline(tmp_path: Path) -> None:
    assert read_gtf(write(tmp_path, [LINES[1].rstrip("\n")])).height == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "has no `gene` rows"),
        ([LINES[2]], "has no `gene` rows"),
        (["chr1\tx\tgene\t1\t9\t.\t+\t.\tID=gene1;Name=A\n"], "not GFF3"),
        ([LINES[1], LINES[1].replace("12", "13")], "1 genes are listed twice, first ENSG00000000001"),
        ([LINES[0], LINES[1].replace("\t100\t", "\tone\t")], "line 2 is no GTF row"),
        ([LINES[1].replace("\t+\t", "\t.\t")], "line 1 is no GTF row"),
    ],
)
def test_files_of_another_kind(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_gtf(write(tmp_path, lines))


def test_a_truncated_file_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "cut.gtf.gz").write_bytes(gzip.compress("".join(LINES * 50).encode())[:-30])
    with pytest.raises(FormatError, match="truncated"):
        read_gtf(tmp_path / "cut.gtf.gz")
    with pytest.raises(FormatError, match="cannot be read"):
        read_gtf(tmp_path / "absent.gtf")


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('gene_name "A"; gene_type "x"; gene_id "ENSG1.2"', ("ENSG1", "A", "x")),
        ('ref_gene_id "ENSG9.1"; gene_id "ENSG1.2"; gene_biotype "x"; gene_name "A";', ("ENSG1", "A", "x")),
        ('gene_id "ENSG1.2"; note "a; gene_name "; gene_name "A"; gene_type "x"; gene_type "y";', ("ENSG1", "A", "x")),
        ("gene_id ENSG1.2; gene_type x; gene_name A;", ("ENSG1", "A", "x")),
        ("gene_id 'ENSG1.2'; gene_type 'x'; gene_name 'A';", ("ENSG1", "A", "x")),
        ('"gene_id ""ENSG1.12_4""; gene_type ""x""; gene_name ""A"";"', ("ENSG1", "A", "x")),
        ('gene_id "ENSG1.2"; mygene_name "B"; gene_type "x";', ("ENSG1", "ENSG1.2", "x")),
        ('gene_id "STRG.12_4"; gene_type "x"; gene_name "A";', ("STRG.12_4", "A", "x")),
    ],
)
def test_attributes_in_any_order_and_quoting(tmp_path: Path, attributes: str, expected: tuple[str, ...]) -> None:
    row = read_gtf(write(tmp_path, [f"chr1\tH\tgene\t100\t900\t.\t+\t.\t{attributes}\n"])).row(0)
    assert row[:3] == expected


def gene_row(gene: str, chrom: str, start: int) -> str:
    return f'{chrom}\tH\tgene\t{start}\t{start + 9}\t.\t+\t.\tgene_id "{gene}"; gene_type "x";\n'


def test_copies_of_a_gene(tmp_path: Path) -> None:
    copies = [gene_row("ENSG1.6", "chrY", 5), gene_row("ENSG1.12_4", "chrX", 7), gene_row("ENSG2.1", "chrY", 9)]
    for order in (copies, copies[::-1]):
        genes = read_gtf(write(tmp_path, order)).sort("gene_id")
        assert genes.select("gene_id", "chrom", "tss").rows() == [("ENSG1", "X", 7), ("ENSG2", "Y", 9)]
    elsewhere = write(tmp_path, [gene_row("ENSG1.6", "chr21", 5), gene_row("ENSG1.12_4", "chr22", 7)])
    with pytest.raises(FormatError, match=r"1 genes are listed twice, first ENSG1 \(21:5 and 22:7\)"):
        read_gtf(elsewhere)
    assert read_gtf(elsewhere, chroms={"ENSG1": "22"})["tss"].to_list() == [7]
    with pytest.raises(FormatError, match="1 genes are listed twice"):
        read_gtf(elsewhere, chroms={"ENSG1": "3"})


@pytest.mark.parametrize(
    ("gene", "bare"),
    [("ENSG1.12_4", "ENSG1"), ("ENSG1.3", "ENSG1"), ("ENSG1", "ENSG1"), ("MSTRG.3", "MSTRG.3"), ("A.1.2", "A.1.2")],
)
def test_ids_without_version(gene: str, bare: str) -> None:
    assert bare_gene_id(gene) == bare


@pytest.mark.shared_data
def test_gencode_19(shared_data: Path) -> None:
    genes = read_gtf(shared_data / "genes/gencode.v19.annotation.chr22.gtf.gz")
    assert genes["chrom"].unique().to_list() == ["22"]
    assert genes.height == genes["gene_id"].n_unique() > 1000
    comt = genes.filter(genes["name"] == "COMT").row(0, named=True)
    assert (comt["gene_id"], comt["strand"], comt["tss"]) == ("ENSG00000093010", "+", 19929130)
