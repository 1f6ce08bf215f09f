"""Rates of cards that are not here, against the measurements that they come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from varfx.errors import ConfigError
from varfx.models import ModelConfig, TrackEnformerConfig
from varfx.prior.plan.cards import CARDS, Card, Work, card_of, work_of
from varfx.prior.plan.commands import EVALUATE, NORMAL
from varfx.prior.plan.job import uniform_job
from varfx.prior.plan.plan import plan
from varfx.prior.plan.rates import measure_rates, this_machine

RESULTS = Path(__file__).resolve().parents[3] / "benchmarks" / "results" / "gpu_h200_third.json"
CALLS = {"forward": 356, "forward_and_backward": 617}  # of the paper's network, counted by `work_of`


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    return {name: part["measurements"] for name, part in json.loads(RESULTS.read_text()).items() if name != "machine"}


@pytest.mark.parametrize("size", [512, 2048, 5120, 10_240])
def test_steps_of_the_papers_network(measured: dict[str, Any], size: int) -> None:
    steps = measured["prior network"]
    operations, card = steps["data and network"]["operations_per_variant"], CARDS["h200"]
    forward, both = (Work(CALLS[name], operations[name]).rate(card, "bfloat16", size) for name in CALLS)
    seconds = 10_240 / both + (10_240 / forward if size < 10_240 else 0.0)  # in passes, each is computed twice forward
    assert seconds == pytest.approx(steps[f"step, {size} variants a pass"]["least"], rel=0.1)


def test_forward_memory_and_gather(measured: dict[str, Any]) -> None:
    card, steps = CARDS["h200"], measured["prior network"]
    rate = Work(CALLS["forward"], steps["data and network"]["operations_per_variant"]["forward"])
    assert rate.rate(card, "bfloat16", 2048) == pytest.approx(steps["forward"]["variants_per_second"], rel=0.1)
    assert card.memory == json.loads(RESULTS.read_text())["machine"]["memory_bytes"]
    gather = measured["tracks"]["gather, bfloat16, 2048 at a time, nothing missing"]["variants_per_second"]
    assert card.gather == pytest.approx(gather * 165 * 256, rel=0.05)


def test_commands_after_the_fit(measured: dict[str, Any]) -> None:
    """Scores of two windows and two traits, and posterior means of a pair of cores, of the windows that were measured."""
    scoring, card = measured["scoring"], CARDS["h200"]
    r, m, M = (float(scoring["data"][name]) for name in ("rank", "core", "variants"))
    scores = 4 * (r**2 * M + 5 / 3 * r**3) / scoring["scores"]["seconds_device"]
    pair = (240 * r * M + 2 * r**2 * m + 6 * r**3) / scoring["posterior means"]["seconds_device"]
    assert card.commands == pytest.approx({EVALUATE: scores, NORMAL: pair}, rel=0.01)


def test_likelihood_of_windows(measured: dict[str, Any]) -> None:
    windows = [each for name, each in measured["choice"].items() if name.startswith("r ")]
    assert len(windows) == 12
    for each in windows:
        predicted = CARDS["h200"].likelihood.seconds(each["rank"], each["variants"])
        assert 0.5 < predicted["exact rank"] / each["measured"]["exact rank"] < 2


def test_operators_and_operations_are_counted() -> None:
    a, b = torch.ones(6, 5), torch.ones(5, 4)

    def task() -> None:
        _ = ((a @ b).relu() + 1).T

    found = work_of(task, 6)
    assert found == Work(calls=3, operations=2 * 5 * 4)  # product, relu, addition; the transpose is a view


def test_a_rate_has_a_start_and_a_limit() -> None:
    card = Card(
        name="c", memory=1, operations={"float32": 100.0}, call=1.0, gather=1.0, bandwidth=1.0,
        likelihood=CARDS["h200"].likelihood, commands={},
    )  # fmt: skip
    assert Work(calls=3, operations=50.0).rate(card, "float32", 1) == pytest.approx(1 / 3.5)
    assert Work(calls=3, operations=50.0).rate(card, "float32", 10**6) == pytest.approx(2.0, rel=1e-4)


def test_a_plan_for_a_card(tmp_path: Path) -> None:
    sizes = TrackEnformerConfig(window=32, width=24, depth=1, variants_per_pass=128, precision="bfloat16")
    job = uniform_job(
        10_000,
        10,
        rank=200,
        num_tracks=4,
        bytes_per_base=4,
        num_features=3,
        model=ModelConfig(kind="enformer", enformer=sizes),
    )
    card = card_of("H200")
    machine = this_machine("cpu", tmp_path, card=card)
    rates = measure_rates(job, device="cpu", card=card, folder=tmp_path)
    assert (machine.name, machine.device) == ("NVIDIA H200", card.memory)
    assert (rates.gather, rates.likelihood) == (card.gather, card.likelihood)
    assert rates.forward > rates.training > 0
    found = plan(job, rates, machine)
    assert found.device
    assert any("are those measured on one NVIDIA H200" in note for note in found.notes)


def test_other_cards() -> None:
    with pytest.raises(ConfigError, match="`card` must be one whose rates are known, h200, got 'a100'"):
        card_of("a100")
