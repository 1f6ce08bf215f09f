"""Training, validation and held-out windows."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool
from numpy import ndarray

from varfx.errors import ConfigError, DataError
from varfx.prior.config import SplitConfig

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """Numbers of the panel's windows in each part; `gap` are left out so that no panel reaches into another part."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    holdout: tuple[int, ...]
    gap: tuple[int, ...]


def split_windows(
    windows: pl.DataFrame, config: SplitConfig, *, flank: int, has_data: Bool[ndarray, " window"] | None = None
) -> Split:
    """The split of a panel's windows. Windows without data belong to no part.

    Args:
        windows: the panel's windows: `chrom, start, end`, in genome order.
        config: what is held out.
        flank: bases that stay free between two parts on the same chromosome.
        has_data: windows with an association; by default all. Parts are chosen among these.

    Raises:
        ConfigError: a chromosome that the panel does not have, or no training windows.
        DataError: no window has data, or none of the chromosomes named for a part.
    """
    chroms = windows["chrom"].to_list()
    for name in ("holdout_chrom", "validation_chrom", "exclude_chrom"):
        check_chroms(getattr(config, name), chroms, option=name.replace("_", "-"))
    usable = np.ones(windows.height, dtype=bool) if has_data is None else has_data
    _check_data(chroms, usable, config)
    free = [index for index, chrom in enumerate(chroms) if usable[index] and chrom not in config.exclude_chrom]
    rng = np.random.default_rng(config.seed or 0)
    holdout = _part(free, chroms, config.holdout_chrom, config.holdout_fraction, rng)
    taken = _near(holdout, windows, flank)
    rest = [index for index in free if not taken[index]]
    validation = _part(rest, chroms, config.validation_chrom, config.validation_fraction, rng)
    taken |= _near(validation, windows, flank)
    train = [index for index in rest if not taken[index]]
    if not train:
        advice = _more_training(config, holdout=len(holdout), validation=len(validation))
        raise ConfigError(
            f"no training windows are left: of {len(free)} windows with data {len(holdout)} are held out, {len(validation)} "
            f"validate, and the others lie within a flank of those. {advice} the panel with a smaller --core."
        )
    if not validation and (config.validation_chrom or config.validation_fraction > 0):
        logger.warning("no validation window is left: the score of the training windows decides when to stop")
    used = {*holdout, *validation, *train}
    return Split(tuple(train), tuple(validation), tuple(holdout), tuple(index for index in free if index not in used))


def _more_training(config: SplitConfig, *, holdout: int, validation: int) -> str:
    """Advice on the options that take windows from training.

    Args:
        config: what is held out.
        holdout: number of held-out windows.
        validation: number of validation windows.
    """
    advice = ["fewer chromosomes with --exclude-chrom"] if config.exclude_chrom else []
    for name, count in (("holdout", holdout), ("validation", validation)):
        if count:
            named = getattr(config, f"{name}_chrom")
            advice.append(f"fewer chromosomes with --{name}-chrom" if named else f"a smaller --{name}-fraction")
    return f"Give {' or '.join(advice)}, or build" if advice else "Build"


def _check_data(chroms: Sequence[str], has_data: Bool[ndarray, " window"], config: SplitConfig) -> None:
    """Raises unless every part that is named by chromosomes has a window with data."""
    for name in ("holdout_chrom", "validation_chrom"):
        named = [index for index, chrom in enumerate(chroms) if chrom in getattr(config, name)]
        if named and not has_data[named].any():
            raise DataError(
                f"`{name.replace('_', '-')}`: none of the {len(named)} windows on {', '.join(getattr(config, name))} holds an "
                "association. Check which chromosomes the summary statistics cover, and name others."
            )
    open_to_training = [
        index
        for index, chrom in enumerate(chroms)
        if chrom not in (*config.holdout_chrom, *config.validation_chrom, *config.exclude_chrom)
    ]
    if open_to_training and not has_data[open_to_training].any():
        raise DataError(
            f"none of the {len(open_to_training)} possible training windows holds an association. Check which "
            "chromosomes the summary statistics cover, and hold out others."
        )


def _part(
    free: Sequence[int], chroms: Sequence[str], named: Sequence[str], fraction: float, rng: np.random.Generator
) -> list[int]:
    """The windows of the named chromosomes, or one contiguous stretch of about the given share."""
    if named:
        return [index for index in free if chroms[index] in named]
    size = min(len(free) - 1, max(1, round(fraction * len(free)))) if fraction > 0 else 0
    if size <= 0:
        return []
    start = int(rng.integers(0, len(free) - size + 1))
    return list(free[start : start + size])


def _near(part: Sequence[int], windows: pl.DataFrame, flank: int) -> Bool[ndarray, " window"]:
    """Mask of the windows in the part, or less than `flank` bases from it."""
    start, end = windows["start"].to_numpy(), windows["end"].to_numpy()
    chrom = windows["chrom"].to_numpy()
    near = np.zeros(windows.height, dtype=bool)
    for index in part:
        near |= (chrom == chrom[index]) & (start < end[index] + flank) & (end > start[index] - flank)
        near[index] = True
    return near


def check_chroms(names: Sequence[str], have: Sequence[str], *, option: str, whose: str | None = None) -> None:
    """Checks that the panel, of the ancestry `whose` where there are several, has the chromosomes that an option names.

    Raises:
        ConfigError: it lacks one.
    """
    unknown = sorted(set(names) - set(have))
    if unknown:
        raise ConfigError(
            f"`{option}` names {len(unknown)} chromosomes that the panel{'' if whose is None else f' of {whose}'} does not have, first {unknown[0]}. "
            f"It has {', '.join(dict.fromkeys(have))}."
            + (
                " Hold out a stretch of its windows: --holdout-fraction 0.2."
                if option == "holdout-chrom" and len(set(have)) == 1
                else ""
            )
        )
