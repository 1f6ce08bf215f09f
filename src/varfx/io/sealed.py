"""Writing and reading of varfx's own files: complete or not at all; any flipped byte is noticed.

Tables are Parquet files whose key-value metadata holds `format_version`, `kind`, the provenance, and a SHA-256 of
the whole file (computed with its own digits set to zero). Directories are sealed in `sealed_folder.py`.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import glob
import hashlib
import io
import json
import mmap
import os
import platform
import shutil
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from varfx._version import __version__
from varfx.errors import StoreError, VarfxError

if TYPE_CHECKING:
    import polars as pl  # loaded when a table is: help pages and the numerical core run without it

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
_DIGEST_LABEL = b"varfx-sha256:"
_EMPTY_DIGEST = b"0" * 64
_FULL = (errno.ENOSPC, errno.EDQUOT)
OWNED: set[Path] = set()  # outputs of which this process is the only writer; of `varfx.io.output_lock`


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str], *, kind: str | None = None) -> Iterator[Path]:
    """A temporary path beside `path` to write a file or a directory to, renamed to `path` when the block ends well.

    When the block fails nothing is left behind, and an existing `path` stays as it was. What an earlier, killed writer left goes, where
    no other process writes `path`. A link stays a link: what it leads to is replaced.

    Args:
        path: the file or directory.
        kind: of the varfx table to write; None for anything else.

    Raises:
        StoreError: the folder does not exist, `path` is a folder with files that varfx did not write or a varfx table of another
            kind, the disk is full, or writing is not allowed.
    """
    target = place_of(Path(path))
    if not target.parent.is_dir():
        raise StoreError(f"`{target}` cannot be written: the folder `{target.parent}` does not exist. Create it first.")
    check_replaceable(target, kind=kind)
    sweep(target)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        yield partial
        if partial.is_file():
            give_usual_mode(partial)
        replace(partial, target, kind=kind)
    except OSError as error:
        if isinstance(error, VarfxError):
            raise
        raise write_error(target, error) from error
    finally:
        remove(partial)


def sweep(target: Path) -> None:
    """Removes what a killed writer left under temporary names of `target`, if that is OUT or OUT.SOMETHING of an owned OUT."""
    place = target.parent.resolve() if OWNED else target.parent
    if any(place == own.parent and f"{target.name}.".startswith(f"{own.name}.") for own in OWNED):
        for left in place.glob(f".{glob.escape(target.name)}.????????.partial"):
            with contextlib.suppress(OSError):
                remove(left)


def place_of(path: Path) -> Path:
    """The place that a path stands for: the end of a link, a named folder in place of `.` and `..`, else the path itself."""
    return Path(os.path.realpath(path)) if path.is_symlink() or path.name in ("", "..") else path


def write_error(path: Path, error: OSError) -> StoreError:
    """The one-line `StoreError` for a failed write."""
    more = "; free some space and run again" if error.errno in _FULL else ""
    return StoreError(f"`{path}` was not written: {reason(error)}. Nothing was left behind{more}.")


def reason(error: OSError) -> str:
    """The cause of a failed write, in words."""
    return "the disk is full" if error.errno in _FULL else str(error.strerror or error)


def give_usual_mode(file: Path) -> None:
    """Sets a file's mode by the user's umask; some libraries write 0600."""
    file.chmod(0o666 & ~_umask())


@functools.cache
def _umask() -> int:
    """The umask, which can be read only by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def write_tensors(path: str | os.PathLike[str], tensors: Mapping[str, Any]) -> None:
    """Writes a safetensors file, complete or not at all.

    Args:
        path: the file.
        tensors: torch tensors by name; they are moved to the CPU.
    """
    import safetensors.torch

    with atomic_path(path) as partial:
        safetensors.torch.save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, partial
        )


def replace(partial: Path, target: Path, *, kind: str | None = None) -> None:
    """Moves `partial` to `target`; both may be files or directories.

    Raises:
        StoreError: `target` is a directory with content that varfx did not write, or a varfx table of another kind.
    """
    check_replaceable(target, kind=kind)
    if partial.is_dir() and target.is_dir():
        stale = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.stale")
        target.rename(stale)
        partial.rename(target)
        shutil.rmtree(stale)
    else:
        partial.replace(target)


