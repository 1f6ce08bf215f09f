"""The pairwise loss: the paper's definition pair by pair, and the same gradients however a batch is cut."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from varfx.models.channel_norm import fold_statistics
from varfx.models.expression import ExpressionNetwork, ExpressionNetworkConfig
from varfx.training.dropout import Dropout
from varfx.training.people.pairwise import ResidualSums, backward, pairwise_loss, sum_gradients

PEOPLE = 32
STEP = Dropout(7, torch.device("cpu"))


def by_definition(prediction: Tensor, target: Tensor) -> Tensor:
    """The paper's words: half the mean squared error, half the mean over pairs of the squared difference of differences."""
    mse = torch.stack([(p - t) ** 2 for p, t in zip(prediction, target, strict=True)]).mean()
    pairs = [
        ((prediction[i] - prediction[j]) - (target[i] - target[j])) ** 2 for i, j in combinations(range(len(target)), 2)
    ]
    return 0.5 * mse + 0.5 * torch.stack(pairs).mean() if pairs else 0.5 * mse


def network(*, dropout: float = 0.0) -> ExpressionNetwork:
    """A small network in float64 whose head is not 0."""
    config = ExpressionNetworkConfig(
        window=64,
        width=12,
        depth=1,
        num_downsamples=3,
        norm="running",
        dropout=dropout,
        attention_dropout=dropout,
        position_dropout=dropout,
    )
    generator = torch.Generator().manual_seed(3)
    model = ExpressionNetwork(config, generator=generator).double()
    with torch.no_grad():
        model.head.weight.normal_(generator=generator)
        for layer in model.trunk.transformer:
            layer[0].fn[1].to_out.weight.normal_(generator=generator)
    return model.train()


def people() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    x = torch.eye(4, dtype=torch.float64)[torch.randint(0, 4, (PEOPLE, 64), generator=generator)]
    return x, torch.randn(PEOPLE, generator=generator, dtype=torch.float64) + 0.5


def cut(model: nn.Module, x: Tensor, y: Tensor, size: int) -> tuple[list[Callable[[], Tensor]], list[Tensor]]:
    rows = [slice(first, first + size) for first in range(0, len(x), size)]
    return [lambda part=part: model(x[part]) for part in rows], [y[part] for part in rows]


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    scale = max(float(value.abs().max()) for value in expected.values())
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-9 * scale, msg=name)


def full_batch() -> tuple[Tensor, dict[str, Tensor]]:
    model, (x, y) = network(), people()
    loss = by_definition(model(x), y)
    loss.backward()
    return loss.detach(), gradients(model)


# --- the formula


@pytest.mark.parametrize("n", [1, 2, 3, 17])
def test_loss_and_gradient_are_the_papers_pair_by_pair(n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    p = (torch.randn(n, generator=generator, dtype=torch.float64) * 3 + 1).requires_grad_()
    y = torch.randn(n, generator=generator, dtype=torch.float64)
    expected = by_definition(p, y)
    (slope,) = torch.autograd.grad(expected, p)
    sums = ResidualSums.of(p - y)
    torch.testing.assert_close(pairwise_loss(p, y), expected)
    assert sums.loss == pytest.approx(float(expected.detach()), rel=1e-12)
    torch.testing.assert_close(sums.gradient(p - y), slope)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30), st.floats(-50, 50), st.randoms())
def test_laws(values: list[float], shift: float, random: object) -> None:
    e = torch.tensor(values, dtype=torch.float64)
    n = len(e)
    loss = ResidualSums.of(e).loss
    assert loss >= 0
    assert ResidualSums.of(e.flip(0)).loss == pytest.approx(loss, rel=1e-9, abs=1e-9)  # of the order of individuals
    moved = ResidualSums.of(e + shift).loss  # a shift of all is seen by the first half only
    assert moved - loss == pytest.approx(shift * float(e.mean()) + shift**2 / 2, rel=1e-6, abs=1e-6)
    assert float(ResidualSums.of(e).gradient(e).sum()) == pytest.approx(float(e.mean()), abs=1e-9 * n)


