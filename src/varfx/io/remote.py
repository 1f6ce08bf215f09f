"""A folder here, or in an object store or on a web server: the same names and files, of which remote ones are fetched and not kept.

Remote folders (`s3://bucket/path`, `https://...`) are read through fsspec, anonymously. A file is fetched into a temporary folder,
its length compared with the store's, and removed when it has been used. Failed attempts are repeated.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from varfx.errors import ConfigError, DownloadError, FormatError

logger = logging.getLogger(__name__)
ATTEMPTS = 3
PAUSE_SECONDS = 2.0  # before the second attempt; twice as long before the third
_REMOTE = re.compile(r"(s3|https?)://[^/]+", re.IGNORECASE)


def is_remote(path: str | os.PathLike[str]) -> bool:
    """True for an address of a web server or an object store."""
    return _REMOTE.match(os.fspath(path)) is not None


class Folder:
    """A folder of files; here or remote. It can be pickled: connections are made when they are needed, in whichever process."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Remembers a path or an address; nothing is read."""
        self.path = os.fspath(path).rstrip("/") or "/"
        self._remote = is_remote(self.path)
        self._sizes: dict[str, int] | None = None
        self._folders: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.path

    def names(self) -> list[str]:
        """Names of the files in the folder, sorted; none where there is no such folder on this machine.

        Raises:
            ConfigError: the packages that reach the store are not installed.
            DownloadError: the store cannot be reached, or has no such folder.
        """
        if not self._remote:
            here = Path(self.path)
            return sorted(each.name for each in here.iterdir()) if here.is_dir() else []
        return sorted(self._listed())

    def folders(self) -> list[str]:
        """Names of the folders in a remote folder, sorted.

        Raises:
            ConfigError, DownloadError: see `names`.
        """
        self._listed()
        return sorted(self._folders)

    def below(self, name: str) -> Folder:
        """A folder in this one."""
        return Folder(f"{self.path}/{name}")

    def sizes(self) -> dict[str, int]:
        """Bytes of the files in the folder by name, -1 where a store's listing does not state them.

        Raises:
            ConfigError, DownloadError: see `names`.
        """
        if self._remote:
            return dict(sorted(self._listed().items()))
        return {name: (Path(self.path) / name).stat().st_size for name in self.names()}

    def size(self, name: str) -> int:
        """Bytes of one file of a remote folder; -1 where the store does not know.

        Raises:
            DownloadError: the store cannot be reached, or has no such file.
        """
        address = f"{self.path}/{name}"
        found = _attempted(lambda: self._store().size(address), f"`{address}` cannot be asked for its size")
        return -1 if found is None else int(found)

    @contextlib.contextmanager
    def files(self, *names: str) -> Iterator[list[Path]]:
        """Paths of files of the folder, while the block lasts; remote ones are fetched, and removed at its end.

        Raises:
            DownloadError: a file cannot be fetched whole, in three attempts.
        """
        if not self._remote:
            yield [Path(self.path) / name for name in names]
            return
        with tempfile.TemporaryDirectory(prefix="varfx-remote-") as scratch:
            for name in names:
                self.fetch(name, Path(scratch) / name)
            yield [Path(scratch) / name for name in names]

    def _listed(self) -> dict[str, int]:
        """Sizes of the files by name."""
        if self._sizes is None:
            entries = _attempted(lambda: self._store().ls(self.path, detail=True), f"`{self.path}` cannot be listed")
            last = [(entry["name"].rstrip("/").rsplit("/", 1)[-1], entry) for entry in entries]
            self._sizes = {name: int(entry.get("size") or -1) for name, entry in last if entry.get("type") == "file"}
            mine = self.path.rsplit("/", 1)[-1]  # which some listings have in themselves, or a link to what is above
            self._folders = tuple(
                name
                for name, entry in last
                if entry.get("type") == "directory" and name not in ("", ".", "..", mine) and "\0" not in name
            )
        return self._sizes

    def fetch(self, name: str, to: Path) -> None:
        """Copies a file of a remote folder.

        Raises:
            DownloadError: it cannot be fetched whole, in three attempts.
        """
        address = f"{self.path}/{name}"

        def fetch() -> None:
            store = self._store()
            store.get_file(address, str(to))
            expected = self._listed().get(name, -1)
            if expected < 0:
                expected = int(store.size(address) or -1)
            found = to.stat().st_size
            if expected >= 0 and found != expected:
                raise OSError(f"{found:,} of {expected:,} bytes arrived")

        _attempted(fetch, f"`{address}` cannot be fetched")

    def fetch_all(self, to: Path) -> None:
        """Copies a remote folder with all that is in it.

        Raises:
            DownloadError: a file cannot be fetched whole, in three attempts.
        """
        to.mkdir()
        for name in self.names():
            if name not in ("", ".", "..") and "\0" not in name:
                self.fetch(name, to / name)
        for name in self.folders():
            self.below(name).fetch_all(to / name)

    def _store(self) -> Any:
        try:
            import fsspec

            protocol = self.path.split("://", 1)[0].lower()
            options = {"anon": True} if protocol == "s3" else {}
            return fsspec.filesystem(protocol, use_listings_cache=False, skip_instance_cache=True, **options)
        except ImportError as error:
            raise ConfigError(f"`{self.path}` is read over the network: pip install 'varfx[cloud]'.") from error


