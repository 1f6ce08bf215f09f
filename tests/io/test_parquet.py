"""Parquet tables that are far larger than their files are refused before they are made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from varfx.errors import FormatError
from varfx.io import parquet
from varfx.io.text_table import open_table

BOMB = r"holds a table of [\d,]+ bytes, more than 500 times its size"


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "BOMB_BYTES", 1 << 20)


def test_rows_that_repeat_one_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"a": np.zeros(2_000_000)}), tmp_path / "a.parquet")
    table = open_table(tmp_path / "a.parquet")
    with pytest.raises(FormatError, match=BOMB):
        table.read()
    monkeypatch.setattr(parquet, "BOMB_BYTES", 16_000_000)  # not above it: read
    assert table.read().height == 2_000_000


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_rows_that_repeat_one_long_text(tmp_path: Path, kind: pa.DataType) -> None:
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(10_000, np.int32)), pa.array(["x" * 10_000])).cast(kind)
    pq.write_table(pa.table({"id": text}), tmp_path / "a.parquet")
    with pytest.raises(FormatError, match=BOMB):
        open_table(tmp_path / "a.parquet").read()


def test_text_with_and_without_dictionaries_is_the_same(tmp_path: Path) -> None:
    """Nulls, an empty text, text that repeats, and more distinct texts than a dictionary page holds."""
    rng = np.random.default_rng(0)
    texts = [None, "", *(f"rs{number}" for number in rng.integers(0, 5_000, 20_000)), "1"]
    table = pa.table({"id": pa.array(texts), "chrom": pa.array(["22"] * len(texts))})
    for name, options in (("plain", {"use_dictionary": False}), ("both", {"dictionary_pagesize_limit": 2_000})):
        pq.write_table(table, tmp_path / name, row_group_size=7_000, **options)
        found = open_table(tmp_path / name).read()
        assert found["id"].to_list() == texts
        assert found["chrom"].unique().to_list() == ["22"]
