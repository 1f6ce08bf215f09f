"""The evidence lower bound of sparse effects on a background: gradients, ascent, its normal limits, enumeration."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from varfx.errors import DataError
from varfx.ld import WhitenedWindow
from varfx.likelihood import exact
from varfx.likelihood.mixture import MixturePrior, expectation_step, lower_bound

SIZES = (1.0, 20.0)
SIGMA2 = 1.2


def window(variants: int = 30, rank: int = 20, *, effect: float = 6.0, seed: int = 0) -> WhitenedWindow:
    """Associations of two strong effects in the LD of a random walk."""
    rng = torch.Generator().manual_seed(seed)
    X = torch.randn(200, variants, generator=rng, dtype=torch.float64).cumsum(1)
    X = (X - X.mean(0)) / X.std(0, correction=0)
    lam, V = torch.linalg.eigh(X.T @ X / 200)
    B = lam[-rank:].sqrt()[:, None] * V[:, -rank:].T
    beta = torch.zeros(variants, dtype=torch.float64)
    beta[[variants // 5, variants // 2]] = torch.tensor([effect, -effect], dtype=torch.float64)
    return WhitenedWindow(B=B, w=B @ beta + SIGMA2**0.5 * torch.randn(rank, generator=rng, dtype=torch.float64))


def tensors(variants: int = 30) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    F = torch.rand(variants, generator=rng, dtype=torch.float64) + 0.2
    log_odds = torch.randn(variants, generator=rng, dtype=torch.float64) - 2
    return F, log_odds, torch.tensor(0.4, dtype=torch.float64), torch.tensor([0.8, 0.2], dtype=torch.float64)


def test_gradients_at_a_fixed_posterior_are_those_of_finite_differences() -> None:
    data = window()
    q = expectation_step(data, MixturePrior(*tensors(), sizes=SIZES), SIGMA2)
    inputs = [each.requires_grad_() for each in tensors()]
    assert torch.autograd.gradcheck(
        lambda *values: lower_bound(data, MixturePrior(*values, sizes=SIZES), SIGMA2, q), inputs
    )


def test_the_gradient_to_both_heads_is_that_of_the_literature() -> None:
    F, log_odds, _, slabs = tensors()
    log_odds.requires_grad_()
    prior = MixturePrior(F, log_odds, torch.tensor(0.0, dtype=torch.float64), slabs, sizes=SIZES)
    q = expectation_step(window(), prior, SIGMA2)
    bound = lower_bound(window(), prior, SIGMA2, q)
    (found,) = torch.autograd.grad(bound, log_odds)
    chance, v = log_odds.sigmoid(), prior.log_variances().exp()
    at_fixed_v = q.chance.sum(0) - chance
    to_log_v = 0.5 * q.chance * ((q.centre**2 + q.spread) / v - 1)  # and log v falls as log pi rises
    torch.testing.assert_close(found, (at_fixed_v - to_log_v.sum(0) * (1 - chance)).detach())


def test_at_the_best_posterior_the_gradient_is_that_of_the_maximised_bound() -> None:
    data = window()

    def best(shift: float) -> float:
        F, log_odds, background, slabs = tensors()
        prior = MixturePrior(F, log_odds + shift, background, slabs, sizes=SIZES)
        q = expectation_step(data, prior, SIGMA2, tolerance=1e-12, most_sweeps=2000)
        return float(lower_bound(data, prior, SIGMA2, q))

    F, log_odds, background, slabs = tensors()
    log_odds.requires_grad_()
    prior = MixturePrior(F, log_odds, background, slabs, sizes=SIZES)
    (slope,) = torch.autograd.grad(
        lower_bound(data, prior, SIGMA2, expectation_step(data, prior, SIGMA2, tolerance=1e-12)), log_odds
    )
    assert float(slope.sum()) == pytest.approx((best(1e-4) - best(-1e-4)) / 2e-4, rel=1e-4)


@pytest.mark.parametrize(("dtype", "slack"), [(torch.float64, 1e-10), (torch.float32, 1e-3)])
def test_the_bound_never_falls_from_sweep_to_sweep_and_is_the_one_reported(dtype: torch.dtype, slack: float) -> None:
    for seed in range(5):
        data = window(effect=3.0, seed=seed)
        prior = MixturePrior(*tensors(), sizes=SIZES)
        q = expectation_step(data, prior, SIGMA2, dtype=dtype, tolerance=1e-9)
        steps = torch.tensor(q.bounds, dtype=torch.float64).diff()
        assert len(q.bounds) > 2
        assert (steps >= -slack).all()
        assert float(lower_bound(data, prior, SIGMA2, q, dtype=dtype)) == pytest.approx(q.bounds[-1], abs=10 * slack)


def test_without_a_sparse_part_the_bound_is_the_normal_likelihood() -> None:
    F, log_odds, _, slabs = tensors()
    F.requires_grad_()
    prior = MixturePrior(F, log_odds, torch.tensor(1 - 1e-12, dtype=torch.float64), slabs, sizes=SIZES)
    bound = lower_bound(window(), prior, SIGMA2)
    normal = exact(window(), F, SIGMA2).log_p
    assert float(bound.detach()) == pytest.approx(float(normal.detach()), abs=1e-8)
    torch.testing.assert_close(*(torch.autograd.grad(each, F)[0] for each in (bound, normal)), rtol=1e-6, atol=1e-8)


def test_one_sure_slab_without_background_has_the_mean_field_bound_of_the_normal_likelihood() -> None:
    """A mean field has the posterior's means and the inverse of its precision's diagonal: it loses 1/2 (sum log P_mm - log |P|)."""
    data, F = window(), tensors()[0]
    always, one = torch.full_like(F, 40.0), torch.ones(1, dtype=torch.float64)
    prior = MixturePrior(F, always, torch.tensor(0.0, dtype=torch.float64), one, sizes=(1.0,))
    q = expectation_step(data, prior, SIGMA2, tolerance=1e-12, most_sweeps=5000)
    precision = data.B.T @ data.B / SIGMA2 + torch.diag(1 / F)
    lost = 0.5 * (precision.diagonal().log().sum() - torch.logdet(precision))
    expected = float(exact(data, F, SIGMA2).log_p) - float(lost)
    assert float(lower_bound(data, prior, SIGMA2, q)) == pytest.approx(expected, abs=1e-6)
    torch.testing.assert_close(
        q.mean(), torch.linalg.solve(precision, data.B.T @ data.w / SIGMA2), rtol=1e-4, atol=1e-5
    )


def test_the_bound_is_below_the_log_density_summed_over_all_configurations() -> None:
    data, (F, log_odds, background, slabs) = window(6, 5, effect=4.0), tensors(6)
    prior = MixturePrior(F, log_odds, background, slabs, sizes=SIZES)
    log_chances, log_null = prior.log_chances()
    choices = torch.cat([log_null[None], log_chances])
    v = torch.cat([torch.zeros(1, 6, dtype=torch.float64), prior.log_variances().exp()])
    places = torch.arange(6)
    terms = []
    for slab in itertools.product(range(3), repeat=6):
        number = torch.tensor(slab)
        C = (data.B * (background * F + v[number, places])) @ data.B.T + SIGMA2 * torch.eye(5, dtype=torch.float64)
        density = torch.distributions.MultivariateNormal(torch.zeros(5, dtype=torch.float64), C).log_prob(data.w)
        terms.append(choices[number, places].sum() + density)
    log_density = float(torch.logsumexp(torch.stack(terms), 0))
    bound = float(lower_bound(data, prior, SIGMA2))
    assert bound < log_density < bound + 1.5
    assert math.isfinite(bound)


def test_the_marginal_variance_is_f_whatever_the_rest() -> None:
    F, log_odds, background, slabs = tensors()
    prior = MixturePrior(F, log_odds, background, slabs, sizes=SIZES)
    log_chances, log_null = prior.log_chances()
    sparse = (log_chances.exp() * prior.log_variances().exp()).sum(0)
    torch.testing.assert_close(background * F + sparse, F)
    torch.testing.assert_close(log_chances.exp().sum(0) + log_null.exp(), torch.ones_like(F))


def test_replicates_and_impossible_covariances_are_refused() -> None:
    data, prior = window(), MixturePrior(*tensors(), sizes=SIZES)
    twice = WhitenedWindow(B=data.B, w=torch.stack([data.w, data.w], 1))
    with pytest.raises(DataError, match="holds 2 replicates: the bound needs one"):
        lower_bound(twice, prior, SIGMA2)
    with pytest.raises(DataError, match="20 whitened associations cannot be factorised"):
        lower_bound(data, prior, -1e6)
