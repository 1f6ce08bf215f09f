"""Work of sampling, loci and several ancestries, by hand; and what of it a card computes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cases.planned import MACHINE, RATES, small_job
from cases.simulated_panel import Simulated
from varfx.errors import ConfigError
from varfx.models import ModelConfig
from varfx.prior.plan.cards import CARDS
from varfx.prior.plan.commands import EVALUATE, NORMAL, Products
from varfx.prior.plan.elsewhere import CommandTime, cards_beside, on_card
from varfx.prior.plan.job import Job, Schedule, panel_job
from varfx.prior.plan.plan import all_work, plan

MEASURED = replace(RATES, products=Products(1e6, 1e5, 1e4))
READ = 50 * 300 * 2  # bytes of a window's B
WHITENING = 50**2 * 100 + 50**3


def job(**changes: Any) -> Job:
    """10 windows of rank 50 with 100 core and 300 panel variants."""
    return small_job(**{"model": ModelConfig(kind="mlp"), "num_tracks": 0, "bytes_per_base": 0, **changes})


def test_sparse_effects_by_their_arithmetic() -> None:
    seconds = plan(job(), MEASURED, MACHINE).commands["weights --effects mixture"]
    pair = 1.5 * 100**2 * 400 + 2 / 3 * 100**3
    learned = 3 * 50**2 * 300 + 9 * 50**3  # all ten windows are learned by
    vectors = 75 * 4 * (100 / 2 + 3000) * 400 + 288 * (50 / 2 + 3000) * 300
    one = pair / 1e6 + (learned + 2 * WHITENING) / 1e5 + vectors / 1e4 + 2 * READ / 1e8
    assert seconds == pytest.approx(1 + 10 * one)


def test_two_traits_by_their_arithmetic() -> None:
    seconds = plan(job(), MEASURED, MACHINE).commands["rg"]
    pair = 6 * (7 * 50**2 * 300 + 16 / 3 * 50**3 + 6 * 50 * 300)
    assert seconds == pytest.approx(2 + (pair + 2 * WHITENING) / 1e5 + 6 * READ / 1e8)


@pytest.mark.parametrize("loci", [None, 7])
def test_loci_by_their_arithmetic(loci: int | None) -> None:
    """A locus of 3 Mb has ten times a window's bases: all 1,000 variants, of 3,000 by density; rank 500 of ten cores, so that R is dense."""
    commands = plan(job(loci=loci), MEASURED, MACHINE).commands
    name, count = ("finemap, a locus", 1) if loci is None else ("finemap, 7 loci", 7)
    factors = 2 * 500**2 * 1000 + 9 * 500**3 + 1000**2 * 500
    vectors = 2 * 2 * 20 * 10 * 1000**2
    assert commands[name] == pytest.approx(count * (factors / 1e5 + vectors / 1e4 + 10 * READ / 1e8))
    more = count * 5 * (2 * 500**2 * 1000 + 1000**2 * 500) / 1e5
    assert commands[f"{name}, background learned"] == pytest.approx(commands[name] + more)


def test_the_second_half_of_a_fit_with_sparse_effects() -> None:
    schedule = Schedule(max_steps=80, check_every=1, validation_share=0.2)
    normal = plan(job(schedule=schedule), MEASURED, MACHINE).seconds
    seconds = plan(job(schedule=schedule, model=ModelConfig(kind="mlp", effects="mixture")), MEASURED, MACHINE).seconds
    bound = (4 * 50**2 * 300 + 2 / 3 * 50**3) / 1e6 + 10 * (2 * 50 + 1000) * 300 / 1e4
    step, check = 300 / 200 + 0.25 + bound, 300 / 1000 + bound
    second = 80 * step + (80 / 8 + 1) * 2 * check + 10 * 24 * check
    assert normal["second half"] == 0
    assert seconds["second half"] == pytest.approx(second)
    assert seconds["total"] == pytest.approx(normal["total"] + second)
    there = plan(job(model=ModelConfig(kind="mlp", effects="mixture")), MEASURED, replace(MACHINE, device=10**11))
    assert math.isnan(there.seconds["total"])
    assert there.to_dict()["seconds"]["total"] is None


