"""`--scheduler`: three commands on a dask cluster of two workers, one of which is killed in the middle, equal local runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cases.cluster import running_cluster, worker_pids
from cases.cohort import small_cohort
from cases.simulated_panel import haplotypes, write_bed
from varfx.expression.linear.config import BaselineConfig
from varfx.expression.linear.run import fit_baselines
from varfx.genotypes.open_ld import open_source
from varfx.io.workers import Workers
from varfx.ld import PanelConfig, build_panel
from varfx.prior import posterior
from varfx.training import TraitData

CORE, CORES, PER_CORE = 100_000, 40, 12


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_cluster(tmp_path_factory.mktemp("dask") / "cluster") as (_, found):
        yield found


def killing(address: str) -> Callable[[int, int, str], None]:
    """Progress that kills a worker after the first piece; the function's `left` says how many pieces were left then."""
    (pid, *_) = worker_pids(address)

    def progress(done: int, total: int, what: str) -> None:
        if not hasattr(progress, "left"):
            os.kill(pid, signal.SIGKILL)
            progress.left = total - done  # type: ignore[attr-defined]

    return progress


def bed(folder: Path, rng: np.random.Generator) -> Path:
    counts = haplotypes(rng, 120, CORES * PER_CORE)
    step = CORE // PER_CORE
    write_bed(folder / "ref", counts, ["1"] * counts.shape[1], np.arange(counts.shape[1]) * step + step // 2)
    return folder / "ref.bed"


def test_a_panel_and_its_weights(
    address: str, tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source([bed(tmp_path, rng)], maf=0.0)
    config = PanelConfig(core=CORE, flank=CORE, rank_variance=1.0)
    local = build_panel(source, tmp_path / "L.ld.zarr", config, workers=1)
    progress = killing(address)
    remote = build_panel(source, tmp_path / "R.ld.zarr", config, scheduler=address, progress=progress)
    assert progress.left > CORES / 2  # type: ignore[attr-defined]
    assert remote.windows.equals(local.windows)
    assert remote.variants.equals(local.variants)
    for index in range(CORES):
        left, right = local.window(index).factors, remote.window(index).factors
        for name in ("lam", "V", "B"):
            np.testing.assert_array_equal(getattr(left, name), getattr(right, name))

    size = local.variants.height
    trait = TraitData(name="t", z=rng.standard_normal(size), n=np.full(size, 1e4), n_ref=1e4)
    f = rng.gamma(1.0, 1e-4, size)
    monkeypatch.setattr(posterior, "CORES_PER_PIECE", 2)
    progress = killing(address)
    found = posterior.posterior_means(
        local, trait, f, 1.1, where=Workers(scheduler=address), folder=tmp_path, progress=progress
    )
    assert progress.left > CORES / 2  # type: ignore[attr-defined]
    np.testing.assert_allclose(found, posterior.posterior_means(local, trait, f, 1.1), rtol=1e-10, atol=1e-16)


def test_the_linear_models_of_a_cohort(address: str, tmp_path: Path) -> None:
    cohort = small_cohort(tmp_path, people=60, genes=24)
    config = BaselineConfig(models=("ridge", "blup", "top1"), folds=(0,))
    local = fit_baselines(cohort, tmp_path / "L", config, workers=1)
    progress = killing(address)
    remote = fit_baselines(cohort, tmp_path / "R", config, scheduler=address, progress=progress)
    assert progress.left > 12  # type: ignore[attr-defined]
    for name in ("predictions", "weights", "intercepts"):
        left, right = getattr(local, name), getattr(remote, name)
        assert isinstance(left, pl.DataFrame)
        assert left.equals(right, null_equal=True)
