"""Training by the objectives that look at chi2 alone: what windows carry, the closed solution, and a run's record."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cases.simulated_panel import N, Simulated, window_data
from varfx.errors import ConfigError
from varfx.likelihood.ldsr import ballpark_h2, paper_weights
from varfx.likelihood.ldsr_closed import WeightedLD, block_bounds, fit_ldsr_linear
from varfx.models import ModelConfig, VariancePrior
from varfx.training import TrainConfig, TraitData, WindowData, prepare_objective, start_at_constant, total_score, train

TRAIN, VALIDATION = [0, 1, 2, 4, 5, 6], [8, 9]


def data_of(simulated: Simulated, *, dtype: torch.dtype = torch.float64, cache_bytes: int = 2**30) -> WindowData:
    """Two traits; the second lacks a window and every fifth variant, and sample sizes differ."""
    rng = np.random.default_rng(11)
    size = simulated.active.size
    n = rng.uniform(0.5, 1.5, size) * N
    mean = 1 + 0.3 * n / np.median(n) * simulated.open().variants["ld_score"].to_numpy()
    z = np.sqrt(mean) * (1 + 0.05 * rng.standard_normal((2, size)))  # little noise: LD scores here differ little
    z[1, ::5] = np.nan
    z[1, simulated.open().rows(5)[0]] = np.nan
    return window_data(simulated.open(), z, n=n, dtype=dtype, cache_bytes=cache_bytes)


def test_windows_carry_chi2_weights_and_squares(simulated: Simulated) -> None:
    data = data_of(simulated)
    assert data[5].chi2 == ()
    guesses = prepare_objective(data, TRAIN, "ldsr")
    assert guesses is not None
    people, panel = simulated.X.shape[0], data.panel
    window = data[6]
    assert window is data[6]  # kept
    core, rows = panel.rows(6)
    r2 = (simulated.X[:, core].T @ simulated.X[:, rows] / people) ** 2
    for number, trait in enumerate(data.traits):
        chi2 = window.chi2[number]
        assert chi2 is not None
        seen = core[np.isfinite(trait.z[core])]
        np.testing.assert_array_equal(core[chi2.rows], seen)
        np.testing.assert_allclose(chi2.chi2, trait.z[seen] ** 2)
        np.testing.assert_allclose(chi2.scale, trait.n[seen] / trait.n_ref)
        np.testing.assert_allclose(chi2.squares, r2 - (1 - r2) / (people - 2), atol=1e-3)
        score = panel.variants["ld_score"].to_numpy()[seen]
        expected = paper_weights(score, trait.n[seen], h2=guesses[number], num_variants=panel.variants.height)
        np.testing.assert_allclose(chi2.weights, expected)
    assert window.chi2[0].squares is window.chi2[1].squares  # type: ignore[union-attr]
    assert data[5].chi2[1] is None
    assert data[5].traits[0] is not None  # the likelihood's data stay


def test_replicates_of_a_trait_carry_their_sum_of_squares(simulated: Simulated) -> None:
    """Objectives that look at chi2 alone need its mean over replicates, and their sum of squares about it."""
    rng = np.random.default_rng(5)
    z = rng.standard_normal((simulated.active.size, 3))
    data = data_of(simulated)
    first = data.traits[0]
    trait = TraitData(name="three", z=z, n=first.n, n_ref=first.n_ref)
    data = WindowData(data.panel, [trait], np.zeros((len(z), 0)), np.full(len(z), 0.25), dtype=torch.float64)
    prepare_objective(data, TRAIN, "ldsr")
    (chi2,) = data[6].chi2
    assert chi2 is not None
    core = data.panel.rows(6)[0]
    squares = z[core] ** 2
    np.testing.assert_allclose(chi2.chi2, squares.mean(1))
    assert chi2.scatter is not None
    np.testing.assert_allclose(chi2.scatter, ((squares - squares.mean(1, keepdims=True)) ** 2).sum(1))


def test_the_ballpark_is_of_the_training_windows_alone(simulated: Simulated) -> None:
    data = data_of(simulated)
    guesses = prepare_objective(data, TRAIN, "composite")
    for trait in data.traits:
        for index in (*VALIDATION, 3, 7):
            trait.z[data.panel.rows(index)[0]] = 1e3
    assert prepare_objective(data, TRAIN, "composite") == guesses
    rows = np.concatenate([data.panel.rows(index)[0] for index in TRAIN])
    trait = data.traits[0]
    score = data.panel.variants["ld_score"].to_numpy()[rows]
    expected = ballpark_h2(trait.z[rows] ** 2, score, trait.n[rows], num_variants=data.panel.variants.height)
    assert guesses is not None
    assert guesses[0] == pytest.approx(expected)
    assert 0 < expected < 1
    assert prepare_objective(data, TRAIN, "likelihood") is None


def test_the_cache_counts_the_squares(simulated: Simulated) -> None:
    data = data_of(simulated, cache_bytes=200_000)
    prepare_objective(data, TRAIN, "ldsr")
    kept = [data[index] is data[index] for index in range(12)]
    assert kept[0]
    assert not kept[-1]


@pytest.mark.parametrize("objective", ["ldsr", "composite"])
def test_scores_add_up_over_traits_and_reach_every_parameter(simulated: Simulated, objective: str) -> None:
    data = data_of(simulated)
    prepare_objective(data, TRAIN, objective)  # type: ignore[arg-type]
    model = VariancePrior(ModelConfig(kind="constant"), 0, 2).double()
    score, count = total_score(model, data[6], objective)  # type: ignore[arg-type]
    assert count == sum(np.isfinite(trait.z[data.panel.rows(6)[0]]).sum() for trait in data.traits)
    score.backward()
    for name, parameter in model.named_parameters():
        if parameter.numel() and name != "alpha":  # at heterozygosity 1/4 alpha has no effect
            assert parameter.grad is not None
            assert bool((parameter.grad != 0).all()), name


def closed(data: WindowData, trait: int) -> np.ndarray:
    """N f and intercept by weighted least squares on the windows' own data."""
    windows = [window for index in TRAIN if (window := data[index].chi2[trait]) is not None]
    scores = np.concatenate([w.squares.double().sum(1)[w.rows].numpy() for w in windows])
    chi2, scale, weights = (
        np.concatenate([getattr(w, x).numpy() for w in windows]) for x in ("chi2", "scale", "weights")
    )
    n_ref = data.traits[trait].n_ref
    fit = fit_ldsr_linear(WeightedLD(scores[:, None], chi2, scale * n_ref, weights), block_bounds(chi2.size, 10))
    return fit.estimate * [n_ref, 1]


