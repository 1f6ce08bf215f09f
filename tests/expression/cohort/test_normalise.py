"""TMM against golden values of rnanorm, rnanorm itself where it is installed, and a slow transcription; GTEx's mask."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from varfx.errors import DataError
from varfx.expression.cohort.normalise import counts_per_million, expressed, refuse_exchanged, tmm_factors
from varfx.expression.cohort.tables import Expression

GOLDEN = Path(__file__).parents[2] / "golden" / "tmm" / "golden.json"


def slow_tmm(counts: np.ndarray) -> np.ndarray:
    """Robinson and Oshlack (2010) gene by gene, as edgeR's calcNormFactors orders the steps."""
    genes, samples = counts.shape
    sizes = [sum(counts[:, k]) for k in range(samples)]
    rows = [g for g in range(genes) if any(counts[g] > 0)]
    quartile = []
    for k in range(samples):
        shares = sorted(counts[g, k] / sizes[k] for g in rows)
        place = 0.75 * (len(shares) - 1)
        low = int(place)
        quartile.append(shares[low] + (place - low) * (shares[min(low + 1, len(shares) - 1)] - shares[low]))
    distance = [abs(q - sum(quartile) / samples) for q in quartile]
    ref = distance.index(min(distance))
    factors = []
    for k in range(samples):
        M, A, v = [], [], []
        for g in rows:
            y, yr, n, nr = counts[g, k], counts[g, ref], sizes[k], sizes[ref]
            if y > 0 and yr > 0:
                M.append(np.log2((y / n) / (yr / nr)))
                A.append((np.log2(y / n) + np.log2(yr / nr)) / 2)
                v.append((n - y) / n / y + (nr - yr) / nr / yr)
        if max(abs(m) for m in M) < 1e-6:
            factors.append(1.0)
            continue

        def ranks(x: list[float]) -> list[float]:
            return [sum(o < z for o in x) + (sum(o == z for o in x) + 1) / 2 for z in x]

        size = len(M)
        inside = []
        for values, trim in ((M, 0.3), (A, 0.05)):
            low, high = int(size * trim) + 1, size + 1 - (int(size * trim) + 1)
            inside.append([low <= rank <= high for rank in ranks(values)])
        kept = [i for i in range(size) if inside[0][i] and inside[1][i]]
        factors.append(2 ** (sum(M[i] / v[i] for i in kept) / sum(1 / v[i] for i in kept)))
    return np.array(factors) / np.exp(np.mean(np.log(factors)))


def simulated(seed: int, genes: int = 80, samples: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mean = rng.gamma(0.5, 200, (genes, 1)) * rng.uniform(0.2, 4, (1, samples)) * rng.lognormal(0, 0.5, (genes, samples))
    return rng.poisson(mean).astype(float)


def test_tmm_equals_golden_values_of_rnanorm() -> None:
    golden = json.loads(GOLDEN.read_text())
    np.testing.assert_allclose(tmm_factors(np.array(golden["counts"], dtype=float)), golden["factors"], rtol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_tmm_equals_the_slow_transcription(seed: int) -> None:
    counts = simulated(seed)
    np.testing.assert_allclose(tmm_factors(counts), slow_tmm(counts), rtol=1e-12)


def test_tmm_equals_rnanorm_where_it_is_installed() -> None:
    rnanorm = pytest.importorskip("rnanorm")
    counts = simulated(9, genes=500)
    expected = rnanorm.TMM().fit(counts.T).get_norm_factors(counts.T)
    np.testing.assert_allclose(tmm_factors(counts), np.asarray(expected), rtol=1e-12)


def test_equal_composition_needs_no_factor() -> None:
    counts = np.outer(simulated(1)[:, 0], [1, 2, 5])
    np.testing.assert_array_equal(tmm_factors(counts), np.ones(3))
    cpm = counts_per_million(counts, np.ones(3))
    np.testing.assert_allclose(cpm, np.tile(cpm[:, :1], 3))
    np.testing.assert_allclose(cpm.sum(axis=0), 1e6)


def test_factors_have_geometric_mean_one_and_follow_the_samples() -> None:
    counts = simulated(2)
    factors = tmm_factors(counts)
    assert np.log(factors).mean() == pytest.approx(0, abs=1e-14)
    order = np.array([3, 1, 0, 5, 4, 2])
    np.testing.assert_allclose(tmm_factors(counts[:, order]), factors[order], rtol=1e-12)
    zeros = np.vstack([counts, np.zeros((7, 6))])
    np.testing.assert_allclose(tmm_factors(zeros), factors, rtol=1e-14)


def test_counts_in_few_genes_have_a_reference_too() -> None:
    counts = np.zeros((50, 4))
    counts[:3] = np.array([[5, 9, 2, 7], [3, 1, 8, 2], [6, 6, 1, 9]])
    assert np.isfinite(tmm_factors(counts)).all()
    disjoint = np.diag([4.0, 5.0, 6.0])  # no gene in common
    np.testing.assert_array_equal(tmm_factors(disjoint), np.ones(3))


def test_the_mask_needs_both_in_a_fifth_of_the_samples() -> None:
    tpm = np.array([[0.1, 0, 0, 0, 0], [0.1, 0, 0, 0, 0], [0.09, 0.09, 0, 0, 0], [1, 1, 1, 1, 1]])
    counts = np.array([[6, 0, 0, 0, 0], [5, 5, 5, 5, 5], [9, 9, 9, 9, 9], [0, 0, 0, 0, 6]], dtype=float)
    np.testing.assert_array_equal(expressed(counts, tpm), [True, False, False, True])


def test_counts_that_cannot_be_are_refused() -> None:
    with pytest.raises(DataError, match="1 of 2 samples have none"):
        tmm_factors(np.array([[1.0, 0.0], [2.0, 0.0]]))
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(DataError, match="finite and not negative"):
            tmm_factors(np.array([[1.0, bad], [2.0, 3.0]]))


def test_counts_and_tpm_are_not_exchanged(rng: np.random.Generator) -> None:
    def table(source: str, values: np.ndarray) -> Expression:
        return Expression(source=source, genes=pl.DataFrame(), people=("A", "B", "C"), values=values)

    counts = rng.poisson(50, (40, 3)).astype(float)
    tpm = counts / counts.sum(axis=0) * 1e6
    refuse_exchanged(table("c", counts), table("t", tpm))
    refuse_exchanged(table("c", counts + 0.25), table("t", tpm))  # expected counts of RSEM
    refuse_exchanged(table("c", counts), table("t", np.rint(tpm)))
    with pytest.raises(
        DataError, match=r"`t` \(counts\) and `c` \(TPM\) seem to be exchanged: the first sums to a million"
    ):
        refuse_exchanged(table("t", tpm.round(2)), table("c", counts + 0.25))
    with pytest.raises(DataError, match=r"exchanged: the first holds fractions, and the second whole numbers"):
        refuse_exchanged(table("t", tpm[:20]), table("c", counts[:20]))  # of some genes
    with pytest.raises(DataError, match=r"hold the same values\. Give counts as --counts and TPM as --tpm"):
        refuse_exchanged(table("c", counts), table("c", counts))
