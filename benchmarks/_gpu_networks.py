"""Parts `expression network` and `tracks`: training steps at the published size, and what feeds them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from _gpu_equality import made_up_tracks
from _gpu_measure import (
    Record,
    Setting,
    flops,
    kernels,
    matrix_rate,
    seconds_of,
    synchronise,
    tf32,
    timed,
)

TRACKS = 165
PEOPLE_PER_GENE = 671  # training people of GTEx


def expression_network(record: Record, setting: Setting) -> None:
    """Steps of the published Enformer on 49,152 bp: batch 32, pairwise loss, bfloat16; predictions and mutagenesis."""
    from varfx.expression.variants.ism import mutagenesis
    from varfx.models.expression import ExpressionNetwork, ExpressionNetworkConfig
    from varfx.models.full_precision import full_precision
    from varfx.training.people.pairwise import Dropout, backward

    device = setting.device
    length, batch = setting.size(49_152, 512), setting.size(32, 4)
    sizes: dict[str, Any] = {"window": length, "precision": "bfloat16"}
    if setting.dry_run:
        sizes |= {"width": 24, "depth": 1, "num_downsamples": 4}
    generator = torch.Generator().manual_seed(0)
    x = nn.functional.one_hot(torch.randint(4, (1, length), generator=generator), 4).float().repeat(batch, 1, 1)
    sites = torch.randperm(length, generator=generator)[: length // 100]
    x[:, sites] = 0.25  # people differ here and there; how they are encoded costs little
    x = (x + 0.1 * torch.rand(batch, length, 1, generator=generator)).to(device)
    target = torch.randn(batch, generator=generator)
    rate, counted = float("nan"), {"forward": float("nan"), "both": float("nan")}
    with record.measurement("network") as values:
        rate = matrix_rate(torch.bfloat16, setting)
        network = ExpressionNetwork(ExpressionNetworkConfig(**sizes)).to(device).train()
        counted["forward"] = flops(lambda: network(x[:1]))
        counted["both"] = flops(lambda: network(x[:1]).sum().backward())
        values |= {
            "matrix_rate_bfloat16": rate,
            "parameters": sum(weight.numel() for weight in network.parameters()),
            "window": length,
            "operations_per_person": dict(counted),
        }
        del network

    def step_of(micro: int, checkpointing: bool, keep: bool, compiled: bool = False) -> Callable[[], None]:
        network = ExpressionNetwork(ExpressionNetworkConfig(**sizes, checkpointing=checkpointing)).to(device).train()
        optimizer = torch.optim.AdamW([each for each in network.parameters() if each.requires_grad], lr=5e-6)
        run = torch.compile(network, dynamic=False) if compiled else network

        def step() -> None:
            parts = [lambda part=part: run(part) for part in x.split(micro)]
            backward(network, parts, target.split(micro), Dropout(0, device), keep_graphs=keep)
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

        return step

    def rated(values: dict[str, Any], operations: float) -> None:
        people = batch / values["seconds"]
        values |= {"people_per_second": people, "share_of_matrix_rate": operations * people / rate}
        values["minutes_per_pass_over_a_gene"] = PEOPLE_PER_GENE / people / 60
        values["passes_in_ten_minutes"] = 600 * people / PEOPLE_PER_GENE

    twice = counted["forward"] + counted["both"]
    ways = [
        (batch, False, counted["both"]),
        (batch, True, twice),
        (batch // 2, False, twice),
        (batch // 4, False, twice),
    ]
    for micro, checkpointing, operations in ways:
        name = f"step of {batch}, micro-batches of {micro}{', checkpointing' if checkpointing else ''}"
        if not record.enough(name, 15):
            continue
        with record.measurement(name) as values:
            values |= timed(step_of(micro, checkpointing, False), device, warm_up=1, runs=3, budget=10.0)
            rated(values, operations)
    if record.enough("kernels of a micro-batch", 10):
        with record.measurement("kernels of a micro-batch") as values:
            network = ExpressionNetwork(ExpressionNetworkConfig(**sizes)).to(device).train()
            some = x[: batch // 4]
            values |= kernels(lambda: network(some).sum().backward(), device)
            values["people"] = len(some)
            del network
    if record.enough("predictions", 15):
        with record.measurement("predictions") as values:
            network = ExpressionNetwork(ExpressionNetworkConfig(**sizes)).to(device).eval()
            some = x[: batch // 4]
            with torch.no_grad():
                values["bfloat16"] = timed(lambda: network(some), device, runs=3, budget=3.0)
                with full_precision(network):
                    values["float32"] = timed(lambda: network(some), device, warm_up=1, runs=3, budget=5.0)
                    with tf32(True):
                        values["float32 with TF32 (not what varfx does)"] = timed(lambda: network(some), device, runs=3)
            values["people"] = len(some)
            del network
    if record.enough("mutagenesis", 20):
        with record.measurement("mutagenesis") as values:
            network = ExpressionNetwork(ExpressionNetworkConfig(**sizes)).to(device)
            places = torch.arange(0, length, length // setting.size(128, 8), device=device)
            readout = network.config.readout
            for size in (16, 64):
                with full_precision(network):
                    values[f"{size} a pass"] = timed(
                        lambda size=size: mutagenesis(
                            network.trunk,
                            network.read,
                            x[0],
                            places,
                            torch.eye(4, device=device)[places % 4],
                            rows=slice(readout, readout + 1),
                            variants_per_pass=size,
                        ),
                        device,
                        warm_up=1,
                        runs=2,
                        budget=6.0,
                    )
            values["variants"] = len(places)
            del network
    name = f"compiled step of {batch}, micro-batches of {batch // 4}"
    if record.enough(name, 60 if not setting.dry_run else 1e9):
        with record.measurement(name) as values, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch._dynamo.reset()
            step = step_of(batch // 4, False, False, compiled=True)
            values["seconds_of_first_step"] = seconds_of(step, device)
            values |= timed(step, device, warm_up=1, runs=3, budget=10.0)
            rated(values, twice)


def track_reading(record: Record, setting: Setting) -> None:
    """Cutting tracks on the device, moving them there, and whether moving hides behind computing."""
    device = setting.device
    tracks, bases, width = setting.size(TRACKS, 6), setting.size(3_000_000, 4_000), setting.size(256, 32)
    variants = setting.size(10_240, 24)
    bandwidth: list[float] = []
    with record.measurement("copy on the device") as values:
        size = setting.size(2**30, 2**16)
        values |= copy_time(size, device)
        bandwidth.append(2 * size / values["seconds"])
        values["bytes_per_second"] = bandwidth[0]
    host = made_up_tracks(tracks, bases, variants, width, 9)
    features = host.to(device)
    for dtype in (torch.bfloat16, torch.float32):
        for complete in (True, False):
            for size in (512, 2048) if not setting.dry_run else (8,):
                some = f", {size} at a time, {'nothing' if complete else 'something'} missing"
                with record.measurement(f"gather, {str(dtype)[6:]}{some}") as values:
                    window = _with(features, dtype=dtype, complete=complete)

                    def cut(window: Any = window, size: int = size) -> None:
                        for _, batch in window.batches(size):
                            del batch

                    values |= timed(cut, device, runs=5, budget=2.0)
                    numbers = variants * tracks * width
                    values["variants_per_second"] = variants / values["seconds"]
                    least = numbers * (1 + dtype.itemsize)  # codes read once, values written once
                    values["share_of_bandwidth"] = least / values["seconds"] / bandwidth[0] if bandwidth else None
    if record.enough("average", 5):
        with record.measurement("average") as values:
            values |= timed(features.average, device, warm_up=1, runs=3, budget=3.0)
    B = torch.zeros(setting.size(2000, 10), setting.size(13_000, 40), dtype=torch.float16).normal_()
    moved = {"tracks of a window": host.codes, "B of r 2000, M 13000 in float16": B}
    for name, tensor in moved.items():
        with record.measurement(f"to the device: {name}") as values:
            values["bytes"] = tensor.nbytes
            values["pageable"] = timed(lambda tensor=tensor: tensor.to(device), device, runs=5, budget=2.0)
            if device.type == "cuda":
                pinned = tensor.pin_memory()
                target = torch.empty_like(tensor, device=device)
                copy = timed(lambda: target.copy_(pinned, non_blocking=True), device, runs=5, budget=2.0)  # noqa: B023
                values["pinned"] = {**copy, "bytes_per_second": tensor.nbytes / copy["seconds"]}
                values["to a number of float32"] = timed(lambda: target.float(), device, runs=5, budget=1.0)  # noqa: B023
    if device.type == "cuda" and record.enough("overlap", 5):
        with record.measurement("overlap") as values:
            values |= overlap(host.codes.pin_memory(), device)


def copy_time(size: int, device: torch.device) -> dict[str, Any]:
    """Times of a copy of so many bytes."""
    a = torch.empty(size, dtype=torch.uint8, device=device).random_(0, 255)
    b = torch.empty_like(a)
    return timed(lambda: b.copy_(a), device, budget=1.0)


def _with(window: Any, **changes: Any) -> Any:
    import dataclasses

    return dataclasses.replace(window, **changes)


def overlap(pinned: Tensor, device: torch.device) -> dict[str, float]:
    """Seconds of products, of a copy, and of both at once on two streams; `hidden` is the share of the copy that is free."""
    target = torch.empty_like(pinned, device=device)
    A = torch.randn(4096, 4096, device=device, dtype=torch.bfloat16)
    side = torch.cuda.Stream(device)

    def products() -> None:
        for _ in range(200):
            A @ A

    def copy() -> None:
        target.copy_(pinned, non_blocking=True)

    def at_once() -> None:
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):
            copy()
        products()
        torch.cuda.current_stream(device).wait_stream(side)

    seconds = {}
    for name, task in (("products", products), ("copy", copy), ("both", at_once)):
        task()
        synchronise(device)
        seconds[name] = timed(task, device, runs=5, budget=2.0)["seconds"]
    hidden = (seconds["products"] + seconds["copy"] - seconds["both"]) / min(seconds["products"], seconds["copy"])
    return {**seconds, "hidden": hidden}
