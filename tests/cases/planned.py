"""Sizes and rates of plans whose arithmetic is easy by hand."""

from __future__ import annotations

from typing import Any

from varfx.likelihood.cost_model import CostModel
from varfx.models import ModelConfig
from varfx.models.track_enformer import TrackEnformerConfig
from varfx.prior.plan.job import Job, uniform_job
from varfx.prior.plan.plan import Machine, Rates

# A likelihood of half a second, whatever the window; the other engines take longer.
HALF_A_SECOND = CostModel(dict.fromkeys(("exact rank", "exact symmetric", "stochastic", "stochastic, converted"), (0.5, 0.0, 0.0)))  # fmt: skip
RATES = Rates(
    forward=1000.0,
    training=200.0,
    parameters=1_000_000,
    saved_bytes=1_000_000,
    step=0.15,
    overhead=0.1,
    gather=1e6,
    read_tracks=1e7,
    read_panel=1e8,
    likelihood=HALF_A_SECOND,
    process_bytes=500_000_000,
)
MACHINE = Machine(host=10**11, host_free=10**11, disk_free=10**12, device=None, name="CPU", threads=1)


def enformer(**changes: Any) -> ModelConfig:
    small = {"window": 32, "width": 24, "heads": 2, "num_downsamples": 3, "variants_per_pass": 1000, **changes}
    return ModelConfig(kind="enformer", enformer=TrackEnformerConfig(**small))


def small_job(**changes: Any) -> Job:
    """10 windows of 100 core and 300 panel variants, rank 50, three tracks."""
    sizes: dict[str, Any] = {"model": enformer(), "num_features": 2, "num_tracks": 3, "bytes_per_base": 3, **changes}
    return uniform_job(1000, 10, core=100_000, flank=100_000, **sizes)
