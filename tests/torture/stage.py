"""Where the campaigns on commands play: inputs, the undisturbed result of each command, and checks of what is left."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from torture.children import Ended, in_child, modules_after, preload, start
from torture.commands import COMMANDS, Command, make_inputs, result_of


@dataclass
class Stage:
    """Folders of the campaigns, and what the commands give when nothing disturbs them."""

    root: Path
    only: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    results: dict[str, dict[str, str]] = field(default_factory=dict)
    space: dict[str, int] = field(default_factory=dict)
    """Bytes on disk that a command needs at most, where that was looked at."""
    unfit: dict[str, str] = field(default_factory=dict)
    """Commands that cannot be judged, and why."""

    @property
    def inputs(self) -> Path:
        """The inputs of all commands."""
        return self.root / "inputs"

    @property
    def folder(self) -> Path:
        """Where outputs are written: always the same, as some results hold its path."""
        return self.root / "out"

    @property
    def commands(self) -> list[Command]:
        """The chosen commands."""
        return [command for command in COMMANDS if self.only in command.name]

    def prepare(self) -> None:
        """Makes the inputs, if they are not there, imports what the commands import, and runs each undisturbed."""
        if not (self.inputs / "BASELINES").is_dir():
            shutil.rmtree(self.inputs, ignore_errors=True)
            made = self.root.parent / "samples" / "stores" / "inputs"  # by the campaign on readers
            if made.is_dir():
                shutil.copytree(made, self.inputs)
            else:
                in_child(make_inputs, self.inputs)
        for command in self.commands:
            try:
                self._rehearse(command)
            except RuntimeError as error:
                self.unfit[command.name] = str(error)

    def _rehearse(self, command: Command) -> None:
        """Runs a command twice undisturbed: the second time to the clock. Differences of the two would be found as faults.

        Raises:
            RuntimeError: it failed, or the results differ.
        """
        self.clear()
        preload(in_child(modules_after, command.line(self.inputs, self.folder)))
        first = in_child(result_of, self._output(command))
        self.clear()
        began = time.monotonic()
        ended = self.run(command.line(self.inputs, self.folder))
        if ended.status:
            raise RuntimeError(f"failed undisturbed: {ended.err}")
        self.seconds[command.name] = time.monotonic() - began
        self.results[command.name] = first
        if other := self._other(command):
            raise RuntimeError(f"two undisturbed runs: {other}")

    def clear(self) -> None:
        """Empties the folder of outputs."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def run(self, words: list[object]) -> Ended:
        """Runs a command to its end."""
        return start(words, self.root / "screen").wait()

    def _output(self, command: Command) -> Path:
        """Where the command's files are: its file or folder, or the folder of all its files."""
        return self.folder if command.prefix else self.folder / command.out

    def half_written(self, command: Command) -> str:
        """What is wrong with the output as an interruption left it: empty if it is absent, refused, or whole."""
        if command.prefix:  # several files, each of which is whole or absent
            there = {path.name for path in self.folder.iterdir() if path.name in (command.out, *command.beside)}
            return self._other(command, there)
        out = self.folder / command.out
        if not out.exists():
            return ""
        if command.name == "experiment":  # worked in under its own name: finished when its numbers are there
            return "" if not (out / "table.tsv").exists() else self._other(command)
        if self.run(["info", out]).status == 0:
            return self._other(command)
        return "" if out.is_dir() else "a single file that `info` refuses"

    def finished(self, command: Command) -> str:
        """What is wrong after the command was given again: empty if its result is the undisturbed one."""
        ended = self.run(command.again(self.inputs, self.folder))
        if ended.status == 2 and "finished" in ended.error and (self.folder / command.out).exists():
            pass  # the interruption came after the last rename
        elif ended.status:
            return f"again: status {ended.status}, {ended.error[:300]}"
        left = [path.name for path in self.folder.iterdir() if path.name not in (command.out, *command.beside)]
        if left:
            return f"left behind: {', '.join(left)}"
        return self._other(command)

    def _other(self, command: Command, among: Collection[str] | None = None) -> str:
        """The first files, of all or of those named, in which the result differs from the undisturbed one."""
        try:
            found = in_child(result_of, self._output(command))
        except RuntimeError as error:
            return f"unreadable: {error}"
        expected = self.results[command.name]
        names = sorted({*found, *expected} if among is None else among)
        other = [name for name in names if found.get(name) != expected.get(name)]
        return f"another result: {', '.join(other[:3])}" if other else ""
