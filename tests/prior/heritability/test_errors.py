"""Heritability, enrichment, tau* and their errors against a slow transcription of the formulas; stretches of windows; few blocks."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.stats
from numpy import ndarray

from cases.heritability import Draw, drawn, source
from cases.simulated_panel import N, Simulated
from varfx.annotations import Annotations
from varfx.ld.windows import Core
from varfx.prior.heritability import HeritabilityConfig, PriorSource, heritability
from varfx.prior.heritability.errors import stretches
from varfx.prior.heritability.quantities import Estimate, log10_p_value, positive_interval, t_interval, t_test


class Transcription:
    """The calibration of `F = N f exp(D delta)` on the panel's windows, with dense matrices and derivatives of the density."""

    def __init__(self, prior: PriorSource, D: ndarray) -> None:
        self.D, self.F = D, N * prior.f
        self.windows = []
        for index in prior.windows:
            window = prior.panel.window(index)
            lam, V, B = (
                np.asarray(part, dtype=np.float64) for part in (window.factors.lam, window.factors.V, window.factors.B)
            )
            w = (V.T @ prior.data.traits[0].z[window.core_rows]) / np.sqrt(lam)
            self.windows.append((B, w, window.panel_rows))

    def log_p(self, theta: ndarray, number: int) -> float:
        B, w, rows = self.windows[number]
        F = self.F[rows] * np.exp(self.D[rows] @ theta[:-1])
        C = (B * F) @ B.T + np.exp(theta[-1]) * np.eye(len(w))
        return float(scipy.stats.multivariate_normal(np.zeros(len(w)), C).logpdf(w))

    def score(self, theta: ndarray, number: int) -> ndarray:
        step = 1e-5
        return np.array([
            (self.log_p(theta + step * e, number) - self.log_p(theta - step * e, number)) / (2 * step)
            for e in np.eye(theta.size)
        ])  # fmt: skip

    def information(self, theta: ndarray, number: int) -> ndarray:
        """`1/2 y' C^-1 y`, each y a derivative of C times C^-1 w."""
        B, w, rows = self.windows[number]
        F = self.F[rows] * np.exp(self.D[rows] @ theta[:-1])
        sigma2 = np.exp(theta[-1])
        C = (B * F) @ B.T + sigma2 * np.eye(len(w))
        u = np.linalg.inv(C) @ w
        derivatives = [(B * F * column) @ B.T for column in self.D[rows].T] + [sigma2 * np.eye(len(w))]
        Y = np.column_stack([each @ u for each in derivatives])
        return 0.5 * Y.T @ np.linalg.inv(C) @ Y

    def maximum(self, precision: ndarray, start: ndarray) -> ndarray:
        numbers = range(len(self.windows))

        def loss(theta: ndarray) -> float:
            return 0.5 * float(precision @ theta**2) - sum(self.log_p(theta, k) for k in numbers)

        def slope(theta: ndarray) -> ndarray:
            return precision * theta - sum(self.score(theta, k) for k in numbers)

        return np.asarray(scipy.optimize.minimize(loss, start, jac=slope, method="BFGS", options={"gtol": 1e-4}).x)


