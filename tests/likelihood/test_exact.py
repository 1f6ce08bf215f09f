"""The exact engine against a dense transcription of the paper, its gradients, its laws, and its limits."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import varfx
from cases.transcription import Truth, correlated, log_likelihood
from varfx.errors import ConfigError, DataError
from varfx.ld import Factors, WhitenedWindow, whiten
from varfx.ld.whiten import factors_from_correlation, rewhiten
from varfx.likelihood import exact
from varfx.likelihood.exact import _rank_form, cheaper_form

FORMS = ("rank", "symmetric")


@dataclass(frozen=True)
class Case:
    """A window with a singular R: core variants `first` to `last` of the panel."""

    people: int
    panel: int
    first: int
    last: int
    observed: float = 1.0  # share of the core that the GWAS has
    unequal: bool = False  # sample sizes differ

    def arrays(self, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
        """R_core, R_cross, z, F, scale; z lies in the range of R_core, as associations do."""
        rng = np.random.default_rng(seed)
        R = correlated(rng, self.people, self.panel).T @ correlated(
            np.random.default_rng(seed), self.people, self.panel
        )
        R /= self.people
        core = np.arange(self.first, self.last)
        core = np.sort(rng.choice(core, int(self.observed * core.size), replace=False))
        F = rng.gamma(0.3, 1.0, self.panel)
        scale = np.sqrt(rng.uniform(0.3, 1.2, core.size)) if self.unequal else None
        R_core = R[np.ix_(core, core)]
        values, vectors = np.linalg.eigh(R_core)
        inside = vectors[:, values > 1e-8 * values[-1]]
        z = inside @ inside.T @ (3 * rng.standard_normal(core.size))
        return R_core, R[core], z, F, scale


CASES = {
    "core is panel, rank 39 of 120": Case(people=40, panel=120, first=0, last=120),
    "core and flanks": Case(people=50, panel=240, first=60, last=180),
    "full rank": Case(people=400, panel=60, first=0, last=60),
    "few individuals, missing variants": Case(people=30, panel=200, first=40, last=160, observed=0.6),
    "unequal sample sizes": Case(people=50, panel=200, first=60, last=170, observed=0.8, unequal=True),
    "one association": Case(people=50, panel=90, first=44, last=45),
    "one variant": Case(people=50, panel=1, first=0, last=1),
}


def window_of(case: Case, seed: int = 1) -> tuple[WhitenedWindow, torch.Tensor, Truth]:
    R_core, R_cross, z, F, scale = case.arrays(seed)
    B, w, _ = whiten(R_core, R_cross, z, scale=scale)
    return WhitenedWindow(B=B, w=w), torch.from_numpy(F), log_likelihood(R_core, R_cross, z, F, 1.3, scale)


def assert_close(result: varfx.likelihood.LikelihoodResult, truth: Truth, log_p: float, gradient: float) -> None:
    assert float(result.log_p) == pytest.approx(truth.log_p, rel=log_p)
    error = np.abs(result.grad_F.double().numpy() - truth.grad_F).max()
    assert error <= gradient * np.abs(truth.grad_F).max()
    # grad_sigma2 is a difference: its error is relative to its two halves, the larger of which is at least tr C^-1 / 2
    assert float(result.grad_sigma2) == pytest.approx(truth.grad_sigma2, rel=gradient, abs=gradient * 10)


@pytest.mark.parametrize("form", [*FORMS, None])
@pytest.mark.parametrize("name", CASES)
def test_float64_is_the_transcription(name: str, form: str | None) -> None:
    window, F, truth = window_of(CASES[name])
    result = exact(window, F, 1.3, form=form)
    assert_close(result, truth, 1e-9, 1e-8)
    assert result.log_p.dtype == torch.float64
    assert result.log_p_stderr == 0
    assert result.engine == f"exact ({form or cheaper_form(window)} form, float64)"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CASES)
def test_float32_is_the_transcription(name: str, form: str) -> None:
    window, F, truth = window_of(CASES[name])
    result = exact(window.to(dtype=torch.float32), F.float(), 1.3, form=form)
    assert_close(result, truth, 1e-5, 1e-5)
    assert result.log_p.dtype == result.grad_F.dtype == result.grad_sigma2.dtype == torch.float32


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("unequal", [False, True])
def test_a_stored_window_with_T_is_the_transcription(form: str, unequal: bool) -> None:
    """What the panel stores is of the whole core; T makes it that of the associations that a GWAS has."""
    R_core, R_cross, _, F, _ = CASES["core and flanks"].arrays()
    rng = np.random.default_rng(3)
    observed = np.sort(rng.choice(len(R_core), 70, replace=False))
    scale = np.sqrt(rng.uniform(0.5, 1.1, 70)) if unequal else None
    factors = factors_from_correlation(R_core, R_cross)
    U = factors.V[observed] * np.sqrt(factors.lam)
    z = U @ rng.standard_normal(factors.lam.size) * 2
    whitening = rewhiten(factors, observed, scale)
    assert whitening.T is not None
    window = WhitenedWindow(
        B=torch.from_numpy(factors.B), w=torch.from_numpy(whitening.P @ z), T=torch.from_numpy(whitening.T)
    )
    truth = log_likelihood(R_core[np.ix_(observed, observed)], R_cross[observed], z, F, 0.8, scale)
    assert_close(exact(window, torch.from_numpy(F), 0.8, form=form), truth, 1e-8, 1e-7)
    single = window.to(dtype=torch.float32)
    assert_close(exact(single, torch.from_numpy(F).float(), 0.8, form=form), truth, 1e-4, 1e-4)


def test_half_precision_storage_computes_in_float32() -> None:
    window, F, truth = window_of(CASES["core and flanks"])
    half = WhitenedWindow(B=window.B.half(), w=window.w.float())
    result = exact(half, F.float(), 1.3)
    assert result.log_p.dtype == torch.float32
    assert float(result.log_p) == pytest.approx(truth.log_p, rel=1e-3)
    widened = exact(WhitenedWindow(B=half.B.double(), w=half.w.double()), F, 1.3)
    torch.testing.assert_close(result.grad_F.double(), widened.grad_F, rtol=1e-4, atol=1e-5)


def test_half_precision_is_converted_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    window, F, _ = window_of(CASES["core and flanks"])
    half = WhitenedWindow(B=window.B.half(), w=window.w.float())
    whole = exact(half, F.float(), 1.3)
    monkeypatch.setattr(sys.modules["varfx.likelihood.exact"], "BLOCK_BYTES", 7 * 4 * half.rank)
    blocks = exact(half, F.float(), 1.3)
    torch.testing.assert_close(blocks.log_p, whole.log_p, rtol=1e-6, atol=0)
    torch.testing.assert_close(blocks.grad_F, whole.grad_F, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_gradients_against_finite_differences(form: str) -> None:
    window, F, _ = window_of(Case(people=15, panel=30, first=8, last=24))

    def log_p(F: torch.Tensor, sigma2: torch.Tensor) -> torch.Tensor:
        return exact(window, F, sigma2, form=form).log_p

    inputs = (F.clamp_min(0.05).requires_grad_(), torch.tensor(0.7, dtype=torch.float64, requires_grad=True))
    assert torch.autograd.gradcheck(log_p, inputs, eps=1e-6, atol=1e-6, rtol=1e-6)


def test_gradients_against_autograd_through_the_density() -> None:
    window, F, _ = window_of(CASES["core and flanks"])
    F.requires_grad_()
    sigma2 = torch.tensor([1.3], dtype=torch.float64, requires_grad=True)
    C = (window.B * F) @ window.B.T + sigma2 * torch.eye(window.rank, dtype=torch.float64)
    density = torch.distributions.MultivariateNormal(torch.zeros(window.rank, dtype=torch.float64), C).log_prob(
        window.w
    )
    expected = torch.autograd.grad(density, (F, sigma2))
    result = exact(window, F, sigma2)
    got = torch.autograd.grad(2.5 * result.log_p, (F, sigma2))
    for a, b, closed in zip(got, expected, (result.grad_F, result.grad_sigma2.reshape(1)), strict=True):
        torch.testing.assert_close(a, 2.5 * b, rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(closed, b, rtol=1e-9, atol=1e-10)
        assert not closed.requires_grad


def test_second_derivatives_are_refused_not_wrong() -> None:
    window, F, _ = window_of(CASES["full rank"])
    (first,) = torch.autograd.grad(exact(window, F.requires_grad_(), 1.0).log_p, F, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        first.sum().backward()


def test_gradients_keep_the_dtype_of_their_input() -> None:
    window, F, _ = window_of(CASES["full rank"])
    F = F.float().requires_grad_()
    sigma2 = torch.tensor(1.0, dtype=torch.float32, requires_grad=True)
    exact(window, F, sigma2, dtype=torch.float64).log_p.backward()
    assert F.grad is not None
    assert F.grad.dtype == torch.float32
    assert sigma2.grad is not None
    assert sigma2.grad.dtype == torch.float32


def awkward(name: str, M: int) -> torch.Tensor:
    """F that strain the arithmetic."""
    if name == "none":
        return torch.zeros(M)
    if name == "twelve orders":
        return torch.logspace(-9, 3, M)[torch.randperm(M, generator=torch.Generator().manual_seed(5))]
    F = torch.full((M,), 0.01)
    F[M // 2] = float(name)
    return F


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sigma2", [1e-6, 1e-3, 1.0, 1e3])
@pytest.mark.parametrize("name", ["none", "twelve orders", "1e3", "1e5", "1e6", "1e8"])
@pytest.mark.parametrize("case", ["core and flanks", "full rank"])
def test_float32_is_right_or_says_that_it_was_not_enough(case: str, name: str, sigma2: float, form: str) -> None:
    window, _, _ = window_of(CASES[case])
    single = window.to(dtype=torch.float32)
    double = single.to(dtype=torch.float64)
    F, sigma2 = awkward(name, window.num_variants), float(np.float32(sigma2))
    truth = exact(double, F.double(), sigma2, form="rank")
    result = exact(single, F, sigma2, form=form)
    tolerance = 3e-4 if result.engine == f"exact ({form} form, float32)" else 1e-6
    assert tolerance == 3e-4 or "float64" in result.engine
    assert "not enough" in result.engine or tolerance == 3e-4
    assert float(result.log_p) == pytest.approx(float(truth.log_p), rel=tolerance)
    assert float((result.grad_F - truth.grad_F).norm() / truth.grad_F.norm()) < tolerance
    assert float(result.grad_sigma2) == pytest.approx(float(truth.grad_sigma2), rel=tolerance)


@pytest.mark.parametrize("sigma2", [1e-6, 1e-3, 1.0, 1e3])
@pytest.mark.parametrize("name", ["none", "twelve orders", "1e3", "1e6"])
def test_the_forms_agree_in_float64(name: str, sigma2: float) -> None:
    window, _, _ = window_of(CASES["full rank"])
    F = awkward(name, window.num_variants).double()
    rank, symmetric = (exact(window, F, sigma2, form=form) for form in FORMS)
    assert float(rank.log_p) == pytest.approx(float(symmetric.log_p), rel=1e-9)
    torch.testing.assert_close(rank.grad_F, symmetric.grad_F, rtol=1e-6, atol=1e-8 * float(rank.grad_F.abs().max()))
    assert float(rank.grad_sigma2) == pytest.approx(float(symmetric.grad_sigma2), rel=1e-7)


def test_what_float64_cannot_carry_is_nan_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    window, _, _ = window_of(CASES["core and flanks"])
    F = awkward("1e20", window.num_variants).double().requires_grad_()
    result = exact(window, F, 1.0)
    assert result.engine == "exact (failed: the range of F against sigma2 is beyond float64)"
    assert result.log_p.isnan()
    assert result.grad_F.isnan().all()
    assert result.grad_sigma2.isnan()
    assert "largest F 1e+20, sigma2 1" in caplog.text


def test_no_signal_is_the_closed_form() -> None:
    window, F, _ = window_of(CASES["core and flanks"])
    result = exact(window, torch.zeros_like(F), 2.0)
    r, square = window.rank, float(window.w.square().sum())
    assert float(result.log_p) == pytest.approx(-0.5 * (r * np.log(4 * np.pi) + square / 2), rel=1e-12)
    assert float(result.grad_sigma2) == pytest.approx(0.5 * (square / 4 - r / 2), rel=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_duplicated_variants_share_an_effect(form: str) -> None:
    """Copies of a column with F split among them are one variant with the sum, and have its gradient."""
    window, F, _ = window_of(CASES["core and flanks"])
    twice = WhitenedWindow(B=torch.cat([window.B, window.B], 1), w=window.w)
    alone, split = exact(window, F, 1.1, form=form), exact(twice, torch.cat([0.3 * F, 0.7 * F]), 1.1, form=form)
    torch.testing.assert_close(split.log_p, alone.log_p, rtol=1e-11, atol=0)
    torch.testing.assert_close(split.grad_F, alone.grad_F.repeat(2), rtol=1e-8, atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), form=st.sampled_from(FORMS), people=st.integers(5, 60), panel=st.integers(4, 60))
def test_order_and_coding_of_variants_change_nothing(seed: int, form: str, people: int, panel: int) -> None:
    """Permuted columns, permuted rows, and alleles counted the other way round."""
    rng = np.random.default_rng(seed)
    X = correlated(rng, people, panel)
    R = X.T @ X / people
    core = np.sort(rng.choice(panel, rng.integers(1, panel + 1), replace=False))
    z = X[:, core].T @ rng.standard_normal(people) / np.sqrt(people)
    F = rng.gamma(0.5, 1, panel)

    def result(rows: np.ndarray, columns: np.ndarray, sign: np.ndarray) -> varfx.likelihood.LikelihoodResult:
        signed = R * sign[:, None] * sign
        B, w, _ = whiten(
            signed[np.ix_(rows, rows)], signed[np.ix_(rows, columns)], (z * sign[core])[np.argsort(core)[place]]
        )
        return exact(WhitenedWindow(B=B, w=w), torch.from_numpy(F[columns].copy()), 0.9, form=form)

    place = np.arange(core.size)
    plain = result(core, np.arange(panel), np.ones(panel))
    columns, sign, place = rng.permutation(panel), rng.choice([-1.0, 1.0], panel), rng.permutation(core.size)
    other = result(core[place], columns, sign)
    torch.testing.assert_close(other.log_p, plain.log_p, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(other.grad_F, plain.grad_F[torch.from_numpy(columns)], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(other.grad_sigma2, plain.grad_sigma2, rtol=1e-5, atol=1e-6)


def test_windows_may_be_joined_in_any_order() -> None:
    """Independent windows as one block-diagonal window: log p adds up, gradients stand side by side."""
    parts = [window_of(CASES[name])[:2] for name in ("core and flanks", "full rank", "one association")]
    sums = [exact(window, F, 1.3) for window, F in parts]
    for order in ((0, 1, 2), (2, 0, 1)):
        B = torch.block_diag(*(parts[i][0].B for i in order))
        joined = WhitenedWindow(B=B, w=torch.cat([parts[i][0].w for i in order]))
        result = exact(joined, torch.cat([parts[i][1] for i in order]), 1.3)
        torch.testing.assert_close(result.log_p, sum(part.log_p for part in sums), rtol=1e-11, atol=0)
        torch.testing.assert_close(result.grad_F, torch.cat([sums[i].grad_F for i in order]), rtol=1e-8, atol=1e-10)


def test_the_form_is_chosen_by_operations() -> None:
    def form(rank: int, variants: int, stored: int | None = None) -> str:
        T = None if stored is None else torch.zeros(rank, stored)
        B = torch.zeros(stored or rank, variants)
        return cheaper_form(WhitenedWindow(B=B, w=torch.zeros(rank), T=T))

    assert form(100, 100) == "symmetric"
    assert form(80, 100) == "symmetric"  # B'B is kept with the window
    assert form(60, 100) == "rank"
    assert form(100, 300) == "rank"
    assert form(30, 100, stored=60) == "rank"
    assert form(50, 100, stored=100) == "symmetric"  # T multiplies often


def test_numbers_may_come_as_arrays_and_lists() -> None:
    B, w = torch.eye(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for F in (np.array([1.0, 2.0]), [1.0, 2.0], torch.tensor([1, 2])):
        result = varfx.likelihood.exact(varfx.WhitenedWindow(B=B, w=w), F, 1)
        assert float(result.log_p) == pytest.approx(-0.5 * (np.log(2) + np.log(3) + 2 * np.log(2 * np.pi)), rel=1e-12)


@pytest.mark.parametrize(
    ("F", "sigma2", "message"),
    [
        (torch.ones(3), 1.0, r"`F` must have shape \(2,\), one value per \w+.*, got \(3,\)"),
        (torch.tensor([1.0, -1.0]), 1.0, r"`F` must be finite and not negative: 1 of 2 are not, first F\[1\] = -1.0"),
        (torch.tensor([torch.nan, torch.inf]), 1.0, r"2 of 2 are not, first F\[0\] = nan"),
        (torch.ones(2), 0.0, "`sigma2` must be one positive number, got 0.0"),
        (torch.ones(2), torch.nan, "`sigma2` must be one positive number, got nan"),
        (torch.ones(2), torch.ones(2), r"`sigma2` must be one positive number, got \[1.0, 1.0\]"),
    ],
)
def test_what_is_no_variance_is_refused(F: torch.Tensor, sigma2: float, message: str) -> None:
    with pytest.raises(DataError, match=message):
        exact(WhitenedWindow(B=torch.eye(2), w=torch.zeros(2)), F, sigma2)


def test_precisions_that_cannot_factorise_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"`dtype` must be torch.float32 or torch.float64, got torch.float16"):
        exact(WhitenedWindow(B=torch.eye(2), w=torch.zeros(2)), torch.ones(2), 1.0, dtype=torch.float16)


def test_a_window_has_matching_shapes() -> None:
    with pytest.raises(DataError, match="`B` must have 2 axes and `w` 1"):
        WhitenedWindow(B=torch.zeros(2), w=torch.zeros(2))
    with pytest.raises(DataError, match=r"`B` has 2 rows, `T` shape None and `w` 3 values"):
        WhitenedWindow(B=torch.zeros(2, 4), w=torch.zeros(3))
    with pytest.raises(DataError, match=r"`B` has 2 rows, `T` shape \(3, 1\) and `w` 3 values"):
        WhitenedWindow(B=torch.zeros(2, 4), w=torch.zeros(3), T=torch.zeros(3, 1))


def test_merging_T_changes_nothing() -> None:
    rng = torch.Generator().manual_seed(0)
    B, T, w = (torch.randn(*shape, generator=rng, dtype=torch.float64) for shape in ((5, 9), (3, 5), (3,)))
    window = WhitenedWindow(B=B, w=w, T=T)
    assert (window.rank, window.num_variants) == (3, 9)
    assert window.merged(torch.float64).T is None
    F = torch.rand(9, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(exact(window, F, 1.0).log_p, exact(window.merged(torch.float64), F, 1.0).log_p)


def test_factors_are_a_plain_record() -> None:
    factors = factors_from_correlation(np.eye(3), np.eye(3))
    assert isinstance(factors, Factors)
    np.testing.assert_allclose(factors.lam, 1)


@pytest.mark.parametrize("factor", [1e-4, 1e4])
def test_the_estimate_of_conditioning_does_not_depend_on_the_unit(factor: float, rng: np.random.Generator) -> None:
    """`C` and `c C` are equally well conditioned, so that both are trusted, or neither."""
    B = torch.from_numpy(rng.standard_normal((20, 30)))
    window, F = WhitenedWindow(B=B, w=torch.ones(20, dtype=torch.float64)), torch.from_numpy(rng.uniform(0.1, 3, 30))
    found = _rank_form(window, F, 0.5, torch.float64).condition
    true = float(torch.linalg.cond((B * F) @ B.T + 0.5 * torch.eye(20, dtype=torch.float64)))
    assert 0.3 * true < found < 30 * true
    assert _rank_form(window, factor * F, factor * 0.5, torch.float64).condition == pytest.approx(found, rel=1e-9)
