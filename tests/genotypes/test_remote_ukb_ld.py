"""UKBB_LD from an object store and a web server of our own: the same panel as from a folder, and nothing kept."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from cases.ld import CONFIG, haplotype_counts, positions_of, write_bed, write_ukb
from cases.web import serving
from varfx.errors import ConfigError, DownloadError, FormatError
from varfx.genotypes.open_ld import input_files, open_source
from varfx.io import remote
from varfx.ld import build_panel
from varfx.ld.store import LDPanel


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PAUSE_SECONDS", 0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng, path = np.random.default_rng(4), tmp_path_factory.mktemp("ld")
    bed = write_bed(path / "ref", haplotype_counts(rng, 60, 60), positions_of(rng, 60, ["1", "2"]))
    for chrom in ("1", "2"):
        write_ukb(path / "ukb", bed, chrom, [0, 1000])
    return path / "ukb"


@pytest.fixture(scope="module")
def web(folder: Path) -> Iterator[str]:
    with serving(folder) as address:
        yield address


@pytest.fixture(scope="module")
def store(folder: Path) -> Iterator[str]:
    """An object store with the folder's files; anybody may read them."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        server.start()
        _, port = server.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "x")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        writer = fsspec.filesystem("s3", skip_instance_cache=True)
        writer.mkdir("ld-bucket")
        for path in folder.iterdir():
            writer.put_file(str(path), f"ld-bucket/UKBB_LD/{path.name}", ACL="public-read")
        yield "s3://ld-bucket/UKBB_LD"
        server.stop()


def same(one: LDPanel, two: LDPanel) -> None:
    assert one.variants.equals(two.variants)
    assert one.windows.equals(two.windows)
    for index in range(one.windows.height):
        assert np.array_equal(one.window(index).factors.B, two.window(index).factors.B)


@pytest.mark.parametrize("kind", ["web", "store"])
def test_a_remote_folder_gives_the_panel_of_a_local_one(
    kind: str, folder: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    address = request.getfixturevalue(kind)
    source = open_source(address, num_people=60)
    assert source.name == address
    assert input_files([address]) == []
    there = build_panel(source, tmp_path / "THERE.ld.zarr", CONFIG, workers=1)
    assert list(scratch.iterdir()) == []  # nothing is kept
    same(build_panel(open_source(folder, num_people=60), tmp_path / "HERE.ld.zarr", CONFIG, workers=1), there)


def test_chromosomes_can_be_chosen(folder: Path, web: str) -> None:
    for path in (folder, web):
        assert set(open_source(path, num_people=60, chrom=("2",)).variants["chrom"]) == {"2"}
    with pytest.raises(ConfigError, match=r"has no region on chromosome 7; `--chrom` names it"):
        open_source(web, num_people=60, chrom=("7",))


def test_a_file_that_arrives_in_part_is_fetched_again_and_then_given_up(
    web: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = fsspec.implementations.http.HTTPFileSystem.get_file
    cut: list[str] = []

    def get_file(self: object, address: str, to: str, **options: object) -> None:
        whole(self, address, to, **options)
        if address.endswith(".npz") and len(cut) < attempts:
            cut.append(address)
            Path(to).write_bytes(Path(to).read_bytes()[:-7])

    monkeypatch.setattr(fsspec.implementations.http.HTTPFileSystem, "get_file", get_file)
    source = open_source(web, num_people=60)
    core, panel = source.select("1", 0, 1000, 0)
    attempts = 2
    source.correlation(core, panel)  # type: ignore[attr-defined]
    assert len(cut) == 2
    assert "attempt 3 of 3 follows" in caplog.text
    attempts = 9
    cut.clear()
    core, panel = source.select("2", 0, 1000, 0)
    with pytest.raises(DownloadError, match=r"cannot be fetched \(.* bytes arrived\), in 3 attempts"):
        source.correlation(core, panel)  # type: ignore[attr-defined]


def test_wrong_addresses(web: str, store: str, folder: Path) -> None:
    with pytest.raises(DownloadError, match=r"UKBB_XX` cannot be listed: there is no such file or folder"):
        open_source(store.replace("UKBB_LD", "UKBB_XX"))
    with pytest.raises(DownloadError, match=r"cannot be listed .*in 3 attempts"):
        open_source("http://127.0.0.1:9/x")
    with pytest.raises(ConfigError, match=r"takes --num-people and --chrom only"):
        open_source(web, population="EUR")
    with pytest.raises(ConfigError, match=r"`filter` is for genotypes"):
        open_source(web, filters="pass")
    with pytest.raises(ConfigError, match=r"cannot be combined with 1 references on this machine"):
        open_source([web, folder])
    with pytest.raises(ConfigError, match=r"cannot be combined with 1 other references"):
        open_source([web, store])
    with pytest.raises(FormatError, match=r"s3:/bucket/x` lacks a slash"):
        open_source(Path("s3://bucket/x"))
    with pytest.raises(ConfigError, match=r"`chrom` chooses regions of UKBB_LD"):
        open_source(folder.parent / "ref.bed", chrom=("2",))
