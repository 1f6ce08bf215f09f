"""Runs that several tests look at; do not change them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cases.simulated_panel import Simulated
from varfx.models import ModelConfig
from varfx.prior import SplitConfig, fit
from varfx.training import TrainConfig

STEPS = TrainConfig(max_steps=150, check_every=25)
HOLDOUT = SplitConfig(holdout_chrom=("3",))


@pytest.fixture(scope="session")
def linear_run(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A linear prior of two traits."""
    out = tmp_path_factory.mktemp("runs") / "LINEAR"
    traits = [simulated.height, simulated.weight]
    fit(
        simulated.panel,
        traits,
        out,
        annotations=simulated.annot,
        model=ModelConfig(kind="linear"),
        training=STEPS,
        split=HOLDOUT,
    )
    return out


@pytest.fixture(scope="session")
def mlp_run(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A perceptron of one trait."""
    out = tmp_path_factory.mktemp("runs") / "MLP"
    model = ModelConfig(kind="mlp", hidden=(6,))
    fit(
        simulated.panel,
        [simulated.height],
        out,
        annotations=simulated.annot,
        model=model,
        training=STEPS,
        split=HOLDOUT,
    )
    return out


@pytest.fixture(scope="session")
def constant_run(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A constant prior of one trait."""
    out = tmp_path_factory.mktemp("runs") / "CONSTANT"
    fit(simulated.panel, [simulated.height], out, model=ModelConfig(kind="constant"), training=STEPS, split=HOLDOUT)
    return out
