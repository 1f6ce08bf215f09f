from __future__ import annotations

import contextlib
import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from varfx.errors import FormatError, VarfxError
from varfx.genotypes.plink1 import read_bim, read_fam
from varfx.io.text_numbers import decimals, whole, whole_numbers
from varfx.io.text_table import open_table, read_headerless, read_with_header, refuse_alike

FIELD = st.text("abcXYZ019.:;_<>,-", min_size=1, max_size=6)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress])
def test_columns_are_found_by_name_in_plain_and_compressed_files(tmp_path: Path, compress: object) -> None:
    assert callable(compress)
    path = tmp_path / "t"
    path.write_bytes(compress(b"##note\n#b\tunused\ta\n1\t\t x \n2\tq\t#7\n"))
    frame = read_with_header(path, ["a", "b"], "things")
    assert frame.to_dict(as_series=False) == {"a": ["x", "#7"], "b": ["1", "2"]}


def test_a_quoted_field_may_hold_the_separator(tmp_path: Path) -> None:
    (tmp_path / "tabs").write_text('a\tb\n"x\ty"\t"z"\n')
    (tmp_path / "commas").write_text('a,b\n"x,1",y\n')
    assert read_with_header(tmp_path / "tabs", ["a", "b"], "things").row(0) == ("x\ty", "z")
    assert read_with_header(tmp_path / "commas", ["a", "b"], "things").row(0) == ("x,1", "y")


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
    frame = pl.DataFrame({"n": ["1", " -2 ", "3"], "x": ["1e-3", "2", "-.5"], "bad": ["1", "1.5", "nan"]})
    assert whole_numbers(frame, "n", Path("p")).to_list() == [1, -2, 3]
    assert decimals(frame, "x", Path("p")).to_list() == [0.001, 2, -0.5]
    with pytest.raises(FormatError, match=r"`p`: `bad` is not a whole number in 2 of 3 rows, first row 2 \('1\.5'\)\."):
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
        lambda: read_with_header(path, ["0", "1"], "things"),
    ):
        with contextlib.suppress(VarfxError):
            assert read().height > 0


ROWS = [["1", "x", "5.5"], ["2", "y", "6"], ["3", "z", "7"]]
TABLE = "a\tb\tc\n1\tx\t5.5\n2\ty\t6\n3\tz\t7\n"
FORMS = {
    "tabs": TABLE,
    "commas": TABLE.replace("\t", ","),
    "commas and blanks": TABLE.replace("\t", ", "),
    "blanks": TABLE.replace("\t", "   "),
    "header by blanks, rows by tabs": TABLE.replace("\t", " ", 2),
    "header by tabs, rows by blanks": TABLE.replace("\t", " ").replace("a b c", "a\tb\tc"),
    "header by commas, rows by tabs": TABLE.replace("\t", ",", 2),
    "mixed in a row": TABLE.replace("\t5", " 5").replace("\t7", "  7"),
    "header padded": TABLE.replace("a\tb\tc", " a \t b\tc "),
    "rows padded": TABLE.replace("x\t", "x \t ").replace("z", "\u00a0z"),
    "tab at the end of rows": TABLE.replace("\n", "\t\n").replace("c\t\n", "c\n"),
    "tab at the end of every line": TABLE.replace("\n", "\t\n"),
    "commas at the end of every line": TABLE.replace("\t", ",").replace("\n", ",,\n"),
    "blanks at the ends": TABLE.replace("\t", " ").replace("\n", " \n").replace("\n", "\n "),
    "CRLF": TABLE.replace("\n", "\r\n"),
    "CR": TABLE.replace("\n", "\r"),
    "CRCRLF": TABLE.replace("\n", "\r\r\n"),
    "byte order mark": "\ufeff" + TABLE,
    "no last line end": TABLE.rstrip("\n"),
    "blank first and last lines": "\n \n" + TABLE + "\n\n  \n",
    "quotes": '"' + TABLE.replace("\t", '","').replace("\n", '"\n"').removesuffix('"'),
    "quotes within": TABLE.replace("\t", ",").replace("x", '"x"'),
    "#header": "#" + TABLE,
    "# header": "# " + TABLE,
    "comments": "##one\n##two\n#" + TABLE,
    "sentences above": "# a table\n# made by hand\n" + TABLE,
    "a sentence of as many words above": "# of three words\n" + TABLE,
    "comment below": TABLE.replace("2\ty", "# note\n2\ty") + "# end of file",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress])
