"""Two "nodes" that torchrun joins over the loopback address train as one process, priors and expression."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cases import two_nodes
from cases.cohort import small_cohort
from cases.command_line import logging_as_before
from cases.forked import Forked, run_forked
from cases.people import assert_close
from cases.simulated_panel import Simulated
from varfx.cli.app import run
from varfx.expression.run import PREDICTION_SCHEMA
from varfx.expression.run import open_run as open_network_run
from varfx.prior import open_run

TESTS = Path(two_nodes.__file__).parents[1]


def start(node: int, port: int, words: list[str], folder: Path) -> Forked:
    """torchrun, in a process that has imported torch already; what it starts is of this test alone."""
    command = [
        "--nnodes", "2", "--node-rank", str(node), "--nproc-per-node", "1",
        "--master-addr", "127.0.0.1", "--master-port", str(port), two_nodes.__file__, *words,
    ]  # fmt: skip
    path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return run_forked(
        two_nodes.torchrun, command, folder=folder, PYTHONPATH=path, GLOO_SOCKET_IFNAME="lo", OMP_NUM_THREADS="1"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="the loopback interface has another name")
def test_two_nodes_are_one_process(simulated: Simulated, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cohort = small_cohort(tmp_path, window=256, people=20)
    data = [str(each) for each in (simulated.panel, simulated.weight, simulated.annot)]
    together, alone = tmp_path / "together", tmp_path / "alone"
    together.mkdir()
    alone.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [str(together), *data, str(cohort)]
    nodes = [start(node, port, words, tmp_path / f"node{node}") for node in range(2)]
    with logging_as_before():
        assert run([*two_nodes.prior_words(*data), "--out", str(alone / "prior")]) == 0
        network = two_nodes.in_float64(alone, 1)
        assert run([*two_nodes.network_words(str(cohort)), "--out", str(alone / "network")]) == 0
    told = [node.communicate() for node in nodes]
    assert [node.poll() for node in nodes] == [0, 0], told
    capsys.readouterr()

    one, two = (open_run(folder / "prior") for folder in (alone, together))
    assert_close(two.model, one.model)
    assert two.record["outcome"] == one.record["outcome"]
    for each, other in zip(two.record["traits"], one.record["traits"], strict=True):
        assert each["sigma2_null"] == pytest.approx(other["sigma2_null"], rel=1e-6)
    for rank in range(2):
        copy = two_nodes.small_network().double()
        copy.load_state_dict(torch.load(together / f"{rank}.pt", weights_only=True))
        assert_close(copy, network)
    one_network, two_network = (open_network_run(folder / "network") for folder in (alone, together))
    key = [name for name in PREDICTION_SCHEMA if name != "prediction"]
    assert two_network.predictions.select(key).equals(one_network.predictions.select(key))
    values = [each.predictions["prediction"].to_numpy() for each in (one_network, two_network)]
    np.testing.assert_allclose(values[1], values[0], rtol=0, atol=1e-3 * np.abs(values[0]).max())  # float32

    # The first process alone speaks: two results, one error.
    assert told[0][0].count("sigma2 (null)") == told[0][0].count("best pass") == 1
    assert [line for line in told[0][1].splitlines() if line.startswith("error: ")] == [
        line for line in told[0][1].splitlines() if "holds a finished run" in line
    ]
    assert "error: " not in told[1][1]
    assert "sigma2 (null)" not in told[1][0]
