"""S-PrediXcan's z equals the direct association of predicted expression, where the LD and the individuals are the same."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from cases.simulated_panel import haplotypes, sumstats, write_bed
from varfx.errors import DataError, HarmonisationError
from varfx.expression.twas.associate import associate, given, neg_log10_p
from varfx.expression.twas.config import TwasConfig
from varfx.expression.twas.twas import twas
from varfx.genotypes.open_ld import open_source
from varfx.gwas.sumstats import read_sumstats
from varfx.ld import PanelConfig, build_panel

VARIANTS, CORE = 60, 100_000  # in two cores
GENES = {"G1": range(4, 12), "G2": range(26, 34), "G3": range(40, 41)}  # G2 lies across the cores' edge


class World:
    """All pairs of 16 haplotypes as individuals: genotypes in exact Hardy-Weinberg proportions, so that var = 2 p (1 - p)."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(5)
        single = haplotypes(rng, 16, VARIANTS, rho=0.8)[:, :] > 0
        single[0], single[1] = False, True
        pairs = single[:, None].astype(np.int8) + single[None].astype(np.int8)
        self.counts = pairs.reshape(-1, VARIANTS)
        position = np.arange(VARIANTS) * (2 * CORE // VARIANTS) + 700
        write_bed(folder / "ref", self.counts, ["22"] * VARIANTS, position)
        self.panel = build_panel(
            open_source([folder / "ref.bed"], maf=0.0),
            folder / "chr22.ld.zarr",
            PanelConfig(core=CORE, flank=CORE, rank_variance=1.0),
            workers=1,
            inputs=[folder / "ref.bed"],
        )
        self.weights = {gene: rng.standard_normal(len(rows)) for gene, rows in GENES.items()}
        signal = self.counts[:, GENES["G1"]] @ self.weights["G1"]
        self.y = 0.3 * signal + rng.standard_normal(len(self.counts))
        self.y = (self.y - self.y.mean()) / self.y.std()
        X = (self.counts - self.counts.mean(0)) / self.counts.std(0)
        self.z = X.T @ self.y / np.sqrt(len(self.y))  # sqrt(n) r
        self.n = np.full(VARIANTS, float(len(self.y)))
        self.trait = folder / "T.sumstats.parquet"
        sumstats(self.panel, self.z, self.n, "trait").write(self.trait)

    def direct(self, gene: str) -> tuple[float, float, float]:
        """z, slope and variance of the trait's regression on predicted expression in the individuals themselves."""
        predicted = self.counts[:, GENES[gene]] @ self.weights[gene]
        predicted = predicted - predicted.mean()
        r = predicted @ self.y / len(self.y) / predicted.std()
        return np.sqrt(len(self.y)) * r, r / predicted.std(), predicted.var()

    def database(self, path: Path, *, flip: tuple[int, ...] = (), long: bool = True) -> Path:
        with closing(sqlite3.connect(path)) as base, base:
            base.execute("CREATE TABLE extra (gene TEXT, genename TEXT)")
            base.execute(
                "CREATE TABLE weights (rsid TEXT, gene TEXT, weight DOUBLE, ref_allele TEXT, eff_allele TEXT, varID TEXT)"
            )
            for gene, rows in GENES.items():
                base.execute("INSERT INTO extra VALUES (?, ?)", (gene, gene.lower()))
                for row, weight in zip(rows, self.weights[gene], strict=True):
                    position = int(self.panel.variants["position"][row])
                    alleles, sign = (("G", "A"), 1) if row not in flip else (("A", "G"), -1)
                    name = f"22_{position}_{alleles[0]}_{alleles[1]}_b37" if long else None
                    base.execute(
                        "INSERT INTO weights VALUES (?, ?, ?, ?, ?, ?)",
                        (f"rs{row}", gene, sign * weight, *alleles, name),
                    )
        return path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("twas"))


