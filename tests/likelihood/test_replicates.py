"""Independent replicates of one trait: one factorisation must give what a loop over them gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from varfx.errors import ConfigError, DataError
from varfx.ld import WhitenedWindow
from varfx.likelihood import evaluate, exact, stochastic
from varfx.likelihood.chi2 import Chi2Window
from varfx.likelihood.composite import composite
from varfx.likelihood.cost_model import CostModel
from varfx.likelihood.exact import Form
from varfx.likelihood.ldsr import ldsr

RANK, PANEL, REPLICATES = 30, 70, 5


def replicated(*, rewhitened: bool) -> tuple[WhitenedWindow, torch.Tensor]:
    rng = torch.Generator().manual_seed(3)
    B = torch.randn(RANK, PANEL, generator=rng, dtype=torch.float64)
    left = torch.randn(RANK - 6, RANK, generator=rng, dtype=torch.float64) / RANK**0.5 if rewhitened else None
    w = 2 * torch.randn(RANK - 6 if rewhitened else RANK, REPLICATES, generator=rng, dtype=torch.float64)
    F = torch.rand(PANEL, generator=rng, dtype=torch.float64)
    F[7] = 0
    return WhitenedWindow(B=B, w=w, T=left), F


def singles(window: WhitenedWindow) -> list[WhitenedWindow]:
    return [WhitenedWindow(B=window.B, w=column, T=window.T) for column in window.w.T]


@pytest.mark.parametrize("form", ["rank", "symmetric"])
@pytest.mark.parametrize("rewhitened", [False, True], ids=["stored", "rewhitened"])
def test_exact_is_the_sum_over_replicates(form: Form, rewhitened: bool) -> None:
    window, F = replicated(rewhitened=rewhitened)
    F.requires_grad_()
    sigma2 = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    together = exact(window, F, sigma2, form=form)
    together.log_p.backward()
    alone = [exact(each, F.detach(), 0.7, form=form) for each in singles(window)]
    torch.testing.assert_close(together.log_p.detach(), sum(each.log_p for each in alone), rtol=1e-10, atol=0)
    torch.testing.assert_close(together.grad_F, sum(each.grad_F for each in alone), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(together.grad_sigma2, sum(each.grad_sigma2 for each in alone), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(F.grad, together.grad_F)
    torch.testing.assert_close(sigma2.grad, together.grad_sigma2)
    assert window.num_terms == sum(each.num_terms for each in singles(window))
    assert window.rank == singles(window)[0].rank


def test_one_replicate_in_a_column_is_no_replicate() -> None:
    window, F = replicated(rewhitened=False)
    column = WhitenedWindow(B=window.B, w=window.w[:, :1])
    assert torch.equal(exact(column, F, 0.7).log_p, exact(singles(window)[0], F, 0.7).log_p)


def test_auto_takes_exact_where_stochastic_would_be_faster() -> None:
    window, F = replicated(rewhitened=False)
    names = ("exact rank", "exact symmetric", "stochastic", "stochastic, converted")
    costs = CostModel({name: (0.0 if name.startswith("stochastic") else 1.0, 0.0, 0.0) for name in names})
    generator = torch.Generator().manual_seed(0)
    result = evaluate(window, F, 0.7, costs=costs, generator=generator)
    assert result.engine.startswith("exact")
    assert evaluate(singles(window)[0], F, 0.7, costs=costs, generator=generator).engine.startswith("stochastic")


def test_stochastic_refuses_replicates() -> None:
    window, F = replicated(rewhitened=False)
    with pytest.raises(ConfigError, match="one replicate, got 5: use exact"):
        stochastic(window, F, 0.7, generator=torch.Generator())


def test_a_window_without_any_replicate_is_refused() -> None:
    window, _ = replicated(rewhitened=False)
    with pytest.raises(DataError, match="`w` 1, or a second for replicates"):
        WhitenedWindow(B=window.B, w=window.w[:, :0])


@pytest.mark.parametrize("objective", ["ldsr", "composite"])
def test_chi2_objectives_are_the_sum_over_replicates(objective: str) -> None:
    rng = np.random.default_rng(5)
    rows, chi2 = torch.arange(0, 20, 2), torch.from_numpy(rng.chisquare(1, (10, REPLICATES)))
    window = Chi2Window(
        squares=torch.from_numpy(rng.random((20, PANEL))),
        rows=rows,
        chi2=chi2.mean(1),
        scale=torch.from_numpy(rng.uniform(0.5, 1, 10)),
        weights=torch.from_numpy(rng.random(10)),
        replicates=REPLICATES,
        scatter=chi2.var(1, unbiased=False) * REPLICATES,
    )
    F = torch.from_numpy(rng.random(PANEL))
    score = ldsr if objective == "ldsr" else composite
    name = "weighted_squares" if objective == "ldsr" else "composite_log_p"
    together = score(window, F, 0.8)
    alone = [score(replace(window, chi2=column, replicates=1, scatter=None), F, 0.8) for column in chi2.T]
    for field in (name, "grad_F", "grad_sigma2"):
        total = sum(getattr(each, field) for each in alone)
        torch.testing.assert_close(getattr(together, field), total, rtol=1e-10, atol=1e-10)
    assert together.num_observed == sum(each.num_observed for each in alone)