class Mirror:
    """A remote folder whose files come one at a time: the file used last lies here, and no other. A folder in it comes as a whole.

    It can be pickled: each process fetches what it reads, into a folder of its own. Files are removed when the next one comes, and all
    folders of this machine when the object that was made first is gone.
    """

    def __init__(self, address: str) -> None:
        """Remembers an address and makes a temporary folder; nothing is fetched."""
        self._folder = Folder(address)
        self._all = Path(tempfile.mkdtemp(prefix="varfx-remote-"))
        weakref.finalize(self, shutil.rmtree, self._all, ignore_errors=True)
        self._scratch: Path | None = None
        self._here: Path | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_scratch": None, "_here": None}

    def bring(self, name: str) -> Path:
        """The path of a file of the folder, or of a folder in it, valid until the next call.

        Raises:
            DownloadError: it cannot be fetched whole, in three attempts.
        """
        if self._here is None or self._here.name != name:
            if self._scratch is None:
                above = self._all if self._all.is_dir() else None  # another machine has none
                self._scratch = Path(tempfile.mkdtemp(prefix="varfx-remote-", dir=above))
            if self._here is not None:
                _remove(self._here)
                self._here = None
            path = self._scratch / name
            if name in self._folder.folders():
                self._folder.below(name).fetch_all(path)
            else:
                self._folder.fetch(name, path)
            self._here = path
        return self._here

    def told(self, text: str) -> str:
        """A message with the address in place of the temporary folder."""
        return text if self._scratch is None else text.replace(str(self._scratch), self._folder.path)


def _remove(path: Path) -> None:
    """Removes a file or folder; one that is still open keeps its content."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _attempted(call: Any, what: str) -> Any:
    """The result of a call over the network, which may fail and be repeated.

    Raises:
        DownloadError: after the last attempt, with its reason.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return call()
        except FileNotFoundError as error:
            raise DownloadError(f"{what}: there is no such file or folder. Check the address.") from error
        except (OSError, ValueError, TimeoutError, RuntimeError, _client_error()) as error:
            reason = " ".join(str(error).split()).rstrip(".")[:200] or type(error).__name__
            if attempt == ATTEMPTS:
                raise DownloadError(
                    f"{what} ({reason}), in {ATTEMPTS} attempts. Check the address and the network; finished work is kept."
                ) from error
            logger.warning("%s (%s); attempt %d of %d follows", what, reason, attempt + 1, ATTEMPTS)
            time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
    raise AssertionError


def _client_error() -> type[Exception]:
    """The errors of aiohttp, where it is installed."""
    try:
        from aiohttp import ClientError
    except ImportError:
        return OSError
    found: type[Exception] = ClientError
    return found


def require_folder(path: str | os.PathLike[str]) -> None:
    """Checks an address that a path type may have changed.

    Raises:
        FormatError: `s3:/x`, as `Path("s3://x")` has it.
    """
    if re.match(r"(s3|https?):/[^/]", os.fspath(path), re.IGNORECASE):
        raise FormatError(f"`{path}` lacks a slash. Give addresses as text, not as `Path`.")
