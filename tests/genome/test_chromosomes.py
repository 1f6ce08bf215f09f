"""Names and ranges of chromosomes, against the expression that reads them from tables."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varfx.errors import ConfigError
from varfx.genome.chromosomes import CHROMOSOMES, chrom_list, chrom_names, spelled, unknown_names
from varfx.genome.variants import chrom_expr

SPELLINGS = st.sampled_from(["", "chr", "Chr", "CHR", "chrom", "Chromosome_"]).flatmap(
    lambda prefix: st.one_of(
        st.integers(0, 40).map(str),
        st.integers(0, 40).map(lambda n: f"0{n}"),
        st.sampled_from(["X", "y", "M", "MT", "XY"]),
    ).map(lambda name: prefix + name)
)


@given(st.lists(SPELLINGS, max_size=5))
def test_names_are_spelled_as_in_tables(names: list[str]) -> None:
    table = pl.DataFrame({"c": names}, schema={"c": pl.String()})
    assert chrom_names(names) == tuple(table.select(chrom_expr("c"))["chrom"].to_list())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["20,21", 22], ("20", "21", "22")),
        (["1-3", "chr5", "x"], ("1", "2", "3", "5", "X")),
        (["chr9-chr11"], ("9", "10", "11")),
        (["2-2 2"], ("2",)),
        ([], ()),
    ],
)
def test_lists_have_ranges(given: list[object], expected: tuple[str, ...]) -> None:
    assert chrom_list(given) == expected


@pytest.mark.parametrize("text", ["5-3", "0-2", "20-25"])
def test_a_range_runs_upwards_within_the_autosomes(text: str) -> None:
    with pytest.raises(ConfigError, match=f"range {text} must run upwards within 1-22"):
        chrom_list([text])


OURS = {
    **dict.fromkeys(("1", "01", "1.0", "1.", "chr1", "CHR01", " chr1 ", "chr_1", '"1"', "NC_000001.10", "nc_000001.11"), "1"),
    **dict.fromkeys(("X", "x", "23", "23.0", "25", "XY", "PAR", "PAR2", "chrX", "X_nonPAR", "chrX_PAR1", "NC_000023.11", "CM000685.2"), "X"),
    **dict.fromkeys(("Y", "24", "chr24", "NC_000024.9", "CM000686.1"), "Y"),
    **dict.fromkeys(("MT", "M", "chrM", "26", "NC_012920.1", "J01415.2"), "MT"),
    "10": "10", "chr20": "20", "20.0": "20", "CM000663.2": "1", "NC_000022.10": "22",
}  # fmt: skip
CONTIGS = ["0", "chrUn", "GL000191.1", "chrUn_GL000220v1", "chr1_KI270706v1_random", "HLA-A*01:01", "chr6_apd_hap1"]
CONTIGS += ["hs37d5", "chrEBV", "NT_113878.1", "KI270728.1", "chr19_KV575249v1_alt"]
UNKNOWN = ["1p", "27", "p1", "chr1:100", "CHR", "rs1", "I", "NC_000067.6", "1.5", "", "-9"]


@pytest.mark.parametrize("name", OURS)
def test_every_spelling_of_a_chromosome(name: str) -> None:
    assert spelled(name) == OURS[name]
    assert not unknown_names([spelled(name)])


def test_contigs_are_known_as_such_and_other_names_are_not() -> None:
    assert not unknown_names(map(spelled, CONTIGS))
    assert not {spelled(name) for name in CONTIGS} & set(CHROMOSOMES)
    assert unknown_names(map(spelled, UNKNOWN)) == sorted({spelled(name) for name in UNKNOWN})


def test_a_table_has_the_same_rule_for_text_numbers_and_own_codes() -> None:
    column = pl.DataFrame({"c": [1.0, 23.0, None]})
    assert column.select(chrom_expr("c"))["chrom"].to_list() == ["1", "X", None]
    assert pl.DataFrame({"c": [1, 26]}).select(chrom_expr("c"))["chrom"].to_list() == ["1", "MT"]
    codes = {"25": "MT"}
    assert pl.DataFrame({"c": ["25"]}).select(chrom_expr("c", codes=codes))["chrom"].to_list() == ["MT"]
