"""Panels from every format of reference; parallel, interrupted, resumed and failing builds."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from cases.forked import Forked, run_forked
from cases.ld import CONFIG, CORE, build_slowly, haplotype_counts, positions_of, write_bed, write_pgen, write_ukb
from varfx.errors import ConfigError, DataError, StoreError, WorkerError
from varfx.genotypes.ld_source import LDSource, MissingRegion
from varfx.genotypes.open_ld import open_source
from varfx.io import local_workers
from varfx.ld import LDPanel, PanelConfig, WhitenedWindow, build_panel, open_panel
from varfx.ld.build import factors_of, ld_scores
from varfx.ld.windows import tile
from varfx.likelihood import exact

BUILD = sys.modules["varfx.ld.build"]


@pytest.fixture
def bed(tmp_path: Path, rng: np.random.Generator) -> Path:
    return write_bed(tmp_path / "ref", haplotype_counts(rng, 40, 120), positions_of(rng, 120, ["1", "2"]))


def log_p(panel: LDPanel, index: int) -> float:
    """The likelihood of associations and effects that depend on the variants only."""
    window = panel.window(index)
    hashed = panel.variants["position"].to_numpy()
    z, F = np.sin(hashed * 1.7) * 3, 0.1 + (hashed % 7) / 7
    w = (window.factors.V / np.sqrt(window.factors.lam)).T @ z[window.core_rows]
    whitened = WhitenedWindow(B=torch.from_numpy(window.factors.B).double(), w=torch.from_numpy(w))
    return float(exact(whitened, torch.from_numpy(F[window.panel_rows]), 1.1).log_p)


def same(a: LDPanel, b: LDPanel) -> None:
    assert a.windows.equals(b.windows)
    assert a.variants.equals(b.variants)
    for index in range(a.windows.height):
        left, right = a.window(index), b.window(index)
        for name in ("lam", "V", "B"):
            np.testing.assert_array_equal(getattr(left.factors, name), getattr(right.factors, name))
        np.testing.assert_array_equal(left.core_rows, right.core_rows)
        np.testing.assert_array_equal(left.panel_rows, right.panel_rows)


def test_a_panel_holds_the_whitened_correlations(bed: Path, tmp_path: Path) -> None:
    source = open_source(bed)
    panel = build_panel(source, tmp_path / "P.ld.zarr", CONFIG, workers=1, inputs=[bed])
    assert panel.variants.drop("ld_score").equals(source.variants)
    assert panel.num_people == 40
    assert panel.flank == CORE
    assert panel.metadata["provenance"]["inputs"][str(bed)]["sha256"]
    assert panel.metadata["provenance"]["config"]["rank_variance"] == 1.0
    X = source.standardised(np.arange(120), np.float64)  # type: ignore[attr-defined]
    R = X.T @ X / 40
    chrom, position = panel.variants["chrom"].to_numpy(), panel.variants["position"].to_numpy()
    seen = []
    for index, row in enumerate(panel.windows.iter_rows(named=True)):
        window = panel.window(index)
        here = chrom == row["chrom"]
        core = np.flatnonzero(here & (position > row["start"]) & (position <= row["end"]))
        near = np.flatnonzero(here & (position > row["start"] - CORE) & (position <= row["end"] + CORE))
        np.testing.assert_array_equal(window.core_rows, core)
        np.testing.assert_array_equal(window.panel_rows, near)
        inverse = np.linalg.pinv(R[np.ix_(core, core)], rcond=1e-8, hermitian=True)
        B = window.factors.B.astype(float)
        np.testing.assert_allclose(B.T @ B, R[np.ix_(near, core)] @ inverse @ R[np.ix_(core, near)], atol=2e-5)
        assert (row["num_core"], row["num_panel"], row["rank"]) == (core.size, near.size, window.factors.lam.size)
        assert row["variance_kept"] == pytest.approx(1)
        r2 = R[np.ix_(core, near)] ** 2
        unbiased = [sum(r - (1 - r) / (40 - 2) for r in of_variant) for of_variant in r2]
        np.testing.assert_allclose(panel.variants["ld_score"].to_numpy()[core], unbiased, rtol=1e-4, atol=1e-4)
        seen += core.tolist()
    assert seen == list(range(120))


def test_ld_scores_of_independent_variants_are_unbiased(rng: np.random.Generator) -> None:
    X = rng.standard_normal((50, 2000))
    X = (X - X.mean(0)) / X.std(0)
    scores = ld_scores(X[:, :1000].T @ X / 50, 50)
    assert abs(scores.mean() - 1) < 5 * scores.std() / 1000**0.5  # itself
    np.testing.assert_array_equal(ld_scores(np.array([[1.0, 0.5]]), 2), [1.25])  # no correction can be made


def test_bed_pgen_and_ukb_ld_give_the_same_likelihood(tmp_path: Path, rng: np.random.Generator) -> None:
    counts, sites = haplotype_counts(rng, 60, 90), positions_of(rng, 90, ["3"], bases=5 * CORE)
    bed = write_bed(tmp_path / "a", counts, sites)
    paths = [bed, write_pgen(tmp_path / "b", counts, sites), write_ukb(tmp_path / "ukb", bed, "3", [0, CORE, 2 * CORE])]
    options = [{}, {}, {"num_people": 60}]
    for rank_variance in (0.99, 0.9):
        config = PanelConfig(core=CORE, flank=CORE, rank_variance=rank_variance)
        panels = [
            build_panel(open_source(path, **option), tmp_path / f"{i}.ld.zarr", config, workers=1, overwrite=True)  # type: ignore[arg-type]
            for i, (path, option) in enumerate(zip(paths, options, strict=True))
        ]
        assert panels[0].windows.height == 5
        for other in panels[1:]:
            assert other.variants["position"].equals(panels[0].variants["position"])
            measured = ("variance_kept", "square_norm")
            assert other.windows.drop(measured).equals(panels[0].windows.drop(measured))
            np.testing.assert_allclose(other.windows["square_norm"], panels[0].windows["square_norm"], rtol=1e-6)
            for index in range(5):
                assert log_p(other, index) == pytest.approx(log_p(panels[0], index), rel=1e-5)
            scores = [panel.variants["ld_score"].to_numpy() for panel in (other, panels[0])]
            np.testing.assert_allclose(*scores, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("forked_workers")
def test_parallel_is_serial_bit_for_bit(bed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    source = open_source(bed)
    seen: list[tuple[int, int, str]] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    serial = build_panel(source, tmp_path / "serial.ld.zarr", CONFIG, workers=1)
    torch.set_num_threads(threads)
    out = tmp_path / "parallel.ld.zarr"
    parallel = build_panel(source, out, CONFIG, workers=2, progress=lambda *done: seen.append(done))
    same(serial, parallel)
    assert seen == [(number, 8, "windows") for number in range(1, 9)]


def test_precision_is_kept_where_it_is_asked_for(bed: Path, tmp_path: Path) -> None:
    source = open_source(bed)
    for name, V in (("float16", "float32"), ("float32", "float32"), ("float64", "float64")):
        config = PanelConfig(core=CORE, flank=CORE, dtype=name, rank_variance=1.0)
        window = build_panel(source, tmp_path / "P.ld.zarr", config, workers=1, overwrite=True).window(0)
        assert (window.factors.B.dtype, window.factors.V.dtype, window.factors.lam.dtype) == (name, V, "float64")
    assert BUILD._storage_dtype(source, [None], PanelConfig(rank_variance=1.0)) == np.float32


def test_large_panels_are_stored_in_half_precision(bed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(BUILD, "HALF_PRECISION_ABOVE", 1000)
    panel = build_panel(open_source(bed), tmp_path / "P.ld.zarr", CONFIG, workers=1)
    assert panel.window(0).factors.B.dtype == np.float16
    assert panel.metadata["config"]["dtype"] == "float16"


def cosine(factors: object, dtype: np.dtype | type, rng: np.random.Generator, mean: float) -> float:
    """Of the gradient in F with B in another precision, against float64; z is drawn from the model."""
    B = factors.B.astype(np.float64)  # type: ignore[attr-defined]
    F = mean * rng.gamma(0.2, 5, B.shape[1])
    w = B @ (np.sqrt(F) * rng.standard_normal(F.size)) + rng.standard_normal(B.shape[0])
    exactly = exact(WhitenedWindow(B=torch.from_numpy(B), w=torch.from_numpy(w)), torch.from_numpy(F), 1.0)
    stored = WhitenedWindow(B=torch.from_numpy(B.astype(dtype)), w=torch.from_numpy(w).float())
    rounded = exact(stored, torch.from_numpy(F).float(), 1.0)
    return float(torch.nn.functional.cosine_similarity(exactly.grad_F, rounded.grad_F.double(), dim=0))


@pytest.mark.parametrize("copy", [0.0, 0.9, 0.995])
@pytest.mark.parametrize("mean", [0.0, 0.01, 1.0, 30.0])
def test_half_precision_keeps_the_gradients_direction(
    tmp_path: Path, rng: np.random.Generator, copy: float, mean: float
) -> None:
    bed = write_bed(tmp_path / "a", haplotype_counts(rng, 80, 150, copy), positions_of(rng, 150, ["1"]))
    source = open_source(bed)
    core, panel = source.select("1", CORE, 2 * CORE, CORE)
    factors = factors_of(source, core, panel, 1.0)[0]
    assert cosine(factors, np.float16, rng, mean) > 0.9999


@pytest.mark.shared_data
@pytest.mark.parametrize("chrom", [1, 18])
def test_half_precision_keeps_the_gradients_direction_on_real_windows(
    shared_data: Path, rng: np.random.Generator, chrom: int
) -> None:
    source = open_source(shared_data / "gwas" / "polypred" / f"1000G.subset.{chrom}.bed")
    core, panel = source.select(str(chrom), 20_300_000, 20_600_000, 300_000)
    for rank_variance in (1.0, 0.95):
        factors = factors_of(source, core, panel, rank_variance)[0]
        for mean in (0.01, 1.0):
            assert cosine(factors, np.float16, rng, mean) > 0.9999


@pytest.mark.shared_data
def test_ldgm_panels_have_a_likelihood(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_source(shared_data / "ldgm", maf=0.05)
    config = PanelConfig(core=300_000, flank=100_000, rank_variance=0.99)
    monkeypatch.setattr(BUILD, "tile", lambda variants, core: tile(variants, core)[2:5])  # some windows are enough
    panel = build_panel(source, tmp_path / "P.ld.zarr", config, workers=1)
    assert panel.windows.height == 3
    for index in range(panel.windows.height):
        assert np.isfinite(log_p(panel, index))
        B = panel.window(index).factors.B.astype(float)
        assert (B**2).sum(axis=0).max() < 1 + 1e-3  # no more than a variant's own variance


def test_missing_regions_are_left_out_and_told(tmp_path: Path, rng: np.random.Generator) -> None:
    counts, sites = haplotype_counts(rng, 60, 120), positions_of(rng, 120, ["3"], bases=7 * CORE)
    folder = write_ukb(
        tmp_path / "ukb", write_bed(tmp_path / "a", counts, sites), "3", [0, CORE, 2 * CORE, 3 * CORE, 4 * CORE]
    )
    (folder / f"chr3_{2 * CORE + 1}_{5 * CORE + 1}.npz").rename(folder / f"chr3_{2 * CORE + 1}_{5 * CORE + 1}.npz2")
    panel = build_panel(open_source(folder), tmp_path / "P.ld.zarr", CONFIG, workers=1)
    assert panel.windows["start"].to_list() == [0, CORE, 2 * CORE, 4 * CORE, 5 * CORE, 6 * CORE]
    (missing,) = panel.metadata["missing"]
    assert (missing["chrom"], missing["start"], missing["end"]) == ("3", 3 * CORE, 4 * CORE)
    assert "only an .npz2 file" in missing["reason"]
    left_out = (panel.variants["position"] > 3 * CORE) & (panel.variants["position"] <= 4 * CORE)
    assert panel.variants.filter(left_out)["ld_score"].is_null().all()
    assert panel.variants.filter(~left_out)["ld_score"].is_not_null().all()


# ---- interruptions -------------------------------------------------------------------------------------------------

SCRIPT = """
import sys
from cases import ld

