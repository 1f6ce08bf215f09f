"""The interval of a gain: calibrated under the null and under the prior, for few and many windows, and its laws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy import ndarray
from scipy.stats import kstest, t

from varfx.bootstrap import sum_interval
from varfx.prior.gain_interval import Spectrum, cumulants, gain_interval, polynomials, student_ratios

SIGMA2, NULL = 0.95, 1.1


def windows(rng: np.random.Generator, count: int, strength: float = 1.0) -> list[Spectrum]:
    """Windows of 8 to 20 directions whose signal falls off, as that of windows in LD."""
    ranks = rng.integers(8, 20, count)
    return [Spectrum(strength * rng.gamma(1.0, 1.0) * np.exp(-np.arange(rank) / 2)) for rank in ranks]


def gains(rng: np.random.Generator, spectra: Sequence[Spectrum], truth: str, sigma2: float = SIGMA2) -> ndarray:
    """Each window's gain, from associations drawn in the eigenvectors of the signal."""
    values = []
    for each in spectra:
        variance = each.eigenvalues + sigma2
        true = variance if truth == "prior" else np.full(variance.size, NULL)
        u2 = true * rng.standard_normal(variance.size) ** 2
        values.append(0.5 * (u2 / NULL - u2 / variance - np.log(variance / NULL)).sum())
    return np.array(values)


@pytest.mark.parametrize("truth", ["null", "prior"])
def test_cumulants_are_those_of_the_gain(rng: np.random.Generator, truth: str) -> None:
    (spectrum,) = windows(rng, 1)
    variance = spectrum.eigenvalues + SIGMA2
    u2 = (variance if truth == "prior" else NULL) * rng.standard_normal((200_000, variance.size)) ** 2
    sample = 0.5 * (u2 / NULL - u2 / variance - np.log(variance / NULL)).sum(axis=1)
    mean, second, third = cumulants(spectrum, SIGMA2, NULL, truth=truth)  # type: ignore[arg-type]
    assert sample.mean() == pytest.approx(mean, abs=5 * np.sqrt(second / sample.size))
    assert sample.var() == pytest.approx(second, rel=0.05)
    assert ((sample - mean) ** 3).mean() == pytest.approx(third, rel=0.3)
    several = Spectrum(spectrum.eigenvalues, replicates=3)
    expected = pytest.approx((3 * mean, 3 * second, 3 * third))
    assert cumulants(several, SIGMA2, NULL, truth=truth) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [6, 60])
@pytest.mark.parametrize(("truth", "strength"), [("null", 0.02), ("null", 1.0), ("prior", 0.1), ("prior", 1.0)])
def test_coverage(count: int, truth: str, strength: float, rng: np.random.Generator) -> None:
    """Of intervals with a nominal coverage of 95 %, 91 to 99 % hold the expected gain (of 60 windows at least 91 %)."""
    runs, covered, above, below = (200, 0, 0, 0) if count < 50 else (100, 0, 0, 0)
    for seed in range(runs):
        spectra = windows(rng, count, strength)
        expected = sum(cumulants(each, SIGMA2, NULL, truth=truth)[0] for each in spectra)  # type: ignore[arg-type]
        interval = gain_interval(gains(rng, spectra, truth), spectra, SIGMA2, NULL, num_samples=200, seed=seed)
        assert interval is not None
        above += expected < interval[0]
        below += expected > interval[1]
        covered += interval[0] <= expected <= interval[1]
    assert 0.91 <= covered / runs <= (0.99 if count < 50 else 1.0), (above, below)


def test_a_symmetric_interval_of_few_windows_ends_too_low(rng: np.random.Generator) -> None:
    """Why there is more here than `sum_interval`, which lies below the expected gain far too often."""
    runs, missed = 150, {"gain": 0, "sum": 0}
    for seed in range(runs):
        spectra = windows(rng, 8, 3.0)
        values = gains(rng, spectra, "prior")
        expected = sum(cumulants(each, SIGMA2, NULL, truth="prior")[0] for each in spectra)
        ours = gain_interval(values, spectra, SIGMA2, NULL, num_samples=300, seed=seed)
        plain = sum_interval(values, num_samples=1000)
        assert ours is not None
        assert plain is not None
        missed["gain"] += expected > ours[1]
        missed["sum"] += expected > plain[1]
    assert missed["gain"] / runs < 0.04, missed
    assert missed["sum"] / runs > 0.06, missed


