"""`plan`: what a fit will need, before anybody waits: disk, memory of host and device, time.

Arithmetic on sizes (`Job`) and on rates that were measured on this machine a moment ago (`Rates`); no constants of other
machines. For a window of M panel variants, of which m are in its core, whitened to rank r:

    network     M variants through the network; in training forward and backward, and forward twice if cut into passes
    gather      M x tracks x w values cut out of the window's block of tracks
    likelihood  value and gradient by the fastest engine, a trait each
    loading     B (r x M) and the block of tracks, read while the window before is computed
    bound       evidence lower bound of sparse effects, in the second half of a fit with `--effects mixture`

so that a window takes the longer of computing and loading. Windows that fit into memory are read once.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from varfx.annotations.file import HELD_BYTES, KEPT_BYTES
from varfx.likelihood.cost_model import CostModel
from varfx.prior.plan.commands import UNMEASURED, Products, Work, command_work
from varfx.prior.plan.job import Job
from varfx.prior.plan.sampling import (
    START_STEPS,
    START_WINDOWS,
    bound_of_a_window,
    joint_weights,
    loci_work,
    mixture_weights,
)

BLOCKS = 2  # of tracks in host memory: one in use, one read ahead
CACHE_SHARE = 1 / 3  # of the memory that is free may hold windows (`varfx.prior.inputs`)
BUSY = 0.7
ADAM_COPIES = 4  # weights, gradients, and two moments
HELD_COPIES = 3  # of annotations in memory: the table, its rows of the panel's variants, standardised
PLACE_BYTES = 9  # per variant whose annotations stay in their file: its row, and whether alleles are exchanged
VARIANT_BYTES = (
    280  # of the panel's table, and of the arrays that match a trait to it (benchmarks/annotation_memory.py)
)
TRAIT_BYTES = 140  # of a trait's table, and its z, n and frequencies on the panel's rows


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Measured rates of this machine.

    Attributes:
        forward: variants a second through the network, tracks at hand.
        training: variants a second forward and backward.
        parameters: of the network.
        saved_bytes: what a variant leaves in memory for the backward pass.
        step: seconds of one optimiser step.
        overhead: seconds of a window of a step beside all that is computed.
        gather: values (variant x track x base) cut out a second; infinite without tracks.
        read_tracks: bytes of a block of tracks read and decompressed a second; infinite without tracks.
        read_panel: bytes of B read a second.
        likelihood: seconds of the likelihood engines.
        process_bytes: of the process before it has any data.
        products: of matrices on the CPU, for the commands after the fit.
    """

    forward: float
    training: float
    parameters: int
    saved_bytes: int
    step: float
    overhead: float
    gather: float
    read_tracks: float
    read_panel: float
    likelihood: CostModel
    process_bytes: int
    products: Products = UNMEASURED


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Memory and disk of the machine, in bytes.

    Attributes:
        host: memory.
        host_free: of it, not in use.
        disk_free: where the files would go.
        device: memory of the GPU; None where the CPU computes.
        name: of the device.
        threads: that torch uses.
        busy: processes waiting for a processor for each there is, before this one started.
        elsewhere: whether the device is not in this machine.
    """

    host: int
    host_free: int
    disk_free: int
    device: int | None
    name: str
    threads: int
    busy: float = 0.0
    elsewhere: bool = False


@dataclass(frozen=True, eq=False)
class Plan:
    """Needs of the job.

    Attributes:
        disk: bytes by what takes them.
        host: bytes of one process by what takes them.
        device: bytes on the GPU by what takes them; empty where the CPU computes.
        seconds: `window` (mean, by part), `epoch`, `first epoch`, `check`, `second half` (of a fit with sparse effects), `total`; NaN where
            not measured.
        counts: sizes worth showing.
        commands: seconds of the commands after the fit, on one machine's CPU.
        warnings: what does not fit.
        notes: what was assumed.
    """

    disk: dict[str, float]
    host: dict[str, float]
    device: dict[str, float]
    seconds: dict[str, float]
    counts: dict[str, float]
    commands: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """All of it, JSON-able; None in place of NaN."""
        return {
            **asdict(self),
            "seconds": {name: None if value != value else value for name, value in self.seconds.items()},
        }


def feature_bytes(variants: float, num_features: int) -> float:
    """Memory of annotations and features: all of them up to `HELD_BYTES`, else the row groups that were read last."""
    size = 4.0 * variants * num_features
    return HELD_COPIES * size if size <= HELD_BYTES else KEPT_BYTES + PLACE_BYTES * variants


def plan(job: Job, rates: Rates, machine: Machine) -> Plan:
    """Disk, memory and time of a job, at the measured rates."""
    disk = _disk(job)
    on_gpu = machine.device is not None
    working = _working_memory(job, rates)
    kept = float((job.sizes.rank * job.sizes.num_panel * 4).sum())  # float32, as the likelihood takes them
    cache = min(kept, machine.host_free * CACHE_SHARE)
    host = {
        "process": float(rates.process_bytes),
        "windows kept": cache,
        "features": feature_bytes(_variants(job), job.num_features),
        "tables of variants": float(_variants(job) * (VARIANT_BYTES + TRAIT_BYTES * job.num_traits)),
        "blocks of tracks": float(BLOCKS * job.block_bytes.max()),
        "window read ahead": float((job.sizes.rank * job.sizes.num_panel * 4).max()),
        **({} if on_gpu else working),
    }
    device = {
        **working,
        "window": float((job.sizes.rank * job.sizes.num_panel * 4).max()),
        "tracks": float(job.block_bytes.max()),
    }
    seconds = _seconds(job, rates, kept_share=cache / kept, on_gpu=on_gpu)
    counts = {
        "windows": float(job.windows),
        "variants": float(_variants(job)),
        "variants with flanks": float(job.sizes.num_panel.sum()),
        "rank": float(job.sizes.rank.mean()),
        "parameters": float(rates.parameters),
    }
    commands = {
        name: work.seconds(rates.products, read_panel=rates.read_panel, forward=rates.forward)
        for name, work in all_work(job).items()
    }
    found = Plan(disk, host, device if on_gpu else {}, seconds, counts, commands, notes=_notes(job, machine))
    return replace(found, warnings=_warnings(job, found, machine))


def all_work(job: Job) -> dict[str, Work]:
    """The work of each command after the fit; loci are one unless their number is known."""
    work = command_work(job)
    several = job.num_ancestries > 1
    if several:
        work["weights of all ancestries together"] = joint_weights(job)
        del work["rg"]  # of two runs of one panel
    else:
        work["weights --effects mixture"] = mixture_weights(job)
    loci = job.loci or 1
    name = f"finemap, {loci:,} loci" if job.loci else "finemap, a locus"
    work[name] = loci_work(job, loci, background=False)
    work[f"{name}, background learned"] = loci_work(job, loci, background=True)
    return work


def _variants(job: Job) -> int:
    return int(job.sizes.num_core.sum())


def _disk(job: Job) -> dict[str, float]:
    panel = float(job.window_bytes.sum()) if job.panel_bytes is None else float(job.panel_bytes)
    # V (rank x core, float32) is kept for re-whitening.
    panel += 0.0 if job.panel_bytes is not None else float((4 * job.sizes.rank * job.sizes.num_core).sum())
    disk = {"LD panel": panel}
    if job.num_tracks:
        disk["tracks"] = float(job.genome_bases * job.bytes_per_base if job.track_bytes is None else job.track_bytes)
    return disk


def _working_memory(job: Job, rates: Rates) -> dict[str, float]:
    """Of one step: on the device that computes."""
    rank, panel = job.sizes.rank.astype(np.float64), job.sizes.num_panel.astype(np.float64)
    per_pass = (
        np.minimum(job.sizes.num_panel, job.model.enformer.variants_per_pass) if job.num_tracks else job.sizes.num_panel
    )
    # The engines work on B and one matrix of its size, or on two of M x M where that is the smaller one.
    likelihood = 4 * np.minimum(rank * panel + 3 * rank**2, 2 * panel**2)
    return {
        "likelihood": float(likelihood.max()),
        "weights and moments": float(4 * ADAM_COPIES * rates.parameters),
        "network's values": float(per_pass.max()) * rates.saved_bytes,
    }


def _seconds(job: Job, rates: Rates, *, kept_share: float, on_gpu: bool) -> dict[str, float]:
    network = job.sizes.num_panel / rates.training + (job.passes > 1) * job.sizes.num_panel / rates.forward * bool(
        job.num_tracks
    )
    values = job.sizes.num_panel.astype(np.float64) * job.num_tracks * job.width
    gather = values * np.where(job.passes > 1, 2, 1) / rates.gather
    engines = [
        rates.likelihood.seconds(int(rank), int(panel), gradient_error=job.gradient_error)
        for rank, panel in zip(job.sizes.rank, job.sizes.num_panel, strict=True)
    ]
    likelihood = job.num_traits * np.array([min(seconds.values()) for seconds in engines])
    load_tracks = job.block_bytes / rates.read_tracks
    load_panel = job.window_bytes / rates.read_panel
    step = np.full(job.windows, rates.step / job.schedule.windows_per_step + rates.overhead)
    compute = network + gather + likelihood + step
    # Kept windows need their tracks only; the blocks of those are not kept beyond 1 GB.
    later = kept_share * np.maximum(compute, load_tracks) + (1 - kept_share) * np.maximum(
        compute, load_tracks + load_panel
    )
    first = np.maximum(compute, load_tracks + load_panel)
    check = np.maximum(job.sizes.num_panel / rates.forward + values / rates.gather + likelihood, load_tracks)
    checked = min(job.windows * job.schedule.validation_share, job.schedule.check_windows)
    validation = check.mean() * checked / job.schedule.processes
    training_windows = job.windows * (1 - job.schedule.validation_share)
    visited = job.schedule.max_steps * job.schedule.windows_per_step
    first_visits = min(visited, training_windows)
    steps_a_check = max(job.schedule.check_every, training_windows / job.schedule.windows_per_step)
    checks = job.schedule.max_steps / steps_a_check + 1
    total = (
        first_visits * first.mean() + (visited - first_visits) * later.mean()
    ) / job.schedule.processes + checks * validation
    second = 0.0
    if job.model.effects == "mixture":
        bound = (
            math.nan
            if on_gpu
            else bound_of_a_window(job).seconds(rates.products, read_panel=math.inf, forward=math.inf)
        )
        step_bound = float((compute - likelihood).mean()) + bound
        check_bound = float((job.sizes.num_panel / rates.forward + values / rates.gather).mean()) + bound
        start = min(START_WINDOWS, job.windows) * START_STEPS * job.num_traits * check_bound
        second = (visited * step_bound + checks * checked * check_bound) / job.schedule.processes + start
    return {
        "window: network": float(network.mean()),
        "window: gather": float(gather.mean()),
        "window: likelihood": float(likelihood.mean()),
        "window: computing": float(compute.mean()),
        "window: loading": float((load_tracks + load_panel).mean()),
        "window": float(later.mean()),
        "first epoch": float(first.sum() / job.schedule.processes),
        "epoch": float(later.sum() / job.schedule.processes),
        "check": float(validation),
        "second half": float(second),
        "total": float(total + second),
    }


def _notes(job: Job, machine: Machine) -> list[str]:
    notes = [
        f"the total is that of {job.schedule.max_steps:,} steps of {job.schedule.windows_per_step} windows, "
        f"{job.schedule.max_steps * job.schedule.windows_per_step / (job.windows * (1 - job.schedule.validation_share)):.1f} epochs; early stopping usually "
        "ends before",
        "starting Python and the search for the first values of scale and sigma2 come on top",
        "every variant is taken to have an association: the likelihood of a window where some lack one takes longer",
    ]
    if not job.num_tracks:
        notes.append(
            f"commands after the fit: by their arithmetic, {job.schedule.holdout_share:.0%} of the windows held out, on one machine; chains, "
            "effects and background are taken to converge as usual, and loci to have one lead variant"
        )
    if job.model.effects == "mixture":
        notes.append(
            "the second half (sparse effects) is taken to need as many steps as the first"
            + (", and has been measured on no GPU: no time is given for it" if machine.device is not None else "")
        )
    if job.num_ancestries > 1:
        notes.append(
            f"{job.num_ancestries} ancestries ({', '.join(job.ancestries)}): commands of one ancestry are for all, one after another"
        )
    if job.schedule.num_nodes > 1:
        notes.append(f"{job.schedule.num_nodes} machines are taken to read the panel each at this machine's rate")
    if job.num_tracks and job.track_bytes is None:
        notes.append("the size of the tracks on disk is that before compression")
    if machine.elsewhere:
        notes.append(
            f"rates of network, tracks and likelihood, and the memory of the GPU, are those measured on one {machine.name}; "
            "reading, memory of the process and disk are those of this machine"
        )
    if machine.busy > BUSY:
        notes.append(
            f"this machine is busy ({machine.busy:.1f} processes for each processor): rates and times are those of the share "
            "that is left"
        )
    return notes


def _warnings(job: Job, found: Plan, machine: Machine) -> list[str]:
    warnings = []
    host = job.schedule.devices * sum(found.host.values())
    if host > machine.host:
        warnings.append(f"needs {host / 1e9:.1f} GB of memory; this machine has {machine.host / 1e9:.1f} GB")
    if machine.device is not None and sum(found.device.values()) > machine.device:
        warnings.append(
            f"needs {sum(found.device.values()) / 1e9:.1f} GB on the GPU, which has {machine.device / 1e9:.1f} GB: lower "
            "--variants-per-pass"
        )
    new = sum(
        size
        for name, size in found.disk.items()
        if (job.panel_bytes if name == "LD panel" else job.track_bytes) is None
    )
    if new > machine.disk_free:
        warnings.append(f"needs {new / 1e9:.0f} GB of disk; {machine.disk_free / 1e9:.0f} GB are free here")
    if found.seconds["window"] > 1.01 * found.seconds["window: computing"]:
        warnings.append("reading is slower than computing: put panel and tracks on a faster disk")
    return warnings
