"""Tables of text, plain or compressed, and of Parquet: the one reader of every table that others wrote.

What a table looks like is found from its first lines (`text_layout.py`); rows are then read block by block into
columns of strings. Numbers stay text here: `text_numbers.py` converts them, where a word in a column of numbers can be
counted and named.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.csv

from varfx.errors import FormatError
from varfx.io import parquet
from varfx.io.recognise import seems
from varfx.io.stream import stream_bytes
from varfx.io.text_layout import TextLayout, find_layout
from varfx.io.text_lines import BLANKS, count_fields, line_blocks
from varfx.io.text_numbers import column_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Table:
    """An opened table.

    Attributes:
        names: column names as spelled in the header, without a leading "#"; numbers from 0 for a table without header.
        layout: how its text is split; None for Parquet.
        quotes: a quoted field may hold the separator; else a quote is a letter like any other.
    """

    path: Path
    names: tuple[str, ...]
    layout: TextLayout | None
    quotes: bool = True

    @property
    def preamble(self) -> tuple[str, ...]:
        """The comment lines above the header."""
        return () if self.layout is None else self.layout.preamble

    def frames(self, columns: Sequence[int], missing: frozenset[str]) -> Iterator[pl.DataFrame]:
        """The chosen columns (by number), block by block, named by their numbers as text, with the 1-based `row`.

        Text columns are stripped strings, null where a field is one of `missing`; Parquet columns of numbers keep
        their type.

        Raises:
            FormatError: rows with another number of fields, bytes that are not UTF-8, or damaged compression.
        """
        if self.layout is None:
            yield from parquet.frames(self.path, columns)
            return
        before = 0
        blocks = _data_blocks(self.path, self.layout)
        for block in blocks:
            frame = self._parse(block, columns, missing)
            if frame is None:
                raise self._fault(block, blocks, before)
            yield frame.with_row_index("row", offset=before + 1)
            before += frame.height

    def read(self, columns: Sequence[int] | None = None, missing: frozenset[str] = frozenset({""})) -> pl.DataFrame:
        """The whole table, or the chosen columns, under the names of its header.

        Raises:
            FormatError: as `frames`, and if a name is empty or stands twice.
        """
        chosen = list(range(len(self.names)) if columns is None else columns)
        names = [self.names[number] for number in chosen]
        require_names(names, self.path)
        parts = [frame.drop("row") for frame in self.frames(chosen, missing)]
        whole = pl.concat(parts) if parts else pl.DataFrame(schema={str(number): pl.String() for number in chosen})
        # Renamed as a whole, since polars would take names such as `*` or `^x$` for patterns.
        whole.columns = names
        return whole

    def readable(self, needed: Sequence[str] = ()) -> list[int]:
        """The columns that hold text, numbers or flags, and those that are needed: a Parquet file may have others."""
        numbers = range(len(self.names))
        if self.layout is not None:
            return list(numbers)
        return [k for k in numbers if self.names[k] in needed or parquet.is_readable(self.path, k)]

    def _parse(self, block: bytes, columns: Sequence[int], missing: frozenset[str]) -> pl.DataFrame | None:
        """The block's chosen columns; None where a row has another number of fields, or is no UTF-8."""
        assert self.layout is not None
        separator = self.layout.separator
        frame = self._parse_by(block, separator, self.layout.trailing, columns, missing)
        if frame is None and separator != BLANKS and self.layout.blanks_fit:
            frame = self._parse_by(block, BLANKS, 0, columns, missing)
        return frame

    def _parse_by(
        self, block: bytes, separator: str, trailing: int, columns: Sequence[int], missing: frozenset[str]
    ) -> pl.DataFrame | None:
        padded = b'"' in block or (separator != BLANKS and (b" " in block or b"\xc2\xa0" in block))
        if separator == BLANKS:
            block = re.sub(rb"(?m)^ | $", b"", re.sub(rb"[ \t]+", b" ", block))
        if block.startswith(b"\n") or b"\n\n" in block:  # Arrow would take an empty line for a row of empty fields
            return None
        every = [str(number) for number in range(len(self.names))]
        ends = [f"end{number}" for number in range(trailing)]
        wanted = [str(number) for number in columns]
        nulls = frozenset() if padded else missing
        try:
            table = pa.csv.read_csv(
                pa.BufferReader(block),
                read_options=pa.csv.ReadOptions(column_names=every + ends, block_size=8 << 20),
                parse_options=pa.csv.ParseOptions(
                    delimiter=separator, ignore_empty_lines=False, quote_char='"' if self.quotes else False
                ),
                convert_options=pa.csv.ConvertOptions(
                    include_columns=wanted + ends,
                    column_types=dict.fromkeys(every + ends, pa.string()),
                    null_values=sorted(nulls),
                    strings_can_be_null=bool(nulls),
                ),
            )
        except pa.ArrowException:
            return None
        frame = pl.DataFrame(pl.from_arrow(table))
        # A quote that is not closed swallows lines; a field behind the last column is one too many.
        swallowed = self.quotes and b'"' in block and frame.height != block.count(b"\n")
        if swallowed or any((frame[name].fill_null("") != "").any() for name in ends):
            return None
        return _stripped(frame.drop(ends), missing) if padded else frame.drop(ends)

    def _width(self, line: bytes, separator: str) -> int:
        """The number of fields of a line."""
        return count_fields(line, separator) if self.quotes else line.count(separator.encode()) + 1

    def _fault(self, block: bytes, following: Iterator[bytes], before: int) -> FormatError:
        """The error that counts the rows that cannot be read, from this block to the end, and names the first."""
        assert self.layout is not None
        expected = len(self.names) + self.layout.trailing
        ragged, rows = [], before
        for part in (block, *following):
            for line in part[:-1].split(b"\n"):
                rows += 1
                found = self._width(line, self.layout.separator) if line.strip() or expected > 1 else 0
                if found != expected:
                    ragged.append((rows, found))
                elif not _is_utf8(line) and not ragged:
                    return FormatError(
                        f"`{self.path}`: row {rows} is not UTF-8 text. Convert the file, as with "
                        "`iconv -f latin1 -t utf8`, or check that it is whole."
                    )
                elif self.quotes and line.count(b'"') % 2 and not ragged:
                    return FormatError(f"`{self.path}`: row {rows} has a quote that is not closed. Correct the row.")
        if not ragged:
            return FormatError(f"`{self.path}` cannot be read as a table of UTF-8 text. Check the file.")
        row, found = ragged[0]
        remedy = "Check that the file is whole and has one separator."
        if self.layout.has_header and len(ragged) == rows and found == expected + 1:
            remedy = "If R wrote the row names as a column without name, write the file with `row.names = FALSE`."
        return FormatError(
            f"`{self.path}`: {expected} columns are expected, but {len(ragged)} of {rows} rows have another number, "
            f"first row {row} with {found}. {remedy}"
        )


