"""The table of annotations, its file, and picking variants from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varfx.annotations import Annotations, read_annotations
from varfx.errors import DataError, StoreError
from varfx.genome.variants import SCHEMA


def annotations() -> Annotations:
    table = pl.DataFrame(
        {
            "chrom": ["1", "1", "1", "X"],
            "position": [100, 200, 200, 300],
            "variant_id": ["rs1", None, "rs3", "rs4"],
            "effect_allele": ["A", "C", "C", "G"],
            "other_allele": ["G", "A", "T", "GTA"],
            "eaf": pl.Series([0.25, 0.5, 0.75, None], dtype=pl.Float32),
            "peak": pl.Series([1, 0, None, 1], dtype=pl.Float32),
        }
    )
    return Annotations(table=table, metadata={"provenance": {"made": "here"}})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "A.annot.parquet"
    annotations().write(path)
    again = read_annotations(path)
    assert again.table.equals(annotations().table)
    assert again.channels == ("eaf", "peak")
    assert again.metadata == {"provenance": {"made": "here"}}


def test_a_flipped_byte_and_another_kind_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "A.annot.parquet"
    annotations().write(path)
    content = bytearray(path.read_bytes())
    content[50] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is damaged: its checksum"):
        read_annotations(path)
    annotations().table.write_parquet(path)
    with pytest.raises(StoreError, match="was not written by varfx"):
        read_annotations(path)


def test_variants_are_found_by_position_and_alleles_in_either_order() -> None:
    wanted = pl.DataFrame(
        {
            "chrom": ["X", "1", "1", "1"],
            "position": [300, 200, 100, 200],
            "effect_allele": ["GTA", "T", "A", "C"],
            "other_allele": ["G", "C", "G", "A"],
        }
    )
    values, missing = annotations().select(wanted)
    assert values.dtype == np.float32
    # eaf is turned where the effect allele is the other one; peak never
    np.testing.assert_array_equal(values, [[np.nan, 1], [0.25, np.nan], [0.25, 1], [0.5, 0]])
    np.testing.assert_array_equal(missing, np.isnan(values))


def test_variants_without_a_row_are_refused_or_missing() -> None:
    wanted = annotations().table.with_columns(
        position=pl.Series([100, 201, 200, 300]), other_allele=pl.Series(["C", "A", "T", "GTA"])
    )
    with pytest.raises(DataError, match=r"`variants`: no annotations in 2 of 4 rows, first row 1 \(rs1, 1:100 A/C\)"):
        annotations().select(wanted)
    values, missing = annotations().select(wanted, absent="missing")
    np.testing.assert_array_equal(missing.all(axis=1), [True, True, False, False])
    assert np.isnan(values[:2]).all()
    # another strand is another variant here
    strand = pl.DataFrame({"chrom": ["1"], "position": [100], "effect_allele": ["T"], "other_allele": ["C"]})
    with pytest.raises(DataError, match="no annotations in 1 of 1 rows"):
        annotations().select(strand)


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(4)), st.lists(st.booleans(), min_size=4, max_size=4))
def test_order_and_orientation_follow_the_wanted_variants(order: list[int], exchange: list[bool]) -> None:
    table = annotations().table[order]
    swap = pl.Series(exchange)
    wanted = table.with_columns(
        effect_allele=pl.when(swap).then("other_allele").otherwise("effect_allele"),
        other_allele=pl.when(swap).then("effect_allele").otherwise("other_allele"),
    )
    values, _ = annotations().select(wanted)
    eaf = table["eaf"].fill_null(np.nan).to_numpy()
    np.testing.assert_array_equal(values[:, 0], np.where(exchange, 1 - eaf, eaf))
    np.testing.assert_array_equal(values[:, 1], table["peak"].fill_null(np.nan).to_numpy())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pl.col("peak").cast(pl.Float64), r"1 of 2 channels are not Float32, first `peak` \(Float64\)"),
        (pl.lit(np.nan, pl.Float32).alias("peak"), r"channel `peak` is not finite in 4 of 4 rows"),
        (pl.lit(np.inf, pl.Float32).alias("peak"), r"channel `peak` is not finite in 4 of 4 rows"),
        (pl.lit(1, pl.Float32).alias("peak.missing"), r"1 channel names end in .missing, first `peak.missing`"),
        (pl.lit("T").alias("other_allele"), r"the same variant stands more than once in 2 of 4 rows, first row 2"),
        (pl.col("position").cast(pl.Int32), r"the first columns must be chrom, position"),
    ],
)
def test_impossible_tables_are_refused(change: pl.Expr, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Annotations(table=annotations().table.with_columns(change))


def test_empty_tables_are_refused() -> None:
    with pytest.raises(DataError, match="holds 0 variants and 2 channels"):
        Annotations(table=annotations().table[:0])
    with pytest.raises(DataError, match="holds 4 variants and 0 channels"):
        Annotations(table=annotations().table.drop("eaf", "peak"))
    with pytest.raises(DataError, match="the first columns must be"):
        Annotations(table=pl.DataFrame(schema=SCHEMA).drop("position"))
