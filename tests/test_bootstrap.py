"""The interval over windows: its coverage, which is the point of it, and its laws."""

from __future__ import annotations

import numpy as np
import pytest

from varfx.bootstrap import sum_interval


@pytest.mark.parametrize("count", [4, 10, 40])
@pytest.mark.parametrize("law", ["normal", "skewed", "heavy"])
def test_coverage(count: int, law: str, rng: np.random.Generator) -> None:
    """Of 1,000 intervals with a nominal coverage of 95 %, 90 to 99 % must hold the expected sum."""
    draws = {
        "normal": lambda: rng.normal(0.3, 1, count),
        "skewed": lambda: rng.gamma(3.0, 1.0, count),
        "heavy": lambda: rng.standard_t(5, count),
    }
    expected = {"normal": 0.3, "skewed": 3.0, "heavy": 0.0}[law] * count
    runs = 1000
    covered = 0
    for seed in range(runs):
        interval = sum_interval(draws[law](), num_samples=200, seed=seed)
        assert interval is not None
        covered += interval[0] <= expected <= interval[1]
    assert 0.90 <= covered / runs <= 0.99


def test_it_is_centred_scales_and_changes_sign_with_the_values(rng: np.random.Generator) -> None:
    values = rng.gamma(2.0, 1.0, 12)
    low, high = sum_interval(values)  # type: ignore[misc]
    assert low < values.sum() < high
    assert sum_interval(3 * values) == pytest.approx((3 * low, 3 * high))
    assert sum_interval(-values) == pytest.approx((-high, -low))
    assert sum_interval(values + 5) == pytest.approx((low + 60, high + 60))
    assert sum_interval(values) == (low, high)


def test_its_width_is_that_of_students_interval_for_normal_values(rng: np.random.Generator) -> None:
    from scipy.stats import t

    values = rng.standard_normal(30)
    low, high = sum_interval(values, num_samples=40_000)  # type: ignore[misc]
    expected = 2 * t.ppf(0.975, 29) * values.std(ddof=1) * np.sqrt(30)
    assert high - low == pytest.approx(expected, rel=0.03)


def test_level(rng: np.random.Generator) -> None:
    values = rng.standard_normal(20)
    narrow, wide = sum_interval(values, level=0.5), sum_interval(values, level=0.99)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]  # type: ignore[index]


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_windows_have_no_interval(count: int) -> None:
    assert sum_interval(np.ones(count)) is None


def test_equal_values_have_no_width() -> None:
    assert sum_interval(np.full(6, 2.5)) == pytest.approx((15.0, 15.0))
