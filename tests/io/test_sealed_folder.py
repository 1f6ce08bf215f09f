"""Sealed directories: any change of a file, or of the list of files, is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from varfx.errors import StoreError
from varfx.io import sealed_folder


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    root = tmp_path / "run"
    (root / "inner").mkdir(parents=True)
    (root / "a.txt").write_text("first")
    (root / "inner" / "b.bin").write_bytes(bytes(range(50)))
    (root / "inner" / "manifest.json").write_text("{}")  # of somebody else, a file like any other
    sealed_folder.seal_directory(root)
    return root


def test_a_sealed_directory_is_checked_file_by_file(directory: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    assert sealed_folder.check_directory(directory, lambda *done: seen.append(done)) == 3
    assert seen == [(1, 3, "files checked"), (2, 3, "files checked"), (3, 3, "files checked")]
    assert set(sealed_folder.read_manifest(directory)) == {"a.txt", "inner/b.bin", "inner/manifest.json"}


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), value=st.integers(0, 255))
def test_any_changed_byte_of_a_directory_is_noticed(directory: Path, data: st.DataObject, value: int) -> None:
    """Also one that leaves the manifest's JSON as it was, as a space for a line's end."""
    path = data.draw(st.sampled_from(sorted(each for each in directory.rglob("*") if each.is_file())))
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1).filter(lambda place: whole[place] != value))
    try:
        path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
        with pytest.raises(StoreError, match=r"damaged|newer"):
            sealed_folder.check_directory(directory)
    finally:
        path.write_bytes(whole)


def test_what_was_taken_away_is_noticed(directory: Path) -> None:
    (directory / "a.txt").unlink()
    with pytest.raises(StoreError, match=r"run` is damaged: `a.txt` is missing. Make it anew"):
        sealed_folder.check_directory(directory)
    manifest = directory / "manifest.json"
    whole = manifest.read_text()
    for text in (
        whole[:-2],
        "[]",
        "",
        "null",
        '{"format_version": 1}',
        json.dumps({**json.loads(whole), "files": {"a": 1}}),
    ):
        manifest.write_text(text)
        with pytest.raises(StoreError, match=r"manifest.json` is damaged and cannot be read. Make the directory anew"):
            sealed_folder.read_manifest(directory)
    manifest.write_text(json.dumps(json.loads(whole)))
    with pytest.raises(StoreError, match=r"manifest.json` is damaged: its checksum is not the one it was written with"):
        sealed_folder.read_manifest(directory)
    manifest.unlink()
    with pytest.raises(StoreError, match=r"run` has no manifest.json: it is unfinished, or not written by varfx"):
        sealed_folder.check_directory(directory)
