"""The folder that a long command fills: checked, begun with an identity, resumed, finished by one rename, opened.

    OUT.building/identity.json    options and checksums of the inputs
    OUT.building/...              checkpoints and parts of the unfinished work
    OUT.building/result/          becomes OUT, sealed, when it is whole

A command that is killed at any moment leaves either OUT as it was and an `OUT.building` with which the same command goes
on, or the new OUT. A finished OUT is replaced only on request, and only by a whole one.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from varfx.errors import ConfigError, StoreError
from varfx.io import sealed, sealed_folder
from varfx.io.recognise import seems

IDENTITY = "identity.json"
RESULT = "result"
SCRATCH = "scratch"  # below `building`: files whose loss costs no work
_EARLIER_VERSION = ("begun.json", "build.json")  # marked unfinished work before there was `identity.json`


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """A command's output folder, finished or not."""

    out: Path
    """Its name when it is finished."""
    holds: str
    """Its name in messages, e.g. run or panel."""
    record: str
    """A file of every finished folder of this kind, by which it differs from other sealed folders."""
    made_by: str
    """The command that makes it, e.g. varfx prior fit."""
    resume_option: bool = True
    """Whether an unfinished one goes on only with --resume; else the same command suffices."""

    @property
    def building(self) -> Path:
        """The folder of unfinished work."""
        place = sealed.place_of(self.out)
        return place.with_name(place.name + ".building")

    @property
    def result(self) -> Path:
        """The part of `building` that becomes `out`."""
        return self.building / RESULT

    @property
    def scratch(self) -> Path:
        """The part of `building` whose loss costs no work; not made by `begin`."""
        return self.building / SCRATCH

    def check(
        self, *, resume: bool = False, overwrite: bool = False, identity: Mapping[str, Any] | None = None
    ) -> None:
        """Checks that the command may begin or go on; changes nothing.

        Args:
            resume: unfinished work goes on.
            overwrite: a finished folder is replaced, and unfinished work of other options dropped.
            identity: what `begin` will be given, or its `config` alone, to refuse other options at once.

        Raises:
            StoreError: finished work or something else would be lost, or the folder cannot be written.
        """
        check_parent(self.out)
        sealed.refuse_special(self.out)
        self._check_out(identity, overwrite=overwrite)
        if self.building.exists():
            earlier = self._earlier()
            if not resume and not overwrite and self._started():
                raise StoreError(
                    f"`{self.out}` holds an unfinished {self.holds}. Go on with --resume, or start anew with --overwrite."
                )
            other = "" if identity is None or overwrite or not resume else _difference(earlier, _plain(identity))
            if other:
                raise StoreError(
                    f"`{self.building}` was begun with other options or inputs ({other}), so it cannot be resumed. Repeat the "
                    "earlier command, or start anew with --overwrite."
                )

    def begin(self, identity: Mapping[str, Any], *, resume: bool = False, overwrite: bool = False) -> bool:
        """Whether unfinished work goes on; `building` and `result` are there afterwards.

        Args:
            identity: `config` and `inputs`, JSON-able; equal to those of the unfinished work if it is to go on.
            resume: unfinished work goes on.
            overwrite: a finished folder is replaced at the end, and unfinished work dropped if it does not go on.

        Raises:
            StoreError: see `check`; the disk is full.
        """
        self.check(resume=resume, overwrite=overwrite, identity=identity)
        identity = _plain(identity)
        with self._writing():
            self._sweep()
            if resume and self.building.exists() and self._earlier() == identity:
                for stale in self.building.rglob(".*.partial"):
                    sealed.remove(stale)
                self.result.mkdir(exist_ok=True)
                return True
            self.discard()
            with sealed.atomic_path(self.building) as partial:
                (partial / RESULT).mkdir(parents=True)
                sealed.write_json(partial / IDENTITY, identity)
        return False

    def below(self, *names: str) -> Path:
        """A folder below `building`, made if it is not there.

        Raises:
            StoreError: the disk is full.
        """
        folder = self.building.joinpath(*names)
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """A block after whose failure `building` is removed, unless it holds work that a later command can use."""
        try:
            yield
        except BaseException:
            if not self._started():
                self.discard()
            raise

    def finish(self) -> None:
        """Seals `result` and moves it to `out`, in place of an earlier one; the rest of `building` is removed.

        Raises:
            StoreError: the disk is full, or writing is not allowed; the unfinished work is kept.
        """
        with self._writing():
            for stale in self.result.rglob(".*.partial"):
                sealed.remove(stale)
            sealed.write_json(self.result / IDENTITY, sealed.read_json(self.building / IDENTITY))
            sealed_folder.seal_directory(self.result)
            place = sealed.place_of(self.out)
            if place.exists():
                place.rename(self._stale())
            self.result.rename(place)
            self.discard()
            self._sweep()

    def discard(self) -> None:
        """Removes unfinished work, first under its name, so that a part of it is never taken for the whole."""
        if self.building.exists():
            stale = self._stale()
            self.building.rename(stale)
            sealed.remove(stale)

    def open(self) -> dict[str, tuple[int, str]]:
        """The manifest of a finished folder; its files are not checked yet.

        Raises:
            StoreError: there is none, it is unfinished, of another kind, damaged, or of a newer version.
        """
        if not self.out.is_dir():
            if self._earlier():
                raise StoreError(
                    f"`{self.out}` is an unfinished {self.holds}. Finish it with the same command{self._and_resume}."
                )
            if self.out.exists():
                raise StoreError(
                    f"`{self.out}` seems to be {seems(self.out)}, but a {self.holds} is a folder. Give a {self.holds} made by "
                    f"`{self.made_by}`."
                )
            raise StoreError(f"`{self.out}` does not exist. Give a {self.holds} made by `{self.made_by}`.")
        if not (self.out / sealed.MANIFEST).is_file():
            raise StoreError(
                f"`{self.out}` has no {sealed.MANIFEST}: it is unfinished, or not written by varfx. Give a {self.holds} made by "
                f"`{self.made_by}`."
            )
        manifest = sealed_folder.read_manifest(self.out)
        if self.record not in manifest:
            raise StoreError(
                f"`{self.out}` is no {self.holds}: it has no {self.record}, and seems to be {seems(self.out)}. Give a {self.holds} "
                f"made by `{self.made_by}`."
            )
        if IDENTITY in manifest:
            sealed_folder.check_file(self.out, IDENTITY, manifest[IDENTITY])
        return manifest

    # ---- parts -----------------------------------------------------------------------------------------------------

    @property
    def _and_resume(self) -> str:
        return " and --resume" if self.resume_option else ""

    def _check_out(self, identity: Mapping[str, Any] | None, *, overwrite: bool) -> None:
        out = self.out
        if not out.exists() or (out.is_dir() and not any(out.iterdir())):
            return
        if (out / sealed.MANIFEST).is_file() and (out / self.record).is_file():
            if not overwrite:
                raise StoreError(
                    f"`{out}` holds a finished {self.holds}. Choose another --out, or replace it with --overwrite."
                    f"{self._compared(identity)}"
                )
        elif out.is_dir() and any((out / name).is_file() for name in _EARLIER_VERSION):
            if not overwrite:
                raise StoreError(
                    f"`{out}` holds an unfinished {self.holds} of an earlier version of varfx, which cannot go on. Start "
                    "anew with --overwrite."
                )
        else:
            raise StoreError(f"`{out}` exists and is no {self.holds}. Choose another --out.")

    def _compared(self, identity: Mapping[str, Any] | None) -> str:
        """A sentence on how a finished folder compares with what is asked for."""
        path = self.out / IDENTITY
        if identity is None or not path.is_file():
            return ""
        other = _difference(sealed.read_json(path), _plain(identity))
        inputs = " and inputs" if "inputs" in identity else ""
        return (
            f" It was made with other options or inputs ({other})." if other else f" It has the same options{inputs}."
        )

    def _earlier(self) -> dict[str, Any]:
        """Identity of the unfinished work; empty if there is none.

        Raises:
            StoreError: `building` is something else.
        """
        if not self.building.exists():
            return {}
        if any((self.building / name).is_file() for name in _EARLIER_VERSION):
            return {"version": "earlier"}
        try:
            identity: dict[str, Any] = json.loads((self.building / IDENTITY).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(
                f"`{self.building}` is no unfinished {self.holds} of varfx, or damaged. Move it away, or choose another --out."
            ) from error
        return identity

    def _started(self) -> bool:
        """Whether `building` holds work that would be lost."""
        for folder, names, files in os.walk(self.building):
            if Path(folder) == self.building:
                names[:] = [name for name in names if name != SCRATCH]
                files = [name for name in files if name != IDENTITY]
            if any(not name.startswith(".") for name in files):
                return True
        return False

    def _stale(self) -> Path:
        place = sealed.place_of(self.out)
        return place.with_name(f".{place.name}.{uuid.uuid4().hex[:8]}.stale")

    def _sweep(self) -> None:
        """Removes what an interrupted `finish` or `begin` left, once nothing in it is needed."""
        place = sealed.place_of(self.out)
        name = glob.escape(place.name)
        for pattern in (f".{name}.????????.stale", f".{name}.building.????????.partial"):
            for left in place.parent.glob(pattern):
                sealed.remove(left)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            reason = sealed.reason(error)
            kept = f" What is finished is kept in `{self.building}`:" if self.building.exists() else ""
            raise StoreError(
                f"`{self.out}` was not written: {reason}.{kept} Mend this and give the same command again"
                f"{self._and_resume if kept else ''}."
            ) from error


def identity_of(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Options and checksums of the inputs from `sealed.provenance`: what unfinished work must have been begun with."""
    checksums = {name: entry["sha256"] for name, entry in provenance["inputs"].items()}
    return {"config": provenance["config"], "inputs": checksums}


def check_parent(out: Path) -> None:
    """Checks that something may be written beside `out`; no folder is made above it.

    Raises:
        StoreError: the folder does not exist, or gives no permission.
    """
    parent = sealed.place_of(out).parent
    if parent.exists() and not parent.is_dir():
        raise StoreError(f"`{out}` cannot be written: `{parent}` is no folder. Choose another --out.")
    if not parent.is_dir():
        raise StoreError(f"`{out}` cannot be written: the folder `{parent}` does not exist. Create it first.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise StoreError(
            f"`{out}` cannot be written: the folder `{parent}` gives you no permission. Choose another --out."
        )


def check_file(out: Path) -> None:
    """Checks that a file may be written as `out`.

    Raises:
        StoreError: there is a folder or device of that name, or see `check_parent`.
    """
    if out.is_dir():
        raise StoreError(f"`{out}` cannot be written: there is a folder of that name. Choose another --out.")
    sealed.refuse_special(out)
    check_parent(out)


def check_folder(out: Path) -> None:
    """Checks that files may be written into a folder `out`, made when needed.

    Raises:
        StoreError: there is a file of that name, or see `check_parent`.
    """
    if out.exists() and not out.is_dir():
        raise StoreError(f"`{out}` cannot be a folder: there is a file of that name. Choose another name.")
    check_parent(out)


def check_parquet(out: Path) -> None:
    """Checks that a Parquet table may be written as `out`.

    Raises:
        ConfigError: its name says text.
        StoreError: see `check_file`.
    """
    if out.suffix in (".tsv", ".csv", ".txt", ".gz"):
        raise ConfigError(f"`{out}` would be Parquet, not text: name it .parquet.")
    check_file(out)


def check_text(out: Path) -> None:
    """Checks that a table of tab-separated text may be written as `out`.

    Raises:
        ConfigError: its name says Parquet.
        StoreError: see `check_file`.
    """
    if out.name.endswith((".parquet", ".parquet.gz")):
        raise ConfigError(f"`{out}` would be text in columns, not Parquet: name it .tsv or .tsv.gz.")
    check_file(out)


def _plain(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The same after a round through JSON: tuples are lists."""
    plain: dict[str, Any] = json.loads(json.dumps(identity))
    return plain


def _difference(earlier: Mapping[str, Any], identity: Mapping[str, Any]) -> str:
    """The first difference in what `identity` has, in words; empty if there is none."""
    if not earlier.keys() >= identity.keys():
        return "another version of varfx"
    before, now = (each.get("inputs", {}) if "inputs" in identity else {} for each in (earlier, identity))
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            return f"input {name}"
    before, now = _leaves(earlier["config"]), _leaves(identity["config"])
    for name in [*now, *before]:
        if before.get(name) != now.get(name):
            option, values = name.rpartition(".")[2].replace("_", "-"), (before.get(name), now.get(name))
            if any(isinstance(value, list) for value in values):
                return f"option {option}"
            return f"{option} was {values[0]}, now {values[1]}"
    return ""


def _leaves(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Options without groups, by their dotted names."""
    found: dict[str, Any] = {}
    for name, value in options.items():
        found |= _leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found
