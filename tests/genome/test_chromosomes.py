"""Names and ranges of chromosomes, against the expression that reads them from tables."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varfx.errors import ConfigError
from varfx.genome.chromosomes import chrom_list, chrom_names
from varfx.genome.variants import chrom_expr

SPELLINGS = st.sampled_from(["", "chr", "Chr", "CHR"]).flatmap(
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
