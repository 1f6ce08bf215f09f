"""`--scheduler`: commands on a dask cluster of two workers equal local runs, for three of them with a worker killed in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal

from cases.cluster import Killing, running_cluster
from cases.cohort import small_cohort
from cases.forked import SLOW_IMPORTS
from cases.simulated_panel import Simulated, haplotypes, write_bed
from varfx.expression.evaluate import evaluate
from varfx.expression.evaluation_config import EvaluationConfig
from varfx.expression.linear.config import BaselineConfig
from varfx.expression.linear.run import fit_baselines
from varfx.expression.network.config import FitConfig
from varfx.expression.network.fit import fit_network
from varfx.expression.variants.score import score_variants
from varfx.genotypes.open_ld import open_source
from varfx.io.workers import Workers
from varfx.ld import PanelConfig, build_panel
from varfx.models.expression_config import ExpressionNetworkConfig
from varfx.prior import posterior
from varfx.prior.experiment import read_experiment, run_experiment
from varfx.training import TraitData
from varfx.training.people.config import ExpressionTrainConfig

CORE, CORES, PER_CORE = 100_000, 40, 12


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_cluster(tmp_path_factory.mktemp("dask") / "cluster", *SLOW_IMPORTS) as (_, found):
        yield found


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
    progress = Killing(address)
    remote = build_panel(source, tmp_path / "R.ld.zarr", config, scheduler=address, progress=progress)
    assert progress.left > CORES / 2
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
    progress = Killing(address)
    found = posterior.posterior_means(
        local, trait, f, 1.1, where=Workers(scheduler=address), folder=tmp_path, progress=progress
    )
    assert progress.left > CORES / 2
    np.testing.assert_allclose(found, posterior.posterior_means(local, trait, f, 1.1), rtol=1e-10, atol=1e-16)


def test_the_linear_models_of_a_cohort(address: str, tmp_path: Path) -> None:
    cohort = small_cohort(tmp_path, people=60, genes=24)
    config = BaselineConfig(models=("ridge", "blup", "top1"), folds=(0,))
    local = fit_baselines(cohort, tmp_path / "L", config, workers=1)
    progress = Killing(address)
    remote = fit_baselines(cohort, tmp_path / "R", config, scheduler=address, progress=progress)
    assert progress.left > 12
    for name in ("predictions", "weights", "intercepts"):
        left, right = getattr(local, name), getattr(remote, name)
        assert isinstance(left, pl.DataFrame)
        assert left.equals(right, null_equal=True)


def test_networks_their_variant_scores_and_heritability(address: str, tmp_path: Path) -> None:
    cohort = small_cohort(tmp_path, people=30, window=128)
    network = ExpressionNetworkConfig(
        window=128, width=24, depth=1, dropout=0, attention_dropout=0, position_dropout=0, norm="running"
    )
    config = FitConfig(
        network=network, training=ExpressionTrainConfig(epochs=1, batch=16), single_gene=True, folds=(0,)
    )
    local = fit_network(cohort, tmp_path / "L", config)
    remote = fit_network(cohort, tmp_path / "R", config, scheduler=address)
    assert local.predictions.height > 0
    assert_frame_equal(local.predictions, remote.predictions, rel_tol=1e-5, abs_tol=1e-6)

    scores = score_variants(local.path)
    assert scores.table.height > 0
    elsewhere = score_variants(local.path, scheduler=address, folder=tmp_path)
    assert_frame_equal(scores.table, elsewhere.table, rel_tol=1e-4, abs_tol=1e-6)

    chosen = EvaluationConfig(num_samples=10)
    assert evaluate([local.path], chosen, scheduler=address).to_dict() == evaluate([local.path], chosen).to_dict()


def test_cells_of_an_experiment(address: str, simulated: Simulated, tmp_path: Path) -> None:
    (tmp_path / "P.ld.zarr").symlink_to(simulated.panel)
    content = {
        "kind": "fig3",
        "title": "two cells",
        "panel": {"path": "P.ld.zarr"},
        "truth": {"seeds": [1], "signal": {"replicates": 2}},
        "split": {"holdout_chrom": [3]},
        "objectives": ["likelihood"],
        "models": [{"name": "flat", "kind": "constant"}, {"name": "line", "kind": "linear"}],
        "training": {"max_steps": 5, "check_every": 5},
    }
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(content))
    described = read_experiment(tmp_path / "two.yaml")
    local = run_experiment(described, tmp_path / "L", workers=1)
    remote = run_experiment(described, tmp_path / "R", scheduler=address)
    assert [each["model"] for each in remote.results] == ["flat", "line"]
    for one, other in zip(local.results, remote.results, strict=True):
        assert one["gain"] == pytest.approx(other["gain"], rel=1e-5)
        assert one["windows"] == pytest.approx(other["windows"], rel=1e-4, abs=1e-4)
