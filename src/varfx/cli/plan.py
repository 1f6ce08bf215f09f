"""`varfx plan`: what a fit will need, from rates measured now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.table import Table

from varfx.cli.console import Widths, console, progress_bar
from varfx.errors import ConfigError

if TYPE_CHECKING:
    from varfx.prior.plan.job import Job
    from varfx.prior.plan.plan import Machine, Plan, Rates

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


def plan(
    *,
    panel: Path | None = None,
    tracks: Path | None = None,
    variants: float | None = None,
    windows: int | None = None,
    rank: int | None = None,
    core: int = 1_000_000,
    flank: int = 1_000_000,
    num_tracks: int | None = None,
    num_features: int = 9,
    traits: int = 1,
    model: Literal["constant", "linear", "mlp", "enformer"] | None = None,
    hidden: Widths = (64, 64),
    width: int = 384,
    depth: int = 2,
    window: int = 256,
    variants_per_pass: int = 512,
    network_precision: Literal["float32", "bfloat16"] = "float32",
    max_steps: int = 5000,
    windows_per_step: int = 1,
    check_every: int = 50,
    validation_fraction: float = 0.15,
    devices: int = 1,
    device: str = "auto",
    folder: Path | None = None,
    json: Path | None = None,
) -> None:
    """Say what a fit will need: disk, memory, time.

    Measures this machine for some seconds (network, gather, reading, likelihood) and works out the rest. Give files that
    there are, or numbers.

        varfx plan --panel P.ld.zarr --tracks T.tracks.zarr --model enformer --width 768
        varfx plan --variants 12e6 --windows 2763 --num-tracks 165 --width 768 --network-precision bfloat16 --json plan.json

    Args:
        panel: The LD panel; its windows are counted one by one.
        tracks: The track store.
        variants: Variants of the genome, where there is no panel yet.
        windows: Windows, where there is no panel yet.
        rank: Of a window, where there is no panel yet; by default half of its core's variants.
        core: Bases of a window's core, where there is no panel yet.
        flank: Bases on each side of it.
        num_tracks: Tracks, 8 bits a base, where there is no store yet.
        num_features: Per-variant features (predictors).
        traits: Traits fitted together.
        model: Which network; by default enformer where there are tracks, else mlp.
        hidden: Widths of an mlp's hidden layers.
        width: Channels of an enformer: 768 has 16 million weights with 165 tracks, 384 has 4.4 million.
        depth: Transformer layers of an enformer.
        window: Bases around each variant that an enformer reads.
        variants_per_pass: Variants that go through an enformer together.
        network_precision: Of an enformer.
        max_steps: Optimiser steps.
        windows_per_step: Windows of a step.
        check_every: Steps between checks at least.
        validation_fraction: Share of the windows that decide when to stop.
        devices: Processes that train together.
        device: Where to compute: auto (a GPU if there is one, else the CPU), cpu, cuda, cuda:N or mps.
        folder: Where files would be written; by default here. Disk is measured there.
        json: Write all numbers to this file.
    """
    from varfx.device import find_device
    from varfx.io import sealed
    from varfx.ld import open_panel
    from varfx.models import ModelConfig, TrackEnformerConfig
    from varfx.prior.plan.job import panel_job, track_sizes, uniform_job
    from varfx.prior.plan.plan import plan as work_out
    from varfx.prior.plan.rates import measure_rates, this_machine
    from varfx.tracks.store import open_tracks

    if (panel is None) == (variants is None or windows is None) or (
        panel is not None and (variants or windows or rank)
    ):
        raise ConfigError("give either --panel, or both --variants and --windows (and --rank).")
    if tracks is not None and num_tracks is not None:
        raise ConfigError("give either --tracks or --num-tracks, one of the two.")
    where = find_device(device)
    store = None if tracks is None else open_tracks(tracks)
    kind = model or ("enformer" if store is not None or num_tracks else "mlp")
    sizes: dict[str, Any] = {
        "model": ModelConfig(
            kind=kind,
            hidden=hidden,
            enformer=TrackEnformerConfig(
                window=window,
                width=width,
                depth=depth,
                variants_per_pass=variants_per_pass,
                precision=network_precision,
            ),
        ),
        "num_features": 0 if kind == "constant" else num_features,
        "num_traits": traits,
        "max_steps": max_steps,
        "windows_per_step": windows_per_step,
        "check_every": check_every,
        "validation_share": validation_fraction,
        "devices": devices,
    }
    if kind == "enformer":
        sizes |= (
            track_sizes(store)
            if store is not None
            else {"num_tracks": num_tracks or 0, "bytes_per_base": num_tracks or 0}
        )
    reference = None if panel is None else open_panel(panel)
    if reference is not None:
        job = panel_job(reference, **sizes)
    else:
        assert variants is not None
        assert windows is not None
        job = uniform_job(variants, windows, core=core, flank=flank, rank=rank, **sizes)
    machine = this_machine(where, folder)
    with progress_bar() as progress:
        rates = measure_rates(job, device=where, panel=reference, tracks=store, folder=folder, progress=progress)
    found = work_out(job, rates, machine)
    if json is not None:
        sealed.write_json(json, _numbers(job, rates, machine, found))
    _show(job, rates, machine, found)


def _numbers(job: Job, rates: Rates, machine: Machine, found: Plan) -> dict[str, Any]:
    """All numbers, JSON-able."""
    from dataclasses import asdict

    measured = {key: value for key, value in vars(rates).items() if key != "likelihood"}
    without = {key: None if value == float("inf") else value for key, value in measured.items()}
    return {
        "model": asdict(job.model),
        "machine": asdict(machine),
        "rates": {**without, "likelihood": rates.likelihood.to_json()},
        **found.to_dict(),
    }


def _show(job: Job, rates: Rates, machine: Machine, found: Plan) -> None:
    counts = found.counts
    console.print(
        f"{counts['windows']:,.0f} windows, {counts['variants']:,.0f} variants ({counts['variants with flanks']:,.0f} with "
        f"flanks), rank {counts['rank']:,.0f}; {job.model.kind}, {counts['parameters']:,.0f} weights"
        + (f", {job.num_tracks} tracks x {job.width} bases" if job.num_tracks else ""),
        soft_wrap=True,
    )
    table = Table(
        "measured on",
        f"{machine.name}, torch with {machine.threads} thread{'s' if machine.threads > 1 else ''}",
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
    for warning in found.warnings:
        console.print(f"warning: {warning}", soft_wrap=True, style="bold red" if console.is_terminal else "")
    for note in found.notes:
        console.print(f"note: {note}", soft_wrap=True)


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
