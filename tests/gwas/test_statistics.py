"""z from each kind of statistic, against arbitrary precision, and the order of trust."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from varfx.errors import DataError
from varfx.gwas.numbers import Offences, to_numbers
from varfx.gwas.statistics import z_from_neg_log10_p, z_scores
from varfx.io.ledger import Ledger


def neg_log10_p(z: float) -> float:
    """-log10 of the two-sided p of z, in log space, by the asymptotic series of the normal tail for large z."""
    if z < 20:
        return float(-math.log10(2 * stats.norm.sf(z)))
    series = 1 - z**-2 + 3 * z**-4 - 15 * z**-6 + 105 * z**-8
    log_tail = -(z**2) / 2 - math.log(z) - 0.5 * math.log(2 * math.pi) + math.log(series)
    return -(log_tail + math.log(2)) / math.log(10)


@pytest.mark.parametrize("z", [1e-3, 0.5, 1.96, 5.0, 10.0, 37.0, 40.0, 100.0, 1000.0, 9999.0])
def test_z_from_log_p_never_underflows(z: float) -> None:
    assert z_from_neg_log10_p(np.array([neg_log10_p(z)]))[0] == pytest.approx(z, rel=1e-9)


def test_z_from_log_p_at_the_edges() -> None:
    found = z_from_neg_log10_p(np.array([0.0, -1e-9, -0.5, 1e-17]))
    assert found[:2].tolist() == [0, 0]
    assert np.isnan(found[2])
    assert abs(found[3]) < 1e-9


@given(st.floats(0, 300))
def test_z_from_log_p_is_the_inverse_of_the_normal_tail(log_p: float) -> None:
    z = z_from_neg_log10_p(np.array([log_p]))[0]
    assert z == pytest.approx(stats.norm.isf(0.5 * 10.0**-log_p), rel=1e-8, abs=1e-8)


def test_order_of_trust_row_by_row() -> None:
    raw = pl.DataFrame(
        {
            "beta": [-1.0, -1.0, -1.0, 1.0, 1.0, None],
            "se": [1.0, 1.0, 1.0, 1.0, None, 1.0],
            "chisq": [4.0, None, None, None, None, 4.0],
            "neg_log10_p": [9.0, neg_log10_p(3.0), None, None, None, None],
            "z": [9.0, 9.0, -5.0, None, None, None],
            "neg_log10_of_p": [9.0, 9.0, 9.0, 9.0, neg_log10_p(6.0), 9.0],
        }
    )
    ledger = Ledger()
    assert z_scores(raw, ledger, source="x").to_list() == pytest.approx([-2, -3, -5, 1, 6, None])
    assert [entry["count"] for entry in ledger.rows()] == [1, 1, 1, 1, 1]
    exact_zero = pl.DataFrame({"beta": [1.0], "neg_log10_of_p": [math.inf]})
    assert z_scores(exact_zero, Ledger(), source="x").to_list() == [None]


def test_ratios_are_read_on_the_log_scale() -> None:
    raw = pl.DataFrame({"odds_ratio": [0.5, None, 0.0], "hazard_ratio": [None, 2.0, None], "se": [0.5, 0.25, 1.0]})
    found = z_scores(raw, Ledger(), source="x").to_list()
    assert found[:2] == pytest.approx([-2 * math.log(2), 4 * math.log(2)])
    assert found[2] is None  # its logarithm is infinite


def test_statistics_without_a_sign_are_refused() -> None:
    with pytest.raises(DataError, match=r"gives no z: it has chisq"):
        z_scores(pl.DataFrame({"chisq": [1.0]}), Ledger(), source="x")
    with pytest.raises(DataError, match=r"gives no z: it has no statistic"):
        z_scores(pl.DataFrame({"n": [1.0]}), Ledger(), source="x")


def test_p_values_in_text_do_not_underflow() -> None:
    text = ["0.05", "1e-400", "2.5E-12345", "0", "0.0", "1", "1e-310", "3e-5", "1e-299", "0e-400"]
    block = pl.DataFrame({"row": list(range(1, 11)), "p": text}, schema_overrides={"row": pl.UInt32})
    found = to_numbers(block, Offences())["neg_log10_of_p"].to_list()
    expected = [-math.log10(0.05), 400, 12345 - math.log10(2.5), math.inf, math.inf, 0, 310, 5 - math.log10(3), 299]
    assert found[:9] == pytest.approx(expected, rel=1e-12)
    assert found[9] == math.inf


@given(st.floats(1, 9.99), st.integers(-5000, -1))
def test_p_values_of_any_exponent(mantissa: float, exponent: int) -> None:
    block = pl.DataFrame({"row": [1], "p": [f"{mantissa!r}e{exponent}"]})
    found = to_numbers(block, Offences())["neg_log10_of_p"][0]
    assert found == pytest.approx(-exponent - math.log10(mantissa), rel=1e-9, abs=1e-9)
