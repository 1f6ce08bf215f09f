"""SuSiE: susieR's numbers, the exact posterior of small loci, and laws."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy import ndarray
from scipy.stats import multivariate_normal

from varfx.errors import DataError
from varfx.finemap import LowRankLD, Noise, Susie, SusieConfig, susie
from varfx.finemap.background import Background
from varfx.finemap.ld_matrix import DenseLD, background_diagonal, weigh
from varfx.finemap.locus_ld import with_unit_diagonal
from varfx.finemap.single_effect import best_variance, single_effect

SUSIER_GUARD = np.log1p(1001 * np.finfo(float).eps ** 0.5)  # susieR adds sqrt(eps) to each prior weight


@pytest.fixture(scope="module")
def n3(shared_data: Path) -> dict[str, ndarray]:
    """susieR's N3finemapping: z of both traits, LD, frequencies."""
    with np.load(shared_data / "finemapping" / "N3finemapping.npz") as file:
        X, Y, frequency = file["X"], file["Y"], file["allele_freq"][:, 0]
    n = len(X)
    X = (X - X.mean(0)) / X.std(0, ddof=1)
    Y = Y - Y.mean(0)
    b = X.T @ Y / (n - 1)
    residual = (Y**2).sum(0) - b**2 * (n - 1)
    return {"z": (b / np.sqrt(residual / (n - 2) / (n - 1))).T, "R": np.corrcoef(X.T), "n": n, "maf": frequency}


@pytest.fixture(scope="module")
def mismatch(shared_data: Path) -> tuple[ndarray, ndarray, float]:
    """susieR's rss_mismatch_example."""
    with np.load(shared_data / "finemapping" / "rss_mismatch_example.npz") as file:
        return file["z"], file["R"], float(file["n"][0])


def members(fit: Susie) -> list[list[int]]:
    """The sets with rows from 1, as R counts."""
    return [[row + 1 for row in one] for one in fit.sets]


@pytest.mark.shared_data
def test_susier_first_trait(n3: dict[str, ndarray]) -> None:
    fit = susie(n3["z"][0], n3["R"], n3["n"])
    assert fit.converged
    assert fit.sweeps == 6
    np.testing.assert_allclose(fit.V[:3], [0.06740415, 0.05114779, 0.03725531], rtol=0, atol=1e-8)
    assert not fit.V[3:].any()
    np.testing.assert_allclose(fit.log_bf[:3] + SUSIER_GUARD, [11.25946, 6.063012, 5.581175], rtol=0, atol=5e-6)
    assert fit.elbo == pytest.approx(-784.399590881, abs=1e-8)
    first, second, third = members(fit)
    assert first == [653]
    assert second == [773, 777]
    assert (len(third), third[0], third[-1]) == (30, 360, 415)
    np.testing.assert_allclose([one.purity for one in fit.sets], [1, 0.9815726, 0.8310851], rtol=0, atol=5e-8)
    np.testing.assert_allclose([one.coverage for one in fit.sets], [0.9980615, 0.9964953, 0.9503891], rtol=0, atol=5e-8)
    pip = [0.99806155, 0.59257413, 0.40392284, 0.08351365, 0.08351365]
    np.testing.assert_allclose(fit.pip[[652, 772, 776, 380, 385]], pip, rtol=0, atol=1e-8)


@pytest.mark.shared_data
def test_susier_second_trait_and_prior_weights(n3: dict[str, ndarray]) -> None:
    fit = susie(n3["z"][1], n3["R"], n3["n"])
    np.testing.assert_allclose(fit.V[:2], [0.1445245, 0.02803986], rtol=0, atol=5e-8)
    np.testing.assert_allclose(fit.pip[[794, 598, 613]], [0.99983575, 0.1713376, 0.1660605], rtol=0, atol=5e-8)
    assert fit.elbo == pytest.approx(-777.038039808, abs=1e-8)
    maf = np.minimum(n3["maf"], 1 - n3["maf"])
    weighed = susie(n3["z"][0], n3["R"], n3["n"], prior_weights=maf)
    np.testing.assert_allclose(weighed.pip[[652, 772, 776]], [0.998795793, 0.597349889, 0.399734640], rtol=0, atol=2e-9)
    assert susie(n3["z"][1], n3["R"], n3["n"], prior_weights=maf).pip[794] == pytest.approx(0.999855474, abs=1e-9)


