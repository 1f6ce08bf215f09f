"""DataFrames of polars or pandas in place of a file: kept as Parquet for the life of the process, so that one reader reads both."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

from varfx.errors import FormatError

if TYPE_CHECKING:
    import polars as pl

STEM = "DataFrame"


class DataFrame(Protocol):
    """A DataFrame of polars or pandas, known by its class and not imported."""

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""

    @property
    def columns(self) -> Any:
        """Names of the columns."""


Source = str | os.PathLike[str] | DataFrame


def is_frame(source: object) -> TypeGuard[DataFrame]:
    """Whether this is a DataFrame of polars or pandas."""
    return _library(source) is not None


def as_polars(frame: DataFrame) -> pl.DataFrame:
    """The frame in polars. Of pandas: a named index becomes a column, categories become text.

    Raises:
        FormatError: a column of mixed values, or names that are no text.
    """
    import polars as pl

    if _library(frame) == "polars":
        assert isinstance(frame, pl.DataFrame)
        table = frame
    else:
        table = _from_pandas(frame)
    return table.with_columns(pl.selectors.categorical().cast(pl.String), pl.selectors.enum().cast(pl.String))


def as_path(source: Source) -> Path:
    """The path of a file; of a DataFrame, that of a Parquet file with its content, removed when the process ends.

    Raises:
        FormatError: see `as_polars`.
    """
    if not is_frame(source):
        assert isinstance(source, str | os.PathLike)
        return Path(source)
    buffer = io.BytesIO()
    as_polars(source).write_parquet(buffer)
    return keep(buffer.getvalue(), ".parquet")


def keep(content: bytes, ending: str) -> Path:
    """The path of a file with this content, named by its checksum and removed when the process ends."""
    path = Path(_folder().name) / f"{STEM}-{hashlib.sha256(content).hexdigest()[:12]}{ending}"
    if not path.exists():
        path.write_bytes(content)
    return path


def was_frame(path: Path) -> bool:
    """Whether a path is that of a DataFrame, of this process or an earlier one."""
    return path.name.startswith(f"{STEM}-") and path.parent.name.startswith("varfx-frames-")


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="varfx-frames-")


def _library(source: object) -> str | None:
    for each in type(source).__mro__:
        library = each.__module__.partition(".")[0]
        if each.__name__ == "DataFrame" and library in ("polars", "pandas"):
            return library
    return None


def _from_pandas(frame: Any) -> pl.DataFrame:
    import polars as pl

    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    odd = [name for name in frame.columns if not isinstance(name, str)]
    if odd:
        raise FormatError(f"`{STEM}`: {len(odd)} columns have names that are no text, first {odd[0]!r}. Rename them.")
    columns = []
    for place, name in enumerate(frame.columns):
        try:
            columns.append(pl.Series(f"{place}", pl.from_pandas(frame.iloc[:, place])))
        except Exception as error:  # of Arrow or polars, by version
            raise FormatError(
                f"`{STEM}`: column `{name}` holds values of several kinds ({' '.join(str(error).split())[:80]}). Convert it with "
                "`astype(str)` or to numbers."
            ) from error
    table = pl.DataFrame(columns)
    table.columns = list(frame.columns)
    return table
