"""The network over tracks: its size, its start, and that nothing depends on how a window is cut into passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from varfx.errors import ConfigError, DataError
from varfx.models.channel_norm import fold_statistics
from varfx.models.prior import ModelConfig, VariancePrior
from varfx.models.track_enformer import DenseTracks, TrackEnformer, TrackEnformerConfig

TRACKS, PREDICTORS, TRAITS, VARIANTS = 3, 2, 2, 11
SMALL: dict[str, Any] = {"window": 32, "width": 24, "depth": 2, "heads": 2, "num_downsamples": 3, "key_width": 4}


def network(**changes: Any) -> TrackEnformer:
    """A small network; every weight away from 0 unless `zero_output` is given."""
    config = TrackEnformerConfig(**{**SMALL, "zero_output": False, **changes})
    model = TrackEnformer(config, TRACKS, PREDICTORS, TRAITS, torch.Generator().manual_seed(1))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "to_out" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(2)).mul_(0.2)
    return model


def features(variants: int = VARIANTS, predictors: int = PREDICTORS) -> DenseTracks:
    generator = torch.Generator().manual_seed(3)
    tracks = torch.randn(variants, TRACKS, SMALL["window"], generator=generator)
    return DenseTracks(tracks, torch.randn(variants, predictors, generator=generator))


def gradients(model: TrackEnformer) -> dict[str, Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


@pytest.mark.parametrize(("width", "parameters"), [(768, 16.0e6), (384, 4.4e6)])
def test_size_is_the_papers(width: int, parameters: float) -> None:
    model = TrackEnformer(TrackEnformerConfig(width=width), 165, 9, 1, torch.Generator().manual_seed(0))
    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(parameters, rel=0.1)


# --- start


def test_training_starts_at_the_constant_model() -> None:
    model = network(zero_output=True)
    prior = VariancePrior(ModelConfig(kind="constant"), 0, TRAITS)
    heterozygosity = torch.linspace(0.01, 0.25, VARIANTS)
    constant = prior(torch.zeros(VARIANTS, 0), heterozygosity)
    prior.network = model
    assert torch.equal(prior(features(), heterozygosity), constant)
    prior(features(), heterozygosity).sum().backward()
    assert model.output.weight.grad is not None
    assert bool((model.output.weight.grad != 0).all())


@torch.no_grad()
def test_a_random_start_scores_differ_by_about_one() -> None:
    model = TrackEnformer(
        TrackEnformerConfig(**SMALL, zero_output=False), TRACKS, PREDICTORS, 200, torch.Generator().manual_seed(1)
    )
    model.calibrate(features(300))
    assert 0.1 < float(model(features(300)).std(dim=0).mean()) < 2


def test_weights_come_from_the_generator_alone() -> None:
    torch.manual_seed(1)
    first = network().state_dict()
    torch.manual_seed(2)
    assert all(torch.equal(tensor, first[name]) for name, tensor in network().state_dict().items())


# --- independence of the cut


@pytest.mark.parametrize("norm", ["running", "frozen", "layer"])
@pytest.mark.parametrize("training", [True, False])
def test_passes_of_any_size_give_the_same(norm: str, training: bool) -> None:
    whole: tuple[Tensor, dict[str, Tensor], dict[str, Tensor]] | None = None
    for variants_per_pass in (100, VARIANTS, 4, 1):
        model = network(norm=norm, variants_per_pass=variants_per_pass)
        model.calibrate(features(100))
        model.train(training)
        model.load_state_dict(network(norm=norm).state_dict())
        scores = model(features())
        scores.square().mean().backward()
        fold_statistics(model)
        found = (scores.detach(), gradients(model), dict(model.state_dict()))
        whole = whole or found
        torch.testing.assert_close(found[0], whole[0], rtol=1e-6, atol=1e-6)
        for part, expected in ((found[1], whole[1]), (found[2], whole[2])):
            assert part.keys() == expected.keys()
            for name, tensor in part.items():
                torch.testing.assert_close(tensor, expected[name], rtol=1e-5, atol=1e-6, msg=name)


@torch.no_grad()
def test_published_batch_norm_does_depend_on_the_cut() -> None:
    scores = [network(norm="batch", variants_per_pass=size).train()(features()) for size in (VARIANTS, 4)]
    assert float((scores[0] - scores[1]).abs().max()) > 1e-3


def test_backward_after_backward_needs_the_same_statistics() -> None:
    model = network(norm="running", variants_per_pass=4).train()
    before = model(features()).detach()
    model(features()).sum().backward()
    assert torch.equal(model(features()).detach(), before)  # nothing moved until the fold
    fold_statistics(model)
    assert not torch.equal(model(features()).detach(), before)


@torch.no_grad()
def test_variants_do_not_see_each_other() -> None:
    model = network().train()
    scores = model(features())
    order = torch.randperm(VARIANTS, generator=torch.Generator().manual_seed(0))
    shuffled = DenseTracks(features().tracks[order], features().predictors[order])
    torch.testing.assert_close(model(shuffled), scores[order], rtol=1e-6, atol=1e-6)


@dataclass
class Counting:
    """Records which variants were cut out."""

    inner: DenseTracks
    calls: list[int] = field(default_factory=list)

    @property
    def predictors(self) -> Tensor:
        return self.inner.predictors

    def gather(self, rows: Tensor) -> Tensor:
        self.calls.append(len(rows))
        return self.inner.gather(rows)


def test_tracks_are_cut_out_one_pass_at_a_time() -> None:
    counting = Counting(features())
    model = network(variants_per_pass=4)
    with torch.no_grad():
        model(counting)
    assert counting.calls == [4, 4, 3]
    model(counting).sum().backward()
    assert sorted(counting.calls[3:]) == [3, 3, 4, 4, 4, 4]  # and once more for the backward pass


# --- gradients


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("variants_per_pass", [100, 4])
def test_every_parameter_gets_a_gradient(checkpointing: bool, variants_per_pass: int) -> None:
    model = network(checkpointing=checkpointing, variants_per_pass=variants_per_pass).train()
    model(features()).square().sum().backward()
    found = gradients(model)
    assert set(found) == {name for name, _ in model.named_parameters()}
    assert [name for name, gradient in found.items() if not gradient.abs().sum() > 0] == []


@pytest.mark.parametrize("norm", ["batch", "running", "layer"])
def test_checkpoints_within_passes_change_nothing(norm: str) -> None:
    found = []
    for checkpointing in (False, True):
        model = network(norm=norm, checkpointing=checkpointing, variants_per_pass=4).train()
        model(features()).square().sum().backward()
        fold_statistics(model)
        found.append({**gradients(model), **{f"state {n}": t for n, t in model.state_dict().items()}})
    for name, tensor in found[0].items():
        torch.testing.assert_close(found[1][name], tensor, rtol=1e-6, atol=1e-6, msg=name)


def test_gradient_is_the_finite_difference() -> None:
    model = network(variants_per_pass=4).double()
    inputs = DenseTracks(features().tracks.double(), features().predictors.double())
    model(inputs).square().sum().backward()
    weight = model.trunk.stem[0].weight
    assert weight.grad is not None
    step = 1e-6
    with torch.no_grad():
        values = []
        for sign in (1, -1):
            weight[2, 1, 7] += sign * step
            values.append(model(inputs).square().sum())
            weight[2, 1, 7] -= sign * step
    assert float((values[0] - values[1]) / (2 * step)) == pytest.approx(float(weight.grad[2, 1, 7]), rel=1e-6)


def test_bfloat16_scores_and_gradients_are_float32() -> None:
    exact, reduced = network(), network(precision="bfloat16", variants_per_pass=4)
    scores = reduced(features())
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, exact(features()), rtol=0, atol=0.03)
    scores.square().sum().backward()
    assert {gradient.dtype for gradient in gradients(reduced).values()} == {torch.float32}


# --- what the score sees


@torch.no_grad()
def test_order_of_tracks_is_the_callers() -> None:
    model = network()
    scores = model(features())
    swapped = DenseTracks(features().tracks.flip(1), features().predictors)
    assert float((model(swapped) - scores).abs().max()) > 1e-3
    model.trunk.stem[0].weight.copy_(model.trunk.stem[0].weight.flip(1))
    torch.testing.assert_close(model(swapped), scores, rtol=1e-5, atol=1e-6)


def test_score_sees_every_base_track_and_predictor() -> None:
    inputs = DenseTracks(features().tracks.requires_grad_(), features().predictors.requires_grad_())
    network()(inputs).square().sum().backward()
    assert inputs.tracks.grad is not None
    assert inputs.predictors.grad is not None
    assert bool((inputs.tracks.grad.abs().sum(dim=0) > 0).all())
    assert bool((inputs.predictors.grad.abs().sum(dim=0) > 0).all())


def test_the_variant_s_own_bin_is_read() -> None:
    model = network(depth=0, num_downsamples=2, norm="frozen")
    with torch.no_grad():
        model.output.weight[:, 2 * SMALL["width"] :] = 0  # of mean and predictors
    inputs = DenseTracks(features().tracks.requires_grad_(), features().predictors)
    model(inputs).square().sum().backward()
    assert inputs.tracks.grad is not None
    touched = inputs.tracks.grad.abs().sum(dim=(0, 1)).nonzero().flatten().tolist()
    reach = model.trunk.config.reach
    assert touched == list(
        range(max(0, 16 - reach), min(32, 20 + reach))
    )  # position 16 stands in the bin from 16 to 19


@torch.no_grad()
def test_predictors_act_together_with_the_tracks() -> None:
    model, first, second = network(), features(), features()
    second = DenseTracks(second.tracks.flip(0), second.predictors)
    moved = [DenseTracks(each.tracks, each.predictors + 1) for each in (first, second)]
    effects = [model(after) - model(before) for before, after in zip((first, second), moved, strict=True)]
    assert float((effects[0] - effects[1]).abs().max()) > 1e-3


@torch.no_grad()
def test_no_predictors() -> None:
    model = TrackEnformer(TrackEnformerConfig(**SMALL), TRACKS, 0, TRAITS, torch.Generator().manual_seed(1))
    assert model(features(predictors=0)).shape == (VARIANTS, TRAITS)


@pytest.mark.parametrize("window", [1, 7, 16, 33])
@torch.no_grad()
def test_any_window(window: int) -> None:
    config = TrackEnformerConfig(**{**SMALL, "window": window})
    model = TrackEnformer(config, TRACKS, 0, TRAITS, torch.Generator().manual_seed(1))
    assert model(DenseTracks(torch.zeros(2, TRACKS, window), torch.zeros(2, 0))).shape == (2, TRAITS)


def test_it_learns_where_a_signal_stands() -> None:
    """A truth that no average over the window can tell: the signal left or right of the variant."""
    model = network(zero_output=True, num_downsamples=2)
    generator = torch.Generator().manual_seed(0)
    tracks = torch.randn(64, TRACKS, 32, generator=generator) * 0.1
    right = torch.arange(64) % 2
    tracks[torch.arange(64), 0, torch.where(right == 1, 20, 12)] += 3
    inputs = DenseTracks(tracks, torch.zeros(64, PREDICTORS))
    target = (2.0 * right - 1)[:, None]
    model.calibrate(inputs)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        (model(inputs) - target).square().mean().backward()
        optimizer.step()
        fold_statistics(model)
    model.eval()
    assert float((model(inputs) - target).detach().square().mean()) < 0.1


# --- calibration and errors


@torch.no_grad()
def test_calibration_spreads_over_the_window_and_reads_no_more_than_a_pass() -> None:
    counting = Counting(features(100))
    model = network(variants_per_pass=10)
    model.calibrate(counting)
    assert counting.calls == [10]
    norm = model.trunk.stem[1].fn[0]
    signal = model.trunk.stem[0](features(100).tracks[torch.linspace(0, 99, 10).round().long()])
    torch.testing.assert_close(norm.running_mean, signal.mean(dim=(0, 2)), rtol=1e-5, atol=1e-6)


def test_configuration_errors() -> None:
    with pytest.raises(ConfigError, match="`window` must be at least 1, got 0"):
        TrackEnformerConfig(window=0)
    with pytest.raises(ConfigError, match="`variants_per_pass` must be at least 1, got 0"):
        TrackEnformerConfig(variants_per_pass=0)
    with pytest.raises(ConfigError, match="`width` must be a multiple of 6 x heads = 24, got 770"):
        TrackEnformerConfig(width=770)
    with pytest.raises(ConfigError, match=r"`num_tracks` must be at least 1, got 0. Without tracks take linear or mlp"):
        TrackEnformer(TrackEnformerConfig(**SMALL), 0, 2, 1, torch.Generator())


@pytest.mark.parametrize(
    ("tracks", "predictors"), [((4, 3, 31), (4, 2)), ((4, 2, 32), (4, 2)), ((4, 3, 32), (4, 3)), ((4, 3, 32), (5, 2))]
)
def test_wrong_shapes_are_named(tracks: tuple[int, ...], predictors: tuple[int, ...]) -> None:
    with pytest.raises(
        DataError, match=r"the network takes \(3, 32\) tracks x positions and 2 predictors a variant; got"
    ):
        network().score(torch.zeros(tracks), torch.zeros(predictors))
