"""Training: what a step does, what stays at the end, and that an interruption leaves no trace."""

from __future__ import annotations

import contextlib
import copy
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cases.simulated_panel import Simulated, window_data
from varfx.errors import ConfigError, DataError
from varfx.io import sealed_folder
from varfx.models import ModelConfig, VariancePrior
from varfx.prior import SplitConfig, fit
from varfx.training import TrainConfig, WindowData, start_at_constant, total_log_p, train
from varfx.training.checkpoint import read_checkpoint
from varfx.training.gwas.module import PriorModule
from varfx.training.gwas.order import window_order
from varfx.training.session import quiet_lightning

TRAIN, VALIDATION = [0, 1, 2, 4, 5, 6], [8, 9]


def z_of(simulated: Simulated, traits: int = 1) -> np.ndarray:
    from varfx.gwas.sumstats import read_sumstats
    from varfx.prior.inputs import align_trait

    panel = simulated.open()
    paths = [simulated.height, simulated.weight][:traits]
    return np.stack([align_trait(read_sumstats(path), panel).data.z for path in paths])


def features_of(simulated: Simulated) -> np.ndarray:
    noise = np.random.default_rng(5).standard_normal(simulated.active.size)
    return np.column_stack([(simulated.active - 0.4) * 2, noise])


def data_of(simulated: Simulated, traits: int = 1, **options: object) -> WindowData:
    return window_data(simulated.open(), z_of(simulated, traits), features_of(simulated), **options)  # type: ignore[arg-type]


def prior(kind: str = "mlp", traits: int = 1) -> VariancePrior:
    return VariancePrior(ModelConfig(kind=kind, hidden=(6,)), 2, traits, seed=3)  # type: ignore[arg-type]


def nats(model: VariancePrior, data: WindowData, windows: list[int]) -> float:
    with torch.no_grad():
        return sum(float(total_log_p(model, data[index])[0]) for index in windows)


@pytest.mark.parametrize("kind", ["constant", "linear", "mlp"])
def test_every_parameter_moves_in_a_fit(simulated: Simulated, tmp_path: Path, kind: str) -> None:
    model = prior(kind)
    frequency = np.random.default_rng(1).uniform(0.05, 0.95, simulated.active.size)
    data = window_data(simulated.open(), z_of(simulated), features_of(simulated), frequency * (1 - frequency))
    start_at_constant(model, data, TRAIN, mean_ld_score=5.0)
    if kind == "constant":  # which has its best weights there
        with torch.no_grad():
            model.scale += 0.5
    start = {name: value.clone() for name, value in model.state_dict().items()}
    config = TrainConfig(max_steps=20, check_every=20, patience=1, min_improvement=0)
    module = PriorModule(model, data, TRAIN, VALIDATION, config)
    groups = module.configure_optimizers()["optimizer"].param_groups
    optimised = [parameter for group in groups for parameter in group["params"]]
    assert {id(parameter) for parameter in optimised} == {id(parameter) for parameter in model.parameters()}
    outcome = train(model, data, TRAIN, TRAIN, config, tmp_path)
    assert outcome.best_step == 20
    for name, value in model.state_dict().items():
        assert not torch.equal(value, start[name]), f"{name} never moved"


@pytest.mark.parametrize(("kind", "rate"), [("mlp", 1e-3), ("linear", 2e-3)])
def test_learning_rates_and_decay_are_those_of_the_paper(simulated: Simulated, kind: str, rate: float) -> None:
    module = PriorModule(prior(kind), data_of(simulated), TRAIN, VALIDATION, TrainConfig())
    optimisers = module.configure_optimizers()
    groups = optimisers["optimizer"].param_groups
    assert [(group["initial_lr"], group["weight_decay"]) for group in groups] == [(rate, 0), (2e-4, 0), (rate, 0.01)]
    schedule = optimisers["lr_scheduler"]["scheduler"].lr_lambdas[0]
    assert schedule(0) == pytest.approx(1 / 101)
    assert schedule(49) == pytest.approx(50 / 101)
    assert schedule(100) == schedule(5000) == 1


def flat_gradient(model: VariancePrior) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten().clone() for parameter in model.parameters()])  # type: ignore[union-attr]