def test_estimates_and_errors_are_those_of_the_formulas(draw: Draw, active: Annotations, wide: Simulated) -> None:
    """Of 24 windows, with the blocks that the estimate chose: h2, enrichment and tau*, jackknife, degrees of freedom, interval and p."""
    prior = draw(11)
    inside = wide.active.astype(np.float64)
    found = heritability(prior, active, HeritabilityConfig(top=()))
    log_f = np.log(prior.f)
    D = np.column_stack([np.ones(inside.size), inside, (log_f - log_f.mean()) / log_f.std()])
    slow = Transcription(prior, D)
    precision = np.array([0, 1 / 25, 1 / 25, 0])
    theta = slow.maximum(precision, found.calibration.maximum.theta + 0.05)
    np.testing.assert_allclose(found.calibration.maximum.theta, theta, atol=2e-3)
    theta = found.calibration.maximum.theta  # the rest is a function of it
    X = np.column_stack([np.ones(inside.size), inside])

    def quantities(moved: ndarray) -> ndarray:
        """h2, enrichment, tau*, inside minus outside; f to first order in delta, which is how errors are defined."""
        f = prior.f * np.exp(D @ theta[:-1]) * (1 + D @ (moved - theta)[:-1])
        h2, part = f.sum(), f[inside == 1].sum()
        tau = np.linalg.lstsq(X, f, rcond=None)[0][1]
        mean = [f[inside == value].mean() for value in (1, 0)]
        return np.array([h2, part / h2 / inside.mean(), inside.std() * tau * inside.size / h2, mean[0] - mean[1]])

    assert found.calibration.steps is not None
    blocks = found.calibration.steps.blocks
    pairs = list(itertools.pairwise(blocks.bounds))
    scores = np.array([sum(slow.score(theta, k) for k in range(a, b)) for a, b in pairs])
    informations = np.array([sum(slow.information(theta, k) for k in range(a, b)) for a, b in pairs])
    H = informations.sum(0) + np.diag(precision)
    left_out = np.array([
        quantities(theta - blocks.inflation * np.linalg.solve(H - each, score))
        for score, each in zip(scores, informations, strict=True)
    ])  # fmt: skip
    n = len(pairs)
    se = np.sqrt((n - 1) / n * ((left_out - left_out.mean(0)) ** 2).sum(0))
    (annotation,) = found.annotations
    assert annotation.enrichment is not None
    assert annotation.coefficient is not None
    ours = [found.h2, annotation.enrichment, annotation.tau_star, annotation.coefficient]
    np.testing.assert_allclose([each.value for each in ours], quantities(theta), rtol=1e-8)
    np.testing.assert_allclose([each.se for each in ours], se, rtol=1e-4)
    gradients = np.array([(quantities(theta + 1e-5 * e) - quantities(theta - 1e-5 * e)) / 2e-5 for e in np.eye(4)]).T
    inverse = np.linalg.inv(H)
    parts = np.array([[g @ inverse @ each @ inverse @ g for each in informations] for g in gradients])
    df = parts.sum(1) ** 2 / (parts**2).sum(1) - 1
    np.testing.assert_allclose([each.df for each in ours], df, rtol=1e-4)
    reach, value = scipy.stats.t.ppf(0.975, df) * se, quantities(theta)
    upper = np.where([True, True, False, False], value * np.exp(np.minimum(reach / value, 1)), value + reach)
    lower = np.where([True, True, False, False], np.maximum(value - reach, 0), value - reach)
    np.testing.assert_allclose([each.ci95 for each in ours], np.column_stack([lower, upper]), rtol=1e-4)
    p = 2 * scipy.stats.t.sf(abs(annotation.coefficient.value) / se[3], df[3])
    assert annotation.enrichment_p == pytest.approx(p, rel=1e-3)
    assert found.to_dict()["h2_df"] == found.h2.df
    assert found.to_dict()["annotations"][0]["enrichment_df"] == annotation.enrichment.df


def test_stretches_end_at_chromosomes_and_gaps() -> None:
    def cores(*starts: int, chrom: str = "1") -> list[Core]:
        return [Core(chrom=chrom, start=start, end=start + 100_000) for start in starts]

    chained = [*cores(0, 100_000, 250_000), *cores(0, 100_000, chrom="2"), *cores(0, chrom="3")]
    assert stretches(chained, 0).tolist() == [0, 3, 5, 6]
    assert stretches(cores(0, 1_099_999), 0).tolist() == [0, 2]  # 1 Mb, less a base
    assert stretches(cores(0, 1_100_000), 0).tolist() == [0, 1, 2]
    assert stretches(cores(0, 2_099_999), 1_000_000).tolist() == [0, 2]  # two flanks, less a base
    assert stretches(cores(0, 2_100_000), 1_000_000).tolist() == [0, 1, 2]


