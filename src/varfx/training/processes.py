"""Communication between the processes of one fit: their number, sums, errors. A single process is a group of one.

An error of ours in one process is raised in all of them, so that none waits for it; only the first process then says it. A process
that dies takes the others along: Lightning's launcher, torchrun or srun ends them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from varfx.errors import VarfxError
from varfx.io.output_lock import held_output

T = TypeVar("T")


def rank() -> int:
    """The number of this process; 0 where there is one only."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world() -> int:
    """Number of processes of the fit."""
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


def gathered_objects(value: T) -> list[T]:
    """A picklable value of each process, in their order: the same list in each of them."""
    if not distributed.is_initialized():
        return [value]
    parts: list[Any] = [None] * world()
    distributed.all_gather_object(parts, value)
    return parts


def of_first(value: T) -> T:
    """The first process's value, in all of them."""
    if not distributed.is_initialized():
        return value
    shared = [value]
    distributed.broadcast_object_list(shared, src=0)
    return shared[0]


def raise_together(error: VarfxError | None) -> None:
    """Raises the first process's error that has one, in all processes.

    Args:
        error: of this process.
    """
    found = next((each for each in gathered_objects(error) if each is not None), None)
    if found is not None:
        found.said = rank() > 0
        raise found


@contextlib.contextmanager
def in_step() -> Iterator[None]:
    """An error of ours inside it, in any process, is raised in all processes at its end. No exchange may happen inside."""
    error = None
    try:
        yield
    except VarfxError as raised:
        if world() == 1:
            raise
        error = raised
    raise_together(error)


def first_does(task: Callable[[], T]) -> T | None:
    """Runs `task` in the first process, whose value it returns there, and None elsewhere. The others wait.

    Raises:
        VarfxError: the task's, in all processes.
    """
    value = None
    with in_step():
        if rank() == 0:
            value = task()
    return value


@contextlib.contextmanager
def first_holds(out: str | os.PathLike[str]) -> Iterator[None]:
    """A block during which the first process holds the lock of an output, for all of them.

    Raises:
        StoreError: another command writes it, in all processes.
    """
    with contextlib.ExitStack() as held:
        first_does(lambda: held.enter_context(held_output(out)))
        yield
