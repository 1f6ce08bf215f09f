"""Windows on a device: what the traits share is moved once, what fits stays, and results do not change.

torch's `meta` device, whose tensors have shapes and no values, stands in for a GPU.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from cases.simulated_panel import Simulated, window_data
from cases.simulated_tracks import data_with_tracks, simulate_tracks
from varfx.ld import WhitenedWindow
from varfx.likelihood.exact import cheaper_form, operations
from varfx.models import ModelConfig, VariancePrior
from varfx.tracks.store import open_tracks
from varfx.training import WindowData, prepare_objective, start_at_constant
from varfx.training.gwas.placement import Placement
from varfx.training.gwas.windows import in_background

META = torch.device("meta")


def z_of(simulated: Simulated, traits: int = 2) -> np.ndarray:
    """Complete associations, so that the traits share B."""
    return np.random.default_rng(0).standard_normal((traits, simulated.active.size))


def data_of(simulated: Simulated, **options: object) -> WindowData:
    features = np.random.default_rng(5).standard_normal((simulated.active.size, 2))
    return window_data(simulated.open(), z_of(simulated), features, **options)  # type: ignore[arg-type]


def test_what_traits_share_is_moved_once(simulated: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_of(simulated)
    prepare_objective(data, [0, 1], "ldsr")
    window = data[0]
    shared = [window.traits[0].B, window.chi2[0].squares]  # type: ignore[union-attr]
    copies: list[int] = []
    plain = Tensor.to

    def counted(tensor: Tensor, *args: object, **options: object) -> Tensor:
        copies.append(id(tensor))
        return plain(tensor, *args, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(Tensor, "to", counted)
    moved = window.to(META)
    assert [copies.count(id(tensor)) for tensor in shared] == [1, 1]
    assert moved.traits[0].B is moved.traits[1].B  # type: ignore[union-attr]
    assert moved.chi2[0].squares is moved.chi2[1].squares  # type: ignore[union-attr]
    assert {tensor.device for tensor in moved.tensors()} == {META}
    assert moved.num_observed == window.num_observed


def test_windows_that_fit_stay_on_the_device(simulated: Simulated) -> None:
    data = data_of(simulated)
    first, second = data[0], data[1]
    size = sum(tensor.nbytes for tensor in first.tensors())
    gram = sum(
        trait.num_variants**2 * 4
        for trait in first.traits
        if trait is not None and cheaper_form(trait) == "symmetric"
    )  # fmt: skip
    place = Placement(META, room=size + gram)
    assert place(first) is place(data[0])
    assert all(trait.kept for trait in place(first).traits if trait is not None)
    assert place(second) is not place(second)  # no room is left
    assert not any(trait.kept for trait in place(second).traits if trait is not None)
    assert Placement(META)(first) is not Placement(META)(first)
    here = Placement(torch.device("cpu"))
    assert here(first) is first


def test_windows_come_in_order_from_the_background(simulated: Simulated) -> None:
    data = data_of(simulated)
    order = [3, 1, 1, 5]
    moved = list(in_background(data, order, place=Placement(META, room=10**9)))
    assert [window.index for window in moved] == order
    assert {window.traits[0].B.device for window in moved} == {META}  # type: ignore[union-attr]
    assert moved[1] is moved[2]
    assert all(window is data[window.index] for window in in_background(data, order))


def test_tracks_are_not_kept_on_the_device(simulated: Simulated, tmp_path: pytest.TempPathFactory) -> None:
    for tracks in simulate_tracks(tmp_path):  # type: ignore[arg-type]
        data = data_with_tracks(simulated, open_tracks(tracks.store), z_of(simulated))
        place = Placement(META, room=10**9)
        first, again = place(data[0]), place(data[0])
        assert first.features is not again.features
        assert first.traits is again.traits
        assert isinstance(place._kept[0].features, Tensor)  # the predictors


def test_features_alone(simulated: Simulated) -> None:
    """Explaining needs no associations: none are moved."""
    moved = data_of(simulated)[0].features_on(META)
    assert moved.traits == moved.chi2 == ()
    assert {tensor.device for tensor in moved.tensors()} == {META}


def test_a_window_of_one_call_pays_for_its_gram_matrix() -> None:
    B, w = torch.zeros(90, 100), torch.zeros(90)
    window, passing = WhitenedWindow(B=B, w=w), WhitenedWindow(B=B, w=w, kept=False)
    assert (cheaper_form(window), cheaper_form(passing)) == ("symmetric", "rank")
    shared, alone = operations(90, 100), operations(90, 100, kept=False)
    assert shared["rank"] == alone["rank"]
    assert alone["symmetric"] - shared["symmetric"] == 0.75 * 100**2 * 90


@pytest.mark.gpu
def test_a_gpu_gives_the_numbers_of_the_cpu(simulated: Simulated) -> None:
    device = torch.device("cuda", 0)
    data = data_of(simulated, dtype=torch.float64)
    for room in (0, 10**9):
        place = Placement(device, room=room)
        for _ in range(2):
            for window in in_background(data, list(range(12)), place=place):
                for one, other in zip(window.tensors(), data[window.index].tensors(), strict=True):
                    assert torch.equal(one.cpu(), other)
    starts = []
    for where in ("cpu", device):
        model = VariancePrior(ModelConfig(kind="constant"), 2, 2).double()
        start_at_constant(model, data, [0, 1, 2], mean_ld_score=5.0, device=where)
        starts.append(torch.cat([model.scale, model.alpha, model.log_sigma2]).detach())
    torch.testing.assert_close(*starts, rtol=1e-5, atol=1e-6)
