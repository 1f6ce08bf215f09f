"""Training on individuals: who is met, what is learned and kept, resume, processes, and that no individual's data is written."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from cases.people import InFloat64, Simulated, assert_close, lively, small_network
from varfx.errors import ConfigError, DataError
from varfx.models.expression import ExpressionNetwork
from varfx.training.history import LAST
from varfx.training.people.batches import BatchOrder
from varfx.training.people.config import ExpressionTrainConfig
from varfx.training.people.fit import train_expression
from varfx.training.people.module import ExpressionModule, mean_r2
from varfx.training.people.pairwise import pairwise_loss
from varfx.training.people.predict import calibrate, predict

FAST: dict[str, Any] = {"learning_rate": 3e-3, "checkpoint_minutes": 0, "max_gradient_norm": 1.0}


def trained(folder: Path, data: Simulated | None = None, *, resume: bool = False, **options: Any) -> ExpressionNetwork:
    folder.mkdir(exist_ok=True)
    changes = {name: options.pop(name) for name in ("dropout", "norm", "freeze_trunk", "lora_rank") if name in options}
    network = small_network(**changes)
    config = ExpressionTrainConfig(**{**FAST, **options})
    train_expression(network, data or Simulated(), config, folder, resume=resume)
    return network


def assert_equal(one: ExpressionNetwork, other: ExpressionNetwork) -> None:
    for (name, value), expected in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(value, expected), name


# --- the order


@pytest.mark.parametrize(
    ("people", "size", "batches"), [(16, 128, [16]), (130, 128, [65, 65]), (257, 128, [86, 86, 85]), (6, 1, [1] * 6)]
)
def test_everyone_is_met_once_a_pass(people: int, size: int, batches: list[int]) -> None:
    data = Simulated(num_people=people + 4)
    epoch = BatchOrder(data, size, seed=1).epoch(3)
    for gene in range(2):
        mine = [batch.rows for batch in epoch if batch.gene == gene]
        assert sorted((len(rows) for rows in mine), reverse=True) == batches
        assert sorted(np.concatenate(mine)) == list(range(people))
    assert [batch.step for batch in epoch] == list(range(6 * len(batches), 8 * len(batches)))


def test_the_order_follows_from_seed_and_place() -> None:
    data = Simulated(num_people=40)
    order = BatchOrder(data, 10, seed=1, reverse_complement=0.5, max_shift=2)
    whole, rest = list(order.from_step(0, 3)), list(order.from_step(11, 3))
    assert len(whole) == 3 * order.steps_per_epoch == 24
    for one, other in zip(whole[11:], rest, strict=True):
        assert (one.step, one.gene, one.reverse_complement, one.shift) == (other.step, other.gene, other.reverse_complement, other.shift)  # fmt: skip
        assert np.array_equal(one.rows, other.rows)
    passes = [np.concatenate([batch.rows for batch in order.epoch(number)]) for number in range(3)]
    assert not any(
        np.array_equal(passes[number], passes[number - 1]) for number in range(3)
    )  # a new order in each pass
    assert {batch.reverse_complement for batch in whole} == {True, False}
    assert {batch.shift for batch in whole} <= {-2, -1, 0, 1, 2}
    assert len({batch.shift for batch in whole}) > 2
    other_seed = BatchOrder(data, 10, seed=2).epoch(0)
    assert any(not np.array_equal(a.rows, b.rows) for a, b in zip(whole, other_seed, strict=False))


def test_augmentation_reaches_training_and_not_tuning(tmp_path: Path) -> None:
    data = Simulated()
    trained(tmp_path, data, epochs=1, reverse_complement=1.0, max_shift=1)
    tune = set(data.people(0, "tune").tolist())
    assert all(turned != (set(rows) <= tune) for _, rows, turned, _ in data.seen)
    assert all(shift == 0 for _, rows, _, shift in data.seen if set(rows) <= tune)


# --- the measure


def test_mean_r2_is_sklearns_where_there_is_one() -> None:
    from sklearn.metrics import r2_score

    rng = np.random.default_rng(0)
    pairs = [(rng.standard_normal(9).astype(np.float32), rng.standard_normal(9).astype(np.float32)) for _ in range(3)]
    assert mean_r2(pairs) == pytest.approx(np.mean([r2_score(y, p) for p, y in pairs]), rel=1e-5)


def test_mean_r2_is_always_a_number() -> None:
    y, constant = np.array([1.0, 2.0, 3.0]), np.full(3, 2.0)
    assert mean_r2([(constant, y)]) == 0.0  # a constant prediction, at the mean
    assert mean_r2([(constant + 1, y)]) == -1.5
    assert mean_r2([(y, constant), (y, y)]) == 1.0  # a gene without variance is left out
    assert mean_r2([(np.array([0.5]), np.array([1.0]))]) == 0.75  # one individual
    assert mean_r2([(np.zeros(0), np.zeros(0))]) == 0.0


# --- learning


def test_training_learns_and_keeps_the_best_weights(tmp_path: Path) -> None:
    data = Simulated(num_people=60, num_tune=20)
    network = small_network()
    calibrate(network, data)
    outcome = train_expression(network, data, ExpressionTrainConfig(**FAST, epochs=40), tmp_path)
    assert outcome.stopped == "epochs"
    values = [epoch.validation for epoch in outcome.history]
    assert max(values) > 0.3
    assert outcome.best == 1 + int(np.argmax(values))
    rows = data.people(0, "tune")
    pairs = [(predict(network, lambda some, g=gene: data.encode(g, some, torch.device("cpu")), rows), data.targets(gene, rows).numpy())
             for gene in range(2)]  # fmt: skip
    assert mean_r2(pairs) == pytest.approx(max(values), abs=1e-5)
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0] == "epoch,train_loss,tune_r2"
    assert len(lines) == 41


def test_patience(tmp_path: Path) -> None:
    network = small_network()
    config = ExpressionTrainConfig(learning_rate=1e-12, patience=3, epochs=50)  # learns nothing worth mentioning
    outcome = train_expression(network, Simulated(), config, tmp_path)
    assert outcome.stopped == "early"
    assert len(outcome.history) == outcome.best + 3


@pytest.mark.parametrize("people", [10, 23])
def test_small_cohorts(tmp_path: Path, people: int) -> None:
    data = Simulated(num_people=people, num_tune=1)
    outcome = train_expression(small_network(), data, ExpressionTrainConfig(**FAST, epochs=2), tmp_path)
    assert all(np.isfinite([epoch.train, epoch.validation]).all() for epoch in outcome.history)


@pytest.mark.parametrize(
    "option", [{}, {"freeze_trunk": True}, {"lora_rank": 2}, {"norm": "frozen"}, {"norm": "layer"}]
)
def test_what_learns_moves_and_nothing_else(tmp_path: Path, option: dict[str, Any]) -> None:
    before, after = lively(small_network(**option)), lively(small_network(**option))
    train_expression(after, Simulated(), ExpressionTrainConfig(**FAST, epochs=2), tmp_path)
    learning = {name: p.requires_grad for name, p in before.named_parameters()}
    for (name, old), new in zip(before.named_parameters(), after.parameters(), strict=True):
        assert torch.equal(old, new) != learning[name], name
    running = option in ({}, {"lora_rank": 2})
    for (name, old), new in zip(before.named_buffers(), after.buffers(), strict=True):
        assert torch.equal(old, new) != running, name


def test_loaded_weights_train_in_training_mode(tmp_path: Path) -> None:
    network = small_network(dropout=0.4).eval()
    seen: list[bool] = []
    network.trunk.final_pointwise.register_forward_hook(lambda module, x, y: seen.append(module.training))
    train_expression(network, Simulated(), ExpressionTrainConfig(**FAST, epochs=1), tmp_path)
    assert seen[0]
    assert not seen[-1]  # tuning


def test_micro_batches_change_nothing(tmp_path: Path) -> None:
    one, many = (trained(tmp_path / str(size), epochs=3, micro_batch=size) for size in (16, 3))
    for (name, value), expected in zip(one.state_dict().items(), many.state_dict().values(), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-5, msg=name)


def test_a_bfloat16_trunk_has_the_gradient_of_float32_to_its_rounding() -> None:
    """Readout, loss and weights are float32: every weight has a gradient that points where that of float32 does."""
    gradients, losses = [], []
    for precision in ("float32", "bfloat16"):
        network = lively(small_network(precision=precision)).train()
        calibrate(network, Simulated())
        module = ExpressionModule(network, Simulated(), ExpressionTrainConfig(micro_batch=5))
        losses.append(module.gradients(module.order.epoch(0)[0]))
        assert all(each.grad is not None and each.grad.dtype == torch.float32 for each in network.parameters())
        gradients.append(torch.cat([each.grad.flatten() for each in network.parameters() if each.grad is not None]))
        assert network(Simulated().x[0, :2]).dtype == torch.float32
    exact, rounded = gradients
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert not torch.equal(exact, rounded)
    assert torch.cosine_similarity(exact, rounded, dim=0) > 0.99
    assert float(rounded.norm()) == pytest.approx(float(exact.norm()), rel=0.05)


def test_tuning_is_in_full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """bfloat16 resolves 1/256 of a prediction: early stopping would choose among rounded numbers."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    network = small_network(precision="bfloat16")
    seen: list[tuple[bool, torch.dtype, bool]] = []
    network.trunk.stem[0].register_forward_hook(
        lambda module, x, y: seen.append((torch.backends.cudnn.allow_tf32, y.dtype, module.training))
    )
    module = ExpressionModule(network, Simulated(), ExpressionTrainConfig())
    network.train()
    module.gradients(module.order.epoch(0)[0])
    module.tune_score()
    assert set(seen) == {(True, torch.bfloat16, True), (False, torch.float32, False)}
    assert network.training


