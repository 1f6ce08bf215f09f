"""Parts `prior network`, `compiled network` and `autotuned network`: steps of a prior over 165 tracks at the paper's size."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from _gpu_equality import made_up_tracks
from _gpu_measure import SIGMA2, Record, Setting, flops, kernels, matrix_rate, relative_error, synchronise, tf32, timed

GENOME = 12_000_000  # variants
WITH_FLANKS = 3  # a core of 1 Mb and as much on each side: every variant goes through the network three times
TRACKS = 165


class Steps:
    """Data of one window and networks on it: 10,240 variants, 165 tracks of 256 bases, 16 million weights."""

    def __init__(self, setting: Setting) -> None:
        from varfx.ld.whiten import WhitenedWindow

        device = setting.device
        self._setting = setting
        self.variants, self.rank = setting.size(10_240, 24), setting.size(2000, 10)
        self.passes = (512, 2048, 5120, 10_240) if not setting.dry_run else (6, 8, 12, 24)
        self._width, self._bases = setting.size(768, 24), setting.size(256, 32)
        self._tracks = setting.size(TRACKS, 6)
        length = setting.size(3_000_000, 4_000)
        self.features = made_up_tracks(self._tracks, length, self.variants, self._bases, 9).to(device)
        generator = torch.Generator(device).manual_seed(0)
        B = torch.randn(self.rank, self.variants, device=device, generator=generator) / self.variants**0.5
        self.data = WhitenedWindow(B=B, w=torch.randn(self.rank, device=device, generator=generator))
        self.heterozygosity = torch.full((self.variants,), 0.2, device=device)

    @cached_property
    def rate(self) -> float:
        """Operations a second of large products in bfloat16."""
        return matrix_rate(torch.bfloat16, self._setting)

    @cached_property
    def operations(self) -> dict[str, float]:
        """Per variant."""
        from varfx.models.track_enformer import DenseTracks

        network = self.model(8).network
        few = DenseTracks(self.features.gather(torch.arange(8)), self.features.predictors[:8])
        forward = flops(lambda: network(few)) / 8
        both = flops(lambda: network(few).sum().backward()) / 8
        return {"forward": forward, "forward_and_backward": both, "with_recomputing": forward + both}

    def model(self, size: int, precision: str = "bfloat16", *, channels_last: bool = False) -> Any:
        """A prior with passes of so many variants."""
        from varfx.models.prior import ModelConfig, VariancePrior
        from varfx.models.track_enformer import TrackEnformerConfig

        options: dict[str, Any] = {"precision": precision, "variants_per_pass": size, "width": self._width}
        if self._setting.dry_run:
            options |= {"heads": 2, "key_width": 16}
        enformer = TrackEnformerConfig(**options, window=self._bases, zero_output=False)
        model = VariancePrior(ModelConfig(kind="enformer", enformer=enformer), 9, 1, num_tracks=self._tracks)
        model.to(self._setting.device)
        calibrated = dataclasses.replace(model.network.config, variants_per_pass=min(size, self.passes[1]))
        model.network.config, kept = calibrated, model.network.config
        model.network.calibrate(self.features)
        model.network.config = kept
        if channels_last:
            with torch.no_grad():
                for module in model.modules():
                    if isinstance(module, nn.Conv1d):
                        wide = module.weight[:, :, None].contiguous(memory_format=torch.channels_last)
                        module.weight = nn.Parameter(wide.squeeze(2))
        return model

    def step(self, model: Any) -> Callable[[], None]:
        """Network, exact likelihood, AdamW."""
        from varfx.likelihood import exact
        from varfx.models.channel_norm import fold_statistics

        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

        def step() -> None:
            F = model(self.features, self.heterozygosity)[:, 0]
            (-exact(self.data, F, SIGMA2, dtype=torch.float32).log_p / self.rank).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            fold_statistics(model.network)

        return step

    def rated(self, values: dict[str, Any], size: int, operations: float | None = None) -> None:
        """Adds variants a second and what follows from it to the seconds of a step with passes of `size`."""
        counts = self.operations
        each = operations or counts["forward_and_backward" if size >= self.variants else "with_recomputing"]
        per_second = self.variants / values["seconds"]
        values["variants_per_second"] = per_second
        values["share_of_matrix_rate"] = each * per_second / self.rate
        values["hours_per_12_million_variants"] = GENOME / per_second / 3600
        values["hours_with_flanks"] = WITH_FLANKS * GENOME / per_second / 3600


def prepared(record: Record, setting: Setting) -> Steps | None:
    """The data, and what is known of the network before a step."""
    made: list[Steps] = []
    with record.measurement("data and network") as values:
        steps = Steps(setting)
        network = steps.model(8).network
        values |= {
            "parameters": sum(weight.numel() for weight in network.parameters()),
            "variants": steps.variants,
            "operations_per_variant": steps.operations,
            "matrix_rate_bfloat16": steps.rate,
        }
        made.append(steps)
    return made[0] if made else None


def prior_network(record: Record, setting: Setting) -> None:
    """Steps without compilation: passes of several sizes, both layouts of memory, float32; the kernels of a pass."""
    from varfx.likelihood import exact

    steps, device = prepared(record, setting), setting.device
    if steps is None:
        return
    for channels_last in (False, True):
        for size in steps.passes:
            if channels_last and size == steps.passes[0]:
                continue
            name = f"step, {size} variants a pass{', channels last' if channels_last else ''}"
            if not record.enough(name, 8):
                continue
            with record.measurement(name) as values:
                model = steps.model(size, channels_last=channels_last)
                values |= timed(steps.step(model), device, warm_up=1, runs=4, budget=3.0)
                steps.rated(values, size)
                del model
    likelihood = torch.full((steps.variants,), 0.05, device=device)
    with record.measurement("likelihood of the step alone") as values:
        values |= timed(lambda: exact(steps.data, likelihood, SIGMA2, dtype=torch.float32), device, budget=1.0)
    if record.enough("forward", 6):
        with record.measurement("forward") as values:
            model = steps.model(steps.passes[1])
            with torch.no_grad():
                values |= timed(
                    lambda: model(steps.features, steps.heterozygosity), device, warm_up=1, runs=4, budget=2.0
                )
            steps.rated(values, steps.passes[1], steps.operations["forward"])
    for channels_last in (False, True):
        name = f"kernels of a pass{', channels last' if channels_last else ''}"
        if record.enough(name, 6):
            with record.measurement(name) as values:
                size = steps.passes[1]
                network = steps.model(size, channels_last=channels_last).network
                rows = torch.arange(size, device=device)
                some = steps.features.gather(rows), steps.features.predictors[rows]
                values |= kernels(lambda network=network, some=some: network.score(*some).sum().backward(), device)
                values["variants"] = size
                del network
    if record.enough("step, float32 with TF32", 8):
        with record.measurement("step, float32 with TF32") as values, tf32(True):
            size = steps.passes[1]
            values |= timed(steps.step(steps.model(size, "float32")), device, warm_up=1, runs=3, budget=4.0)
            steps.rated(values, size)


def compiled_network(record: Record, setting: Setting) -> None:
    """Compiled steps: all variants in one pass, several passes, and replayed graphs of kernels, which must not be computed again."""
    compiled_steps(record, setting, (("default", 3, False), ("default", 2, False), ("reduce-overhead", 3, False)))


def autotuned_network(record: Record, setting: Setting) -> None:
    """A compiled step whose products are chosen by measurement."""
    compiled_steps(record, setting, (("max-autotune-no-cudagraphs", 1, False),))


def compiled_steps(record: Record, setting: Setting, ways: tuple[tuple[str, int, bool], ...]) -> None:
    """One measurement per mode, place in `passes`, and layout."""
    steps = prepared(record, setting)
    if steps is None:
        return
    for mode, place, channels_last in ways:
        size = steps.passes[place]
        name = f"compiled step, {mode}, {size} variants a pass{', channels last' if channels_last else ''}"
        if not record.enough(name, 30 if not setting.dry_run else 1e9):
            continue
        with record.measurement(name) as values, quietly():
            torch._dynamo.reset()
            started = time.monotonic()
            model = steps.model(size, channels_last=channels_last)
            rows = torch.arange(size, device=setting.device)
            some = steps.features.gather(rows), steps.features.predictors[rows]
            before = model.network.score(*some).detach()
            model.network.score = separate(torch.compile(model.network.score, dynamic=False, mode=mode))
            values["difference_to_not_compiled"] = relative_error(model.network.score(*some), before)
            step = steps.step(model)
            step()
            synchronise(setting.device)
            values["seconds_until_compiled"] = time.monotonic() - started
            values |= timed(step, setting.device, warm_up=1, runs=5, budget=4.0)
            steps.rated(values, size)
            del model, step


def separate(score: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The compiled function with a copy of its output: replayed graphs of kernels write the next output in its place."""
    return lambda *arguments: score(*arguments).clone()


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
