"""Launcher of a fit's processes: torchrun or srun on one or more machines, else Lightning on this one.

Under torchrun and srun every process runs the whole command; `join` connects them, and only the first writes. Otherwise the
caller's process starts the others for the training alone (Lightning's DDP strategy with its `spawn` launcher).
"""

from __future__ import annotations

import atexit
import logging
import os
from datetime import timedelta

import torch
from lightning.fabric.plugins.environments import ClusterEnvironment, SLURMEnvironment, TorchElasticEnvironment
from torch import distributed

from varfx.device import check_several, find_device
from varfx.errors import ConfigError

TIMEOUT = timedelta(days=1)  # of one exchange; the launcher ends the survivors of a process that died
HELP = "docs/multi-node.md shows both"


def launched(devices: int, num_nodes: int) -> ClusterEnvironment | None:
    """The environment of the processes that torchrun or srun started; None where this process starts the others, or is alone.

    Args:
        devices: processes per machine.
        num_nodes: machines.

    Raises:
        ConfigError: another number of processes was started than asked for, or nobody started those of several machines.
    """
    wanted = devices * num_nodes
    if TorchElasticEnvironment.detect():
        started = int(os.environ["WORLD_SIZE"])
        _check_number("torchrun", started, int(os.environ.get("LOCAL_WORLD_SIZE", started)), devices, num_nodes)
        return TorchElasticEnvironment() if wanted > 1 else None
    # A batch script sees the numbers of its allocation too, but is one process; only srun sets the number of a step.
    started = int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) if "SLURM_STEP_ID" in os.environ else 1
    if started > 1:
        nodes = int(os.environ.get("SLURM_STEP_NUM_NODES", os.environ.get("SLURM_NNODES", 1)))
        _check_number("srun", started, started // nodes, devices, num_nodes)
        try:
            return SLURMEnvironment(auto_requeue=False)
        except RuntimeError as error:  # a variable that srun sets only with --ntasks-per-node
            raise ConfigError(f"srun started {started} processes, but not evenly: {error}") from error
    if num_nodes > 1:
        raise ConfigError(
            f"`num-nodes` is {num_nodes}, but neither torchrun nor srun started this process. Start the command on every machine "
            f"with one of them; {HELP}."
        )
    return None


def _check_number(program: str, started: int, local: int, devices: int, num_nodes: int) -> None:
    nodes = started // local
    if (local, nodes) != (devices, num_nodes):
        raise ConfigError(
            f"{program} started {started} processes, {local} per machine, but `devices` x `num-nodes` is {devices} x {num_nodes}. "
            f"Give --devices {local} --num-nodes {nodes}."
        )


def join(devices: int, num_nodes: int, device: str = "auto") -> None:
    """Connects the processes that torchrun or srun started, for the rest of their lives; does nothing for others.

    Args:
        devices: processes per machine.
        num_nodes: machines.
        device: of each process, by name.

    Raises:
        ConfigError: as `launched`; fewer GPUs than processes.
    """
    environment = launched(devices, num_nodes)
    check_several(device, devices)
    if environment is None or distributed.is_initialized():
        return
    here = find_device(device)
    if here.type == "cuda":
        torch.cuda.set_device(environment.local_rank() if devices > 1 else here)
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = environment.main_address, str(environment.main_port)
    distributed.init_process_group(
        "nccl" if here.type == "cuda" else "gloo",
        rank=environment.global_rank(),
        world_size=environment.world_size(),
        timeout=TIMEOUT,
    )
    atexit.register(_leave)
    if environment.global_rank():
        logging.disable(logging.WARNING)  # the first process says it once


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def device_here(name: str) -> torch.device:
    """The device of this process; after `join`, of several GPUs the one of its number on its machine."""
    found = find_device(name)
    if found.type == "cuda" and distributed.is_initialized():
        return torch.device("cuda", torch.cuda.current_device())
    return found
