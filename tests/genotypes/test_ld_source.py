from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varfx.genome.variants import SCHEMA
from varfx.genotypes.ld_source import PositionIndex, genome_ordered, without_duplicates


def sites(rows: list[tuple[str, int, str, str]]) -> pl.DataFrame:
    chrom, position, effect, other = zip(*rows, strict=True)
    return pl.DataFrame(
        {
            "chrom": chrom,
            "position": position,
            "variant_id": [f"v{number}" for number in range(len(rows))],
            "effect_allele": effect,
            "other_allele": other,
            "eaf": [0.5] * len(rows),
        },
        schema=SCHEMA,
    )


@given(
    st.lists(st.tuples(st.sampled_from(["1", "2", "X"]), st.integers(1, 30)), min_size=1, max_size=30),
    st.integers(0, 30),
    st.integers(0, 12),
    st.integers(0, 12),
)
def test_select_is_the_plain_definition(places: list[tuple[str, int]], start: int, length: int, flank: int) -> None:
    table, _ = genome_ordered(sites([(chrom, position, "A", "C") for chrom, position in places]))
    core, panel = PositionIndex(table).select("2", start, start + length, flank)
    zero_based = table["position"].to_numpy() - 1
    here = (table["chrom"] == "2").to_numpy()
    assert core.tolist() == np.flatnonzero(here & (zero_based >= start) & (zero_based < start + length)).tolist()
    wide = here & (zero_based >= start - flank) & (zero_based < start + length + flank)
    assert panel.tolist() == np.flatnonzero(wide).tolist()


def test_copies_are_told_by_position_and_unordered_alleles() -> None:
    table = sites(
        [
            ("1", 5, "A", "C"),
            ("1", 5, "C", "A"),
            ("1", 5, "A", "G"),
            ("2", 5, "A", "C"),
            ("1", 6, "A", "C"),
            ("1", 5, "A", "C"),
        ]
    )
    kept, dropped = without_duplicates(table)
    assert kept["variant_id"].to_list() == ["v0", "v2", "v3", "v4"]
    assert dropped == 2
    assert kept.columns == table.columns


def test_genome_order_carries_the_other_columns_along() -> None:
    table = sites([("10", 1, "A", "C"), ("2", 9, "A", "C"), ("2", 8, "A", "C"), ("X", 1, "A", "C")])
    ordered, rest = genome_ordered(table.with_columns(row=pl.int_range(4)))
    assert ordered["variant_id"].to_list() == ["v2", "v1", "v0", "v3"]
    assert rest["row"].to_list() == [2, 1, 0, 3]
    assert rest.columns == ["row"]
    assert ordered.schema == pl.Schema(SCHEMA)


@pytest.mark.parametrize("chrom", ["3", ""])
def test_an_unknown_chromosome_has_no_variants(chrom: str) -> None:
    core, panel = PositionIndex(sites([("1", 5, "A", "C")])).select(chrom, 0, 100, 10)
    assert core.size == panel.size == 0
