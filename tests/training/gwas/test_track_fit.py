"""Training on tracks: nothing depends on the cut into passes, every weight learns, and an interruption leaves no trace."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cases.simulated_panel import Simulated
from cases.simulated_tracks import ENFORMER, SMALL, SimulatedTracks, data_with_tracks, enformer, simulate_tracks
from varfx.errors import ConfigError, DataError
from varfx.gwas.sumstats import read_sumstats
from varfx.models import ModelConfig, TrackEnformer, VariancePrior
from varfx.models.channel_norm import ChannelNorm
from varfx.prior.inputs import align_trait
from varfx.tracks.gather import TrackWindow
from varfx.tracks.panel import PanelTracks
from varfx.tracks.store import TrackStore, open_tracks
from varfx.training import TrainConfig, WindowData, start_at_constant, train
from varfx.training.gwas.module import PriorModule
from varfx.training.gwas.windows import in_background

TRAIN, VALIDATION = [0, 1, 2, 5], [8, 9]


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedTracks]:
    yield from simulate_tracks(tmp_path_factory.mktemp("tracks"))


@pytest.fixture(scope="module")
def store(tracks: SimulatedTracks) -> TrackStore:
    return open_tracks(tracks.store)


@pytest.fixture(scope="module")
def z(simulated: Simulated) -> np.ndarray:
    panel = simulated.open()
    return np.stack([align_trait(read_sumstats(path), panel).data.z for path in (simulated.height, simulated.weight)])


def with_passes(size: int, **other: object) -> ModelConfig:
    return replace(ENFORMER, enformer=replace(SMALL, variants_per_pass=size, **other))  # type: ignore[arg-type]


def test_windows_hold_the_tracks_of_their_variants(simulated: Simulated, store: TrackStore, z: np.ndarray) -> None:
    data = data_with_tracks(simulated, store, z)
    window = data[5].features
    assert isinstance(window, TrackWindow)
    assert window.predictors.shape == (120, 2)
    rows = data.panel.rows(5)[1]
    variant = data.panel.variants.row(int(rows[7]), named=True)
    block = store.block(variant["chrom"], variant["position"] - 1 - 8, variant["position"] - 1 + 8)
    mean, sd = (store.tracks[name].to_numpy() for name in ("mean", "sd"))
    signal = block.offset[:, None] + block.scale[:, None] * block.codes
    expected = np.where(block.codes == 255, 0.0, (signal - mean[:, None]) / sd[:, None])
    got = window.gather(torch.tensor([7]))[0].numpy()
    assert np.allclose(got[:3], expected, atol=1e-5)
    assert np.array_equal(got[3], block.codes[2] == 255)  # the indicator of c
    assert data.tracks is not None
    assert data.tracks.channels == ("a", "b", "c", "c.missing")


@pytest.mark.parametrize(("host_bytes", "kept"), [(10**9, True), (10**6, False)])
def test_blocks_are_kept_only_within_the_budget(
    simulated: Simulated, store: TrackStore, z: np.ndarray, host_bytes: int, kept: bool
) -> None:
    data = data_with_tracks(simulated, store, z, host_bytes=host_bytes)
    first, again = data[2].features, data[2].features
    assert (first is again) == kept
    assert isinstance(data.plain(2).features, torch.Tensor)
    assert all(isinstance(window.features, torch.Tensor) for window in in_background(data, [0, 1], tracks=False))


def test_a_window_without_any_track_is_refused(simulated: Simulated, store: TrackStore, z: np.ndarray) -> None:
    panel = simulated.open()
    one = TrackStore(
        path=store.path, tracks=store.tracks, arrays=store.arrays.filter(chrom="1"), metadata=store.metadata
    )
    tracks = PanelTracks(one, panel.variants, width=16)
    names = [core.name for core in panel.cores]
    with pytest.raises(
        DataError, match=r"8 of 12 windows lie where no track of .* has data, first chr2_.*--exclude-chrom"
    ):
        tracks.require([panel.rows(i)[1] for i in range(12)], names)
    tracks.require([panel.rows(i)[1] for i in range(4)], names[:4])
    far = panel.variants.with_columns(position=panel.variants["position"] + 50_000)
    with pytest.raises(DataError, match=r"variants lie outside their chromosome \(hg19\), first 1:\d+.*Give --chain"):
        PanelTracks(store, far, width=16)


def gradient(data: WindowData, config: ModelConfig, windows: list[int]) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of a step of the module, in float64."""
    calibrated = enformer(data, moved=True).double()
    assert isinstance(calibrated.network, TrackEnformer)
    calibrated.network.calibrate(data[0].features)  # type: ignore[arg-type]  # on as many variants, whatever the passes
    model = enformer(data, config).double()
    model.load_state_dict(calibrated.state_dict())
    module = PriorModule(model, data, TRAIN, VALIDATION, TrainConfig(precision="float64", engine="exact"))
    total = 0.0
    for index in windows:
        loss = module.training_step(data[index], 0)
        loss.backward()
        total += float(loss.detach())
    return total, {name: p.grad.clone() for name, p in model.named_parameters()}  # type: ignore[union-attr]