def test_windows_of_several_panels(simulated: Simulated) -> None:
    panel = simulated.open()
    one = panel_job(panel, model=ModelConfig(kind="linear"), num_features=3)
    two = panel_job({"EAS": panel, "EUR": panel}, model=ModelConfig(kind="linear"), num_features=3)
    assert (one.num_ancestries, two.num_ancestries, two.windows) == (1, 2, 2 * one.windows)
    assert two.owners.tolist() == [0] * one.windows + [1] * one.windows
    first, both = (plan(each, MEASURED, MACHINE) for each in (one, two))
    assert both.seconds["epoch"] == pytest.approx(2 * first.seconds["epoch"])
    assert both.disk["LD panel"] == pytest.approx(2 * first.disk["LD panel"])
    assert both.commands["finemap, a locus"] == pytest.approx(2 * first.commands["finemap, a locus"])
    assert not {"rg", "weights --effects mixture"} & set(both.commands)
    assert any("2 ancestries (EAS, EUR)" in note for note in both.notes)
    for wrong, message in (
        ({"num_traits": 2}, "of one trait"),
        ({"model": ModelConfig(kind="linear", effects="mixture")}, "`--effects mixture` is for one panel"),
    ):
        with pytest.raises(ConfigError, match=message):
            panel_job({"A": panel, "B": panel}, **{"model": ModelConfig(kind="linear"), "num_features": 3, **wrong})


def test_weights_of_two_ancestries_by_their_arithmetic() -> None:
    """Both of rank 50: the systems have all associations of two cores of either, rank 200; 48 regions for rho."""
    two = job(ancestries=("A", "B"), members=np.repeat([0, 1], 5))
    seconds = plan(two, MEASURED, MACHINE).commands["weights of all ancestries together"]
    pair = 200**2 * (300 + 2 * 100) + 200**3 / 3
    region = 3 * 50**2 * 300 + 25 * 50**3
    assert seconds == pytest.approx(1 + 10 * ((pair + 2 * WHITENING) / 1e5 + 2 * READ / 1e8) + 48 * region / 1e5)


def test_commands_on_a_card() -> None:
    card, planned = CARDS["h200"], job(schedule=Schedule(devices=2, windows_per_step=2))
    found = on_card(card, planned, MEASURED, MACHINE)
    assert found.name == "NVIDIA H200"
    assert found.gpu_hours == pytest.approx(2 * found.seconds["total"] / 3600)
    assert found.commands["predict"] == CommandTime(1.0, "card")
    computed = 2 * (50**2 * 300 + 5 / 3 * 50**3) / card.commands[EVALUATE]
    evaluated = found.commands[EVALUATE]
    assert evaluated.where == "card"
    assert evaluated.seconds == pytest.approx(computed + 2 * WHITENING / 1e5 + 2 * READ / 1e8)  # one window is held out
    weights = 10 * ((240 * 50 * 300 + 2 * 50**2 * 100 + 6 * 50**3) / card.commands[NORMAL] + READ / 1e8)
    assert found.commands[NORMAL].seconds == pytest.approx(1 + weights)
    for name in ("h2", "score-test", "rg"):
        assert found.commands[name] == CommandTime(None, "not measured")
    for name in ("qc", "ld build", "weights --effects mixture", "finemap, a locus"):
        assert found.commands[name] == CommandTime(plan(planned, MEASURED, MACHINE).commands[name], "CPU")
    assert set(found.commands) == set(all_work(planned))
    mixture = on_card(card, job(model=ModelConfig(kind="mlp", effects="mixture")), MEASURED, MACHINE)
    assert mixture.gpu_hours is None
    assert mixture.to_dict()["seconds"]["total"] is None


def test_a_card_that_is_here_is_not_planned_twice() -> None:
    assert [card.name for card in cards_beside(MACHINE)] == ["NVIDIA H200"]
    assert cards_beside(replace(MACHINE, name="NVIDIA H200")) == []
    assert len(cards_beside(replace(MACHINE, name="NVIDIA H200", elsewhere=True))) == 1
