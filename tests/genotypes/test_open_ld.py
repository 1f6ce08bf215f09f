from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pgenlib
import pytest
from bed_reader import to_bed

from varfx.errors import ConfigError, FormatError
from varfx.genotypes.ldgm import Ldgm
from varfx.genotypes.open_ld import open_source
from varfx.genotypes.panel import GenotypePanel
from varfx.genotypes.ukb_ld import UkbLD, write_ukb_ld

STEM = "chr22_1_3000001"


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    """The same genotypes as `a.bed`, `b.1.bed`, `p.pgen`; their correlations as `ukb`; and an LDGM in `ldgm`."""
    counts = rng.integers(0, 3, (12, 6))
    counts[0], counts[1] = 0, 1
    people = {"iid": [f"i{i}" for i in range(12)]}
    for name, chrom in (("a", "22"), ("b.1", "1")):
        to_bed(
            tmp_path / f"{name}.bed",
            counts.astype(np.float32),
            properties={
                **people,
                "chromosome": [chrom] * 6,
                "bp_position": range(1, 7),
                "allele_1": ["A"] * 6,
                "allele_2": ["C"] * 6,
            },
        )
    with pgenlib.PgenWriter(str(tmp_path / "p.pgen").encode(), 12, variant_ct=6, nonref_flags=False) as writer:
        writer.append_biallelic_batch(np.ascontiguousarray(counts.T, dtype=np.int8))
    (tmp_path / "p.pvar").write_text(
        "#CHROM\tPOS\tID\tREF\tALT\n" + "".join(f"3\t{j}\trs{j}\tC\tA\n" for j in range(1, 7))
    )
    (tmp_path / "p.psam").write_text("#FID\tIID\n" + "".join(f"0\ti{i}\n" for i in range(12)))
    panel = open_source(tmp_path / "a.bed")
    assert isinstance(panel, GenotypePanel)
    (tmp_path / "ukb").mkdir()
    write_ukb_ld(tmp_path / "ukb", STEM, panel.variants, np.corrcoef(counts, rowvar=False))
    (tmp_path / "ldgm").mkdir()
    (tmp_path / "ldgm" / "metadata.csv").write_text(
        "chrom,chromStart,chromEnd,name,snplistName,population\n7,0,9,x.edgelist,x.snplist,EUR\n"
    )
    (tmp_path / "ldgm" / "x.edgelist").write_text("0,0,1\n1,1,1\n0,1,0.2\n")
    (tmp_path / "ldgm" / "x.snplist").write_text(
        "index,anc_alleles,deriv_alleles,EUR,site_ids,position\n0,A,G,0.004,rs1,1\n1,A,G,0.4,rs2,2\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("names", "kind", "chroms"),
    [
        (["a.bed"], GenotypePanel, ["22"]),
        (["a"], GenotypePanel, ["22"]),
        (["b.1"], GenotypePanel, ["1"]),
        (["p.pgen"], GenotypePanel, ["3"]),
        (["p"], GenotypePanel, ["3"]),
        (["a.bed", "b.1.bed"], GenotypePanel, ["1", "22"]),
        (["a.bed", "p", "b.1"], GenotypePanel, ["1", "3", "22"]),
        (["ukb"], UkbLD, ["22"]),
        (["ldgm"], Ldgm, ["7"]),
        (["ldgm/metadata.csv"], Ldgm, ["7"]),
    ],
)
def test_the_path_says_what_it_is(folder: Path, names: list[str], kind: type, chroms: list[str]) -> None:
    source = open_source([folder / name for name in names])
    assert isinstance(source, kind)
    assert source.variants["chrom"].unique(maintain_order=True).to_list() == chroms
    if len(names) == 1:
        assert open_source(str(folder / names[0])).variants.equals(source.variants)


def test_bed_pgen_and_exported_correlations_agree(folder: Path) -> None:
    bed, pgen, ukb = (open_source(folder / name) for name in ("a.bed", "p.pgen", "ukb"))
    assert isinstance(bed, GenotypePanel)
    assert isinstance(pgen, GenotypePanel)
    assert isinstance(ukb, UkbLD)
    X = bed.standardised(np.arange(6))
    assert np.array_equal(X, pgen.standardised(np.arange(6)))
    np.testing.assert_allclose(ukb.correlation(np.arange(6), np.arange(6))[0], X.T @ X / 12, atol=1e-6)


def test_options_reach_their_source(folder: Path) -> None:
    assert open_source(folder / "ldgm").variants.height == 1  # one of the two is rarer than 1 %
    assert open_source(folder / "ldgm", maf=0, population="EUR", num_people=9).num_people == 9
    assert open_source(folder / "ukb", num_people=100).num_people == 100
    assert open_source(folder / "a", keep=["i1", "i0", "i2"]).num_people == 3
    assert open_source(folder / "a", maf=0.499).variants.height < 6


@pytest.mark.parametrize(
    ("names", "options", "error", "match"),
    [
        ([], {}, ConfigError, r"no LD reference is given\. Give PREFIX\.bed"),
        (
            ["nothing"],
            {},
            ConfigError,
            r"nothing` is no LD reference that varfx knows, or does not exist\. Give PREFIX",
        ),
        (["x.vcf.gz"], {}, ConfigError, r"x\.vcf\.gz` is no LD reference that varfx knows"),
        (["nothing.bed"], {}, FormatError, r"nothing\.bim` cannot be read: No such file"),
        (["a", "./a"], {}, ConfigError, r"a` is given twice\. Give each file once\."),
        (["a", "ukb"], {}, ConfigError, r"ukb` cannot be combined with 1 other references\. Give it alone\."),
        (["ukb"], {"keep": ["i1"]}, ConfigError, r"`keep` chooses individuals, but `.*ukb` holds correlations\."),
        (["ukb"], {"population": "EUR"}, ConfigError, r"`population` is for LDGM, PRS-CS, but `.*ukb` is UKBB_LD\."),
        (
            ["a"],
            {"population": "EUR"},
            ConfigError,
            r"`population` is for matrices .* holds genotypes\. Leave it out\.",
        ),
        (["a"], {"num_people": 9}, ConfigError, r"`num_people` is for matrices .* holds genotypes\. Leave it out\."),
        (["empty"], {}, FormatError, r"empty` holds no UKBB_LD files"),
    ],
)
def test_wrong_paths_and_options(
    folder: Path, names: list[str], options: dict[str, object], error: type[Exception], match: str
) -> None:
    (folder / "empty").mkdir()
    (folder / "x.vcf.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(error, match=match):
        open_source([folder / name for name in names], **options)  # type: ignore[arg-type]


def test_a_prefix_of_both_kinds_is_ambiguous(folder: Path) -> None:
    (folder / "a.pgen").touch()
    with pytest.raises(ConfigError, match=r"a` is the prefix of a \.bed and of a \.pgen\. Give the ending too\."):
        open_source(folder / "a")
