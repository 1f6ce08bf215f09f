"""Training, validation and held-out windows of several panels, by position: what is held out in one is held out in all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl
from jaxtyping import Bool
from numpy import ndarray

from varfx.errors import ConfigError, DataError
from varfx.prior.config import SplitConfig
from varfx.prior.split import Split, check_chroms, split_windows


@dataclass(frozen=True, eq=False)
class PanelWindows:
    """What a split needs of one panel.

    Attributes:
        windows: `chrom, start, end`, in genome order.
        flank: bases of a window on either side of its core.
        has_data: windows with an association.
    """

    windows: pl.DataFrame
    flank: int
    has_data: Bool[ndarray, " window"]

    @property
    def usable(self) -> list[tuple[int, str, int, int]]:
        """Number, chromosome, start and end of the windows with data."""
        rows = enumerate(self.windows.select("chrom", "start", "end").iter_rows())
        return [(index, *row) for index, row in rows if self.has_data[index]]


Stretch = tuple[str, float, float]  # chromosome, first and last (exclusive) base


def split_together(panels: Mapping[str | None, PanelWindows], config: SplitConfig) -> dict[str | None, Split]:
    """The split of each panel. Regions are chosen on the panel with the fewest windows, and hold for all.

    A window of another panel is held out (or validates) if it lies within such a region; if it only touches one, or lies less than the
    largest flank from it, it is left out. One panel alone is split as by `split_windows`.

    Raises:
        ConfigError: no training or held-out window in a panel, or a chromosome that one does not have.
        DataError: no chromosome has data in all panels, or one that is named has none.
    """
    if len(panels) == 1:
        return {
            name: split_windows(panel.windows, config, flank=panel.flank, has_data=panel.has_data)
            for name, panel in panels.items()
        }
    _check_shared(panels)
    for name, panel in panels.items():
        have = panel.windows["chrom"].to_list()
        for option in ("holdout_chrom", "validation_chrom"):
            check_chroms(getattr(config, option), have, option=option.replace("_", "-"), whose=name)
            _check_data(panel, getattr(config, option), option.replace("_", "-"), name)
    flank = max(panel.flank for panel in panels.values())
    lead = min(panels, key=lambda name: (len(panels[name].usable), str(name)))
    first = panels[lead]
    known = {name for panel in panels.values() for name in panel.windows["chrom"].unique()}
    check_chroms(config.exclude_chrom, sorted(known), option="exclude-chrom")
    chosen = split_windows(first.windows, _without_absent(config, first), flank=flank, has_data=first.has_data)
    holdout = _stretches(first.windows, chosen.holdout, config.holdout_chrom)
    validation = _stretches(first.windows, chosen.validation, config.validation_chrom)
    return {
        name: chosen if name == lead else _split(name, panel, config.exclude_chrom, holdout, validation, flank)
        for name, panel in panels.items()
    }


def _check_shared(panels: Mapping[str | None, PanelWindows]) -> None:
    """Raises unless a chromosome has data in all panels."""
    chroms = {name: list(dict.fromkeys(row[1] for row in panel.usable)) for name, panel in panels.items()}
    if not set.intersection(*(set(each) for each in chroms.values())):
        said = "; ".join(f"{name} {', '.join(each[:3]) or 'none'}" for name, each in chroms.items())
        raise DataError(
            f"no chromosome has associations in all {len(panels)} ancestries ({said}): they would share no region. Check panels and "
            "summary statistics."
        )


def _check_data(panel: PanelWindows, chroms: Sequence[str], option: str, name: str | None) -> None:
    if chroms and not any(row[1] in chroms for row in panel.usable):
        raise DataError(f"`{option}`: {name} has no association on {', '.join(chroms)}. Name other chromosomes.")


def _without_absent(config: SplitConfig, panel: PanelWindows) -> SplitConfig:
    """The configuration without excluded chromosomes that this panel does not have."""
    have = set(panel.windows["chrom"])
    return replace(config, exclude_chrom=tuple(name for name in config.exclude_chrom if name in have))


def _stretches(windows: pl.DataFrame, part: Sequence[int], named: Sequence[str]) -> list[Stretch]:
    """The regions of a part: whole chromosomes where these are named, else from its first to its last window on each."""
    if named:
        return [(chrom, -math.inf, math.inf) for chrom in named]
    rows = windows[list(part)]
    return [
        (chrom, float(own["start"].min()), float(own["end"].max()))  # type: ignore[arg-type]
        for (chrom,), own in rows.group_by("chrom", maintain_order=True)
    ]


def _split(
    name: str | None,
    panel: PanelWindows,
    excluded: Sequence[str],
    holdout: Sequence[Stretch],
    validation: Sequence[Stretch],
    flank: int,
) -> Split:
    """The split of one panel by given regions."""
    free = [row for row in panel.usable if row[1] not in excluded]
    held = [row for row in free if _inside(row, holdout)]
    rest = [row for row in free if not _near(row, holdout, flank)]
    validating = [row for row in rest if _inside(row, validation)]
    train = [row for row in rest if not _near(row, validation, flank)]
    for part, found, wanted in (("training", train, True), ("held-out", held, bool(holdout))):
        if wanted and not found:
            raise ConfigError(
                f"no {part} windows are left of {name}: of its {len(free)} windows with data none lies "
                f"{'apart from' if part == 'training' else 'within'} the regions held out in all ancestries. Hold out whole chromosomes with "
                "--holdout-chrom, or another share."
            )
    trained, checked, kept = (tuple(row[0] for row in rows) for rows in (train, validating, held))
    used = {*trained, *checked, *kept}
    return Split(trained, checked, kept, tuple(row[0] for row in free if row[0] not in used))


def _inside(row: tuple[int, str, int, int], stretches: Sequence[Stretch]) -> bool:
    _, chrom, start, end = row
    return any(chrom == name and first <= start and end <= last for name, first, last in stretches)


def _near(row: tuple[int, str, int, int], stretches: Sequence[Stretch], flank: int) -> bool:
    _, chrom, start, end = row
    return any(chrom == name and start < last + flank and end > first - flank for name, first, last in stretches)
