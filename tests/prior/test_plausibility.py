"""Bounds of plausible numbers, and the cap on ratios of f."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from varfx.prior.plausibility import capped, ratio_warning, sigma2_warning


@pytest.mark.parametrize(
    ("sigma2", "message"), [(1.31, "sigma2 is 1.31.*another ancestry"), (0.69, "sigma2 is 0.69.*genomic control")]
)
def test_sigma2_far_from_one(sigma2: float, message: str) -> None:
    warning = sigma2_warning("height", sigma2)
    assert warning is not None
    assert re.match(rf"`height`: {message}", warning)


@pytest.mark.parametrize("sigma2", [0.7, 1.0, 1.3])
def test_plausible_sigma2(sigma2: float) -> None:
    assert sigma2_warning("height", sigma2) is None


def test_ratio() -> None:
    assert ratio_warning("t", np.array([1.0, 1e4])) is None
    assert "by a factor of 1.1e+04" in str(ratio_warning("t", np.array([1.0, 1.1e4])))
    assert "some are 0" in str(ratio_warning("t", np.array([0.0, 1.0])))
    assert ratio_warning("t", np.empty(0)) is None


@given(arrays(float, st.integers(1, 30), elements=st.floats(1e-12, 1.0)), st.floats(1.0, 1e5))
def test_a_cap_bounds_the_ratio_keeps_sum_and_order(f: np.ndarray, cap: float) -> None:
    found = capped(f, cap)
    assert found.sum() == pytest.approx(f.sum())
    assert found.max() / found.min() <= cap * (1 + 1e-12)
    order = np.argsort(f, kind="stable")
    assert (np.diff(found[order]) >= 0).all()
    if f.max() / f.min() <= cap:
        assert found == pytest.approx(f)


def test_a_cap_by_hand() -> None:
    assert capped(np.array([0.0, 2.0, 10.0]), 10) == pytest.approx(np.array([1.0, 2.0, 10.0]) * 12 / 13)
    assert capped(np.zeros(3), 10) == pytest.approx(np.zeros(3))
