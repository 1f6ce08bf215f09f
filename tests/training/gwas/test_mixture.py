"""Learning both heads by the evidence lower bound: an annotation that changes the chance of an effect is found, none is made up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy import ndarray

from cases.simulated_panel import N, Simulated, associations
from varfx.models import ModelConfig, VariancePrior
from varfx.training import TraitData, WindowData, start_at_constant, total_log_p
from varfx.training.gwas.mixture import SHARED, mixture_priors, split_scores, start_mixture, total_bound

WINDOWS = list(range(12))


def data_of(simulated: Simulated, effects: ndarray) -> WindowData:
    """A trait of the given effects, with the features `active` and noise."""
    rng = np.random.default_rng(5)
    blocks = [slice(first, first + 160) for first in (0, 160, 320)]
    z = np.hstack([associations(rng, simulated.X[:, rows], effects[rows]) for rows in blocks])
    trait = TraitData(name="t", z=z, n=np.full(z.size, N), n_ref=N)
    active = (simulated.active - simulated.active.mean()) / simulated.active.std()
    features = np.stack([active, rng.standard_normal(z.size)], axis=1)
    eaf = simulated.open().variants["eaf"].to_numpy()
    return WindowData(simulated.open(), [trait], features, eaf * (1 - eaf), dtype=torch.float64)


def learned(data: WindowData, steps: int = 40, windows: list[int] = WINDOWS) -> VariancePrior:
    """Both heads after full-batch steps, without Lightning."""
    model = VariancePrior(ModelConfig(kind="linear", link="exp", effects="mixture"), 2, 1).double()
    start_at_constant(model, data, windows, mean_ld_score=3.0)
    start_mixture(model, data, windows)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = torch.stack([-total_bound(model, data[window], torch.float64)[0] for window in windows]).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model.eval()


@pytest.fixture(scope="module")
def sparse(simulated: Simulated) -> tuple[WindowData, VariancePrior]:
    """Effects of one size, eight times as often at active variants."""
    rng = np.random.default_rng(11)
    chance = np.where(simulated.active > 0, 0.16, 0.02)
    effects = np.where(rng.random(chance.size) < chance, 7.0 * rng.choice([-1.0, 1.0], chance.size), 0.0)
    data = data_of(simulated, effects)
    return data, learned(data)


def test_the_second_head_finds_the_annotation_that_changes_the_chance_of_an_effect(
    sparse: tuple[WindowData, VariancePrior], simulated: Simulated
) -> None:
    data, model = sparse
    with torch.no_grad():
        log_odds = torch.cat([mixture_priors(model, data[window])[0].log_odds for window in WINDOWS]).numpy()
    active = np.concatenate([simulated.active[data.panel.rows(window)[1]] for window in WINDOWS])
    ratio = log_odds[active > 0].mean() - log_odds[active == 0].mean()
    assert 0.5 * np.log(8) < ratio < 1.6 * np.log(8)
    assert np.corrcoef(log_odds, active)[0, 1] > 0.7
    assert model.mixture is not None
    assert float(model.mixture.background.detach()[0]) < 0.9


def test_the_bound_of_sparse_effects_is_above_the_normal_likelihood(
    sparse: tuple[WindowData, VariancePrior],
) -> None:
    data, model = sparse
    normal = VariancePrior(ModelConfig(kind="constant"), 0, 1).double()
    start_at_constant(normal, data, WINDOWS, mean_ld_score=3.0)
    with torch.no_grad():
        bound = sum(float(total_bound(model, data[window], torch.float64)[0]) for window in WINDOWS)
        likelihood = sum(float(total_log_p(normal, data[window])[0]) for window in WINDOWS)
    assert bound > likelihood + 20


def test_infinitesimal_effects_lose_nothing_in_held_out_windows(simulated: Simulated) -> None:
    rng = np.random.default_rng(12)
    effects = rng.standard_normal(simulated.active.size) * np.sqrt(simulated.F)
    data, seen, held_out = data_of(simulated, effects), WINDOWS[:8], WINDOWS[8:]
    model = learned(data, steps=20, windows=seen)
    constant = VariancePrior(ModelConfig(kind="constant"), 0, 1).double()
    start_at_constant(constant, data, seen, mean_ld_score=3.0)
    with torch.no_grad():
        bound = sum(float(total_bound(model, data[window], torch.float64)[0]) for window in held_out)
        marginal = sum(float(total_log_p(model, data[window])[0]) for window in held_out)
        normal = sum(float(total_log_p(constant, data[window])[0]) for window in held_out)
    assert bound > normal - 2
    assert marginal > normal - 1


def test_training_begins_with_half_of_the_log_variance_in_the_second_head(simulated: Simulated) -> None:
    model = VariancePrior(ModelConfig(kind="mlp", hidden=(4,), link="exp", effects="mixture"), 2, 3)
    with torch.no_grad():
        list(model.network.parameters())[-1][:3] = torch.randn(3, 4)
        model.alpha.copy_(torch.tensor([0.5, -0.5, 1.0]))
    split_scores(model)
    x, p = torch.randn(50, 2), torch.rand(50) / 4
    F, log_odds = model.both_heads(x, p)
    moved = log_odds - SHARED * F.log()
    torch.testing.assert_close(moved, moved[:1].expand(50, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(model(x, p), F)
