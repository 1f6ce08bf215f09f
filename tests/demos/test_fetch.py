"""`varfx data fetch` from a server on the loopback address: whole files stay, damaged ones are fetched, other files are refused."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from cases.command_line import varfx
from varfx.demos import fetch as module
from varfx.demos.fetch import Source, SourceFile, fetch, sources
from varfx.errors import ConfigError, DownloadError

CONTENT = {"a.txt": b"one\n" * 50_000, "b.txt": b"two\n"}


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and remembers what was asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[http.server.ThreadingHTTPServer]:
    root = tmp_path / "www"
    root.mkdir()
    for name, content in CONTENT.items():
        (root / name).write_bytes(content)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(root))) as running:
        running.asked = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def source_at(server: http.server.ThreadingHTTPServer) -> Source:
    base = f"http://127.0.0.1:{server.server_address[1]}"
    files = tuple(
        SourceFile(f"folder/{name}", f"{base}/{name}", len(content), hashlib.sha256(content).hexdigest())
        for name, content in CONTENT.items()
    )
    return Source("things", "things", "here", "MIT", files)


def test_only_what_is_absent_or_damaged_is_fetched(server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    known = [source_at(server)]
    paths = fetch(tmp_path / "data", known=known)
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    assert fetch(tmp_path / "data", ["things"], known=known) == paths
    assert len(server.asked) == 2  # type: ignore[attr-defined]
    paths[1].write_bytes(b"twO\n")
    fetch(tmp_path / "data", known=known)
    assert paths[1].read_bytes() == b"two\n"
    assert len(server.asked) == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("content", [b"one\n" * 49_999 + b"onE\n", b"one\n", b"one\n" * 90_000])
def test_another_file_is_refused_and_not_kept(
    content: bytes, server: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    known = [source_at(server)]
    (tmp_path / "www" / "a.txt").write_bytes(content)
    with pytest.raises(DownloadError, match=r"a.txt` is not the expected file: .* Nothing was kept"):
        fetch(tmp_path / "data", known=known)
    assert list((tmp_path / "data").rglob("*.*")) == []


def test_what_cannot_be_had_is_one_line(
    server: http.server.ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = [source_at(server)]
    (tmp_path / "www" / "b.txt").unlink()
    monkeypatch.setattr(module, "ATTEMPTS", 2)
    with pytest.raises(DownloadError, match=r"b.txt` cannot be fetched: File not found.* put it to `folder/b.txt`"):
        fetch(tmp_path / "data", known=known)
    assert [path.name for path in (tmp_path / "data").rglob("*.*")] == ["a.txt"]  # the first one stays
    assert server.asked.count("/b.txt") == 2  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"no data called 'thing'\. There are things"):
        fetch(tmp_path, ["thing"], known=known)


@pytest.mark.shared_data
def test_the_listed_checksums_are_those_of_the_real_files(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_download", lambda file, partial: pytest.fail(f"{file.path} is another file"))
    assert len(fetch(shared_data)) == sum(len(source.files) for source in sources()) > 60


def test_the_list_is_shown_without_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    result = varfx(capsys, "data", "fetch", "--list")
    assert result.code == 0
    for source in sources():
        assert source.name in result.out
        assert source.licence.split()[0] in result.out