@pytest.mark.parametrize("long", [True, False])
def test_z_is_the_direct_association(world: World, tmp_path: Path, long: bool) -> None:
    """By position or by rsID; some alleles the other way round."""
    path = world.database(tmp_path / "W.db", flip=(5, 8, 30), long=long)
    found = twas(path, world.trait, world.panel.path)
    assert found.table["gene"].to_list() == ["G1", "G2", "G3"]
    for row in found.table.iter_rows(named=True):
        z, effect, variance = world.direct(row["gene"])
        assert row["z"] == pytest.approx(z, rel=1e-4, abs=1e-4)
        assert row["effect"] == pytest.approx(effect, rel=1e-4, abs=1e-6)
        assert row["var_g"] == pytest.approx(variance, rel=1e-4)
        assert row["p"] == pytest.approx(2 * norm.sf(abs(z)), rel=1e-3)
        assert row["n_snps_used"] == row["n_snps_in_model"] == len(GENES[row["gene"]])
        assert row["gene_name"] == row["gene"].lower()
    assert found.untested == {}


def test_what_stands_beside_the_test(world: World, tmp_path: Path) -> None:
    found = twas(world.database(tmp_path / "W.db"), world.trait, world.panel.path, TwasConfig(flank=20_000))
    X = (world.counts - world.counts.mean(0)) / world.counts.std(0)
    position = world.panel.variants["position"].to_numpy()
    for row in found.table.iter_rows(named=True):
        rows = np.array(GENES[row["gene"]])
        near = np.flatnonzero((position >= position[rows[0]] - 20_000) & (position <= position[rows[-1]] + 20_000))
        best = near[np.argmax(np.abs(world.z[near]))]
        scaled = world.weights[row["gene"]] * world.counts.std(0)[rows]
        top = rows[np.argmax(np.abs(scaled))]
        assert row["best_variant"] == f"rs{best}"
        assert row["top_variant"] == f"rs{top}"
        assert row["best_z"] == pytest.approx(world.z[best], rel=1e-5)
        r = X.T @ X / len(X)
        assert row["r2_top_best"] == pytest.approx(r[top, best] ** 2, abs=1e-4)
        predicted = X[:, rows] @ scaled
        r_gene = np.corrcoef(predicted, X[:, best])[0, 1]
        assert row["r_gene_best"] == pytest.approx(r_gene, abs=1e-4)
        if r_gene**2 < 0.99:
            expected = (world.z[best] - r_gene * row["z"]) / np.sqrt(1 - r_gene**2)
            assert row["best_z_given_gene"] == pytest.approx(expected, abs=2e-3)
    assert "one-variant" in found.table.row(2, named=True)["caution"]


def test_one_panel_per_chromosome_and_variants_without_association(world: World, tmp_path: Path) -> None:
    given_trait = read_sumstats(world.trait)
    missing = [4, 5, 6, 7, 8, 40]
    z = world.z.copy()
    z[missing] = np.nan
    sumstats(world.panel, z, world.n, given_trait.trait).write(tmp_path / "T.parquet")
    pattern = world.panel.path.with_name("chr@.ld.zarr")
    found = twas(world.database(tmp_path / "W.db"), tmp_path / "T.parquet", pattern)
    assert found.table["gene"].to_list() == ["G1", "G2"]
    assert list(found.untested) == ["G3"]
    first = found.table.row(0, named=True)
    assert (first["n_snps_in_model"], first["n_snps_in_panel"], first["n_snps_used"]) == (8, 8, 3)
    assert "few-variants" in first["caution"]
    kept = world.counts[:, 9:12] @ world.weights["G1"][5:]
    assert first["z"] == pytest.approx(np.sqrt(len(world.y)) * np.corrcoef(kept, world.y)[0, 1], rel=1e-4)