@pytest.mark.shared_data
def test_susier_free_residual_variance(n3: dict[str, ndarray]) -> None:
    fit = susie(n3["z"][0], n3["R"], n3["n"], noise=Noise(sigma2=None))
    assert fit.sigma2 == pytest.approx(0.8179549, abs=5e-8)
    assert fit.elbo == pytest.approx(-779.019307926, abs=1e-8)
    np.testing.assert_allclose(fit.pip[[652, 772]], [0.99982356, 0.60444424], rtol=0, atol=1e-8)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("trait", "sigma2", "tau2", "row", "pip"),
    [(0, 0.8175527, 4.571242e-7, 652, 0.99981337), (1, 0.8069119, 1.139687e-5, None, None)],
)
def test_susier_inf(
    n3: dict[str, ndarray], trait: int, sigma2: float, tau2: float, row: int | None, pip: float | None
) -> None:
    """`unmappable_effects = "inf"` of susieR 2; both stop a little before the moments' fixed point, at different places."""
    n = float(n3["n"])
    noise = Noise(sigma2=None, background=np.ones(len(n3["R"])), largest_kappa=n)
    fit = susie(n3["z"][trait], n3["R"], n, noise=noise)
    assert fit.converged
    assert fit.sigma2 == pytest.approx(sigma2, abs=5e-6)
    assert fit.kappa / (n - 1) == pytest.approx(tau2, rel=0.02)
    if row is not None:
        assert fit.pip[row] == pytest.approx(pip, abs=1e-6)


def test_moments_are_those_of_the_residual(rng: np.random.Generator) -> None:
    """The two equations by plain algebra, in the space of genotypes: E |y - X b|^2 and E |X'(y - X b)|^2 (T = 1)."""
    people, size = 400, 30
    X = rng.standard_normal((people, size)).cumsum(axis=1)
    X = (X - X.mean(0)) / X.std(0, ddof=1)
    y = X @ rng.standard_normal(size) * 0.02 + X[:, 4] * 0.3 + rng.standard_normal(people)
    y = (y - y.mean()) / y.std(ddof=1)
    n, R = people, np.corrcoef(X.T)
    z = X.T @ y / np.sqrt(n - 1)
    alpha, mean, square = np.zeros((2, size)), np.zeros((2, size)), np.zeros((2, size))
    alpha[0, [4, 6]], alpha[1, 20] = (0.6, 0.3), 0.8
    mean[0, [4, 6]], mean[1, 20] = (5.0, 4.0), 2.0
    mean, square = alpha * mean, alpha * (mean**2 + 0.5)  # of effects that sit at one variant each
    found = Background.of(DenseLD(R).factored(), z, np.ones(size)).moments(n, mean, square, largest=1e9)
    b = mean.sum(axis=0) / np.sqrt(n - 1)
    covariance = sum((np.diag(q) - np.outer(m, m) for q, m in zip(square, mean, strict=True))) / (n - 1)
    XX = X.T @ X
    whole = np.sum((y - X @ b) ** 2) + np.trace(XX @ covariance)
    score = np.sum((X.T @ (y - X @ b)) ** 2) + np.trace(XX @ covariance @ XX)
    D = np.linalg.eigvalsh(XX)
    sigma2, tau2 = np.linalg.solve([[n, D.sum()], [D.sum(), (D**2).sum()]], [whole, score])
    assert tau2 > 0
    assert found == pytest.approx((sigma2, tau2 * (n - 1)), rel=1e-8)
    capped = Background.of(DenseLD(R).factored(), z, np.ones(size)).moments(n, mean, square, largest=1e-3)
    assert capped[1] == 1e-3


