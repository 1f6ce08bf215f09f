"""Files of ours: complete or not at all, sealed, and never in the place of somebody's work."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from varfx.errors import StoreError
from varfx.io import sealed as files
from varfx.io import sealed_folder

TABLE = pl.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"], "c": [0.5, float("nan"), None]})


def test_tables_come_back_with_their_metadata(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    metadata = {"provenance": {"x": [1, 2.5, None]}, "text": "varfx-sha256:" + "0" * 64}
    files.write_table(TABLE, path, kind="things", metadata=metadata)
    table, read = files.read_table(path, kind="things")
    assert table.equals(TABLE)
    assert read == metadata
    assert pl.read_parquet(path).equals(TABLE)  # any Parquet reader takes it
    assert files.table_kind(path) == "things"
    assert [each.name for each in tmp_path.iterdir()] == ["t.parquet"]


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sealed") / "t.parquet"
    files.write_table(TABLE, path, kind="things", metadata={"trait": "height"})
    return path


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), mask=st.integers(1, 255))
def test_any_changed_byte_of_a_table_is_noticed(sealed: Path, data: st.DataObject, mask: int) -> None:
    whole = sealed.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[place] ^= mask
    path = sealed.with_name("damaged.parquet")
    path.write_bytes(damaged)
    files.table_kind(path)  # whatever it says, it does not fail
    with pytest.raises(StoreError, match=r"damaged|not a whole Parquet file"):
        files.read_table(path, kind="things")


@pytest.mark.parametrize(
    "change", [lambda b: b"", lambda b: b[:-1], lambda b: b[:20], lambda b: b + b"x", lambda b: b[8:]]
)
def test_cut_tables_are_noticed(sealed: Path, tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "cut.parquet"
    path.write_bytes(change(sealed.read_bytes()))
    files.table_kind(path)
    with pytest.raises(
        StoreError, match=r"is not a whole Parquet file .it is truncated, or of another format.*\)\. Make it anew"
    ):
        files.read_table(path, kind="things")


def test_tables_of_others_and_of_another_kind_are_refused(sealed: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"t.parquet` holds things, where sumstats is needed"):
        files.read_table(sealed, kind="sumstats")
    foreign = tmp_path / "foreign.parquet"
    TABLE.write_parquet(foreign)
    assert files.table_kind(foreign) is None
    with pytest.raises(StoreError, match=r"foreign.parquet` was not written by varfx"):
        files.read_table(foreign, kind="things")
    for missing in (tmp_path, tmp_path / "none"):
        assert files.table_kind(missing) is None
        with pytest.raises(
            StoreError, match=r"(is a folder|does not exist or is no file)\. Give a things file written by varfx"
        ):
            files.read_table(missing, kind="things")


def test_newer_versions_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        for module in (files, sealed_folder):
            patch.setattr(module, "FORMAT_VERSION", 2)
        files.write_table(TABLE, tmp_path / "t.parquet", kind="things", metadata={})
        (tmp_path / "folder").mkdir()
        sealed_folder.seal_directory(tmp_path / "folder")
    with pytest.raises(StoreError, match="has format version 2, newer than 1: update varfx"):
        files.read_table(tmp_path / "t.parquet", kind="things")
    with pytest.raises(StoreError, match="has format version 2, newer than 1: update varfx"):
        sealed_folder.read_manifest(tmp_path / "folder")


def test_files_that_cannot_be_read_are_our_errors(
    sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / "a").write_text("1")
    sealed_folder.seal_directory(tmp_path)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(StoreError, match="cannot be read: Permission denied"):
        files.read_table(sealed, kind="things")
    with pytest.raises(StoreError, match=r"manifest.json` is damaged and cannot be read"):
        sealed_folder.read_manifest(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(sealed_folder, "sha256", refuse)
    with pytest.raises(StoreError, match="a` cannot be read: Permission denied"):
        sealed_folder.check_directory(tmp_path)


# ---- complete or not at all ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "t.parquet"
    path.write_text("before")

    def full(self: Path, content: bytes) -> None:
        self.touch()
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(
        StoreError, match=r"t.parquet` was not written: the disk is full. Nothing was left behind; free some"
    ):
        files.write_table(TABLE, path, kind="things", metadata={})
    assert [each.name for each in tmp_path.iterdir()] == ["t.parquet"]
    assert path.read_text() == "before"


def test_other_failures_to_write_say_why(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreError, match=r"x` was not written: Read-only file system. Nothing was left behind"),
        files.atomic_path(tmp_path / "x"),
    ):
        raise OSError(errno.EROFS, "Read-only file system")
    with pytest.raises(StoreError, match=r"x` cannot be written: the folder `.*none` does not exist. Create it first"):
        files.write_text(tmp_path / "none" / "x", "")


def test_the_kernels_limit_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, numpy, polars\nfrom varfx.io import sealed as files\n"
        "files.write_table(polars.DataFrame({'a': numpy.random.rand(50000)}), sys.argv[1], kind='x', metadata={})"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "t.parquet")],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
        check=False,
    )
    assert "StoreError" in ended.stderr
    assert "was not written: File too large. Nothing was left behind." in ended.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    for folder in (False, True):
        with pytest.raises(error), files.atomic_path(tmp_path / "x") as partial:  # noqa: PT012
            assert partial.parent == tmp_path
            assert partial.name.startswith(".x.")
            if folder:
                partial.mkdir()
                (partial / "inside").write_text("1")
            else:
                partial.write_text("1")
            raise error
        assert not list(tmp_path.iterdir())


def test_a_folder_of_ours_is_replaced_whole(tmp_path: Path) -> None:
    for number in ("1", "2"):
        with files.atomic_path(tmp_path / "x") as partial:
            partial.mkdir()
            (partial / number).write_text(number)
            sealed_folder.seal_directory(partial)
    assert [each.name for each in tmp_path.iterdir()] == ["x"]
    assert sorted(each.name for each in (tmp_path / "x").iterdir()) == ["2", "manifest.json"]


def test_a_folder_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "thesis.txt").write_text("years of work")
    for write in (lambda path: path.mkdir(), lambda path: path.write_text("1")):
        with (
            pytest.raises(
                StoreError, match=r"x` is a folder with files that varfx did not write, and is left alone. Give"
            ),
            files.atomic_path(tmp_path / "x") as partial,
        ):
            write(partial)
    assert (tmp_path / "x" / "thesis.txt").read_text() == "years of work"
    empty = tmp_path / "empty"
    empty.mkdir()
    with files.atomic_path(empty) as partial:
        partial.mkdir()
        (partial / "a").touch()
    assert (empty / "a").exists()


def test_json_round_trip_and_faults(tmp_path: Path) -> None:
    files.write_json(tmp_path / "x.json", {"a": [1, None, "é"]})
    assert files.read_json(tmp_path / "x.json") == {"a": [1, None, "é"]}
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        files.write_json(tmp_path / "y.json", {"a": float("nan")})
    (tmp_path / "x.json").write_text("{")
    for name in ("x.json", "y.json"):
        with pytest.raises(StoreError, match=rf"{name}` is (missing|no JSON, or damaged): "):
            files.read_json(tmp_path / name)
    assert [each.name for each in tmp_path.iterdir()] == ["x.json"]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    root = tmp_path / "run"
    (root / "inner").mkdir(parents=True)
    (root / "a.txt").write_text("first")
    (root / "inner" / "b.bin").write_bytes(bytes(range(50)))
    (root / "inner" / "manifest.json").write_text("{}")  # of somebody else, a file like any other
    sealed_folder.seal_directory(root)
    return root


def test_provenance_names_inputs_by_their_checksums(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    inputs = {"file": directory / "a.txt", "sealed": directory, "folder": tmp_path / "plain", "none": tmp_path / "none"}
    made = files.provenance({"maf": 0.01}, inputs)
    assert made["config"] == {"maf": 0.01}
    assert made["inputs"]["file"]["sha256"] == files.sha256(directory / "a.txt")
    assert made["inputs"]["sealed"]["sha256"] == files.sha256(directory / "manifest.json")
    assert made["inputs"]["folder"]["sha256"] is made["inputs"]["none"]["sha256"] is None
    assert json.loads(json.dumps(made)) == made
    assert made["created"][:4].isdigit()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_full_disk_is_told_of_plain_parquet_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """polars would call it an error of the format, with a traceback (found by `make torture`)."""

    @contextlib.contextmanager
    def full(path: Path) -> Iterator[Path]:
        try:
            yield Path("/dev/full")
        except OSError as error:
            raise files.write_error(Path(path), error) from error

    monkeypatch.setattr(files, "atomic_path", full)
    with pytest.raises(StoreError, match=r"a\.parquet` was not written: the disk is full"):
        files.write_plain_parquet(pl.DataFrame({"a": [1]}), tmp_path / "a.parquet")


def test_plain_parquet_comes_back(tmp_path: Path) -> None:
    table = pl.DataFrame({"a": [1, None], "b": ["x", ""]})
    files.write_plain_parquet(table, tmp_path / "a.parquet")
    assert pl.read_parquet(tmp_path / "a.parquet").equals(table)