def fitted(model: VariancePrior, trait: int) -> list[float]:
    return [float(model.scale.detach()[trait].exp()), float(model.sigma2.detach()[trait])]


def test_start_and_training_of_the_constant_model_reach_the_closed_solution(
    simulated: Simulated, tmp_path: Path
) -> None:
    data = data_of(simulated)
    prepare_objective(data, TRAIN, "ldsr")
    model = VariancePrior(ModelConfig(kind="constant"), 0, 2).double()
    start_at_constant(model, data, TRAIN, mean_ld_score=5.0, objective="ldsr", steps=200)
    for trait in (0, 1):
        assert closed(data, trait).min() > 0.02  # inside the bounds, where the closed solution is the same problem
        np.testing.assert_allclose(fitted(model, trait), closed(data, trait), rtol=2e-3)
    with torch.no_grad():
        model.scale += 0.3
        model.log_sigma2 -= 0.1
    config = TrainConfig(
        objective="ldsr", max_steps=250, learning_rate=0.02, learning_rate_scalars=0.005, windows_per_step=6,
        warmup_steps=0, check_every=250, max_gradient_norm=1e3,
    )  # fmt: skip
    train(model, data, TRAIN, TRAIN, config, tmp_path)
    for trait in (0, 1):
        np.testing.assert_allclose(fitted(model, trait), closed(data, trait), rtol=2e-2)
    heading = (tmp_path / "history.csv").read_text().splitlines()[0]
    assert heading == "step,train_quasi_nats_per_association,validation_quasi_nats_per_association"


@pytest.mark.parametrize("objective", ["ldsr", "composite"])
def test_a_run_says_which_objective_it_climbed_and_is_evaluated_by_the_likelihood(
    simulated: Simulated, tmp_path: Path, objective: str
) -> None:
    from varfx.prior import evaluate, fit

    run = fit(
        simulated.panel,
        [simulated.height, simulated.weight],
        tmp_path / "run",
        annotations=simulated.annot,
        model=ModelConfig(kind="linear"),
        training=TrainConfig(objective=objective, max_steps=12, check_every=6),  # type: ignore[arg-type]
    )
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["objective"] == record["config"]["training"]["objective"] == objective
    assert len(record["ballpark_h2"]) == 2
    unit = {"ldsr": "quasi_nats", "composite": "composite_log_p"}[objective]
    assert f"validation_{unit}_per_association" in (tmp_path / "run" / "history.csv").read_text()
    scored = evaluate(run.path, chrom=["3"])
    assert all(np.isfinite(trait["log_p"]) for trait in scored.traits)


def test_an_unknown_objective_is_an_error() -> None:
    with pytest.raises(ConfigError, match="`objective` must be likelihood, ldsr, composite, got 'mse'"):
        TrainConfig(objective="mse")  # type: ignore[arg-type]
