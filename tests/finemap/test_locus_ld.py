"""The LD of a locus: what the panel's individuals have, across the edge of cores, with rows left out and with truncated eigenpairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cases.simulated_panel import CORE, Simulated, associations
from varfx.finemap import susie
from varfx.finemap.ld_matrix import LowRankLD
from varfx.finemap.locus_ld import locus_ld
from varfx.genotypes.open_ld import open_source
from varfx.ld import PanelConfig, build_panel


def test_ld_across_a_cores_edge_is_that_of_the_individuals(simulated: Simulated) -> None:
    rows = np.setdiff1d(np.arange(20, 70), [31, 44, 60])
    X = simulated.X[:, rows]
    ld = locus_ld(simulated.open(), [0, 1], rows)
    np.testing.assert_allclose(ld.block(np.arange(rows.size)), X.T @ X / len(X), rtol=0, atol=2e-6)
    assert np.abs(ld.D).max() < 1e-6


def test_ld_within_one_core_reads_no_flank(simulated: Simulated) -> None:
    rows = np.arange(45, 75)
    X = simulated.X[:, rows]
    ld = locus_ld(simulated.open(), [1], rows)
    np.testing.assert_allclose(ld.block(np.arange(30)), X.T @ X / len(X), rtol=0, atol=2e-6)


def test_more_cores_than_a_flank_give_a_correlation_matrix(simulated: Simulated) -> None:
    ld = locus_ld(simulated.open(), [0, 1, 2, 3], np.arange(160))
    R = ld.block(np.arange(160))
    np.testing.assert_allclose(np.diag(R), 1, atol=1e-9)
    assert np.linalg.eigvalsh(R)[0] > -1e-9
    X = simulated.X[:, :160]
    near = np.abs(np.subtract.outer(np.arange(160) // 40, np.arange(160) // 40)) <= 1
    np.testing.assert_allclose(R[near], (X.T @ X / len(X))[near], rtol=0, atol=0.05)


def test_truncation_leaves_every_marginal_association(
    simulated: Simulated, tmp_path: Path, rng: np.random.Generator
) -> None:
    config = PanelConfig(core=CORE, flank=CORE, rank_variance=0.8)
    panel = build_panel(open_source([simulated.bed], maf=0.0), tmp_path / "cut.ld.zarr", config, workers=1)
    X = simulated.X[:, :40]
    beta = np.zeros(40)
    beta[17] = 30.0
    z = associations(rng, X, beta)
    ld = locus_ld(panel, [0], np.arange(40))
    assert ld.D.mean() > 0.1
    np.testing.assert_allclose(np.diag(ld.block(np.arange(40))), 1, atol=1e-9)
    one = susie(z, ld, 1e5, L=1)
    exact = susie(z, X.T @ X / len(X), 1e5, L=1)
    np.testing.assert_allclose(one.pip, exact.pip, rtol=0, atol=1e-9)
    assert int(susie(z, ld, 1e5).pip.argmax()) == int(np.abs(z).argmax())


def test_part_of_a_core_has_the_directions_of_its_variants(simulated: Simulated) -> None:
    rows = np.arange(25, 60)
    ld = locus_ld(simulated.open(), [0, 1], rows)
    X = simulated.X[:, rows]
    R = X.T @ X / len(X)
    assert ld.U.shape[1] <= np.linalg.matrix_rank(R)
    np.testing.assert_allclose(ld.block(np.arange(rows.size)), R, rtol=0, atol=2e-6)


def test_orthogonal_columns_are_their_own_directions(rng: np.random.Generator) -> None:
    Q, _ = np.linalg.qr(rng.standard_normal((30, 8)))
    U = Q * np.sqrt(rng.uniform(0.1, 3, 8))
    for own in (U, U @ np.linalg.qr(rng.standard_normal((8, 8)))[0]):
        lam, turn = LowRankLD(U=own, D=np.zeros(30)).spectrum
        assert (np.diff(lam) >= 0).all()
        np.testing.assert_allclose((own @ turn).T @ (own @ turn), np.diag(lam), rtol=0, atol=1e-12)
