"""Part `equality`: the device's numbers against the CPU's in float64, with a stated tolerance for each precision."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from _gpu_measure import SIGMA2, Panel, Record, Setting, panel, relative_error, tf32

# | out - truth | / | truth |: rounding of each precision, times what the condition of the tested sizes costs.
LIKELIHOOD = {torch.float64: 1e-9, torch.float32: 2e-4}
NETWORK = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 5e-2}
GRADIENT = {torch.float64: 1e-8, torch.float32: 1e-3, torch.bfloat16: 2e-1}
NAME = {torch.float64: "float64", torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}
CPU = torch.device("cpu")


def equality(record: Record, setting: Setting) -> None:
    """All checks; a check that is not within its tolerance does not fail the part, but `passed` says so."""
    for name, check in CHECKS.items():
        if not record.enough(name, 3):
            continue
        with record.measurement(name) as values:
            rows = check(setting)
            values["checks"] = rows
            values["passed"] = all(row["passed"] for row in rows)
    if record.enough("gpu-marked tests", 15):
        with record.measurement("gpu-marked tests") as values:
            values["files"] = marked_tests(record.left, most=1 if setting.dry_run else None)
            values["passed"] = all(row["code"] in (0, 5) for row in values["files"])


def row(name: str, found: Tensor, truth: Tensor, tolerance: float) -> dict[str, Any]:
    error = relative_error(found, truth)
    return {"check": name, "error": error, "tolerance": tolerance, "passed": error <= tolerance}


def window_of(case: Panel, dtype: torch.dtype, stored: torch.dtype | None, device: torch.device) -> Any:
    from varfx.ld.whiten import WhitenedWindow

    B = case.B.double() if stored is None else case.B.to(stored)
    window = WhitenedWindow(B=B.to(device), w=case.w.to(device, dtype))
    return window if stored is not None else window.to(dtype=dtype)


def small_panel(setting: Setting) -> Panel:
    return panel(setting.size(300, 24), setting.size(1200, 60), setting.size(400, 30), CPU)


def exact_likelihood(setting: Setting) -> list[dict[str, Any]]:
    from varfx.ld.whiten import WhitenedWindow
    from varfx.likelihood import exact

    case, rows = small_panel(setting), []
    for stored in (None, torch.float16, torch.bfloat16):
        truth = exact(window_of(case, torch.float64, stored, CPU), case.F, SIGMA2, dtype=torch.float64, form="rank")
        for dtype in (torch.float64, torch.float32):
            there = window_of(case, dtype, stored, setting.device)
            F = case.F.to(setting.device, dtype)
            for form in ("rank", "symmetric"):
                found = exact(there, F, SIGMA2, dtype=dtype, form=form)
                name = f"{form}, {NAME[dtype]}, B in {NAME.get(stored, 'the same')}"
                rows += both(name, found, truth, LIKELIHOOD[dtype])
    generator = torch.Generator().manual_seed(3)
    T = torch.linalg.qr(torch.randn(case.w.shape[0], case.w.shape[0], generator=generator, dtype=torch.float64)).Q[:-3]
    w = torch.randn(T.shape[0], 3, generator=generator, dtype=torch.float64)
    plain = WhitenedWindow(B=case.B.double(), w=w, T=T)
    truth = exact(plain, case.F, SIGMA2, dtype=torch.float64)
    found = exact(plain.to(device=setting.device), case.F.to(setting.device), SIGMA2, dtype=torch.float64)
    return rows + both("re-whitened, 3 replicates, float64", found, truth, LIKELIHOOD[torch.float64])


def both(name: str, found: Any, truth: Any, tolerance: float) -> list[dict[str, Any]]:
    """Rows for value and gradient."""
    return [
        {**row(f"log p: {name}", found.log_p, truth.log_p, tolerance), "engine": found.engine},
        row(f"gradient by F: {name}", found.grad_F, truth.grad_F, tolerance),
        row(f"gradient by sigma2: {name}", found.grad_sigma2, truth.grad_sigma2, tolerance),
    ]


def stochastic_likelihood(setting: Setting) -> list[dict[str, Any]]:
    """The same probes on both devices; and the error against `exact`, which must be what is claimed, give or take."""
    from varfx.likelihood import exact, stochastic

    case, rows = small_panel(setting), []
    probes = setting.size(32, 16)

    def run(dtype: torch.dtype, stored: torch.dtype | None, device: torch.device, **options: Any) -> Any:
        window = window_of(case, dtype, stored, device)
        generator = torch.Generator().manual_seed(5)
        return stochastic(window, case.F.to(device, dtype), SIGMA2, generator=generator, dtype=dtype, **options)

    for stored in (None, torch.float16, torch.bfloat16):
        truth = run(torch.float64, stored, CPU, num_probes=probes, rtol=1e-9)
        for dtype, rtol, tolerance in ((torch.float64, 1e-9, 1e-6), (torch.float32, 1e-5, 2e-3)):
            found = run(dtype, stored, setting.device, num_probes=probes, rtol=rtol)
            rows += both(f"{NAME[dtype]}, B in {NAME.get(stored, 'the same')}", found, truth, tolerance)
    certain = exact(window_of(case, torch.float64, None, CPU), case.F, SIGMA2, dtype=torch.float64)
    found = run(torch.float32, None, setting.device, gradient_error=0.1)
    against = row("gradient by F against exact, 10 % asked for", found.grad_F, certain.grad_F, 0.2)
    return [*rows, {**against, "claimed_error": found.grad_F_error, "probes": found.num_probes, "engine": found.engine}]


def chi2_objectives(setting: Setting) -> list[dict[str, Any]]:
    from varfx.likelihood.chi2 import Chi2Window
    from varfx.likelihood.composite import composite
    from varfx.likelihood.ldsr import ldsr

    case, rows = small_panel(setting), []
    count = case.z.shape[0]
    observed = torch.arange(0, count, 2)
    window = Chi2Window(
        squares=case.cross.square().half(),
        rows=observed,
        chi2=case.z[observed].square(),
        scale=torch.linspace(0.8, 1.0, len(observed), dtype=torch.float64),
        weights=torch.linspace(0.1, 1.0, len(observed), dtype=torch.float64),
    )
    for name, engine, value in (("ldsr", ldsr, "weighted_squares"), ("composite", composite, "composite_log_p")):
        truth = engine(window, case.F, SIGMA2)
        for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-4)):
            found = engine(window.to(setting.device), case.F.to(setting.device, dtype), SIGMA2)
            label = f"{name}, {NAME[dtype]}"
            rows.append(row(f"value: {label}", getattr(found, value), getattr(truth, value), tolerance))
            rows.append(row(f"gradient by F: {label}", found.grad_F, truth.grad_F, tolerance))
            rows.append(row(f"gradient by sigma2: {label}", found.grad_sigma2, truth.grad_sigma2, tolerance))
    return rows


def shaken(network: nn.Module, run: Callable[[nn.Module], object]) -> nn.Module:
    """The network with no weight left at the 0 that it starts at, and statistics of what `run` shows it.

    Every part is compared then, and at values of a trained network's size: of a signal that shrinks from layer to layer
    gradients are small differences.
    """
    from varfx.models.channel_norm import calibration

    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.02)
        network.eval()
        with calibration(network):
            run(network)
    return network.train()


def network_rows(
    name: str, network: nn.Module, forward: Callable[[nn.Module, torch.device, torch.dtype], Tensor], setting: Setting
) -> list[dict[str, Any]]:
    """Output and gradient of every precision against float64 on the CPU, and that every parameter has a gradient."""
    reference = copy.deepcopy(network).double()
    truth, truth_gradient, _ = run_network(reference, forward, CPU, torch.float64)
    rows = []
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        here = copy.deepcopy(network).to(setting.device)
        here = here.double() if dtype == torch.float64 else here
        if dtype == torch.bfloat16:
            in_bfloat16(here)
        with tf32(False):
            found, gradient, without = run_network(here, forward, setting.device, dtype)
        rows.append(row(f"output: {name}, {NAME[dtype]}", found, truth, NETWORK[dtype]))
        rows.append(row(f"gradient: {name}, {NAME[dtype]}", gradient, truth_gradient, GRADIENT[dtype]))
        missing = {"check": f"gradient of every parameter: {name}, {NAME[dtype]}", "without": without}
        rows.append({**missing, "passed": not without})
    return rows


def in_bfloat16(network: nn.Module) -> None:
    """Turns the autocast of every Enformer and Borzoi inside on."""
    import dataclasses

    from varfx.models.borzoi import Borzoi
    from varfx.models.enformer import Enformer

    for module in network.modules():
        if isinstance(module, Enformer | Borzoi):
            module.config = dataclasses.replace(module.config, precision="bfloat16")


def run_network(
    network: nn.Module,
    forward: Callable[[nn.Module, torch.device, torch.dtype], Tensor],
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, list[str]]:
    out = forward(network, device, torch.float64 if dtype == torch.float64 else torch.float32)
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(13)).to(device, out.dtype)
    (out * weight).sum().backward()
    named = list(network.named_parameters())
    without = [key for key, value in named if value.requires_grad and value.grad is None]
    gradient = torch.cat([value.grad.detach().double().cpu().flatten() for _, value in named if value.grad is not None])
    return out, gradient, without


def small_enformer(**options: Any) -> Any:
    from varfx.models.enformer import EnformerConfig

    sizes = {"width": 96, "depth": 2, "heads": 4, "key_width": 16, "num_downsamples": 5, "target_length": None}
    sizes |= {"dropout": 0.0, "attention_dropout": 0.0, "position_dropout": 0.0, "norm": "running"}
    return EnformerConfig(**{**sizes, "output_heads": {"human": 7}, **options})


def one_hot(batch: int, length: int) -> Tensor:
    generator = torch.Generator().manual_seed(11)
    return nn.functional.one_hot(torch.randint(4, (batch, length), generator=generator), 4).double()


def enformer(setting: Setting) -> list[dict[str, Any]]:
    from varfx.models.enformer import Enformer

    x = one_hot(2, setting.size(4096, 256))
    rows = []
    for label, options in (("plain", {}), ("checkpointed", {"checkpointing": True}), ("layer norm", {"norm": "layer"})):
        network = shaken(Enformer(small_enformer(**options)), lambda net: net(x.float()))
        rows += network_rows(
            f"Enformer, {label}", network, lambda net, device, dtype: net(x.to(device, dtype))["human"], setting
        )
    return rows


def track_enformer(setting: Setting) -> list[dict[str, Any]]:
    """On gathered tracks, in several passes, which are computed again in the backward pass."""
    from varfx.models.track_enformer import TrackEnformer, TrackEnformerConfig

    tracks, variants = 12, setting.size(96, 24)
    sizes = {"width": 48, "heads": 2, "window": 64, "variants_per_pass": variants // 3, "zero_output": False}
    config = TrackEnformerConfig(**sizes)
    features = made_up_tracks(tracks, 5000, variants, 64, 5)
    made = TrackEnformer(config, tracks, 5, 3, torch.Generator().manual_seed(0))
    network = shaken(made, lambda net: net.calibrate(features))

    def forward(net: nn.Module, device: torch.device, dtype: torch.dtype) -> Tensor:
        import dataclasses

        here = dataclasses.replace(features, dtype=dtype, predictors=features.predictors.to(dtype)).to(device)
        return net(here)

    return network_rows("track Enformer in passes", network, forward, setting)


def made_up_tracks(tracks: int, bases: int, variants: int, width: int, predictors: int, seed: int = 0) -> Any:
    """A window's stretch of 8-bit tracks on the CPU: runs of 16 bases, as signals have them."""
    from varfx.tracks.gather import TrackWindow

    generator = torch.Generator().manual_seed(seed)
    runs = torch.rand(tracks, -(-bases // 16), generator=generator).pow_(8).mul_(254).to(torch.uint8)
    first = torch.randint(0, bases - width, (variants,), generator=generator).sort().values
    return TrackWindow(
        codes=runs.repeat_interleave(16, dim=1)[:, :bases].contiguous(),
        halves=torch.zeros(0, bases, dtype=torch.float16),
        code_rows=torch.arange(tracks),
        half_rows=torch.arange(0),
        slope=torch.linspace(0.01, 0.05, tracks, dtype=torch.float64),
        intercept=torch.full((tracks,), -0.5, dtype=torch.float64),
        first=first,
        placed=torch.ones(variants, dtype=torch.bool),
        complete=True,
        mask_rows=torch.arange(0),
        width=width,
        dtype=torch.float32,
        predictors=torch.randn(variants, predictors, generator=generator, dtype=torch.float64).float(),
    )


def gathering(setting: Setting) -> list[dict[str, Any]]:
    """Also far behind the 2^31st element of the view that `gather` selects from: cuts against plain slices."""
    features = made_up_tracks(165, setting.size(200_000, 3_000), setting.size(200, 20), 256, 2)
    there = features.to(setting.device)
    rows = torch.arange(features.num_variants)
    found = there.gather(rows)
    slices = [features.codes[:, start : start + 256] for start in features.first.tolist()]
    truth = torch.stack(slices).double() * features.slope[:, None] + features.intercept[:, None]
    average, known = there.average()
    return [
        row("gather, 8-bit codes", found, truth, 1e-6),
        row("average, 8-bit codes", average, truth.mean(2), 1e-9),
        row("average, share that is known", known, torch.ones_like(known).cpu(), 0.0),
    ]


def pairwise(setting: Setting) -> list[dict[str, Any]]:
    """Value and gradient of a batch, whole and cut, against the CPU; with dropout the cut must not matter on the device."""
    from varfx.models.expression import ExpressionNetwork, ExpressionNetworkConfig
    from varfx.training.people.pairwise import Dropout, backward

    length, people = setting.size(2048, 256), 8
    sizes = {"window": length, "width": 96, "depth": 2, "num_downsamples": 5, "norm": "frozen"}
    none = {"dropout": 0.0, "attention_dropout": 0.0, "position_dropout": 0.0}
    x, target = one_hot(people, length), torch.randn(people, generator=torch.Generator().manual_seed(2)).double()

    def gradient(config: Any, device: torch.device, dtype: torch.dtype, cut: int, keep: bool) -> tuple[float, Tensor]:
        network = shaken(ExpressionNetwork(config), lambda net: net(x.float())).to(device, dtype)
        parts = [lambda part=part: network(part.to(device, dtype)) for part in x.split(cut)]
        with tf32(False):
            sums = backward(network, parts, target.split(cut), Dropout(1, device), keep_graphs=keep)
        found = [value.grad.double().cpu().flatten() for value in network.parameters() if value.grad is not None]
        return sums.loss, torch.cat(found)

    without = ExpressionNetworkConfig(**sizes, **none)
    loss, truth = gradient(without, CPU, torch.float64, people, True)
    rows = []
    for dtype, tolerance in ((torch.float64, 1e-8), (torch.float32, 1e-3)):
        for cut in (people, 3):
            value, found = gradient(without, setting.device, dtype, cut, False)
            rows.append(row(f"gradient: {NAME[dtype]}, micro-batches of {cut}", found, truth, tolerance))
            rows.append(
                row(f"loss: {NAME[dtype]}, micro-batches of {cut}", torch.tensor(value), torch.tensor(loss), 1e-3)
            )
    with_dropout = ExpressionNetworkConfig(**sizes)
    kept = gradient(with_dropout, setting.device, torch.float64, 3, True)[1]
    repeated = gradient(with_dropout, setting.device, torch.float64, 3, False)[1]
    return [*rows, row("dropout: predictions computed twice against kept graphs", repeated, kept, 1e-8)]


def mutagenesis(setting: Setting) -> list[dict[str, Any]]:
    """Effects by local recomputation against two whole passes on the CPU in float64, with TF32 switched on around them."""
    from varfx.expression.variants.ism import mutagenesis as local
    from varfx.models.enformer import Enformer
    from varfx.models.full_precision import full_precision

    length = setting.size(4096, 256)
    reference = one_hot(1, length)[0]
    network = shaken(Enformer(small_enformer()), lambda net: net(reference[None].float()))
    places = torch.arange(3, length, length // setting.size(64, 8))
    values = torch.eye(4, dtype=torch.float64)[(reference[places].argmax(1) + 1) % 4]
    bins = network.config.num_bins(length)
    middle = slice(bins // 2, bins // 2 + 1, 1)

    def read(net: nn.Module) -> Callable[[Tensor], Tensor]:
        return lambda embedding: embedding[:, 0].sum(1) / 8

    exactly = copy.deepcopy(network).double().eval()
    with torch.no_grad():
        whole = reference.repeat(len(places) + 1, 1, 1)
        whole[torch.arange(len(places)), places] = values
        predicted = torch.cat([read(exactly)(exactly.embed(part, middle)) for part in whole.split(16)])
    truth = predicted[:-1] - predicted[-1]
    rows = []
    for dtype, tolerance in ((torch.float64, 1e-8), (torch.float32, 2e-3)):
        here = copy.deepcopy(network).to(setting.device, dtype)
        with tf32(True), full_precision(here):
            found = local(
                here,
                read(here),
                reference.to(setting.device, dtype),
                places.to(setting.device),
                values.to(setting.device, dtype),
                rows=middle,
            )
        rows.append(row(f"effects, {NAME[dtype]}, TF32 on around it", torch.from_numpy(found.effect), truth, tolerance))
    return rows


def tf32_guard(setting: Setting) -> list[dict[str, Any]]:
    """What TF32 does to predictions outside `full_precision`, and that it does nothing inside."""
    from varfx.models.enformer import Enformer
    from varfx.models.full_precision import full_precision

    x = one_hot(2, setting.size(4096, 256))
    network = shaken(Enformer(small_enformer()), lambda net: net(x.float())).eval()
    with torch.no_grad():
        truth = copy.deepcopy(network).double()(x)["human"]
        network.to(setting.device)
        there = x.to(setting.device, torch.float32)
        default = network(there)["human"]
        with tf32(True):
            loose = network(there)["human"]
            with full_precision(network):
                guarded = network(there)["human"]
            kept = torch.backends.cuda.matmul.allow_tf32 and torch.backends.cudnn.allow_tf32
    switches = {"matmul": torch.backends.cuda.matmul.allow_tf32, "cudnn": torch.backends.cudnn.allow_tf32}
    return [
        row("inside full_precision, TF32 on around it", guarded, truth, 1e-5),
        {"check": "switches are put back", "passed": bool(kept)},
        {"check": "outside, TF32 on", "error": relative_error(loose, truth), "passed": True},
        {
            "check": "outside, torch's defaults",
            "error": relative_error(default, truth),
            "allow_tf32": switches,
            "passed": True,
        },
    ]


CHECKS: dict[str, Callable[[Setting], list[dict[str, Any]]]] = {
    "exact": exact_likelihood,
    "stochastic": stochastic_likelihood,
    "composite and ldsr": chi2_objectives,
    "Enformer": enformer,
    "track Enformer": track_enformer,
    "gather": gathering,
    "pairwise loss": pairwise,
    "mutagenesis": mutagenesis,
    "TF32": tf32_guard,
}


def marked_tests(seconds: float, most: int | None = None) -> list[dict[str, Any]]:
    """Outcomes of the test files that have tests marked `gpu`, each in a process of its own."""
    root = Path(__file__).resolve().parents[1]
    files = [
        path for path in sorted((root / "tests").rglob("test_*.py")) if "pytest.mark.gpu" in path.read_text("utf-8")
    ]
    files = files[:most]
    rows = []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), os.environ.get("PYTHONPATH", "")])}
    end = time.monotonic() + seconds
    for place, path in enumerate(files, start=1):
        command = [sys.executable, "-m", "pytest", "-m", "gpu", "-W", "default", "-rs"]
        with tempfile.TemporaryFile() as output:
            try:
                limit = max(5.0, end - time.monotonic() - 5.0 * (len(files) - place) - 2)
                code = subprocess.run(
                    [*command, str(path)],
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=limit,
                    cwd=root,
                    env=environment,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                code = 124
            output.seek(0)
            tail = output.read().decode(errors="replace").replace(str(root), ".")[-600:]
        rows.append({"file": path.relative_to(root).as_posix(), "code": code, "tail": tail})
    return rows
