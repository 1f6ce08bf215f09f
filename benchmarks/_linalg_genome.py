"""A genome's worth: windows of UK Biobank's size in half precision, streamed from disk through the training's own loader."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
import zarr

from varfx.io import sealed
from varfx.ld import store
from varfx.ld.store import LDPanel, open_panel, write_window
from varfx.ld.whiten import Factors
from varfx.ld.windows import Core
from varfx.likelihood import exact
from varfx.training import TraitData, WindowData
from varfx.training.gwas.windows import in_background

GENOME_WINDOWS = 2763
RANK, CORE, PANEL = 2000, 4300, 13_000
SPAN = 1_000_000


def measure_genome(work: Path, windows: int, gradient_error: float, seconds: float) -> list[dict[str, Any]]:
    """Seconds a window and minutes a genome of one pass of loss and gradient, for each engine.

    Args:
        work: where the panel is written, about 90 MB a window.
        windows: how many are measured.
        gradient_error: of the stochastic engine.
        seconds: an engine's pass ends after so long, and is counted by the windows it did.
    """
    from varfx.likelihood.stochastic import stochastic

    panel = _panel(work, windows)
    size = panel.variants.height
    rng = np.random.default_rng(0)
    trait = TraitData(name="trait", z=rng.standard_normal(size), n=np.full(size, 4e5), n_ref=4e5)
    F = torch.from_numpy(0.05 * np.exp(rng.standard_normal(PANEL) - 0.5)).float()
    generator = torch.Generator().manual_seed(0)
    engines = {
        "read only": lambda window: None,
        "stochastic": lambda window: stochastic(window, F, 1.0, gradient_error=gradient_error, generator=generator),
        "exact": lambda window: exact(window, F, 1.0),
    }
    rows = []
    for name, engine in engines.items():
        data = WindowData(panel, [trait], np.zeros((size, 0)), np.full(size, 0.25), cache_bytes=0)
        _forget(panel.path)
        done, started, note = 0, time.perf_counter(), ""
        for window in in_background(data, range(windows)):
            result = engine(window.traits[0])
            note = "" if result is None else result.engine
            done += 1
            if time.perf_counter() - started > seconds:
                break
        each = (time.perf_counter() - started) / done
        rows.append(
            {
                "engine": name,
                "windows": done,
                "seconds_per_window": each,
                "genome_minutes": each * GENOME_WINDOWS / 60,
                "note": note,
            }
        )
        print(
            f"genome, {name}: {each:.2f} s a window, {rows[-1]['genome_minutes']:.0f} min a pass of the genome",
            flush=True,
        )
    return rows


def _panel(work: Path, windows: int) -> LDPanel:
    """A panel with random factors of the right shapes: rows of B fall in size as real ones, columns have length near 1."""
    path = work / f"genome_{windows}.ld.zarr"
    if (path / sealed.MANIFEST).is_file():
        return open_panel(path)
    shutil.rmtree(path, ignore_errors=True)
    zarr.create_group(path).create_group("windows")
    size = (windows - 1) * CORE + PANEL
    notes = []
    for number in range(windows):
        rng = np.random.default_rng(number)
        lam = np.arange(1, RANK + 1) ** -0.7
        lam *= CORE / lam.sum()
        B = rng.standard_normal((RANK, PANEL), dtype=np.float32) * np.sqrt(lam / CORE)[:, None].astype(np.float32)
        V = rng.standard_normal((CORE, RANK), dtype=np.float32) / np.float32(CORE**0.5)
        start = number * CORE
        core = Core("1", number * SPAN, (number + 1) * SPAN)
        inside, panel = np.arange(start, start + CORE) + (PANEL - CORE) // 2, np.arange(start, start + PANEL)
        write_window(
            path, core, Factors(lam=lam, V=V, B=B), inside, panel, np.ones(CORE), 1.0, dtype=np.dtype(np.float16)
        )
        notes.append(
            {"name": core.name, "chrom": "1", "start": core.start, "end": core.end, "num_core": CORE, "num_panel": PANEL,
             "rank": RANK, "variance_kept": 1.0}
        )  # fmt: skip
    variants = pl.DataFrame(
        {"chrom": ["1"] * size, "position": np.arange(size) + 1, "variant_id": [f"v{i}" for i in range(size)],
         "effect_allele": ["A"] * size, "other_allele": ["G"] * size, "eaf": np.full(size, 0.3), "ld_score": np.ones(size)}
    )  # fmt: skip
    store.PANEL.finish(path, variants, pl.DataFrame(notes), {"num_people": 300_000, "config": {"flank": SPAN}})
    return open_panel(path)


def _forget(path: Path) -> None:
    """Asks the system to drop the files from its cache, so that they are read from disk."""
    if not hasattr(os, "posix_fadvise"):
        return
    for file in path.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)
