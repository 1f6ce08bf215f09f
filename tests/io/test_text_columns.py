from __future__ import annotations

import contextlib
import gzip
from pathlib import Path

import polars as pl
import pytest
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from varfx.errors import FormatError, VarfxError
from varfx.genotypes.plink1 import read_bim, read_fam
from varfx.io.text_columns import decimals, read_headerless, read_with_header, whole_numbers

FIELD = st.text("abcXYZ019.:;_<>,-", min_size=1, max_size=6)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress])
def test_columns_are_found_by_name_in_plain_and_compressed_files(tmp_path: Path, compress: object) -> None:
    assert callable(compress)
    path = tmp_path / "t"
    path.write_bytes(compress(b"##note\n#b\tunused\ta\n1\t\t x \n2\tq\t#7\n"))
    frame = read_with_header(path, ["a", "b"], "things")
    assert frame.to_dict(as_series=False) == {"a": [" x ", "#7"], "b": ["1", "2"]}


def test_quotes_are_letters_in_tables_of_tabs_and_quotes_in_tables_of_commas(tmp_path: Path) -> None:
    (tmp_path / "tabs").write_text('a\tb\n"x\ty"\n')
    (tmp_path / "commas").write_text('a,b\n"x,1",y\n')
    assert read_with_header(tmp_path / "tabs", ["a", "b"], "things").row(0) == ('"x', 'y"')
    assert read_with_header(tmp_path / "commas", ["a", "b"], "things", separator=",").row(0) == ("x,1", "y")


def test_one_column_may_be_empty(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("a\tb\n1\tx\n\ty\n")
    assert read_with_header(tmp_path / "t", ["a", "b"], "things", may_be_empty="a")["a"].to_list() == ["1", None]
    with pytest.raises(FormatError, match=r"`a` is empty in 1 of 2 rows, first row 2\. Check that"):
        read_with_header(tmp_path / "t", ["a", "b"], "things")


def test_a_column_named_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("a\tb\ta\n1\t2\t3\n")
    with pytest.raises(FormatError, match=r"its header names a column twice\. Rename one of them\."):
        read_with_header(tmp_path / "t", ["a", "b"], "things")


def test_numbers() -> None:
    frame = pl.DataFrame({"n": ["1", " -2 ", "3"], "x": ["1e-3", "2", "-.5"], "bad": ["1", "1.0", "nan"]})
    assert whole_numbers(frame, "n", Path("p")).to_list() == [1, -2, 3]
    assert decimals(frame, "x", Path("p")).to_list() == [0.001, 2, -0.5]
    with pytest.raises(FormatError, match=r"`p`: `bad` is not a whole number in 2 of 3 rows, first row 2 \('1\.0'\)\."):
        whole_numbers(frame, "bad", Path("p"))
    with pytest.raises(FormatError, match=r"`p`: `bad` is not a number in 1 of 3 rows, first row 3 \('nan'\)\."):
        decimals(frame, "bad", Path("p"))


@pytest.mark.parametrize(
    "content", [gzip.compress(b"a\tb\n1\t2\n" * 99, mtime=0)[:-12], b"\x1f\x8bnonsense", b"\x28\xb5\x2f\xfdno"]
)
def test_damaged_compression(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(FormatError, match=r"is damaged or truncated: it cannot be decompressed\. Fetch it again\."):
        read_headerless(tmp_path / "t", ["a", "b"], "things")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(FIELD, min_size=3, max_size=3), min_size=1, max_size=6), st.sampled_from(["\t", " ", "  ", " \t"])
)
def test_any_table_comes_back(tmp_path: Path, rows: list[list[str]], gap: str) -> None:
    path = tmp_path / "t"
    path.write_text("".join(gap.join(row) + "\n" for row in rows))
    assert [list(row) for row in read_headerless(path, ["a", "b", "c"], "things").rows()] == rows


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=60), st.text('01ACG\t\n #,.\r"x-', max_size=80).map(str.encode)))
@example(b"\n\n1\trs\t0\t5\tA\tC\n")
@example(b"1\trs\t0\t99999999999999999999\tA\tC\n")
@example(b"\xef\xbb\xbf1\trs\t0\t5\tA\tC\n")
def test_no_other_exception_leaves_the_readers(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t"
    path.write_bytes(content)
    for read in (
        lambda: read_bim(path),
        lambda: read_fam(path),
        lambda: read_with_header(path, ["x"], "things"),
        lambda: read_with_header(path, ["0", "1"], "things", separator=","),
    ):
        with contextlib.suppress(VarfxError):
            assert read().height > 0
