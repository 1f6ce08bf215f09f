"""Chromosome lengths of the builds, and how a wrong one is named."""

from __future__ import annotations

import pytest

from varfx.errors import ConfigError
from varfx.genome.builds import (
    LENGTHS,
    build_name,
    build_of_contigs,
    builds_of,
    chromosome_name,
    known_build,
    wrong_length,
)


def test_lengths_add_up_to_the_published_totals() -> None:
    assert sum(LENGTHS["hg19"].values()) == 3_095_677_412
    assert sum(LENGTHS["hg38"].values()) == 3_088_269_832
    assert all(len(lengths) == 24 for lengths in LENGTHS.values())
    assert not set(LENGTHS["hg19"].values()) & set(LENGTHS["hg38"].values())  # any one chromosome tells them apart


@pytest.mark.parametrize(("text", "name"), [("hg19", "hg19"), ("GRCh37", "hg19"), ("b37", "hg19"), ("GRCH38", "hg38")])
def test_spellings_of_builds(text: str, name: str) -> None:
    assert build_name(text) == name


@pytest.mark.parametrize(
    ("text", "build"),
    [
        ("HG19/GRCh37", "hg19"), ("GRCh38.p14", "hg38"), ("hs37d5", "hg19"), ("b37", "hg19"), ("NCBI36", None), (None, None),
        ("lifted from hg19 to hg38", None), ("GRCh377", None),
    ],
)  # fmt: skip
def test_builds_in_free_text(text: object, build: str | None) -> None:
    assert known_build(text) == build


def test_contigs_by_length_before_assembly() -> None:
    line = "##contig=<ID={},length={},assembly={}>"
    assert build_of_contigs([line.format("chr22", 50_818_468, "b37")]) == "hg38"
    assert build_of_contigs(["##contig=<ID=22,assembly=GRCh37.p13>", "##x"]) == "hg19"
    assert build_of_contigs([line.format("22", 50_818_468, "x"), line.format("21", 48_129_895, "x")]) is None
    assert build_of_contigs([]) is None


def test_unknown_build() -> None:
    with pytest.raises(ConfigError, match=r"`build` must be hg19 \(GRCh37\) or hg38 \(GRCh38\), but is 'mm10'"):
        build_name("mm10")


@pytest.mark.parametrize(
    ("text", "name"),
    [("chr9", "9"), ("9", "9"), ("chr09", "9"), ("chrX", "X"), ("y", "Y"), ("23", "X"), ("chrM", None), ("MT", None)]
    + [("chr1_gl000191_random", None), ("chrUn_KI270302v1", None), ("chr", None)],
)
def test_names_of_chromosomes(text: str, name: str | None) -> None:
    assert chromosome_name(text) == name


def test_lengths_identify_the_build() -> None:
    assert builds_of({"9": 138_394_717}) == ("hg38",)
    assert builds_of({"9": 141_213_431, "22": 51_304_566}) == ("hg19",)
    assert builds_of({"9": 141_213_431, "22": 50_818_468}) == ()
    assert wrong_length({"9": 141_213_431}, "hg19") is None
    assert wrong_length({"22": 51_304_566, "9": 138_394_717}, "hg19") == (
        "chromosome 9 has 138394717 bases, which is its length in hg38, where hg19 has 141213431 "
        "(1 of 2 chromosomes differ)"
    )
    assert "its length in neither hg19 nor hg38" in str(wrong_length({"9": 5}, "hg19"))
