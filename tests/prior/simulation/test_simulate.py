"""Simulated summary statistics: the covariance that they should have, the h2 that was asked for, the same again from the same seed."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cases.simulated_panel import Simulated
from varfx.errors import ConfigError, DataError
from varfx.gwas.sumstats import SumStats, read_sumstats
from varfx.io import sealed, sealed_folder
from varfx.models import ModelConfig
from varfx.prior import SplitConfig, evaluate, fit, predict, weights
from varfx.prior.inputs import align_trait, assemble
from varfx.prior.simulation.config import SimulateConfig, TruthConfig
from varfx.prior.simulation.simulate import draw, simulate
from varfx.prior.simulation.truth_network import linear_r2, random_score
from varfx.training import TrainConfig, TraitData

CONFIG = SimulateConfig(replicates=3, seed=4)
BRIEF = TrainConfig(max_steps=20, check_every=10)


@pytest.fixture(scope="module")
def made(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulate") / "SIM"
    simulate(simulated.panel, out, annotations=simulated.annot, config=CONFIG, write_each=True)
    return out


def test_associations_have_the_covariance_of_the_model(simulated: Simulated) -> None:
    panel = simulated.open()
    rng = np.random.default_rng(1)
    F = rng.gamma(0.5, 0.4, panel.variants.height)
    z = draw(panel, F, 0.7, 4000, seed=3)
    R = simulated.X.T @ simulated.X / simulated.X.shape[0]  # the panel keeps every direction
    for first, second, noise in (
        (1, 1, 0.7),
        (1, 2, 0.0),
    ):  # within a core; across a border, where only effects are shared
        (i, plus), (j, also) = panel.rows(first), panel.rows(second)
        both = np.intersect1d(plus, also)
        expected = R[np.ix_(i, both)] @ np.diag(F[both]) @ R[np.ix_(both, j)] + noise * R[np.ix_(i, j)]
        seen = z[i] @ z[j].T / z.shape[1]
        variance = np.outer(z[i].var(axis=1), z[j].var(axis=1)) + expected**2
        error = (seen - expected) / np.sqrt(variance / z.shape[1])
        assert np.abs(error).max() < 6
        assert 0.5 < np.square(error).mean() < 1.6  # far apart entries are correlated: a loose bound on their mean


def test_replicates_depend_on_the_seed_and_their_number_only(simulated: Simulated) -> None:
    panel, F = simulated.open(), np.full(simulated.F.size, 0.01)
    three = draw(panel, F, 1.0, 3, seed=5)
    np.testing.assert_allclose(draw(panel, F, 1.0, 1, seed=5)[:, 0], three[:, 0], rtol=1e-11, atol=1e-12)
    assert not np.isclose(three[:, 0], three[:, 1]).any()
    assert not np.isclose(draw(panel, F, 1.0, 1, seed=6)[:, 0], three[:, 0]).any()


def test_h2_and_mean_signal_are_as_asked(simulated: Simulated, tmp_path: Path) -> None:
    by_h2 = simulate(simulated.panel, tmp_path / "A", config=SimulateConfig(h2=0.3, n=1000))
    assert by_h2.truth["f"].sum() == pytest.approx(0.3)
    assert by_h2.record["sigma2"] == pytest.approx(0.7)
    by_signal = simulate(simulated.panel, tmp_path / "B", config=SimulateConfig(mean_signal=0.02, n=1000))
    assert 1000 * by_signal.truth["f"].mean() == pytest.approx(0.02)
    assert by_signal.record["sigma2"] == 0.5
    assert (by_h2.truth["f"] / by_signal.truth["f"]).std() < 1e-9


def test_files_are_one_trait_with_replicates(made: Path, simulated: Simulated) -> None:
    sealed_folder.check_directory(made)
    stats = read_sumstats(made / "replicates.sumstats.parquet")
    assert (stats.replicates, stats.z.shape) == (3, (simulated.F.size, 3))
    panel = simulated.open()
    aligned = align_trait(stats, panel)
    f = sealed.read_table(made / "truth.parquet", kind="prior")[0]["f"].to_numpy()
    assert np.array_equal(aligned.data.z, draw(panel, CONFIG.n * f, 0.5, 3, seed=4))
    for number in range(3):
        text = gzip.decompress((made / "each" / f"{number + 1}.tsv.gz").read_bytes()).decode()
        table = pl.read_csv(text.encode(), separator="\t")
        assert table.columns == ["SNP", "CHR", "BP", "A1", "A2", "FRQ", "Z", "N"]
        np.testing.assert_allclose(table["Z"].to_numpy(), stats.z[:, number])


def test_the_same_command_gives_the_same_numbers(made: Path, simulated: Simulated, tmp_path: Path) -> None:
    again = simulate(simulated.panel, tmp_path / "SIM", annotations=simulated.annot, config=CONFIG)
    stats, first = (read_sumstats(each / "replicates.sumstats.parquet") for each in (again.folder, made))
    assert stats.table.equals(first.table)


def test_the_simulated_panel_is_recognised_and_its_ld_taken_as_it_is(made: Path, simulated: Simulated) -> None:
    stats = read_sumstats(made / "replicates.sumstats.parquet")
    squares = []
    for each in (stats, replace(stats, metadata={})):
        data = assemble(simulated.open(), [each], None, kind="constant")
        data.carry_chi2([0.1])
        window = data[0].chi2[0]
        assert window is not None
        squares.append(window.squares.double().numpy())
    core, panel_rows = simulated.open().rows(0)
    R = simulated.X.T @ simulated.X / simulated.X.shape[0]
    np.testing.assert_allclose(squares[0], R[np.ix_(core, panel_rows)] ** 2, atol=1e-3)
    assert squares[1].mean() < squares[0].mean() - 1e-3  # corrected for the sampling of the reference


@pytest.mark.parametrize("objective", ["likelihood", "ldsr", "composite"])
def test_fit_and_evaluate_take_all_replicates(made: Path, simulated: Simulated, tmp_path: Path, objective: str) -> None:
    fit(
        simulated.panel,
        [made / "replicates.sumstats.parquet"],
        tmp_path / "RUN",
        annotations=simulated.annot,
        model=ModelConfig(kind="linear"),
        training=replace(BRIEF, objective=objective),  # type: ignore[arg-type]
        split=SplitConfig(holdout_chrom=("3",)),
    )
    (entry,) = evaluate(tmp_path / "RUN", truth=made / "truth.parquet").traits
    panel = simulated.open()
    held = [index for index, core in enumerate(panel.cores) if core.chrom == "3"]
    assert entry["rank"] == 3 * sum(panel.windows["rank"][index] for index in held)
    assert entry["n_variants"] == 3 * sum(panel.windows["num_core"][index] for index in held)
    assert entry["truth"]["n_variants"] == sum(panel.windows["num_core"][index] for index in held)
    with pytest.raises(ConfigError, match="3 replicates: weights need"):
        weights(tmp_path / "RUN")
    again = simulate(simulated.panel, tmp_path / "AGAIN", truth=tmp_path / "RUN")
    f = predict(tmp_path / "RUN")["f"].to_numpy()
    assert np.ptp(again.truth["f"].to_numpy() / f) < 1e-9 * (again.truth["f"] / f).mean()


def test_linear_r2_is_1_for_a_linear_truth_and_less_for_a_bent_one() -> None:
    rng = np.random.default_rng(0)
    X, heterozygosity = rng.standard_normal((3000, 6)), rng.uniform(0.01, 0.25, 3000)
    straight = random_score(X, TruthConfig(kind="linear", seed=2))
    assert linear_r2(straight, X, heterozygosity) == pytest.approx(1, abs=1e-9)
    bent = random_score(X, TruthConfig(gain=3, seed=2))
    assert linear_r2(bent, X, heterozygosity) < 0.8
    for score in (straight, bent):
        assert (score.mean(), score.std()) == (pytest.approx(0, abs=1e-12), pytest.approx(1))


def test_replicates_must_have_the_same_variants() -> None:
    z = np.ones((4, 2))
    z[2, 1] = np.nan
    with pytest.raises(DataError, match="1 variants have an association in some replicates only, first row 2"):
        TraitData(name="x", z=z, n=np.ones(4), n_ref=1.0)


def test_columns_of_replicates_are_checked(made: Path) -> None:
    stats = read_sumstats(made / "replicates.sumstats.parquet")
    with pytest.raises(DataError, match="columns must be"):
        SumStats(table=stats.table.rename({"z.3": "z.4"}), trait="x")
    with pytest.raises(DataError, match="z is missing or not finite"):
        SumStats(table=stats.table.with_columns(pl.lit(np.nan).alias("z.2")), trait="x")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"h2": 0.5, "mean_signal": 0.1}, "not both"),
        ({"h2": 1.5}, "`h2` must be between 0 and 1"),
        ({"n": -1.0}, "`n` must be positive"),
        ({"replicates": 0}, "`replicates` must be at least 1"),
    ],
)
def test_options_out_of_range(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SimulateConfig(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"), [({"kind": "tree"}, "`kind`"), ({"hidden": ()}, "`hidden`"), ({"gain": 0}, "`gain`")]
)
def test_truths_out_of_range(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TruthConfig(**options)  # type: ignore[arg-type]
