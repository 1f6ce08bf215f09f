"""Wrong effect alleles are noticed by their signs in LD, and right ones are not suspected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray

from cases.simulated_panel import CORE, associations, haplotypes, standardise, write_bed
from varfx.genotypes.open_ld import open_source
from varfx.ld import LDPanel, PanelConfig, build_panel
from varfx.prior.signs import check_signs, sign_check
from varfx.training import TraitData

PEOPLE, VARIANTS = 500, 400


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> tuple[LDPanel, ndarray]:
    """A chromosome in tight LD, as imputed variants are, of a reference that is the GWAS's, and its genotypes."""
    folder = tmp_path_factory.mktemp("dense")
    counts = haplotypes(np.random.default_rng(3), PEOPLE, VARIANTS, rho=0.9995)
    counts = counts[:, counts.std(0) > 0.2]
    position = np.arange(counts.shape[1]) * (4 * CORE // VARIANTS) + 100
    write_bed(folder / "ref", counts, ["1"] * counts.shape[1], position)
    config = PanelConfig(core=CORE, flank=CORE, rank_variance=0.99)
    return build_panel(open_source([folder / "ref.bed"], maf=0.0), folder / "P.ld.zarr", config, workers=1), counts


def trait_of(dense: tuple[LDPanel, ndarray], seed: int, flipped: float, *, signal: float = 0.3) -> TraitData:
    _, counts = dense
    rng = np.random.default_rng(seed)
    beta = rng.standard_normal(counts.shape[1]) * np.sqrt(signal)
    z = associations(rng, standardise(counts), beta)
    z[rng.random(z.size) < flipped] *= -1
    return TraitData(name="height", z=z, n=np.full(z.size, 1e4), n_ref=1e4)


@pytest.mark.parametrize("signal", [0.0, 0.3])
def test_five_per_cent_of_wrong_signs_are_said(dense: tuple[LDPanel, ndarray], signal: float) -> None:
    panel, _ = dense
    for seed in range(5):
        check = check_signs(panel, trait_of(dense, seed, 0.05, signal=signal), range(len(panel.cores)))
        assert check.pairs > 150
        assert 0.02 < check.share < 0.09
        warning = check.warning("height")
        assert warning is not None
        assert warning.startswith(
            f"`height`: the signs of about {check.share:.1%} of the associations disagree with LD: of "
        )


@pytest.mark.parametrize("signal", [0.0, 0.3])
def test_right_signs_are_not_suspected(dense: tuple[LDPanel, ndarray], signal: float) -> None:
    panel, _ = dense
    for seed in range(30):
        check = check_signs(panel, trait_of(dense, seed, 0.0, signal=signal), range(len(panel.cores)))
        assert check.warning("height") is None, (seed, check)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.05, 0.2])
def test_the_share_is_estimated_without_bias(share: float) -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(100):
        z = rng.standard_normal((3000, 2))
        z[:, 1] = 0.9 * z[:, 0] + np.sqrt(1 - 0.9**2) * z[:, 1]
        z *= np.where(rng.random(z.shape) < share, -1, 1)
        check = sign_check(z[:, 0] * z[:, 1])
        found.append(check.share)
        if share == 0:
            assert check.opposite == pytest.approx(check.expected, abs=5 * np.sqrt(check.expected))
    assert np.mean(found) == pytest.approx(share, abs=0.003 if share else 0.004)


def test_few_pairs_say_nothing(tmp_path: Path, dense: tuple[LDPanel, ndarray]) -> None:
    assert sign_check(-np.full(49, 9.0)).warning("t") is None
    assert sign_check(-np.full(50, 9.0)).warning("t") is not None
    assert sign_check(np.empty(0)).warning("t") is None
    panel, _ = dense
    nothing = trait_of(dense, 0, 0.0)
    empty = TraitData(name="t", z=np.full(nothing.z.size, np.nan), n=nothing.n, n_ref=1e4)
    assert check_signs(panel, empty, range(len(panel.cores))).pairs == 0
    assert check_signs(panel, nothing, []).pairs == 0


def test_replicates_are_judged_by_the_first(dense: tuple[LDPanel, ndarray]) -> None:
    panel, _ = dense
    one = trait_of(dense, 0, 0.05)
    several = TraitData(name="t", z=np.column_stack([one.z, -one.z, one.z]), n=one.n, n_ref=1e4)
    assert check_signs(panel, several, [0, 1]) == check_signs(panel, one, [0, 1])
