"""Sealed directories (panels, track stores, cohorts, runs): `manifest.json` has the size and SHA-256 of each file inside."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

from varfx.errors import StoreError
from varfx.io.sealed import FORMAT_VERSION, MANIFEST, read_json, sha256, write_text
from varfx.progress import Progress, silent

LARGEST_CHUNK = 1 << 31  # numbers in a chunk or shard of a Zarr array


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