def test_a_few_causal_variants_do_not_rule_an_interval_out() -> None:
    """Signal in few windows: of the intervals over 8 windows 91 % or more hold the expected gain, where the prior alone held fewer.

    The benchmark `benchmarks/gain_calibration.py` has the full study; this is its cheap part, without a fit.
    """
    rng = np.random.default_rng(3)
    runs, covered, without = 120, 0, 0
    for seed in range(runs):
        spectra = windows(rng, 8, 0.6)
        factors = np.where(rng.random(8) < 0.25, 4.0, 0.0)  # of mean 1: a quarter of the windows holds all signal
        true = [Spectrum(factor * each.eigenvalues) for factor, each in zip(factors, spectra, strict=True)]
        values, expected = [], 0.0
        for each, real in zip(spectra, true, strict=True):
            variance, drawn = each.eigenvalues + SIGMA2, real.eigenvalues + SIGMA2
            constant = np.log(variance / NULL)
            d = 1 / NULL - 1 / variance
            u2 = drawn * rng.standard_normal(variance.size) ** 2
            values.append(0.5 * (u2 * d - constant).sum())
            expected += 4.0 * 0.25 * 0.5 * (each.eigenvalues * d).sum() + 0.5 * (SIGMA2 * d - constant).sum()
        interval = gain_interval(np.array(values), spectra, SIGMA2, NULL, num_samples=200, seed=seed)
        plain = sum_interval(np.array(values), num_samples=500)
        assert interval is not None
        assert plain is not None
        covered += interval[0] <= expected <= interval[1]
        without += plain[0] <= expected <= plain[1]
    assert covered / runs >= 0.91
    assert without / runs < covered / runs


def test_polynomials_are_the_cumulants_of_a_scaled_signal(rng: np.random.Generator) -> None:
    (spectrum,) = windows(rng, 1)
    stronger = polynomials(spectrum, SIGMA2, NULL, truth="prior") @ 2.5 ** np.arange(4)
    variance = spectrum.eigenvalues + SIGMA2
    x = (1 / NULL - 1 / variance) * (2.5 * spectrum.eigenvalues + SIGMA2)
    mean = 0.5 * (x.sum() - np.log(variance / NULL).sum())
    assert stronger == pytest.approx([mean, 0.5 * x @ x, (x**3).sum()])


def test_ratios_of_equal_normal_windows_are_student_s(rng: np.random.Generator) -> None:
    moments = np.zeros((7, 3, 4))
    moments[:, :2, 0] = 2.0, 3.0
    assert kstest(student_ratios(moments, 20_000, rng), t(6).cdf).pvalue > 1e-3


def test_laws(rng: np.random.Generator) -> None:
    spectra = windows(rng, 10)
    values = gains(rng, spectra, "prior")
    low, high = gain_interval(values, spectra, SIGMA2, NULL)  # type: ignore[misc]
    assert low < values.sum() < high
    assert gain_interval(values, spectra, SIGMA2, NULL) == (low, high)
    assert gain_interval(values, spectra, SIGMA2, NULL, seed=1) != (low, high)
    narrow = gain_interval(values, spectra, SIGMA2, NULL, level=0.5)
    assert narrow is not None
    assert low < narrow[0] < narrow[1] < high
    order = rng.permutation(10)
    shuffled = gain_interval(values[order], [spectra[i] for i in order], SIGMA2, NULL)
    assert shuffled == pytest.approx((low, high), rel=0.1)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_windows_have_no_interval(count: int, rng: np.random.Generator) -> None:
    assert gain_interval(np.ones(count), windows(rng, count), SIGMA2, NULL) is None


def test_a_prior_without_any_signal_has_no_width(rng: np.random.Generator) -> None:
    nothing = [Spectrum(np.zeros(4)) for _ in range(5)]
    assert gain_interval(np.zeros(5), nothing, 1.0, 1.0) == (0.0, 0.0)