@pytest.mark.filterwarnings("ignore")
def test_the_form_of_a_table_does_not_matter(tmp_path: Path, form: str, compress: Callable[[bytes], bytes]) -> None:
    (tmp_path / "t").write_bytes(compress(FORMS[form].encode()))
    table = open_table(tmp_path / "t")
    assert table.names == ("a", "b", "c")
    assert [list(row) for row in table.read().rows()] == ROWS


def test_sentences_of_as_many_words_as_columns_are_told_from_a_header_by_their_separator(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("# height of adults\n" + TABLE)
    assert open_table(tmp_path / "t").names == ("a", "b", "c")


@pytest.mark.parametrize("place", range(1, 40))
def test_blocks_may_end_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    monkeypatch.setattr("varfx.io.stream._READ_BYTES", place)
    monkeypatch.setattr("varfx.io.text_lines.BLOCK_BYTES", 24)
    text = "\ufeff#a\tb\tc\r\n1\tx\t5.5\r\n#more\r\n2\ty\t6\r\n\r\n"
    (tmp_path / "t").write_bytes(text.encode())
    assert open_table(tmp_path / "t").read().rows() == [("1", "x", "5.5"), ("2", "y", "6")]


def test_ragged_rows_are_counted_over_all_blocks_and_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("varfx.io.text_lines.BLOCK_BYTES", 8)
    (tmp_path / "t").write_text("a\tb\n" + "1\t2\n" * 5 + "1\n" + "1\t2\n" * 3 + "1\t2\t3\n")
    with pytest.raises(FormatError, match=r"2 columns are expected, but 2 of 10 rows have .* first row 6 with 1\."):
        open_table(tmp_path / "t").read()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a\tb\n1\t2\n\n3\t4\n", r"1 of 3 rows have another number, first row 2 with 1"),
        (b"a\tb\n1\t2\t\n3\t4\t5\n", r"2 of 2 rows have another number, first row 1 with 3"),
        (b"a b\nr1 1 2\nr2 3 4\n", r"If R wrote the row names .* `row\.names = FALSE`"),
        (b'a\tb\n"1\t2\n3\t4\n', r"1 of 2 rows have another number|row 1 has a quote that is not closed"),
        (b'a\tb\nx\t"1\n3\t4\n', r"row 1 has a quote that is not closed"),
        (b"a\tb\n1\t\xe9\n", r"row 1 is not UTF-8 text\. Convert the file, as with `iconv"),
        ("a\tb\n1\t2\n".encode("utf-16"), r"is a binary file \(text in UTF-16\)"),
        (b"PK\x03\x04a\tb\n", r"is a binary file \(a zip archive\)"),
        (b"a\tb\n1\t\0\n", r"is a binary file, not text: it holds NUL bytes"),
        (b"a\tb\ta\n1\t2\t3\n", r"its header names a column twice"),
        (b"# only\n# comments of several words\n\n", r"."),
    ],
)
def test_faults_are_one_line(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "t").write_bytes(text)
    with pytest.raises(FormatError, match=message) as caught:
        read_with_header(tmp_path / "t", ["a", "b"], "things")
    with contextlib.suppress(FormatError):
        open_table(tmp_path / "t").read()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        '"a" "b"\n"x" 3 4\n"y" 5 6\n',  # R's write.table
        "a\tb\n1\t3\t4\n2\t5\t6\n",  # the same with quote = FALSE, sep = "\t"
        '"","a","b"\n"1",3,4\n"2",5,6\n',  # write.csv
        ",a,b\n0,3,4\n1,5,6\n",  # pandas' to_csv
    ],
)
def test_row_names_of_r_and_pandas_are_a_column(tmp_path: Path, text: str) -> None:
    (tmp_path / "t").write_text(text)
    table = open_table(tmp_path / "t")
    assert table.names == ("row.names", "a", "b")
    assert table.read([1, 2]).rows() == [("3", "4"), ("5", "6")]