def test_loss_and_gradients_do_not_depend_on_the_passes(simulated: Simulated, store: TrackStore, z: np.ndarray) -> None:
    data = data_with_tracks(simulated, store, z, dtype=torch.float64)
    results = [gradient(data, with_passes(size, checkpointing=size < 20), [1, 5]) for size in (1000, 37, 17)]
    for loss, gradients in results[1:]:
        assert loss == pytest.approx(results[0][0], rel=1e-9)
        for name, expected in results[0][1].items():
            torch.testing.assert_close(gradients[name], expected, rtol=1e-6, atol=1e-9, msg=name)


def test_every_weight_gets_a_gradient(simulated: Simulated, store: TrackStore, z: np.ndarray) -> None:
    data = data_with_tracks(simulated, store, z, dtype=torch.float64)
    _, gradients = gradient(data, with_passes(50), [0, 5])
    idle = [name for name, value in gradients.items() if not bool(value.abs().sum() > 0)]
    assert idle == []


def test_learning_rates_are_those_of_the_paper(simulated: Simulated, store: TrackStore, z: np.ndarray) -> None:
    data = data_with_tracks(simulated, store, z)
    module = PriorModule(enformer(data), data, TRAIN, VALIDATION, TrainConfig())
    groups = module.configure_optimizers()["optimizer"].param_groups
    assert [(group["initial_lr"], group["weight_decay"]) for group in groups] == [(2e-4, 0), (2e-4, 0), (1e-4, 0.01)]
    weights = {id(parameter) for parameter in module.model.network.parameters()}
    assert {id(parameter) for parameter in groups[2]["params"]} == weights


def fit(data: WindowData, folder: Path, *, model: VariancePrior | None = None, **options: object) -> VariancePrior:
    folder.mkdir(exist_ok=True)
    model = model or enformer(data)
    settings = {"max_steps": 6, "check_every": 2, "learning_rate": 1e-2, "warmup_steps": 0, "engine": "exact"} | options
    start_at_constant(model, data, TRAIN, mean_ld_score=5.0, steps=3)
    train(model, data, TRAIN, VALIDATION, TrainConfig(**settings), folder)  # type: ignore[arg-type]
    return model


def test_statistics_move_once_a_step_and_are_calibrated_first(
    simulated: Simulated, store: TrackStore, z: np.ndarray, tmp_path: Path
) -> None:
    data = data_with_tracks(simulated, store, z[:1])
    model, folder = enformer(data), tmp_path / "R"
    folder.mkdir()
    config = TrainConfig(max_steps=3, windows_per_step=2, check_every=1, engine="exact")
    best = train(model, data, TRAIN, VALIDATION, config, folder).best_step
    norms = [module for module in model.network.modules() if isinstance(module, ChannelNorm)]
    counts = {int(norm.num_batches_tracked) for norm in norms}
    assert len(counts) == 1
    assert counts == {1 + best}  # 1 by the calibration, then one a step until the best weights
    assert all(norm._pending is None for norm in norms)
    assert model.network.training  # as it was


def test_training_lowers_the_loss(simulated: Simulated, store: TrackStore, z: np.ndarray, tmp_path: Path) -> None:
    data = data_with_tracks(simulated, store, z)
    model = enformer(data, with_passes(1000))
    (tmp_path / "R").mkdir()
    start_at_constant(model, data, TRAIN, mean_ld_score=5.0, steps=5)
    config = TrainConfig(max_steps=10, check_every=5, learning_rate=3e-3, warmup_steps=0, engine="exact")
    outcome = train(model, data, TRAIN[:2], TRAIN[:2], config, tmp_path / "R")
    assert outcome.history[-1].validation > outcome.history[0].validation
    assert outcome.best_step > 0


