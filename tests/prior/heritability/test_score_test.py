"""Score tests: null annotations, true ones, and those that the prior holds."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy import ndarray
from scipy import stats

from cases.heritability import Draw, with_channel
from varfx.annotations import Annotations
from varfx.errors import DataError
from varfx.ld import WhitenedWindow
from varfx.likelihood import third_moment
from varfx.likelihood.blocks import Blocks
from varfx.likelihood.maximise import Pieces
from varfx.likelihood.third_moment import window_third_moment
from varfx.prior.heritability.calibrate import third_moments
from varfx.prior.heritability.score_test import efficient_scores, score_test
from varfx.prior.heritability.source import OwnDirections


def test_a_true_annotation_is_found_and_random_ones_are_calibrated(draw: Draw, active: Annotations) -> None:
    found = score_test(draw(0), active, random_annotations=200, random_fraction=0.1)
    (test,) = found.tests
    assert not test.held
    z = [test.z, *(score_test(draw(seed), active).tests[0].z for seed in range(1, 5))]
    assert np.mean(z) > 1.3
    assert min(z) > 0
    assert found.random_rms is not None
    assert 0.7 < found.random_rms < 1.4
    assert abs(found.random_z.mean()) < 0.3


def test_a_held_annotation_has_z_0(draw: Draw, active: Annotations) -> None:
    prior = draw(1)
    inside = active.table["active"].to_numpy().astype(np.float64)
    slope = np.random.default_rng(2).uniform(0.3, 1, inside.size)
    own = OwnDirections(
        names=("active",), values=(slope * (inside - 0.4))[:, None], coefficients=np.zeros(1), slope=slope
    )
    # the slope itself is the direction of the level in the model's own scale
    own = replace(own, names=("level", "active"), values=np.c_[slope, own.values], coefficients=np.zeros(2))
    found = score_test(replace(prior, own=own), active)
    (test,) = found.tests
    assert test.held
    assert (test.z, test.p) == (0, 1)
    assert any("holds 1 of the annotations already, first `active`" in note for note in found.notes)


def test_two_names_of_one_annotation_have_one_z(draw: Draw, active: Annotations) -> None:
    inside = active.table["active"].to_numpy()
    found = score_test(draw(2), with_channel(active, "opposite", 1 - inside))
    assert found.tests[0].z == pytest.approx(-found.tests[1].z, rel=1e-6)


def test_few_windows_are_tested_by_the_model(draw: Draw, active: Annotations) -> None:
    found = score_test(replace(draw(3), windows=tuple(range(10))), active)
    assert found.tests[0].z == found.tests[0].z_model
    assert any("only 10 windows: z is model-based" in note for note in found.notes)


def test_efficient_scores_of_a_regression(rng: np.random.Generator) -> None:
    """With normal errors of variance 1 the model-based Z is that of the partial regression."""
    x, y = rng.standard_normal((80, 4)), rng.standard_normal(80)
    base = x[:, [0, 1, 3]]  # parameters: base, new, and one that stands for log sigma2
    residual = y - base @ np.linalg.lstsq(base, y, rcond=None)[0]
    pieces = Pieces(0.0, residual[:, None] * x, x[:, :, None] * x[:, None, :])
    blocks = Blocks(np.array([0, 3, 7, 20, 41, 66, 80]), 3, missing=0.19)
    found = efficient_scores(pieces, 2, blocks, lambda weights: np.zeros(weights.shape[1]))
    coefficients = np.linalg.lstsq(base, x[:, 2], rcond=None)[0]
    left = x[:, 2] - base @ coefficients
    norm = np.linalg.norm(left)
    assert found.z_model[0] == pytest.approx(left @ y / norm, rel=1e-8)
    U = np.array([left[a:b] @ residual[a:b] for a, b in itertools.pairwise(blocks.bounds)])
    T = 0.9 * U.mean() / (U.std(ddof=1) / 6**0.5)
    assert found.t is not None
    assert found.t[0] == pytest.approx(T, rel=1e-8)
    assert stats.norm.cdf(found.z[0]) == pytest.approx(stats.t.cdf(T, 5), rel=1e-8)
    assert not found.held[0]

    def third(weights: ndarray) -> ndarray:
        """Asked of the direction freed of the base."""
        np.testing.assert_allclose(x @ weights[:, 0], left, rtol=1e-8)
        return np.array([0.12 * norm**3])

    skewed = efficient_scores(pieces, 2, blocks, third)
    assert skewed.t is not None
    assert skewed.t[0] == pytest.approx(T + 0.04 * T**2 + 0.12**2 * T**3 / 27 + 0.02, rel=1e-8)
    assert efficient_scores(pieces, 2, None, third).z[0] == found.z_model[0]


def test_z_is_normal_under_the_model(rng: np.random.Generator) -> None:
    """5,000 tests of random annotations in 24 windows of 12 independent associations, whose squares are exactly F chi-square."""
    windows, size, tests, replicates = 24, 12, 20, 250
    z, bounds = [], np.arange(windows + 1)
    for _ in range(replicates):
        x = rng.chisquare(1, (windows, size))  # C^-1 w^2, with C = F: no noise, all that is known is the variance
        level = x.mean()  # of F, estimated
        D = np.concatenate([np.ones((windows, size, 1)), rng.random((windows, size, tests)) < 0.2], axis=2)
        D = np.concatenate([D, np.zeros((windows, size, 1))], axis=2)  # no sigma2
        score = 0.5 * np.einsum("bm,bmk->bk", x / level - 1, D)
        information = 0.5 * np.einsum("bm,bmk,bml->bkl", x / level, D, D)

        def third(weights: ndarray, D: ndarray = D, x: ndarray = x / level) -> ndarray:
            return np.asarray(np.einsum("bm,bmk->k", x, (D @ weights) ** 3))

        pieces = Pieces(0.0, score, information)
        z.append(efficient_scores(pieces, 1, Blocks(bounds, 1, missing=0.0), third).z)
    found = np.concatenate(z)
    assert np.sqrt((found**2).mean()) == pytest.approx(1, abs=0.03)
    assert abs(found.mean()) < 0.06
    above, below = (found > 1.645).mean(), (found < -1.645).mean()
    assert 0.04 < above < 0.07  # 0.02 without the model's skewness, and 0.07 below
    assert 0.025 < below < 0.055


def test_third_moment_is_that_of_the_model(rng: np.random.Generator) -> None:
    """The mean over w, exactly: the quadratic form summed over the columns of a root of C is tr (C^-1 dC)^3."""
    B, F, c, c_s, sigma2 = (
        rng.standard_normal((6, 9)),
        rng.uniform(0.1, 1, 9),
        rng.standard_normal((9, 2)),
        [0.3, -1],
        0.7,
    )
    C = (B * F) @ B.T + sigma2 * np.eye(6)
    total = 0.0
    for w in np.linalg.cholesky(C).T:
        window = WhitenedWindow(B=torch.from_numpy(B), w=torch.from_numpy(w.copy()))
        arrays = [torch.from_numpy(np.asarray(each)) for each in (F, c, np.array(c_s))]
        total = total + window_third_moment(window, *arrays, sigma2).numpy()
    for k in range(2):
        M = np.linalg.solve(C, (B * (F * c[:, k])) @ B.T + sigma2 * c_s[k] * np.eye(6))
        assert total[k] == pytest.approx(np.trace(M @ M @ M), rel=1e-10)


def test_third_moment_of_large_windows_is_in_single_precision(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    B, w, F, c = (
        torch.from_numpy(each)
        for each in (rng.standard_normal((20, 50)), rng.standard_normal(20), rng.random(50), rng.random((50, 3)))
    )
    arguments = WhitenedWindow(B=B, w=w), F, c, torch.tensor([0.0, 0.5, -1.0], dtype=torch.float64), 0.9
    exact = window_third_moment(*arguments)
    monkeypatch.setattr(third_moment, "LEAST_RANK", 20)
    rounded = window_third_moment(*arguments)
    assert not torch.equal(exact, rounded)
    torch.testing.assert_close(rounded, exact, rtol=1e-4, atol=1e-4)


def test_third_moments_of_a_source_are_sums_over_windows(draw: Draw) -> None:
    prior = replace(draw(2), windows=(3, 4, 20))
    D, delta = np.c_[np.ones(960), np.arange(960) % 3 == 0], np.array([0.2, -0.1])
    weights = np.array([[1, 0, 0.5], [0, 1, -0.5], [0, 0, 0.2]])
    expected = np.zeros(3)
    for index in prior.windows:
        rows = prior.panel_rows[index]
        trait = prior.data.plain(index).traits[0]
        assert trait is not None
        F = prior.n_ref * prior.f[rows] * np.exp(D[rows] @ delta)
        arrays = [torch.from_numpy(each) for each in (F, D[rows] @ weights[:2], weights[2])]
        expected += window_third_moment(trait, *arrays, np.exp(0.05)).numpy()
    np.testing.assert_allclose(third_moments(prior, D, np.r_[delta, 0.05], weights), expected, rtol=1e-10)


def test_an_empty_random_annotation_is_refused(draw: Draw, active: Annotations) -> None:
    with pytest.raises(DataError, match="`random-fraction` 1e-05 of 960 variants is none"):
        score_test(draw(4), active, random_annotations=1, random_fraction=1e-5)
