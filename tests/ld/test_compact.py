"""Smaller panels: the same likelihood within stated errors, and the bytes they save."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.ld import haplotype_counts, positions_of, write_bed
from varfx.cli.app import run
from varfx.errors import ConfigError, DataError, StoreError
from varfx.genotypes.open_ld import open_source
from varfx.ld import LDPanel, PanelConfig, WhitenedWindow, build_panel, open_panel
from varfx.ld.compact import LEVELS, NEIGHBOURS, core_columns, require_shared, restored, rounded
from varfx.ld.config import Storage
from varfx.likelihood import exact

PEOPLE, END = 150, 4000


@pytest.fixture(scope="module")
def panels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LDPanel]:
    rng, folder = np.random.default_rng(5), tmp_path_factory.mktemp("panels")
    bed = write_bed(folder / "ref", haplotype_counts(rng, PEOPLE, 160), positions_of(rng, 160, ["1"], END))
    found = {}
    forms: list[tuple[str, str, Storage]] = [
        ("float32", "float32", "full"),
        ("half", "float16", "full"),
        ("shared", "float16", "shared"),
        ("int8", "float16", "int8"),
    ]
    for name, dtype, storage in forms:
        config = PanelConfig(core=1000, flank=1000, rank_variance=0.95, dtype=dtype, storage=storage)  # type: ignore[arg-type]
        found[name] = build_panel(open_source(bed), folder / f"{name}.ld.zarr", config, workers=1)
    return found


def scored(panel: LDPanel, index: int, z: np.ndarray) -> tuple[float, np.ndarray]:
    """Log p of a window and its gradient in F."""
    window = panel.window(index)
    factors = window.factors
    w = (factors.V.astype(np.float64) / np.sqrt(factors.lam)).T @ z[window.core_rows]
    F = torch.from_numpy(0.1 + (window.panel_rows % 7) / 7.0)
    found = exact(WhitenedWindow(B=torch.from_numpy(factors.B).double(), w=torch.from_numpy(w)), F, 1.1)
    return float(found.log_p), found.grad_F.numpy()


def associations(panel: LDPanel) -> np.ndarray:
    rng, z = np.random.default_rng(3), np.zeros(panel.variants.height)
    for index in range(len(panel.cores)):
        window = panel.window(index)
        lam = window.factors.lam
        z[window.core_rows] = window.factors.V @ (np.sqrt(lam + 0.3 * lam**2) * rng.standard_normal(lam.size))
    return z


@pytest.mark.parametrize(("form", "nats"), [("half", 0.01), ("shared", 0.05), ("int8", 0.1)])
def test_likelihood_and_gradient_are_those_of_single_precision(
    form: str, nats: float, panels: dict[str, LDPanel]
) -> None:
    z = associations(panels["float32"])
    for index in range(len(panels["float32"].cores)):
        (value, slope), (log_p, gradient) = scored(panels["float32"], index, z), scored(panels[form], index, z)
        assert log_p == pytest.approx(value, abs=nats)
        assert slope @ gradient / np.linalg.norm(slope) / np.linalg.norm(gradient) > 0.9999


def test_windows_have_the_same_shape_and_own_needs_no_flank(panels: dict[str, LDPanel]) -> None:
    for panel in panels.values():
        whole, own = panel.window(1), panel.own(1)
        np.testing.assert_array_equal(whole.factors.V, own.factors.V)
        assert own.factors.B.shape == (whole.factors.lam.size, 0)
        assert whole.factors.B.shape == (whole.factors.lam.size, whole.panel_rows.size)
        np.testing.assert_allclose(whole.factors.V, panels["float32"].window(1).factors.V, atol=1e-3)
        np.testing.assert_allclose(whole.factors.B.astype(np.float32), panels["float32"].window(1).factors.B, atol=0.02)
    sizes = {name: stored_bytes(panel) for name, panel in panels.items()}
    assert sizes["int8"] < sizes["shared"] < sizes["half"] < sizes["float32"]


def stored_bytes(panel: LDPanel) -> int:
    """Of the arrays that hold V and B."""
    names = ("V", "B", "flank", "flank_step")
    return sum(
        file.stat().st_size
        for file in panel.path.rglob("*")
        if file.is_file() and file.name != "zarr.json" and set(file.parts) & set(names)
    )


def test_a_flank_of_nothing(panels: dict[str, LDPanel], tmp_path: Path) -> None:
    source = open_source(panels["half"].path.parent / "ref.bed")
    panel = build_panel(source, tmp_path / "P.ld.zarr", PanelConfig(core=2000, flank=0, storage="int8"), workers=1)
    window = panel.window(0)
    np.testing.assert_allclose(window.factors.B, (window.factors.V * np.sqrt(window.factors.lam)).T, atol=1e-6)


def test_a_damaged_flank_is_noticed(panels: dict[str, LDPanel], tmp_path: Path) -> None:
    import shutil

    path = Path(shutil.copytree(panels["int8"].path, tmp_path / "P.ld.zarr"))
    chunk = next(file for file in path.rglob("*") if "flank" in file.parts and "c" in file.parts and file.is_file())
    content = bytearray(chunk.read_bytes())
    content[3] ^= 1
    chunk.write_bytes(bytes(content))
    with pytest.raises(StoreError, match="is damaged"):
        [open_panel(path).window(index) for index in range(len(panels["int8"].cores))]


@settings(deadline=None, max_examples=30)
@given(rows=st.integers(1, 5), columns=st.integers(0, 3 * NEIGHBOURS), seed=st.integers(0, 99))
def test_rounding_is_within_half_a_step(rows: int, columns: int, seed: int) -> None:
    B = np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)
    B[0, : columns // 2] = 0
    codes, steps = rounded(B)
    assert codes.dtype == np.int8
    assert steps.shape == (rows, -(-columns // NEIGHBOURS))
    error = np.abs(restored(codes, steps) - B)
    assert (error <= 0.501 * np.repeat(steps, NEIGHBOURS, axis=1)[:, :columns]).all()
    assert (restored(codes, steps)[0, : columns // 2] == 0).all()
    assert np.abs(codes).max(initial=0) <= LEVELS


def test_what_cannot_be_shared_is_refused() -> None:
    with pytest.raises(DataError, match="are not neighbours in the panel"):
        core_columns(np.array([3, 5]), np.array([1, 3, 4, 5]))
    with pytest.raises(DataError, match="do not agree"):
        require_shared(np.ones((2, 3)), np.ones(2), np.full((3, 2), 0.5))
    with pytest.raises(ConfigError, match="`storage` must be full, shared or int8"):
        PanelConfig(storage="int4")  # type: ignore[arg-type]


def test_info_says_what_is_stored(panels: dict[str, LDPanel], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", str(panels["int8"].path)]) == 0
    assert "8 bits" in capsys.readouterr().out
