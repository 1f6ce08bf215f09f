"""`plan`: what a fit will need, before anybody waits: disk, memory of host and device, time.

Arithmetic on sizes (`Job`) and on rates that were measured on this machine a moment ago (`Rates`); no constants of other
machines. For a window of M panel variants, of which m are in its core, whitened to rank r:

    network     M variants through the network; in training forward and backward, and forward twice if cut into passes
    gather      M x tracks x w values cut out of the window's block of tracks
    likelihood  value and gradient by the fastest engine, a trait each
    loading     B (r x M) and the block of tracks, read while the window before is computed

so that a window takes the longer of computing and loading. Windows that fit into memory are read once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from varfx.errors import ConfigError
from varfx.io import sealed
from varfx.ld import LDPanel
from varfx.likelihood.cost_model import CostModel
from varfx.models import ModelConfig
from varfx.tracks.store import TrackStore

GENOME_BASES = 3_100_000_000
RANK_SHARE = 0.5  # of a core's variants: rank 2,215 of 4,322 in a window of UKBB_LD
BLOCKS = 2  # of tracks in host memory: one in use, one read ahead
CACHE_SHARE = 1 / 3  # of the memory that is free may hold windows (`varfx.prior.inputs`)
BUSY = 0.7
ADAM_COPIES = 4  # weights, gradients, and two moments


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """The sizes of a fit.

    Attributes:
        rank: r of each window.
        num_panel: M of each window, core and flanks.
        num_core: m of each window.
        bases: length of each window with its flanks.
        model: which network.
        num_features: per-variant features (predictors).
        num_tracks: tracks read base by base; 0 for other networks than an enformer.
        bytes_per_base: of all tracks together, as stored in memory.
        genome_bases: bases that the track store covers.
        num_traits: traits fitted together.
        panel_bytes: size of the LD panel on disk, if it is there.
        track_bytes: size of the track store on disk, if it is there.
        stored_bytes: of one entry of the stored B.
        max_steps: optimiser steps at most.
        windows_per_step: windows of a step.
        check_every: steps between checks at least.
        validation_share: of the windows.
        devices: processes that train together.
        gradient_error: of the stochastic engine.
    """

    rank: Int[ndarray, " window"]
    num_panel: Int[ndarray, " window"]
    num_core: Int[ndarray, " window"]
    bases: Int[ndarray, " window"]
    model: ModelConfig
    num_features: int
    num_tracks: int = 0
    bytes_per_base: int = 0
    genome_bases: int = GENOME_BASES
    num_traits: int = 1
    panel_bytes: int | None = None
    track_bytes: int | None = None
    stored_bytes: int = 2
    max_steps: int = 5000
    windows_per_step: int = 1
    check_every: int = 50
    validation_share: float = 0.15
    devices: int = 1
    gradient_error: float = 0.1

    def __post_init__(self) -> None:
        for name in ("rank", "num_panel", "num_core", "bases"):
            values = getattr(self, name)
            if not values.size or (values < 1).any():
                raise ConfigError(f"`{name}` must be positive for every window, and there must be windows.")
        for name in ("num_traits", "max_steps", "windows_per_step", "check_every", "devices"):
            if getattr(self, name) < 1:
                raise ConfigError(f"`{name.replace('_', '-')}` must be at least 1, got {getattr(self, name)}.")
        if not 0 <= self.validation_share < 1:
            raise ConfigError(f"`validation-fraction` must be in [0, 1), got {self.validation_share}.")
        if bool(self.num_tracks) != (self.model.kind == "enformer"):
            raise ConfigError(
                "an enformer needs tracks, and other models read none base by base (give their averages as features): got "
                f"{self.num_tracks} tracks and model {self.model.kind}."
            )

    @property
    def windows(self) -> int:
        """How many windows there are."""
        return self.rank.size

    @property
    def window_bytes(self) -> Int[ndarray, " window"]:
        """Of each window's B as stored."""
        return np.asarray(self.rank.astype(np.int64) * self.num_panel * self.stored_bytes)

    @property
    def block_bytes(self) -> Int[ndarray, " window"]:
        """Of each window's block of tracks."""
        return np.asarray((self.bases.astype(np.int64) + self.width) * self.bytes_per_base)

    @property
    def width(self) -> int:
        """Bases around a variant."""
        return self.model.enformer.window

    @property
    def passes(self) -> Int[ndarray, " window"]:
        """Into how many passes of the network each window is cut."""
        return np.asarray(-(-self.num_panel // self.model.enformer.variants_per_pass))


def uniform_job(
    variants: float,
    windows: int,
    *,
    core: int = 1_000_000,
    flank: int = 1_000_000,
    rank: int | None = None,
    **sizes: Any,
) -> Job:
    """A job of equal windows, from numbers alone.

    Args:
        variants: of the genome.
        windows: how many.
        core: bases of a core.
        flank: bases beside it; variants are taken to lie evenly.
        rank: of a window; by default `RANK_SHARE` of its core variants.
        sizes: everything else, as in `Job`.

    Raises:
        ConfigError: fewer than one variant a window.
    """
    if windows < 1 or variants < windows:
        raise ConfigError(
            f"`variants` must be at least `windows`, and that at least 1, got {variants:g} and {windows}."
        )
    num_core = max(1, round(variants / windows))
    num_panel = max(num_core, round(num_core * (core + 2 * flank) / core))
    ones = np.ones(windows, dtype=np.int64)
    return Job(
        rank=ones * (rank or max(1, round(RANK_SHARE * num_core))),
        num_core=ones * num_core,
        num_panel=ones * num_panel,
        bases=ones * (core + 2 * flank),
        **sizes,
    )


def panel_job(panel: LDPanel, **sizes: Any) -> Job:
    """A job on the windows of a panel.

    Args:
        panel: the LD panel.
        sizes: everything else, as in `Job`.
    """
    table = panel.windows
    return Job(
        rank=table["rank"].to_numpy(),
        num_core=table["num_core"].to_numpy(),
        num_panel=table["num_panel"].to_numpy(),
        bases=(table["end"] - table["start"] + 2 * panel.flank).to_numpy(),
        panel_bytes=sum(size for size, _ in sealed.read_manifest(panel.path).values()),
        stored_bytes=np.dtype(panel.metadata["config"]["dtype"]).itemsize,
        **sizes,
    )


def track_sizes(store: TrackStore) -> dict[str, int]:
    """What `Job` wants to know of a track store."""
    return {
        "num_tracks": len(store.names) + int((store.tracks["missing"] == "mask").sum()),
        "bytes_per_base": store.bytes_per_base(),
        "genome_bases": sum(store.lengths.values()),
        "track_bytes": sum(size for size, _ in sealed.read_manifest(store.path).values()),
    }


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What this machine does, measured.

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


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the machine has, in bytes.

    Attributes:
        host: memory.
        host_free: of it, not in use.
        disk_free: where the files would go.
        device: memory of the GPU; None where the CPU computes.
        name: of the device.
        threads: that torch uses.
        busy: processes waiting for a processor for each there is, before this one started.
    """

    host: int
    host_free: int
    disk_free: int
    device: int | None
    name: str
    threads: int
    busy: float = 0.0


@dataclass(frozen=True, eq=False)
class Plan:
    """What the job needs.

    Attributes:
        disk: bytes by what takes them.
        host: bytes of one process by what takes them.
        device: bytes on the GPU by what takes them; empty where the CPU computes.
        seconds: `window` (mean, by part), `epoch`, `epoch_first`, `check`, `total`.
        counts: sizes worth showing.
        warnings: what does not fit.
        notes: what was assumed.
    """

    disk: dict[str, float]
    host: dict[str, float]
    device: dict[str, float]
    seconds: dict[str, float]
    counts: dict[str, float]
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        return asdict(self)


def plan(job: Job, rates: Rates, machine: Machine) -> Plan:
    """Disk, memory and time of a job, at the measured rates."""
    disk = _disk(job)
    on_gpu = machine.device is not None
    working = _working_memory(job, rates)
    kept = float((job.rank * job.num_panel * 4).sum())  # float32, as the likelihood takes them
    cache = min(kept, machine.host_free * CACHE_SHARE)
    host = {
        "process": float(rates.process_bytes),
        "windows kept": cache,
        "features": float(_variants(job) * (job.num_features + 1) * 4),
        "blocks of tracks": float(BLOCKS * job.block_bytes.max()),
        "window read ahead": float((job.rank * job.num_panel * 4).max()),
        **({} if on_gpu else working),
    }
    device = {**working, "window": float((job.rank * job.num_panel * 4).max()), "tracks": float(job.block_bytes.max())}
    seconds = _seconds(job, rates, kept_share=cache / kept)
    counts = {
        "windows": float(job.windows),
        "variants": float(_variants(job)),
        "variants with flanks": float(job.num_panel.sum()),
        "rank": float(job.rank.mean()),
        "parameters": float(rates.parameters),
    }
    found = Plan(disk, host, device if on_gpu else {}, seconds, counts, notes=_notes(job, machine))
    return replace(found, warnings=_warnings(job, found, machine))


def _variants(job: Job) -> int:
    return int(job.num_core.sum())


def _disk(job: Job) -> dict[str, float]:
    panel = float(job.window_bytes.sum()) if job.panel_bytes is None else float(job.panel_bytes)
    # V (rank x core, float32) is kept for re-whitening.
    panel += 0.0 if job.panel_bytes is not None else float((4 * job.rank * job.num_core).sum())
    disk = {"LD panel": panel}
    if job.num_tracks:
        disk["tracks"] = float(job.genome_bases * job.bytes_per_base if job.track_bytes is None else job.track_bytes)
    return disk


def _working_memory(job: Job, rates: Rates) -> dict[str, float]:
    """Of one step: on the device that computes."""
    rank, panel = job.rank.astype(np.float64), job.num_panel.astype(np.float64)
    per_pass = np.minimum(job.num_panel, job.model.enformer.variants_per_pass) if job.num_tracks else job.num_panel
    # The engines work on B and one matrix of its size, or on two of M x M where that is the smaller one.
    likelihood = 4 * np.minimum(rank * panel + 3 * rank**2, 2 * panel**2)
    return {
        "likelihood": float(likelihood.max()),
        "weights and moments": float(4 * ADAM_COPIES * rates.parameters),
        "network's values": float(per_pass.max()) * rates.saved_bytes,
    }


def _seconds(job: Job, rates: Rates, *, kept_share: float) -> dict[str, float]:
    network = job.num_panel / rates.training + (job.passes > 1) * job.num_panel / rates.forward * bool(job.num_tracks)
    values = job.num_panel.astype(np.float64) * job.num_tracks * job.width
    gather = values * np.where(job.passes > 1, 2, 1) / rates.gather
    engines = [
        rates.likelihood.seconds(int(rank), int(panel), gradient_error=job.gradient_error)
        for rank, panel in zip(job.rank, job.num_panel, strict=True)
    ]
    likelihood = job.num_traits * np.array([min(seconds.values()) for seconds in engines])
    load_tracks = job.block_bytes / rates.read_tracks
    load_panel = job.window_bytes / rates.read_panel
    step = np.full(job.windows, rates.step / job.windows_per_step + rates.overhead)
    compute = network + gather + likelihood + step
    # Kept windows need their tracks only; the blocks of those are not kept beyond 1 GB.
    later = kept_share * np.maximum(compute, load_tracks) + (1 - kept_share) * np.maximum(
        compute, load_tracks + load_panel
    )
    first = np.maximum(compute, load_tracks + load_panel)
    check = np.maximum(job.num_panel / rates.forward + values / rates.gather + likelihood, load_tracks)
    validation = check.mean() * job.windows * job.validation_share / job.devices
    training_windows = job.windows * (1 - job.validation_share)
    visited = job.max_steps * job.windows_per_step
    first_visits = min(visited, training_windows)
    steps_a_check = max(job.check_every, training_windows / job.windows_per_step)
    checks = job.max_steps / steps_a_check + 1
    total = (first_visits * first.mean() + (visited - first_visits) * later.mean()) / job.devices + checks * validation
    return {
        "window: network": float(network.mean()),
        "window: gather": float(gather.mean()),
        "window: likelihood": float(likelihood.mean()),
        "window: computing": float(compute.mean()),
        "window: loading": float((load_tracks + load_panel).mean()),
        "window": float(later.mean()),
        "first epoch": float(first.sum() / job.devices),
        "epoch": float(later.sum() / job.devices),
        "check": float(validation),
        "total": float(total),
    }


def _notes(job: Job, machine: Machine) -> list[str]:
    notes = [
        f"the total is that of {job.max_steps:,} steps of {job.windows_per_step} windows, "
        f"{job.max_steps * job.windows_per_step / (job.windows * (1 - job.validation_share)):.1f} epochs; early stopping usually "
        "ends before",
        "starting Python and the search for the first values of scale and sigma2 come on top",
        "every variant is taken to have an association: the likelihood of a window where some lack one takes longer",
    ]
    if job.num_tracks and job.track_bytes is None:
        notes.append("the size of the tracks on disk is that before compression")
    if machine.busy > BUSY:
        notes.append(
            f"this machine is busy ({machine.busy:.1f} processes for each processor): rates and times are those of the share "
            "that is left"
        )
    return notes


def _warnings(job: Job, found: Plan, machine: Machine) -> list[str]:
    warnings = []
    host = job.devices * sum(found.host.values())
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
