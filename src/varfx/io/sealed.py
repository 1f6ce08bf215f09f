"""Writing and reading of varfx's own files: complete or not at all; any flipped byte is noticed.

Tables are Parquet files whose key-value metadata holds `format_version`, `kind`, the provenance, and a SHA-256 of
the whole file (computed with its own digits set to zero). Directories (panels, runs) carry a `manifest.json` with
the size and the SHA-256 of each file inside.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import io
import json
import math
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
from varfx.progress import Progress, silent

if TYPE_CHECKING:
    import polars as pl  # loaded when a table is: help pages and the numerical core run without it

FORMAT_VERSION = 1
LARGEST_CHUNK = 1 << 31  # numbers in a chunk or shard of a Zarr array
MANIFEST = "manifest.json"
_DIGEST_LABEL = b"varfx-sha256:"
_EMPTY_DIGEST = b"0" * 64
_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path` to write a file or a directory to, renamed to `path` when the block ends well.

    When the block fails nothing is left behind, and an existing `path` stays as it was.

    Raises:
        StoreError: the folder does not exist, `path` is a folder with files that varfx did not write, the disk is full,
            or writing is not allowed.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise StoreError(f"`{target}` cannot be written: the folder `{target.parent}` does not exist. Create it first.")
    check_replaceable(target)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        yield partial
        if partial.is_file():
            give_usual_mode(partial)
        replace(partial, target)
    except OSError as error:
        if isinstance(error, VarfxError):
            raise
        raise write_error(target, error) from error
    finally:
        remove(partial)


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


def replace(partial: Path, target: Path) -> None:
    """Moves `partial` to `target`; both may be files or directories.

    Raises:
        StoreError: `target` is a directory with content that varfx did not write.
    """
    check_replaceable(target)
    if partial.is_dir() and target.is_dir():
        stale = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.stale")
        target.rename(stale)
        partial.rename(target)
        shutil.rmtree(stale)
    else:
        partial.replace(target)


def check_replaceable(target: Path) -> None:
    """Checks that a directory of this name, if there is one, is empty or ours, so that writing may replace it.

    Raises:
        StoreError: it holds other files.
    """
    if target.is_dir() and not (target / MANIFEST).is_file() and any(target.iterdir()):
        raise StoreError(
            f"`{target}` is a folder with files that varfx did not write, and is left alone. Give another name."
        )


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
        raise StoreError(f"`{path}` is missing or damaged: {' '.join(str(error).split())[:200]}.") from error


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
    header = {
        "varfx.format_version": str(FORMAT_VERSION),
        "varfx.kind": kind,
        "varfx.metadata": json.dumps(dict(metadata), allow_nan=False),
        "varfx.seal": (_DIGEST_LABEL + _EMPTY_DIGEST).decode(),
    }
    with atomic_path(path) as partial:
        # By way of memory: polars reports a full disk as an error of the format, Python as what it is.
        buffer = io.BytesIO()
        frame.write_parquet(buffer, metadata=header, compression="zstd", compression_level=3, statistics=True)
        content = buffer.getbuffer()
        offset = buffer.getvalue().rfind(_DIGEST_LABEL) + len(_DIGEST_LABEL)
        content[offset : offset + 64] = hashlib.sha256(content).hexdigest().encode()
        partial.write_bytes(content)


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
    if not path.is_file():
        wanted = f"a {kind} file written by varfx" if made_by is None else f"{kind} made by `{made_by}`"
        raise StoreError(
            f"`{path}` {'is a folder' if path.is_dir() else 'does not exist or is no file'}. Give {wanted}."
        )
    try:
        content = bytearray(path.read_bytes())
    except OSError as error:
        raise StoreError(f"`{path}` cannot be read: {error.strerror or error}.") from error
    if content[:4] != b"PAR1" or content[-4:] != b"PAR1":
        again = "Make it anew" + ("" if made_by is None else f" with `{made_by}`")
        raise StoreError(f"`{path}` is not a whole Parquet file (it is truncated, or of another format). {again}.")
    offset = _seal_offset(content, path) + len(_DIGEST_LABEL)
    digest = bytes(content[offset : offset + 64])
    content[offset : offset + 64] = _EMPTY_DIGEST
    if hashlib.sha256(content).hexdigest().encode() != digest:
        raise StoreError(f"`{path}` is damaged: its checksum is not the one it was written with. Make it anew.")
    header = pl.read_parquet_metadata(io.BytesIO(content))
    if header["varfx.kind"] != kind:
        raise StoreError(f"`{path}` holds {header['varfx.kind']}, where {kind} is needed.")
    if int(header["varfx.format_version"]) > FORMAT_VERSION:
        raise StoreError(
            f"`{path}` has format version {header['varfx.format_version']}, newer than {FORMAT_VERSION}: update varfx."
        )
    return pl.read_parquet(bytes(content)), json.loads(header["varfx.metadata"])


def table_kind(path: str | os.PathLike[str]) -> str | None:
    """The kind of a varfx table ("sumstats", "annotations", ...), or None if the file is not one of ours."""
    from pyarrow import ArrowException, parquet  # slow to import, and polars panics at some damaged files

    try:
        metadata: dict[bytes, bytes] = parquet.read_metadata(path).metadata or {}
        return metadata[b"varfx.kind"].decode()
    except (ArrowException, OSError, KeyError, UnicodeDecodeError):
        return None


def _seal_offset(content: bytes | bytearray, path: Path) -> int:
    offset = content.rfind(_DIGEST_LABEL)
    if offset < 0:
        raise StoreError(f"`{path}` was not written by varfx, or its seal is damaged. Make it anew.")
    return offset


def seal_directory(root: str | os.PathLike[str]) -> None:
    """Writes `manifest.json`: size and SHA-256 of every file below `root`, and a digest of the list itself."""
    root = Path(root)
    entries = {
        file.relative_to(root).as_posix(): (file.stat().st_size, sha256(file))
        for file in sorted(root.rglob("*"))
        if file.is_file() and file != root / MANIFEST
    }
    write_text(root / MANIFEST, _manifest_text(FORMAT_VERSION, entries))


def read_manifest(root: str | os.PathLike[str]) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of each file by its relative path, from a directory's manifest.

    Raises:
        StoreError: the manifest is missing, unreadable, damaged or of a newer version.
    """
    path = Path(root) / MANIFEST
    if not path.is_file():
        raise StoreError(f"`{root}` has no {MANIFEST}: it is unfinished, or not written by varfx.")
    try:
        text = path.read_bytes().decode("utf-8")
        manifest = json.loads(text)
        version = int(manifest["format_version"])
        files = {str(name): (int(size), str(digest)) for name, (size, digest) in manifest["files"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise StoreError(f"`{path}` is damaged and cannot be read. Make the directory anew.") from error
    if version > FORMAT_VERSION:
        raise StoreError(f"`{root}` has format version {version}, newer than {FORMAT_VERSION}: update varfx.")
    if any(Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name for name in files):
        raise StoreError(f"`{path}` is damaged: it lists a file outside its directory. Make the directory anew.")
    if text != _manifest_text(version, files):
        raise StoreError(
            f"`{path}` is damaged: its checksum is not the one it was written with. Make the directory anew."
        )
    return files


def check_file(root: Path, name: str, entry: tuple[int, str]) -> None:
    """Checks one file of a sealed directory against its manifest entry.

    Raises:
        StoreError: the file is missing, or its size or content changed.
    """
    file = root / name
    if not file.is_file():
        raise StoreError(f"`{root}` is damaged: `{name}` is missing. Make it anew.")
    try:
        same = file.stat().st_size == entry[0] and sha256(file) == entry[1]
    except OSError as error:
        raise StoreError(f"`{file}` cannot be read: {error.strerror or error}.") from error
    if not same:
        raise StoreError(f"`{root}` is damaged: `{name}` is not as it was written. Make it anew.")


def check_array(root: Path, entries: Mapping[str, tuple[int, str]]) -> None:
    """Checks a Zarr array of a sealed directory before its chunks are read, whose own checksums Zarr verifies.

    Args:
        root: the sealed directory.
        entries: the array's part of the manifest: its `zarr.json` and the files of its chunks or shards.

    Raises:
        StoreError: `zarr.json` is missing or changed, or another file is missing or of another size.
    """
    for name, entry in entries.items():
        if name.endswith("zarr.json"):
            check_file(root, name, entry)
            _check_chunks(root, name)
        elif not (root / name).is_file() or (root / name).stat().st_size != entry[0]:
            raise StoreError(f"`{root}` is damaged: `{name}` is missing or cut. Make it anew.")


def _check_chunks(root: Path, name: str) -> None:
    """Refuses an array whose `zarr.json` claims chunks that no store of ours has, before memory is taken for one."""
    described = read_json(root / name)
    try:
        lengths = described["chunk_grid"]["configuration"]["chunk_shape"]
        claimed = math.prod(max(1, int(length)) for length in lengths)
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise StoreError(f"`{root}` is damaged: `{name}` describes no array. Make it anew.") from error
    if claimed > LARGEST_CHUNK:
        raise StoreError(f"`{root}` is damaged: `{name}` claims chunks of {claimed:,} numbers. Make it anew.")


def check_directory(root: str | os.PathLike[str], progress: Progress = silent) -> int:
    """Checks every file of a sealed directory; returns how many there are.

    Raises:
        StoreError: the first file that is missing or changed.
    """
    manifest = read_manifest(root)
    for number, (name, entry) in enumerate(manifest.items(), start=1):
        check_file(Path(root), name, entry)
        progress(number, len(manifest), "files checked")
    return len(manifest)


def _manifest_text(version: int, entries: Mapping[str, tuple[int, str]]) -> str:
    """The manifest with the digest of itself; the one way to write it, so that any other byte shows."""
    content = {"format_version": version, "files": {name: list(entry) for name, entry in entries.items()}}
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return json.dumps({**content, "sha256": digest}, indent=2) + "\n"
