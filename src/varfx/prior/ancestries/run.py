"""The run of a fit to several ancestries: a folder with a run per ancestry, each of which every command takes.

RUN/run.json, history.csv, options.yaml     the fit
RUN/EUR/run.json, model.safetensors, ...    the prior of one ancestry: the shared network, its own scale, alpha and sigma2
"""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from varfx.annotations import Standardiser
from varfx.errors import ConfigError
from varfx.io import sealed, sealed_folder
from varfx.io.run_folder import IDENTITY, RunFolder
from varfx.models import VariancePrior
from varfx.prior.run import ANCESTRIES, HISTORY, RECORD, Run, folder_of, open_run, run_folder, write_files
from varfx.short_repr import short_repr

PathLike = str | os.PathLike[str]
ANCESTRY = "ancestry"  # in the record of a member: its name


@dataclass(frozen=True, eq=False)
class AncestryRun:
    """A prior fitted to several ancestries.

    Attributes:
        path: the folder.
        members: each ancestry's prior, by its name.
        record: of the fit: `traits` (an entry per ancestry), `ancestries` (panel, summary statistics, annotations, split of each),
            `config`, `outcome`, `provenance`.
    """

    __repr__ = short_repr

    path: Path
    members: dict[str, Run]
    record: dict[str, Any]


def write_ancestries(
    folder: RunFolder, prior: VariancePrior, standardiser: Standardiser | None, record: dict[str, Any]
) -> AncestryRun:
    """The run of a fit begun in this folder, whose `result` it completes.

    Args:
        folder: of the fit.
        prior: with one output, and a scale, alpha and sigma2 per ancestry.
        standardiser: of the features, for all ancestries.
        record: see `AncestryRun`.
    """
    members = {}
    for number, name in enumerate(record[ANCESTRIES]):
        root = folder.result / name
        root.mkdir(exist_ok=True)
        own = write_files(root, _alone(prior, number), standardiser, _record_of(record, name, number))
        shutil.copyfile(folder.result / HISTORY, root / HISTORY)
        shutil.copyfile(folder.building / IDENTITY, root / IDENTITY)
        sealed_folder.seal_directory(root)
        members[name] = replace(own, path=folder.out / name)
    record = {"format_version": sealed.FORMAT_VERSION, **record}
    sealed.write_json(folder.result / RECORD, record)
    folder.finish()
    return AncestryRun(folder.out, members, record)


def open_ancestries(run: PathLike | Run | AncestryRun) -> AncestryRun:
    """Opens the run of several ancestries and checks every file of it.

    Raises:
        StoreError: no run, unfinished, damaged, or of a newer version.
        ConfigError: a run of one panel.
    """
    if isinstance(run, AncestryRun):
        return run
    if isinstance(run, Run) or not has_ancestries(run):
        raise ConfigError(
            f"`{folder_of(run)}` is the run of one panel. Give a run of several, fitted with --panel NAME=PANEL."
        )
    root = Path(run)
    sealed_folder.check_directory(root)
    record = sealed.read_json(root / RECORD)
    return AncestryRun(root, {name: open_run(root / name) for name in record[ANCESTRIES]}, record)


def has_ancestries(run: PathLike | Run | AncestryRun) -> bool:
    """Whether a folder is the finished run of a fit to several ancestries.

    Raises:
        StoreError: no run, unfinished, damaged, or of a newer version.
    """
    if isinstance(run, Run | AncestryRun):
        return isinstance(run, AncestryRun)
    folder = run_folder(run)
    manifest = folder.open()
    sealed_folder.check_file(folder.out, RECORD, manifest[RECORD])
    return ANCESTRIES in sealed.read_json(folder.out / RECORD)


def members_of(run: PathLike | Run | AncestryRun) -> list[Run]:
    """The run of one panel, or those of all ancestries."""
    if isinstance(run, Run):
        return [run]
    return list(open_ancestries(run).members.values()) if has_ancestries(run) else [open_run(run)]


def require_no_files(joint: AncestryRun, given: Mapping[str, Path]) -> None:
    """Checks that no files are given in place of those of a run of several ancestries.

    Args:
        joint: the run.
        given: files by role, as in `PriorInputs.named`.

    Raises:
        ConfigError: some are given, which could be of any ancestry.
    """
    if given:
        role = next(iter(given)).partition(".")[0]
        names = list(joint.members)
        raise ConfigError(
            f"`--{role}` is of one ancestry, and `{joint.path}` is the run of {', '.join(names)}. Give the run of one: "
            f"{joint.path / names[0]}."
        )


def _alone(prior: VariancePrior, number: int) -> VariancePrior:
    """The prior of one ancestry: the same network, with one scale, alpha and sigma2."""
    own = copy.deepcopy(prior).cpu()
    for name in ("scale", "alpha", "log_sigma2"):
        value = getattr(own, name).detach()[number : number + 1].clone()
        setattr(own, name, torch.nn.Parameter(value))
    return own


def _record_of(record: dict[str, Any], name: str, number: int) -> dict[str, Any]:
    """One ancestry's record: that of a run of one trait, with the checksums of its own files."""
    provenance = record["provenance"]
    own = {}
    for role, entry in provenance["inputs"].items():
        kind, _, whose = role.partition(".")
        if whose in ("", name):
            own[f"{kind}.0" if kind == "sumstats" else kind] = entry
    guesses = record["ballpark_h2"]
    return {
        **{key: value for key, value in record.items() if key not in (ANCESTRIES, "traits")},
        **record[ANCESTRIES][name],
        ANCESTRY: name,
        "joint": len(record[ANCESTRIES]) > 1,
        "traits": [
            {**record["traits"][number], "name": record[ANCESTRIES][name]["trait"]}
        ],  # as in its summary statistics
        "ballpark_h2": None if guesses is None else [guesses[number]],
        "provenance": {**provenance, "inputs": own},
    }
