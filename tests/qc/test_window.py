"""Window checks: the energy's p-value is uniform, mismatches are noticed, subsets and panels agree with plain arrays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray
from scipy.stats import kstest

from cases.simulated_panel import CORE, Simulated, haplotypes, standardise
from varfx.genotypes.open_ld import open_source
from varfx.ld import PanelConfig, build_panel
from varfx.ld.whiten import factors_from_correlation
from varfx.qc import (
    Baseline,
    Directions,
    WindowCheck,
    baseline_of,
    check_core,
    check_core_variants,
    check_window,
    directions_of,
    estimate_s,
    judge,
    lacks_square_norm,
)
from varfx.qc.strong_effects import StrongEffects, largest_outside, strong_effects

SIZE = 120


@pytest.fixture(scope="module")
def R() -> ndarray:
    X = standardise(haplotypes(np.random.default_rng(1), 400, SIZE))
    return np.asarray(X.T @ X / 400)


def draw(R: ndarray, rng: np.random.Generator, b: ndarray | None = None) -> ndarray:
    lam, V = np.linalg.eigh(R)
    signal = 0.0 if b is None else R @ b
    return np.asarray(signal + V @ (np.sqrt(np.maximum(lam, 0)) * rng.standard_normal(len(R))))


def directions(R: ndarray, share: float = 0.95, observed: ndarray | None = None) -> Directions:
    factors = factors_from_correlation(R, R, rank_variance=share)
    return directions_of(
        factors.lam, factors.V, np.arange(len(R)) if observed is None else observed, factors.square_norm
    )


@pytest.mark.parametrize("missing", [False, True])
def test_the_p_value_of_the_energy_is_uniform(R: ndarray, rng: np.random.Generator, missing: bool) -> None:
    observed = np.setdiff1d(np.arange(SIZE), np.arange(2, SIZE, 10)) if missing else np.arange(SIZE)
    given = directions(R, observed=observed)
    p = [check_window(draw(R, rng)[observed], given).energy_p for _ in range(200)]
    if missing:  # the variance outside is then an estimate
        assert 0.3 < np.median(p) < 0.7
        assert min(p) > 1e-5
    else:
        assert kstest(p, "uniform").pvalue > 0.01


def test_a_strong_signal_is_no_mismatch(R: ndarray, rng: np.random.Generator) -> None:
    given = directions(R)
    p = []
    for _ in range(40):
        b = np.zeros(SIZE)
        b[rng.integers(SIZE)] = 25.0
        p.append(check_window(draw(R, rng, b), given).energy_p)
    assert np.mean(np.array(p) < 1e-3) <= 0.1


@pytest.mark.parametrize("share", [0.9, 0.95, 0.99])
def test_strong_effects_do_not_fail_a_matched_window(R: ndarray, rng: np.random.Generator, share: float) -> None:
    """Effects up to 60, up to four at once, also of opposite sign in LD: what truncation leaves of them is no mismatch."""
    given = directions(R, share)
    for _ in range(60):
        b = np.zeros(SIZE)
        count = int(rng.integers(1, 5))
        b[rng.choice(SIZE, count, replace=False)] = rng.uniform(20, 60, count) * rng.choice([-1, 1], count)
        check = check_window(draw(R, rng, b), given)
        assert judge(check).mark != "fail"
        assert not check.energy_p < 1e-6


def test_energy_outside_is_bounded_by_what_the_effects_leave(R: ndarray, rng: np.random.Generator) -> None:
    """Against the rest of the LD itself, which a panel does not keep."""
    lam, V = np.linalg.eigh(R)
    given = directions(R, 0.95)
    rank = given.lam.size
    rest = (V[:, :-rank] * lam[:-rank]) @ V[:, :-rank].T
    assert given.rest == pytest.approx(np.trace(rest), rel=1e-9)
    assert given.rest_square is not None
    top = largest_outside(given.rest, given.rest_square, SIZE - rank, float(given.lam.min()))
    assert lam[-rank - 1] <= top <= given.lam.min()
    for row in range(0, SIZE, 7):
        b = np.zeros(SIZE)
        b[row] = 40.0
        found = strong_effects(R @ b, given.V * np.sqrt(given.lam), given.lacking)
        assert found.b[0] == pytest.approx(40, rel=0.2)
        assert found.outside(top) > 0.95 * float(np.square(rest @ b).sum())


def test_a_flipped_allele_is_no_effect(R: ndarray) -> None:
    b = np.zeros(SIZE)
    b[60] = 30.0
    z = R @ b
    given = directions(R, 0.99)
    root = given.V * np.sqrt(given.lam)
    assert strong_effects(z, root, given.lacking).rows.tolist() == [60]
    linked = [row for row in np.argsort(-np.abs(z)).tolist() if row != 60][:3]
    for row in linked:
        flipped = z.copy()
        flipped[row] *= -1
        assert row not in strong_effects(flipped, root, given.lacking).rows
        assert judge(check_window(flipped, given)).mark != "pass"


def test_flipped_alleles_are_noticed_and_named(R: ndarray, rng: np.random.Generator) -> None:
    b = np.zeros(SIZE)
    b[60] = 20.0
    z = draw(R, rng, b)
    matched = check_window(z, directions(R))
    assert judge(matched).mark == "pass"
    row = 58 if abs(z[58]) > 5 else int(np.argsort(-np.abs(z))[1])
    z[row] *= -1
    check = check_window(z, directions(R))
    assert check.s > 10 * matched.s
    assert check.energy_p < 1e-6
    U = factors_from_correlation(R, R, rank_variance=0.95)
    from varfx.qc import check_variants

    root = U.V * np.sqrt(U.lam)
    variants = check_variants(z, root, 1 - np.square(root).sum(1), check.s)
    assert np.flatnonzero(variants.flipped).tolist() == [row]
    assert np.abs(variants.kriging).argmax() == row
    verdict = judge(check, variants)
    assert verdict.mark in ("warn", "fail")
    assert verdict.cause == "flipped alleles at 1 variant"


def test_mixed_sample_sizes(R: ndarray, rng: np.random.Generator) -> None:
    b = np.zeros(SIZE)
    b[60] = 20.0
    first, second = draw(R, rng, b), draw(R, rng, b)
    z = np.where(np.arange(SIZE) % 2 == 0, first, np.sqrt(0.5) * second)
    check = check_window(z, directions(R, 0.99))
    assert judge(check, n_spread=0.3).cause == "mixed sample sizes"
    assert judge(check).mark != "pass"


def test_s_is_that_of_susier(shared_data: Path) -> None:
    path = shared_data / "finemapping" / "rss_mismatch_example.npz"
    if not path.is_file():
        pytest.skip("real data absent: set VARFX_DATA")
    with np.load(path) as file:
        z, R, n = file["z"], file["R"], float(file["n"][0])
    z = z * np.sqrt((n - 1) / (z**2 + n - 2))
    assert estimate_s(z, R) == pytest.approx(0.1769052, abs=2e-5)
    factors = factors_from_correlation(R, R, rank_variance=1.0)
    whole = check_window(z, directions_of(factors.lam, factors.V, np.arange(z.size), factors.square_norm))
    assert whole.s == pytest.approx(estimate_s(z, R), rel=1e-3)


def test_conditional_moments_are_those_of_a_normal_distribution(R: ndarray, rng: np.random.Generator) -> None:
    from varfx.qc import check_variants

    z, s = draw(R, rng), 0.2
    lam, V = np.linalg.eigh(R)
    found = check_variants(z, V * np.sqrt(np.maximum(lam, 0)), np.zeros(SIZE), s)
    C = (1 - s) * R + s * np.eye(SIZE)
    others = np.arange(SIZE) != 7
    weights = np.linalg.solve(C[np.ix_(others, others)], C[others, 7])
    assert found.conditional_mean[7] == pytest.approx(weights @ z[others], rel=1e-7)
    assert found.conditional_variance[7] == pytest.approx(C[7, 7] - weights @ C[others, 7], rel=1e-7)


def test_dentist_is_slaloms_formula(rng: np.random.Generator) -> None:
    from varfx.qc import dentist

    z, r = np.array([9.0, 8.0, -3.0, 8.9]), np.array([1.0, 0.9, 0.3, 0.95])
    statistic, outlier = dentist(z, r, 0)
    assert np.isnan(statistic[[0, 2]]).all()
    np.testing.assert_allclose(statistic[[1, 3]], [(8 - 8.1) ** 2 / 0.19, (8.9 - 8.55) ** 2 / 0.0975])
    assert not outlier.any()
    assert dentist(np.array([9.0, -8.0]), np.array([1.0, 0.9]), 0)[1].tolist() == [False, True]


# ---- marks ----------------------------------------------------------------------------------------------------------


GOOD = WindowCheck(
    variants=500,
    mean_chi2=1.2,
    energy_ratio=1.0,
    energy_z=0.0,
    energy_p=0.5,
    energy_least=1.0,
    s=1e-4,
    s_lr=0.0,
    sigma2=1.0,
    variance_lr=0.1,
)
BAD = replace(GOOD, s=0.35, s_lr=200.0, energy_ratio=6.0, energy_least=6.0, energy_z=20.0, energy_p=1e-80)


def test_a_window_is_judged_beside_the_others() -> None:
    assert judge(GOOD).mark == "pass"
    assert judge(BAD).mark == "fail"
    usual = Baseline.of([replace(BAD, s=0.15 + 0.01 * i, energy_ratio=4.0) for i in range(10)])
    assert usual is not None
    assert usual.doubtful == ("s", "energy")
    assert judge(BAD, baseline=usual).mark == "warn"
    assert judge(replace(BAD, s=0.2, energy_ratio=5.0), baseline=usual).mark == "pass"
    assert judge(replace(BAD, s=0.7), baseline=usual).mark == "fail"
    assert Baseline.of([GOOD] * 9) is None
    assert Baseline.of([GOOD] * 10).doubtful == ()  # type: ignore[union-attr]


def test_s_alone_does_not_fail_a_window_whose_energy_strong_effects_may_explain() -> None:
    assert judge(replace(BAD, energy_ratio=3.5)).mark == "warn"
    assert judge(replace(BAD, energy_ratio=4.5)).evidence == ("s",)
    assert judge(replace(BAD, energy_least=1.4)).mark == "warn"
    assert judge(replace(BAD, energy_least=1.6)).evidence == ("s",)


def test_marks_of_few_variants_and_of_panels_without_a_p_value() -> None:
    assert judge(replace(BAD, variants=19)).mark == "pass"
    assert judge(replace(BAD, energy_p=np.nan)).mark == "fail"
    full_rank = replace(BAD, energy_ratio=np.nan, energy_p=np.nan, energy_least=np.nan)
    assert judge(full_rank).mark == "fail"
    inflated = judge(replace(GOOD, sigma2=1.5, variance_lr=20.0))
    assert (inflated.mark, inflated.cause) == ("warn", "inflated associations")


# ---- panels ---------------------------------------------------------------------------------------------------------


def test_cores_of_a_panel(simulated: Simulated, tmp_path: Path, rng: np.random.Generator) -> None:
    config = PanelConfig(core=CORE, flank=CORE, rank_variance=0.9)
    panel = build_panel(open_source([simulated.bed], maf=0.0), tmp_path / "cut.ld.zarr", config, workers=1)
    R = simulated.X[:, :40].T @ simulated.X[:, :40] / len(simulated.X)
    assert panel.windows["square_norm"][0] == pytest.approx(np.square(R).sum(), rel=1e-6)
    z = np.full(480, np.nan)
    z[:40] = draw(R, rng)
    found = check_core(panel, 0, z)
    factors = factors_from_correlation(R, R, rank_variance=0.9)
    again = check_window(z[:40], directions_of(factors.lam, factors.V, np.arange(40), factors.square_norm))
    assert found is not None
    assert found.energy_p == pytest.approx(again.energy_p, rel=1e-3)
    assert found.s == pytest.approx(again.s, rel=1e-2, abs=1e-6)
    assert check_core(panel, 5, z) is None
    assert baseline_of(panel, z) is None
    rows, variants = check_core_variants(panel, 0, z, 0.01)
    assert rows.tolist() == list(range(40))
    assert variants.kriging.shape == (40,)
    assert not lacks_square_norm(panel)


def test_an_effect_taken_for_its_neighbour_s_is_no_failure() -> None:
    """Two variants in LD, of which truncation took a third of the second one's variance: its effect is found at the first."""
    r, b = 0.75, 40.0
    U = np.array([[1.0, 0.0], [r, 0.35]])
    lacking = 1 - np.square(U).sum(1)
    found = strong_effects(b * np.array([r, U[1] @ U[1]]), U, lacking)
    first = int(found.rows[0])
    other = 1 - first
    R = U @ U.T + np.diag(lacking)
    assert found.most[0] == pytest.approx(max(lacking[first], lacking[other] / R[0, 1] ** 2))
    top = 0.8
    assert found.at_most(top) >= found.outside(top)
    assert StrongEffects(np.array([0]), np.array([2.0]), np.array([0.1]), np.array([0.3])).at_most(
        top
    ) == pytest.approx(0.96)


def test_the_least_energy_is_below_the_ratio(R: ndarray, rng: np.random.Generator) -> None:
    b = np.zeros(SIZE)
    b[60] = 30.0
    plain, strong = (check_window(draw(R, rng, each), directions(R)) for each in (np.zeros(SIZE), b))
    assert plain.energy_least == plain.energy_ratio
    assert 0 < strong.energy_least <= strong.energy_ratio
