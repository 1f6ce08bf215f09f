"""Damaged headers of BCF files, at some of which htslib ends the process, are one line of ours."""

from __future__ import annotations

import gzip
from pathlib import Path

import pysam
import pytest

from cases.donors import write_vcf
from torture.mutate import bgzf
from varfx.errors import FormatError
from varfx.genotypes.vcf import VcfFile


@pytest.fixture
def bcf(tmp_path: Path) -> Path:
    """A file of stored blocks: a changed byte moves no other, and the index still fits."""
    rows = [f"22 {100 + 13 * k} rs{k} A G GT 0|1 1|1" for k in range(5)]
    write_vcf(tmp_path / "a.vcf.gz", rows, ["S0", "S1"])
    path = tmp_path / "a.bcf"
    with (
        pysam.VariantFile(str(tmp_path / "a.vcf.gz")) as source,
        pysam.VariantFile(str(path), "wb", header=source.header) as target,
    ):
        for record in source:
            target.write(record)
    path.write_bytes(bgzf(gzip.decompress(path.read_bytes())))
    pysam.tabix_index(str(path), preset="bcf", force=True, csi=True)
    return path


def changed(path: Path, old: bytes, new: bytes) -> Path:
    content = gzip.decompress(path.read_bytes())
    assert old in content
    assert len(old) == len(new)
    path.write_bytes(bgzf(content.replace(old, new, 1)))
    return path


def test_an_undamaged_file_is_read(bcf: Path) -> None:
    file = VcfFile(bcf)
    assert file.chroms == ("22",)
    assert [record.variant_id for record in file.records("22", 0, 1000)] == [f"rs{k}" for k in range(5)]


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (b"##contig=<ID", b"##contig=<\xc9D", "the line of contig 1 cannot be parsed"),
        (b",IDX=0>\n#CHROM", b",I@X=0>\n#CHROM", "the line of contig 1 cannot be parsed"),
        (b",IDX=0>\n#CHROM", b",IDX=7>\n#CHROM", "contigs are not numbered from 0 without gaps"),
        (b"##contig", b"##cgntig", "it names no contig"),
        (b"BCF\x02", b"BCF\x05", "does not begin like BCF"),
    ],
)
def test_a_damaged_header_is_refused(bcf: Path, old: bytes, new: bytes, match: str) -> None:
    with pytest.raises(FormatError, match=rf"a\.bcf` is no BCF, or its header is damaged: .*{match}"):
        VcfFile(changed(bcf, old, new))


def test_an_allele_that_is_no_text_is_damage(bcf: Path) -> None:
    with pytest.raises(FormatError, match="a record cannot be read"):
        list(VcfFile(changed(bcf, b"\x17A\x17G", b"\x17A\x17\x80")).records("22", 0, 1000))