class OfTheScript(ld.Slow):  # workers cannot import it
    pass

if __name__ == "__main__":
    ld.build_slowly(*sys.argv[1:], OfTheScript)
"""


def started(tmp_path: Path, bed: Path, out: Path, **options: Any) -> subprocess.Popen[str]:
    """A user's script that builds with two workers."""
    (tmp_path / "build_slowly.py").write_text(SCRIPT)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path]),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, tmp_path / "build_slowly.py", bed, out, "2"]
    return subprocess.Popen(command, env=environment, text=True, **options)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_build_goes_on_where_it_stopped(bed: Path, tmp_path: Path, workers: int) -> None:
    out = tmp_path / "P.ld.zarr"
    if workers > 1:
        child: subprocess.Popen[str] | Forked = started(tmp_path, bed, out)
    else:
        child = run_forked(build_slowly, str(bed), str(out), "1", folder=tmp_path / "screen")
    windows = tmp_path / "P.ld.zarr.building" / "result" / "windows"
    while not windows.is_dir() or len([path for path in windows.iterdir() if path.name[0] == "c"]) < 2:
        assert child.poll() is None
        time.sleep(0.01)
    family = psutil.Process(child.pid).children(recursive=True)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive  # workers do not outlive the parent
    assert not out.exists()
    finished = {
        path: path.stat().st_mtime_ns for path in windows.rglob("*") if path.is_file() and "/." not in str(path)
    }
    assert 0 < len({path.relative_to(windows).parts[0] for path in finished}) < 8
    torn = windows / ".chr1_0_1000.0123abcd.partial"
    torn.mkdir()
    (torn / "zarr.json").write_text("{")

    with pytest.raises(
        StoreError,
        match=r"P.ld.zarr.building` was begun with other options or inputs \(rank-variance was 1.0, now 0.9\)",
    ):
        build_panel(open_source(bed), out, PanelConfig(core=CORE, flank=CORE, rank_variance=0.9), workers=1)
    panel = build_panel(open_source(bed), out, CONFIG, workers=1)
    for path, mtime in finished.items():
        assert (out / path.relative_to(tmp_path / "P.ld.zarr.building" / "result")).stat().st_mtime_ns == mtime
    assert not list(out.rglob("*.partial"))
    whole = build_panel(open_source(bed), tmp_path / "whole.ld.zarr", CONFIG, workers=1)
    assert panel.windows.equals(whole.windows)
    for index in range(8):
        np.testing.assert_allclose(panel.window(index).factors.B, whole.window(index).factors.B, atol=1e-6)
    assert not list(tmp_path.glob("*.building"))


