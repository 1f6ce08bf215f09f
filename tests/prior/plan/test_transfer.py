"""Bytes of LD over the network, from a server of our own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cases.web import serving
from varfx.errors import ConfigError, DownloadError
from varfx.io import remote
from varfx.prior.plan import transfer
from varfx.prior.plan.transfer import transfer_of


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """40 files of 100 to 139 bytes; listings of a web server state no sizes."""
    folder = tmp_path_factory.mktemp("served") / "LD"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number:02d}.npz").write_bytes(b"x" * (100 + number))
    with serving(folder.parent) as address:
        yield f"{address}/LD"


def test_bytes_and_time(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = transfer_of(web, 1000.0)
    assert (found.files, found.asked) == (40, 32)
    assert found.bytes == pytest.approx(40 * 119.5, rel=0.01)
    assert found.seconds == pytest.approx(found.bytes / 1000)
    monkeypatch.setattr(transfer, "MOST_ASKED", 40)
    whole = transfer_of(web, None)
    assert whole.bytes == 40 * 119.5
    assert whole.seconds is None


def test_a_listing_with_sizes_is_enough(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote.Folder, "sizes", lambda self: {"a": 10, "b": 20})
    found = transfer_of(web, None)
    assert (found.files, found.bytes, found.asked) == (2, 30, 0)


def test_sizes_that_nobody_states(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote.Folder, "size", lambda self, name: -1)
    assert transfer_of(web, 5.0).bytes is None


def test_what_is_no_address(web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PAUSE_SECONDS", 0.0)
    with pytest.raises(ConfigError, match="`--source` takes an address"):
        transfer_of(str(tmp_path), None)
    with pytest.raises(DownloadError, match="there is no such file or folder"):
        transfer_of(f"{web}/absent", None)
