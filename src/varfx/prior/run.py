"""A run: what a fit leaves, as a folder (`run.json`, `model.safetensors`, `history.csv`, `options.yaml`, `manifest.json`)."""

from __future__ import annotations

import copy
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import safetensors.torch

from varfx.annotations import Standardiser
from varfx.errors import ConfigError
from varfx.io import sealed, sealed_folder
from varfx.io.run_folder import RunFolder
from varfx.models import ModelConfig, TrackEnformerConfig, VariancePrior

RECORD = "run.json"
WEIGHTS = "model.safetensors"
HISTORY = "history.csv"
MIXTURE_HISTORY = "mixture.csv"  # of the second half of a fit with sparse effects
ANCESTRIES = "ancestries"  # in the record of a run of several: it holds a run for each, in folders of their names
CHECKPOINTS = "checkpoints"  # of an unfinished run


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """A fitted prior.

    Attributes:
        path: the folder.
        model: with its trained weights, in float32 on the CPU.
        standardiser: how the model's features are made from named channels; None for the constant model.
        record: everything else, JSON-able: `traits` (name, n_ref, sigma2, sigma2_null, alpha), `split` (names of windows),
            `panel`, `sumstats`, `annotations` (paths), `build` (of the genome, or None), `tracks` (path, build, window; name, mean and sd of each), `config`, `outcome`, `provenance`.
    """

    path: Path
    model: VariancePrior
    standardiser: Standardiser | None
    record: dict[str, Any]

    def __repr__(self) -> str:
        held_out = len(self.record["split"]["holdout"])
        return f"Run({str(self.path)!r}: {self.model.config.kind} of {', '.join(self.trait_names)}; {held_out} windows held out)"

    @property
    def build(self) -> str | None:
        """Genome build of the panel, hg19 or hg38; None where it is not known, as of earlier runs."""
        return self.record.get("build")

    @property
    def trait_names(self) -> list[str]:
        """Names of the traits, in the order of the model's outputs."""
        return [trait["name"] for trait in self.record["traits"]]


def run_folder(out: str | os.PathLike[str]) -> RunFolder:
    """The folder of a run, finished or not."""
    return RunFolder(out=Path(out), holds="run", record=RECORD, made_by="varfx prior fit")


def write_run(
    folder: RunFolder, model: VariancePrior, standardiser: Standardiser | None, record: dict[str, Any]
) -> Run:
    """The run of a fit begun in this folder, whose `result` it completes."""
    run = write_files(folder.result, model, standardiser, record)
    folder.finish()
    return replace(run, path=folder.out)


def write_files(root: Path, model: VariancePrior, standardiser: Standardiser | None, record: dict[str, Any]) -> Run:
    """Weights and record of a run in the folder `root`, which is not sealed yet."""
    sealed.write_tensors(root / WEIGHTS, model.state_dict())
    record = {
        "format_version": sealed.FORMAT_VERSION,
        **record,
        "model": {
            **asdict(model.config),
            "hidden": list(model.config.hidden),
            "num_features": model.num_features,
            "num_tracks": model.num_tracks,
        },
        "features": None if standardiser is None else standardiser.to_dict(),
    }
    sealed.write_json(root / RECORD, record)
    return Run(path=root, model=model, standardiser=standardiser, record=record)


class HasFolder(Protocol):
    """A run, of one panel or of several."""

    @property
    def path(self) -> Path:
        """Its folder."""
        ...


def folder_of(run: str | os.PathLike[str] | HasFolder) -> Path:
    """The folder of a run."""
    return Path(run) if isinstance(run, str | os.PathLike) else run.path


def open_run(run: str | os.PathLike[str] | Run | HasFolder) -> Run:
    """Opens a run and checks every file of it; of an open one, as `fit` returns it, a copy is made.

    Raises:
        StoreError: no run, unfinished, damaged, or of a newer version.
        ConfigError: a run of several ancestries, which holds one prior for each.
    """
    if isinstance(run, Run):
        return replace(run, model=copy.deepcopy(run.model))  # callers change its precision and device
    folder = run_folder(folder_of(run))
    folder.open()
    root = folder.out
    sealed_folder.check_directory(root)
    record = sealed.read_json(root / RECORD)
    if ANCESTRIES in record:
        names = list(record[ANCESTRIES])
        raise ConfigError(
            f"`{root}` holds the priors of {len(names)} ancestries, {', '.join(names)}, of which this needs one. Give `{root / names[0]}`"
            f"{'' if len(names) == 1 else f' or `{root / names[-1]}`'}."
        )
    settings = dict(record["model"])
    num_features, num_tracks = settings.pop("num_features"), settings.pop("num_tracks", 0)
    enformer = TrackEnformerConfig(**settings.pop("enformer", {}))  # older runs have none
    config = ModelConfig(**{**settings, "hidden": tuple(settings["hidden"])}, enformer=enformer)
    model = VariancePrior(config, num_features, len(record["traits"]), num_tracks=num_tracks)
    model.load_state_dict(safetensors.torch.load_file(root / WEIGHTS))
    model.eval()
    features = record["features"]
    return Run(
        path=root,
        model=model,
        standardiser=None if features is None else Standardiser.from_dict(features),
        record=record,
    )
