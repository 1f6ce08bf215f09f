"""Rates of this machine for `plan`, measured in a few seconds: network, gather, reading, likelihood.

Every rate is taken where the fit would take it: the network on a small pass of variants, with its backward pass; the gather
on a block in memory; reading from the user's own files, after the system was asked to forget them, or from a temporary
file where there are none yet.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import psutil
import torch
import zarr
from torch import Tensor
from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec

from varfx.ld import Core, LDPanel, open_panel
from varfx.ld.store import PANEL, write_window
from varfx.ld.whiten import Factors
from varfx.likelihood.cost_model import calibrated
from varfx.models import ModelConfig, VariancePrior
from varfx.models.track_enformer import DenseTracks
from varfx.prior.plan.cards import COPIES, Card, work_of
from varfx.prior.plan.commands import Products
from varfx.prior.plan.job import Job
from varfx.prior.plan.plan import Machine, Rates
from varfx.progress import Progress, silent
from varfx.tracks.gather import TrackGather, TrackWindow
from varfx.tracks.store import TrackStore
from varfx.training import TrainConfig, TraitData, WindowData

Clock = Callable[[], float]
SMALL_PASS = {"cpu": 16, "cuda": 256}  # variants of a timed pass
SECONDS = 0.6  # that a rate is measured for, at least one run
TRIAL_BASES = 1 << 20  # of the block that is cut, or read where there is no store
TRIAL_BYTES = 1 << 26  # of the temporary file
OVERHEAD_STEPS = 100
PRODUCT = 1024  # rows and columns of the matrices whose product is timed
STREAMED = 4096  # of the matrix that is multiplied with a vector
ACTIVE = 64  # variants whose saved memory is counted


def measure_rates(
    job: Job,
    *,
    device: torch.device | str,
    card: Card | None = None,
    panel: LDPanel | None = None,
    tracks: TrackStore | None = None,
    folder: Path | None = None,
    clock: Clock = time.perf_counter,
    progress: Progress = silent,
) -> Rates:
    """The rates of this machine, in a few seconds (a minute for wide networks on one core).

    Args:
        job: what is planned.
        device: where the fit would compute; the CPU with a card.
        card: a card that is not here, whose rates take the place of the device's; reading is measured here.
        panel: an LD panel to read from.
        tracks: a track store to read from.
        folder: where a temporary file is written and read where there is no panel; by default the working directory.
        clock: what counts as a second; `time.process_time` leaves out what other programs take of a CPU.
        progress: told about each rate.
    """
    where = torch.device(device)
    process_bytes = psutil.Process().memory_info().rss
    prior = VariancePrior(job.model, job.num_features, job.num_traits, num_tracks=job.num_tracks).to(where)
    progress(1, 5, "rates measured")
    if card is None:
        forward, training, saved = _network_rates(prior, job, where, clock)
    else:
        forward, training, saved = _network_rates_of(card, prior, job)
    progress(2, 5, "rates measured")
    gather, read_tracks = math.inf, math.inf
    if job.num_tracks:
        gather = _gather_rate(job, where, clock) if card is None else card.gather
        read_tracks = _store_rate(tracks) if tracks is not None else _zarr_rate(folder)
    progress(3, 5, "rates measured")
    read_panel = _panel_rate(panel) if panel is not None else _disk_rate(folder)
    progress(4, 5, "rates measured")
    parameters = sum(parameter.numel() for parameter in prior.parameters())
    rates = Rates(
        forward=forward,
        training=training,
        parameters=parameters,
        saved_bytes=saved,
        step=_step_seconds(prior, where, clock) if card is None else _step_on(card, parameters),
        overhead=_overhead(folder, clock),
        gather=gather,
        read_tracks=read_tracks,
        read_panel=read_panel,
        likelihood=calibrated(torch.float32, where) if card is None else card.likelihood,
        process_bytes=process_bytes,
        products=Products(_products(torch.float32, clock), _products(torch.float64, clock), _streamed(clock)),
    )
    progress(5, 5, "rates measured")
    return rates


def rates_on(card: Card, job: Job, rates: Rates) -> Rates:
    """Rates of this machine with those of a card for network, tracks, likelihood and optimiser.

    Args:
        card: its rates.
        job: what is planned; operators and operations of its network are counted on a small pass on the CPU.
        rates: of this machine.
    """
    prior = VariancePrior(job.model, job.num_features, job.num_traits, num_tracks=job.num_tracks)
    forward, training, saved = _network_rates_of(card, prior, job)
    return replace(
        rates,
        forward=forward,
        training=training,
        saved_bytes=saved,
        step=_step_on(card, rates.parameters),
        gather=card.gather if job.num_tracks else math.inf,
        likelihood=card.likelihood,
    )


def _step_on(card: Card, parameters: int) -> float:
    """Seconds of one step of AdamW."""
    return COPIES * 4 * parameters / card.bandwidth


def this_machine(device: torch.device | str, folder: Path | None = None, *, card: Card | None = None) -> Machine:
    """Resources of this machine.

    Args:
        device: where the fit would compute.
        card: a card that is not here, in its place.
        folder: where its files would go; by default the working directory.
    """
    memory, where = psutil.virtual_memory(), torch.device(device)
    on_gpu = where.type == "cuda"
    device_bytes = torch.cuda.get_device_properties(where).total_memory if on_gpu else None
    return Machine(
        host=memory.total,
        host_free=memory.available,
        disk_free=shutil.disk_usage(folder or Path.cwd()).free,
        device=device_bytes if card is None else card.memory,
        name=card.name if card is not None else torch.cuda.get_device_name(where) if on_gpu else "CPU",
        threads=torch.get_num_threads(),
        elsewhere=card is not None,
        busy=os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else 0.0,
    )


def seconds_of(
    task: Callable[[], object], device: torch.device, clock: Clock = time.perf_counter, *, at_least: float = SECONDS
) -> float:
    """The shortest of several runs, after one that warms up; long tasks run twice in all."""
    task()
    times: list[float] = []
    while not times or (sum(times) < at_least and len(times) < 20):
        _wait(device)
        started = clock()
        task()
        _wait(device)
        times.append(clock() - started)
    return min(times)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _network_rates(prior: VariancePrior, job: Job, device: torch.device, clock: Clock) -> tuple[float, float, int]:
    """Variants a second forward, forward and backward, and bytes a variant leaves for the backward pass."""
    count = int(job.sizes.num_panel.max())
    if job.num_tracks:
        count = min(count, job.model.enformer.variants_per_pass, SMALL_PASS.get(device.type, 16))
    features = _features(job, count, device)
    heterozygosity = torch.full((count,), 0.2, device=device)

    def forward() -> Tensor:
        with torch.no_grad():
            F: Tensor = prior(features, heterozygosity)
        return F

    def both() -> None:
        prior(features, heterozygosity).sum().backward()
        prior.zero_grad()

    saved = _saved_bytes(prior, job, min(count, ACTIVE), device)
    return count / seconds_of(forward, device, clock), count / seconds_of(both, device, clock), saved


def _network_rates_of(card: Card, prior: VariancePrior, job: Job) -> tuple[float, float, int]:
    """The same three of a card that is not here, from the operations of a small pass on the CPU."""
    few = SMALL_PASS["cpu"]
    features, heterozygosity = _features(job, few, torch.device("cpu")), torch.full((few,), 0.2)

    def forward() -> None:
        with torch.no_grad():
            prior(features, heterozygosity)

    def both() -> None:
        prior(features, heterozygosity).sum().backward()
        prior.zero_grad()

    count = int(job.sizes.num_panel.max())
    enformer = job.model.enformer
    count = min(count, enformer.variants_per_pass) if job.num_tracks else count
    precision = enformer.precision if job.num_tracks else "float32"
    saved = _saved_bytes(prior, job, few, torch.device("cpu"))
    rates = [work_of(task, few).rate(card, precision, count) for task in (forward, both)]
    return rates[0], rates[1], saved


def _features(job: Job, count: int, device: torch.device) -> Tensor | DenseTracks:
    features = torch.randn(count, job.num_features, generator=torch.Generator().manual_seed(0)).to(device)
    if not job.num_tracks:
        return features
    tracks = torch.zeros(count, job.num_tracks, job.width, device=device).normal_()
    return DenseTracks(tracks, features)


def _saved_bytes(prior: VariancePrior, job: Job, count: int, device: torch.device) -> int:
    """Memory kept per variant between a network's forward and backward passes, input included."""
    features = _features(job, count, device)
    weights = {parameter.untyped_storage().data_ptr() for parameter in prior.parameters()}
    kept: dict[int, int] = {}

    def count_bytes(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count_bytes, lambda tensor: tensor):
        score = prior.network(features)
    own = features.nbytes if isinstance(features, Tensor) else features.tracks.nbytes
    del score
    return -(-(sum(kept.values()) + own) // count)


def _step_seconds(prior: VariancePrior, device: torch.device, clock: Clock) -> float:
    optimizer = torch.optim.AdamW(prior.parameters())
    for parameter in prior.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return seconds_of(optimizer.step, device, clock, at_least=0.1)


def _gather_rate(job: Job, device: torch.device, clock: Clock) -> float:
    """Values a second that are cut out of a block of 8-bit tracks."""
    count = min(int(job.sizes.num_panel.max()), 64 if device.type == "cpu" else job.model.enformer.variants_per_pass)
    tracks, none = job.num_tracks, torch.zeros(0, dtype=torch.long, device=device)
    generator = torch.Generator().manual_seed(0)
    bases = TRIAL_BASES // 4
    window = TrackWindow(
        codes=torch.randint(0, 250, (tracks, bases), dtype=torch.uint8, generator=generator).to(device),
        halves=torch.zeros(0, bases, dtype=torch.float16, device=device),
        code_rows=torch.arange(tracks, device=device),
        half_rows=none,
        slope=torch.ones(tracks, dtype=torch.float64, device=device),
        intercept=torch.zeros(tracks, dtype=torch.float64, device=device),
        first=torch.randint(0, bases - job.width, (count,), generator=generator).to(device),
        placed=torch.ones(count, dtype=torch.bool, device=device),
        complete=True,
        mask_rows=none,
        width=job.width,
        dtype=torch.float32,
        predictors=torch.zeros(count, 0, device=device),
    )
    rows = torch.arange(count, device=device)
    return count * tracks * job.width / seconds_of(lambda: window.gather(rows), device, clock, at_least=0.2)


def _products(dtype: torch.dtype, clock: Clock) -> float:
    """Multiplications per second of a product of matrices on the CPU."""
    A = torch.rand(PRODUCT, PRODUCT, dtype=dtype)
    return PRODUCT**3 / seconds_of(lambda: A @ A, torch.device("cpu"), clock)


def _streamed(clock: Clock) -> float:
    """Multiplications per second of a matrix beyond the processor's cache with a vector, in float32."""
    A, v = torch.rand(STREAMED, STREAMED), torch.rand(STREAMED)
    return STREAMED**2 / seconds_of(lambda: A @ v, torch.device("cpu"), clock, at_least=0.1)


def _overhead(folder: Path | None, clock: Clock) -> float:
    """Seconds of a step beside its computing: a fit of windows with next to nothing in them, start and end left out."""
    from varfx.training import train  # loads Lightning

    with tempfile.TemporaryDirectory(dir=folder) as name:
        data = _tiny_data(Path(name) / "P.ld.zarr")
        seconds = []
        for steps in (10, 10 + OVERHEAD_STEPS):
            there = Path(name) / str(steps)
            there.mkdir()
            model = VariancePrior(ModelConfig(kind="constant"), 0, 1)
            started = clock()
            train(model, data, [0], [1], TrainConfig(max_steps=steps, engine="exact", patience=steps), there)
            seconds.append(clock() - started)
    return max(0.0, seconds[1] - seconds[0]) / OVERHEAD_STEPS


def _tiny_data(path: Path) -> WindowData:
    """Two windows of four variants each."""
    zarr.create_group(path).create_group("windows")
    cores = [Core("1", 0, 1000), Core("1", 1000, 2000)]
    factors = Factors(lam=np.ones(4), V=np.eye(4), B=np.eye(4))
    rows = [np.arange(4), np.arange(4, 8)]
    for core, inside in zip(cores, rows, strict=True):
        write_window(path, core, factors, inside, inside, np.ones(4), 1.0, dtype=np.dtype(np.float32))
    places = {"chrom": ["1"] * 8, "position": list(range(100, 2000, 250)), "variant_id": [f"rs{i}" for i in range(8)]}
    alleles = {"effect_allele": ["A"] * 8, "other_allele": ["G"] * 8, "eaf": [0.3] * 8, "ld_score": [1.0] * 8}
    table = [{"name": core.name, "chrom": "1", "start": core.start, "end": core.end} for core in cores]
    windows = pl.DataFrame(table).with_columns(num_core=4, num_panel=4, rank=4, variance_kept=1.0)
    PANEL.finish(path, pl.DataFrame({**places, **alleles}), windows, {"num_people": 100, "config": {"flank": 0}})
    trait = TraitData(name="trial", z=np.ones(8), n=np.full(8, 1000.0), n_ref=1000.0)
    return WindowData(open_panel(path), [trait], np.zeros((8, 0)), np.full(8, 0.2))


def _store_rate(store: TrackStore) -> float:
    """Bytes a second of blocks read from a store, which the system may hold in its memory already."""
    few = store.select(store.names[: min(8, len(store.names))])
    chrom = max(few.lengths, key=lambda name: few.lengths[name])
    start = few.lengths[chrom] // 3
    size = min(TRIAL_BASES, few.lengths[chrom] - start)
    TrackGather(few)  # so that what it imports is not timed
    started = time.perf_counter()
    block = few.block(chrom, start, start + size)
    return block.num_bytes / (time.perf_counter() - started)


def _zarr_rate(folder: Path | None) -> float:
    """The same from a temporary array like those of a store, with values in runs."""
    rng = np.random.default_rng(0)
    codes = np.repeat(np.minimum(rng.gamma(0.3, 30, TRIAL_BASES // 16), 254).astype(np.uint8), 16)
    with tempfile.TemporaryDirectory(dir=folder) as there:
        path = Path(there) / "trial"
        array = zarr.create_array(
            path,
            shape=codes.shape,
            chunks=(1 << 19,),
            dtype=np.uint8,
            fill_value=0,
            serializer=BytesCodec(),
            compressors=(ZstdCodec(level=3), Crc32cCodec()),
        )
        array[:] = codes
        opened = zarr.open_array(path, mode="r")
        return codes.nbytes / seconds_of(lambda: opened[:], torch.device("cpu"), at_least=0.1)


def _panel_rate(panel: LDPanel) -> float:
    """Bytes of B a second, of the largest of the panel's windows."""
    index = int((panel.windows["rank"] * panel.windows["num_panel"]).arg_max() or 0)
    for file in (panel.path / "windows" / panel.cores[index].name).rglob("*"):
        if file.is_file():
            _forget(file)
    started = time.perf_counter()
    window = panel.window(index)
    return window.factors.B.nbytes / (time.perf_counter() - started)


def _disk_rate(folder: Path | None) -> float:
    """Bytes a second read from a file that was just written, and forgotten by the system where it obeys."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(np.random.default_rng(0).bytes(TRIAL_BYTES))
        file.flush()
        os.fsync(file.fileno())
        _forget(Path(file.name))
        started = time.perf_counter()
        Path(file.name).read_bytes()
        return TRIAL_BYTES / (time.perf_counter() - started)


def _forget(file: Path) -> None:
    """Asks the system to drop a file from its memory, so that reading it reads the disk."""
    if hasattr(os, "posix_fadvise"):
        with open(file, "rb") as handle:
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