def test_ctrl_c_ends_workers_without_a_word(bed: Path, tmp_path: Path) -> None:
    out = tmp_path / "P.ld.zarr"
    child = started(tmp_path, bed, out, start_new_session=True, stderr=subprocess.PIPE)
    while not (tmp_path / "P.ld.zarr.building").exists() or len(psutil.Process(child.pid).children()) < 2:
        assert child.poll() is None
        time.sleep(0.01)
    time.sleep(0.5)  # the parent has started both; they are importing
    family = psutil.Process(child.pid).children(recursive=True)
    os.killpg(child.pid, signal.SIGINT)  # what a terminal does
    _, err = child.communicate(timeout=60)
    assert err.count("Traceback") == err.count("KeyboardInterrupt") == 1  # the script's own
    assert "build_slowly.py" in err
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    assert build_panel(open_source(bed), out, CONFIG, workers=1).windows.height == 8


class Interrupted(Exception):
    pass


def interrupt(bed: Path, out: Path, *, after: int = 3, inputs: tuple[Path, ...] = ()) -> None:
    """A build that ends in the middle."""

    def stop(done: int, total: int, what: str) -> None:
        if done == after:
            raise Interrupted

    with pytest.raises(Interrupted):
        build_panel(open_source(bed), out, CONFIG, workers=1, progress=stop, inputs=inputs)


