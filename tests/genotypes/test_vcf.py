from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import numpy as np
import pysam
import pysam.bcftools
import pytest

from cases.donors import write_vcf
from varfx.errors import FormatError
from varfx.genotypes.vcf import VcfFile

ROWS = (
    "22 100 rs1 a G GT 0|1 1/1 ./.",
    "22 200 . AC a,<DEL> GT:DP 0|2:1 1/0:2 .|1:3",
    "22 300 rs3 C . GT 0|0 0/0 0",
    "22 400 rs4 G T DP 1 2 3",
    "chr21 400 rs5 G T GT 1 0 .",
)


def write_bcf(path: Path) -> Path:
    bcf = path.with_name("a.bcf")
    pysam.bcftools.view("--output-type", "b", "--output", str(bcf), str(path), catch_stdout=False)
    pysam.bcftools.index(str(bcf))
    return bcf


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_vcf(tmp_path / "a.vcf.gz", ROWS, "xyz", contigs=("22", "chr21", "7"))


def test_records_are_those_of_the_file_in_capitals(path: Path) -> None:
    file = VcfFile(path)
    assert (file.people, file.chroms, file.lengths) == (("x", "y", "z"), ("22", "21"), {})
    records = list(file.records("22", 0, 1000))
    assert [(r.position, r.variant_id, r.ref, r.alts) for r in records] == [
        (100, "rs1", "A", ("G",)),
        (200, None, "AC", ("A", "<DEL>")),
        (300, "rs3", "C", ()),
        (400, "rs4", "G", ("T",)),
    ]
    assert records[0].alleles.tolist() == [[0, 1], [1, 1], [-1, -1]]
    assert records[0].phased.tolist() == [True, False, False]
    assert records[1].alleles.tolist() == [[0, 2], [1, 0], [-1, 1]]
    assert records[3].alleles.shape == (3, 0)
    assert [r.alleles.tolist() for r in file.records("21", 0, 1000)] == [[[1], [0], [-1]]]


def test_regions_are_half_open_and_include_what_reaches_into_them(path: Path) -> None:
    file = VcfFile(path)
    for region, positions in (((99, 100), [100]), ((100, 199), []), ((200, 201), [200]), ((201, 300), [300])):
        assert [record.position for record in file.records("22", *region)] == positions
    assert list(file.records("21", 0, 10)) == []
    assert len(list(pickle.loads(pickle.dumps(file)).records("22", 0, 1000))) == 4


def test_bcf_is_the_same(path: Path) -> None:
    one, two = VcfFile(path), VcfFile(write_bcf(path))
    assert two.people == one.people
    for chrom in ("21", "22"):
        for first, second in zip(one.records(chrom, 0, 1000), two.records(chrom, 0, 1000), strict=True):
            assert (first.position, first.ref, first.alts) == (second.position, second.ref, second.alts)
            assert np.array_equal(first.alleles, second.alleles)


def test_lengths_of_the_header(tmp_path: Path) -> None:
    path = write_vcf(tmp_path / "a.vcf.gz", ROWS[:1], "xyz")
    text = gzip.decompress(path.read_bytes()).decode().replace("<ID=22>", "<ID=22,length=51304566>")
    (tmp_path / "b.vcf").write_text(text)
    pysam.tabix_index(str(tmp_path / "b.vcf"), preset="vcf", force=True)
    assert VcfFile(tmp_path / "b.vcf.gz").lengths == {"22": 51304566}


def test_files_that_cannot_be_read_are_one_line_errors(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    index = Path(f"{path}.tbi").read_bytes()

    def refuse(name: str, data: bytes | None, match: str, tbi: bytes | None = index) -> None:
        if data is not None:
            (tmp_path / name).write_bytes(data)
        if tbi is not None:
            (tmp_path / f"{name}.tbi").write_bytes(tbi)
        with pytest.raises(FormatError, match=match) as caught:
            VcfFile(tmp_path / name)
        assert "\n" not in str(caught.value)

    refuse("none.vcf.gz", None, r"none\.vcf\.gz` cannot be read: No such file or directory\.")
    refuse("cut.vcf.gz", content[:-28], r"is truncated: the block that ends a bgzip file is missing\.")
    refuse("half.vcf.gz", content[: len(content) // 2], r"is truncated")
    refuse("empty.vcf.gz", b"", r"is not compressed")
    refuse("plain.vcf.gz", gzip.decompress(content), r"is not compressed, .*Compress it with `bgzip`\.")
    refuse("gz.vcf.gz", gzip.compress(gzip.decompress(content)), r"compressed with gzip, not bgzip")
    refuse("bare.vcf.gz", content, r"no index \(\.tbi or \.csi\) beside it.*`tabix -p vcf bare\.vcf\.gz`", tbi=None)
    refuse("index.vcf.gz", content, r"index\.vcf\.gz\.tbi` cannot be read\. Make the index anew\.", tbi=b"nothing")
    refuse(
        "sites.vcf.gz",
        write_vcf(tmp_path / "s.vcf.gz", ["22 1 . A C"], ()).read_bytes(),
        r"with individuals' genotypes\. Check its",
    )


@pytest.mark.parametrize("name", ["a.vcf.gz", "a.bcf"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pysam, closing a damaged file
def test_a_damaged_block_is_no_silent_end(tmp_path: Path, rng: np.random.Generator, name: str) -> None:
    genotypes = np.array(["0|0", "0|1", "1|1"])[rng.integers(0, 3, (3000, 40))]
    rows = [f"22 {100 + 10 * k} rs{k} A C GT {' '.join(row)}" for k, row in enumerate(genotypes)]
    path = write_vcf(tmp_path / "a.vcf.gz", rows, [f"p{i}" for i in range(40)])
    if name.endswith("bcf"):
        path = write_bcf(path)
    assert len(list(VcfFile(path).records("22", 0, 1_000_000))) == 3000
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"is damaged: a record cannot be read\. Fetch it again"):
        list(VcfFile(path).records("22", 0, 1_000_000))
