"""The informed BLUP: its gradient, its limits, what it learns from simulations, and what it does not learn from noise."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.optimize import approx_fprime

from cases.linear import brute_force, dosages, polygenic, standard
from varfx.annotations import Annotations
from varfx.errors import ConfigError, DataError, VarfxError
from varfx.expression.cohort.store import GeneWindow
from varfx.expression.linear.blup import fit_blup, likelihood_gain, prior_root
from varfx.expression.linear.config import InformedConfig
from varfx.expression.linear.features import SCALES, read_window_annotations, window_features
from varfx.expression.linear.fit import standardise
from varfx.expression.linear.heritability import rotate
from varfx.expression.linear.informed import (
    GeneWindowData,
    LearnedPrior,
    _Objective,
    _Problem,
    gene_window_data,
    learn_prior,
)

TRAIN, TUNE, TEST = np.arange(120), np.arange(120, 160), np.arange(160, 240)
GENE = GeneWindow("ENSG1", "G", "22", "+", 20_001, 0, 40_000)


class Study:
    """Genes whose effects have variance `exp(slope * nearness)` of a feature known to the models, and one that means nothing."""

    def __init__(self, seed: int, *, genes: int, slope: float, h2: float = 0.4, variants: int = 40) -> None:
        rng = np.random.default_rng(seed)
        self.genes, self.X, self.y, self.true = [], [], [], []
        for number in range(genes):
            X = dosages(rng, 240, variants)
            near = rng.uniform(0, 1, variants)
            values = np.column_stack([near, rng.standard_normal(variants)]).astype(np.float32)
            y = polygenic(rng, X, h2, np.exp(slope * near))
            features = (("near", "noise"), values, np.zeros_like(values, dtype=bool))
            self.genes.append(gene_window_data(f"G{number}", X.astype(np.float32), y, TRAIN, TUNE, features))
            self.X.append(X)
            self.y.append(y)

    def variances(self, learned: LearnedPrior, number: int) -> np.ndarray:
        gene = self.genes[number]
        p = gene_mean(self.X[number][TRAIN])
        return learned.variances(gene.channels, gene.values, gene.missing, p * (1 - p))

    def test_r2(self, number: int, variances: np.ndarray | None) -> float:
        X, y = self.X[number], self.y[number]
        error = y[TEST] - fit_blup(X[TRAIN], y[TRAIN], variances=variances).predict(X[TEST])
        return float(1 - error.var() / y[TEST].var())


def gene_mean(X: np.ndarray) -> np.ndarray:
    return np.asarray(X.mean(axis=0) / 2)


def objective(study: Study, network: str = "linear") -> tuple[_Objective, LearnedPrior]:
    learned = learn_prior(study.genes, InformedConfig(network=network, hidden=(3,), max_steps=2, penalties=(5.0,)))  # type: ignore[arg-type]
    kept = [gene.genotypes.kept for gene in study.genes]
    import torch

    features = np.concatenate(
        [
            learned.standardiser.apply(g.channels, g.values[k], g.missing[k])
            for g, k in zip(study.genes, kept, strict=True)
        ]
    )
    heterozygosity = np.concatenate([g.genotypes.heterozygosity for g in study.genes])
    problems = [_Problem.of(gene) for gene in study.genes]
    return (
        _Objective(
            learned.prior, torch.from_numpy(features).double(), torch.from_numpy(heterozygosity), problems, None
        ),
        learned,
    )


def test_the_objective_is_the_sum_of_the_genes_restricted_likelihoods() -> None:
    study = Study(0, genes=3, slope=2.0)
    function, learned = objective(study)
    vector = np.array([0.8, -0.3, 0.4])  # two features and alpha
    value, _ = function.evaluate(vector)
    expected = 0.0
    for gene, X in zip(study.genes, study.X, strict=True):
        f = learned.variances(gene.channels, gene.values, gene.missing, gene_mean(X[TRAIN]) * (1 - gene_mean(X[TRAIN])))
        Z = standard(X[TRAIN]) * np.sqrt(f / f.mean())
        fit = fit_blup(X[TRAIN], gene.y, variances=f)
        h2 = float(fit.notes["h2"])
        residual = gene.y - gene.y.mean()
        V = h2 * Z @ Z.T / Z.shape[1] + (1 - h2) * np.eye(gene.y.size)
        sigma2 = residual @ np.linalg.solve(V, residual) / (gene.y.size - 1)
        expected += brute_force(Z, gene.y, h2, float(sigma2))
    assert value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("network", ["linear", "mlp"])
def test_its_gradient_is_that_of_finite_differences(network: str) -> None:
    function, _ = objective(Study(1, genes=3, slope=2.0), network)
    vector = np.random.default_rng(0).standard_normal(function.parameters().size) * 0.5
    _, gradient = function.evaluate(vector)
    numeric = approx_fprime(vector, lambda v: function.evaluate(v)[0], 1e-5)
    np.testing.assert_allclose(gradient, numeric, rtol=2e-3, atol=2e-4 * np.abs(numeric).max())
    assert np.count_nonzero(gradient) == gradient.size  # every parameter has one


def test_tune_error_is_that_of_the_fitted_blup() -> None:
    study = Study(2, genes=2, slope=2.0)
    function, learned = objective(study)
    vector = np.array([1.0, 0.2, -0.3])
    error = function.tune_error(vector)
    expected = []
    for number, gene in enumerate(study.genes):
        fit = fit_blup(study.X[number][TRAIN], gene.y, variances=study.variances(learned, number))
        squares = np.mean((gene.tune_y - fit.predict(gene.tune_X)) ** 2)
        expected.append(squares / np.mean((gene.tune_y - gene.y.mean()) ** 2))
    assert error == pytest.approx(np.mean(expected), rel=1e-6)


def test_equal_variances_are_blup(rng: np.random.Generator) -> None:
    X = dosages(rng, 60, 30)
    y = polygenic(rng, X, 0.5)
    plain, informed = fit_blup(X, y), fit_blup(X, y, variances=np.full(30, 1e-5))
    np.testing.assert_allclose(informed.weights, plain.weights, rtol=1e-6, atol=1e-9)
    assert likelihood_gain(standardise(X), y, np.ones(30)) == 0


def test_constant_features_are_blup() -> None:
    study = Study(3, genes=4, slope=0.0)
    constant = [
        gene_window_data("G", X.astype(np.float32), y, TRAIN, TUNE, (("c",), np.full((40, 1), 2.5, np.float32), np.zeros((40, 1), bool)))
        for X, y in zip(study.X, study.y, strict=True)
    ]  # fmt: skip
    # alpha is the only thing left to learn: frequencies are made equal too
    level = [
        GeneWindowData(**{**vars(gene), "genotypes": type(gene.genotypes)(**{**vars(gene.genotypes), "mean": np.full(40, 0.6)})})
        for gene in constant
    ]  # fmt: skip
    learned = learn_prior(level, InformedConfig())
    f = learned.variances(("c",), np.full((40, 1), 2.5, np.float32), np.zeros((40, 1), bool), np.full(40, 0.21))
    assert np.ptp(f) <= 1e-9 * f.mean()
    plain = fit_blup(study.X[0][TRAIN], study.y[0][TRAIN])
    informed = fit_blup(study.X[0][TRAIN], study.y[0][TRAIN], variances=f)
    np.testing.assert_allclose(informed.weights, plain.weights, rtol=1e-6, atol=1e-8)


def test_weighted_blup_is_the_dual_formula(rng: np.random.Generator) -> None:
    X = dosages(rng, 40, 60)
    y = polygenic(rng, X, 0.6)
    f = rng.gamma(1.0, 1.0, 60) + 0.01
    Z, F = standard(X), np.diag(f / f.mean())
    beta = F @ Z.T @ np.linalg.solve(Z @ F @ Z.T + 60 * (0.6 / 0.4) * np.eye(40), y - y.mean())
    fit = fit_blup(X, y, h2=0.4, variances=f)
    np.testing.assert_allclose(fit.weights, beta / X.std(axis=0), rtol=1e-8, atol=1e-12)
    with pytest.raises(DataError, match="`variances` must be 60 positive numbers"):
        fit_blup(X, y, variances=f - 1)


def test_it_learns_what_matters_and_predicts_better_for_it() -> None:
    """Variance exp(6 near): the coefficient is positive and large, the noise's small; R2 rises in most genes."""
    study = Study(4, genes=40, slope=6.0)
    learned = learn_prior(study.genes, InformedConfig())
    assert np.isfinite(learned.penalty)
    coefficients = learned.to_dict()["coefficients"]
    # per standard deviation of `near`, uniform on (0, 1): 6 / sqrt(12) = 1.73, shrunken
    assert 0.8 < coefficients["near"] < 2.5
    assert abs(coefficients["noise"]) < 0.4
    gains = [study.test_r2(i, study.variances(learned, i)) - study.test_r2(i, None) for i in range(40)]
    assert np.mean(gains) > 3 * np.std(gains) / 40**0.5
    assert np.mean(gains) > 0.01


