"""The posterior over a panel: the normal limit, core edges, workers, seeds; what is learned from simulated traits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy import ndarray

from cases.simulated_panel import CORE, N, associations, haplotypes, standardise, write_bed
from varfx.errors import ConfigError
from varfx.genotypes.open_ld import open_source
from varfx.io.workers import Workers
from varfx.ld import LDPanel, PanelConfig, build_panel
from varfx.ld.whiten import rewhiten
from varfx.prior import pairs
from varfx.prior.effects import compare, learn
from varfx.prior.effects.background import FactoredBackground
from varfx.prior.effects.choose import SURE, trait_effects
from varfx.prior.effects.compare import HINT
from varfx.prior.effects.config import EffectsConfig
from varfx.prior.effects.learn import EXPONENTS, Expectation, maximise
from varfx.prior.effects.pair_background import pair_background
from varfx.prior.effects.posterior import effects_posterior
from varfx.prior.effects.shape import EffectShape, first_shape
from varfx.prior.pairs import Cores
from varfx.prior.posterior import posterior_means
from varfx.training import TraitData

ONE = Workers(workers=1)
CONFIG = EffectsConfig(effects="mixture", chains=2, sweeps=20)
NORMAL = EffectShape(background=1.0, sizes=np.array([20.0]), weights=np.zeros(1), exponent=0.5, mean_F=1.0)
SPARSE = EffectShape(
    background=0.3, sizes=np.array([10.0, 100.0]), weights=np.array([0.03, 0.005]), exponent=0.5, mean_F=1.0
)


def trait(z: ndarray) -> TraitData:
    return TraitData(name="t", z=z, n=np.where(np.isfinite(z), N, np.nan), n_ref=N)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> tuple[LDPanel, ndarray]:
    """A panel of one chromosome with four cores of 40 variants, and the standardised genotypes behind it."""
    folder = tmp_path_factory.mktemp("effects")
    counts = haplotypes(np.random.default_rng(1), 500, 160, rho=0.8)
    step = CORE // 40
    write_bed(folder / "ref", counts, ["1"] * 160, np.arange(160) * step + step // 2)
    config = PanelConfig(core=CORE, flank=CORE, dtype="float64", rank_variance=1.0)
    panel = build_panel(open_source([folder / "ref.bed"], maf=0.0), folder / "P.ld.zarr", config, workers=1)
    return panel, standardise(counts)


def sparse_z(X: ndarray, seed: int = 2) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng(seed)
    beta = np.where(rng.random(X.shape[1]) < 0.04, rng.standard_normal(X.shape[1]) * 8, 0.0)
    return associations(rng, X, beta), beta


def test_without_slabs_the_weights_are_those_of_the_normal_prior(material: tuple[LDPanel, ndarray]) -> None:
    panel, X = material
    z, _ = sparse_z(X)
    z[::9] = np.nan
    f = np.random.default_rng(3).gamma(1.0, 1.0, z.size) / N
    found = effects_posterior(Cores(panel, trait(z)), f, 1.2, NORMAL, CONFIG)
    normal = posterior_means(panel, trait(z), f, 1.2)
    np.testing.assert_allclose(found.mean, normal, rtol=1e-8, atol=1e-8 * np.abs(normal).max())
    assert not found.pip.any()
    assert (found.sd <= np.sqrt(f) * (1 + 1e-5)).all()
    assert found.windows[0]["cores"].endswith("left half")


def as_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes every core for a large one."""
    monkeypatch.setattr(pairs, "LEAST_RANK", 1)
    monkeypatch.setitem(rewhiten.__globals__, "LEAST_RANK", 1)


