"""Posterior effects correlated across ancestries, against dense algebra; the correlation's likelihood; META."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import scipy.linalg
from numpy import ndarray
from scipy.stats import multivariate_normal

from cases.simulated_panel import Simulated
from varfx.errors import ConfigError
from varfx.prior import AncestryRun, weights
from varfx.prior.ancestries import ancestry_weights
from varfx.prior.ancestries.correlation import Correlation, correlation_matrix, estimate_correlations, paired_terms
from varfx.prior.ancestries.posterior import Ancestries, Part, _others
from varfx.prior.ancestries.weights import ancestry_traits
from varfx.prior.effects import EffectsConfig
from varfx.prior.pairs import MIN_NOISE, Cores, stacked
from varfx.training import TraitData


@pytest.fixture(scope="module")
def ancestries(joint: AncestryRun) -> Ancestries:
    """AFR and EUR with effects of correlation 0.6."""
    return Ancestries(ancestry_traits(joint)[0], np.array([[1.0, 0.6], [0.6, 1.0]]))


def system_of(ancestries: Ancestries, number: int) -> tuple[Part, list[tuple[int, Part]], ndarray]:
    """A pair of neighbouring cores, with the other ancestry's associations and the columns it serves."""
    system = next(each for each in ancestries.traits[number].cores.systems(0, 2) if each.number[1] == 1)
    own = ancestries.part(number, system.rows, system.signal, system.w)
    return own, _others(ancestries, number, system), np.flatnonzero(system.inside)


def dense(
    ancestries: Ancestries, number: int, own: Part, others: list[tuple[int, Part]]
) -> tuple[ndarray, ndarray, ndarray, ndarray]:
    """Signal, noise and prior covariance of all effects of two ancestries, and w: variants are paired by position, signs by alleles."""
    (other, beside), *rest = others
    assert not rest
    tables = [
        ancestries.traits[k]
        .cores.panel.variants[part.rows]
        .select("chrom", "position", "effect_allele", column=pl.int_range(pl.len()))
        for k, part in ((number, own), (other, beside))
    ]
    both = tables[0].join(tables[1], on=["chrom", "position"], suffix=".other")
    sign = np.where(both["effect_allele"] == both["effect_allele.other"], 1.0, -1.0)
    sizes = [part.F.numel() for part in (own, beside)]
    prior = np.diag(np.concatenate([own.F.numpy(), beside.F.numpy()]))
    i, j = both["column"].to_numpy(), sizes[0] + both["column.other"].to_numpy()
    prior[i, j] = prior[j, i] = ancestries.rho[0, 1] * sign * np.sqrt(np.diag(prior)[i] * np.diag(prior)[j])
    signal = np.zeros((len(own.w) + len(beside.w), sum(sizes)))
    signal[: len(own.w), : sizes[0]] = own.signal.numpy()
    signal[len(own.w) :, sizes[0] :] = beside.signal.numpy()
    noise = np.repeat([ancestries.traits[k].sigma2 for k in (number, other)], [len(own.w), len(beside.w)])
    return signal, noise, prior, np.concatenate([own.w.numpy(), beside.w.numpy()])