def test_an_interrupted_build_goes_on_with_the_same_inputs_only(bed: Path, tmp_path: Path) -> None:
    out, listed = tmp_path / "P.ld.zarr", tmp_path / "list"
    listed.write_text("a")
    interrupt(bed, out, inputs=(listed,))
    listed.write_text("b")
    with pytest.raises(
        StoreError, match=r"was begun with other options or inputs \(input files\), so it cannot be resumed"
    ):
        build_panel(open_source(bed), out, CONFIG, workers=1, inputs=[listed])
    listed.write_text("a")
    seen: list[int] = []
    build_panel(open_source(bed), out, CONFIG, workers=1, inputs=[listed], progress=lambda done, *_: seen.append(done))
    assert seen == [4, 5, 6, 7, 8]


def test_a_damaged_window_of_an_interrupted_build_is_named(bed: Path, tmp_path: Path) -> None:
    out = tmp_path / "P.ld.zarr"
    interrupt(bed, out)
    (window,) = (tmp_path / "P.ld.zarr.building" / "result" / "windows").glob("chr1_0_*")
    for chunk in (window / "core" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"")
    with pytest.raises(
        StoreError, match=r"chr1_0_1000`, a window of an interrupted build, is damaged .* Delete this folder"
    ):
        build_panel(open_source(bed), out, CONFIG, workers=1)
    shutil.rmtree(window)
    assert build_panel(open_source(bed), out, CONFIG, workers=1).windows.height == 8


