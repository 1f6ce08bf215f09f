"""The networks and the prior: starting point, gradients, links, extremes, seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from varfx.errors import ConfigError
from varfx.models import ModelConfig, VariancePrior
from varfx.models.prior import MAX_LOG_VARIANCE, log_link

KINDS = ["constant", "linear", "mlp"]
LINKS = ["softplus", "exp"]


def prior(
    kind: str = "mlp", link: str = "softplus", features: int = 5, traits: int = 2, seed: int = 0
) -> VariancePrior:
    return VariancePrior(ModelConfig(kind=kind, link=link, hidden=(8, 6)), features, traits, seed=seed)  # type: ignore[arg-type]


def inputs(variants: int = 30, features: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    p = torch.rand(variants, generator=generator)
    return torch.randn(variants, features, generator=generator), p * (1 - p)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("link", LINKS)
def test_every_model_starts_at_the_constant_prior(kind: str, link: str) -> None:
    features, heterozygosity = inputs()
    model = prior(kind, link)
    with torch.no_grad():
        model.scale.copy_(torch.tensor([-1.0, 2.0]))
        model.alpha.copy_(torch.tensor([0.7, 0.0]))
    expected = torch.stack(
        [math.exp(-1) * (4 * heterozygosity) ** 0.7, torch.full_like(heterozygosity, math.exp(2))], dim=1
    )
    assert torch.allclose(model(features, heterozygosity), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("link", LINKS)
def test_every_parameter_moves(kind: str, link: str) -> None:
    """The output layer starts at 0, so that the hidden layers have a gradient from the second step on."""
    features, heterozygosity = inputs()
    model = prior(kind, link)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    target = torch.linspace(0.1, 3, 60).reshape(30, 2)
    for step in range(4):
        optimiser.zero_grad()
        loss = ((model(features, heterozygosity) - target) ** 2).mean() + (model.sigma2 - 2).square().sum()
        loss.backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            if step > 0 or ("layers.0" not in name and "layers.2" not in name):
                assert bool((parameter.grad != 0).any()), f"{name} has no gradient in step {step}"
        optimiser.step()
    for name, value in model.state_dict().items():
        assert not torch.equal(value, start[name]), f"{name} never moved"


@pytest.mark.parametrize("link", LINKS)
def test_links_are_1_at_0_and_increase(link: str) -> None:
    scores = torch.linspace(-40, 40, 4001, dtype=torch.float64)
    logs = log_link(scores, link)  # type: ignore[arg-type]
    assert float(log_link(torch.zeros(()), link)) == pytest.approx(0, abs=1e-6)  # type: ignore[arg-type]
    assert bool((logs.diff() > 0).all())
    expected = scores if link == "exp" else torch.log(torch.log1p(torch.exp(scores) * (math.e - 1)))
    assert torch.allclose(logs, expected, atol=1e-6)


@given(st.floats(-1e4, 1e4, width=32), st.sampled_from(LINKS), st.floats(-2, 3), st.floats(0, 0.25))
def test_extreme_scores_give_finite_variances_and_gradients(
    score: float, link: str, alpha: float, heterozygosity: float
) -> None:
    model = prior("linear", link, features=1, traits=1)
    with torch.no_grad():
        model.network.weights.weight.fill_(score)  # type: ignore[union-attr]
        model.alpha.fill_(alpha)
    F = model(torch.ones(1, 1), torch.tensor([heterozygosity]))
    assert bool(torch.isfinite(F).all() and (F >= 0).all())
    assert float(F.detach()) <= math.exp(MAX_LOG_VARIANCE) * 1.0001
    F.sum().backward()
    for name, parameter in model.named_parameters():
        if name != "log_sigma2":
            assert parameter.grad is not None
            assert bool(torch.isfinite(parameter.grad).all()), name


def test_derivative_by_alpha() -> None:
    """dF/dalpha = F log(4 p (1 - p))."""
    features, heterozygosity = inputs(variants=7)
    model = prior("constant", traits=1).double()
    F = model(features.double(), heterozygosity.double())[:, 0]
    for m in range(7):
        (gradient,) = torch.autograd.grad(F[m], model.alpha, retain_graph=True)
        assert float(gradient) == pytest.approx(float(F[m].detach()) * math.log(4 * float(heterozygosity[m])), rel=1e-5)


def test_alpha_does_nothing_at_frequency_one_half() -> None:
    model = prior("constant", traits=1)
    with torch.no_grad():
        model.alpha.fill_(5.0)
    assert float(model(torch.zeros(1, 0), torch.tensor([0.25])).detach()) == 1.0


def test_a_frequency_of_0_is_no_infinity() -> None:
    model = prior("constant", traits=1)
    with torch.no_grad():
        model.alpha.fill_(-1.0)
    assert float(model(torch.zeros(1, 0), torch.zeros(1)).detach()) == pytest.approx(1 / 4e-7, rel=1e-3)


def test_seeds() -> None:
    state = torch.random.get_rng_state()
    first, again, other = prior(seed=1), prior(seed=1), prior(seed=2)
    assert torch.equal(state, torch.random.get_rng_state())  # the global generator is not touched in what it gives
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert not torch.equal(first.state_dict()["network.layers.0.weight"], other.state_dict()["network.layers.0.weight"])


def test_hidden_units_start_with_a_spread_near_1() -> None:
    model = VariancePrior(ModelConfig(hidden=(400, 400)), 100, 1)
    x = torch.randn(200, 100, generator=torch.Generator().manual_seed(0))
    first = model.network.layers[0](x)  # type: ignore[index, union-attr]
    assert 0.8 < float(first.std().detach()) < 1.3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "forest"}, "`model` must be constant, linear, mlp or enformer, got 'forest'"),
        ({"link": "relu"}, "`link` must be softplus or exp, got 'relu'"),
        ({"hidden": ()}, r"`hidden` must be one or more positive widths, got \(\)"),
        ({"hidden": (8, 0)}, r"`hidden` must be one or more positive widths, got \(8, 0\)"),
    ],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ModelConfig(**options)  # type: ignore[arg-type]


def test_scores_do_not_depend_on_the_order_of_variants() -> None:
    features, heterozygosity = inputs()
    model = prior()
    with torch.no_grad():
        model.network.layers[-1].weight.fill_(0.3)  # type: ignore[index, union-attr]
    order = torch.from_numpy(np.random.default_rng(0).permutation(30))
    assert torch.allclose(model(features, heterozygosity)[order], model(features[order], heterozygosity[order]))
