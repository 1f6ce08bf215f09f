"""Whitening, the rank rule, and re-whitening for associations that are fewer, or of unequal sample sizes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import varfx
from cases.transcription import correlated, log_likelihood
from varfx.errors import DataError
from varfx.ld import Factors, WhitenedWindow
from varfx.ld.whiten import factors_from_correlation, factors_from_genotypes, kept_rank, rewhiten
from varfx.likelihood import exact


@pytest.fixture
def X(rng: np.random.Generator) -> np.ndarray:
    return correlated(rng, 60, 150)


CORE = np.arange(40, 110)


def test_the_public_function_is_as_documented(X: np.ndarray) -> None:
    R = X.T @ X / len(X)
    z = X[:, CORE].T @ np.ones(len(X))
    B, w, lam = varfx.ld.whiten(R[np.ix_(CORE, CORE)], R[CORE], z, rank_variance=1.0)
    assert B.shape == (59, 150)
    assert w.shape == lam.shape == (59,)
    assert B.dtype == w.dtype == lam.dtype == torch.float64
    assert bool((lam[:-1] >= lam[1:]).all())
    expected = np.linalg.eigvalsh(R[np.ix_(CORE, CORE)])[::-1][:59]
    np.testing.assert_allclose(lam, expected, rtol=1e-8)
    # On the range of R_core whitening loses nothing: B'B and B'w are R R_core^+ R and R R_core^+ z.
    inverse = np.linalg.pinv(R[np.ix_(CORE, CORE)], rcond=1e-8, hermitian=True)
    np.testing.assert_allclose(B.T @ B, R[CORE].T @ inverse @ R[CORE], atol=1e-9)
    np.testing.assert_allclose(B.T @ w, R[CORE].T @ inverse @ z, atol=1e-7)


def test_tensors_arrays_and_lists_are_the_same(X: np.ndarray) -> None:
    R = X.T @ X / len(X)
    square, cross, z = R[np.ix_(CORE, CORE)], R[CORE], X[:, CORE].T @ np.ones(len(X))
    expected = varfx.ld.whiten(square, cross, z)
    readonly = square.copy()
    readonly.flags.writeable = False
    for inputs in (
        (torch.from_numpy(square), torch.from_numpy(cross).requires_grad_(), torch.from_numpy(z)),
        (readonly, np.asfortranarray(cross), z[::-1].copy()[::-1]),
        (square.tolist(), cross.tolist(), z.tolist()),
    ):
        for got, wanted in zip(varfx.ld.whiten(*inputs), expected, strict=True):
            torch.testing.assert_close(got, wanted)
            assert not got.requires_grad
    half = varfx.ld.whiten(torch.eye(2, dtype=torch.bfloat16), torch.eye(2, dtype=torch.float16), torch.ones(2))
    torch.testing.assert_close(half[0].T @ half[0], torch.eye(2, dtype=torch.float64))


def test_the_submodule_is_importable_next_to_the_function() -> None:
    from varfx.ld.whiten import whiten as function

    assert varfx.ld.whiten is function
    assert callable(varfx.ld.whiten)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (np.eye(3), np.eye(2), np.ones(3)),
            r"`R_core` \(3, 3\), `R_cross` \(2, 2\) and `z` \(3,\) must be \(core, core\)",
        ),
        ((np.ones((2, 3)), np.ones((2, 3)), np.ones(2)), r"`R_core` \(2, 3\)"),
        ((np.eye(2), np.ones(2), np.ones(2)), r"`R_cross` \(2,\)"),
        ((np.eye(2), np.eye(2), np.ones((2, 1))), r"`z` \(2, 1\)"),
        ((np.eye(2), np.eye(2), [1.0, np.nan]), r"`z` must be finite: 1 of 2 values are not, first nan at \(1,\)"),
        (
            (np.diag([1, np.inf]), np.eye(2), [1, 1]),
            r"`R_core` must be finite: 1 of 4 values are not, first inf at \(1, 1\)",
        ),
        ((np.eye(2), [[1, 0], [np.nan, 1]], [1, 1]), r"`R_cross` must be finite: 1 of 4 .* at \(1, 0\)"),
        ((np.eye(2), np.eye(2), ["a", "b"]), "`z` must be an array of numbers: could not convert"),
        ((np.eye(2), [[1, 0], [1]], [1, 1]), "`R_cross` must be an array of numbers"),
        (
            ([[1, 0.5], [0.4, 1]], np.eye(2), [1, 1]),
            "`R_core` must be symmetric; it differs from its transpose by up to 0.1",
        ),
        ((np.zeros((2, 2)), np.eye(2), [1, 1]), "the LD matrix has no positive eigenvalue"),
        ((np.eye(2), np.eye(2), [1, 1], 0.0), r"`rank_variance` must be above 0 and at most 1, got 0.0"),
        ((np.eye(2), np.eye(2), [1, 1], 1.5), r"`rank_variance` must be above 0 and at most 1, got 1.5"),
    ],
)
def test_what_cannot_be_whitened_is_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(DataError, match=message):
        varfx.ld.whiten(*arguments)


@pytest.mark.parametrize("scale", [[1.0], [1.0, 0.0], [1.0, -1.0], [[1.0, 1.0]]])
def test_scales_are_positive_and_one_a_row(scale: list) -> None:
    with pytest.raises(DataError, match="`scale` must hold 2 positive numbers, one per row of `R_cross`"):
        varfx.ld.whiten(np.eye(2), np.eye(2), np.ones(2), scale=np.array(scale))


def test_the_rank_rule() -> None:
    lam = np.array([5.0, 3.0, 1.0, 0.9, 0.1, 4e-8, -1e-9])
    assert kept_rank(lam, 1.0) == 5  # 4e-8 is below 1e-8 of the largest
    assert kept_rank(np.array([5.0, 6e-8]), 1.0) == 2
    assert kept_rank(np.array([5.0, 5e-8]), 1.0) == 1  # at the floor: dropped
    assert [kept_rank(lam, share) for share in (0.4, 0.5, 0.51, 0.8, 0.81, 0.9, 0.99, 0.995)] == [
        1,
        1,
        2,
        2,
        3,
        3,
        4,
        5,
    ]
    assert kept_rank(np.ones(4), 0.5) == 2
    for lam in (np.array([]), np.array([0.0]), np.array([-1.0]), np.array([np.nan])):
        with pytest.raises(DataError, match="has no positive eigenvalue: check that its values are correlations"):
            kept_rank(lam, 1.0)


@settings(deadline=None, max_examples=50)
@given(
    lam=st.lists(st.floats(1e-12, 1e3), min_size=1, max_size=20),
    share=st.floats(0.01, 1.0),
)
def test_the_rank_rule_keeps_the_fewest(lam: list[float], share: float) -> None:
    values = np.sort(lam)[::-1]
    rank = kept_rank(values, share)
    positive = values[values > 1e-8 * values[0]]
    assert 1 <= rank <= positive.size
    assert values[:rank].sum() >= (share - 1e-9) * positive.sum()
    assert rank == 1 or share == 1 or values[: rank - 1].sum() < share * positive.sum()
    ranks = [kept_rank(values, s) for s in (0.2, 0.5, 0.9, 1.0)]
    assert all(a <= b for a, b in pairwise(ranks))


@pytest.mark.parametrize("people", [40, 60, 500])
@pytest.mark.parametrize("rank_variance", [1.0, 0.95])
def test_genotypes_and_their_correlations_give_the_same_factors(
    rng: np.random.Generator, people: int, rank_variance: float
) -> None:
    X = correlated(rng, people, 150)
    R = X.T @ X / people
    a = factors_from_genotypes(X[:, CORE], X, rank_variance=rank_variance)
    b = factors_from_correlation(R[np.ix_(CORE, CORE)], R[CORE], rank_variance=rank_variance)
    assert a.lam.shape == b.lam.shape
    np.testing.assert_allclose(a.lam, b.lam, rtol=1e-9)
    for left, right in ((a.V, b.V), (a.B, b.B)):  # the signs of eigenvectors are free
        np.testing.assert_allclose(np.abs(left), np.abs(right), atol=1e-6)
    np.testing.assert_allclose(a.B.T @ a.B, b.B.T @ b.B, atol=1e-9)
    np.testing.assert_allclose(a.V.T @ a.V, np.eye(a.lam.size), atol=1e-10)
    np.testing.assert_allclose(a.B[:, CORE], (a.V * np.sqrt(a.lam)).T, atol=1e-9)


def test_people_are_taken_in_blocks(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    X = correlated(rng, 101, 30).astype(np.float32)
    whole = factors_from_genotypes(X[:, :20], X)
    monkeypatch.setitem(factors_from_genotypes.__globals__, "PEOPLE_PER_BLOCK", 7)
    blocks = factors_from_genotypes(X[:, :20], X)
    np.testing.assert_allclose(blocks.B.T @ blocks.B, whole.B.T @ whole.B, atol=1e-12)


def test_float32_correlations_stay_float32_but_eigenvalues_do_not(X: np.ndarray) -> None:
    R = (X.T @ X / len(X)).astype(np.float32)
    factors = factors_from_correlation(R[np.ix_(CORE, CORE)], R[CORE], rank_variance=0.99)
    assert (factors.lam.dtype, factors.V.dtype, factors.B.dtype) == (np.float64, np.float64, np.float32)


def likelihood(factors: Factors, observed: np.ndarray, z: np.ndarray, F: np.ndarray, scale: np.ndarray | None) -> float:
    whitening = rewhiten(factors, observed, scale)
    window = WhitenedWindow(
        B=torch.from_numpy(factors.B),
        w=torch.from_numpy(whitening.P @ z),
        T=None if whitening.T is None else torch.from_numpy(whitening.T),
    )
    return float(exact(window, torch.from_numpy(F), 1.2).log_p)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), people=st.integers(8, 80), share=st.floats(0.02, 1.0), unequal=st.booleans())
def test_a_subset_is_whitened_as_its_own_matrix(seed: int, people: int, share: float, unequal: bool) -> None:
    rng = np.random.default_rng(seed)
    X = correlated(rng, people, 60)
    R = X.T @ X / people
    core = np.arange(15, 50)
    observed = np.sort(rng.choice(core.size, max(1, int(share * core.size)), replace=False))
    rows = core[observed]
    z = X[:, rows].T @ rng.standard_normal(people) / np.sqrt(people)
    F = rng.gamma(0.5, 1, 60)
    scale = np.sqrt(rng.uniform(0.2, 1.5, rows.size)) if unequal else None
    factors = factors_from_correlation(R[np.ix_(core, core)], R[core])
    direct = log_likelihood(R[np.ix_(rows, rows)], R[rows], z, F, 1.2, scale)
    assert likelihood(factors, observed, z, F, scale) == pytest.approx(direct.log_p, rel=1e-8, abs=1e-7)


def test_the_whole_core_needs_no_T(X: np.ndarray) -> None:
    factors = factors_from_genotypes(X[:, CORE], X)
    whole = rewhiten(factors, np.arange(CORE.size))
    assert whole.T is None
    np.testing.assert_allclose(whole.P @ X[:, CORE].T, (factors.V / np.sqrt(factors.lam)).T @ X[:, CORE].T)
    with pytest.raises(DataError, match="a window without an observed association cannot be whitened; leave it out"):
        rewhiten(factors, np.array([], dtype=int))


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2, 0.1])
@pytest.mark.parametrize("rank_variance", [0.99, 0.95, 0.8])
def test_a_truncated_window_stays_calibrated_for_any_subset(share: float, rank_variance: float) -> None:
    """Under the null each w has variance 1, also where the rank rule has cut off what is still in the associations."""
    rng = np.random.default_rng(11)
    X = correlated(rng, 300, 400, memory=0.97)
    factors = factors_from_genotypes(X, X, rank_variance=rank_variance)
    observed = np.sort(rng.choice(400, int(share * 400), replace=False))
    null = X[:, observed].T @ rng.standard_normal((300, 400)) / np.sqrt(300)
    variance = ((rewhiten(factors, observed).P @ null) ** 2).mean(axis=1)
    assert 0.9 < variance.mean() < 1.2
    assert variance.max() < 2.5


def test_a_window_keeps_its_gram_until_it_is_moved() -> None:
    generator = torch.Generator().manual_seed(1)
    B, T = torch.randn(4, 6, generator=generator), torch.randn(3, 4, generator=generator)
    window = WhitenedWindow(B=B, w=torch.zeros(3), T=T)
    assert window.to(dtype=torch.float32, device="cpu") is window
    assert window.gram(torch.float32) is window.gram(torch.float32)
    torch.testing.assert_close(window.gram(torch.float64), B.double().T @ T.double().T @ T.double() @ B.double())
    assert window.to(dtype=torch.float64).gram(torch.float64) is not window.gram(torch.float64)