def test_nobody_costs_nothing() -> None:
    sums = ResidualSums.of(torch.zeros(0))
    assert (sums.n, sums.loss) == (0, 0.0)
    assert sums.gradient(torch.zeros(0)).shape == (0,)


# --- micro-batches


@pytest.mark.parametrize("keep_graphs", [False, True])
@pytest.mark.parametrize("size", [1, 3, 32])
def test_gradients_are_those_of_the_whole_batch(size: int, keep_graphs: bool) -> None:
    expected, slopes = full_batch()
    model, (x, y) = network(), people()
    sums = backward(model, *cut(model, x, y, size), STEP, keep_graphs=keep_graphs)
    assert sums.loss == pytest.approx(float(expected), rel=1e-12)
    assert_same(gradients(model), slopes)


def test_loss_within_each_micro_batch_would_be_another() -> None:
    expected, _ = full_batch()
    model, (x, y) = network(), people()
    with torch.no_grad():
        apart = [pairwise_loss(model(x[first : first + 3]), y[first : first + 3]) for first in range(0, 30, 3)]
    assert abs(float(torch.stack(apart).mean()) / float(expected) - 1) > 1e-3


@pytest.mark.parametrize("size", [1, 3, 32])
def test_statistics_are_seen_once(size: int) -> None:
    whole, model, (x, y) = network(), network(), people()
    whole(x)
    fold_statistics(whole)
    backward(model, *cut(model, x, y, size), STEP)
    fold_statistics(model)
    for (name, expected), found in zip(whole.named_buffers(), model.buffers(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9, msg=name)


def test_both_passes_see_the_same_dropout() -> None:
    (x, y), kept, again = people(), network(dropout=0.4), network(dropout=0.4)
    backward(kept, *cut(kept, x, y, 5), STEP, keep_graphs=True)
    backward(again, *cut(again, x, y, 5), STEP)
    assert_same(gradients(again), gradients(kept))
    other = network(dropout=0.4)
    backward(other, *cut(other, x, y, 5), Dropout(8, torch.device("cpu")))
    weight = "trunk.transformer.0.1.fn.1.weight"
    assert not torch.allclose(gradients(other)[weight], gradients(kept)[weight])


def test_parts_of_a_batch_drop_other_values() -> None:
    def dropped(number: int) -> torch.Tensor:
        with STEP.part(number):
            return torch.nn.functional.dropout(torch.ones(1000), 0.4)

    assert torch.equal(dropped(0), dropped(0))
    both = (dropped(0) == 0) & (dropped(1) == 0)
    assert 0.1 < both.float().mean() < 0.22  # 0.4 * 0.4, as of independent ones


def test_dropout_leaves_the_global_random_state_alone() -> None:
    model, (x, y) = network(dropout=0.4), people()
    before = torch.get_rng_state()
    backward(model, *cut(model, x, y, 5), STEP)
    assert torch.equal(torch.get_rng_state(), before)


# --- processes


def one_process(rank: int, folder: Path, shares: list[slice]) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=len(shares))
    torch.set_num_threads(1)
    model, (x, y) = network(), people()
    share = shares[rank]
    sums = backward(model, *cut(model, x[share], y[share], 3), STEP, all_reduce=dist.all_reduce)
    sum_gradients(model, dist.all_reduce)
    fold_statistics(model, dist.all_reduce)
    torch.save(
        {"loss": sums.loss, "slopes": gradients(model), "buffers": dict(model.named_buffers())}, folder / f"{rank}.pt"
    )
    dist.destroy_process_group()


@pytest.mark.parametrize("shares", [[slice(0, 20), slice(20, 32)], [slice(0, 32), slice(32, 32)]])
def test_two_processes_are_one(tmp_path: Path, shares: list[slice]) -> None:
    expected, slopes = full_batch()
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=one_process, args=(rank, tmp_path, shares)) for rank in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert found["loss"] == pytest.approx(float(expected), rel=1e-12)
        assert_same(found["slopes"], slopes)