def test_few_blocks_are_noted_and_one_block_has_no_error(
    draw: Draw, active: Annotations, expected: ndarray, wide: Simulated
) -> None:
    found = heritability(draw(12), active, HeritabilityConfig(top=(), blocks=6))
    assert found.record["n_blocks"] == 6
    assert found.h2.df is not None
    assert 2 < found.h2.df <= 5
    assert any("standard errors come from 6 blocks" in note and "20 or more" in note for note in found.notes)
    alone = np.zeros(expected.size)
    alone[:3] = 1  # three variants at one end of a chromosome
    lonely = replace(active, table=active.table.with_columns(active=alone.astype(np.float32)))
    entry = heritability(draw(12), lonely, HeritabilityConfig(top=(), blocks=6))
    assert entry.annotations[0].enrichment is not None
    assert entry.annotations[0].enrichment.se is None
    assert entry.annotations[0].enrichment_p is None
    assert entry.h2.se is not None
    assert any("on 1 annotations or groups, first `active`, lies in one block" in note for note in entry.notes)


def test_errors_count_shared_noise_and_effects(wide: Simulated, expected: ndarray, draw: Draw) -> None:
    """Windows that repeat the data of their neighbour add nothing: the error is that of half as many windows."""
    panel, rng = draw(0).panel, np.random.default_rng(8)
    prior = source(panel, drawn(panel, rng, rng.standard_normal(expected.size) * np.sqrt(expected)), expected / N)
    config = HeritabilityConfig(top=())
    once = heritability(prior, None, config)
    twice = heritability(replace(prior, windows=tuple(np.repeat(prior.windows, 2))), None, config)
    assert twice.h2.value == pytest.approx(once.h2.value, rel=1e-3)
    assert once.h2.se is not None
    assert twice.h2.se is not None
    assert twice.record["block_length"] > once.record["block_length"]
    assert twice.h2.se > 0.85 * once.h2.se  # 0.7 of it if neighbours counted as independent


@pytest.mark.parametrize(("t", "df"), [(2.1, 17.5), (-12.0, 60.0), (60.0, 5000.0), (80.0, 1e6)])
def test_log10_p_by_students_t(t: float, df: float) -> None:
    """Also where p is below the smallest float; p by quadrature of the density, in units of the density at t."""
    top = scipy.stats.t.logpdf(t, df)
    area, _ = scipy.integrate.quad(
        lambda x: np.exp(scipy.stats.t.logpdf(x, df) - top), abs(t), abs(t) + 40 * abs(t) / df + 40
    )
    expected = (np.log(2 * area) + top) / np.log(10)
    found = log10_p_value(Estimate(value=0.3 * t, se=0.3, ci95=(0.0, 1.0), df=df))
    assert found == pytest.approx(expected, rel=1e-3)


def test_degrees_of_freedom_decide_the_interval() -> None:
    low, high = t_interval(2.0, 0.5, 4.0)
    assert high - 2.0 == pytest.approx(2.776445 * 0.5, rel=1e-6)  # the t table's 0.975 quantile of 4 degrees of freedom
    assert low == pytest.approx(4.0 - high)
    assert positive_interval(2.0, 0.5, 4.0) == pytest.approx((low, 2 * np.exp(2.776445 / 4)), rel=1e-6)
    assert positive_interval(1.0, 0.4, 4.0) == pytest.approx((0, np.e))  # not beyond e times the value
    assert positive_interval(1.0, 1.0, 4.0) == pytest.approx((0, 3.776445))  # unless the error is as large
    assert positive_interval(0.0, 1.0, 4.0) == pytest.approx((0, 2.776445))
    assert t_test(Estimate(value=2.776445, se=1.0, ci95=None, df=4.0)) == pytest.approx(0.05, rel=1e-5)
    assert t_test(Estimate(value=1.0, se=None, ci95=None, df=0.3)) is None
