"""What benchmarks share: a description of the machine, and the time and peak memory of a child process."""

from __future__ import annotations

import multiprocessing
import os
import platform
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_POLL_SECONDS = 0.05


def machine() -> dict[str, Any]:
    """Processor, cores this process may use, memory, system and Python version; no name of the machine."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def run_measured(task: Callable[[], object] | Sequence[str]) -> tuple[float, int]:
    """Wall-clock seconds and peak memory in bytes of a task in a child process of its own.

    Args:
        task: a command line, or a function without arguments that can be pickled; it runs in a fresh interpreter,
            whose start (about 0.1 s, and its imports) counts.

    The peak is the high-water mark of the child's resident memory, as the kernel keeps it; on Linux it is read while
    the child runs, elsewhere from `getrusage` of all children so far.

    Raises:
        RuntimeError: the child failed.
    """
    started = time.perf_counter()
    if callable(task):
        process = multiprocessing.get_context("spawn").Process(target=task)
        process.start()
        pid = process.pid
    else:
        command = subprocess.Popen(list(task))
        pid = command.pid
    assert pid is not None
    peak = _PeakMemory(pid)
    peak.start()
    if callable(task):
        process.join()
        code = process.exitcode
    else:
        code = command.wait()
    seconds = time.perf_counter() - started
    peak.join()
    if code:
        raise RuntimeError(f"the measured task ended with code {code}")
    return seconds, peak.bytes


class _PeakMemory(threading.Thread):
    """Reads a process's high-water mark until the process ends."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._status = Path(f"/proc/{pid}/status")
        self.bytes = 0

    def run(self) -> None:
        while (current := self._high_water()) is not None:
            self.bytes = max(self.bytes, current)
            time.sleep(_POLL_SECONDS)
        if not self.bytes:
            unit = 1 if sys.platform == "darwin" else 1024
            self.bytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit

    def _high_water(self) -> int | None:
        try:
            lines = self._status.read_text().splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
