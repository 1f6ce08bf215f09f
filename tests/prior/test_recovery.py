"""Fits recover what was simulated: heritability and sigma2, an enrichment, and nothing where there is nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cases.simulated_panel import Simulated, associations, window_data
from varfx.models import ModelConfig, VariancePrior
from varfx.prior.score import score_windows
from varfx.training import TrainConfig, WindowData, start_at_constant, train
from varfx.training.gwas.windows import PriorWindow

TRAIN, VALIDATION, HELD = list(range(6)), [7], list(range(8, 12))


def traits(simulated: Simulated, F: np.ndarray, sigma2: float, count: int, seed: int) -> np.ndarray:
    """Associations of `count` traits with variances F on the simulated chromosomes, (trait, variant)."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        beta = rng.standard_normal(F.size) * np.sqrt(F)
        parts = np.split(np.arange(F.size), 3)
        rows.append(np.concatenate([associations(rng, simulated.X[:, part], beta[part], sigma2) for part in parts]))
    return np.stack(rows)


@pytest.mark.parametrize(("F", "sigma2"), [(0.3, 1.0), (0.1, 1.4)])
def test_constant_model_recovers_heritability_and_sigma2(simulated: Simulated, F: float, sigma2: float) -> None:
    """Mean over 12 traits of N sum f and of sigma2, within 4 standard errors of the mean of the truth."""
    z = traits(simulated, np.full(480, F), sigma2, 12, seed=1)
    model = VariancePrior(ModelConfig(kind="constant"), 0, 12)
    start_at_constant(model, window_data(simulated.open(), z), list(range(12)), mean_ld_score=5.0)
    # all frequencies count as one half in `window_data`, so that alpha has no say
    estimates = {"F": model.scale.detach().exp().numpy(), "sigma2": model.sigma2.detach().numpy()}
    for name, truth in (("F", F), ("sigma2", sigma2)):
        values = estimates[name]
        error = values.std(ddof=1) / np.sqrt(values.size)
        assert abs(values.mean() - truth) < 4 * error, (name, values.mean(), error)
        assert error < 0.25 * truth


def fit(
    simulated: Simulated, data: WindowData, kind: str, num_features: int, num_traits: int, folder: Path
) -> VariancePrior:
    model = VariancePrior(ModelConfig(kind=kind, link="exp", hidden=(8,)), num_features, num_traits)  # type: ignore[arg-type]
    start_at_constant(model, data, TRAIN, mean_ld_score=5.0)
    folder.mkdir()
    config = TrainConfig(max_steps=150, learning_rate=0.03, check_every=25, patience=4, windows_per_step=2)
    train(model, data, TRAIN, VALIDATION, config, folder)
    return model


def test_linear_model_recovers_the_enrichment_and_its_rival_gets_none(simulated: Simulated, tmp_path: Path) -> None:
    F = np.exp(-1.5 + 1.2 * (simulated.active - 0.4) * 2)
    rng = np.random.default_rng(2)
    features = np.column_stack([(simulated.active - 0.4) * 2, rng.standard_normal(480)])
    data = window_data(simulated.open(), traits(simulated, F, 1.0, 6, seed=3), features)
    model = fit(simulated, data, "linear", 2, 6, tmp_path / "fit")
    active, rival = model.network.weights.weight.detach().numpy().T  # type: ignore[union-attr, operator]
    assert (active > 0).mean() > 0.8
    assert active.mean() > 4 * active.std(ddof=1) / np.sqrt(6)
    assert active.mean() > 3 * abs(rival.mean())
    assert abs(rival.mean()) < 4 * rival.std(ddof=1) / np.sqrt(6)


def test_where_features_say_nothing_the_network_costs_nothing(simulated: Simulated, tmp_path: Path) -> None:
    """Over 6 traits with one variance for all variants: no held-out loss against the constant model beyond noise."""
    rng = np.random.default_rng(4)
    features = rng.standard_normal((480, 4))
    data = window_data(simulated.open(), traits(simulated, np.full(480, 0.3), 1.0, 6, seed=5), features)
    scores = {}
    for each in ("constant", "linear", "mlp"):
        model = fit(simulated, data, each, 4, 6, tmp_path / each).double()

        def variance_of(window: PriorWindow, model: VariancePrior = model) -> torch.Tensor:
            F: torch.Tensor = model(window.features.double(), window.heterozygosity.double())
            return F

        scores[each] = score_windows(data, HELD, variance_of, model.sigma2_values()).log_p.sum(0)
    for kind in ("linear", "mlp"):
        loss = scores["constant"] - scores[kind]  # nats per trait
        assert loss.mean() < 1.0 + 3 * loss.std(ddof=1) / np.sqrt(6), kind