@pytest.mark.parametrize("call", ["write", "finish"])
def test_a_full_disk_leaves_no_panel(bed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    out = tmp_path / "P.ld.zarr"

    def full(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        target = ("zarr.core.group.Group.create_array", full) if call == "write" else ("pathlib.Path.write_bytes", full)
        patch.setattr(*target)
        with pytest.raises(StoreError, match=r"was not written: the disk is full.* free some space and run again"):
            build_panel(open_source(bed), out, CONFIG, workers=1)
    assert not out.exists()
    assert (tmp_path / "P.ld.zarr.building").exists() == (call == "finish")
    assert not list(tmp_path.rglob("*.partial"))
    assert build_panel(open_source(bed), out, CONFIG, workers=1).windows.height == 8


def test_a_real_write_that_fails_leaves_no_panel(bed: Path, tmp_path: Path) -> None:
    """The kernel refuses to let files grow: zarr's own error, from a worker."""
    out = tmp_path / "P.ld.zarr"
    limit = (1500, 1500)
    child = started(
        tmp_path, bed, out, stderr=subprocess.PIPE, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    )
    _, err = child.communicate()
    assert child.returncode == 1
    assert "StoreError: `" in err
    assert "File too large" in err
    assert not out.exists()
    assert not list(tmp_path.rglob("*.partial"))


def test_bad_values_in_the_first_window_leave_nothing(
    bed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise DataError("bad r")

    monkeypatch.setattr(BUILD, "factors_of", refuse)
    with pytest.raises(DataError, match="bad r"):
        build_panel(open_source(bed), tmp_path / "P.ld.zarr", CONFIG, workers=1)
    assert not list(tmp_path.glob("P.ld.zarr*"))


class Dying:
    """A source whose worker processes end at once, as under lack of memory."""

    def __init__(self, source: LDSource) -> None:
        self.name, self.variants, self.num_people = source.name, source.variants, source.num_people
        self.missing, self.ledger, self.select = (), (), source.select

    def standardised(self, *arguments: object) -> np.ndarray:
        os._exit(9)


@pytest.mark.usefixtures("forked_workers")
def test_a_worker_that_dies_is_told(bed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_workers, "ALLOWED_FAILURES", 0)
    with pytest.raises(
        WorkerError,
        match=r"a worker process ended by itself, 1 times at the same piece, with 0 of 8 windows done\. If memory",
    ):
        build_panel(Dying(open_source(bed)), tmp_path / "P.ld.zarr", CONFIG, workers=2)


# ---- mistakes ------------------------------------------------------------------------------------------------------


def test_a_folder_of_others_is_never_replaced(bed: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    (results / "thesis.txt").write_text("years of work")
    with pytest.raises(StoreError, match=r"results` exists and is no panel\. Choose another --out"):
        build_panel(open_source(bed), results, CONFIG, workers=1)
    with pytest.raises(StoreError, match=r"ref.bed` exists and is no panel\. Choose another --out"):
        build_panel(open_source(bed), bed, CONFIG, workers=1)
    with pytest.raises(StoreError, match=r"the folder `.*none` does not exist. Create it first"):
        build_panel(open_source(bed), tmp_path / "none" / "P.ld.zarr", CONFIG, workers=1)
    assert (results / "thesis.txt").read_text() == "years of work"
    assert not list(tmp_path.glob("*.building"))


def test_a_panel_is_replaced_only_when_told_and_when_the_next_one_is_whole(bed: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "P.ld.zarr", PanelConfig(core=2 * CORE, flank=0, rank_variance=1.0)
    build_panel(open_source(bed), out, CONFIG, workers=1)
    same = r"holds a finished panel\. Choose .* with --overwrite\. It has the same options\.$"
    with pytest.raises(StoreError, match=same):
        build_panel(open_source(bed), out, CONFIG, workers=1)
    with pytest.raises(StoreError, match=r"made with other options or inputs \(core was 1000, now 2000\)\."):
        build_panel(open_source(bed), out, other, workers=1)

    def stop(done: int, total: int, what: str) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        build_panel(open_source(bed), out, other, workers=1, overwrite=True, progress=stop)
    assert open_panel(out).windows.height == 8
    seen: list[int] = []
    build_panel(open_source(bed), out, other, workers=1, overwrite=True, progress=lambda done, *_: seen.append(done))
    assert seen == [2, 3, 4]  # the interrupted build went on
    assert open_panel(out).windows.height == 4
    assert sorted(path.name for path in tmp_path.glob("*P.ld*")) == ["P.ld.zarr"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"core": 0}, "`core` must be positive and `flank` not negative, got 0 and 1000000"),
        ({"flank": -1}, "got 1000000 and -1"),
        ({"rank_variance": 0.0}, "`rank-variance` must be above 0 and at most 1, got 0.0"),
        ({"rank_variance": float("nan")}, "got nan"),
        ({"dtype": "int8"}, "`dtype` must be auto, float16, float32 or float64, got 'int8'"),
    ],
)
def test_options_are_checked(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PanelConfig(**options)


@pytest.mark.parametrize("workers", [0, -2])
def test_workers_are_at_least_one(bed: Path, tmp_path: Path, workers: int) -> None:
    with pytest.raises(ConfigError, match=f"`workers` must be at least 1, got {workers}. Leave it out"):
        build_panel(open_source(bed), tmp_path / "P.ld.zarr", CONFIG, workers=workers)


def test_a_source_without_windows_is_refused(bed: Path, tmp_path: Path) -> None:
    source = open_source(bed)
    source.missing = (MissingRegion("1", 0, 10**6, "gone"), MissingRegion("2", 0, 10**6, "gone"))
    with pytest.raises(DataError, match=r"holds no variants after its filters\. Check the path and --maf"):
        build_panel(source, tmp_path / "P.ld.zarr", CONFIG, workers=1)


def test_a_source_must_offer_genotypes_or_correlations(bed: Path, tmp_path: Path) -> None:
    source = Dying(open_source(bed))
    core, panel = source.select("1", 0, CORE, 0)
    with pytest.raises(DataError, match="offers neither genotypes nor correlations"):
        factors_of(type("Nothing", (), {"name": "x"})(), core, panel, 1.0)


@pytest.mark.parametrize(("num_people", "share"), [(4_999, 0.95), (5_000, 0.99), (337_491, 0.99)])
def test_the_rank_rule_follows_the_size_of_the_reference(num_people: int, share: float) -> None:
    assert PanelConfig().share(num_people) == share
    assert PanelConfig(rank_variance=0.8).share(num_people) == 0.8


def test_a_chromosome_named_like_a_path_stays_inside(tmp_path: Path, rng: np.random.Generator) -> None:
    """A .bim from a stranger must not choose where windows are written."""
    sites = positions_of(rng, 24, ["1", "2"], bases=2000)
    (tmp_path / "in").mkdir()
    path = write_bed(tmp_path / "in" / "ref", haplotype_counts(rng, 20, 24), sites)
    bim = path.with_suffix(".bim")
    outside = "1_0_1000/../../../../escaped"
    bim.write_text(
        "".join(outside + line[1:] if line.startswith("2") else line for line in bim.read_text().splitlines(True))
    )
    panel = build_panel(
        open_source([path], maf=0.0), tmp_path / "P.ld.zarr", PanelConfig(core=1000, flank=1000), workers=1
    )
    assert {path.name for path in tmp_path.iterdir()} == {"in", "P.ld.zarr"}
    assert len(panel.cores) == 4
    assert all(panel.window(index).core == core for index, core in enumerate(panel.cores))