def test_genes_it_never_saw_are_more_likely_under_it() -> None:
    study, others = Study(5, genes=40, slope=6.0), Study(6, genes=30, slope=6.0)
    learned = learn_prior(study.genes, InformedConfig())
    gains = np.array(
        [
            likelihood_gain(gene.genotypes, gene.y, prior_root(others.variances(learned, i), gene.genotypes))
            for i, gene in enumerate(others.genes)
        ]
    )
    assert gains.mean() > 3 * gains.std() / 30**0.5


def test_where_nothing_is_to_be_learned_it_equals_blup_within_noise() -> None:
    study = Study(7, genes=40, slope=0.0)
    learned = learn_prior(study.genes, InformedConfig())
    gains = np.array([study.test_r2(i, study.variances(learned, i)) - study.test_r2(i, None) for i in range(40)])
    assert abs(gains.mean()) < 0.01
    assert learned.path[0]["penalty"] is None
    assert min(step["tune_error"] for step in learned.path) == next(
        step["tune_error"] for step in learned.path if step["penalty"] == learned.to_dict()["penalty"]
    )


def test_the_perceptron_learns_too() -> None:
    study = Study(8, genes=30, slope=6.0)
    learned = learn_prior(study.genes, InformedConfig(network="mlp", hidden=(4,), penalties=(3.0, 1.0)))
    values = np.array([[0.05, 0.0], [0.95, 0.0]], dtype=np.float32)
    far, near = learned.variances(("near", "noise"), values, np.zeros((2, 2), bool), np.full(2, 0.2))
    assert near > 3 * far