def check_replaceable(target: Path, *, kind: str | None = None) -> None:
    """Checks that a directory of this name, if there is one, is empty or ours, and a table of ours of the kind to write.

    Args:
        target: the directory or file.
        kind: of the varfx table to write; None for anything else.

    Raises:
        StoreError: it holds other files, is a table of another kind, the folder of the user, or a device.
    """
    refuse_special(target)
    if target.is_file() and (held := _kind_held(target)) not in (None, kind):
        raise StoreError(f"`{target}` holds {held}, which would be lost. Give another name, or remove it.")
    if target.is_dir() and not (target / MANIFEST).is_file() and any(target.iterdir()):
        raise StoreError(
            f"`{target}` is a folder with files that varfx did not write, and is left alone. Give another name."
        )


def refuse_special(target: Path) -> None:
    """Refuses what is neither file nor folder, and the folder that the user is in, which would be replaced under their feet.

    Raises:
        StoreError: it is one of these.
    """
    if target.is_dir() and Path.cwd().is_relative_to(os.path.realpath(target)):
        raise StoreError(
            f"`{target}` is the folder that you are in, or above it, and cannot be replaced. Give another name."
        )
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise StoreError(f"`{target}` is a device or pipe, which cannot be replaced. Give the name of a file.")


def _kind_held(path: Path) -> str | None:
    """Kind of a varfx table; other files are seen by their first bytes, without pyarrow."""
    try:
        with path.open("rb") as file:
            return table_kind(path) if file.read(4) == b"PAR1" else None
    except OSError:
        return None


def remove(path: Path) -> None:
    """Removes a file or a directory, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text file, complete or not at all."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes a JSON file, complete or not at all; NaN and infinities are refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """The value in a JSON file of ours.

    Raises:
        StoreError: it is missing or cannot be read.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        state = "missing" if isinstance(error, OSError) else "no JSON, or damaged"
        raise StoreError(f"`{path}` is {state}: {' '.join(str(error).split())[:200]}.") from error


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum(path: str | os.PathLike[str]) -> str | None:
    """The SHA-256 of a file, or of a directory's manifest; None if there is none."""
    path = Path(path)
    path = path / MANIFEST if path.is_dir() else path
    return sha256(path) if path.is_file() else None


