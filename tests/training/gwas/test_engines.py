"""Training by each engine: the same step within the error, and a resume that leaves no trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from cases.simulated_panel import Simulated, window_data
from varfx.errors import ConfigError
from varfx.gwas.sumstats import read_sumstats
from varfx.ld import WhitenedWindow
from varfx.likelihood.cost_model import CostModel
from varfx.models import ModelConfig, VariancePrior
from varfx.prior.inputs import align_trait
from varfx.training import TrainConfig, WindowData, start_at_constant, total_log_p, train
from varfx.training.gwas import module as module_file
from varfx.training.gwas.module import PriorModule
from varfx.training.gwas.order import probe_generator

TRAIN, VALIDATION = [0, 1, 2, 4, 5, 6], [8, 9]
STOCHASTIC = CostModel(
    {name: (float(name.startswith("exact")), 0.0, 0.0) for name in
     ("exact rank", "exact symmetric", "stochastic", "stochastic, converted")}
)  # fmt: skip


def data_of(simulated: Simulated) -> WindowData:
    panel = simulated.open()
    z = np.stack([align_trait(read_sumstats(path), panel).data.z for path in (simulated.height, simulated.weight)])
    return window_data(panel, z, np.column_stack([simulated.active - 0.4, simulated.active * 0.1]))


def started(data: WindowData) -> VariancePrior:
    model = VariancePrior(ModelConfig(kind="mlp", hidden=(6,)), 2, 2, seed=3)
    start_at_constant(model, data, TRAIN, mean_ld_score=5.0)
    return model


def gradient(data: WindowData, config: TrainConfig) -> tuple[float, torch.Tensor]:
    """Loss and the gradient of all parameters, of a first step on four windows."""
    return next(gradients(data, config, 1))


def gradients(data: WindowData, config: TrainConfig, steps: int) -> Iterator[tuple[float, torch.Tensor]]:
    """The same of several steps, none of which is taken."""
    model = started(data)
    module = PriorModule(model, data, TRAIN, VALIDATION, config)
    module.on_fit_start()
    for step in range(steps):
        model.zero_grad()
        yield _gradient(model, module, data, step)


def _gradient(model: VariancePrior, module: PriorModule, data: WindowData, step: int) -> tuple[float, torch.Tensor]:
    losses = [module.training_step(data[window], 4 * step + i) / 4 for i, window in enumerate(TRAIN[:4])]
    loss = torch.stack(losses).sum()
    loss.backward()
    return float(loss.detach()), torch.cat(
        [value.grad.flatten() for value in model.parameters() if value.grad is not None]
    )


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_step_differs_by_the_error_of_its_engine_only(simulated: Simulated, precision: str) -> None:
    data = data_of(simulated)
    loss, exactly = gradient(data, TrainConfig(engine="exact", precision="float64"))
    other, same = gradient(data, TrainConfig(engine="exact", precision=precision))  # type: ignore[arg-type]
    torch.testing.assert_close(same, exactly, rtol=1e-3, atol=1e-5)
    assert other == pytest.approx(loss, rel=1e-5)
    config = TrainConfig(engine="stochastic", gradient_error=0.05, precision=precision)  # type: ignore[arg-type]
    steps = list(gradients(data, config, 12))
    errors = [float((each - exactly).norm() / exactly.norm()) for _, each in steps]
    assert min(errors) > 0
    assert np.median(errors) < 0.25
    mean = torch.stack([each for _, each in steps]).mean(0)
    assert float((mean - exactly).norm() / exactly.norm()) < np.median(errors)
    assert np.mean([value for value, _ in steps]) == pytest.approx(loss, rel=0.01)


def test_auto_asks_the_cost_model(simulated: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_of(simulated)
    monkeypatch.setattr(module_file, "calibrated", lambda dtype, device: STOCHASTIC)
    by_choice, by_name = (gradient(data, TrainConfig(engine=engine)) for engine in ("auto", "stochastic"))  # type: ignore[arg-type]
    assert torch.equal(by_choice[1], by_name[1])
    assert not torch.equal(by_choice[1], gradient(data, TrainConfig(engine="exact"))[1])


@pytest.mark.parametrize("engine", ["auto", "stochastic"])
def test_a_resumed_fit_is_the_same_to_the_last_bit(
    simulated: Simulated, tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_of(simulated)
    monkeypatch.setattr(module_file, "calibrated", lambda dtype, device: STOCHASTIC)

    def config(steps: int) -> TrainConfig:
        return TrainConfig(engine=engine, max_steps=steps, check_every=4, warmup_steps=3)  # type: ignore[arg-type]

    whole, halves = started(data), started(data)
    for name in ("whole", "halves"):
        (tmp_path / name).mkdir()
    expected = train(whole, data, TRAIN, VALIDATION, config(12), tmp_path / "whole")
    train(halves, data, TRAIN, VALIDATION, config(8), tmp_path / "halves")
    # What this machine is found to be the second time must not matter.
    monkeypatch.setattr(module_file, "calibrated", lambda dtype, device: pytest.fail("measured again"))
    outcome = train(halves, data, TRAIN, VALIDATION, config(12), tmp_path / "halves", resume=True)
    assert [entry.validation for entry in outcome.history] == [entry.validation for entry in expected.history]
    for name, value in whole.state_dict().items():
        assert torch.equal(value, halves.state_dict()[name]), name


def test_validation_is_exact_whatever_the_engine(simulated: Simulated) -> None:
    data = data_of(simulated)
    model = started(data)
    module = PriorModule(model, data, TRAIN, VALIDATION, TrainConfig(engine="stochastic", gradient_error=0.5))
    with torch.no_grad():
        expected = sum(float(total_log_p(model, data[index])[0]) for index in VALIDATION)
    assert module.validate()[0] == pytest.approx(expected, rel=1e-6)


def test_total_log_p_takes_any_likelihood(simulated: Simulated) -> None:
    data = data_of(simulated)
    seen = []

    def constant(window: WhitenedWindow, F: torch.Tensor, sigma2: torch.Tensor) -> torch.Tensor:
        seen.append((window.num_variants, tuple(F.shape), tuple(sigma2.shape)))
        return torch.tensor(2.5)

    total, _ = total_log_p(started(data), data[0], constant)
    traits = [trait for trait in data[0].traits if trait is not None]
    assert float(total) == 2.5 * len(traits)
    assert seen == [(trait.num_variants, (trait.num_variants,), ()) for trait in traits]


def test_every_step_and_seed_has_probes_of_its_own() -> None:
    states = {probe_generator(seed, step).initial_seed() for seed in (-1, 0, 1, 2) for step in range(50)}
    assert len(states) == 200
    assert probe_generator(3, 7).initial_seed() == probe_generator(3, 7).initial_seed()


def test_wrong_options_are_named() -> None:
    for options, message in (
        ({"engine": "fast"}, r"`engine` must be auto, exact, stochastic, got 'fast'\."),
        ({"precision": "float16"}, r"`precision` must be float32 or float64, got 'float16'\."),
        ({"gradient_error": 0.0}, r"`gradient-error` must be positive, got 0.0\."),
    ):
        with pytest.raises(ConfigError, match=message):
            TrainConfig(**options)  # type: ignore[arg-type]
