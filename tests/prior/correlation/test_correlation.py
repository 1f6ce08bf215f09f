"""Genetic correlation of simulated pairs of traits: truth, laws, shared individuals, and traits that do not fit together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy import ndarray

from cases.heritability import drawn, kept_in_memory, source
from cases.simulated_panel import N, Simulated, simulate
from varfx.annotations import Annotations, read_annotations
from varfx.errors import ConfigError, DataError
from varfx.ld import LDPanel
from varfx.prior.correlation import CorrelationConfig, PairedTraits, correlation_table, genetic_correlation, paired
from varfx.prior.heritability.source import PriorSource

SIZE = 40 * 24


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    return simulate(tmp_path_factory.mktemp("pairs"), chroms=3, cores=8)


@pytest.fixture(scope="module")
def panel(wide: Simulated) -> LDPanel:
    return kept_in_memory(wide.open())


def draw(
    wide: Simulated, panel: LDPanel, seed: int, rho: float | ndarray, overlap: float
) -> tuple[PriorSource, PriorSource]:
    """Two priors with traits of correlated effects, and noise that is shared in part."""
    rng = np.random.default_rng([seed, 11])
    F1, F2 = np.full(SIZE, 0.5), np.full(SIZE, 0.3)
    one, other = rng.standard_normal((2, SIZE))
    beta = [np.sqrt(F1) * one, np.sqrt(F2) * (rho * one + np.sqrt(1 - np.square(rho)) * other)]
    shared = rng.standard_normal(SIZE)
    z = [drawn(panel, rng, each, shared, overlap) for each in beta]
    return source(panel, z[0], F1 / N), source(panel, z[1], F2 / N)


def test_known_truth(wide: Simulated, panel: LDPanel) -> None:
    found = [genetic_correlation(paired(*draw(wide, panel, seed, 0.6, 0.3))) for seed in range(12)]
    z = [(each.whole.rg - 0.6) / (each.whole.se or np.nan) for each in found]
    assert abs(np.mean(z)) < 1.2
    assert 0.5 < np.sqrt(np.mean(np.square(z))) < 1.6
    assert np.mean([each.gcov_intercept[0] for each in found]) == pytest.approx(0.3, abs=0.06)
    assert np.mean([each.intercepts[0][0] for each in found]) == pytest.approx(1, abs=0.1)
    assert np.mean([each.h2[1][0] for each in found]) == pytest.approx(0.3 * SIZE / N, rel=0.2)
    assert all(each.maximum.converged for each in found)


def test_shared_individuals_alone_are_no_genetic_correlation(wide: Simulated, panel: LDPanel) -> None:
    found = [genetic_correlation(paired(*draw(wide, panel, seed, 0.0, 0.4))).whole for seed in range(3)]
    assert sum(abs(each.z or 9) > 2 for each in found) <= 1


def test_exchanged_traits_and_alleles(wide: Simulated, panel: LDPanel) -> None:
    first, second = draw(wide, panel, 3, 0.6, 0.2)
    one, other = genetic_correlation(paired(first, second)), genetic_correlation(paired(second, first))
    assert other.whole.rg == pytest.approx(one.whole.rg, abs=2e-3)
    assert other.whole.se == pytest.approx(one.whole.se, rel=2e-2)
    assert other.h2[0][0] == pytest.approx(one.h2[1][0], rel=1e-2)
    flipped = source(panel, -second.data.traits[0].z, second.f)
    turned = genetic_correlation(paired(first, flipped))
    assert turned.whole.rg == pytest.approx(-one.whole.rg, abs=2e-3)
    assert turned.gcov_intercept[0] == pytest.approx(-one.gcov_intercept[0], abs=2e-3)


def test_a_trait_with_itself(wide: Simulated, panel: LDPanel) -> None:
    """The same effects in two GWAS of other individuals."""
    found = genetic_correlation(paired(*draw(wide, panel, 4, 1.0, 0.0)))
    assert found.whole.rg > 0.8
    assert found.whole.p is not None
    assert found.whole.p < 1e-3
    assert found.whole.ci95 is not None
    assert found.whole.ci95[1] > 0.95


def test_a_gwas_with_itself_is_1_by_definition(wide: Simulated, panel: LDPanel) -> None:
    first, _ = draw(wide, panel, 4, 1.0, 0.0)
    negative = source(panel, -first.data.traits[0].z, first.f)
    for other, sign in ((first, 1.0), (negative, -1.0)):
        found = genetic_correlation(paired(first, other))
        assert (found.whole.rg, found.whole.se, found.whole.p) == (sign, 0.0, 0.0)
        assert found.h2[0][0] == pytest.approx(first.f.sum())
        assert "by definition" in found.notes[-1]
        assert correlation_table(found).count("\n") == 2


def test_per_annotation(wide: Simulated, panel: LDPanel) -> None:
    table = read_annotations(wide.annot).table
    active = Annotations(table=table.select(*table.columns[:5], "active"))
    rho = np.where(table["active"].to_numpy() > 0, 0.9, -0.6)
    found = [genetic_correlation(paired(*draw(wide, panel, seed, rho, 0.0)), active) for seed in range(3)]
    assert np.mean([each.annotations[0].rg for each in found]) > 0.3
    assert all(each.annotations[0].rg > each.whole.rg for each in found)


def test_variants_of_both_are_used_and_counted(wide: Simulated, panel: LDPanel) -> None:
    first, second = draw(wide, panel, 5, 0.6, 0.0)
    z = second.data.traits[0].z.copy()
    z[::3] = np.nan
    fewer = source(panel, z, second.f)
    traits = paired(first, fewer)
    assert traits.n_variants == SIZE - SIZE // 3
    assert "640 variants in 24 windows have associations with both (trait0 960, trait0 640)" in traits.notes[0]
    found = genetic_correlation(traits)
    assert found.record["n_shared_associations"] == 640
    rows, pair = next(iter(traits))
    assert pair.B1 is pair.B2 or (pair.B1 == pair.B2).all()
    assert pair.w1.shape == pair.w2.shape
    assert len(rows) == pair.B1.shape[1]


def test_unequal_sample_sizes_are_scaled_alike(wide: Simulated, panel: LDPanel) -> None:
    first, second = draw(wide, panel, 6, 0.6, 0.0)
    trait = second.data.traits[0]
    n = trait.n * np.random.default_rng(1).uniform(0.999, 1.001, SIZE)
    second.data.traits = (replace(trait, n=n, n_ref=float(np.median(n))),)
    one = genetic_correlation(paired(first, second))
    other = genetic_correlation(paired(*draw(wide, panel, 6, 0.6, 0.0)))
    assert one.whole.rg == pytest.approx(other.whole.rg, abs=0.02)


def test_too_few_windows_and_mistakes(wide: Simulated, panel: LDPanel) -> None:
    first, second = draw(wide, panel, 7, 0.6, 0.0)
    few = genetic_correlation(paired(replace(first, windows=tuple(range(8))), second))
    assert few.whole.se is None
    assert few.to_dict()["p"] is None
    assert any("only 8 windows" in note for note in few.notes)
    assert any("16 windows are used by one of the two only" in note for note in few.notes)
    header, row = correlation_table(few).splitlines()
    assert header.split("\t")[:6] == ["p1", "p2", "rg", "se", "z", "p"]
    assert row.split("\t")[3] == "NA"
    z = np.full(SIZE, np.nan)
    z[:40] = 1.0
    with pytest.raises(DataError, match="share no variant"):
        paired(replace(first, windows=(20,)), source(panel, z, second.f))
    with pytest.raises(DataError, match="gives no variant any variance"):
        genetic_correlation(paired(replace(first, f=np.zeros(SIZE)), second))
    with pytest.raises(ConfigError, match="no float64"):
        CorrelationConfig(device="mps")


def test_other_panels_are_refused(wide: Simulated, panel: LDPanel, simulated: Simulated) -> None:
    first, _ = draw(wide, panel, 8, 0.6, 0.0)
    other = simulated.open()
    size = other.variants.height
    with pytest.raises(ConfigError, match="were fitted on different panels"):
        paired(first, source(other, np.ones(size), np.ones(size)))


def test_windows_are_read_once(wide: Simulated, panel: LDPanel) -> None:
    traits: PairedTraits = paired(*draw(wide, panel, 9, 0.6, 0.0))
    assert next(iter(traits))[1] is next(iter(traits))[1]
