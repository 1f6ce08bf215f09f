"""The comparison with a known truth against plain formulas, and its calibration where the prior is right and where it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from cases.simulated_panel import Simulated, window_data
from varfx.errors import ConfigError, DataError
from varfx.prior.score import score_windows
from varfx.prior.simulation.simulate import draw
from varfx.prior.simulation.truth import TruthComparison, compare_with_truth
from varfx.training.gwas.windows import PriorWindow

REPLICATES = 240


def compared(simulated: Simulated, predicted: np.ndarray, sigma2: float = 0.6) -> tuple[TruthComparison, np.ndarray]:
    """All windows scored under `predicted`, with data from the true F, which is returned."""
    panel = simulated.open()
    true = 0.4 * simulated.F
    data = window_data(panel, np.zeros(true.size), dtype=torch.float64)
    z = draw(panel, true, 0.6, REPLICATES, seed=1)
    data.traits = (type(data.traits[0])(name="x", z=z, n=data.traits[0].n, n_ref=data.traits[0].n_ref),)
    comparison = TruthComparison(panel=panel, f=true / data.traits[0].n_ref, sigma2=sigma2)

    def variance_of(window: PriorWindow) -> torch.Tensor:
        return torch.from_numpy(predicted[panel.rows(window.index)[1]])[:, None]

    score_windows(data, range(len(panel.cores)), variance_of, [sigma2], observe=comparison)
    return comparison, true


def test_error_and_correlation_are_those_of_the_plain_formulas(simulated: Simulated) -> None:
    predicted = np.exp(np.random.default_rng(0).normal(-2, 1, simulated.F.size)) * simulated.F
    comparison, true = compared(simulated, predicted)
    found = comparison.summarise(10_000.0)
    x, y = np.log(predicted), np.log(true)
    assert found["rmse_log_f"] == pytest.approx(np.sqrt(np.mean((x - y) ** 2)))
    assert found["corr_log_f"] == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert found["mean_log_ratio"] == pytest.approx(np.mean(x - y))
    assert found["n_variants"] == true.size
    for name in ("rmse_log_f", "corr_log_f"):
        low, high = found[f"{name}_ci95"]
        assert low < found[name] < high
        assert high - low < 0.5


def test_a_right_prior_is_calibrated(simulated: Simulated) -> None:
    wiggle = 1 + 1e-9 * np.random.default_rng(2).permutation(
        simulated.F.size
    )  # no ties, and each tenth in many windows
    found = compared(simulated, 0.4 * simulated.F * wiggle)[0].summarise(10_000.0)
    assert found["mean_chi2"] == pytest.approx(1, abs=4 * np.sqrt(2 / (REPLICATES * 12 * 40)))
    assert found["rmse_log_f"] < 1e-6
    groups = found["calibration"]
    assert [each["n_variants"] for each in groups] == [48] * 10
    assert max(abs(each["ratio"] - 1) for each in groups) < 0.1
    known = [each["ratio_ci95"] for each in groups if each["ratio_ci95"] is not None]
    assert len(known) >= 5
    assert sum(low < 1 < high for low, high in known) >= len(known) - 2


def test_a_prior_without_contrast_shows_it_in_its_tenths(simulated: Simulated) -> None:
    flattened = 0.2 * np.sqrt(simulated.F)  # the order is right, the differences are too small
    groups = compared(simulated, flattened)[0].summarise(10_000.0)["calibration"]
    assert groups[0]["ratio"] < 0.97
    assert groups[-1]["ratio"] > 1.03
    true = [each["mean_true_f"] for each in groups]
    assert true[-1] > 5 * true[0]


def test_a_constant_prior_has_no_correlation(simulated: Simulated) -> None:
    found = compared(simulated, np.full(simulated.F.size, 0.2))[0].summarise(10_000.0)
    assert found["corr_log_f"] is None
    assert found["corr_log_f_ci95"] is None


def test_only_files_of_one_trait(simulated: Simulated, tmp_path: Path) -> None:
    table = simulated.open().variants.select("chrom", "position", "variant_id", "effect_allele", "other_allele")
    table.with_columns(f=pl.lit(0.0)).write_parquet(tmp_path / "zero.parquet")
    with pytest.raises(DataError, match="no positive f for any of the panel's 480 variants"):
        compare_with_truth(tmp_path / "zero.parquet", simulated.open(), [1.0])
    with pytest.raises(ConfigError, match="the run has 2"):
        compare_with_truth(tmp_path / "zero.parquet", simulated.open(), [1.0, 1.0])


def test_nothing_compared_is_an_error(simulated: Simulated) -> None:
    with pytest.raises(DataError, match="no window was compared"):
        TruthComparison(panel=simulated.open(), f=simulated.F, sigma2=1.0).summarise(1.0)
