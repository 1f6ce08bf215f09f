"""What `evaluate`, `predict` and `weights` compute on a device: the numbers of the CPU, with no tensor left behind."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from cases.pretended_device import THERE, PretendedDevice, is_there, pretended
from cases.simulated_panel import Simulated, window_data
from cases.simulated_tracks import simulate_tracks
from varfx.errors import ConfigError
from varfx.ld.whiten import rewhiten
from varfx.models import ModelConfig, VariancePrior
from varfx.prior import evaluate, evaluate_variances, pairs, predict, weights
from varfx.prior.explain.channels import Channels, channel_groups
from varfx.prior.explain.config import ExplainConfig
from varfx.prior.explain.explain import explain
from varfx.prior.explain.importance import permutation_importance
from varfx.prior.score import score_windows
from varfx.prior.simulation.config import TruthConfig
from varfx.prior.simulation.simulate import draw
from varfx.prior.simulation.truth_network import track_score
from varfx.tracks.panel import PanelTracks
from varfx.tracks.store import open_tracks
from varfx.training import start_at_constant
from varfx.training.gwas.windows import PriorWindow

evaluate_module, predict_module, weights_module, foreign_module = (
    importlib.import_module(f"varfx.prior.{name}") for name in ("evaluate", "predict", "weights", "foreign")
)
MODULES = (evaluate_module, predict_module, weights_module, foreign_module, pairs)
CUDA = torch.device("cuda", 0)
DEVICES = ["pretended", pytest.param("cuda", marks=pytest.mark.gpu)]


@contextmanager
def on(name: str) -> Iterator[PretendedDevice | None]:
    """The pretended device, or the real one."""
    if name == "cuda":
        yield None
        return
    with pretended(*MODULES) as device:
        yield device


@pytest.mark.parametrize("device", DEVICES)
def test_evaluate(linear_run: Path, device: str) -> None:
    here = evaluate(linear_run, device="cpu")
    with on(device) as pretence:
        there = evaluate(linear_run, device="cuda")
    if pretence is not None:
        assert max(tensor.nbytes for tensor in pretence.moved) > max(tensor.nbytes for tensor in pretence.returned)
    assert [row["window"] for row in there.windows] == [row["window"] for row in here.windows]
    for key in ("log_p", "gain", "gain_constant", "rank"):
        np.testing.assert_allclose(*([row[key] for row in each.windows] for each in (there, here)), rtol=1e-8)
    for one, other in zip(there.traits, here.traits, strict=True):
        np.testing.assert_allclose(one["gain_ci95"], other["gain_ci95"], rtol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_evaluate_against_a_truth_and_anybody_s_variances(
    simulated: Simulated, linear_run: Path, tmp_path: Path, device: str
) -> None:
    keys = simulated.open().variants.select("chrom", "position", "variant_id", "effect_allele", "other_allele")
    keys.with_columns(f=pl.Series(simulated.F / 1e4), sigma2=pl.lit(1.0)).write_parquet(tmp_path / "truth.parquet")
    options = {"panel": simulated.panel, "sumstats": simulated.height, "chrom": ["3"]}
    here = evaluate_variances(tmp_path / "truth.parquet", device="cpu", **options)
    with on(device):
        there = evaluate_variances(tmp_path / "truth.parquet", device="cuda", **options)
    assert there.traits[0]["gain"] == pytest.approx(here.traits[0]["gain"], rel=1e-8)
    assert there.traits[0]["constant"]["gain"] == pytest.approx(here.traits[0]["constant"]["gain"], rel=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_predict_and_weights(mlp_run: Path, device: str) -> None:
    here = predict(mlp_run, device="cpu"), weights(mlp_run, device="cpu")
    with on(device):
        there = predict(mlp_run, device="cuda"), weights(mlp_run, device="cuda")
    np.testing.assert_allclose(there[0]["f"], here[0]["f"], rtol=1e-10)
    np.testing.assert_allclose(there[1]["beta"], here[1]["beta"], rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("device", DEVICES)
def test_simulate(simulated: Simulated, device: str) -> None:
    here = draw(simulated.open(), simulated.F, 1.2, 3, seed=4)
    with on(device):
        there = draw(simulated.open(), simulated.F, 1.2, 3, seed=4, device=THERE if device == "pretended" else CUDA)
    np.testing.assert_allclose(there, here, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("device", DEVICES)
def test_a_random_enformer_as_the_truth(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory, device: str
) -> None:
    for tracks in simulate_tracks(tmp_path_factory.mktemp("tracks")):
        panel = simulated.open()
        signals = PanelTracks(open_tracks(tracks.store), panel.variants, width=64, host_bytes=10**8)
        for kind in ("filter", "enformer"):
            config = TruthConfig(kind=kind, window=64, width=48, depth=1)
            here = track_score(panel, signals, config)
            with on(device):
                there = track_score(panel, signals, config, device=THERE if device == "pretended" else CUDA)
            np.testing.assert_allclose(there, here, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
def test_importance(simulated: Simulated, device: str) -> None:
    z = np.random.default_rng(0).standard_normal(simulated.active.size)
    features = np.random.default_rng(1).standard_normal((simulated.active.size, 2))
    data = window_data(simulated.open(), z, features, dtype=torch.float64)
    groups = channel_groups(Channels(features=("a", "b"), tracks=()), "each")

    def variance_of(features: torch.Tensor, heterozygosity: torch.Tensor) -> torch.Tensor:
        return (features.sum(1, keepdim=True) * heterozygosity[:, None]).exp()

    options = {"scope": "all", "repeats": 2}
    here = permutation_importance(data, [0, 5, 7], variance_of, [1.1], groups, **options)
    with on(device):
        where = THERE if device == "pretended" else CUDA
        there = permutation_importance(data, [0, 5, 7], variance_of, [1.1], groups, device=where, **options)
    np.testing.assert_allclose(there.loss, here.loss, rtol=1e-8, atol=1e-9)


def test_an_explanation_moves_no_associations_but_for_importance(
    linear_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[int] = []
    plain = PriorWindow.to

    def spied(window: PriorWindow, *args: object, **options: object) -> PriorWindow:
        moved.append(len(window.traits) + len(window.chi2))
        return plain(window, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(PriorWindow, "to", spied)
    explain(linear_run, device="cpu", config=ExplainConfig(top=10, repeats=1, scope="all"))
    assert len(moved) > 4  # windows of the highest f, those explained, and donors
    assert set(moved) == {0}


@pytest.mark.gpu
def test_explain(linear_run: Path) -> None:
    config = ExplainConfig(sample=20, repeats=1)
    here, there = (explain(linear_run, device=device, config=config) for device in ("cpu", "cuda"))
    numbers = [each.attributions.variants.select(pl.selectors.float()).to_numpy() for each in (there, here)]
    np.testing.assert_allclose(*numbers, rtol=1e-6, atol=1e-8)
    losses = [[entry["importance"] for entry in each.importance] for each in (there, here)]
    np.testing.assert_allclose(*losses, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scaled", [False, True])
def test_whitening_anew(simulated: Simulated, device: str, scaled: bool) -> None:
    factors = simulated.open().window(0).factors
    observed = np.arange(0, len(factors.V), 2)
    scale = np.linspace(0.8, 1.0, observed.size) if scaled else None
    here = rewhiten(factors, observed, scale)
    with on(device):
        there = rewhiten(factors, observed, scale, device=THERE if device == "pretended" else CUDA)
    assert here.T is not None
    assert there.T is not None
    for one, other in ((there.P, here.P), (there.T, here.T)):
        np.testing.assert_allclose(one.T @ one, other.T @ other, rtol=1e-6, atol=1e-8)  # eigenvectors have free signs


@pytest.mark.parametrize("device", DEVICES)
def test_scores_see_windows_on_the_device(simulated: Simulated, device: str) -> None:
    z = np.random.default_rng(0).standard_normal((2, simulated.active.size))
    z[1, ::5] = np.nan
    data = window_data(simulated.open(), z, dtype=torch.float64)
    seen: list[tuple[bool, bool]] = []

    def variance_of(window: object) -> torch.Tensor:
        return torch.full((len(window.heterozygosity), 2), 0.3, dtype=torch.float64)  # type: ignore[attr-defined]

    def observe(window: object, F: torch.Tensor) -> None:
        B = window.traits[0].B  # type: ignore[attr-defined]
        seen.append((is_there(B) or B.is_cuda, is_there(F) or F.is_cuda))

    here = score_windows(data, [0, 5], variance_of, [1.0, 1.2])
    with on(device):
        where = THERE if device == "pretended" else CUDA
        there = score_windows(data, [0, 5], variance_of, [1.0, 1.2], observe=observe, device=where)
    assert seen == [(True, True)] * 2
    np.testing.assert_allclose(there.log_p, here.log_p, rtol=1e-9)
    for one, other in zip(there.spectra[1], here.spectra[1], strict=True):
        np.testing.assert_allclose(one.eigenvalues, other.eigenvalues, rtol=1e-8, atol=1e-10)


@pytest.mark.gpu
def test_the_start_of_a_fit(simulated: Simulated) -> None:
    z = np.random.default_rng(0).standard_normal((1, simulated.active.size)) * 1.4
    data = window_data(simulated.open(), z, dtype=torch.float64)
    found = []
    for where in ("cpu", "cuda"):
        model = VariancePrior(ModelConfig(kind="constant"), 0, 1).double()
        start_at_constant(model, data, [0, 1, 2], mean_ld_score=5.0, device=torch.device(where))
        found.append(torch.cat([model.scale, model.alpha, model.log_sigma2]).detach())
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)


def test_a_device_that_is_not_there(linear_run: Path, simulated: Simulated) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    for task in (evaluate, predict, weights):
        with pytest.raises(ConfigError, match="`device` is cuda, but torch finds no GPUs here"):
            task(linear_run, device="cuda")
    with pytest.raises(ConfigError, match="`device` is cuda, but torch finds no GPUs here"):
        evaluate_variances(linear_run, device="cuda", panel=simulated.panel, sumstats=simulated.height)


def test_the_pretended_device_notices_what_a_gpu_would() -> None:
    with pretended() as device:
        x, y = torch.ones(3).to(THERE), torch.ones(3)
        with pytest.raises(RuntimeError, match="expected all tensors to be on the same device"):
            x + y
        with pytest.raises(TypeError, match="to numpy"):
            x.numpy()
        with pytest.raises(RuntimeError, match="same device"):
            y[torch.tensor([0]).to(THERE)]
        assert (x * y.sum()).device == x[torch.tensor([0])].device == torch.zeros(2, device=THERE).device == THERE
        assert x.cpu().numpy().tolist() == [1.0, 1.0, 1.0]
        model = torch.nn.Linear(3, 1).to(THERE)
        assert model(x).device == THERE
        assert len(device.moved) >= 3
        assert len(device.returned) == 1
