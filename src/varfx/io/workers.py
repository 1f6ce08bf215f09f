"""Independent tasks over processes, one thread of linear algebra in each, so that results do not depend on their number."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from varfx.errors import VarfxError

Task = TypeVar("Task")
Result = TypeVar("Result")


def num_workers(asked: int | None, tasks: int) -> int:
    """How many processes: as asked, by default one a core; never more than tasks."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(asked or cores, tasks))


def map_tasks(
    function: Callable[[Any, Task], Result],
    tasks: Sequence[Task],
    start: Callable[..., Any],
    arguments: tuple[Any, ...],
    workers: int,
) -> Iterator[Result]:
    """`function(state, task)` of each task, as they finish; `state = start(*arguments)`, once a process.

    Raises:
        VarfxError: a process ended by itself (out of memory); and what `function` raises.
    """
    if workers <= 1 or len(tasks) <= 1:
        with threadpool_limits(1):
            state = start(*arguments)
            for task in tasks:
                yield function(state, task)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(start, arguments)) as pool:
        try:
            # Workers inherit the block, so that Ctrl-C waits until they can end without a traceback.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                futures = [pool.submit(_work, function, task) for task in tasks]
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise VarfxError(
                "a worker process ended by itself. If memory ran short, use fewer --workers and go on with --resume; a "
                'script must call this under `if __name__ == "__main__":`.'
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_STATE: Any = None  # of this worker process


def _begin(start: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    global _STATE
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it at once and without a word: the parent tells
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _STATE = start(*arguments)
    threadpool_limits(1)


def _end_with_parent() -> None:
    """Ends this process when its parent is gone, killed or not."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(function: Callable[[Any, Task], Result], task: Task) -> Result:
    return function(_STATE, task)
