"""The arithmetic of a plan at given rates; how well it predicts a real fit is measured by `benchmarks/plan.py`."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from cases.planned import MACHINE, RATES, enformer, small_job
from cases.simulated_panel import Simulated
from varfx.errors import ConfigError
from varfx.models import ModelConfig
from varfx.prior.plan.commands import Products
from varfx.prior.plan.job import Schedule, panel_job, uniform_job
from varfx.prior.plan.plan import TRAIT_BYTES, VARIANT_BYTES, feature_bytes, plan
from varfx.prior.plan.rates import measure_rates, this_machine


def test_windows_from_numbers() -> None:
    job = small_job()
    assert (job.windows, set(job.sizes.num_core), set(job.sizes.num_panel), set(job.sizes.rank)) == (
        10,
        {100},
        {300},
        {50},
    )
    assert set(job.sizes.bases) == {300_000}
    assert set(uniform_job(1000, 10, rank=7, model=ModelConfig(), num_features=0).sizes.rank) == {7}


def test_times_add_up() -> None:
    seconds = plan(small_job(schedule=Schedule(validation_share=0.0)), RATES, MACHINE).seconds
    assert seconds["window: network"] == pytest.approx(300 / 200)
    assert seconds["window: gather"] == pytest.approx(300 * 3 * 32 / 1e6)
    assert seconds["window: likelihood"] == 0.5
    tracks, panel = (300_000 + 32) * 3 / 1e7, 50 * 300 * 2 / 1e8
    assert seconds["window: loading"] == pytest.approx(tracks + panel)
    one = 1.5 + 0.0288 + 0.5 + 0.25
    assert seconds["window"] == pytest.approx(one)  # reading is faster, and hides behind it
    assert seconds["epoch"] == pytest.approx(10 * one)
    assert seconds["first epoch"] == pytest.approx(10 * one)
    assert seconds["total"] == pytest.approx(5000 * one)


def test_a_window_cut_into_passes_goes_forward_twice() -> None:
    whole = plan(small_job(), RATES, MACHINE).seconds
    cut = plan(small_job(model=enformer(variants_per_pass=64)), RATES, MACHINE).seconds
    assert cut["window: network"] == pytest.approx(whole["window: network"] + 300 / 1000)
    assert cut["window: gather"] == pytest.approx(2 * whole["window: gather"])


def test_slow_reading_sets_the_pace_until_windows_are_kept() -> None:
    slow = replace(RATES, read_panel=1e3, read_tracks=math.inf)
    kept = plan(small_job(), slow, MACHINE)
    panel = 50 * 300 * 2 / 1e3
    assert kept.seconds["first epoch"] == pytest.approx(10 * panel)
    assert kept.seconds["epoch"] == pytest.approx(10 * (1.5 + 0.0288 + 0.5 + 0.25))
    assert kept.warnings == []
    none = plan(small_job(), slow, replace(MACHINE, host_free=0))
    assert none.seconds["epoch"] == pytest.approx(10 * panel)
    assert none.warnings == ["reading is slower than computing: put panel and tracks on a faster disk"]
    half = plan(small_job(), slow, replace(MACHINE, host_free=int(10 * 50 * 300 * 4 * 3 / 2)))
    assert half.seconds["epoch"] == pytest.approx((kept.seconds["epoch"] + none.seconds["epoch"]) / 2, rel=1e-3)


def test_checks_of_the_validation_windows_count() -> None:
    job = small_job(schedule=Schedule(validation_share=0.2, max_steps=80, check_every=1))
    seconds = plan(job, RATES, MACHINE).seconds
    assert seconds["check"] == pytest.approx(2 * (0.3 + 0.0288 + 0.5))
    assert seconds["total"] == pytest.approx(80 * seconds["window"] + (80 / 8 + 1) * seconds["check"])


def test_more_traits_devices_and_windows_a_step() -> None:
    one = plan(small_job(), RATES, MACHINE).seconds
    assert plan(small_job(num_traits=3), RATES, MACHINE).seconds["window: likelihood"] == pytest.approx(1.5)
    two = small_job(schedule=Schedule(devices=2, windows_per_step=2))
    assert plan(two, RATES, MACHINE).seconds["epoch"] == pytest.approx((one["epoch"] - 10 * 0.075) / 2)


def test_memory_and_disk() -> None:
    found = plan(small_job(model=enformer(variants_per_pass=64), genome_bases=1_000_000), RATES, MACHINE)
    assert found.disk == {"LD panel": 10 * (50 * 300 * 2 + 4 * 50 * 100), "tracks": 3e6}
    assert found.host["windows kept"] == 10 * 50 * 300 * 4
    assert found.host["blocks of tracks"] == 2 * 3 * (300_000 + 32)
    assert found.host["network's values"] == 64 * RATES.saved_bytes
    assert found.host["weights and moments"] == 16 * RATES.parameters
    assert found.device == {}
    assert found.host["features"] == 3 * 4 * 1000 * 2
    assert found.host["tables of variants"] == 1000 * (VARIANT_BYTES + TRAIT_BYTES)
    assert feature_bytes(12e6, 200) == 2**28 + 9 * 12e6  # read from their file, not 29 GB
    on_gpu = plan(small_job(), RATES, replace(MACHINE, device=10**10))
    assert "network's values" not in on_gpu.host
    assert on_gpu.device["network's values"] == 300 * RATES.saved_bytes
    assert on_gpu.device["tracks"] == 3 * (300_000 + 32)


def test_what_does_not_fit_is_said() -> None:
    tight = replace(MACHINE, host=10**8, disk_free=10**6, device=10**8, busy=2.0)
    found = plan(small_job(genome_bases=10**9), RATES, tight)
    assert [warning.split()[0:2] for warning in found.warnings] == [["needs", "0.5"], ["needs", "0.3"], ["needs", "3"]]
    assert "variants-per-pass" in found.warnings[1]
    assert any("busy" in note for note in found.notes)
    assert plan(small_job(), RATES, MACHINE).warnings == []


def test_a_panel_is_counted_window_by_window(simulated: Simulated) -> None:
    panel = simulated.open()
    job = panel_job(panel, model=ModelConfig(kind="linear"), num_features=3)
    assert job.sizes.num_panel.tolist() == panel.windows["num_panel"].to_list()
    assert int(job.sizes.num_core.sum()) == panel.variants.height
    assert set(job.stored_bytes) == {4}
    found = plan(job, RATES, MACHINE)
    on_disk = sum(
        file.stat().st_size for file in simulated.panel.rglob("*") if file.is_file() and file.name != "manifest.json"
    )
    assert found.disk == {"LD panel": on_disk}
    expected = sum(max(panel_variants / 200 + 0.75, 0) for panel_variants in job.sizes.num_panel)
    assert found.seconds["epoch"] == pytest.approx(expected)


def test_sizes_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="`variants` must be at least `windows`"):
        uniform_job(5, 10, model=ModelConfig(), num_features=0)
    with pytest.raises(ConfigError, match="an enformer needs tracks"):
        small_job(num_tracks=0)
    with pytest.raises(ConfigError, match="an enformer needs tracks"):
        small_job(model=ModelConfig(kind="mlp"))
    with pytest.raises(ConfigError, match="`devices`"):
        small_job(schedule=Schedule(devices=0))


@pytest.mark.parametrize("kind", ["constant", "mlp", "enformer"])
def test_rates_are_measured_for_every_kind(kind: str, tmp_path: Any) -> None:
    """That they are positive and finite, and belong to this network; not how large they are."""
    if kind == "enformer":
        job = small_job()
    else:
        job = uniform_job(1000, 10, model=ModelConfig(kind=kind), num_features=2 * (kind == "mlp"))  # type: ignore[arg-type]
    done: list[int] = []
    rates = measure_rates(job, device="cpu", folder=tmp_path, progress=lambda number, total, what: done.append(number))
    for name in ("forward", "training", "read_panel", "step", "overhead"):
        assert 0 < getattr(rates, name) < math.inf
    assert (0 < rates.gather < math.inf) == (kind == "enformer")
    assert (0 < rates.read_tracks < math.inf) == (kind == "enformer")
    assert done == [1, 2, 3, 4, 5]
    assert list(tmp_path.iterdir()) == []
    assert np.isfinite(plan(job, rates, this_machine("cpu", tmp_path)).seconds["total"])
    from varfx.models import VariancePrior

    prior = VariancePrior(job.model, job.num_features, 1, num_tracks=job.num_tracks)
    assert rates.parameters == sum(parameter.numel() for parameter in prior.parameters())


def test_saved_memory_grows_with_the_network() -> None:
    from varfx.models import VariancePrior
    from varfx.prior.plan.rates import _saved_bytes

    def saved(width: int) -> int:
        job = small_job(model=enformer(width=width))
        return _saved_bytes(VariancePrior(job.model, 2, 1, num_tracks=3), job, 8, torch.device("cpu"))

    narrow, wide = saved(24), saved(48)
    assert 4 * 3 * 32 < narrow < wide < 4 * narrow


def test_commands_after_the_fit_by_their_arithmetic() -> None:
    """Rank 50, 100 core and 300 panel variants, 10 windows of which one is held out; 1e6 products per second in float32, 1e5 in float64."""
    job = small_job(model=ModelConfig(kind="mlp"), num_tracks=0, bytes_per_base=0)
    seconds = plan(job, replace(RATES, products=Products(1e6, 1e5)), MACHINE).commands
    read = 50 * 300 * 2 / 1e8
    whitening = (50**2 * 100 + 50**3) / 1e5
    assert seconds["predict"] == pytest.approx(1000 / 1000)
    assert seconds["evaluate"] == pytest.approx(
        2 * (50**2 * 300 / 1e6 + whitening + 5 / 3 * 50**3 / 1e5 + read), rel=1e-6
    )
    assert seconds["weights --effects normal"] == pytest.approx(
        1 + 10 * (240 * 50 * 300 / 1e6 + whitening + (2 * 50**2 * 100 + 6 * 50**3) / 1e5 + read)
    )
    information = (1.5 * 50**2 * 300 + 50 * 300 * 3) / 1e6 + 50**3 / 1e5 + read
    assert seconds["h2"] == pytest.approx(1 + whitening + 12 * information)
    assert seconds["score-test"] == pytest.approx(1 + whitening + 8 * information)
    assert seconds["qc"] == pytest.approx(10 * ((50**2 * 100 + 9 * 50**3) / 1e5 + read / 3))
    assert seconds["ld export"] == pytest.approx(10 * (100**2 * 50 / 1e5 + read / 3))
    twice = plan(replace(job, num_traits=2), replace(RATES, products=Products(1e6, 1e5)), MACHINE).commands
    assert twice["evaluate"] == pytest.approx(2 * seconds["evaluate"])


def test_machines_share_the_windows_and_a_check_looks_at_a_sample() -> None:
    one, two = (
        plan(small_job(schedule=Schedule(num_nodes=n, windows_per_step=2)), RATES, MACHINE).seconds for n in (1, 2)
    )
    assert two["epoch"] == pytest.approx(one["epoch"] / 2)
    assert two["check"] == pytest.approx(one["check"] / 2)
    sampled = plan(small_job(schedule=Schedule(validation_share=0.5, check_windows=1)), RATES, MACHINE).seconds
    whole = plan(small_job(schedule=Schedule(validation_share=0.5)), RATES, MACHINE).seconds
    assert sampled["check"] == pytest.approx(whole["check"] / 5)
    with pytest.raises(ConfigError, match="`holdout-fraction` must be in"):
        Schedule(holdout_share=1.0)