@pytest.mark.shared_data
def test_susier_mismatch(mismatch: tuple[ndarray, ndarray, float]) -> None:
    z, R, n = mismatch
    plain = susie(z, R, n, config=SusieConfig(max_sweeps=50))
    assert not plain.converged
    assert len(plain.sets) == 5
    finite = susie(z, R, n, noise=Noise(reference_size=500), config=SusieConfig(max_sweeps=50))
    assert [len(one) for one in finite.sets] == [9, 3, 21, 20]
    for size, excess in ((500, 0.0186554), (np.inf, 0.0206554)):
        fit = susie(z, R, n, noise=Noise(reference_size=size, mismatch=True))
        assert fit.converged
        (one,) = fit.sets
        assert len(one) == 14
        assert one.coverage == pytest.approx(0.9516753, abs=5e-7)
        assert one.purity == pytest.approx(0.8609486, abs=5e-8)
        assert fit.V[0] == pytest.approx(3.34468e-5, abs=5e-10)
        assert fit.log_bf[0] + np.log1p(500 * np.finfo(float).eps ** 0.5) == pytest.approx(2.47341, abs=1e-5)
        assert fit.pip.max() == pytest.approx(0.114164, abs=5e-7)
        assert fit.mismatch == pytest.approx(excess, abs=5e-8)
        assert fit.low_share == pytest.approx(0.1204845, abs=5e-8)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("share", "full", "pip"),
    [
        (0.95, False, (0.9980, 0.5725, 0.4241)),
        (0.99, False, (0.9981, 0.5864, 0.4101)),
        (1.0, True, (0.9981, 0.5926, 0.4039)),
    ],
)
def test_truncated_ld_with_its_diagonal(
    n3: dict[str, ndarray], share: float, full: bool, pip: tuple[float, ...]
) -> None:
    lam, V = np.linalg.eigh(n3["R"])
    lam, V = lam[::-1], V[:, ::-1]
    rank = int(np.searchsorted(np.cumsum(lam) / lam.sum(), share - 1e-12)) + 1
    rank = min(rank, int((lam > 1e-8 * lam[0]).sum()))
    ld = with_unit_diagonal(V[:, :rank] * np.sqrt(lam[:rank]))
    fit = susie(n3["z"][0], ld, n3["n"])
    np.testing.assert_allclose(fit.pip[[652, 772, 776]], pip, rtol=0, atol=6e-5)
    assert [len(one) for one in fit.sets] == [1, 2, 30]
    if full:
        np.testing.assert_allclose(fit.pip, susie(n3["z"][0], n3["R"], n3["n"]).pip, rtol=0, atol=1e-9)


