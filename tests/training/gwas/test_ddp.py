"""Several processes: the same windows give the same weights as one process, checkpoints resume, and errors come back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from cases.forked import run_forked
from cases.simulated_panel import Simulated, window_data
from cases.simulated_tracks import SimulatedTracks, data_with_tracks, enformer, simulate_tracks
from cases.vanishing import fit_until_a_step
from varfx.errors import ConfigError, DataError
from varfx.gwas.sumstats import read_sumstats
from varfx.models import ModelConfig, VariancePrior
from varfx.models.channel_norm import ChannelNorm
from varfx.prior.inputs import align_trait
from varfx.tracks.store import open_tracks
from varfx.training import TrainConfig, WindowData, processes, train

TRAIN, VALIDATION = [0, 1, 2, 4, 5], [7, 8, 9]


@pytest.fixture(scope="module")
def z(simulated: Simulated) -> np.ndarray:
    panel = simulated.open()
    return np.stack([align_trait(read_sumstats(path), panel).data.z for path in (simulated.height, simulated.weight)])


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedTracks]:
    yield from simulate_tracks(tmp_path_factory.mktemp("tracks"))


def config(devices: int, **options: object) -> TrainConfig:
    settings = {"max_steps": 4, "check_every": 2, "windows_per_step": 2, "learning_rate": 1e-2, "warmup_steps": 0}
    return TrainConfig(devices=devices, **settings | options)  # type: ignore[arg-type]


def assert_same(one: VariancePrior, two: VariancePrior) -> None:
    for name, value in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], value, rtol=1e-6, atol=1e-7, msg=name)


def data_of(simulated: Simulated, z: np.ndarray) -> WindowData:
    features = np.random.default_rng(5).standard_normal((simulated.active.size, 2))
    return window_data(simulated.open(), z, features, dtype=torch.float64)


def mlp() -> VariancePrior:
    return VariancePrior(ModelConfig(kind="mlp", hidden=(6,)), 2, 2, seed=3).double()


@pytest.mark.usefixtures("forked_processes")
def test_two_processes_are_one(simulated: Simulated, z: np.ndarray, tmp_path: Path) -> None:
    """By the stochastic engine: the probes of a window are the same in whatever process it is met. The two are stopped and resumed."""
    data = data_of(simulated, z)
    options = {"engine": "stochastic", "precision": "float64", "max_steps": 5}
    done: list[list[int]] = [[], []]

    def told(devices: int, stop: int = 0) -> Callable[[int, int, str], None]:
        def step(step: int, *rest: object) -> None:
            done[devices - 1].append(step)
            if step == stop:
                raise Stop

        return step

    one, folder = mlp(), tmp_path / "1"
    folder.mkdir()
    alone = train(one, data, TRAIN, VALIDATION, config(1, **options), folder, progress=told(1))
    folder = tmp_path / "2"
    folder.mkdir()
    with pytest.raises(Stop):
        train(mlp(), data, TRAIN, VALIDATION, config(2, **options), folder, progress=told(2, stop=3))
    assert [path.name for path in folder.iterdir()] == ["last"]
    two = mlp()
    both = train(two, data, TRAIN, VALIDATION, config(2, **options), folder, resume=True, progress=told(2))
    assert_same(one, two)
    assert done[0] == [1, 2, 3, 4, 5]
    assert done[1][:3] == [1, 2, 3]  # the first process alone reports
    assert done[1][3:] == list(range(done[1][3], 6))  # from the checkpoint on: the step that was under way may be done
    assert done[1][3] in (3, 4, 5)
    assert not torch.distributed.is_initialized()
    assert alone.best_step == both.best_step > 0
    for first, second in zip(alone.history, both.history, strict=True):
        assert second.step == first.step
        assert second.validation == pytest.approx(first.validation, rel=1e-9)
        assert second.train == pytest.approx(first.train, rel=1e-9, nan_ok=True)


class Stop(Exception):
    pass


@pytest.mark.usefixtures("forked_processes")
def test_statistics_of_an_enformer_are_those_of_all_processes(
    simulated: Simulated, z: np.ndarray, tracks: SimulatedTracks, tmp_path: Path
) -> None:
    data = data_with_tracks(simulated, open_tracks(tracks.store), z, dtype=torch.float64)
    models = []
    for devices in (1, 2):
        (tmp_path / str(devices)).mkdir()
        models.append(enformer(data, moved=True).double())
        options = {"max_steps": 2, "check_every": 1, "engine": "exact", "precision": "float64", "learning_rate": 1e-3}
        train(models[-1], data, TRAIN, TRAIN, config(devices, **options), tmp_path / str(devices))
    assert_same(*models)
    moved = {int(module.num_batches_tracked) for module in models[1].modules() if isinstance(module, ChannelNorm)}
    assert moved == {3}  # the calibration, and two steps


@pytest.mark.usefixtures("forked_processes")
def test_what_a_worker_says_comes_back(simulated: Simulated, z: np.ndarray, tmp_path: Path) -> None:
    """The second process gets the window that diverges; the first would wait for it for ever."""
    data = data_of(simulated, z)
    features = data._features.values
    lost = data.panel.rows(11)[1]
    features[lost] = torch.nan
    order = [0, 11]
    with pytest.raises(DataError, match="the fit diverged"):
        train(mlp(), data, order, [4, 5], config(2, engine="auto", max_steps=40), tmp_path)
    assert not torch.distributed.is_initialized()


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_workers_end_with_their_caller(simulated: Simulated, tmp_path: Path) -> None:
    """Spawned as in use. The caller, which is forked, is gone after the first step."""
    words = [simulated.panel, simulated.weight, simulated.annot, tmp_path / "RUN"]
    caller = run_forked(fit_until_a_step, *map(str, words), folder=tmp_path / "screen")
    out, err = caller.communicate()
    assert caller.poll() == 0, err
    pids = [int(word) for word in out.split()]
    assert len(pids) == 2, err
    deadline = time.monotonic() + 120
    while any(map(runs, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("devices", [0, 3])
def test_devices_share_a_step_evenly(devices: int) -> None:
    message = (
        "`devices` must be at least 1" if devices == 0 else "`windows-per-step` must be a multiple of `devices` = 3"
    )
    with pytest.raises(ConfigError, match=message):
        TrainConfig(devices=devices, windows_per_step=4)


def test_one_process_needs_no_others() -> None:
    assert (processes.rank(), processes.world()) == (0, 1)
    assert processes.gathered([1.5, 2.0]) == [[1.5, 2.0]]
    assert processes.gathered_objects("x") == ["x"]
    assert processes.of_first("x") == processes.first_does(lambda: "x") == "x"
    with pytest.raises(DataError, match="mine"), processes.in_step():
        raise DataError("mine")