def test_a_resumed_fit_has_the_same_bits(
    simulated: Simulated, store: TrackStore, z: np.ndarray, tmp_path: Path
) -> None:
    """Interrupted in the middle of a pass over the four windows, two steps after a checkpoint."""
    data = data_with_tracks(simulated, store, z)
    whole = fit(data, tmp_path / "whole", check_every=3)

    class Stop(Exception):
        pass

    def stop(done: int, total: int, what: str) -> None:
        if done == 5:
            raise Stop

    model, folder = enformer(data), tmp_path / "stopped"
    folder.mkdir()
    start_at_constant(model, data, TRAIN, mean_ld_score=5.0, steps=3)
    config = TrainConfig(max_steps=6, check_every=3, learning_rate=1e-2, warmup_steps=0, engine="exact")
    with pytest.raises(Stop):
        train(model, data, TRAIN, VALIDATION, config, folder, progress=stop)
    again = enformer(data, moved=True)  # its weights come from the checkpoint
    train(again, data, TRAIN, VALIDATION, config, folder, resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert (tmp_path / "whole" / "history.csv").read_bytes() == (folder / "history.csv").read_bytes()


def test_dropout_follows_from_seed_and_place(simulated: Simulated, store: TrackStore, z: np.ndarray) -> None:
    """Whatever the global generator has drawn before; other places and seeds drop other values."""
    data = data_with_tracks(simulated, store, z)

    def loss(place: int, *, seed: int = 0, draws: int = 0) -> float:
        model = enformer(data, ModelConfig(kind="enformer", enformer=replace(SMALL, dropout=0.5)), moved=True)
        module = PriorModule(model, data, TRAIN, VALIDATION, TrainConfig(engine="exact", seed=seed))
        torch.manual_seed(0)
        torch.rand(draws)
        state = torch.get_rng_state()
        value = float(module.training_step(data[1], place).detach())
        assert torch.equal(torch.get_rng_state(), state)
        return value

    assert loss(3) == loss(3, draws=5)
    assert len({loss(3), loss(4), loss(3, seed=1)}) == 3


def test_half_precision_of_the_network_leaves_the_likelihood_single(
    simulated: Simulated, store: TrackStore, z: np.ndarray
) -> None:
    data = data_with_tracks(simulated, store, z)
    single, half = (
        enformer(data, with_passes(64, precision=precision), moved=True) for precision in ("float32", "bfloat16")
    )
    for model in (single, half):
        model.network.calibrate(data[0].features)  # type: ignore[operator]
    with torch.no_grad():
        evaluated = [model.eval()(data[1].features, data[1].heterozygosity) for model in (single, half)]
        trained = [model.train()(data[1].features, data[1].heterozygosity) for model in (single, half)]
    torch.testing.assert_close(evaluated[1], evaluated[0], rtol=0.05, atol=0)  # the statistics were taken in bfloat16
    assert trained[1].dtype == torch.float32
    assert not torch.equal(*trained)
    torch.testing.assert_close(trained[1], trained[0], rtol=0.05, atol=0)
    loss = PriorModule(half, data, TRAIN, VALIDATION, TrainConfig(engine="exact")).training_step(data[1], 0)
    loss.backward()
    assert loss.dtype == torch.float32
    assert {parameter.grad.dtype for parameter in half.parameters()} == {torch.float32}  # type: ignore[union-attr]


def test_compiling_is_for_enformer(simulated: Simulated, store: TrackStore, z: np.ndarray, tmp_path: Path) -> None:
    data = data_with_tracks(simulated, store, z)
    model = VariancePrior(ModelConfig(kind="mlp"), 2, 2)
    with pytest.raises(ConfigError, match="`compile` is for enformer; mlp would gain nothing"):
        train(model, data, TRAIN, VALIDATION, TrainConfig(compile=True), tmp_path)


def _compiles() -> bool:
    compiler = shutil.which("g++")
    return (
        compiler is not None
        and subprocess.run([compiler, "--version"], capture_output=True, check=False).returncode == 0
    )


@pytest.mark.skipif(not _compiles(), reason="no C++ compiler")
def test_a_compiled_network_takes_the_same_steps(
    simulated: Simulated, store: TrackStore, z: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = torch.compile
    monkeypatch.setattr(torch, "compile", lambda call: whole(call, backend="eager"))  # the graph as inductor gets it
    data = data_with_tracks(simulated, store, z[:1])
    plain, compiled = (fit(data, tmp_path / str(compile_), max_steps=2, compile=compile_) for compile_ in (False, True))
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[name], value, rtol=1e-4, atol=1e-5, msg=name)
    assert "score" not in compiled.network.__dict__
