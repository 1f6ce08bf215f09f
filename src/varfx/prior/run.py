"""A run: what a fit leaves, as a folder (`run.json`, `model.safetensors`, `history.csv`, `options.yaml`, `manifest.json`)."""

from __future__ import annotations

import copy
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch

from varfx.annotations import Standardiser
from varfx.io import sealed, sealed_folder
from varfx.io.run_folder import RunFolder
from varfx.models import ModelConfig, TrackEnformerConfig, VariancePrior

RECORD = "run.json"
WEIGHTS = "model.safetensors"
HISTORY = "history.csv"
MIXTURE_HISTORY = "mixture.csv"  # of the second half of a fit with sparse effects
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
    sealed.write_tensors(folder.result / WEIGHTS, model.state_dict())
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
    sealed.write_json(folder.result / RECORD, record)
    folder.finish()
    return Run(path=folder.out, model=model, standardiser=standardiser, record=record)


def folder_of(run: str | os.PathLike[str] | Run) -> Path:
    """The folder of a run."""
    return run.path if isinstance(run, Run) else Path(run)


def open_run(run: str | os.PathLike[str] | Run) -> Run:
    """Opens a run and checks every file of it; of an open one, as `fit` returns it, a copy is made.

    Raises:
        StoreError: no run, unfinished, damaged, or of a newer version.
    """
    if isinstance(run, Run):
        return replace(run, model=copy.deepcopy(run.model))  # callers change its precision and device
    folder = run_folder(run)
    folder.open()
    root = folder.out
    sealed_folder.check_directory(root)
    record = sealed.read_json(root / RECORD)
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