def test_a_step_over_two_windows_has_the_sum_of_their_gradients(simulated: Simulated, tmp_path: Path) -> None:
    data = data_of(simulated, traits=2, dtype=torch.float64)
    model = prior("linear", 2).double()
    with torch.no_grad():
        model.network.weights.weight.fill_(0.3)  # type: ignore[union-attr]
    start = copy.deepcopy(model)
    seen: list[torch.Tensor] = []

    class Seen(lightning.Callback):
        def on_before_optimizer_step(self, trainer: object, module: PriorModule, optimizer: object) -> None:
            seen.append(flat_gradient(module.model))

    config = TrainConfig(windows_per_step=2, max_steps=1, engine="exact")
    module = PriorModule(model, data, TRAIN, VALIDATION, config)
    with quiet_lightning():
        lightning.Trainer(
            accelerator="cpu", devices=1, max_epochs=1, accumulate_grad_batches=2, callbacks=[Seen()], logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
        ).fit(module)  # fmt: skip
    (both,) = seen

    def gradient(window: int) -> torch.Tensor:
        start.zero_grad()
        PriorModule(start, data, TRAIN, VALIDATION, config).training_step(data[window], 0).backward()
        return flat_gradient(start)

    first, second = window_order(TRAIN, 0, 0, 2)
    assert torch.allclose(2 * both, gradient(first) + gradient(second), rtol=1e-10, atol=1e-12)


@given(st.integers(1, 9), st.integers(0, 5), st.integers(0, 40), st.lists(st.integers(1, 15), min_size=1, max_size=4))
def test_window_order_is_one_endless_row_of_passes(count: int, seed: int, first: int, parts: list[int]) -> None:
    windows = list(range(100, 100 + count))
    whole = window_order(windows, seed, 0, first + sum(parts))
    for size in parts:
        assert window_order(windows, seed, first, size) == whole[first : first + size]
        first += size
    for start in range(0, len(whole) - count + 1, count):
        assert sorted(whole[start : start + count]) == windows


def test_window_order_differs_between_passes_and_seeds() -> None:
    windows = list(range(20))
    orders = [window_order(windows, seed, 20 * number, 20) for seed in range(3) for number in range(3)]
    for a, b in itertools.combinations(orders, 2):
        assert a != b


def test_the_best_weights_are_kept(simulated: Simulated, tmp_path: Path) -> None:
    model, data = prior(), data_of(simulated)
    start_at_constant(model, data, TRAIN, mean_ld_score=5.0)
    config = TrainConfig(max_steps=400, learning_rate=0.05, check_every=10, patience=4, warmup_steps=0)
    outcome = train(model, data, TRAIN, VALIDATION, config, tmp_path)
    best = max(outcome.history, key=lambda entry: entry.validation)
    ranks = sum(data[index].rank for index in VALIDATION)
    assert outcome.stopped == "early"
    assert outcome.history[-1].step < 400
    assert outcome.best_step == best.step
    assert nats(model, data, VALIDATION) / ranks == pytest.approx(best.validation, rel=1e-6)
    assert [entry.step for entry in outcome.history] == list(range(0, outcome.history[-1].step + 1, 10))
    table = (tmp_path / "history.csv").read_text().splitlines()
    assert table[0] == "step,train_log_p_per_association,validation_log_p_per_association"
    assert len(table) == len(outcome.history) + 1


def test_checks_wait_for_a_whole_pass(simulated: Simulated, tmp_path: Path) -> None:
    config = TrainConfig(max_steps=20, check_every=4)
    outcome = train(prior(), data_of(simulated), TRAIN, VALIDATION, config, tmp_path)
    assert [entry.step for entry in outcome.history] == [0, 8, 16, 20]


def test_history_holds_the_mean_over_the_visited_windows(simulated: Simulated, tmp_path: Path) -> None:
    data = data_of(simulated)
    model = prior("constant")
    expected = nats(model, data, TRAIN) / sum(data[index].rank for index in TRAIN)
    config = TrainConfig(max_steps=6, check_every=6, learning_rate=1e-12, learning_rate_scalars=1e-12)
    outcome = train(model, data, TRAIN, VALIDATION, config, tmp_path)
    assert outcome.history[-1].train == pytest.approx(expected, rel=1e-6)
    assert np.isnan(outcome.history[0].train)


