"""A network trained once on a simulated gene, for the tests of fitting and of variant scores; do not change it."""

from __future__ import annotations

import pytest

from cases.motif import MotifCase, motif_cohort
from varfx.expression.network.fit import FitConfig, fit_network
from varfx.expression.run import ExpressionRun
from varfx.models.expression import ExpressionNetworkConfig
from varfx.training.people.config import ExpressionTrainConfig


@pytest.fixture(scope="session")
def motif_fit(tmp_path_factory: pytest.TempPathFactory) -> tuple[MotifCase, ExpressionRun]:
    """One causal variant inside a motif, heritability 0.5, on the minus strand; a small network after six passes."""
    folder = tmp_path_factory.mktemp("motif")
    case = motif_cohort(folder, window=1024, seed=1, strand="-")
    network = ExpressionNetworkConfig(
        window=1024, width=48, depth=1, dropout=0, attention_dropout=0, position_dropout=0, norm="running"
    )
    training = ExpressionTrainConfig(epochs=6, learning_rate=1e-3, batch=32)
    return case, fit_network(case.path, folder / "RUN", FitConfig(network=network, training=training))
