"""Commands on a disk that becomes full: a tmpfs of so many pages, each number once up to what the command needs, in random order."""

from __future__ import annotations

import os
import random
import subprocess
import time

from torture.children import start
from torture.commands import Command
from torture.stage import Stage
from torture.tally import Tally

PAGE = 4096
ENOUGH = 256 << 20


def may_mount(stage: Stage) -> bool:
    """Whether this process may mount a tmpfs (root, or root of a namespace: `unshare -rm make torture`)."""
    stage.folder.mkdir(parents=True, exist_ok=True)
    done = _mount(stage, PAGE)
    _unmount(stage)
    return done


def fill(stage: Stage, command: Command, seeds: range, tally: Tally, until: float) -> None:
    """Runs the command with too little space once per seed; given again with enough, it must end with the undisturbed result."""
    if seeds and command.name not in stage.space:
        stage.space[command.name] = _needed(stage, command)
    for seed in seeds:
        if time.monotonic() > until:
            return
        sizes = list(range(1, stage.space[command.name] // PAGE + 1))
        random.Random(f"{command.name}:full").shuffle(sizes)
        pages = sizes[seed % len(sizes)]
        _mount(stage, pages * PAGE)
        try:
            wrong = _told(stage, command)
            verdict = "equal" if wrong != "enough" else "enough space"
            wrong = "" if wrong == "enough" else wrong
            wrong = wrong or stage.half_written(command)
            if not wrong:
                subprocess.run(["mount", "-o", f"remount,size={ENOUGH}", stage.folder], check=True)
                wrong = stage.finished(command)
        finally:
            _unmount(stage)
        tally.note(seed, wrong.partition(":")[0] or verdict, f"{pages} pages: {wrong}", good=not wrong)


def _told(stage: Stage, command: Command) -> str:
    """Runs the command; what is wrong with how it says that the disk is full, or "enough" if it is not."""
    ended = start(command.line(stage.inputs, stage.folder), stage.root / "screen").wait()
    if ended.status == 0:
        return "enough"
    if ended.status != 2 or not ended.is_one_line:
        return f"status {ended.status}: {ended.err[-300:]}"
    return "" if "the disk is full" in ended.error else f"another reason: {ended.error[:300]}"


def _needed(stage: Stage, command: Command) -> int:
    """Bytes that the command uses at most while it runs, by looking often."""
    _mount(stage, ENOUGH)
    try:
        child, most = start(command.line(stage.inputs, stage.folder), stage.root / "screen"), 0
        while True:
            space = os.statvfs(stage.folder)
            most = max(most, (space.f_blocks - space.f_bfree) * space.f_frsize)
            pid, _ = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                return most
            time.sleep(0.001)
    finally:
        _unmount(stage)


def _mount(stage: Stage, size: int) -> bool:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "torture", stage.folder], check=False, capture_output=True
    )
    return done.returncode == 0


def _unmount(stage: Stage) -> None:
    subprocess.run(["umount", stage.folder], check=False, capture_output=True)
