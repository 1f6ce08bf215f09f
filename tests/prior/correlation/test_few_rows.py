"""Genetic correlation from annotations read for some variants at a time: the numbers of the whole table, and never more rows than a block or a
window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy import ndarray

from cases.heritability import Read, drawn, kept_in_memory, source, with_channel
from cases.simulated_panel import N, Simulated, simulate
from varfx.annotations import Annotations, channels, read_annotations
from varfx.annotations.features import HeldFeatures
from varfx.likelihood.blocks import Blocks
from varfx.prior.correlation import GeneticCorrelation, PairedTraits, genetic_correlation, paired
from varfx.prior.correlation.model import PairModel, pair_sums
from varfx.prior.heritability.errors import Steps

SIZE = 40 * 24


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    return simulate(tmp_path_factory.mktemp("few_rows"), chroms=3, cores=8)


@pytest.fixture(scope="module")
def traits(wide: Simulated) -> PairedTraits:
    """Two correlated traits, without a tenth of the variants in the sums."""
    panel = kept_in_memory(wide.open())
    rng = np.random.default_rng(4)
    effects = rng.standard_normal((2, SIZE)) * 0.6
    effects[1] = 0.7 * effects[0] + 0.7 * effects[1]
    first, second = (source(panel, drawn(panel, rng, each), rng.uniform(0.1, 0.6, SIZE) / N) for each in effects)
    return paired(replace(first, counted=rng.random(SIZE) < 0.9), second)


@pytest.fixture(scope="module")
def rich(wide: Simulated) -> Annotations:
    """Two 0/1 annotations, their sum, and a continuous one."""
    rng = np.random.default_rng(6)
    table = read_annotations(wide.annot).table
    active = Annotations(table=table.select(*table.columns[:5], "active"))
    inside = active.table["active"].to_numpy()
    found = with_channel(active, "inactive", 1 - inside)
    return with_channel(with_channel(found, "distance", rng.normal(40, 2, SIZE)), "rare", rng.random(SIZE) < 0.1)


def numbers(found: GeneticCorrelation) -> list[float]:
    """All numbers of the result."""
    kept = found.to_dict()
    own = [value for value in kept.values() if isinstance(value, int | float)]
    each = [value for one in kept["annotations"] for value in one.values() if isinstance(value, int | float)]
    return [*own, *kept["rg_ci95"], *each]


@pytest.mark.parametrize("block", [7, 1 << 16], ids=["blocks of 7", "one block"])
def test_sums_are_those_of_the_whole_table(
    traits: PairedTraits, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(channels, "BLOCK", block)
    D, X = np.c_[np.ones(SIZE), rng.standard_normal((SIZE, 2))], np.c_[np.ones(SIZE), rng.random(SIZE) < 0.3]
    theta = 0.3 * rng.standard_normal(12)
    counted = traits.first.counted & traits.second.counted
    moved = 0.01 * rng.standard_normal((5, 12))
    steps = Steps(moved, np.zeros((5, 12, 12)), Blocks(np.arange(6), 1, 0.0))

    def expected(at: ndarray) -> ndarray:
        """The sums by their definition, per column."""
        f1, f2 = traits.first.f * np.exp(D @ at[:3]), traits.second.f * np.exp(D @ at[3:6])
        each = np.c_[f1, f2, np.tanh(D @ at[6:9]) * np.sqrt(f1 * f2)]
        return np.asarray(X[counted].T @ each[counted])

    found = pair_sums(PairModel(traits, HeldFeatures(D), theta), HeldFeatures(X), steps, counted)
    np.testing.assert_allclose([each.jackknife.estimate for each in found], expected(theta), rtol=1e-11)
    steep = np.stack([(expected(theta + h) - expected(theta - h)) / 2e-5 for h in 1e-5 * np.eye(12)])
    for column, each in enumerate(found):
        np.testing.assert_allclose(each.slopes, steep[:, column], atol=1e-6 * np.abs(steep).max())
        np.testing.assert_allclose(
            each.jackknife.delete_values, each.jackknife.estimate + moved @ each.slopes, rtol=1e-12
        )


def test_small_blocks_change_nothing_and_are_all_that_is_read(
    traits: PairedTraits, rich: Annotations, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = genetic_correlation(traits, rich)
    assert [each.name for each in whole.annotations] == ["active", "inactive", "rare"]
    monkeypatch.setattr(channels, "BLOCK", 7)
    read = Read(rich)
    found = genetic_correlation(traits, read)  # type: ignore[arg-type]
    np.testing.assert_allclose(numbers(found), numbers(whole), rtol=1e-7)
    assert found.notes == whole.notes
    assert max(read.asked) == max(len(rows) for rows in traits.first.panel_rows.values()) < 200


def test_windows_beyond_the_cache_are_whitened_anew(traits: PairedTraits) -> None:
    _, first = next(iter(traits))
    assert first.B1 is first.B2  # equal sample sizes: one transform
    small = replace(traits, cache_bytes=int(2.5 * first.nbytes), _kept={})
    once, again = ([pair for _, pair in small] for _ in range(2))
    assert 1 <= sum(one is other for one, other in zip(once, again, strict=True)) <= 3 < len(once)
    assert all((one.w1 == other.w1).all() for one, other in zip(once, again, strict=True))
