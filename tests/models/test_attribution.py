"""Contributions to log f: exact where they can be, complete elsewhere, with an error that is the true one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from varfx.errors import ConfigError, DataError
from varfx.models import ModelConfig, VariancePrior
from varfx.models.attribution import attribute, attribute_features, attribute_tracks, integrated_gradients
from varfx.models.config import AttributionConfig
from varfx.models.prior import log_link
from varfx.models.track_enformer import DenseTracks, TrackEnformer, TrackEnformerConfig

TRACKS, PREDICTORS, WINDOW = 3, 2, 32


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mlp_prior(features: int, link: str = "softplus", traits: int = 1) -> VariancePrior:
    prior = VariancePrior(ModelConfig(kind="mlp", link=link, hidden=(16, 8)), features, traits).double()  # type: ignore[arg-type]
    with torch.no_grad():
        for number, parameter in enumerate(prior.network.parameters()):
            parameter.copy_(random(*parameter.shape, seed=number) / parameter.shape[-1] ** 0.5)
    return prior.eval()


def linear_prior(weights: Tensor, link: str) -> VariancePrior:
    prior = VariancePrior(ModelConfig(kind="linear", link=link), weights.shape[1], weights.shape[0]).double()  # type: ignore[arg-type]
    prior.network.load_state_dict({"weights.weight": weights})
    return prior.eval()


def enformer_prior() -> VariancePrior:
    config = TrackEnformerConfig(window=WINDOW, width=24, heads=2, key_width=4, num_downsamples=3, zero_output=False)
    network = TrackEnformer(config, TRACKS, PREDICTORS, 2, torch.Generator().manual_seed(1))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "to_out" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(2)).mul_(0.2)
        network.calibrate(DenseTracks(random(50, TRACKS, WINDOW).float(), random(50, PREDICTORS).float()))
    prior = VariancePrior(ModelConfig(kind="constant"), 0, 2)
    prior.network = network
    return prior.eval()


def log_f(prior: VariancePrior, score: Tensor, trait: int = 0) -> Tensor:
    return log_link(score, prior.config.link)[:, trait]


def test_a_log_linear_model_gives_weight_times_difference() -> None:
    weights, x, baseline = random(2, 4, seed=1), random(6, 4, seed=2), random(4, seed=3)
    prior = linear_prior(weights, "exp")
    found = attribute_features(prior, x, trait=1, baseline=baseline, config=AttributionConfig(steps=1))
    torch.testing.assert_close(found.parts[0], weights[1] * (x - baseline), rtol=1e-13, atol=1e-13)
    assert float(found.error.abs().max()) < 1e-13
    assert found.steps.tolist() == [1] * 6


def test_with_softplus_a_linear_model_shares_log_f_in_proportion() -> None:
    weights, x = random(1, 4, seed=1), random(6, 4, seed=2)
    prior = linear_prior(weights, "softplus")
    found = attribute_features(prior, x, config=AttributionConfig(tolerance=1e-10))
    score = x @ weights[0]
    share = log_f(prior, score[:, None]) / score
    torch.testing.assert_close(found.parts[0], weights[0] * x * share[:, None], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("link", ["softplus", "exp"])
def test_features_are_complete_to_the_tolerance(link: str) -> None:
    prior, x = mlp_prior(5, link, traits=2), 3 * random(40, 5)
    config = AttributionConfig(steps=2, max_steps=512, tolerance=1e-9, variants_per_pass=7)
    found = attribute_features(prior, x, trait=1, config=config)
    total = log_f(prior, prior.network(x), 1) - log_f(prior, prior.network(torch.zeros_like(x)), 1)
    torch.testing.assert_close(found.total, total.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.parts[0].sum(1) + found.error, total.detach(), rtol=1e-10, atol=1e-10)
    assert float(found.error.abs().max()) <= 1e-9
    assert int(found.steps.min()) < int(found.steps.max())  # only the variants that need it get more


def test_integral_is_that_of_a_fine_sum() -> None:
    """An independent oracle: the midpoint rule with gradients by central differences."""
    prior, x = mlp_prior(3), random(4, 3)
    found = attribute_features(prior, x, config=AttributionConfig(tolerance=1e-10)).parts[0]
    times, step = (torch.arange(400) + 0.5) / 400, 1e-5
    for feature in range(3):
        shift = torch.zeros(3, dtype=torch.float64)
        shift[feature] = step
        points = (times.double()[:, None, None] * x).reshape(-1, 3)
        slope = (log_f(prior, prior.network(points + shift)) - log_f(prior, prior.network(points - shift))) / (2 * step)
        expected = x[:, feature] * slope.reshape(400, 4).mean(0)
        torch.testing.assert_close(found[:, feature], expected.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_gauss_legendre_is_exact_up_to_its_degree(steps: int) -> None:
    def power(x: Tensor, degree: int) -> Tensor:
        return x.pow(degree).sum(1)

    x = random(3, 2)
    for degree in range(1, 2 * steps + 1):  # the gradient has degree - 1 <= 2 steps - 1
        (part,) = integrated_gradients(lambda x, degree=degree: power(x, degree), [x], [torch.zeros(2)], steps)
        torch.testing.assert_close(part, x**degree, rtol=1e-12, atol=1e-12)
    (part,) = integrated_gradients(lambda x: power(x, 2 * steps + 1), [x], [torch.zeros(2)], steps)
    assert not torch.allclose(part, x ** (2 * steps + 1), rtol=1e-3)


def test_too_few_steps_show_in_the_error() -> None:
    prior, x = mlp_prior(5), 5 * random(30, 5)
    coarse = attribute_features(prior, x, config=AttributionConfig(steps=1, max_steps=1))
    fine = attribute_features(prior, x, config=AttributionConfig(steps=64, tolerance=1e-9))
    missed = fine.parts[0].sum(1) - coarse.parts[0].sum(1)
    torch.testing.assert_close(coarse.error, missed, rtol=1e-6, atol=1e-6)
    assert float(coarse.error.abs().max()) > 0.01


def test_an_input_that_matters_is_told_from_one_that_does_not() -> None:
    """Sensitivity, and its converse: a feature without weight, or equal to the baseline, gets exactly nothing."""
    prior, x = mlp_prior(3), random(10, 3)
    first = next(prior.network.parameters())
    with torch.no_grad():
        first[:, 1] = 0
    x[:, 2] = 0
    found = attribute_features(prior, x).parts[0]
    assert bool((found[:, 0] != 0).all())
    assert bool((found[:, 1:] == 0).all())


def test_tracks_and_predictors_are_complete() -> None:
    prior = enformer_prior()
    tracks, predictors = random(9, TRACKS, WINDOW, seed=5).float(), random(9, PREDICTORS, seed=6).float()
    found = attribute_tracks(prior, tracks, predictors, trait=1, config=AttributionConfig(variants_per_pass=4))
    by_base, by_predictor = found.parts
    assert by_base.shape == tracks.shape
    assert by_predictor.shape == predictors.shape
    with torch.no_grad():
        network = prior.network
        assert isinstance(network, TrackEnformer)
        here = log_f(prior, network.score(tracks, predictors), 1)
        there = log_f(prior, network.score(torch.zeros_like(tracks), torch.zeros_like(predictors)), 1)
    torch.testing.assert_close(found.total, here - there, rtol=1e-5, atol=1e-5)
    explained = by_base.sum((1, 2)) + by_predictor.sum(1)
    assert float((explained - found.total).abs().max()) <= 0.01 + 1e-5
    assert float(found.total.abs().mean()) > 0.1  # there was something to explain


def test_passes_change_nothing() -> None:
    prior = enformer_prior()
    window = DenseTracks(random(9, TRACKS, WINDOW, seed=5).float(), random(9, PREDICTORS, seed=6).float())
    rows = torch.tensor([7, 0, 3])
    whole = attribute(prior, window, rows, config=AttributionConfig(steps=4, max_steps=4))
    cut = attribute(prior, window, rows, config=AttributionConfig(steps=4, max_steps=4, variants_per_pass=1))
    for part, expected in zip(cut.parts, whole.parts, strict=True):
        torch.testing.assert_close(part, expected, rtol=1e-4, atol=1e-6)
    assert whole.parts[0].shape == (3, TRACKS, WINDOW)


def test_a_silent_track_gets_nothing() -> None:
    prior = enformer_prior()
    network = prior.network
    assert isinstance(network, TrackEnformer)
    with torch.no_grad():
        stem = network.trunk.stem[0]
        stem.weight[:, 1] = 0  # type: ignore[index, union-attr, operator]
    found = attribute_tracks(prior, random(5, TRACKS, WINDOW).float(), random(5, PREDICTORS).float())
    assert bool((found.parts[0][:, 1] == 0).all())
    assert bool((found.parts[0][:, 0] != 0).any(dim=1).all())


def test_weights_keep_their_gradients() -> None:
    prior = mlp_prior(3)
    next(prior.parameters()).requires_grad_(False)
    flags = [parameter.requires_grad for parameter in prior.parameters()]
    attribute_features(prior, random(4, 3))
    assert [parameter.requires_grad for parameter in prior.parameters()] == flags
    assert all(parameter.grad is None for parameter in prior.parameters())


def test_attribution_is_in_full_precision_and_evaluation_mode() -> None:
    prior = enformer_prior()
    network = prior.network
    assert isinstance(network, TrackEnformer)
    x, more = random(6, TRACKS, WINDOW).float(), random(6, PREDICTORS).float()
    expected = attribute_tracks(prior, x, more).parts[0]
    network.trunk.config = replace(network.trunk.config, precision="bfloat16")
    prior.train()
    torch.testing.assert_close(attribute_tracks(prior, x, more).parts[0], expected)
    assert network.trunk.config.precision == "bfloat16"  # as before
    assert network.training


def test_a_constant_prior_has_nothing_to_attribute() -> None:
    prior = VariancePrior(ModelConfig(kind="constant"), 0, 1)
    found = attribute_features(prior, torch.zeros(4, 0))
    assert found.parts[0].shape == (4, 0)
    assert found.total.tolist() == [0.0] * 4


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="kind mlp, which takes no tracks"):
        attribute_tracks(mlp_prior(3), torch.zeros(1, 1, 8), torch.zeros(1, 0))
    for options, name in (({"steps": 0}, "steps"), ({"tolerance": 0.0}, "tolerance")):
        with pytest.raises(ConfigError, match=name):
            AttributionConfig(**options)  # type: ignore[arg-type]
    assert AttributionConfig(max_steps=3).max_steps == AttributionConfig().steps  # never fewer than the first attempt


def test_nodes_lie_inside() -> None:
    """The baseline itself is never looked at by the integral, so it may be a place where the function has a kink."""
    seen: list[float] = []

    def function(x: Tensor) -> Tensor:
        seen.extend(x.detach().flatten().tolist())
        return x.abs().sum(1)

    (part,) = integrated_gradients(function, [torch.ones(1, 1)], [torch.zeros(1)], 5)
    assert math.isclose(float(part), 1.0, rel_tol=1e-6)
    assert 0 < min(seen) < max(seen) < 1
    assert np.isclose(np.mean([min(seen), max(seen)]), 0.5)
