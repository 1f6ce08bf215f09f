"""Several processes that train one prior: the caller's is rank 0, the others are started here and end with it.

A worker is a fresh Python that gets its job through a pipe, so that nothing of the caller's script is run again and nothing
is written to disk. It ends when the pipe closes, whatever happened to the caller.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
from lightning.fabric.plugins.environments import ClusterEnvironment
from torch import Tensor, distributed

from varfx.errors import ConfigError, DataError, VarfxError

T = TypeVar("T")
TIMEOUT = timedelta(minutes=30)  # of one exchange: the slowest validation pass must be shorter
ERROR = "error: "  # begins the line by which a worker says what was wrong
_WORKER = "from varfx.training.ranks import work; work()"


def rank() -> int:
    """The number of this process; 0 where there is one only."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def all_reduce(values: Tensor) -> None:
    """Sums a tensor over the processes, in place."""
    if distributed.is_initialized():
        distributed.all_reduce(values)


def gathered(values: Sequence[float], device: torch.device | str = "cpu") -> list[list[float]]:
    """The numbers of all processes, in their order: the same in each of them."""
    if not distributed.is_initialized():
        return [list(values)]
    mine = torch.tensor(values, dtype=torch.float64, device=device)
    parts = [torch.empty_like(mine) for _ in range(world())]
    distributed.all_gather(parts, mine)
    return [part.tolist() for part in parts]


def of_first(value: T) -> T:
    """What the first process has, in all of them."""
    if not distributed.is_initialized():
        return value
    shared = [value]
    distributed.broadcast_object_list(shared, src=0)
    return shared[0]


def accelerator(devices: int) -> str:
    """ "cuda" where there are GPUs, else "cpu".

    Raises:
        ConfigError: there are GPUs, but fewer.
    """
    if not torch.cuda.is_available():
        return "cpu"
    if torch.cuda.device_count() < devices:
        raise ConfigError(f"`devices` is {devices}, but this machine has {torch.cuda.device_count()} GPUs.")
    return "cuda"


class Ranks(ClusterEnvironment):
    """What Lightning asks about the processes of one machine; it does not start any itself."""

    creates_processes_externally = True
    main_address = "127.0.0.1"
    main_port = 0

    @staticmethod
    def detect() -> bool:
        """Never found by itself."""
        return False

    def world_size(self) -> int:
        """How many processes there are."""
        return world()

    def set_world_size(self, size: int) -> None:
        """Nothing: it is known."""

    def global_rank(self) -> int:
        """The number of this process."""
        return rank()

    def set_global_rank(self, rank: int) -> None:
        """Nothing: it is known."""

    def local_rank(self) -> int:
        """The same: all are on one machine."""
        return rank()

    def node_rank(self) -> int:
        """The only machine."""
        return 0


@contextlib.contextmanager
def together(call: Callable[..., object], arguments: tuple[Any, ...], devices: int) -> Iterator[None]:
    """Inside it, this process is rank 0 of `devices`; the others run `call(*arguments)`, and are gone afterwards.

    Args:
        call: a function of a module, which does the same exchanges as the caller.
        arguments: can be pickled.
        devices: processes in all; with 1 nothing happens.

    Raises:
        DataError: what a worker said was wrong.
    """
    if devices == 1:
        yield
        return
    where = accelerator(devices)
    threads = torch.get_num_threads()
    share = max(1, threads // devices) if where == "cpu" else threads
    store = _store(0, devices, is_master=True)
    words = [str(devices), str(store.port), where, str(share)]
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(number), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True,
        )
        for number in range(1, devices)
    ]  # fmt: skip
    try:
        job = pickle.dumps((call, arguments))
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write(job)
            worker.stdin.flush()
        for number, worker in enumerate(workers, 1):
            while not store.check([f"ready.{number}"]):
                if worker.poll() is not None:
                    raise RuntimeError(f"process {number} ended with {worker.returncode}")
                time.sleep(0.01)
        torch.set_num_threads(share)
        _join(store, 0, devices, where)
        yield
        for worker in workers:
            worker.wait(TIMEOUT.total_seconds())
    except (RuntimeError, BrokenPipeError) as error:
        said = _said(workers)
        if said:
            raise DataError(said) from error
        raise
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
        if distributed.is_initialized():
            distributed.destroy_process_group()
        torch.set_num_threads(threads)


def _said(workers: Sequence[subprocess.Popen[bytes]]) -> str | None:
    """The error that a worker ended with."""
    for worker in workers:
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.wait(1)
        if worker.returncode and worker.stdout is not None:
            for line in worker.stdout.read().decode(errors="replace").splitlines():
                if line.startswith(ERROR):
                    return line.removeprefix(ERROR)
    return None


def work() -> None:
    """A worker's life: reads its job, joins the others, does it."""
    number, devices, port = (int(word) for word in sys.argv[1:4])
    where, threads = sys.argv[4], int(sys.argv[5])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller, who ends the workers
    logging.disable(logging.WARNING)  # the caller says it once
    torch.set_num_threads(threads)
    try:
        call, arguments = pickle.load(sys.stdin.buffer)  # from the process that started this one, through its own pipe
    except EOFError:
        return  # it ended first
    threading.Thread(target=_end_with_caller, daemon=True).start()
    store = _store(port, devices, is_master=False)
    store.set(f"ready.{number}", "1")
    try:
        _join(store, number, devices, where)
        call(*arguments)
    except VarfxError as error:
        os.write(sys.stdout.fileno(), f"\n{ERROR}{error}\n".encode())  # the caller reads it
        os._exit(2)
    distributed.destroy_process_group()


def _store(port: int, devices: int, *, is_master: bool) -> distributed.TCPStore:
    """Where the processes leave each other notes; port 0 is any that is free."""
    return distributed.TCPStore(  # type: ignore[attr-defined]
        "127.0.0.1", port, devices, is_master=is_master, wait_for_workers=False, timeout=TIMEOUT
    )


def _join(store: distributed.Store, number: int, devices: int, where: str) -> None:
    """Meets the other processes."""
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # a host's name need not resolve
    if where == "cuda":
        torch.cuda.set_device(number)
    distributed.init_process_group(
        "nccl" if where == "cuda" else "gloo", store=store, rank=number, world_size=devices, timeout=TIMEOUT
    )


def _end_with_caller() -> None:
    """Waits for the end of the pipe."""
    sys.stdin.buffer.read()
    os._exit(1)