def open_table(
    path: str | os.PathLike[str],
    *,
    widths: Sequence[int] | None = None,
    skip: int = 0,
    named_rows: bool = False,
    quotes: bool = True,
) -> Table:
    """A text table (plain, gzip, bgzip or zstd) or a Parquet file, with its header read.

    Args:
        path: the file.
        widths: the numbers of columns that a table without header may have; None for a table with a header.
        skip: the number of lines above the table, such as the two of a GCT file.
        named_rows: the first column holds names of rows, which R's header does not mention.
        quotes: a quoted field may hold the separator; else, in a table split at tabs, a quote is a letter like any other.

    Raises:
        FormatError: no such file, a directory, empty, binary, or damaged.
    """
    path = Path(path)
    if path.is_dir():
        raise FormatError(f"`{path}` is a folder (it seems to be {seems(path)}). Give a file.")
    first = next(stream_bytes(path), b"")[:4]
    if first == parquet.MAGIC:
        return Table(path, parquet.column_names(path), None)
    layout = find_layout(path, widths, skip, named_rows=named_rows)
    return Table(path, layout.names, layout, quotes)


def read_headerless(path: Path, names: Sequence[str], what: str, *, optional: str | None = None) -> pl.DataFrame:
    """The columns of a table without a header, as strings.

    Args:
        path: the file.
        names: a name per column; each row must have as many fields.
        what: the rows in words, e.g. "variants".
        optional: a column that the whole file may lack; it is then left out.

    Raises:
        FormatError: no such file, empty, rows with another number of fields, or an empty field.
    """
    shorter = [name for name in names if name != optional]
    try:
        table = open_table(path, widths=sorted({len(names), len(shorter)}, reverse=True))
    except FormatError as error:
        raise _in_words(error, path, what) from error
    present = shorter if optional is not None and len(table.names) == len(shorter) else list(names)
    frame = Table(path, tuple(present), table.layout).read()
    require_filled(frame, present, path)
    return frame