# --- interruption


class Stop(Exception):
    pass


@pytest.mark.parametrize("stop", [1, 4])
def test_resumed_training_is_bit_identical(tmp_path: Path, stop: int) -> None:
    options = {"epochs": 4, "batch": 8, "dropout": 0.3, "reverse_complement": 0.5, "micro_batch": 4}
    whole = trained(tmp_path / "whole", **options)

    def interrupt(done: int, total: int, what: str) -> None:
        if done == 4 * stop + 2:  # in the middle of a pass
            raise Stop

    network = small_network(dropout=0.3)
    (tmp_path / "part").mkdir()
    config = ExpressionTrainConfig(**{**FAST, **{name: value for name, value in options.items() if name != "dropout"}})
    if stop < 4:
        with pytest.raises(Stop):
            train_expression(network, Simulated(), config, tmp_path / "part", progress=interrupt)
    else:
        train_expression(network, Simulated(), config, tmp_path / "part", progress=interrupt)
    assert_equal(trained(tmp_path / "part", resume=True, **options), whole)
    assert (tmp_path / "part/history.csv").read_bytes() == (tmp_path / "whole/history.csv").read_bytes()


def test_seeds(tmp_path: Path) -> None:
    options = {"epochs": 2, "batch": 8, "dropout": 0.3}
    one, same, other = (trained(tmp_path / f"{i}", seed=seed, **options) for i, seed in enumerate((0, 0, 1)))
    assert_equal(one, same)
    assert not torch.equal(one.head.weight, other.head.weight)