def test_the_likelihood_climbs_and_threads_change_nothing() -> None:
    study = Study(9, genes=8, slope=4.0)
    alone = learn_prior(study.genes, InformedConfig())
    assert alone.path[1]["log_p"] > alone.path[0]["log_p"]
    with ThreadPoolExecutor(3) as pool:
        together = learn_prior(study.genes, InformedConfig(), executor=pool)
    assert together.path == alone.path
    assert together.to_dict() == alone.to_dict()


def test_genes_with_too_little_are_left_out() -> None:
    study = Study(10, genes=3, slope=2.0)
    fixed = gene_window_data(
        "G", np.ones((240, 1), np.float32), study.y[0], TRAIN, TUNE, (("near", "noise"), np.zeros((1, 2), np.float32), np.zeros((1, 2), bool))
    )  # fmt: skip
    assert learn_prior([*study.genes, fixed], InformedConfig(penalties=(30.0,))).num_genes == 3
    with pytest.raises(DataError, match="no training gene has two variants that vary"):
        learn_prior([fixed], InformedConfig())


def test_compressed_data_keep_the_whole_likelihood(rng: np.random.Generator) -> None:
    """Fewer variants than individuals: what is outside the genotypes' range counts too."""
    X = dosages(rng, 50, 6)
    y = polygenic(rng, X, 0.5)
    contrasts = rotate(standard(X), y)
    assert (contrasts.d.size, contrasts.num_rest) == (6, 43)
    assert contrasts.rest_squares + float(contrasts.u @ contrasts.u) == pytest.approx(
        float(((y - y.mean()) ** 2).sum())
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "cnn"}, "`network` must be linear or mlp"),
        ({"penalties": (1.0, 3.0)}, "descending"),
        ({"penalties": (1.0, 0.0)}, "must be positive"),
        ({"max_genes": 0}, "`max_genes` must be at least 1"),
    ],
)
def test_options_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        InformedConfig(**options)  # type: ignore[arg-type]


def variants(positions: list[int]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "chrom": ["22"] * len(positions),
            "position": positions,
            "variant_id": [f"rs{p}" for p in positions],
            "effect_allele": ["A"] * len(positions),
            "other_allele": ["C"] * len(positions),
        }
    )