@pytest.mark.parametrize("number", [0, 1])
def test_posterior_is_that_of_dense_algebra(ancestries: Ancestries, number: int) -> None:
    own, others, chosen = system_of(ancestries, number)
    signal, noise, prior, w = dense(ancestries, number, own, others)
    mean, variance = ancestries.posterior(number, own, others, chosen)
    gain = prior @ signal.T @ np.linalg.inv(signal @ prior @ signal.T + np.diag(noise))
    np.testing.assert_allclose(mean, (gain @ w)[chosen], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(variance, np.diag(prior - gain @ signal @ prior)[chosen], rtol=1e-8, atol=1e-10)


def test_without_correlation_each_stands_alone(joint: AncestryRun) -> None:
    found = ancestry_weights(joint, rho=0)
    assert [each["rho"] for each in found.correlations] == [0]
    for name, run in joint.members.items():
        own = weights(run, effects=EffectsConfig(effects="normal"))
        beside = found.table.join(own, on=["chrom", "position"], suffix=".own")
        assert beside.height == own.height
        sign = np.where(beside["effect_allele"] == beside["effect_allele.own"], 1, -1)
        np.testing.assert_allclose(beside[f"beta.{name}"], sign * beside["beta"].to_numpy(), rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(beside[f"weight.{name}"], sign * beside["weight"].to_numpy(), rtol=1e-5, atol=1e-9)
    # the null of a lacking variant is no 0
    assert found.table.filter(pl.col("eaf.AFR").is_null())["weight.AFR"].null_count() == 96


def test_meta_is_the_mean_by_inverse_variances(joint: AncestryRun) -> None:
    table = ancestry_weights(joint, rho=0.5).table
    per_allele = {name: table[f"weight.{name}"] for name in ("AFR", "EUR")}
    information = {
        name: 2 * table[f"eaf.{name}"] * (1 - table[f"eaf.{name}"]) / table[f"beta_sd.{name}"] ** 2
        for name in per_allele
    }
    both = (per_allele["AFR"] * information["AFR"] + per_allele["EUR"] * information["EUR"]) / (
        information["AFR"] + information["EUR"]
    )
    expected = pl.select(pl.coalesce(both, per_allele["AFR"], per_allele["EUR"])).to_series()
    np.testing.assert_allclose(table["weight.META"], expected, rtol=1e-9, atol=1e-12)
    assert table["weight.META"].null_count() == 0


def test_correlated_effects_lend_strength(joint: AncestryRun) -> None:
    """With rho near 1 the ancestry of the small sample follows the other one, and knows more."""
    alone, together = (ancestry_weights(joint, rho=rho).table.drop_nulls() for rho in (0, 0.95))
    assert (
        np.corrcoef(together["beta.AFR"], together["beta.EUR"])[0, 1]
        > np.corrcoef(alone["beta.AFR"], alone["beta.EUR"])[0, 1]
    )
    assert (together["beta_sd.AFR"] <= alone["beta_sd.AFR"] * (1 + 1e-9)).all()


def test_likelihood_of_rho(ancestries: Ancestries) -> None:
    unit = replace(ancestries, rho=np.ones((2, 2)))
    terms = paired_terms(unit, (0, 1))
    assert len(terms) == len(ancestries.traits[0].cores.panel.cores)
    panel = ancestries.traits[0].cores.panel
    own = unit.part(0, *(getattr(unit.side(0, 0), name) for name in ("rows", "signal", "w")))
    own = replace(own, signal=own.signal.double())
    ((other, beside),) = unit.beside(0, [0])
    assert panel.cores[0].chrom == "1"
    logs = []
    for rho in (0.0, 0.5, -0.3):
        signal, noise, prior, w = dense(replace(ancestries, rho=np.full((2, 2), rho)), 0, own, [(other, beside)])
        C = signal @ prior @ signal.T + np.diag(noise)
        logs.append(multivariate_normal(cov=C).logpdf(w))
    for rho, log in zip((0.5, -0.3), logs[1:], strict=True):
        assert terms[0].log_p(rho) == pytest.approx(log - logs[0], abs=1e-6)
        step = 1e-6
        slope = (terms[0].log_p(rho + step) - terms[0].log_p(rho - step)) / (2 * step)
        assert terms[0].slope(rho) == pytest.approx(slope, rel=1e-5)


def test_estimate_maximises_the_likelihood(ancestries: Ancestries) -> None:
    terms = paired_terms(replace(ancestries, rho=np.ones((2, 2))), (0, 1))
    (found,) = estimate_correlations(ancestries)
    values = [sum(each.log_p(rho) for each in terms) for rho in (found.rho - 0.01, found.rho, found.rho + 0.01)]
    assert values[1] >= max(values)
    assert found.rho > 2 * found.se > 0  # effects are the same in truth


def test_correlations_of_pairs_become_a_matrix() -> None:
    pairs = [Correlation((0, 1), 0.9, 0.1, 5), Correlation((0, 2), 0.9, 0.1, 5), Correlation((1, 2), -0.9, 0.1, 5)]
    rho = correlation_matrix(3, pairs)
    assert np.linalg.eigvalsh(rho).min() > -1e-12
    np.testing.assert_allclose(np.diag(rho), 1)
    assert correlation_matrix(2, pairs[:1])[0, 1] == 0.9


def test_correlations_that_cannot_be(joint: AncestryRun) -> None:
    with pytest.raises(ConfigError, match="holds the priors of 2 ancestries"):
        weights(joint.path)
    with pytest.raises(ConfigError, match="`rho` of 2 ancestries must be above -1"):
        ancestry_weights(joint, rho=-1.0)


def test_three_cores_together(simulated: Simulated) -> None:
    """The whitened system has the evidence of the plain one, whose noise is `P_i R P_j'` with R from the genotypes."""
    panel = simulated.open()
    z = np.random.default_rng(5).standard_normal(panel.variants.height)
    trait = TraitData(name="t", z=z, n=np.full(z.size, 1e4), n_ref=1e4)
    cores = Cores(panel, trait)
    sides = [cores.side(index) for index in range(3)]
    rows, signal, w = stacked(sides)
    X = simulated.X / np.sqrt(len(simulated.X))
    P = scipy.linalg.block_diag(*[side.P.numpy() for side in sides])
    observed = np.concatenate([side.observed_rows for side in sides])
    wide = np.zeros((len(P), rows.size))
    start = 0
    for side in sides:
        wide[start : start + len(side.w), np.searchsorted(rows, side.rows)] = side.signal.double().numpy()
        start += len(side.w)
    noise = P @ (X[:, observed].T @ X[:, observed]) @ P.T
    plain = np.concatenate([side.w.numpy() for side in sides])
    F = np.linspace(0.5, 1.5, rows.size)
    one = w.numpy() @ np.linalg.solve((signal.numpy() * F) @ signal.numpy().T + np.eye(len(w)), w.numpy())
    # correlations of cores 1 and 3, two flanks apart, are not in the panel
    noise[: len(sides[0].w), -len(sides[2].w) :] = noise[-len(sides[2].w) :, : len(sides[0].w)] = 0
    values, vectors = np.linalg.eigh(noise)
    kept = vectors[:, values > MIN_NOISE]  # the others are one direction in two cores
    other = kept.T @ plain @ np.linalg.solve(kept.T @ ((wide * F) @ wide.T + noise) @ kept, kept.T @ plain)
    assert one == pytest.approx(other, rel=1e-4)
