"""Exported weights: SQLite as S-PrediXcan asks it, R's files as rdata reads them, scores as `varfx score` computes them."""

from __future__ import annotations

import gzip
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import rdata
import torch
from scipy.stats import pearsonr

from cases.cohort import small_cohort
from cases.command_line import varfx
from cases.transfer import as_vcf
from cases.variants import linear_run, network_run, random_network, some_weights
from varfx.errors import ConfigError, DataError, FormatError, StoreError
from varfx.expression.cohort.gene_data import adjusted_expression, gene_data, imputed
from varfx.expression.cohort.store import Cohort, open_cohort
from varfx.expression.network.batches import gene_sequences
from varfx.expression.run import open_run
from varfx.expression.twas.config import ExportConfig
from varfx.expression.twas.export import export_weights
from varfx.expression.twas.fusion import read_fusion
from varfx.expression.twas.predictdb import read_predictdb
from varfx.expression.twas.r_data import Frame, Matrix, save
from varfx.expression.twas.twas import read_models
from varfx.prior.polygenic.config import ScoreConfig
from varfx.prior.polygenic.score import score

Weights = dict[str, dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return open_cohort(small_cohort(tmp_path_factory.mktemp("export"), window=256, people=60, missing=0.05))


@pytest.fixture(scope="module")
def weights(cohort: Cohort) -> Weights:
    return {"blup": some_weights(cohort, 8), "elastic-net": some_weights(cohort, 3, 1)}


@pytest.fixture(scope="module")
def run(cohort: Cohort, weights: Weights) -> Path:
    return linear_run(cohort.path.parent / "B", cohort, weights)


def test_predictdb_as_s_predixcan_asks_it(cohort: Cohort, weights: Weights, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "W.db"
    done = export_weights(run, out, ExportConfig(build="GRCh37"))
    assert (done.models, done.fold, done.genes) == (("elastic-net",), 0, 4)
    with closing(sqlite3.connect(out)) as base:
        extra = base.execute(
            'SELECT gene, genename, "n.snps.in.model", "pred.perf.R2", "pred.perf.pval", "pred.perf.qval" FROM extra'
        ).fetchall()
        rows = base.execute("SELECT rsid, gene, weight, ref_allele, eff_allele, varID FROM weights").fetchall()
        assert base.execute('SELECT "n.samples" FROM sample_info').fetchone() == (cohort.fold(0).train.size,)
        names = {row[0] for row in base.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    assert names == {"weights_rsid", "weights_gene", "weights_rsid_gene", "extra_gene"}
    by_key = {(gene, rsid): (weight, ref, alt, name) for rsid, gene, weight, ref, alt, name in rows}
    assert len(rows) == 12
    for gene in cohort.genes["gene_id"]:
        variants, _ = cohort.window_variants(gene)
        for value, row in zip(weights["elastic-net"][gene], variants.iter_rows(named=True), strict=True):
            if value:
                name = f"{row['chrom']}_{row['position']}_{row['other_allele']}_{row['effect_allele']}_b37"
                expected = (value, row["other_allele"], row["effect_allele"], name)
                assert by_key[gene, row["variant_id"]] == expected
    for gene, name, count, r2, p, q in extra:
        assert (name, count) == (cohort.gene(gene).name, 3)
        data = gene_data(cohort, gene, 0)
        predicted = data.X[data.fold.test] @ weights["elastic-net"][gene]
        found = pearsonr(predicted, data.y[data.fold.test], alternative="greater")
        assert r2 == pytest.approx(max(found.statistic, 0) ** 2, rel=1e-5)
        assert p == pytest.approx(found.pvalue if found.statistic > 0 else 1, rel=1e-5)
        assert q >= p - 1e-12


def test_covariances_are_those_of_dosages(cohort: Cohort, run: Path, tmp_path: Path) -> None:
    export_weights(run, tmp_path / "W.db")
    lines = gzip.decompress((tmp_path / "W.cov.txt.gz").read_bytes()).decode().splitlines()
    assert lines[0] == "GENE RSID1 RSID2 VALUE"
    assert len(lines) == 1 + 4 * 6  # three variants of each of four genes: upper triangle with the diagonal
    fold = cohort.fold(0)
    for line in lines[1:]:
        gene, first, second, value = line.split()
        variants, _ = cohort.window_variants(gene)
        X = imputed(cohort.dosages(gene), fold)[fold.train].astype(float)
        i, j = (variants["variant_id"].to_list().index(name) for name in (first, second))
        assert float(value) == pytest.approx(np.cov(X[:, i], X[:, j])[0, 1], rel=1e-6, abs=1e-12)


def test_fusion_as_rdata_reads_it(cohort: Cohort, weights: Weights, run: Path, tmp_path: Path) -> None:
    export_weights(run, tmp_path / "W.pos", ExportConfig(format="fusion"))
    pos = pl.read_csv(tmp_path / "W.pos", separator="\t")
    assert pos.columns == ["PANEL", "WGT", "ID", "CHR", "P0", "P1", "N"]
    fold = cohort.fold(0)
    for row in pos.iter_rows(named=True):
        gene = row["ID"]
        held = rdata.read_rda(tmp_path / row["WGT"])
        matrix, snps = held["wgt.matrix"], held["snps"]
        assert list(matrix.coords["dim_1"].values) == ["blup", "enet"]
        variants, _ = cohort.window_variants(gene)
        used = (weights["blup"][gene] != 0) | (weights["elastic-net"][gene] != 0)
        X = imputed(cohort.dosages(gene), fold)[fold.train].astype(float)[:, used]
        expected = np.column_stack([weights[name][gene][used] for name in weights]) * X.std(axis=0, ddof=1)[:, None]
        np.testing.assert_allclose(np.asarray(matrix), expected, rtol=1e-12)
        kept = variants.filter(pl.Series(used))
        assert list(matrix.coords["dim_0"].values) == kept["variant_id"].to_list() == list(snps["V2"])
        assert list(snps["V5"]) == kept["effect_allele"].to_list()
        assert list(snps["V6"]) == kept["other_allele"].to_list()
        assert list(snps["V4"]) == kept["position"].to_list()
        assert held["cv.performance"].coords["dim_0"].values.tolist() == ["rsq", "pval"]
        assert float(held["N.tot"][0]) == fold.train.size


def test_both_formats_come_back_alike(cohort: Cohort, weights: Weights, run: Path, tmp_path: Path) -> None:
    export_weights(run, tmp_path / "W.db", ExportConfig(model="blup", build="hg19"))
    export_weights(run, tmp_path / "W.pos", ExportConfig(format="fusion"))
    one, other = read_models(tmp_path / "W.db"), read_models(tmp_path / "W.pos", "blup")
    assert (one.scale, other.scale, one.build, other.build) == ("allele", "standardised", "hg19", None)
    key = ["gene", "chrom", "position", "variant_id", "effect_allele", "other_allele"]
    assert one.weights.select(key).equals(other.weights.select(key))
    ratio = other.weights["weight"] / one.weights["weight"]
    assert ratio.is_between(0.3, 1).all()  # standard deviations of dosages
    stated = one.weights.join(cohort.variants, on=key[1:], how="semi")
    assert stated.height == 32
    assert read_fusion(tmp_path / "W.pos").genes["model"].is_in(["blup", "enet"]).all()
    flipped = one.oriented()
    assert (flipped["effect_allele"] < flipped["other_allele"]).all()
    turned = (one.weights["effect_allele"] > one.weights["other_allele"]).to_numpy()
    np.testing.assert_array_equal(flipped["weight"], np.where(turned, -1, 1) * one.weights["weight"].to_numpy())


def test_scores_are_predictions(tmp_path: Path) -> None:
    """`varfx score` with the exported table gives each individual's predicted expression but for the intercept."""
    whole = open_cohort(small_cohort(tmp_path, window=256, people=40, seed=3))
    run = linear_run(tmp_path / "R", whole, {"ridge": some_weights(whole, 5)})
    for name in ("W.tsv", "W.tsv.gz"):
        export_weights(run, tmp_path / name, ExportConfig(format="prs"))
    genotypes = as_vcf(whole, tmp_path / "x.vcf.gz")
    scores = score(tmp_path / "W.tsv.gz", [genotypes], config=ScoreConfig(palindromes="keep"))
    own = some_weights(whole, 5)
    for name, total in zip(scores.names, scores.total, strict=True):
        gene = name.removeprefix("SCORE.")
        np.testing.assert_allclose(total, whole.dosages(gene).T @ own[gene], atol=1e-5)
    assert list(scores.names) == [f"SCORE.{gene}" for gene in own]
    assert gzip.decompress((tmp_path / "W.tsv.gz").read_bytes()) == (tmp_path / "W.tsv").read_bytes()


def test_r_objects_come_back(tmp_path: Path) -> None:
    objects = {
        "m": Matrix(np.array([[1.5, np.nan], [-3.0, 4.0], [0.0, 1e300]]), ["a", "b", "ç"], ["x", "y"]),
        "f": Frame({"V1": np.array([1, 2], np.int32), "V2": ["rs1", "rs2"], "V3": np.array([0.5, -0.5])}),
        "n": np.array([1.0, 2.0, 3.0]),
        "t": ["one", "two"],
    }
    save(tmp_path / "x.RDat", objects)
    back = rdata.read_rda(tmp_path / "x.RDat")
    assert list(back) == ["m", "f", "n", "t"]
    np.testing.assert_array_equal(np.asarray(back["m"]), objects["m"].values)
    assert back["m"].coords["dim_0"].values.tolist() == ["a", "b", "ç"]
    assert list(back["f"].columns) == ["V1", "V2", "V3"]
    assert list(back["f"]["V2"]) == ["rs1", "rs2"]
    assert list(back["n"]) == [1, 2, 3]
    assert list(back["t"]) == ["one", "two"]


def test_a_network_is_exported_as_its_linear_approximation(cohort: Cohort, run: Path, tmp_path: Path) -> None:
    model = random_network()
    network = network_run(tmp_path / "N", cohort, model)
    gene, out = cohort.genes["gene_id"][1], tmp_path / "W.db"
    done = export_weights(network, out, ExportConfig(genes=(f"{gene}.3",)))
    assert (done.models, done.genes) == (("enformer-linearised",), 1)
    models = read_predictdb(out)
    assert "these weights are a linear approximation of the network" in " ".join(models.notes)
    found = models.weights
    variants, _ = cohort.window_variants(gene)
    sequences = gene_sequences(cohort, gene, window=model.config.window)
    place = np.asarray(sequences.offsets)
    reference, model = sequences.reference().double(), model.double()
    effects = []
    with torch.no_grad():
        for k in range(variants.height):  # both passes whole
            x = reference.clone()
            x[place[k]] = torch.eye(4)[int(sequences.alt_code[k])]
            effects.append(float(model(x[None]) - model(reference[None])) / 2)
    weight = dict(zip(found["variant_id"], found["weight"], strict=True))
    mine = np.array([weight[name] for name in variants["variant_id"]])
    np.testing.assert_allclose(mine, effects, atol=1.5e-6)  # of predictions near 3 in float32
    opened = open_run(network)
    theirs = opened.predictions.filter(pl.col("gene_id") == gene)
    rows = [cohort.people.index(name) for name in theirs["person"]]
    ours = imputed(cohort.dosages(gene), cohort.fold(0))[rows] @ mine
    r = np.corrcoef(ours, theirs["prediction"].to_numpy())[0, 1]
    assert done.agreement is not None
    assert done.agreement.r == {gene: pytest.approx(r, abs=1e-5)}
    assert f"median {r:.3f} of 1 genes" in done.agreement.words()
    with closing(sqlite3.connect(out)) as base:
        assert base.execute('SELECT "linearised.r" FROM extra').fetchall() == [(pytest.approx(r, abs=1e-5),)]
        about = dict(base.execute("SELECT key, value FROM varfx"))
        r2, p = base.execute('SELECT "pred.perf.R2", "pred.perf.pval" FROM extra').fetchone()
    assert "linear approximation of the network" in about["approximation"]
    assert about["linearised.individuals"] == str(len(rows))
    test = cohort.fold(0).test
    y = adjusted_expression(cohort, gene, cohort.fold(0))[test]
    tested = pearsonr(imputed(cohort.dosages(gene), cohort.fold(0))[test] @ mine, y, alternative="greater")
    assert (r2, p) == (pytest.approx(max(tested.statistic, 0) ** 2, abs=1e-5), pytest.approx(tested.pvalue if tested.statistic > 0 else 1, rel=1e-4))  # fmt: skip


def test_scores_of_a_network_may_be_given(
    cohort: Cohort, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = network_run(tmp_path / "N", cohort, random_network())
    gene, long = cohort.genes["gene_id"][0], tmp_path / "L.parquet"
    words = ("--genes", gene, "--gradients", "none", "--out", tmp_path / "V.annot.parquet", "--long", long)
    assert varfx(capsys, "expr", "variants", network, *words).code == 0
    given = varfx(capsys, "expr", "export", network, "--scores", long, "--genes", gene, "--out", tmp_path / "A.db")
    assert given.code == 0, given.err
    assert "these weights are a linear approximation of the network" in " ".join(given.out.split())
    export_weights(network, tmp_path / "B.db", ExportConfig(genes=(gene,)))
    assert read_predictdb(tmp_path / "A.db").weights.equals(read_predictdb(tmp_path / "B.db").weights)
    config = ExportConfig(scores=long)
    with pytest.raises(DataError, match=r"L.parquet` lacks 2 of 3 genes, first ENSG"):
        export_weights(network, tmp_path / "C.db", config)
    with pytest.raises(ConfigError, match="`scores` belongs to networks"):
        export_weights(run, tmp_path / "C.db", config)
    other = network_run(tmp_path / "N2", cohort, random_network(), fold=1)
    with pytest.raises(DataError, match="scores another run than"):
        export_weights(other, tmp_path / "C.db", config)
    assert not (tmp_path / "C.db").exists()


def test_mistakes(cohort: Cohort, run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`model` must be one of blup, elastic-net"):
        export_weights(run, tmp_path / "W.db", ExportConfig(model="ridge"))
    with pytest.raises(ConfigError, match="has models of 0, got 2"):
        export_weights(run, tmp_path / "W.db", ExportConfig(fold=2))
    with pytest.raises(DataError, match=r"none of 4 genes has p of 1e-30 or less"):
        export_weights(run, tmp_path / "W.db", ExportConfig(max_p=1e-30))
    with pytest.raises(ConfigError, match="`format` must be one of"):
        ExportConfig(format="rds")  # type: ignore[arg-type]
    (tmp_path / "W.wgt").mkdir()
    (tmp_path / "W.wgt" / "mine.txt").write_text("mine")
    with pytest.raises(StoreError):
        export_weights(run, tmp_path / "W.pos", ExportConfig(format="fusion"))
    assert not (tmp_path / "W.pos").exists()
    (tmp_path / "x.pos").write_text("A B\n1 2\n")
    with pytest.raises(FormatError, match="is no POS file of FUSION: it lacks the column WGT"):
        read_models(tmp_path / "x.pos")
    with pytest.raises(FormatError, match="does not exist"):
        read_models(tmp_path / "none.db")
    with closing(sqlite3.connect(tmp_path / "other.db")) as base:
        base.execute("CREATE TABLE something (x)")
    with pytest.raises(FormatError, match="is no PredictDB file: no such table"):
        read_predictdb(tmp_path / "other.db")
