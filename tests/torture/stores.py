"""Our own files: any damage must be noticed, or change nothing that is read."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

Read = Callable[[Path], object]


def make_stores(root: Path) -> None:
    """Writes one of each kind."""
    from torture.commands import COMMANDS, make_inputs
    from varfx.cli.app import run

    make_inputs(root / "inputs")
    for command in COMMANDS:
        if command.name in ("tracks build", "expr fit") and run(
            [str(word) for word in command.line(root / "inputs", root / "inputs")]
        ):
            raise RuntimeError(f"{command.name} failed on undamaged inputs")


def stores(root: Path) -> dict[str, tuple[tuple[str, ...], Read]]:
    """The files of each kind, of which one is damaged, and how it is read."""
    readers: dict[str, tuple[str, Read]] = {
        "sumstats": ("height.sumstats.parquet", _sumstats),
        "annotations": ("A.annot.parquet", _annotations),
        "panel": ("P.ld.zarr", _panel),
        "tracks": ("T.tracks.zarr", _tracks),
        "run": ("RUN", _run),
        "cohort": ("cohort", _cohort),
        "expression run": ("BASELINES", _expression_run("BASELINES")),
        "network": ("NETWORK", _expression_run("NETWORK")),
    }
    found = {}
    for name, (place, read) in readers.items():
        path = root / "inputs" / place
        files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
        found[name] = tuple(file.relative_to(root).as_posix() for file in files), read
    return found


def _sumstats(folder: Path) -> object:
    from varfx.gwas.sumstats import read_sumstats

    stats = read_sumstats(folder / "inputs" / "height.sumstats.parquet")
    return digest(stats.table, stats.trait)


def _annotations(folder: Path) -> object:
    from varfx.annotations import read_annotations

    return digest(read_annotations(folder / "inputs" / "A.annot.parquet").table)


def _panel(folder: Path) -> object:
    from varfx.ld import open_panel

    panel = open_panel(folder / "inputs" / "P.ld.zarr")
    windows = [panel.window(index) for index in range(len(panel.cores))]
    return digest(panel.variants, *[part for w in windows for part in (w.core_rows, w.panel_rows, w.factors.lam, w.factors.V, w.factors.B)])  # fmt: skip


def _tracks(folder: Path) -> object:
    from varfx.tracks.store import open_tracks

    store = open_tracks(folder / "inputs" / "T.tracks.zarr")
    return digest(store.tracks, *vars(store.block("22", 19_999_900, 20_020_100)).values())


def _run(folder: Path) -> object:
    from varfx.prior.run import open_run

    run = open_run(folder / "inputs" / "RUN")
    return digest(run.trait_names, *[value.numpy() for value in run.model.state_dict().values()])


def _cohort(folder: Path) -> object:
    from varfx.expression.cohort.store import open_cohort

    cohort = open_cohort(folder / "inputs" / "cohort")
    genes = cohort.genes["gene_id"]
    return digest(
        cohort.genes, cohort.variants, *[part for g in genes for part in (cohort.dosages(g), cohort.reference(g))]
    )


def _expression_run(name: str) -> Read:
    def read(folder: Path) -> object:
        from varfx.expression.run import open_run

        return digest(open_run(folder / "inputs" / name).predictions)

    return read


def digest(*parts: Any) -> str:
    """A checksum of tables, arrays and plain values."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, pl.DataFrame):
            part = part.write_csv().encode()
        found.update(part.tobytes() if isinstance(part, np.ndarray) else pickle.dumps(part))
    return found.hexdigest()
