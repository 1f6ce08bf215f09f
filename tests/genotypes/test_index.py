"""Indices of another version of their file are refused: VCF by .tbi and .csi, BCF by .csi; right ones are not."""

from __future__ import annotations

import gzip
import os
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path

import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.donors import write_vcf
from varfx.errors import FormatError
from varfx.genotypes.donors import open_donors
from varfx.genotypes.index import check_index

PEOPLE = ("x", "y")
LONG = [f"22 {position} rs{position} A C GT 0/1 1/1" for position in range(10, 4_000)]


def variant_file(path: Path, rows: Sequence[str], *, contigs: Sequence[str] = ("21", "22"), csi: bool = False) -> Path:
    """A VCF or BCF with an index of its own."""
    vcf = write_vcf(path.with_suffix(".vcf.gz") if path.suffix == ".bcf" else path, rows, PEOPLE, contigs, index=False)
    if path.suffix == ".bcf":
        with pysam.VariantFile(str(vcf)) as source, pysam.VariantFile(str(path), "wb", header=source.header) as copy:
            for record in source:
                copy.write(record)
        vcf.unlink()
    preset = "bcf" if path.suffix == ".bcf" else "vcf"
    pysam.tabix_index(str(path), preset=preset, force=True, csi=csi)
    return path


@pytest.mark.parametrize(("name", "ending"), [("a.vcf.gz", ".tbi"), ("a.vcf.gz", ".csi"), ("a.bcf", ".csi")])
@pytest.mark.parametrize(
    ("earlier", "what"),
    [
        (LONG[:2000], "the records of the two end elsewhere"),
        (LONG[:1], "the records of the two end elsewhere"),
        (["21 5 . A C GT 0/0 0/1", *LONG], "(21|a contig) begins elsewhere"),
        ([*LONG, *(row.replace("22 ", "22 5", 1) for row in LONG)], "the records of the two end elsewhere"),
    ],
)
def test_an_index_of_another_version(tmp_path: Path, name: str, ending: str, earlier: list[str], what: str) -> None:
    path = variant_file(tmp_path / name, LONG, csi=ending == ".csi")
    check_index(path, ending)
    assert open_donors(path).read("22", 0, 4_000).variants.height == len(LONG)
    (tmp_path / "old").mkdir()
    rows = sorted(earlier, key=lambda row: (row.split()[0], int(row.split()[1])))
    old = variant_file(tmp_path / "old" / name, rows, csi=ending == ".csi")
    shutil.copy(f"{old}{ending}", f"{path}{ending}")
    with pytest.raises(FormatError, match=rf"{ending}` does not belong to `.*{name}`: {what}\. .*Make the index anew"):
        open_donors(path)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["21", "22"]), st.integers(1, 400_000_000)), min_size=1, max_size=40),
    st.booleans(),
)
def test_an_index_of_the_file_always_fits(
    tmp_path_factory: pytest.TempPathFactory, places: list[tuple[str, int]], csi: bool
) -> None:
    folder = tmp_path_factory.mktemp("index")
    rows = [f"{chrom} {position} . A C GT 0/1 1/1" for chrom, position in sorted(places)]
    check_index(variant_file(folder / "a.vcf.gz", rows, csi=csi), ".csi" if csi else ".tbi")
    check_index(variant_file(folder / "b.bcf", rows), ".csi")


def test_a_damaged_index(tmp_path: Path) -> None:
    path = variant_file(tmp_path / "a.vcf.gz", LONG)
    Path(f"{path}.tbi").write_bytes(b"TBI\1\5\0\0\0")
    with pytest.raises(FormatError, match=r"a\.vcf\.gz\.tbi` cannot be read\. Make the index anew"):
        check_index(path, ".tbi")


def test_a_damaged_index_is_refused_before_htslib_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from varfx.genotypes.vcf import VcfFile

    path = variant_file(tmp_path / "a.vcf.gz", LONG)
    index = Path(f"{path}.tbi")
    content = bytearray(gzip.decompress(index.read_bytes()))
    content[36 + 6 : 36 + 10] = b"\xff\xff\xff\x7f"  # bins of the first contig, after two names
    index.write_bytes(gzip.compress(bytes(content)))
    os.utime(path, (10**9, 10**9))
    monkeypatch.setattr(VcfFile, "_open", lambda _: pytest.fail("htslib was given the index"))
    with pytest.raises(FormatError, match=r"a\.vcf\.gz\.tbi` cannot be read\. Make the index anew"):
        VcfFile(path)


def test_a_contig_that_begins_beyond_any_file(tmp_path: Path) -> None:
    path = variant_file(tmp_path / "a.vcf.gz", LONG)
    index = Path(f"{path}.tbi")
    content = bytearray(gzip.decompress(index.read_bytes()))
    first = content.index(struct.pack("<I", 4681), 36)  # the bin of the first 16 kb
    content[first + 8 : first + 16] = b"\xff\xff\xff\xff\xff\xff\xff\x7f"
    index.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(FormatError, match=r"begins elsewhere|cannot be read"):
        check_index(path, ".tbi")