def test_a_cause_beside_the_gene_is_marked(world: World, tmp_path: Path) -> None:
    """The trait's signal is a variant in little LD with the gene's."""
    X = (world.counts - world.counts.mean(0)) / world.counts.std(0)
    r2 = (X.T @ X / len(X)) ** 2
    far = int(np.argmin(r2[40]))
    R = X.T @ X / len(X)
    sumstats(world.panel, 12 * R[:, far], world.n, "other").write(tmp_path / "T.parquet")
    found = twas(world.database(tmp_path / "W.db"), tmp_path / "T.parquet", world.panel.path)
    row = found.table.filter(pl.col("gene") == "G3").row(0, named=True)
    assert {"one-variant", "other-lead", "unexplained-signal"} <= set(row["caution"].split(","))
    assert row["best_variant"] == f"rs{far}"
    assert abs(row["gene_z_given_best"]) < 0.05  # nothing is left of the gene


def test_a_gene_that_is_not_predicted_is_marked(world: World, tmp_path: Path) -> None:
    path = world.database(tmp_path / "W.db")
    with closing(sqlite3.connect(path)) as base, base:
        base.execute('ALTER TABLE extra ADD COLUMN "pred.perf.pval" DOUBLE')
        base.execute("UPDATE extra SET \"pred.perf.pval\" = CASE gene WHEN 'G1' THEN 0.2 ELSE 0.001 END")
    cautions = dict(twas(path, world.trait, world.panel.path).table.select("gene", "caution").iter_rows())
    assert "not-predicted" in cautions["G1"].split(",")
    assert "not-predicted" not in cautions["G2"].split(",")


def test_null_genes_are_calibrated() -> None:
    """z of random weights on null associations with the panel's LD is standard normal."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((200, 30)) @ rng.standard_normal((30, 30))
    R = np.corrcoef(A.T)
    L = np.linalg.cholesky(R + 1e-9 * np.eye(30))
    values = []
    for _ in range(2000):
        found = associate(rng.standard_normal(30), L @ rng.standard_normal(30), np.full(30, 1e4), R)
        assert found is not None
        values.append(found.z)
    assert abs(np.mean(values)) < 4 / 2000**0.5
    assert np.std(values) == pytest.approx(1, abs=4 / 4000**0.5)
    nothing = associate(np.array([1.0, -1.0]), np.array([2.0, 2.0]), np.full(2, 1e4), np.ones((2, 2)))
    assert nothing is None  # weights that cancel out


def test_small_p_and_conditional_z() -> None:
    assert neg_log10_p(1.96) == pytest.approx(-np.log10(2 * norm.sf(1.96)), rel=1e-12)
    assert neg_log10_p(-60) == pytest.approx(-(norm.logsf(60) + np.log(2)) / np.log(10))
    assert given(5.0, 5.0, 0.0) == 5.0
    assert given(5.0, 10.0, 0.5) == pytest.approx(0.0)
    assert np.isnan(given(1.0, 1.0, 1.0))


def test_refusals(world: World, tmp_path: Path) -> None:
    path = world.database(tmp_path / "W.db")
    metadata = {"build": "hg38"}
    table = read_sumstats(world.trait)
    type(table)(table=table.table, trait="t", metadata=metadata).write(tmp_path / "T38.parquet")
    with pytest.raises(HarmonisationError, match=r"is of GRCh37 \(hg19\), `t` of GRCh38"):
        twas(path, tmp_path / "T38.parquet", world.panel.path)
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("UPDATE weights SET varID = NULL, rsid = 'x' || rsid")
    with pytest.raises(HarmonisationError, match="only 0 of"):
        twas(path, world.trait, world.panel.path)
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("DELETE FROM weights WHERE gene != 'G3'")
        base.execute("UPDATE weights SET rsid = 'rs40'")
    z = world.z.copy()
    z[40] = np.nan
    sumstats(world.panel, z, world.n, "t").write(tmp_path / "T.parquet")
    with pytest.raises(DataError, match=r"none of 3 genes .* no variant of the model in the panel has an association"):
        twas(path, tmp_path / "T.parquet", world.panel.path)
