"""Who starts a fit's processes: what torchrun and SLURM say is checked against what was asked for."""

from __future__ import annotations

import pytest
import torch
from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

from varfx.errors import ConfigError
from varfx.training.launch import device_here, join, launched

NAMES = ("TORCHELASTIC_RUN_ID", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "RANK", "LOCAL_RANK")
SLURM = {
    "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "2", "SLURM_PROCID": "3", "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1", "SLURM_JOB_NAME": "fit",
}  # fmt: skip
STEP = {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2"}


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, *SLURM, *STEP):
        monkeypatch.delenv(name, raising=False)


def torchrun(monkeypatch: pytest.MonkeyPatch, world: int, local: int) -> None:
    for name, value in zip(NAMES, ("run", world, local, 1, 1), strict=True):
        monkeypatch.setenv(name, str(value))


def test_alone() -> None:
    assert launched(1, 1) is None
    assert launched(8, 1) is None  # Lightning starts them
    join(2, 1, "cpu")
    assert not torch.distributed.is_initialized()


def test_several_machines_need_a_launcher() -> None:
    with pytest.raises(ConfigError, match=r"`num-nodes` is 2, but neither torchrun nor srun started this process"):
        launched(1, 2)


def test_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    torchrun(monkeypatch, 4, 2)
    found = launched(2, 2)
    assert isinstance(found, TorchElasticEnvironment)
    assert (found.world_size(), found.global_rank(), found.local_rank()) == (4, 1, 1)
    with pytest.raises(
        ConfigError,
        match=r"torchrun started 4 processes, 2 per machine, but .* is 1 x 1\. Give --devices 2 --num-nodes 2\.",
    ):
        launched(1, 1)
    torchrun(monkeypatch, 1, 1)
    assert launched(1, 1) is None


def test_srun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**SLURM, **STEP}.items():
        monkeypatch.setenv(name, value)
    found = launched(2, 2)
    assert isinstance(found, SLURMEnvironment)
    assert (found.world_size(), found.global_rank(), found.local_rank(), found.node_rank()) == (4, 3, 1, 1)
    with pytest.raises(
        ConfigError,
        match=r"srun started 4 processes, 2 per machine, but .* is 4 x 1\. Give --devices 2 --num-nodes 2\.",
    ):
        launched(4, 1)
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE")
    with pytest.raises(ConfigError, match=r"srun started 4 processes, but not evenly: .*--ntasks-per-node"):
        launched(2, 2)


def test_a_batch_script_is_one_process_whatever_its_allocation(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    assert launched(1, 1) is None
    assert launched(2, 1) is None
    for name, value in (STEP | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_NUM_NODES": "1"}).items():
        monkeypatch.setenv(name, value)  # one task of a job array
    assert launched(1, 1) is None


def test_the_device_of_a_process() -> None:
    assert device_here("cpu") == torch.device("cpu")
