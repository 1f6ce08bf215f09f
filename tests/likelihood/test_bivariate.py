"""The likelihood of two traits against a dense transcription, and its derivatives against finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from varfx.ld import WhitenedWindow
from varfx.likelihood import exact
from varfx.likelihood.bivariate import PairVariances, TraitPair, pair_information

M, R, K = 9, 5, 2


@pytest.fixture
def arrays(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        "B1": rng.standard_normal((R, M)) / 2,
        "B2": rng.standard_normal((R, M)) / 2,
        "w1": rng.standard_normal(R),
        "w2": rng.standard_normal(R),
        "F1": rng.random(M) + 0.2,
        "F2": rng.random(M) + 0.2,
        "D": np.c_[np.ones(M), rng.random(M)],
    }


def model(arrays: dict[str, np.ndarray], theta: np.ndarray) -> PairVariances:
    D, (d1, d2, eta) = arrays["D"], np.split(theta[: 3 * K], 3)
    parts = arrays["F1"] * np.exp(D @ d1), arrays["F2"] * np.exp(D @ d2), np.tanh(D @ eta), D
    F1, F2, rho, directions = map(torch.from_numpy, parts)
    s12, s11, s22 = theta[-3], math.exp(theta[-2]), math.exp(theta[-1])
    return PairVariances(F1=F1, F2=F2, rho=rho, directions=directions, s11=s11, s22=s22, s12=s12)


def traits(arrays: dict[str, np.ndarray]) -> TraitPair:
    return TraitPair(**{name: torch.from_numpy(arrays[name]) for name in ("B1", "B2", "w1", "w2")})


def dense(arrays: dict[str, np.ndarray], theta: np.ndarray) -> np.ndarray:
    now, (B1, B2) = model(arrays, theta), (arrays["B1"], arrays["B2"])
    F1, F2, rho = now.F1.numpy(), now.F2.numpy(), now.rho.numpy()
    C12 = B1 @ np.diag(rho * np.sqrt(F1 * F2)) @ B2.T + now.s12 * np.eye(R)
    C11, C22 = B1 @ np.diag(F1) @ B1.T + now.s11 * np.eye(R), B2 @ np.diag(F2) @ B2.T + now.s22 * np.eye(R)
    return np.block([[C11, C12], [C12.T, C22]])


def test_log_p_and_score(arrays: dict[str, np.ndarray]) -> None:
    theta = np.array([0.1, -0.3, 0.2, 0.1, 0.3, 0.4, 0.15, 0.2, -0.1])

    def log_p(at: np.ndarray) -> float:
        C, y = dense(arrays, at), np.r_[arrays["w1"], arrays["w2"]]
        return float(-0.5 * (np.linalg.slogdet(2 * math.pi * C)[1] + y @ np.linalg.solve(C, y)))

    found = pair_information(traits(arrays), model(arrays, theta))
    assert found is not None
    assert found.log_p == pytest.approx(log_p(theta), abs=1e-10)
    e = 1e-5
    slope = [(log_p(theta + e * one) - log_p(theta - e * one)) / (2 * e) for one in np.eye(9)]
    np.testing.assert_allclose(found.score, slope, atol=1e-8)


def test_average_information_is_that_of_the_dense_covariance(arrays: dict[str, np.ndarray]) -> None:
    theta = np.array([0.1, -0.3, 0.2, 0.1, 0.3, 0.4, 0.15, 0.2, -0.1])
    found = pair_information(traits(arrays), model(arrays, theta))
    assert found is not None
    e = 1e-6
    by = [(dense(arrays, theta + e * one) - dense(arrays, theta - e * one)) / (2 * e) for one in np.eye(9)]
    inverse, y = np.linalg.inv(dense(arrays, theta)), np.r_[arrays["w1"], arrays["w2"]]
    u = inverse @ y
    expected = np.array([[0.5 * u @ a @ inverse @ b @ u for b in by] for a in by])
    np.testing.assert_allclose(found.information, expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.curvature, found.curvature.T)


def test_without_correlation_it_is_two_traits(arrays: dict[str, np.ndarray]) -> None:
    theta = np.r_[np.zeros(3 * K), 0.0, 0.3, -0.2]
    found = pair_information(traits(arrays), model(arrays, theta))
    assert found is not None
    alone = sum(
        float(exact(WhitenedWindow(B=torch.from_numpy(arrays[f"B{t}"]), w=torch.from_numpy(arrays[f"w{t}"])),
                    torch.from_numpy(arrays[f"F{t}"]), s, dtype=torch.float64).log_p)
        for t, s in ((1, math.exp(0.3)), (2, math.exp(-0.2)))
    )  # fmt: skip
    assert found.log_p == pytest.approx(alone, abs=1e-10)


def test_noise_of_impossible_correlation_has_no_likelihood(arrays: dict[str, np.ndarray]) -> None:
    theta = np.r_[np.full(3 * K, -9.0), 2.0, 0.0, 0.0]
    assert pair_information(traits(arrays), model(arrays, theta)) is None