@pytest.mark.shared_data
def test_a_port_of_susier_agrees(n3: dict[str, ndarray]) -> None:
    pysusie = pytest.importorskip("pysusie", reason="pysusie is not installed: pip install 'varfx[test]'")
    ours = susie(n3["z"][1], n3["R"], n3["n"], L=5)
    theirs = pysusie.susie_rss(z=n3["z"][1], R=n3["R"], n=n3["n"], L=5)
    np.testing.assert_allclose(ours.pip, theirs["pip"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours.V, theirs["V"], rtol=0, atol=1e-6)


# ---- small loci, whose posterior can be enumerated -------------------------------------------------------------------


def ld_of(rng: np.random.Generator, size: int, people: int = 60) -> ndarray:
    return np.asarray(
        np.corrcoef(
            np.cumsum(rng.standard_normal((people, size)), axis=1).T * 0.3 + rng.standard_normal((size, people))
        )
    )


def enumerated(z: ndarray, R: ndarray, V: float, number: int, pi: ndarray, T: ndarray | None = None) -> ndarray:
    """Inclusion probabilities if exactly `number` distinct variants have effects of variance V: all of them tried."""
    base = R + (0 if T is None else R @ np.diag(T) @ R)
    total, weight = np.zeros(z.size), 0.0
    for chosen in combinations(range(z.size), number):
        columns = R[:, list(chosen)]
        density = multivariate_normal.pdf(z, cov=base + V * columns @ columns.T) * np.prod(pi[list(chosen)])
        weight += density
        total[list(chosen)] += density
    return total / weight


@pytest.mark.parametrize("background", [False, True])
def test_one_effect_has_the_exact_posterior(rng: np.random.Generator, background: bool) -> None:
    R, pi = ld_of(rng, 8), rng.dirichlet(np.ones(8))
    z = rng.multivariate_normal(R[2] * 4, R)
    T = rng.gamma(1.0, 1.0, 8) if background else None
    given = weigh(DenseLD(R), z, 1.0, T)
    effect = single_effect(given.zeta, given.M.diagonal, np.log(pi), V=9.0)
    np.testing.assert_allclose(effect.alpha, enumerated(z, R, 9.0, 1, pi, T), rtol=1e-9)


def test_one_effect_is_wakefields_bayes_factor(rng: np.random.Generator) -> None:
    z, V = rng.standard_normal(6) * 2, 5.0
    effect = single_effect(z, np.ones(1), np.full(6, -np.log(6)), V=V)
    factor = np.sqrt(1 / (1 + V)) * np.exp(z**2 / 2 * V / (1 + V))
    np.testing.assert_allclose(effect.alpha, factor / factor.sum(), rtol=1e-12)
    np.testing.assert_allclose(effect.lbf, np.log(factor), rtol=1e-12)


def test_two_effects_come_close_to_the_exact_posterior(rng: np.random.Generator) -> None:
    R = ld_of(rng, 7)
    z = rng.multivariate_normal(R[1] * 7 - R[5] * 7, R)
    fit = susie(z, R, L=2)
    exact = enumerated(z, R, float(fit.V.mean()), 2, np.full(7, 1 / 7))
    np.testing.assert_allclose(fit.pip, exact, rtol=0, atol=0.08)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_the_variance_of_an_effect_is_the_best(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d, scale = rng.uniform(0.2, 2, 12), rng.choice([0.5, 2.0, 8.0])
    s2, weights = (rng.standard_normal(12) * scale) ** 2, np.log(rng.dirichlet(np.ones(12)))
    V = best_variance(s2, d, weights)

    def evidence(V: float) -> float:
        return float(np.logaddexp.reduce(0.5 * (s2 * V / (1 + V * d) - np.log1p(V * d)) + weights))

    tried = max(evidence(v) for v in np.exp(np.linspace(-12, 12, 600)))
    assert evidence(V) >= max(tried, 0.0) - 1e-9


# ---- forms of the same matrix ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma2", [1.0, 1.7])
def test_background_by_woodbury_is_that_of_plain_algebra(rng: np.random.Generator, sigma2: float) -> None:
    U, size = rng.standard_normal((9, 4)) * 0.4, 9
    D = 1 - (U**2).sum(1).clip(0, 0.9)
    ld, T, z = LowRankLD(U=U, D=D), rng.gamma(1.0, 1.0, size), rng.standard_normal(size)
    R = U @ U.T + np.diag(D)
    given = weigh(ld, z, sigma2, T)
    M = np.linalg.inv(np.diag(T) + sigma2 * np.linalg.inv(R))
    np.testing.assert_allclose(given.M.block(np.arange(size)), M, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(given.M.product(z), M @ z, rtol=1e-9)
    np.testing.assert_allclose(given.zeta, np.linalg.solve(sigma2 * np.eye(size) + R @ np.diag(T), z), rtol=1e-9)
    C = R @ np.diag(T) @ R + sigma2 * R
    assert given.log_det == pytest.approx(np.linalg.slogdet(C)[1] - np.linalg.slogdet(sigma2 * R)[1])
    assert given.explained == pytest.approx(z @ np.linalg.solve(sigma2 * R, z) - z @ np.linalg.solve(C, z))
    np.testing.assert_allclose(background_diagonal(ld, T), np.diag(R @ np.diag(T) @ R), rtol=1e-12)


def test_dense_and_factored_ld_give_the_same_fit(rng: np.random.Generator) -> None:
    R = ld_of(rng, 40, 300)
    z = rng.multivariate_normal(R[3] * 6 + R[30] * 5, R)
    T = rng.gamma(0.5, 0.1, 40)
    for noise in (
        Noise(),
        Noise(background=T),
        Noise(background=T, kappa=0.5),
        Noise(reference_size=200, mismatch=True),
    ):
        dense, factored = susie(z, R, 5000, noise=noise), susie(z, DenseLD(R).factored(), 5000, noise=noise)
        np.testing.assert_allclose(dense.pip, factored.pip, rtol=0, atol=1e-7)
        assert dense.kappa == pytest.approx(factored.kappa, abs=1e-6)


def test_whitened_data_give_the_fit_of_z(rng: np.random.Generator) -> None:
    """The same sweeps on `w = lam^-1/2 V' z`, `B = lam^1/2 V'` by plain algebra."""
    R = ld_of(rng, 30, 300)
    z = rng.multivariate_normal(R[3] * 6 + R[20] * 5, R)
    T = rng.gamma(0.5, 0.2, 30)
    fit = susie(z, R, noise=Noise(background=T, kappa=1.0), config=SusieConfig(tol=1e-9))
    lam, V = np.linalg.eigh(R)
    w, B = (V / np.sqrt(lam)).T @ z, (V * np.sqrt(lam)).T
    C = (B * T) @ B.T + np.eye(30)
    K = np.linalg.solve(C, B)
    d = np.einsum("rm,rm->m", B, K)
    means = fit.alpha * fit.mean
    for number in np.flatnonzero(fit.V > 0):
        score = K.T @ (w - B @ (means.sum(0) - means[number]))
        again = single_effect(score, d, np.full(30, -np.log(30)))
        np.testing.assert_allclose(again.alpha, fit.alpha[number], rtol=0, atol=1e-4)
        assert pytest.approx(fit.V[number], rel=1e-3) == again.V
    e = w - B @ means.sum(0)
    spread = sum(
        (a * q * d).sum() - (B @ m) @ np.linalg.solve(C, B @ m)
        for a, q, m in zip(fit.alpha, fit.square, means, strict=True)
    )
    whole = -0.5 * (np.linalg.slogdet(C)[1] + e @ np.linalg.solve(C, e) - w @ w + spread)
    divergence = 0.0
    for a, m, q, v in zip(fit.alpha, fit.mean, fit.square, fit.V, strict=True):
        if v > 0:
            own = q - m**2
            divergence += (a * (np.log(a * 30) + 0.5 * (q / v - 1 - np.log(own / v)))).sum()
    assert fit.elbo == pytest.approx(whole - divergence, abs=1e-8)
    assert fit.history == sorted(fit.history)


# ---- laws ------------------------------------------------------------------------------------------------------------


def test_order_scale_and_duplicates(rng: np.random.Generator) -> None:
    R = ld_of(rng, 25, 200)
    z = rng.multivariate_normal(R[3] * 7 + R[15] * 6, R)
    f = rng.gamma(1.0, 1.0, 25)
    fit = susie(z, R, 10_000, prior_weights=f)
    order = rng.permutation(25)
    np.testing.assert_allclose(
        susie(z[order], R[np.ix_(order, order)], 10_000, prior_weights=f[order]).pip, fit.pip[order], rtol=0, atol=1e-8
    )
    np.testing.assert_allclose(susie(z, R, 10_000, prior_weights=1e-7 * f).pip, fit.pip, rtol=0, atol=1e-12)
    sign = rng.choice([-1.0, 1.0], 25)
    flipped = susie(z * sign, R * np.outer(sign, sign), 10_000, prior_weights=f)
    np.testing.assert_allclose(flipped.pip, fit.pip, rtol=0, atol=1e-10)
    twice = np.append(np.arange(25), 3)
    double = susie(z[twice], R[np.ix_(twice, twice)], 10_000)
    assert double.pip[3] == pytest.approx(double.pip[25], abs=1e-10)
    (one,) = [each for each in double.sets if 3 in each]
    assert 25 in one


def test_no_association_gives_no_effect(rng: np.random.Generator) -> None:
    fit = susie(np.zeros(10), np.eye(10), 1000)
    assert fit.converged
    assert fit.sets == []
    assert not fit.pip.any()
    assert not fit.V.any()


def test_kappa_is_found_by_its_likelihood(rng: np.random.Generator) -> None:
    R = ld_of(rng, 200, 2000)
    lam, V = np.linalg.eigh(R)
    T = np.full(200, 2.0)
    root = V * np.sqrt(np.maximum(lam, 0))
    found = []
    for _ in range(8):
        b = rng.standard_normal(200) * np.sqrt(0.4 * T)
        found.append(susie(R @ b + root @ rng.standard_normal(200), R, L=1, noise=Noise(background=T)).kappa)
    error = np.std(found) / np.sqrt(8)
    assert abs(np.mean(found) - 0.4) < 4 * error + 0.03


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"z": [1.0, np.nan]}, "1 of 2 values are not, first nan at 1"),
        ({"z": [[1.0], [2.0]]}, r"got shape \(2, 1\)"),
        ({"z": ["a", "b"]}, "`z` must hold numbers"),
        ({"R": [[1.0, "r"], ["r", 1.0]]}, "`R` must be a matrix of numbers"),
        ({"R": np.array([[1.0, np.nan], [np.nan, 1.0]])}, r"2 values are not, first at \(0, 1\)"),
        ({"R": np.array([[1.0, 0.2], [0.0, 1.0]])}, "A triangle alone is not enough"),
        ({"R": np.array([[1.0, 1.2], [1.2, 1.0]])}, r"has 1\.2 at \(0, 1\)"),
        ({"R": np.array([[1, 0.99, 0.99], [0.99, 1, 0], [0.99, 0, 1]]), "z": [5, 5, -5]}, "not positive semidefinite"),
        ({"n": [100.0, 200.0]}, "must be one number, got 2 values"),
        ({"n": np.nan}, "`n` must be above 2 and finite"),
        ({"L": 2.5}, "at least 1 and whole"),
        ({"R": np.eye(3)}, r"`R` has shape \(3, 3\), but `z` has 2 values"),
        ({"R": np.array([[1.0, 0.2], [0.4, 1.0]])}, "must be symmetric"),
        ({"R": 2 * np.eye(2)}, "2 of 2 are not, first 2 at 0"),
        ({"prior_weights": [-1.0, 1.0]}, "1 of 2 are negative"),
        ({"n": 1.0}, "`n` must be above 2"),
        ({"L": 0}, "`L` must be at least 1"),
        ({"R": 1.5 * np.eye(30) - 0.5, "z": np.linspace(-9, 9, 30), "n": 5e4}, "not positive semidefinite"),
        ({"R": DenseLD(1.5 * np.eye(30) - 0.5), "z": np.linspace(-9, 9, 30), "n": 5e4}, "the fit diverged"),
        ({"noise": Noise(sigma2=None)}, "only with `n` given"),
        ({"noise": Noise(sigma2=None, background=np.ones(2), kappa=0.5), "n": 100}, "Give both values, or neither"),
        ({"noise": Noise(background=np.array([1.0]))}, "vector of 2 values"),
    ],
)
def test_wrong_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        susie(**{"z": [1.0, 2.0], "R": np.eye(2), **arguments})  # type: ignore[arg-type]


def test_arrays_of_other_kinds_give_the_same(rng: np.random.Generator) -> None:
    R = ld_of(rng, 20, 400)
    z = rng.multivariate_normal(R[3] * 8, R)
    fit = susie(z, R, 5000)
    single = R.astype(np.float32)
    np.testing.assert_allclose(susie(z.astype(np.float32), single, 5000).pip, fit.pip, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(susie(z.tolist(), R.tolist(), np.int64(5000)).pip, fit.pip)
    np.testing.assert_array_equal(susie(z, np.asfortranarray(R), 5000.0, np.int64(10)).pip, fit.pip)
    many = susie(z[:3], R[:3, :3], 5000, L=10)
    assert many.alpha.shape == (3, 3)
    rounded = susie(z, np.round(R, 2), 5000)  # not quite positive semidefinite
    np.testing.assert_allclose(rounded.pip, fit.pip, rtol=0, atol=0.05)
    without = susie(z, R)
    assert np.isfinite(without.pip).all()
    assert without.pip.argmax() == fit.pip.argmax()
