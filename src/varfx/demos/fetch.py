"""Public files that the examples and experiments use, fetched from their own sources and checked by checksum.

`sources.json` lists them: a fixed revision of each source, so that a file never changes under its name. Files that are whole
are not fetched again; each is written under a temporary name and renamed once its checksum is right.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from varfx.errors import ConfigError, DownloadError, StoreError
from varfx.io import sealed
from varfx.progress import Progress, silent

CHUNK_BYTES = 1 << 16
TIMEOUT_SECONDS = 30
ATTEMPTS = 3


@dataclass(frozen=True)
class SourceFile:
    """A file of a source.

    Attributes:
        path: where it goes, relative to the data folder.
        url: where it comes from.
        size: bytes.
        sha256: its checksum.
    """

    path: str
    url: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """Files of one origin.

    Attributes:
        name: word by which the command takes it.
        what: content, in one sentence.
        source: origin.
        licence: its licence.
        files: all of them.
    """

    name: str
    what: str
    source: str
    licence: str
    files: tuple[SourceFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@lru_cache
def sources() -> tuple[Source, ...]:
    """All sources, in the order of the list."""
    entries = json.loads(Path(__file__).with_name("sources.json").read_text(encoding="utf-8"))
    return tuple(
        Source(
            entry["name"],
            entry["what"],
            entry["source"],
            entry["licence"],
            tuple(
                SourceFile(
                    file["path"], f"{entry['base']}/{file['path'].rpartition('/')[2]}", file["bytes"], file["sha256"]
                )
                for file in entry["files"]
            ),
        )
        for entry in entries
    )


def fetch(
    out: Path, names: Sequence[str] = (), *, known: Sequence[Source] | None = None, progress: Progress = silent
) -> list[Path]:
    """Paths of the files of the named sources under `out`; those that are absent or damaged are fetched.

    Args:
        out: the data folder; `VARFX_DATA` may then name it.
        names: of the sources; all by default.
        known: by default `sources()`.
        progress: told about each file.

    Raises:
        ConfigError: an unknown name.
        DownloadError: no network, or a file with another size or checksum than the listed one.
        StoreError: `out` cannot be written.
    """
    every = sources() if known is None else known
    unknown = [name for name in names if name not in {source.name for source in every}]
    if unknown:
        raise ConfigError(
            f"there is no data called {unknown[0]!r}. There are {', '.join(each.name for each in every)}."
        )
    files = [file for source in every if not names or source.name in names for file in source.files]
    for done, file in enumerate(files, start=1):
        target = out / file.path
        if not _is_whole(target, file):
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"`{target.parent}` cannot be made: {error.strerror or error}.") from error
            with sealed.atomic_path(target) as partial:
                _download(file, partial)
        progress(done, len(files), "files")
    return [out / file.path for file in files]


def _is_whole(path: Path, file: SourceFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size and sealed.sha256(path) == file.sha256


def _download(file: SourceFile, partial: Path) -> None:
    """Fetches a file, with a few attempts where the connection breaks.

    Raises:
        DownloadError: it cannot be had, or is another file.
    """
    reason = ""
    for _ in range(ATTEMPTS):
        try:
            digest, size = _copy(file, partial)
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            reason = " ".join(str(getattr(error, "reason", error)).split()).rstrip(".")
            continue
        if (digest, size) != (file.sha256, file.size):
            raise DownloadError(
                f"`{file.url}` is not the expected file: {size} of {file.size} bytes, SHA-256 {digest[:12]}... in place of "
                f"{file.sha256[:12]}... . Nothing was kept; report it if it stays so."
            )
        return
    raise DownloadError(
        f"`{file.url}` cannot be fetched: {reason}. Fetch it on a machine with internet and put it to `{file.path}` in the "
        "data folder; the same command then checks it and goes on."
    )


def _copy(file: SourceFile, partial: Path) -> tuple[str, int]:
    """SHA-256 and size of what was copied; never more than one chunk above the listed size."""
    digest, size = hashlib.sha256(), 0
    with urllib.request.urlopen(file.url, timeout=TIMEOUT_SECONDS) as answer, partial.open("wb") as copy:
        while size <= file.size and (chunk := answer.read(CHUNK_BYTES)):
            copy.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size