def test_large_pairs_without_slabs_have_the_normal_posterior(
    material: tuple[LDPanel, ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_large(monkeypatch)
    panel, X = material
    z, _ = sparse_z(X)
    z[::9] = np.nan
    f = np.random.default_rng(3).gamma(1.0, 1.0, z.size) / N
    expected = posterior_means(panel, trait(z), f, 1.2)
    got = effects_posterior(Cores(panel, trait(z)), f, 1.2, NORMAL, CONFIG)
    np.testing.assert_allclose(got.mean, expected, rtol=1e-3, atol=1e-7)
    assert not got.pip.any()


@pytest.mark.parametrize("sigma2", [1.0, 1e-5])
def test_a_large_pair_is_the_model_of_the_whitened_pair(
    material: tuple[LDPanel, ndarray], monkeypatch: pytest.MonkeyPatch, sigma2: float
) -> None:
    """If the flanks too may have sparse effects; also where C is factorised in float64."""
    as_large(monkeypatch)
    panel, X = material
    z, _ = sparse_z(X)
    z[::9] = np.nan
    F = np.random.default_rng(3).gamma(1.0, 1.0, z.size)
    cores = Cores(panel, trait(z))
    number, bounds, sides = next(each for each in cores.arrangements(0, 2) if len(each[2]) == 2)
    every = np.arange(z.size)
    rows, large = pair_background((sides[0], sides[1]), (every, every), F, sigma2, SPARSE)
    system = cores.system(number, bounds, sides)
    signal, w = system.signal.double().numpy(), system.w.numpy()
    plain = FactoredBackground.of(signal, w, F[system.rows], sigma2, SPARSE)
    np.testing.assert_array_equal(rows, system.rows)
    one, two = large.regression, plain.regression
    scale = np.diag(two.A @ two.A.T).max()
    np.testing.assert_allclose(one.A @ one.A.T, two.A @ two.A.T, atol=1e-4 * scale)
    np.testing.assert_allclose(one.A @ one.w, two.A @ two.w, atol=1e-4 * np.abs(two.A @ two.w).max())
    np.testing.assert_array_equal(one.constant.shape, two.constant.shape)
    s = np.where(np.arange(rows.size) % 17 == 0, 3.0, 0.0)
    expected = plain.effects(s, system.inside)
    np.testing.assert_allclose(large.effects(s, system.inside), expected, atol=1e-4 * np.abs(expected).max())


def test_flanks_without_sparse_effects_cost_a_large_pair_nothing(
    material: tuple[LDPanel, ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flanks are 20 variants away here, in a real panel thousands."""
    panel, X = material
    z, beta = sparse_z(X)
    f = np.ones(z.size) / N
    config = replace(CONFIG, sweeps=100)
    every = effects_posterior(Cores(panel, trait(z)), f, 1.0, SPARSE, config)
    as_large(monkeypatch)
    large = effects_posterior(Cores(panel, trait(z)), f, 1.0, SPARSE, config)
    for name in ("mean", "sd", "pip"):
        expected, found = getattr(every, name), getattr(large, name)
        assert np.sqrt(np.mean((found - expected) ** 2)) < 0.04 * np.sqrt(np.mean(expected**2))
    one, other = (np.corrcoef(X @ each.mean, X @ beta)[0, 1] for each in (every, large))
    assert other == pytest.approx(one, abs=2e-3)
    assert sum("with the next" in note["cores"] for note in large.windows) == 3


def test_a_sparse_prior_predicts_sparse_effects_better_than_the_normal_one(material: tuple[LDPanel, ndarray]) -> None:
    panel, X = material
    z, beta = sparse_z(X)
    f = np.full(z.size, np.mean(beta**2)) / N
    sparse = effects_posterior(Cores(panel, trait(z)), f, 1.0, replace(SPARSE, mean_F=float(f.mean() * N)), CONFIG)
    normal = posterior_means(panel, trait(z), f, 1.0)
    error = [np.sqrt(np.mean((X @ (each * np.sqrt(N) - beta)) ** 2)) for each in (sparse.mean, normal)]
    assert error[0] < 0.9 * error[1]
    causal = beta != 0
    assert sparse.pip[causal].mean() > 5 * sparse.pip[~causal].mean()
    inside = np.abs(sparse.mean * np.sqrt(N) - beta) < 3 * sparse.sd * np.sqrt(N) + 1e-9
    assert inside.mean() > 0.95


@pytest.mark.usefixtures("forked_workers")
def test_workers_change_nothing_and_the_seed_decides(material: tuple[LDPanel, ndarray]) -> None:
    panel, X = material
    z, _ = sparse_z(X)
    f = np.full(z.size, 1.0) / N
    cores = Cores(panel, trait(z))
    first = effects_posterior(cores, f, 1.0, SPARSE, CONFIG)
    again = effects_posterior(cores, f, 1.0, SPARSE, CONFIG)
    two = effects_posterior(cores, f, 1.0, SPARSE, CONFIG, where=Workers(workers=2))
    other = effects_posterior(cores, f, 1.0, SPARSE, EffectsConfig(effects="mixture", chains=2, sweeps=20, seed=1))
    for name in ("mean", "sd", "pip"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        np.testing.assert_array_equal(getattr(first, name), getattr(two, name))
        assert np.abs(getattr(first, name) - getattr(other, name)).max() > 0
    assert first.windows == two.windows


def test_auto_takes_the_mixture_where_it_is_likelier(
    material: tuple[LDPanel, ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learn, "ITERATIONS", 12)
    panel, X = material
    z, beta = sparse_z(X)
    f = np.full(z.size, np.mean(beta**2)) / N
    config = EffectsConfig(chains=2, sweeps=20)
    told: list[str] = []
    found = trait_effects(
        Cores(panel, trait(z)), f, 1.0, config, where=ONE, progress=lambda done, total, what: told.append(what)
    )
    evidence = found.record["evidence"]
    assert list(evidence) == ["normal", "mixture"]
    assert found.record["effects"] == "mixture"
    gain = evidence["mixture"] - evidence["normal"]
    assert gain > SURE * found.record["evidence_error"]["mixture"]
    assert f"the mixture's log evidence is {gain:+.1f} nats" in found.record["reason"]
    assert found.record["reason"].endswith("in 4 of 4 windows")
    assert found.record["hyperparameters"]["background"] < 0.9
    assert list(dict.fromkeys(told)) == [
        "windows to learn from", "steps of learning", "windows to compare distributions", "windows",
    ]  # fmt: skip


def test_auto_keeps_the_normal_posterior_of_an_infinitesimal_trait_and_samples_nothing(
    material: tuple[LDPanel, ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    panel, X = material
    rng = np.random.default_rng(14)
    z = associations(rng, X, rng.standard_normal(X.shape[1]))
    f = np.full(z.size, 1.0) / N

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("nothing is learned without a sign of larger effects")

    monkeypatch.setattr(compare, "learn_shape", fail)
    found = trait_effects(Cores(panel, trait(z)), f, 1.0, EffectsConfig(), where=ONE)
    assert found.record["effects"] == "normal"
    assert found.record["one_effect_gain"] < HINT
    assert found.record["reason"].endswith("in 4 of 4 windows, below 0.05: no sign of larger effects")
    assert found.pip is None
    np.testing.assert_array_equal(found.mean, posterior_means(panel, trait(z), f, 1.0))


def test_a_mixture_asked_for_an_infinitesimal_trait_is_nearly_the_normal_posterior(
    material: tuple[LDPanel, ndarray],
) -> None:
    panel, X = material
    rng = np.random.default_rng(14)
    z = associations(rng, X, rng.standard_normal(X.shape[1]))
    f = np.full(z.size, 1.0) / N
    config = EffectsConfig(effects="mixture", chains=2, sweeps=20)
    found = trait_effects(Cores(panel, trait(z)), f, 1.0, config, where=ONE)
    normal = posterior_means(panel, trait(z), f, 1.0)
    assert np.corrcoef(X @ found.mean, X @ normal)[0, 1] > 0.99


def test_the_maximising_step_is_the_closed_form() -> None:
    """Counts of known effects: chances are counts over exposure, and the exponent is found again."""
    rng = np.random.default_rng(5)
    rel = rng.gamma(2.0, 0.5, 200_000)
    exponent, chance = 0.8, 0.01
    there = rng.random(rel.size) < chance * rel**exponent
    s2 = 20.0 * rel ** (1 - exponent) * rng.standard_normal(rel.size) ** 2 * there
    log_rel = np.log(rel)
    found = Expectation(
        counts=np.array([there.sum()], dtype=float),
        log_informed=float(log_rel[there].sum()),
        exposure=np.exp(EXPONENTS[:, None] * log_rel).sum(1),
        squares=np.array([[(s2 / rel ** (1 - a)).sum()] for a in EXPONENTS]),
        residual_square=0.6 * np.arange(1.0, 2000.0) + 1.5,
        eigenvalues=np.arange(1.0, 2000.0),
    )
    shape = maximise(first_shape((60.0,), 1.0), [found], 1.5, learn_size=True)
    assert shape.exponent == pytest.approx(0.8)
    assert shape.weights[0] == pytest.approx(chance, rel=0.1)
    assert shape.sizes[0] == pytest.approx(20.0, rel=0.1)
    assert shape.background == pytest.approx(0.6, rel=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"effects": "horseshoe"}, "`--effects` must be one of auto, normal, spike-slab, mixture, but is 'horseshoe'"),
        ({"chains": 1}, "`--chains` must be at least 2"),
        ({"sweeps": 5}, "`--sweeps` must be at least 10"),
        ({"seed": -1}, "`--seed` must not be negative"),
    ],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EffectsConfig(**options)  # type: ignore[arg-type]