def provenance(config: Mapping[str, Any], inputs: Mapping[str, str | os.PathLike[str]] | None = None) -> dict[str, Any]:
    """Provenance of a file: options, versions, time, and the checksum of each input file.

    Args:
        config: options as JSON-able values. Never put individuals' data in here.
        inputs: a name and a path of each input; directories are recorded by the checksum of their manifest.
    """
    from importlib.metadata import version  # slow to import: not for help pages

    checksums = {}
    for name, path in (inputs or {}).items():
        path = Path(path)
        path = path / MANIFEST if path.is_dir() else path
        checksums[name] = {"path": str(path), "sha256": checksum(path)}
    return {
        "varfx": __version__,
        "python": platform.python_version(),
        "polars": version("polars"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": dict(config),
        "inputs": checksums,
    }


def write_table(frame: pl.DataFrame, path: str | os.PathLike[str], *, kind: str, metadata: Mapping[str, Any]) -> None:
    """Writes a sealed Parquet file.

    Args:
        frame: the table.
        path: the file to write; it appears under its name only when it is complete.
        kind: what the table is, e.g. "sumstats"; `read_table` refuses another kind.
        metadata: JSON-able values returned by `read_table`, by convention with a key "provenance".
    """
    header = table_header(kind, metadata)
    with atomic_path(path, kind=kind) as partial:
        # By way of memory: polars reports a full disk as an error of the format, Python as what it is.
        buffer = io.BytesIO()
        frame.write_parquet(buffer, metadata=header, compression="zstd", compression_level=3, statistics=True)
        content = buffer.getbuffer()
        footer = int.from_bytes(content[-8:-4], "little") + 8
        offset = len(content) - footer + bytes(content[-footer:]).rfind(_DIGEST_LABEL) + len(_DIGEST_LABEL)
        content[offset : offset + 64] = hashlib.sha256(content).hexdigest().encode()
        partial.write_bytes(content)


def table_header(kind: str, metadata: Mapping[str, Any]) -> dict[str, str]:
    """Key-value metadata of a sealed table whose checksum is not yet known."""
    return {
        "varfx.format_version": str(FORMAT_VERSION),
        "varfx.kind": kind,
        "varfx.metadata": json.dumps(dict(metadata), allow_nan=False),
        "varfx.seal": (_DIGEST_LABEL + _EMPTY_DIGEST).decode(),
    }


def write_plain_parquet(frame: pl.DataFrame, path: str | os.PathLike[str]) -> None:
    """Writes a Parquet file without a seal, complete or not at all.

    By way of memory: polars reports a full disk as an error of the format, Python as what it is.
    """
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    with atomic_path(path) as partial:
        partial.write_bytes(buffer.getbuffer())


def read_table(
    path: str | os.PathLike[str], *, kind: str, made_by: str | None = None
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The table and the metadata of a file written by `write_table`, after checking its seal.

    Args:
        path: the file.
        kind: what it holds.
        made_by: the command that makes such files, for messages.

    Raises:
        StoreError: no such file, not a varfx table, another kind or version, or any byte of it changed.
    """
    import polars as pl

    path = Path(path)
    check_ends(path, kind=kind, made_by=made_by)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"`{path}` cannot be read: {error.strerror or error}.") from error
    offset = seal_offset(content, path)
    whole = hashlib.sha256()
    for part in (memoryview(content)[:offset], _EMPTY_DIGEST, memoryview(content)[offset + 64 :]):
        whole.update(part)
    if whole.hexdigest().encode() != content[offset : offset + 64]:
        raise StoreError(f"`{path}` is damaged: its checksum is not the one it was written with. Make it anew.")
    header = pl.read_parquet_metadata(io.BytesIO(content))
    check_header(header, path, kind=kind)
    return pl.read_parquet(content), json.loads(header["varfx.metadata"])


def check_ends(path: Path, *, kind: str, made_by: str | None) -> None:
    """Raises unless there is a file that begins and ends as a Parquet file.

    Raises:
        StoreError: with its likely content.
    """
    if not path.is_file():
        wanted = f"a {kind} file written by varfx" if made_by is None else f"{kind} made by `{made_by}`"
        raise StoreError(
            f"`{path}` {'is a folder' if path.is_dir() else 'does not exist or is no file'}. Give {wanted}."
        )
    try:
        with path.open("rb") as file:
            first = file.read(4)
            file.seek(max(0, path.stat().st_size - 4))
            last = file.read(4)
    except OSError as error:
        raise StoreError(f"`{path}` cannot be read: {error.strerror or error}.") from error
    if first != b"PAR1" or last != b"PAR1":
        again = "Make it anew" + ("" if made_by is None else f" with `{made_by}`")
        from varfx.io.recognise import seems

        found = "" if first == b"PAR1" else f": it seems to be {seems(path)}"
        raise StoreError(
            f"`{path}` is not a whole Parquet file (it is truncated, or of another format{found}). {again}."
        )


def check_header(header: Mapping[str, str], path: Path, *, kind: str) -> None:
    """Raises unless the key-value metadata of a whole table are of this kind and of a version that is known.

    Raises:
        StoreError: naming both.
    """
    if header["varfx.kind"] != kind:
        raise StoreError(f"`{path}` holds {header['varfx.kind']}, where {kind} is needed.")
    if int(header["varfx.format_version"]) > FORMAT_VERSION:
        raise StoreError(
            f"`{path}` has format version {header['varfx.format_version']}, newer than {FORMAT_VERSION}: update varfx."
        )


def table_kind(path: str | os.PathLike[str]) -> str | None:
    """The kind of a varfx table ("sumstats", "annotations", ...), or None if the file is not one of ours."""
    from pyarrow import ArrowException, parquet  # slow to import, and polars panics at some damaged files

    try:
        metadata: dict[bytes, bytes] = parquet.read_metadata(path).metadata or {}
        return metadata[b"varfx.kind"].decode()
    except (ArrowException, OSError, KeyError, UnicodeDecodeError):
        return None


def seal_offset(content: bytes | mmap.mmap, path: Path) -> int:
    """Place of the 64 digits of a table's checksum.

    Raises:
        StoreError: it has none.
    """
    offset = content.rfind(_DIGEST_LABEL)
    if offset < 0:
        raise StoreError(f"`{path}` was not written by varfx, or its seal is damaged. Make it anew.")
    return offset + len(_DIGEST_LABEL)
