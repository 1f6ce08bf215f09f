"""The training curve: the objective per association at each check, on the validation and the training windows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from varfx.errors import FormatError, StoreError
from varfx.io.text_numbers import whole_numbers
from varfx.io.text_table import open_table
from varfx.report.style import COLOURS, MARKERS, panels, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What a fit's objective is called in its history, and on the axis.
UNITS = {"log_p": "log p", "composite_log_p": "composite log p", "quasi_nats": "LD score regression, quasi-nats"}


def training_curve(runs: Mapping[str, str | os.PathLike[str]]) -> Figure:
    """A figure with one line per run; the point marks the weights that were kept.

    Args:
        runs: a name and a run's folder (or its `history.csv`) each.

    Raises:
        StoreError: a history is missing or damaged.
    """
    histories = {name: read_history(path) for name, path in runs.items()}
    units = sorted({history.columns[2].removeprefix("validation_") for history in histories.values()})
    with styled():
        figure, (above, below) = panels(6.4, 5.0, rows=2)
        for number, (name, history) in enumerate(histories.items()):
            colour = COLOURS[number % len(COLOURS)]
            step = history["step"].to_numpy()
            train, validation = (history[column].to_numpy() for column in history.columns[1:])
            best = int(np.argmax(validation))
            above.plot(step, validation, color=colour, linewidth=1.5, label=name)
            above.plot(step[best], validation[best], MARKERS[number % len(MARKERS)], color=colour, markersize=7)
            seen = np.isfinite(train)
            below.plot(step[seen], train[seen], color=colour, linewidth=1.5)
        above.set_title("Validation windows (the point marks the weights that were kept)")
        below.set_title("Training windows (mean since the last check)")
        for axes in (above, below):
            axes.set_ylabel(
                " / ".join(UNITS[unit.removesuffix("_per_association")] for unit in units) + " per association"
            )
            axes.ticklabel_format(axis="y", useOffset=False)
            axes.grid(axis="y", color="0.92")
        below.set_xlabel("optimiser step")
        above.legend(loc="best")
    return figure


def read_history(path: str | os.PathLike[str]) -> pl.DataFrame:
    """The checks of a run's training, from its folder or its `history.csv`.

    Raises:
        StoreError: it is missing or damaged.
    """
    file = Path(path)
    file = file / "history.csv" if file.is_dir() else file
    try:
        text = open_table(file).read()
        known = [["step", *(f"{part}_{unit}_per_association" for part in ("train", "validation"))] for unit in UNITS]
        if text.columns not in known:
            raise FormatError(f"its columns are {text.columns}")
        history = text.with_columns(whole_numbers(text, "step", file), *_losses(text, file))
    except FormatError as error:
        raise StoreError(f"`{file}` is missing or is no training history. Give a run of `varfx prior fit`.") from error
    if not history.height:
        raise StoreError(f"`{file}` holds no checks. Give a finished run of `varfx prior fit`.")
    return history


def _losses(text: pl.DataFrame, file: Path) -> list[pl.Series]:
    """The columns behind the step as floats, NaN where there is none yet."""
    losses = [text[name].cast(pl.Float64, strict=False) for name in text.columns[1:]]
    if any(loss.null_count() > text[loss.name].null_count() for loss in losses):
        raise FormatError(f"`{file}` holds words where losses belong.")
    return losses
