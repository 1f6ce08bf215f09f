"""A panel on disk: whatever byte changes, it is noticed, or nothing that is read depends on it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cases.ld import CONFIG, haplotype_counts, positions_of, write_bed
from varfx.errors import StoreError, VarfxError
from varfx.genotypes.open_ld import open_source
from varfx.io import sealed, sealed_folder
from varfx.ld import LDPanel, build_panel, open_panel
from varfx.ld.store import COLUMNS_PER_CHUNK


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("store"), np.random.default_rng(1)
    bed = write_bed(folder / "ref", haplotype_counts(rng, 20, 30), positions_of(rng, 30, ["1"], bases=2000))
    build_panel(open_source(bed), folder / "P.ld.zarr", CONFIG, workers=1)
    return folder / "P.ld.zarr"


@pytest.fixture
def copy(panel: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(panel, tmp_path / "P.ld.zarr"))


def content(panel: LDPanel) -> list[np.ndarray]:
    windows = [panel.window(index) for index in range(panel.windows.height)]
    arrays = [[w.factors.lam, w.factors.V, w.factors.B, w.core_rows, w.panel_rows] for w in windows]
    return [array for each in arrays for array in each] + [panel.variants.hash_rows().to_numpy()]


def every_file(panel: Path) -> list[Path]:
    return sorted(path.relative_to(panel) for path in panel.rglob("*") if path.is_file())


def noticed_or_harmless(path: Path, expected: list[np.ndarray]) -> bool:
    """Whether reading everything raised our error; if it did not, what was read must be right."""
    try:
        read = content(open_panel(path))
    except StoreError:
        return True
    for got, wanted in zip(read, expected, strict=True):
        np.testing.assert_array_equal(got, wanted)
    return False


# What reading windows needs; the rest (LD scores by window, options of the build, groups) is for `info` alone.
READ = ("manifest.json", "variants.parquet", "windows.parquet", "lam", "V", "B", "core", "panel")


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), mask=st.integers(1, 255))
def test_any_changed_byte_is_noticed(panel: Path, data: st.DataObject, mask: int) -> None:
    expected = content(open_panel(panel))
    name = data.draw(st.sampled_from(every_file(panel)))
    whole = (panel / name).read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[place] ^= mask
    try:
        (panel / name).write_bytes(damaged)
        with pytest.raises(StoreError, match=r"damaged|newer"):
            sealed_folder.check_directory(panel)
        noticed = noticed_or_harmless(panel, expected)
        assert noticed or not set(name.parts) & set(READ)
    finally:
        (panel / name).write_bytes(whole)


def test_every_missing_or_cut_file_is_noticed(panel: Path) -> None:
    expected = content(open_panel(panel))
    for name in every_file(panel):
        whole = (panel / name).read_bytes()
        for kept in (None, b"", whole[:-1], whole + b"x"):
            try:
                (panel / name).unlink()
                if kept is not None:
                    (panel / name).write_bytes(kept)
                with pytest.raises(StoreError):
                    sealed_folder.check_directory(panel)
                assert noticed_or_harmless(panel, expected) or not set(name.parts) & set(READ)
            finally:
                (panel / name).write_bytes(whole)
    assert not noticed_or_harmless(panel, expected)


def test_messages_say_what_is_damaged(copy: Path) -> None:
    chunk = next(path for path in (copy / "windows" / "chr1_0_1000" / "B" / "c").rglob("*") if path.is_file())
    body = chunk.read_bytes()
    chunk.write_bytes(bytes([body[0] ^ 1]) + body[1:])
    with pytest.raises(StoreError, match=r"`windows/chr1_0_1000/B` cannot be read .*checksum.* Build the panel anew"):
        open_panel(copy).window(0)
    chunk.unlink()
    with pytest.raises(StoreError, match=r"`windows/chr1_0_1000/B/c/0/0` is missing or cut. Make it anew"):
        open_panel(copy).window(0)
    open_panel(copy).window(1)


def test_what_is_no_panel_is_refused(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none` does not exist\. Give a panel made by `varfx ld build`"):
        open_panel(tmp_path / "none")
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(
        StoreError,
        match=r"other` has no manifest.json: it is unfinished, or not written by varfx\. Give a panel made by",
    ):
        open_panel(other)
    sealed.write_text(other / "notes", "x")
    sealed_folder.seal_directory(other)
    with pytest.raises(
        StoreError, match=r"other` is no panel: it has no windows.parquet, .* Give a panel made by `varfx ld build`"
    ):
        open_panel(other)
    manifest = copy / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format_version": 2}))
    with pytest.raises(StoreError, match="has format version 2, newer than 1: update varfx"):
        open_panel(copy)


def test_rows_are_read_without_the_correlations(panel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_panel(panel)
    window = opened.window(0)
    names: list[str] = []
    read = LDPanel._read
    monkeypatch.setattr(LDPanel, "_read", lambda self, index, name: names.append(name) or read(self, index, name))
    core, rows = opened.rows(0)
    assert names == ["core", "panel"]
    np.testing.assert_array_equal(core, window.core_rows)
    np.testing.assert_array_equal(rows, window.panel_rows)


def test_B_is_stored_by_blocks_of_columns(tmp_path: Path, rng: np.random.Generator) -> None:
    size = COLUMNS_PER_CHUNK + 10
    bed = write_bed(tmp_path / "ref", haplotype_counts(rng, 12, size), positions_of(rng, size, ["1"], bases=4000))
    panel = build_panel(
        open_source(bed), tmp_path / "P.ld.zarr", type(CONFIG)(core=4000, flank=0, rank_variance=1.0), workers=1
    )
    assert (
        len([path for path in (panel.path / "windows" / "chr1_0_4000" / "B" / "c").rglob("*") if path.is_file()]) == 2
    )
    B = panel.window(0).factors.B
    assert B.shape == (11, size)
    assert (np.abs(B) > 0).any(axis=0).all()


def test_errors_are_of_one_tree() -> None:
    assert issubclass(StoreError, VarfxError)


def test_an_array_that_claims_more_than_its_files_hold_is_not_allocated(copy: Path) -> None:
    place = next((copy / "windows").glob("*/lam/zarr.json"))
    described = json.loads(place.read_text())
    described["shape"] = [1 << 45]
    place.write_text(json.dumps(described))
    sealed_folder.seal_directory(copy)
    panel = open_panel(copy)
    index = [core.name for core in panel.cores].index(place.parents[1].name)
    with pytest.raises(StoreError, match=r"lam` cannot be read \(it claims 281,474,976,710,656 bytes"):
        panel.window(index)