def test_names_of_rows_need_a_sign_unless_the_reader_expects_them(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("s1 s2\nage 3 4\nsex 1 2\n")
    with pytest.raises(FormatError, match="2 of 2 rows have another number"):
        open_table(tmp_path / "t").read()
    assert open_table(tmp_path / "t", named_rows=True).names == ("row.names", "s1", "s2")
    (tmp_path / "t").write_text("s1 s2\nage 3 4\nage 1 2\n")  # names of rows are distinct
    with pytest.raises(FormatError, match="2 of 2 rows have another number"):
        open_table(tmp_path / "t", named_rows=True).read()
    # A table whose rows fit its header is never read so.
    (tmp_path / "t").write_text("a\tb\n1 x\t3\n2 y\t4\n")
    assert open_table(tmp_path / "t").names == ("a", "b")


def test_columns_equal_but_for_case_are_refused_where_case_does_not_count(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"the columns `SNP` and `snp` are equal but for case"):
        refuse_alike(("SNP", "Z", "snp"), {"snp"}, tmp_path / "t")
    refuse_alike(("SNP", "Z", "z", "#SNP_2"), {"snp"}, tmp_path / "t")


def test_latin_1_is_no_fault_in_a_header_a_comment_or_a_column_that_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes("##Größe\na\tb\tGröße\n1\t2\té\n".encode("latin-1"))
    table = open_table(tmp_path / "t")
    assert (table.names[2], table.preamble) == ("Größe", ("##Größe",))
    assert table.read([0, 1]).rows() == [("1", "2")]


def test_names_that_polars_takes_for_patterns_are_names(tmp_path: Path) -> None:
    names = ["*", "^x$", "^.*$", "x"]
    (tmp_path / "t").write_text("\t".join(names) + "\n1\t2\t3\t4\n")
    assert read_with_header(tmp_path / "t", names, "things").row(0) == ("1", "2", "3", "4")
    assert read_with_header(tmp_path / "t", ["x", "*"], "things").row(0) == ("4", "1")


def test_a_column_may_be_absent_from_a_whole_table_without_header(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("1 2\n3 4\n")
    assert read_headerless(tmp_path / "t", ["a", "b", "c"], "things", optional="b").to_dict(as_series=False) == {
        "a": ["1", "3"],
        "c": ["2", "4"],
    }
    (tmp_path / "t").write_text("1 2 3\n3 4\n")
    with pytest.raises(FormatError, match=r"3 columns are expected, but 1 of 2 rows"):
        read_headerless(tmp_path / "t", ["a", "b", "c"], "things", optional="b")


WHOLE = {"1e+05": 100_000, "1E5": 100_000, "8.4e+07": 84_000_000, " 7 ": 7, "12.0": 12, "-3": -3, "1.5": None}
WHOLE |= {"1e40": None, "": None, "x": None, "inf": None, "9007199254740993": 9007199254740993, "0x1": None}


def test_whole_numbers_as_r_writes_them() -> None:
    assert whole(pl.Series(list(WHOLE))).to_list() == list(WHOLE.values())
    assert whole(pl.Series([1.0, 2.5, None])).to_list() == [1, None, None]
    assert whole(pl.Series([3, None])).to_list() == [3, None]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.text('ab ,"\t#é', max_size=5), min_size=2, max_size=3), min_size=1, max_size=5))
def test_quoted_fields_come_back(tmp_path: Path, rows: list[list[str]]) -> None:
    """What Python's csv module writes with quotes is read back, but for the blanks around it."""
    rows = [[*row, ""][:3] for row in rows]
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([["a", "b", "c"], *rows])
    (tmp_path / "t").write_text(buffer.getvalue(), encoding="utf-8")
    expected = [[cell.strip() or None for cell in row] for row in rows]
    assert [list(row) for row in open_table(tmp_path / "t").read().rows()] == expected
