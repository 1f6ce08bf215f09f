"""Posterior-mean effects: the exact posterior where it can be computed, and variants at a core's edge."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy import ndarray

from cases.simulated_panel import CORE, N, Simulated, associations, haplotypes, standardise, write_bed
from varfx.errors import ConfigError, StoreError
from varfx.genotypes.open_ld import open_source
from varfx.io.workers import Workers
from varfx.ld import LDPanel, PanelConfig, build_panel
from varfx.ld.whiten import rewhiten
from varfx.prior import pairs, posterior, predict, weights, write_weights
from varfx.prior.effects.config import EffectsConfig
from varfx.prior.posterior import posterior_means
from varfx.training import TraitData

NORMAL = EffectsConfig(effects="normal")


def trait(z: ndarray, n: ndarray | None = None) -> TraitData:
    n = np.full(z.size, N) if n is None else n
    return TraitData(name="t", z=z, n=np.where(np.isfinite(z), n, np.nan), n_ref=N)


def make_panel(
    folder: Path, counts: list[ndarray], per_core: int, *, rank_variance: float = 1.0, shift: int = 0
) -> LDPanel:
    """One chromosome an entry of `counts`; `shift` bases are added to each position."""
    folder.mkdir(exist_ok=True)
    step = CORE // per_core
    chrom = [str(c + 1) for c, part in enumerate(counts) for _ in range(part.shape[1])]
    position = shift + np.concatenate([np.arange(part.shape[1]) * step + step // 2 for part in counts])
    write_bed(folder / "ref", np.hstack(counts), chrom, position)
    config = PanelConfig(core=CORE, flank=CORE, dtype="float64", rank_variance=rank_variance)
    return build_panel(open_source([folder / "ref.bed"], maf=0.0), folder / "P.ld.zarr", config, workers=1)


def brute_force(R: ndarray, z: ndarray, F: ndarray, sigma2: float, scale: ndarray | None = None) -> ndarray:
    """E[beta | z] sqrt(N) of all variants at once: z ~ N(S R beta, sigma2 R), from the whole R of well-posed variants."""
    seen = np.isfinite(z)
    signal = (np.ones(z.size) if scale is None else scale)[seen, None] * R[seen]
    covariance = (signal * F) @ signal.T + sigma2 * R[np.ix_(seen, seen)]
    return F * (signal.T @ np.linalg.solve(covariance, z[seen]))


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("cores", [1, 2])
def test_one_or_two_cores_have_the_exact_posterior(
    tmp_path: Path,
    rng: np.random.Generator,
    missing: bool,
    cores: int,
    large: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also by the form of large cores, which is that of all ranks here."""
    if large:
        monkeypatch.setattr(pairs, "LEAST_RANK", 1)
        monkeypatch.setitem(rewhiten.__globals__, "LEAST_RANK", 1)
    counts = haplotypes(rng, 400, 30 * cores, rho=0.8)
    panel = make_panel(tmp_path, [counts], 30)
    assert len(panel.cores) == cores
    X = standardise(counts)
    R = X.T @ X / 400
    F = rng.gamma(1.0, 1.0, 30 * cores)
    z = associations(rng, X, rng.standard_normal(F.size) * np.sqrt(F))
    n = np.full(F.size, N)
    if missing:
        z[::4] = np.nan
        n = rng.uniform(0.5, 1, F.size) * N
    got = posterior_means(panel, trait(z, n), F / N, 1.3)
    expected = brute_force(R, z, F, 1.3, np.sqrt(n / N)) / np.sqrt(N)
    # of two cores the pair's posterior holds between their middles; the outer halves know their own core only
    middle = slice(None) if cores == 1 else slice(15, 45)
    assert np.allclose(got[middle], expected[middle], rtol=1e-3 if large else 1e-5, atol=1e-7 if large else 1e-8)


def test_the_outer_half_of_a_chromosome_uses_its_own_core(tmp_path: Path, rng: np.random.Generator) -> None:
    counts = haplotypes(rng, 400, 60, rho=0.8)
    panel = make_panel(tmp_path, [counts], 30)
    X = standardise(counts)
    F = np.full(60, 0.5)
    z = associations(rng, X, rng.standard_normal(60) * np.sqrt(F))
    own = z.copy()
    own[30:] = np.nan
    expected = brute_force(X.T @ X / 400, own, F, 1.0) / np.sqrt(N)
    assert np.allclose(posterior_means(panel, trait(z), F / N, 1.0)[:15], expected[:15], rtol=1e-5, atol=1e-8)


