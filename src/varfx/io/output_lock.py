"""One writer per output: a lock file `.NAME.lock` beside it, held while a command writes.

The lock is `flock` on the open file. The kernel releases it when the process ends, however it ends, so that no lock outlives
its process and a file left by a killed one is taken over. Between machines that share a folder it holds where the file system
passes `flock` on (NFS 3 with lockd, NFS 4, Lustre with `-o flock`, GPFS); where locks are refused a warning says so, and where they
are local to each machine (Lustre with `localflock`) two machines do not see each other.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import inspect
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

from varfx.errors import StoreError
from varfx.io import sealed

try:
    import fcntl
except ImportError:  # pragma: no cover - not on Windows
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_HELD: dict[Path, int] = {}  # lock files of this process, and their descriptors


def one_writer(function: Callable[P, T]) -> Callable[P, T]:
    """The function, which now holds the lock of its argument `out` while it runs; see `held_output`."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def locked(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            out = signature.bind_partial(*args, **kwargs).arguments.get("out")
        except TypeError:
            out = None  # a wrong call: the function itself says so
        if out is None:
            return function(*args, **kwargs)
        with held_output(out):
            return function(*args, **kwargs)

    return locked


@contextlib.contextmanager
def held_output(out: str | os.PathLike[str]) -> Iterator[None]:
    """A block in which no other process writes `out`, a file or folder; this process may enter again.

    Where the folder of `out` is missing or read-only there is nothing to hold, and whoever writes says so.

    Raises:
        StoreError: another process writes it; the disk is full.
    """
    path = _lock_file(Path(out))
    if path in _HELD or fcntl is None:
        yield
        return
    descriptor = _acquired(path, Path(out))
    if descriptor is None:
        yield
        return
    _HELD[path] = descriptor
    own = Path(os.path.realpath(out))
    sealed.OWNED.add(own)
    sealed.sweep(own)
    try:
        yield
    finally:
        del _HELD[path]
        sealed.OWNED.discard(own)
        with contextlib.suppress(OSError):
            path.unlink()  # before it is released: who waits for the old file looks for the new one
        os.close(descriptor)


def _lock_file(out: Path) -> Path:
    """The lock file of an output, the same for every way to write its path."""
    place = Path(os.path.realpath(out))
    return place.parent / f".{place.name}.lock"


def _acquired(path: Path, out: Path) -> int | None:
    """The descriptor of the locked file; None where none can be made, or the file system has no locks."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreError(
                    f"`{out}` was not written: the disk is full. Free some space and run again."
                ) from error
            return None
        if not _is_locked(descriptor, path, out):
            os.close(descriptor)
            return None
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                _sign(descriptor)
                return descriptor
        os.close(descriptor)  # its holder removed it in between


def _is_locked(descriptor: int, path: Path, out: Path) -> bool:
    """Whether the lock was taken; False where the file system has none.

    Raises:
        StoreError: another process holds it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN):
            holder = os.read(descriptor, 500).decode(errors="replace").strip() or "another process"
            os.close(descriptor)
            raise StoreError(
                f"`{out}` is being written by {holder}. Wait until it ends, or choose another --out."
            ) from None
        if error.errno in _NO_LOCKS:
            logger.warning(
                "the file system of `%s` has no locks: no other command may write it at the same time", path.parent
            )
            return False
        raise
    return True


def _sign(descriptor: int) -> None:
    """Writes who holds the lock, for the message to others; it is held without that too."""
    words = f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}"
    with contextlib.suppress(OSError):
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, words.encode(), 0)


def _leave_to_parent() -> None:
    """In a forked child: the parent's locks are the parent's alone."""
    for descriptor in _HELD.values():
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _HELD.clear()
    sealed.OWNED.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