# --- privacy


def test_checkpoints_hold_no_persons_data(tmp_path: Path) -> None:
    data = Simulated(num_people=48)
    trained(tmp_path, data, epochs=2)
    tensors = safetensors.torch.load_file(tmp_path / LAST / "tensors.safetensors")
    network = small_network()
    shapes = Counter(tuple(value.shape) for value in network.state_dict().values())
    assert {tuple(value.shape) for value in tensors.values()} <= set(shapes) | {()}
    numbers = {float(v) for tensor in tensors.values() for v in tensor.flatten().double()}
    assert not numbers & {float(v) for v in data.y.flatten().double()}
    text = (tmp_path / LAST / "state.json").read_text()
    for value in data.y.flatten().tolist():
        assert str(value)[:8] not in text
    assert sorted(file.name for file in tmp_path.rglob("*")) == [
        "history.csv",
        LAST,
        "manifest.json",
        "state.json",
        "tensors.safetensors",
    ]


# --- errors


def test_divergence_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the fit diverged: its predictions are not finite.*--learning-rate"):
        trained(tmp_path, epochs=5, learning_rate=1e30, max_gradient_norm=1e30)


def test_too_few_people(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gene number 1 has 20 training and 0 tuning individuals"):
        trained(tmp_path, Simulated(num_tune=0), epochs=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "`epochs` must be at least 1, got 0"),
        ({"micro_batch": 0}, "`micro-batch` must be at least 1"),
        ({"learning_rate": float("nan")}, "`learning-rate` must be positive, got nan"),
        ({"weight_decay": -1}, "`weight-decay` must not be negative"),
        ({"reverse_complement": 2}, "`reverse-complement` must be from 0 to 1"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ExpressionTrainConfig(**options)


# --- processes


@pytest.mark.usefixtures("forked_processes")
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Seven individuals a batch, so that the shares differ; in float64, as AdamW's first steps are the signs of gradients."""
    networks, said = [], []
    for devices in (1, 2):
        folder = tmp_path / str(devices)
        folder.mkdir()
        network = lively(small_network().double())
        done: list[int] = []
        train_expression(
            network,
            InFloat64(),
            ExpressionTrainConfig(**FAST, epochs=2, batch=7, devices=devices),
            folder,
            progress=lambda step, *rest, done=done: done.append(step),
        )
        networks.append(network)
        said.append(done)
    assert said[0] == said[1] == list(range(1, 13))  # the first process alone reports
    assert_close(networks[1], networks[0])
    one, two = ((tmp_path / name / "history.csv").read_text().splitlines()[1:] for name in ("1", "2"))
    for a, b in zip(one, two, strict=True):
        assert [float(v) for v in a.split(",")] == pytest.approx([float(v) for v in b.split(",")], rel=1e-6)


@pytest.mark.parametrize("limit", [1e-3, 1e6])
def test_a_step_goes_along_gradients_of_bounded_norm(limit: float, monkeypatch: pytest.MonkeyPatch) -> None:
    data, network = Simulated(), small_network()
    with torch.no_grad():
        network.head.weight.normal_(generator=torch.Generator().manual_seed(0))
    module = ExpressionModule(network, data, ExpressionTrainConfig(micro_batch=5, max_gradient_norm=limit))
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    monkeypatch.setattr(module, "optimizers", lambda: optimizer)
    batch = module.order.epoch(0)[0]
    module.gradients(batch)
    whole = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    assert 1e-2 < whole.norm() < 1e5
    before = torch.cat([p.detach().clone().flatten() for p in network.parameters() if p.grad is not None])
    module.training_step(batch, 0)
    moved = before - torch.cat([p.detach().flatten() for p in network.parameters() if p.grad is not None])
    assert float(moved.norm()) == pytest.approx(min(limit, float(whole.norm())), rel=1e-3)


def test_gradients_of_a_step_are_those_of_the_loss() -> None:
    data = Simulated()
    network = small_network()
    with torch.no_grad():
        network.head.weight.normal_(generator=torch.Generator().manual_seed(0))
    module = ExpressionModule(network, data, ExpressionTrainConfig(micro_batch=5))
    batch = module.order.epoch(0)[0]
    module.gradients(batch)
    found = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    network.zero_grad()
    pairwise_loss(network(data.x[batch.gene, batch.rows]), data.targets(batch.gene, batch.rows)).backward()
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-6, msg=name)