def test_distance_is_along_the_strand() -> None:
    plus, minus = GENE, GeneWindow("ENSG2", "H", "22", "-", 20_001, 0, 40_000)
    there = variants([19_001, 20_001, 21_001])
    names, forward, missing = window_features(plus, there)
    _, backward, _ = window_features(minus, there)
    assert names == (*(f"tss_{scale}" for scale in SCALES), "upstream", "upstream_2000")
    assert not missing.any()
    np.testing.assert_allclose(forward[:, 0], np.exp([-2, 0, -2]), rtol=1e-6)
    np.testing.assert_array_equal(forward[:, 4], [1, 0, 0])
    np.testing.assert_array_equal(backward, forward[::-1])
    np.testing.assert_allclose(forward[:, 5], [np.exp(-0.5), 0, 0], rtol=1e-6)


def test_annotations_and_intervals_become_channels(tmp_path: Path) -> None:
    there = variants([19_001, 20_001, 21_001])
    table = there[:2].with_columns(pl.Series("score", [1.0, None], dtype=pl.Float32))
    Annotations(table=table).write(tmp_path / "a.annot.parquet")
    (tmp_path / "peaks.bed").write_text("chr22\t20000\t20001\n")
    tables = read_window_annotations(there, [tmp_path / "a.annot.parquet"], [f"open={tmp_path / 'peaks.bed'}"])
    names, values, missing = window_features(GENE, there, tables)
    assert names[-2:] == ("score", "open")
    np.testing.assert_array_equal(values[:, -1], [0, 1, 0])
    np.testing.assert_array_equal(missing[:, -2], [False, True, True])
    other = variants([5]).with_columns(score=pl.lit(1.0, pl.Float32))
    Annotations(table=other).write(tmp_path / "b.annot.parquet")
    with pytest.raises(ConfigError, match="has no value for any of the cohort's 3 variants"):
        read_window_annotations(there, [tmp_path / "b.annot.parquet"])
    with pytest.raises(ConfigError, match="the channel `score` stands in several annotations"):
        read_window_annotations(there, [tmp_path / "a.annot.parquet"] * 2)
    with pytest.raises(VarfxError, match="none"):
        read_window_annotations(there, [], [str(tmp_path / "none.bed")])


def test_the_gradient_of_one_gene_is_that_of_finite_differences_to_each_log_f() -> None:
    """f counts up to a factor only: the gradient along it is 0, and each entry has the term that makes it so."""
    problem = _Problem.of(Study(11, genes=1, slope=3.0).genes[0])
    log_f = np.random.default_rng(0).standard_normal(problem.window.num_variants)
    _, slope = problem.value_and_gradient(np.exp(log_f))
    numeric = approx_fprime(log_f, lambda v: problem.value_and_gradient(np.exp(v))[0], 1e-6)
    np.testing.assert_allclose(slope, numeric, rtol=1e-3, atol=1e-4 * np.abs(numeric).max())
    assert slope.sum() == pytest.approx(0, abs=1e-9 * np.abs(slope).max())
    assert np.abs(slope).max() > 1e-2


@pytest.mark.parametrize("network", ["linear", "mlp"])
def test_the_pull_is_towards_the_start(network: str) -> None:
    """A perceptron starts at random hidden weights: pulled to 0 instead, it could learn nothing any more."""
    function, _ = objective(Study(12, genes=2, slope=2.0), network)
    start = np.random.default_rng(1).standard_normal(function.parameters().size)
    value, gradient = function.evaluate(start)
    assert function.penalised(start, 1e6, start)[0] == pytest.approx(-value)
    assert function.penalised(start, 1e6, start)[1] == pytest.approx(-gradient)
    away = start + 0.1
    value, gradient = function.evaluate(away)
    found, slope = function.penalised(away, 50.0, start)
    assert found == pytest.approx(25.0 * 0.01 * start.size - value)
    assert slope == pytest.approx(5.0 - gradient)


def test_the_parameters_are_those_of_the_best_candidate_not_of_the_last() -> None:
    study = Study(7, genes=20, slope=0.0)
    learned = learn_prior(study.genes, InformedConfig())
    errors = [step["tune_error"] for step in learned.path]
    assert errors[-1] > min(errors)
    function, _ = objective(study)
    weights = next(learned.prior.network.parameters()).detach().numpy().ravel()
    vector = np.concatenate([weights, learned.prior.alpha.detach().numpy()])
    assert function.tune_error(vector) == pytest.approx(min(errors), rel=1e-9)
