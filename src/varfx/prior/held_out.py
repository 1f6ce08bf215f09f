"""Scored windows, and windows that a prior has seen."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Bool
from numpy import ndarray

from varfx.errors import ConfigError, DataError
from varfx.ld import LDPanel
from varfx.ld.windows import core_of_name
from varfx.prior.ancestries.run import AncestryRun, members_of
from varfx.prior.run import Run
from varfx.prior.split import check_chroms
from varfx.training.gwas.windows import WindowData


def windows_to_score(
    run: Run, panel: LDPanel, chrom: Sequence[str], exclude_chrom: Sequence[str]
) -> tuple[list[int], list[str]]:
    """The windows of a run to score, its held-out ones by default, and what to note about them."""
    split = run.record["split"]
    names = [core.name for core in panel.cores]
    unknown = sorted({name for part in split.values() for name in part} - set(names))
    if unknown and not chrom:
        raise DataError(
            f"`{panel.path}` lacks {len(unknown)} of the run's windows, first {unknown[0]}: give the panel that the run was fitted on, "
            "or name chromosomes with --chrom."
        )
    if chrom:
        windows = chosen_windows(panel, chrom, exclude_chrom)
        used = [core_of_name(name) for name in (*split["train"], *split["validation"])]
        learned = [index for index in windows if any(panel.cores[index].overlaps(core) for core in used)]
        notes = (
            [f"{len(learned)} of the {len(windows)} windows were used in the fit: this is no held-out evaluation"]
            if learned
            else []
        )
        return windows, notes
    held = set(split["holdout"])
    windows = [i for i, core in enumerate(panel.cores) if core.name in held and core.chrom not in exclude_chrom]
    if not windows:
        raise ConfigError(
            "the run held out no windows (or all are excluded). Fit with --holdout-chrom or --holdout-fraction, or name chromosomes with --chrom."
        )
    return windows, []


def chosen_windows(panel: LDPanel, chrom: Sequence[str], exclude_chrom: Sequence[str]) -> list[int]:
    """The windows of the named chromosomes (of all if none is named), without the excluded ones.

    Raises:
        ConfigError: the panel lacks a chromosome, or no window is left.
    """
    have = [core.chrom for core in panel.cores]
    check_chroms(chrom, have, option="chrom")
    windows = [i for i, name in enumerate(have) if (not chrom or name in chrom) and name not in exclude_chrom]
    if not windows:
        raise ConfigError("no windows are left to score: `exclude-chrom` names all chromosomes of `chrom`.")
    return windows


def has_association(panel: LDPanel, data: WindowData, index: int) -> bool:
    """Whether the first trait has an association in the core of a window."""
    return bool(data.traits[0].observed[panel.rows(index)[0]].any())


def training_windows(run: Run, panel: LDPanel) -> list[int]:
    """Numbers of the panel's windows that taught the run, by name."""
    names = set(run.record["split"]["train"])
    return [index for index, core in enumerate(panel.cores) if core.name in names]


def learned_variants(run: Run, variants: pl.DataFrame) -> Bool[ndarray, " variant"]:
    """Variants (`chrom, position`) in a window whose associations taught the run or decided when to stop."""
    split = run.record["split"]
    chrom, position = variants["chrom"].to_numpy(), variants["position"].to_numpy()
    learned = np.zeros(variants.height, dtype=bool)
    for name in (*split["train"], *split["validation"]):
        core = core_of_name(name)
        learned |= (chrom == core.chrom) & (position > core.start) & (position <= core.end)
    return learned


def learned_note(run: str | os.PathLike[str] | Run | AncestryRun, variants: pl.DataFrame) -> str:
    """A sentence on how many of the variants lie in windows that the run was fitted on."""
    learned = int(np.any([learned_variants(each, variants) for each in members_of(run)], axis=0).sum())
    if not learned:
        return "f comes from a network that has seen none of these variants' associations"
    return (
        f"{learned:,} of {variants.height:,} variants lie in windows that the prior was fitted on: used again with the same associations, f "
        "is a little too sure of itself there. `varfx prior predict --cross-fit K` avoids that."
    )
