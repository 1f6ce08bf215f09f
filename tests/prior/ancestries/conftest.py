"""A joint fit that several tests look at; do not change it."""

from __future__ import annotations

import pytest

from cases.ancestries import SecondAncestry, second_ancestry
from cases.simulated_panel import Simulated
from varfx.models import ModelConfig
from varfx.prior import AncestryRun, SplitConfig, fit_ancestries
from varfx.training import TrainConfig

STEPS = TrainConfig(max_steps=40, check_every=20)
HOLDOUT = SplitConfig(holdout_chrom=("3",))


@pytest.fixture(scope="session")
def second(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> SecondAncestry:
    """Files of a second ancestry."""
    return second_ancestry(simulated, tmp_path_factory.mktemp("second"))


@pytest.fixture(scope="session")
def joint(simulated: Simulated, second: SecondAncestry, tmp_path_factory: pytest.TempPathFactory) -> AncestryRun:
    """A linear prior of two ancestries, given in no order of names."""
    return fit_ancestries(
        {"EUR": simulated.panel, "AFR": second.panel},
        {"AFR": second.sumstats, "EUR": simulated.height},
        tmp_path_factory.mktemp("runs") / "JOINT",
        annotations={"EUR": simulated.annot, "AFR": second.annot},
        model=ModelConfig(kind="linear"),
        training=STEPS,
        split=HOLDOUT,
    )
