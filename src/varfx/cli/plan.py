"""`varfx plan`: what a fit will need, from rates measured now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table

from varfx.cli.console import console, print_notes, progress_bar
from varfx.cli.options import WORDS, as_options
from varfx.prior.plan.config import PlanConfig

if TYPE_CHECKING:
    from varfx.prior.plan.forecast import Forecast
    from varfx.prior.plan.transfer import Transfer

Options = Annotated[PlanConfig, as_options(PlanConfig, source=WORDS)]
NOT_MEASURED = "not measured"
TIMES = {
    "window: network": "a window: network, forward and backward",
    "window: gather": "a window: cutting out tracks",
    "window: likelihood": "a window: likelihood and gradient",
    "window: loading": "a window: reading, while the one before is computed",
    "window": "a window",
    "first epoch": "first epoch",
    "epoch": "a later epoch",
    "check": "a check of the validation windows",
    "second half": "second half, for sparse effects",
    "total": "in total",
}


def plan(*, config: Options = PlanConfig(), json: Path | None = None) -> None:
    """Say what a fit and the commands after it will need: disk, memory, time.

    Measures this machine for some seconds (network, gather, reading, likelihood) and works out the rest, here and on cards that were
    measured. Give existing files, or numbers.

        varfx plan --panel P.ld.zarr --tracks T.tracks.zarr --model enformer --width 768
        varfx plan --panel EUR=EUR.ld.zarr --panel EAS=EAS.ld.zarr --model mlp --num-features 96 --loci 300
        varfx plan --variants 12e6 --windows 2763 --source s3://broad-alkesgroup-ukbb-ld/UKBB_LD --bandwidth 50
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
    job, found = forecast.job, forecast.plan
    counts = found.counts
    console.print(
        f"{counts['windows']:,.0f} windows, {counts['variants']:,.0f} variants ({counts['variants with flanks']:,.0f} with "
        f"flanks), rank {counts['rank']:,.0f}; {job.model.kind}, {counts['parameters']:,.0f} weights"
        + (f", {job.num_tracks} tracks x {job.width} bases" if job.num_tracks else ""),
        soft_wrap=True,
    )
    for transfer in forecast.transfers:
        console.print(_told(transfer), soft_wrap=True, markup=False)
    console.print(_rates_table(forecast))
    console.print(_needs_table(forecast))
    console.print(_times_table(forecast))
    if not job.num_tracks and all(seconds < float("inf") for seconds in found.commands.values()):
        console.print(_commands_table(forecast))
    for warning in found.warnings:
        console.print(f"warning: {warning}", soft_wrap=True, style="bold red" if console.is_terminal else "")
    notes = [*found.notes]
    if forecast.elsewhere:
        names = ", ".join(each.name for each in forecast.elsewhere)
        notes.append(
            f"times on one {names} are from its measured rates, with reading and all else at those of this machine; not measured on it, or on any "
            "card, means that no time is given"
        )
    notes += [f"{name}: not measured, so that no time is given" for name in forecast.not_measured]
    if any(transfer.bandwidth is not None for transfer in forecast.transfers):
        notes.append("the bandwidth is an assumption: nothing but names and sizes of files was fetched")
    print_notes(notes)


def _rates_table(forecast: Forecast) -> Table:
    job, rates, machine = forecast.job, forecast.rates, forecast.machine
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
    return table


def _needs_table(forecast: Forecast) -> Table:
    found, machine = forecast.plan, forecast.machine
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
    return table


def _times_table(forecast: Forecast) -> Table:
    """Times of the fit on the machine planned for, and on other cards."""
    others = [each for each in forecast.elsewhere if each.name != forecast.machine.name]
    seconds = forecast.plan.seconds
    table = Table("time", forecast.machine.name, *(each.name for each in others), title="the fit", title_justify="left")
    for name, words in TIMES.items():
        if seconds[name]:
            table.add_row(words, duration(seconds[name]), *(duration(each.seconds[name]) for each in others))
    hours = [
        NOT_MEASURED
        if each.gpu_hours is None
        else f"{each.gpu_hours:,.2g}"
        if each.memory <= each.has
        else "too large for it"
        for each in others
    ]
    if others:
        table.add_row("hours of GPU", "", *hours)
    return table


def _commands_table(forecast: Forecast) -> Table:
    """Times of the commands after the fit, on this machine's CPU and on machines with a card."""
    table = Table(
        "command",
        "this machine's CPU",
        *(each.name for each in forecast.elsewhere),
        title="after the fit",
        title_justify="left",
    )
    for name, seconds in forecast.plan.commands.items():
        times = [each.commands[name] for each in forecast.elsewhere]
        shown = [
            NOT_MEASURED if time.seconds is None else "on the CPU" if time.where == "CPU" else duration(time.seconds)
            for time in times
        ]
        table.add_row(name, duration(seconds), *shown)
    return table


def _told(transfer: Transfer) -> str:
    """A sentence on LD over the network."""
    text = f"{transfer.address}: {transfer.files:,} files"
    if transfer.bytes is None:
        return f"{text}, of which the store states no sizes"
    text += f", {_bytes(transfer.bytes)} to fetch"
    if transfer.asked:
        text += f" (from the sizes of {transfer.asked})"
    if transfer.seconds is None or transfer.bandwidth is None:
        return f"{text}; --bandwidth gives the time"
    return f"{text}, {duration(transfer.seconds)} at {transfer.bandwidth / 1e6:,.3g} MB/s, if the network carries that"


def _bytes(size: float) -> str:
    """A size for the screen."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size / 1e3:,.1f} kB"


def duration(seconds: float) -> str:
    """A time for the screen; NaN is one that was not measured."""
    if seconds != seconds:
        return NOT_MEASURED
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms" if seconds >= 0.01 else f"{1000 * seconds:.2g} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 2 * 86400 else f"{seconds / 86400:,.1f} days"