@pytest.mark.parametrize("missing", [False, True])
def test_streamed_windows_give_the_numbers_of_cached_ones(simulated: Simulated, tmp_path: Path, missing: bool) -> None:
    traits = 2 if missing else 1
    weights = []
    for name, options in {
        "cached": {},
        "streamed": {"cache_bytes": 0},
        "scratch": {"cache_bytes": 0, "scratch": tmp_path / "kept"},
        "scratch again": {"cache_bytes": 0, "scratch": tmp_path / "kept"},
    }.items():
        model = prior(traits=traits)
        (tmp_path / name).mkdir()
        config = TrainConfig(max_steps=30, check_every=10)
        train(model, data_of(simulated, traits, **options), TRAIN, VALIDATION, config, tmp_path / name)
        weights.append(torch.cat([value.flatten() for value in model.state_dict().values()]))
    for other in weights[1:]:
        assert torch.equal(weights[0], other)
    assert (tmp_path / "kept").exists() == missing


def test_half_precision_is_kept_for_a_gpu_where_memory_is_short(
    simulated: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from varfx.genotypes.open_ld import open_source
    from varfx.ld import PanelConfig, build_panel

    source = open_source([simulated.bed], maf=0.0)
    half = build_panel(
        source,
        tmp_path / "H.ld.zarr",
        PanelConfig(core=100_000, flank=100_000, dtype="float16", rank_variance=1.0),
        workers=1,
    )
    z = z_of(simulated)
    streamed, cached, processor = (window_data(half, z, cache_bytes=size) for size in (0, 2**30, 0))
    assert processor[0].traits[0].B.dtype == torch.float32  # type: ignore[union-attr]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert streamed[0].traits[0].B.dtype == torch.float16  # type: ignore[union-attr]
    assert cached[0].traits[0].B.dtype == torch.float32  # type: ignore[union-attr]
    model = prior("constant")
    assert nats(model, streamed, TRAIN) == pytest.approx(nats(model, cached, TRAIN), rel=1e-6)
    assert nats(model, cached, TRAIN) == pytest.approx(nats(model, window_data(simulated.open(), z), TRAIN), rel=1e-4)


def test_traits_share_a_network_and_a_trait_may_lack_windows(simulated: Simulated, tmp_path: Path) -> None:
    data = data_of(simulated, traits=2)
    assert data[4].traits[0] is not None
    assert data[4].traits[1] is None
    assert data[4].num_observed == (40, 0)
    model = prior(traits=2)
    start_at_constant(model, data, TRAIN, mean_ld_score=5.0)
    outcome = train(model, data, TRAIN, VALIDATION, TrainConfig(max_steps=40, check_every=20), tmp_path)
    F = model(torch.randn(5, 2), torch.full((5,), 0.2)).detach()
    assert F.shape == (5, 2)
    assert not torch.allclose(F[:, 0], F[:, 1])
    assert len(outcome.history) == 3
    hidden = model.network.layers[0].weight.detach().clone()  # type: ignore[index, union-attr]
    model.zero_grad()
    log_p, _ = total_log_p(model, data[4])
    log_p.backward()
    assert not torch.equal(hidden, torch.zeros_like(hidden))
    assert float(model.scale.grad[1]) == 0  # type: ignore[index]  # the window says nothing about the second trait
    assert float(model.scale.grad[0]) != 0  # type: ignore[index]


@pytest.mark.parametrize("traits", [1, 2])
def test_start_is_the_optimum_of_the_constant_model(simulated: Simulated, traits: int) -> None:
    data = data_of(simulated, traits, dtype=torch.float64)
    model = prior("constant", traits).double()
    start_at_constant(model, data, TRAIN, mean_ld_score=5.0, steps=200)
    total = sum(total_log_p(model, data[index])[0] for index in TRAIN)
    total.backward()  # type: ignore[union-attr]
    for trait in range(traits):
        # in nats per unit of log scale and of log sigma2: far below what the data can tell apart (about 1)
        assert abs(float(model.scale.grad[trait])) < 0.05  # type: ignore[index]
        assert abs(float(model.log_sigma2.grad[trait])) < 0.05  # type: ignore[index]


def test_start_of_many_large_windows_begins_on_few(simulated: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    from varfx.training.gwas import start

    data, windows = data_of(simulated), list(range(12))
    monkeypatch.setattr(start, "LEAST_RANK", 1)
    looked: list[int] = []
    objective = start._objective
    monkeypatch.setattr(start, "_objective", lambda *given: looked.append(len(given[2])) or objective(*given))
    losses, numbers = [], []
    for many in (1000, 4):
        monkeypatch.setattr(start, "MANY", many)
        model = prior("constant")
        looked.clear()
        start_at_constant(model, data, windows, mean_ld_score=5.0)
        numbers.append(looked.count(len(windows)))
        values = torch.cat([model.scale, model.alpha, model.log_sigma2]).detach().double().numpy()
        losses.append(objective(values, data, windows, 0, "likelihood", start.Placement(torch.device("cpu")))[0])
    terms = sum(data[index].traits[0].num_terms for index in windows)  # type: ignore[union-attr]
    assert (losses[1] - losses[0]) * terms < 2 * start.NATS
    assert numbers[1] < 0.7 * numbers[0]


def test_start_sees_nothing_of_held_out_windows(simulated: Simulated) -> None:
    z = z_of(simulated)
    changed = z.copy()
    panel = simulated.open()
    for index in set(range(12)) - set(TRAIN):
        changed[:, panel.rows(index)[0]] = 50.0
    states = []
    for values in (z, changed):
        model = prior("constant")
        start_at_constant(model, window_data(panel, values), TRAIN, mean_ld_score=5.0)
        states.append(torch.cat([model.scale, model.alpha, model.log_sigma2]).detach())
    assert torch.equal(*states)


def test_divergence_is_an_error(simulated: Simulated, tmp_path: Path) -> None:
    model = prior()
    with torch.no_grad():
        model.network.layers[0].weight.fill_(float("nan"))  # type: ignore[index, union-attr]
    with pytest.raises(DataError, match=r"the fit diverged: .* Lower --learning-rate"):
        train(model, data_of(simulated), TRAIN, VALIDATION, TrainConfig(max_steps=5), tmp_path)


@pytest.mark.parametrize("part", ["training", "validation"])
def test_empty_parts(simulated: Simulated, tmp_path: Path, part: str) -> None:
    parts = ([], VALIDATION) if part == "training" else (TRAIN, [])
    with pytest.raises(ConfigError, match=f"no {part} windows are left by the split"):
        train(prior(), data_of(simulated), *parts, TrainConfig(), tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_steps": 0}, "`max-steps` must be at least 1, got 0"),
        ({"windows_per_step": 0}, "`windows-per-step` must be at least 1, got 0"),
        ({"learning_rate": -1.0}, r"`learning-rate` must be positive, got -1.0"),
        ({"learning_rate_scalars": float("nan")}, "`learning-rate-scalars` must be positive, got nan"),
        ({"warmup_steps": -1}, "must not be negative"),
    ],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**options)  # type: ignore[arg-type]


FITS = """
import os, signal, sys
from varfx.models import ModelConfig
from varfx.prior import SplitConfig, fit
from varfx.training import TrainConfig, train  # here, so that no child imports Lightning again

panel, sumstats, annot, out = sys.argv[1:]

def interrupted(number, step, resume):
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))

    def progress(done, total, what):
        if what.startswith("steps") and done == step:
            os.kill(os.getpid(), number)

    try:
        fit(panel, [sumstats], out, annotations=annot, model=ModelConfig(kind="mlp", hidden=(6,)),
            training=TrainConfig(max_steps=60, check_every=10, windows_per_step=2),
            split=SplitConfig(holdout_chrom=("3",)), resume=resume, progress=progress)
    except KeyboardInterrupt:
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        sys.exit(130)

for line in sys.stdin:  # one fit in a child per line, told by its end
    name, step, resume = line.split()
    child = os.fork()
    if not child:
        os.dup2(2, 1)
        interrupted(getattr(signal, name), int(step), resume == "yes")
        sys.exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@contextlib.contextmanager
def fits(simulated: Simulated, out: Path) -> Iterator[Callable[[str, int, bool], int]]:
    """A function that runs a fit in a process of its own, which sends itself a signal at a step, and returns its exit status.

    A signal reaches that process alone: its parent, which has imported all and computed nothing, starts the next one by a fork.
    """
    words = [simulated.panel, simulated.weight, simulated.annot, out]
    with subprocess.Popen(
        [sys.executable, "-c", FITS, *map(str, words)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as parent:  # fmt: skip

        def run_fit(how: str, step: int, resume: bool) -> int:
            parent.stdin.write(f"{how} {step} {'yes' if resume else 'no'}\n")
            parent.stdin.flush()
            status = int(parent.stdout.readline() or 1)
            if status not in (0, 130, 143, -signal.SIGKILL):
                parent.stdin.close()
                raise AssertionError(parent.stderr.read())
            return status

        yield run_fit


def fit_here(simulated: Simulated, out: Path, *, resume: bool = False) -> None:
    """The same in this process, to the end."""
    fit(
        simulated.panel,
        [simulated.weight],
        out,
        annotations=simulated.annot,
        model=ModelConfig(kind="mlp", hidden=(6,)),
        training=TrainConfig(max_steps=60, check_every=10, windows_per_step=2),
        split=SplitConfig(holdout_chrom=("3",)),
        resume=resume,
    )


def test_a_killed_fit_resumes_to_the_same_bits(simulated: Simulated, tmp_path: Path) -> None:
    """Killed after a checkpoint, then Ctrl-C, then SIGTERM, then finished: the same bytes as without an interruption."""
    fit_here(simulated, tmp_path / "whole")
    with fits(simulated, tmp_path / "stopped") as run_fit:
        assert run_fit("SIGKILL", 27, False) == -signal.SIGKILL
        last = tmp_path / "stopped.building" / "checkpoints" / "last"
        sealed_folder.check_directory(last)
        assert {path.suffix for path in last.iterdir()} == {".safetensors", ".json"}
        assert run_fit("SIGINT", 45, True) == 130
        assert not (tmp_path / "stopped" / "manifest.json").exists()
        assert run_fit("SIGTERM", 53, True) == 143
        assert read_checkpoint(last)["callbacks"]["watch"]["step"] == 54  # the step was finished, and nothing is lost
    fit_here(simulated, tmp_path / "stopped", resume=True)
    for name in ("model.safetensors", "history.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes(), name
    names = [sorted(path.name for path in (tmp_path / run).iterdir()) for run in ("whole", "stopped")]
    assert names[0] == names[1] == [
        "history.csv", "identity.json", "manifest.json", "model.safetensors", "options.yaml", "run.json"
    ]  # fmt: skip


def test_resume_after_the_last_check(simulated: Simulated, tmp_path: Path) -> None:
    """Interrupted when the decision to stop is in the checkpoint already: nothing more is trained."""
    config = TrainConfig(max_steps=200, check_every=10, patience=2, learning_rate=0.3, warmup_steps=0)
    data = data_of(simulated)
    model = prior()
    first = train(model, data, TRAIN, VALIDATION, config, tmp_path)
    assert first.stopped == "early"
    steps = []
    again = prior()
    second = train(
        again, data, TRAIN, VALIDATION, config, tmp_path, resume=True, progress=lambda done, *rest: steps.append(done)
    )
    assert steps == []
    assert second.history[1:] == first.history[1:]
    assert (second.best_step, second.stopped) == (first.best_step, first.stopped)
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])


def test_resume_without_a_checkpoint_starts_anew(simulated: Simulated, tmp_path: Path) -> None:
    weights = []
    for resume in (False, True):
        model = prior()
        folder = tmp_path / str(resume)
        folder.mkdir()
        train(model, data_of(simulated), TRAIN, VALIDATION, TrainConfig(max_steps=10), folder, resume=resume)
        weights.append(model.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_in_process_interrupt_leaves_the_signal_handler(simulated: Simulated, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)

    def interrupt(done: int, total: int, what: str) -> None:
        if done == 7:
            os.kill(os.getpid(), signal.SIGINT)

    with contextlib.ExitStack() as stack:
        stack.enter_context(pytest.raises(KeyboardInterrupt))
        train(
            prior(),
            data_of(simulated),
            TRAIN,
            VALIDATION,
            TrainConfig(max_steps=20, check_every=5),
            tmp_path,
            progress=interrupt,
        )
    assert signal.getsignal(signal.SIGINT) is before
    assert (tmp_path / "last" / "state.json").is_file()


def test_learning_rates_rise_and_fall_as_configured() -> None:
    flat = TrainConfig(warmup_steps=9, max_steps=100)
    assert [flat.learning_rate_factor(step) for step in (0, 4, 9, 99)] == pytest.approx([0.1, 0.5, 1, 1])
    falling = TrainConfig(warmup_steps=9, max_steps=100, learning_rate_decay="cosine")
    assert [falling.learning_rate_factor(step) for step in (50, 100, 150)] == pytest.approx([0.5, 0, 0])
    assert falling.learning_rate_factor(25) == pytest.approx(0.5 + 0.5**1.5)
    with pytest.raises(ConfigError, match="`learning-rate-decay` must be none or cosine, got 'step'"):
        TrainConfig(learning_rate_decay="step")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="`start-windows` must be at least 1"):
        TrainConfig(start_windows=0)
