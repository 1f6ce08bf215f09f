"""Transforms and codes: the stated error is never exceeded, and missing stays missing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from varfx.errors import ConfigError, DataError
from varfx.tracks.config import StoredAs
from varfx.tracks.quantise import Transform, choose_code

finite = st.floats(-60_000, 60_000, width=32, allow_subnormal=False)
signals = arrays(np.float32, st.integers(1, 40), elements=st.one_of(finite, st.just(float("nan"))))


@pytest.mark.parametrize("stored", ["uint8", "float16"])
@given(signals)
def test_the_stated_error_holds_and_missing_stays(stored: StoredAs, t: np.ndarray) -> None:
    known = t[~np.isnan(t)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    code = choose_code(stored, low, high, whole=bool((known == np.rint(known)).all()))
    stored_numbers = code.encode(t)
    decoded = code.decode(stored_numbers)
    assert stored_numbers.dtype == stored
    np.testing.assert_array_equal(np.isnan(decoded), np.isnan(t))
    error = np.abs(decoded.astype(np.float64) - t.astype(np.float64))[~np.isnan(t)]
    assert (error <= code.max_error).all()


def test_the_stated_error_is_tight() -> None:
    t = np.linspace(-3, 50, 100_001, dtype=np.float32)
    code = choose_code("uint8", -3, 50, whole=False)
    worst = np.abs(code.decode(code.encode(t)) - t).max()
    assert 0.99 * code.max_error < worst <= code.max_error
    assert code.max_error == pytest.approx(53 / 254 / 2, rel=1e-2)


@given(arrays(np.int64, st.integers(1, 30), elements=st.integers(-20, 234)))
def test_whole_numbers_close_together_are_exact(values: np.ndarray) -> None:
    t = values.astype(np.float32)
    code = choose_code("uint8", float(t.min()), float(t.max()), whole=True)
    assert code.max_error == 0
    np.testing.assert_array_equal(code.decode(code.encode(t)), t)


def test_whole_numbers_far_apart_are_not_exact() -> None:
    assert choose_code("uint8", 0, 255, whole=True).max_error > 0
    assert choose_code("uint8", 0, 254, whole=True).max_error == 0


def test_a_constant_is_kept() -> None:
    code = choose_code("uint8", 0.3, 0.3, whole=False)
    np.testing.assert_allclose(code.decode(code.encode(np.full(3, 0.3, np.float32))), 0.3, rtol=1e-6)


@pytest.mark.parametrize("tiny", [1.1754943508222875e-38, 1.2e-38, 2e-37, 1e-36, 1e-35])
def test_a_range_near_the_smallest_number_keeps_its_stated_error(tiny: float) -> None:
    t = np.array([0, tiny, -tiny], np.float32)
    code = choose_code("uint8", float(t.min()), float(t.max()), whole=False)
    error = np.abs(code.decode(code.encode(t)).astype(np.float64) - t)
    assert (error <= code.max_error).all()


def test_half_precision_has_a_limit() -> None:
    with pytest.raises(DataError, match="values up to 70000 do not fit into float16"):
        choose_code("float16", 0, 70_000, whole=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", [0.25, 9, 100]),
        ("log1p", np.log1p([0.25, 9, 100])),
        ("sqrt", [0.5, 3, 10]),
        ("asinh", np.arcsinh([0.25, 9, 100])),
        ("clip:1:50", [1, 9, 50]),
        ("clip:1:50,log1p", np.log1p([1, 9, 50])),
        ("log1p,clip:1:3", np.clip(np.log1p([0.25, 9, 100]), 1, 3)),
    ],
)
def test_transforms(text: str, expected: list[float]) -> None:
    out = Transform(text)(np.array([0.25, 9, 100, np.nan], np.float32))
    np.testing.assert_allclose(out, [*expected, np.nan], rtol=1e-6)


@pytest.mark.parametrize(
    "text", ["log", "clip", "clip:1", "clip:3:1", "clip:a:b", "clip:0:inf", "log1p:2", "", "none,"]
)
def test_unknown_transforms(text: str) -> None:
    with pytest.raises(ConfigError, match="`transform` must be none, log1p, sqrt, asinh, clip:LOW:HIGH"):
        Transform(text)


@pytest.mark.parametrize(
    ("text", "value", "message"),
    [("log1p", -1.0, "log1p needs values above -1, but 2"), ("sqrt", -0.5, "sqrt needs values of at least 0, but 2")],
)
def test_values_that_a_transform_cannot_take(text: str, value: float, message: str) -> None:
    with pytest.raises(DataError, match=f"{message} bases have others, first {value:g}"):
        Transform(text)(np.array([1, value, np.nan, value], np.float32))
    assert np.isfinite(Transform(f"clip:0:9,{text}")(np.array([value], np.float32))).all()
