"""The report of a run on expression: models, genes, effects; and no individual's data."""

from __future__ import annotations

import json
import re
from pathlib import Path

import html5lib
import numpy as np
import polars as pl
import pytest

from cases.command_line import varfx
from varfx.expression.cohort.store import Cohort
from varfx.expression.evaluate import evaluate
from varfx.expression.evaluation_config import EvaluationConfig
from varfx.pages import expression

Capsys = pytest.CaptureFixture[str]


def test_linear_models_with_their_weights(study: tuple[Path, Cohort], tmp_path: Path, capsys: Capsys) -> None:
    folder, cohort = study
    result = varfx(capsys, "report", folder / "B", "--out", tmp_path / "r.html")
    assert result.code == 0, result.err
    text = (tmp_path / "r.html").read_text()
    parser = html5lib.HTMLParser(namespaceHTMLElements=False)
    parser.parse(text)
    assert parser.errors == []
    drawn = {
        name: json.loads(content)
        for name, content in re.findall(r'id="chart-([^"]+)">(.*?)</script>', text, flags=re.S)
    }
    assert {"mean-r2", "scatter-training"} <= set(drawn)
    assert len([name for name in drawn if name.startswith("effects-")]) == len(cohort.genes)
    found = evaluate([folder / "B"], EvaluationConfig(heritability=False))
    short = {"training": "HOP", "held-out": "HOP, held-out genes"}
    means = {f"{each['model']} ({short[each['gene_set']]})": each["mean_r2"] for each in found.models}
    shown = dict(zip(*(drawn["mean-r2"]["data"]["rows"][key] for key in ("name", "value")), strict=True))
    assert shown == {name: pytest.approx(value, rel=1e-3) for name, value in means.items()}
    for gene in cohort.genes["gene_id"]:
        assert gene in text
    assert not [name for name in cohort.people if re.search(rf"\b{re.escape(name)}\b", text)]


def test_a_network_with_a_table_of_effects(study: tuple[Path, Cohort], tmp_path: Path, capsys: Capsys) -> None:
    folder, _ = study
    bare = varfx(capsys, "report", folder / "N", "--out", tmp_path / "bare.html")
    assert bare.code == 0, bare.err
    assert "varfx expr variants N --long effects.parquet" in (tmp_path / "bare.html").read_text()
    long = tmp_path / "L.parquet"
    assert (
        varfx(capsys, "expr", "variants", folder / "N", "--out", tmp_path / "V.annot.parquet", "--long", long).code == 0
    )
    assert (
        varfx(capsys, "report", folder / "N", "--variants", long, "--loci", 1, "--out", tmp_path / "r.html").code == 0
    )
    text = (tmp_path / "r.html").read_text()
    assert text.count('id="chart-effects-') == 1
    assert "distance to the TSS" in text
    few = ("--loci", 1, "--static", "--out", tmp_path / "s.html")
    assert varfx(capsys, "report", folder / "N", "--variants", long, *few).code == 0
    assert (tmp_path / "s.html").read_text().count("<img") > 2


def test_many_genes_are_thinned_by_a_rule_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"gene": f"G{k}", "model": model, "gene_set": "training", "split": "hop", "r2": r2, "pcc": None, "folds": [0]}
        for model, scores in (("elastic-net", rng.normal(size=60)), ("blup", rng.normal(size=60)))
        for k, r2 in enumerate(scores)
    ]
    monkeypatch.setattr(expression, "MOST_POINTS", 12)
    monkeypatch.setattr(expression, "MOST_DOWNLOADED", 7)
    chart = expression._scatter({"gene_means": rows}, "training", {})
    assert chart is not None
    gaps = {each["gene"]: abs(each["r2"] - rows[k]["r2"]) for k, each in enumerate(rows[60:])}
    furthest = set(sorted(gaps, key=gaps.__getitem__)[-4:])
    assert furthest <= set(chart.data["genes"]["gene"])
    assert len(set(chart.data["genes"]["gene"])) == 12
    assert "Of 60 points 12 are drawn" in chart.caption
    (downloads,) = expression._downloads({"gene_means": rows}).blocks
    table = pl.read_csv(downloads.files[0].content)
    assert table["r2"].to_list() == pytest.approx(sorted((each["r2"] for each in rows), reverse=True)[:7], abs=1e-6)
    assert "the best 7 of 120; `varfx expr evaluate --tsv` writes all" in downloads.files[0].about


def test_what_belongs_to_priors_is_refused(study: tuple[Path, Cohort], tmp_path: Path, capsys: Capsys) -> None:
    folder, _ = study
    (tmp_path / "E.json").write_text(json.dumps({"models": [{"model": "other"}], "gene_means": []}))
    for options, message in (
        (["--finemap", "F"], "`finemap` belongs to reports of priors"),
        (["--evaluation", tmp_path / "E.json"], "holds none of the run's models"),
    ):
        result = varfx(capsys, "report", folder / "B", *options, "--out", tmp_path / "r.html")
        assert result.code == 2
        assert message in result.err
        assert not (tmp_path / "r.html").exists()


def test_what_variants_do(study: tuple[Path, Cohort], tmp_path: Path, capsys: Capsys) -> None:
    folder, cohort = study
    gene = cohort.gene(cohort.genes["gene_id"][0])
    (tmp_path / "peaks.bed").write_text(f"{gene.chrom}\t{gene.start}\t{gene.start + 128}\n")
    rows = "\n".join(["0.97 0.01 0.01 0.01"] * 3 + ["0.01 0.01 0.01 0.97"] * 6)
    (tmp_path / "M.meme").write_text(f"MOTIF AAAT\nletter-probability matrix: alength= 4 w= 9\n{rows}\n")
    words = ("--motifs", tmp_path / "M.meme", "--states", f"open={tmp_path / 'peaks.bed'}", "--permutations", 99)
    done = varfx(
        capsys, "expr", "explain", folder / "B", *words, "--motif-p", 1, "--strong-p", 1, "--out", tmp_path / "E"
    )
    assert done.code == 0, done.err
    for beginning in (tmp_path / "E", tmp_path / "E.enrichment.tsv"):
        result = varfx(capsys, "report", folder / "B", "--explained", beginning, "--out", tmp_path / "r.html")
        assert result.code == 0, result.err
        text = (tmp_path / "r.html").read_text()
        parser = html5lib.HTMLParser(namespaceHTMLElements=False)
        parser.parse(text)
        assert parser.errors == []
        assert 'id="chart-explained-states"' in text
        assert "AAAT" in text
    assert "varfx expr explain B --motifs" not in text
    assert (
        "there is no"
        in varfx(capsys, "report", folder / "B", "--explained", tmp_path / "X", "--out", tmp_path / "s.html").error
    )
