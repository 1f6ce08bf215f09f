"""Tables of text, plain or compressed, read block by block into columns of strings; and Parquet tables.

The compression is recognised by its first bytes. Numbers stay text here: `numbers.py` converts them, because only
there can a word in a numeric column be counted and named.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from varfx.errors import FormatError
from varfx.io.stream import stream_bytes

BLOCK_BYTES = 32 << 20
_PARQUET = b"PAR1"


@dataclass(frozen=True)
class Table:
    """An opened table.

    Attributes:
        names: column names as spelled in the header, without a leading "#".
        preamble: the "##" lines above the header.
        separator: tab, comma or space; None for Parquet.
        has_header: the first line names the columns; a .bim has no such line.
    """

    path: Path
    names: tuple[str, ...]
    preamble: tuple[str, ...]
    separator: str | None
    has_header: bool = True

    def frames(self, columns: Sequence[int], missing: frozenset[str]) -> Iterator[pl.DataFrame]:
        """The chosen columns (by number), block by block, named by their numbers as text, with the 1-based `row`.

        Text columns are strings, null where a field is one of `missing`; numeric Parquet columns keep their type.

        Raises:
            FormatError: a row with another number of fields, bytes that are not UTF-8, or damaged compression.
        """
        if self.separator is None:
            yield from _parquet_frames(self.path, columns)
            return
        before = 0
        for block in _data_blocks(self.path, self.has_header):
            frame = self._parse(block, columns, missing, before)
            yield frame.with_row_index("row", offset=before + 1)
            before += frame.height

    def _parse(self, block: bytes, columns: Sequence[int], missing: frozenset[str], before: int) -> pl.DataFrame:
        assert self.separator is not None
        block = _normalised(block, self.separator)
        every = [str(number) for number in range(len(self.names))]
        wanted = [str(number) for number in columns]
        if block.startswith(b"\n") or b"\n\n" in block:  # Arrow would take an empty line for a row of empty fields
            raise self._fault(block, before, "it has empty lines")
        try:
            table = pa.csv.read_csv(
                pa.BufferReader(block),
                read_options=pa.csv.ReadOptions(column_names=every, block_size=8 << 20),
                parse_options=pa.csv.ParseOptions(
                    delimiter=self.separator, quote_char=False, escape_char=False, ignore_empty_lines=False
                ),
                convert_options=pa.csv.ConvertOptions(
                    include_columns=wanted,
                    column_types=dict.fromkeys(every, pa.string()),
                    null_values=sorted(missing),
                    strings_can_be_null=bool(missing),
                ),
            )
        except pa.ArrowException as error:
            raise self._fault(block, before, str(error)) from error
        return pl.DataFrame(pl.from_arrow(table))

    def _fault(self, block: bytes, before: int, reason: str) -> FormatError:
        """The error that names the first row that cannot be read."""
        assert self.separator is not None
        fields, ragged = len(self.names), []
        for number, line in enumerate(block.splitlines(), start=before + 1):
            try:
                found = line.decode().count(self.separator) + 1
            except UnicodeDecodeError:
                return FormatError(f"`{self.path}`: row {number} is not UTF-8 text. Check that the file is whole.")
            if found != fields:
                ragged.append((number, found))
        if ragged:
            return FormatError(
                f"`{self.path}`: {len(ragged)} rows do not have the header's {fields} fields, first row {ragged[0][0]} "
                f"with {ragged[0][1]}. Check that the file is whole and has one separator."
            )
        return FormatError(f"`{self.path}` cannot be read as a table: {_one_line(reason)}. Check the file.")


def open_table(path: str | os.PathLike[str]) -> Table:
    """The header of a text table (plain, gzip, bgzip or zstd) or of a Parquet file.

    Raises:
        FormatError: no such file, a directory, empty, binary, or damaged.
    """
    path = Path(path)
    if path.is_dir():
        raise FormatError(f"`{path}` is a directory. Give a file of summary statistics.")
    try:
        with open(path, "rb") as file:
            first = file.read(4)
    except FileNotFoundError as error:
        raise FormatError(f"`{path}` does not exist. Give a file of summary statistics.") from error
    except (OSError, ValueError) as error:
        raise FormatError(f"`{path}` cannot be opened: {_one_line(str(error))}.") from error
    if first == _PARQUET:
        columns = tuple(name.removeprefix("#") for name in _parquet_file(path)[1].names)
        if not "".join(columns).isprintable():
            raise FormatError(f"`{path}` is a damaged Parquet file: its column names hold control characters.")
        return Table(path, columns, (), None)
    preamble, header = _header(path)
    if header.startswith(b"#"):
        header = header[1:]
    if b"\0" in header:
        raise FormatError(f"`{path}` is a binary file, not a table of text. Give the file that the GWAS tool wrote.")
    try:
        line = header.decode()
        above = tuple(comment.decode() for comment in preamble)
    except UnicodeDecodeError as error:
        raise FormatError(f"`{path}`: the header is not UTF-8 text. Give the file that the GWAS tool wrote.") from error
    if not line.replace("\t", " ").rstrip("\r").isprintable():
        raise FormatError(
            f"`{path}`: the header holds control characters, as a binary file does. Give a table of text."
        )
    line = line.replace('"', "")
    separator = "\t" if "\t" in line else "," if "," in line and " " not in line.strip() else " "
    names = line.split() if separator == " " else [name.strip() for name in line.split(separator)]
    return Table(path, tuple(names), above, separator)


def _header(path: Path) -> tuple[list[bytes], bytes]:
    """The "##" lines, and the header line."""
    preamble: list[bytes] = []
    for block in _line_blocks(path):
        for line in block.splitlines():
            line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.startswith(b"##"):
                if line.strip():
                    return preamble, line
                raise FormatError(f"`{path}` starts with an empty line where a header belongs.")
            preamble.append(line)
    if preamble:
        raise FormatError(f"`{path}` has no header line after its {len(preamble)} `##` lines: is it whole?")
    raise FormatError(f"`{path}` is empty.")


def _data_blocks(path: Path, has_header: bool) -> Iterator[bytes]:
    """Blocks of whole lines below the header; blank lines at the end are left out."""
    in_preamble, blank_tail = has_header, b""
    for block in _line_blocks(path):
        if in_preamble:
            start = 0
            while in_preamble and start < len(block):
                in_preamble = block[start : start + 5].removeprefix(b"\xef\xbb\xbf").startswith(b"##")
                start = block.index(b"\n", start) + 1
            block = block[start:]
        block = blank_tail + block
        body = block.rstrip(b"\r\n")
        # Blank lines may only end the file: they are held back until more text follows them.
        blank_tail = block[len(body) :].partition(b"\n")[2] if body else block
        if body:
            yield body + b"\n"


def _normalised(block: bytes, separator: str) -> bytes:
    """The block with one separator between fields, Unix line ends and no quotes."""
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b'"' in block:
        block = block.replace(b'"', b"")
    if separator == " " and (
        b"  " in block or b"\t" in block or b" \n" in block or b"\n " in block or block[:1] == b" "
    ):
        block = re.sub(rb"(?m)^ | $", b"", re.sub(rb"[ \t]+", b" ", block))
    return block


def _line_blocks(path: Path) -> Iterator[bytes]:
    """The decompressed file in blocks of whole lines; the last one gets a line end where it has none."""
    pieces: list[bytes] = []
    size = 0
    for piece in stream_bytes(path):
        pieces.append(piece)
        size += len(piece)
        if size >= BLOCK_BYTES:
            block = b"".join(pieces)
            end = block.rfind(b"\n") + 1
            if not end:
                raise FormatError(f"`{path}` has a line of more than {BLOCK_BYTES >> 20} MiB: it is not a table.")
            yield block[:end]
            pieces = [block[end:]]
            size = len(pieces[0])
    rest = b"".join(pieces)
    if rest:
        yield rest if rest.endswith(b"\n") else rest + b"\n"


def _parquet_file(path: Path) -> tuple[Any, Any]:
    """The opened file and its Arrow schema."""
    try:
        file = pa.parquet.ParquetFile(path)
        return file, file.schema_arrow
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise FormatError(f"`{path}` is not a whole Parquet file: {_one_line(str(error))}.") from error


def _parquet_frames(path: Path, columns: Sequence[int]) -> Iterator[pl.DataFrame]:
    file, schema = _parquet_file(path)
    names = [schema.names[number] for number in columns]
    for number, name in zip(columns, names, strict=True):
        kind = schema.field(number).type
        if schema.names.count(name) > 1:
            raise FormatError(f"`{path}` has {schema.names.count(name)} columns named `{name}`. Keep one.")
        text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
        if not (text or pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
            raise FormatError(f"`{path}`: column `{name}` is of type {kind}; text or numbers are needed.")
    before = 0
    try:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=names)
            table.validate(full=True)  # a flipped byte may leave text that is no UTF-8, which polars takes on trust
            # Column by column: the schema may hold metadata that is damaged, which polars would stumble over.
            frame = pl.DataFrame(
                [_series(str(number), table.column(name)) for number, name in zip(columns, names, strict=True)]
            )
            yield frame.with_row_index("row", offset=before + 1)
            before += frame.height
    except (pa.ArrowException, OSError, UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        raise FormatError(f"`{path}` is a damaged Parquet file: {_one_line(str(error))}.") from error


def _series(name: str, column: Any) -> pl.Series:
    """A column of text or numbers; dictionaries as their text, nulls as text."""
    if pa.types.is_dictionary(column.type) or pa.types.is_null(column.type):
        column = column.cast(pa.string())
    return pl.Series(name, pl.from_arrow(column))


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")[:160]
