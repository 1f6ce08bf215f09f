"""`varfx plan`: what a fit will need, from rates measured now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table

from varfx.cli.console import console, print_notes, progress_bar
from varfx.cli.options import as_options
from varfx.prior.plan.config import PlanConfig

if TYPE_CHECKING:
    from varfx.prior.plan.forecast import Forecast

Options = Annotated[PlanConfig, as_options(PlanConfig)]
TIMES = {
    "window: network": "a window: network, forward and backward",
    "window: gather": "a window: cutting out tracks",
    "window: likelihood": "a window: likelihood and gradient",
    "window: loading": "a window: reading, while the one before is computed",
    "window": "a window",
    "first epoch": "first epoch",
    "epoch": "a later epoch",
    "check": "a check of the validation windows",
    "total": "in total",
}


def plan(*, config: Options = PlanConfig(), json: Path | None = None) -> None:
    """Say what a fit will need: disk, memory, time.

    Measures this machine for some seconds (network, gather, reading, likelihood) and works out the rest. Give existing files,
    or numbers.

        varfx plan --panel P.ld.zarr --tracks T.tracks.zarr --model enformer --width 768
        varfx plan --variants 12e6 --windows 2763 --num-tracks 165 --width 768 --network-precision bfloat16 --json plan.json

    Args:
        json: Write all numbers to this file.
    """
    from varfx.io import sealed
    from varfx.prior.plan.forecast import forecast

    with progress_bar() as progress:
        found = forecast(config, progress=progress)
    if json is not None:
        sealed.write_json(json, found.to_dict())
    _show(found)


def _show(forecast: Forecast) -> None:
    job, rates, machine, found = forecast.job, forecast.rates, forecast.machine, forecast.plan
    counts = found.counts
    console.print(
        f"{counts['windows']:,.0f} windows, {counts['variants']:,.0f} variants ({counts['variants with flanks']:,.0f} with "
        f"flanks), rank {counts['rank']:,.0f}; {job.model.kind}, {counts['parameters']:,.0f} weights"
        + (f", {job.num_tracks} tracks x {job.width} bases" if job.num_tracks else ""),
        soft_wrap=True,
    )
    table = Table(
        "measured on",
        machine.name
        if machine.elsewhere
        else f"{machine.name}, torch with {machine.threads} thread{'s' if machine.threads > 1 else ''}",
        title="rates",
        title_justify="left",
    )
    table.add_row("network, forward", f"{rates.forward:,.0f} variants/s")
    table.add_row("network, forward and backward", f"{rates.training:,.0f} variants/s")
    if job.num_tracks:
        table.add_row("cutting out tracks", f"{rates.gather / 1e9:,.2f} billion values/s")
        table.add_row("reading tracks", f"{rates.read_tracks / 1e6:,.0f} MB/s")
    table.add_row("reading the panel", f"{rates.read_panel / 1e6:,.0f} MB/s")
    console.print(table)
    table = Table("what", "needs", "has", title="disk and memory", title_justify="left")
    for name, parts, has in (
        ("disk", found.disk, machine.disk_free),
        ("memory of a process", found.host, machine.host),
        ("memory of the GPU", found.device, machine.device or 0),
    ):
        if parts:
            table.add_row(name, _bytes(sum(parts.values())), _bytes(has), style="bold")
            for part, size in parts.items():
                if size:
                    table.add_row(f"  {part}", _bytes(size), "")
    console.print(table)
    table = Table("time", "", title="time", title_justify="left", show_header=False)
    for name, words in TIMES.items():
        if found.seconds[name]:
            table.add_row(words, duration(found.seconds[name]))
    console.print(table)
    if not job.num_tracks and all(seconds < float("inf") for seconds in found.commands.values()):
        table = Table(
            "after the fit", "", title="commands, on this machine's CPU", title_justify="left", show_header=False
        )
        for name, seconds in found.commands.items():
            table.add_row(name, duration(seconds))
        console.print(table)
    for warning in found.warnings:
        console.print(f"warning: {warning}", soft_wrap=True, style="bold red" if console.is_terminal else "")
    print_notes(found.notes)


def _bytes(size: float) -> str:
    """A size for the screen."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size / 1e3:,.1f} kB"


def duration(seconds: float) -> str:
    """A time for the screen."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms" if seconds >= 0.01 else f"{1000 * seconds:.2g} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 2 * 86400 else f"{seconds / 86400:,.1f} days"
