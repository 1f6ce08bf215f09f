"""Bytes of LD that comes over the network (`s3://`, `https://`), and their time at a bandwidth that the user states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from varfx.errors import ConfigError
from varfx.io.remote import Folder, is_remote

MOST_ASKED = 32  # files whose sizes are asked one by one, where a listing does not state them


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What an LD source over the network sends.

    Attributes:
        address: as given.
        files: number of files.
        bytes: of all; None where the server states no sizes.
        asked: files whose size was asked, of which `bytes` is an extrapolation; 0 where the listing has all sizes.
        bandwidth: bytes per second, as the user states; None where not.
    """

    address: str
    files: int
    bytes: float | None
    asked: int
    bandwidth: float | None

    @property
    def seconds(self) -> float | None:
        """At the stated bandwidth, each file once; None where bytes or bandwidth are unknown."""
        return None if self.bytes is None or self.bandwidth is None else self.bytes / self.bandwidth

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {**asdict(self), "seconds": self.seconds}


def transfer_of(address: str, bandwidth: float | None) -> Transfer:
    """Files and bytes at an address; only names and sizes are fetched.

    Args:
        address: of a folder, `s3://...` or `https://...`.
        bandwidth: bytes per second.

    Raises:
        ConfigError: a path of this machine.
        DownloadError: the store cannot be reached, or has no such folder.
    """
    if not is_remote(address):
        raise ConfigError(
            f"`--source` takes an address (s3://... or https://...) of LD over the network, got {address!r}. Leave out files of this machine."
        )
    folder = Folder(address)
    sizes = folder.sizes()
    if not sizes:
        raise ConfigError(f"`{address}` lists no files. Check the address.")
    unknown = [name for name, size in sizes.items() if size < 0]
    asked = _evenly(unknown)
    found = [size for size in (folder.size(name) for name in asked) if size >= 0]
    stated = float(sum(size for size in sizes.values() if size >= 0))
    if unknown and not found:
        total: float | None = None
    else:
        total = stated + (len(unknown) * float(np.mean(found)) if found else 0.0)
    return Transfer(
        address=address, files=len(sizes), bytes=total, asked=len(found) if unknown else 0, bandwidth=bandwidth
    )


def _evenly(names: Sequence[str]) -> list[str]:
    """At most `MOST_ASKED` of the names, from first to last."""
    places = np.unique(np.linspace(0, len(names) - 1, min(len(names), MOST_ASKED)).round().astype(int))
    return [names[place] for place in places] if names else []