def read_with_header(
    path: Path, columns: Sequence[str], what: str, *, may_be_empty: str | None = None, optional: Sequence[str] = ()
) -> pl.DataFrame:
    """Some columns of a table whose header names them, as strings.

    Args:
        path: the file, plain, gzip or zstd.
        columns: the names needed; a "#" before the first name of the header is ignored.
        what: the rows in words, e.g. "variants".
        may_be_empty: a column whose empty fields become null; elsewhere they are errors.
        optional: further columns, read where the header has them; their empty fields become null.

    Raises:
        FormatError: no such file, empty, damaged compression, a missing column, an empty field, or rows of another
            length.
    """
    try:
        table = open_table(path)
    except FormatError as error:
        raise _in_words(error, path, what) from error
    absent = [name for name in columns if name not in table.names]
    if absent:
        raise FormatError(
            f"`{path}`: {len(absent)} columns are missing from its header, first `{absent[0]}`. It needs "
            f"{', '.join(columns)}; it has {', '.join(table.names[:10])[:120]}."
        )
    if len(set(table.names)) < len(table.names):
        raise FormatError(f"`{path}`: its header names a column twice. Rename one of them.")
    present = [*columns, *(name for name in optional if name in table.names)]
    frame = table.read([table.names.index(name) for name in present])
    if not frame.height:
        raise FormatError(f"`{path}` lists no {what}: there is nothing after its header.")
    require_filled(frame, [name for name in columns if name != may_be_empty], path)
    return frame


def refuse_alike(names: Sequence[str], looked_up: Collection[str], path: str | os.PathLike[str]) -> None:
    """Refuses columns that are equal but for case, where names are looked up without regard to it.

    Args:
        names: the header.
        looked_up: names that are looked up, in lower case.
        path: for the message.

    Raises:
        FormatError: with the first two such columns.
    """
    seen: dict[str, str] = {}
    for name in names:
        word = name.strip().lstrip("#").lower()
        if word in looked_up and seen.setdefault(word, name) != name:
            raise FormatError(
                f"`{path}`: the columns `{seen[word]}` and `{name}` are equal but for case, so that either may be meant. Keep one, or "
                "rename it."
            )


def require_names(names: Sequence[str], path: Path) -> None:
    """Raises if a column has no name, or the name of another.

    Raises:
        FormatError: with the first such name.
    """
    repeated = [name for name in names if names.count(name) > 1]
    if repeated or "" in names:
        offender = f"`{repeated[0]}`, in {names.count(repeated[0])} columns" if repeated else "one is empty"
        raise FormatError(f"`{path}`: the header has a column without or with a repeated name ({offender}). Rename it.")


def require_filled(frame: pl.DataFrame, columns: Sequence[str], path: Path) -> None:
    """Raises if a column has nulls.

    Raises:
        FormatError: with the count and the first row.
    """
    for column in columns:
        empty = column_of(frame, column).is_null()
        if empty.any():
            raise FormatError(
                f"`{path}`: `{column}` is empty in {empty.sum()} of {frame.height} rows, first row "
                f"{int(empty.arg_max() or 0) + 1}. Check that the file was written whole."
            )


def _in_words(error: FormatError, path: Path, what: str) -> FormatError:
    """The error of an empty file with the rows that it should have."""
    if f"`{path}` is empty" in str(error):
        return FormatError(f"`{path}` is empty: it should list {what}, one per row. Check that it was written whole.")
    return error


def _data_blocks(path: Path, layout: TextLayout) -> Iterator[bytes]:
    """Blocks of whole lines of data: without what stands above the first row, comments, and blank lines at the end."""
    skip, blank_tail, comments, seen = layout.skip, b"", 0, 0
    for block in line_blocks(path):
        while skip and block:
            end = block.index(b"\n") + 1
            block, skip = block[end:], skip - 1
        if block.startswith(b"#") or b"\n#" in block:
            lines = block.split(b"\n")
            kept = [line for line in lines if not line.startswith(b"#")]
            comments += len(lines) - len(kept)
            block = b"\n".join(kept)
        block = blank_tail + block
        body = block.rstrip()
        # Blank lines may only end the file: they are held back until more text follows them.
        end = block.find(b"\n", len(body)) + 1
        blank_tail = block[end:] if body else block
        if body:
            seen += 1
            yield block[:end]
    if comments:
        logger.warning("`%s`: %d lines below the header begin with # and were passed over as comments.", path, comments)


def _stripped(frame: pl.DataFrame, missing: frozenset[str]) -> pl.DataFrame:
    columns = []
    for column in frame.iter_columns():
        bare = column.str.strip_chars()
        columns.append(bare.set(bare.is_in(sorted(missing)).fill_null(False), None) if missing else bare)
    return pl.DataFrame(columns)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