def single_core(panel: LDPanel, z: ndarray, F: ndarray) -> ndarray:
    """The alternative: every variant from the associations of its own core alone."""
    effects = np.zeros(z.size)
    for index in range(len(panel.cores)):
        window = panel.window(index)
        B, lam, V = window.factors.B, window.factors.lam, window.factors.V
        w = (V.T @ z[window.core_rows]) / np.sqrt(lam)
        solved = np.linalg.solve((B * F[window.panel_rows]) @ B.T + np.eye(w.size), w)
        inside = np.isin(window.panel_rows, window.core_rows)
        effects[window.core_rows] = F[window.core_rows] * (B[:, inside].T @ solved) / np.sqrt(N)
    return effects


@pytest.mark.parametrize("same_people", [True, False])
def test_a_core_s_edge_is_predicted_as_well_as_its_middle(
    tmp_path: Path, rng: np.random.Generator, same_people: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Correlation of predicted and true genetic value of the same variants, once at edges and once in middles of cores.

    A fifth of a core is looked at, around each edge; in a second panel the cores are shifted by half, so that these are its
    middles. The reference is the GWAS's own sample, or as many other individuals with the default rank rule for such references.
    """
    per_core, cores, chroms, people = 40, 6, 5, 600
    both = [haplotypes(rng, 2 * people, cores * per_core, rho=0.95) for _ in range(chroms)]
    gwas = [standardise(part[:people] if same_people else part[people:]) for part in both]
    reference = [part[:people] for part in both]
    rule = 1.0 if same_people else 0.95
    panel = make_panel(tmp_path / "edge", reference, per_core, rank_variance=rule)
    shifted = make_panel(tmp_path / "middle", reference, per_core, rank_variance=rule, shift=CORE // 2)
    kept = {each.path: [each.window(i) for i in range(len(each.cores))] for each in (panel, shifted)}
    monkeypatch.setattr(LDPanel, "window", lambda self, index: kept[self.path][index])  # read from disk once
    size = cores * per_core
    parts = [slice(c * size, (c + 1) * size) for c in range(chroms)]
    F = np.full(chroms * size, 1.0)
    values: dict[str, list[tuple[ndarray, ndarray]]] = {"edge": [], "middle": [], "alone": []}
    for _ in range(8):
        beta = rng.standard_normal(F.size) * np.sqrt(F)
        z = np.concatenate([associations(rng, X, beta[part]) for X, part in zip(gwas, parts, strict=True)])
        effects = {
            "edge": posterior_means(panel, trait(z), F / N, 1.0),
            "middle": posterior_means(shifted, trait(z), F / N, 1.0),
            "alone": single_core(panel, z, F),
        }
        for X, part in zip(gwas, parts, strict=True):
            for edge in range(per_core, size, per_core):
                near = slice(edge - per_core // 10, edge + per_core // 10)
                truth = X[:, near] @ beta[part][near]
                for name, found in effects.items():
                    values[name].append((truth, X[:, near] @ found[part][near]))
    correlation = {
        name: np.corrcoef(np.concatenate([t for t, _ in each]), np.concatenate([p for _, p in each]))[0, 1]
        for name, each in values.items()
    }
    assert correlation["edge"] > correlation["middle"] - 0.01, correlation
    assert correlation["edge"] > correlation["alone"] + 0.02, correlation


def test_score_file(linear_run: Path, simulated: Simulated, tmp_path: Path) -> None:
    table = weights(linear_run, effects=NORMAL)
    write_weights(table, tmp_path / "w.tsv", run=linear_run)
    lines = (tmp_path / "w.tsv").read_text().splitlines()
    header = ["ID", "A1", "WEIGHT.height", "WEIGHT.weight", "CHROM", "POS", "A2", "A1_FREQ"]
    assert lines[0].split("\t") == [*header, "BETA_STD.height", "BETA_STD.weight"]
    stored = pl.read_csv(tmp_path / "w.tsv", separator="\t")
    assert stored.height == 480
    p = stored["A1_FREQ"].to_numpy()
    for name in ("height", "weight"):
        expected = stored[f"BETA_STD.{name}"].to_numpy() / np.sqrt(2 * p * (1 - p))
        assert np.allclose(stored[f"WEIGHT.{name}"].to_numpy(), expected)
    # the score from allele counts and WEIGHT is, up to a constant, that from standardised genotypes and beta
    counts = simulated.X * np.sqrt(2 * p * (1 - p))
    score = counts @ stored["WEIGHT.height"].to_numpy()
    truth = simulated.X @ simulated.beta
    assert np.corrcoef(score, simulated.X @ stored["BETA_STD.height"].to_numpy())[0, 1] > 0.999
    assert np.corrcoef(score, truth)[0, 1] > 0.6
    write_weights(table, tmp_path / "w.tsv.gz", run=linear_run)
    assert gzip.decompress((tmp_path / "w.tsv.gz").read_bytes()) == (tmp_path / "w.tsv").read_bytes()


def test_weights_are_the_posterior_under_the_run_s_prior(constant_run: Path, simulated: Simulated) -> None:
    f = predict(constant_run)["f"].to_numpy()
    z = pl.read_parquet(simulated.height)["z"].to_numpy()
    import safetensors.numpy

    sigma2 = float(np.exp(safetensors.numpy.load_file(constant_run / "model.safetensors")["log_sigma2"][0]))
    expected = posterior_means(simulated.open(), trait(z), f, sigma2)
    assert np.allclose(weights(constant_run, effects=NORMAL)["beta"].to_numpy(), expected, rtol=1e-6)


def test_pgs_catalog_file(mlp_run: Path, tmp_path: Path) -> None:
    write_weights(weights(mlp_run, effects=NORMAL), tmp_path / "w.txt.gz", run=mlp_run, form="pgs-catalog")
    lines = gzip.decompress((tmp_path / "w.txt.gz").read_bytes()).decode().splitlines()
    header = [line for line in lines if line.startswith("#")]
    assert (
        header[0]
        == "###PGS CATALOG SCORING FILE - see https://www.pgscatalog.org/downloads/#dl_ftp_scoring for additional information"
    )
    named = dict(line[1:].split("=", 1) for line in header if not line.startswith("##"))
    assert named["format_version"] == "2.0"
    assert named["genome_build"] == "NR"
    assert named["weight_type"] == "beta"
    assert named["variants_number"] == str(len(lines) - len(header) - 1)
    assert named["trait_reported"] == "height"
    columns = "rsID chr_name chr_position effect_allele other_allele effect_weight allelefrequency_effect"
    assert lines[len(header)].split("\t") == columns.split()
    first = lines[len(header) + 1].split("\t")
    assert first[:5] == ["rs0", "1", "1250", "A", "G"]


def test_the_pgs_catalog_format_holds_one_trait(linear_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the PGS-Catalog format holds one trait. Use --format plink for several"):
        write_weights(weights(linear_run, effects=NORMAL), tmp_path / "w.txt", run=linear_run, form="pgs-catalog")
    assert not (tmp_path / "w.txt").exists()


def test_variants_without_a_name_get_their_place(mlp_run: Path, tmp_path: Path) -> None:
    table = weights(mlp_run, effects=NORMAL)[:3].with_columns(variant_id=pl.Series(["rs1", ".", None]))
    write_weights(table, tmp_path / "w.tsv", run=mlp_run)
    names = [line.split("\t")[0] for line in (tmp_path / "w.tsv").read_text().splitlines()[1:]]
    assert names == ["rs1", "1:3750:A:G", "1:6250:A:G"]


def test_wrong_number_of_traits(linear_run: Path, simulated: Simulated) -> None:
    with pytest.raises(ConfigError, match="`sumstats` must name one file for each of the run's 2 traits, got 1"):
        weights(linear_run, sumstats=[simulated.height])


def test_a_missing_run(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"does not exist\. Give a run made by `varfx prior fit`"):
        weights(tmp_path / "RUN")


@pytest.mark.usefixtures("forked_workers")
def test_processes_change_nothing(tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretches of one and of two cores, a core without associations, and two processes."""
    counts = [haplotypes(rng, 200, 70, rho=0.8), haplotypes(rng, 200, 20, rho=0.8)]
    panel = make_panel(tmp_path, counts, 10)
    z = rng.standard_normal(90)
    z[40:50] = np.nan
    f = rng.gamma(1.0, 1.0, 90) / N
    whole = posterior_means(panel, trait(z), f, 1.1)
    assert np.isfinite(whole).all()
    for size in (1, 2, 5):
        monkeypatch.setattr(posterior, "CORES_PER_PIECE", size)
        seen: list[int] = []
        parts = posterior_means(panel, trait(z), f, 1.1, progress=lambda done, *_, seen=seen: seen.append(done))
        np.testing.assert_array_equal(parts, whole)
        assert seen[-1] == len(panel.cores) == 9
    two = posterior_means(panel, trait(z), f, 1.1, where=Workers(workers=2))
    np.testing.assert_allclose(two, whole, rtol=1e-10, atol=1e-14)


def test_a_variant_in_the_very_middle_of_a_core_belongs_to_the_half_before_it(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """Halves are (low, high]: the variants at the bases start + 1, middle and end, which a border off by one would move or lose."""
    counts = haplotypes(rng, 400, 60, rho=0.8)
    position = np.sort(rng.choice(np.arange(2, 2 * CORE, 2) + 1, 60, replace=False))
    position[[0, 15, 29, 30, 45, 59]] = 1, CORE // 2, CORE, CORE + 1, CORE + CORE // 2, 2 * CORE
    position[1:15] = np.linspace(1000, CORE // 2 - 1000, 14).astype(int)
    position[16:29] = np.linspace(CORE // 2 + 1000, CORE - 1000, 13).astype(int)
    position[31:45] = CORE + position[1:15]
    position[46:59] = CORE + position[16:29]
    write_bed(tmp_path / "ref", counts, ["1"] * 60, position)
    config = PanelConfig(core=CORE, flank=CORE, dtype="float64", rank_variance=1.0)
    panel = build_panel(open_source([tmp_path / "ref.bed"], maf=0.0), tmp_path / "P.ld.zarr", config, workers=1)
    assert [(core.start, core.end) for core in panel.cores] == [(0, CORE), (CORE, 2 * CORE)]
    X = standardise(counts)
    R, F = X.T @ X / 400, np.full(60, 0.5)
    z = associations(rng, X, rng.standard_normal(60) * np.sqrt(F))
    got = posterior_means(panel, trait(z), F / N, 1.0)

    def alone(core: slice) -> ndarray:
        own = np.full(60, np.nan)
        own[core] = z[core]
        return brute_force(R, own, F, 1.0) / np.sqrt(N)

    first, both, second = alone(slice(0, 30)), brute_force(R, z, F, 1.0) / np.sqrt(N), alone(slice(30, 60))
    expected = np.concatenate([first[:16], both[16:46], second[46:]])
    assert np.allclose(got, expected, rtol=1e-5, atol=1e-8)
    assert abs(first[15] - both[15]) > 1e-5
    assert abs(second[45] - both[45]) > 1e-5


@pytest.mark.parametrize("changed", [0, 1])
def test_what_two_cores_say_twice_is_counted_once(tmp_path: Path, changed: int) -> None:
    """A variant on each side of the edge with the genotypes of the other, but for one individual: rounded z must not explode."""
    rng = np.random.default_rng(0)
    counts = haplotypes(rng, 2400, 60, rho=0.8)
    counts[:, 30] = counts[:, 29]
    counts[:changed, 30] = (counts[:changed, 30] + 1) % 3
    panel = make_panel(tmp_path, [counts], 30)
    X = standardise(counts)
    F = np.full(60, 0.5)
    z = associations(rng, X, rng.standard_normal(60) * np.sqrt(F))
    rounded = z.copy()
    rounded[30] += 0.5  # 15 times the standard error of the difference of the two
    exact, got = (posterior_means(panel, trait(each), F / N, 1.0) for each in (z, rounded))
    assert np.abs(exact).max() > 1e-3
    assert np.allclose(got, exact, atol=0.15 * np.abs(exact).max())
