"""Sealed tables written and read a row group at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from varfx.errors import StoreError
from varfx.io import sealed, sealed_rows


def groups() -> Iterator[pl.DataFrame]:
    for k in range(3):
        yield pl.DataFrame({"name": [f"v{k}", None], "value": pl.Series([k, None], dtype=pl.Float32)})


def test_both_readers_read_both_writers(tmp_path: Path) -> None:
    whole = pl.concat(groups())
    sealed_rows.write_rows(groups(), tmp_path / "rows", kind="some", metadata={"a": 1})
    sealed.write_table(whole, tmp_path / "table", kind="some", metadata={"a": 1})
    for path in (tmp_path / "rows", tmp_path / "table"):
        table, metadata = sealed.read_table(path, kind="some")
        assert table.equals(whole)
        assert table.schema == whole.schema
        opened = sealed_rows.open_rows(path, kind="some")
        assert opened.columns(["name", "value"]).equals(whole)
        assert metadata == opened.metadata == {"a": 1}
        assert opened.null_count("value") == 3
        assert sealed.table_kind(path) == "some"
    assert sealed_rows.open_rows(tmp_path / "rows", kind="some").bounds.tolist() == [0, 2, 4, 6]


def test_any_flipped_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    sealed_rows.write_rows(groups(), path, kind="some", metadata={})
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(StoreError):
            sealed_rows.open_rows(path, kind="some")
    path.write_bytes(content)
    with pytest.raises(StoreError, match="holds some, where other is needed"):
        sealed_rows.open_rows(path, kind="other")


def test_a_writer_that_ends_early_leaves_what_was_there(tmp_path: Path) -> None:
    def broken() -> Iterator[pl.DataFrame]:
        yield next(groups())
        raise KeyboardInterrupt

    path = tmp_path / "rows"
    sealed_rows.write_rows(groups(), path, kind="some", metadata={})
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        sealed_rows.write_rows(broken(), path, kind="some", metadata={})
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["rows"]
