"""Cores tile the genome."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varfx.errors import ConfigError
from varfx.genome.variants import in_genome_order
from varfx.genotypes.ld_source import PositionIndex
from varfx.ld import Core
from varfx.ld.windows import core_of_name, tile

PLACES = st.lists(st.tuples(st.sampled_from(["1", "2", "10", "X"]), st.integers(1, 5000)), min_size=1, max_size=60)


def variants_at(places: list[tuple[str, int]]) -> pl.DataFrame:
    return in_genome_order(pl.DataFrame(places, schema={"chrom": pl.String, "position": pl.Int64}, orient="row"))


@given(places=PLACES, core=st.integers(1, 3000), flank=st.integers(0, 3000))
def test_each_variant_is_core_exactly_once_with_its_flank(places: list[tuple[str, int]], core: int, flank: int) -> None:
    variants = variants_at(places)
    index = PositionIndex(variants)
    seen = []
    for cell in tile(variants, core):
        assert cell.end - cell.start == core
        assert cell.start % core == 0
        rows, panel = index.select(cell.chrom, cell.start, cell.end, flank)
        assert rows.size > 0
        seen += rows.tolist()
        near = (pl.col("position") > cell.start - flank) & (pl.col("position") <= cell.end + flank)
        expected = variants.with_row_index("row").filter((pl.col("chrom") == cell.chrom) & near)["row"]
        assert panel.tolist() == expected.to_list()
    assert seen == list(range(variants.height))


def test_bounds_are_half_open_and_zero_based() -> None:
    cores = tile(variants_at([("1", 1), ("1", 1000), ("1", 1001), ("2", 5000)]), 1000)
    assert cores == [Core("1", 0, 1000), Core("1", 1000, 2000), Core("2", 4000, 5000)]
    assert cores[1].name == "chr1_1000_2000"
    assert [core_of_name(core.name) for core in cores] == cores
    assert [core.overlaps(Core("1", 999, 1500)) for core in cores] == [True, True, False]


def test_chromosomes_come_in_genome_order() -> None:
    assert [core.chrom for core in tile(variants_at([("X", 1), ("10", 1), ("2", 1)]), 10)] == ["2", "10", "X"]


@pytest.mark.parametrize("core", [0, -5])
def test_cores_have_a_length(core: int) -> None:
    with pytest.raises(ConfigError, match=f"`core` must be a positive number of bases, got {core}"):
        tile(variants_at([("1", 1)]), core)


@pytest.mark.parametrize("chrom", ["../../x", "1_0_1000/../../../../x", "/x", "a\0b", "HLA*01:01", "GL000192.1", "%41"])
def test_a_chromosome_from_a_file_does_not_choose_a_path(chrom: str) -> None:
    core = Core(chrom, 0, 1000)
    assert not {"/", "\0"} & set(core.name)
    assert core.name not in (".", "..")
    assert core_of_name(core.name) == core
    assert Core("HLA*01:01", 5, 9).name == "chrHLA*01:01_5_9"  # as in panels that are there
