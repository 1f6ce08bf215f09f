"""The report of a prior: every section, from every file, and what is said where a file is absent or of another study."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import html5lib
import numpy as np
import polars as pl
import pytest

from cases.command_line import varfx
from cases.reports import EVIL, Reported, write_finemap, write_heritability
from cases.simulated_panel import Simulated
from varfx.genome.harmonise import harmonise
from varfx.gwas.sumstats import read_sumstats
from varfx.ld import open_panel
from varfx.pages.locus import correlation_with
from varfx.prior.evaluate import evaluate

Capsys = pytest.CaptureFixture[str]
SECTIONS = (
    "study",
    "harmonisation",
    "qc",
    "associations",
    "training",
    "held-out",
    "heritability",
    "loci",
    "locus-views",
    "methods",
    "downloads",
)


def charts(text: str) -> dict[str, dict[str, object]]:
    """Each chart's content by its name."""
    return {
        name: json.loads(content)
        for name, content in re.findall(r'id="chart-([^"]+)">(.*?)</script>', text, flags=re.S)
    }


def download(text: str, name: str) -> pl.DataFrame:
    content = re.search(rf'download="{re.escape(name)}" href="data:text/csv;base64,([^"]+)"', text)
    assert content is not None
    return pl.read_csv(io.BytesIO(base64.b64decode(content[1])))


def test_the_report_is_valid_whole_and_small(reported: Reported) -> None:
    text = reported.html.read_text()
    parser = html5lib.HTMLParser(namespaceHTMLElements=False)
    parser.parse(text)
    assert parser.errors == []
    assert tuple(re.findall(r'<section id="([^"]+)" aria', text)) == SECTIONS
    assert len(text) < 5_000_000
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", text.split("<script>")[0])
    assert set(charts(text)) == {
        "manhattan", "quantiles", "training", "gains", "calibration", "enrichments",
        *(f"locus-{n}-{what}" for n in (1, 2) for what in ("view", "priors")),
    }  # fmt: skip
    assert "varfx report RUN --finemap F" in text
    assert "/home/someone" not in text
    assert str(reported.folder) not in text


def test_names_of_others_are_shown_literally(reported: Reported) -> None:
    text = reported.html.read_text()
    assert "\x1b" not in text
    assert "<b>" not in text
    assert "&lt;/script&gt;&lt;b&gt;\\x1b[31mx&lt;/b&gt;" in text
    assert EVIL.replace("\x1b", "\\\\x1b") in json.dumps(charts(text), ensure_ascii=False)


def test_what_is_drawn_are_the_study_s_numbers(reported: Reported, simulated: Simulated) -> None:
    text = reported.html.read_text()
    drawn, stats = charts(text), read_sumstats(simulated.height).table
    data = drawn["manhattan"]["data"]
    assert len(data["points"]["x"]) == stats.height  # type: ignore[index, call-overload]
    from scipy.stats import norm

    strongest = stats["z"].abs().max()
    assert max(data["points"]["y"]) == pytest.approx(-np.log10(2 * norm.sf(strongest)), abs=2e-3)  # type: ignore[index, call-overload]
    assert len(data["peaks"]["name"]) == 2  # type: ignore[index, call-overload]
    (trait,) = evaluate(reported.run).traits
    gains = drawn["gains"]["data"]["windows"]  # type: ignore[index, call-overload]
    mine = [gain for gain, prior in zip(gains["gain"], gains["prior"], strict=True) if prior == "linear"]
    assert sum(mine) == pytest.approx(trait["gain"], rel=1e-3)
    windows = download(text, "windows.csv")
    assert windows["gain"].sum() == pytest.approx(trait["gain"], rel=1e-4)
    median = float(np.median(np.square(stats["z"].to_numpy()))) / 0.4549364
    assert f"{median:.3f}" in text
    assert drawn["enrichments"]["data"]["rows"]["value"] == [3.0, 2.0, 1.0]  # type: ignore[index, call-overload]


def test_a_locus_shows_ld_pip_f_and_genes(reported: Reported, simulated: Simulated) -> None:
    text = reported.html.read_text()
    pips = pl.read_csv(f"{reported.folder}/F.pip.tsv.gz", separator="\t", schema_overrides={"CHR": pl.String})
    loci = download(text, "loci.csv")
    assert loci["neg_log10_p"].is_sorted(descending=True)
    assert sorted(loci["n_sets"].to_list()) == [1, 1]
    for number, locus in enumerate(loci.iter_rows(named=True), start=1):
        data = charts(text)[f"locus-{number}-view"]["data"]
        mine = pips.filter(pl.col("LOCUS") == locus["locus"]).sort("BP")
        variants = data["variants"]  # type: ignore[index, call-overload]
        assert variants["mb"] == [position / 1e6 for position in mine["BP"]]
        np.testing.assert_allclose(variants["pip"], mine["PIP"], rtol=1e-3)
        np.testing.assert_allclose(variants["uniform"], mine["PIP_UNIFORM"], rtol=1e-3)
        lead = variants["lead"].index(1)
        assert variants["r2"][lead] == 1
        assert variants["set"].count("1") == 2
        assert min(variants["f"]) > 0
    by_chrom = {str(locus["chrom"]): number for number, locus in enumerate(loci.iter_rows(named=True), start=1)}
    genes = {chrom: charts(text)[f"locus-{number}-view"]["data"]["genes"]["name"] for chrom, number in by_chrom.items()}  # type: ignore[index, call-overload]
    assert "ALPHA" in genes["1"]
    assert genes["2"] == ["GAMMA"]
    assert "fail" in text
    assert "flipped alleles" in text


def test_ld_with_the_lead_is_that_of_the_genotypes(simulated: Simulated) -> None:
    panel = open_panel(simulated.panel)
    index = 1
    window = panel.window(index)
    row = int(window.core_rows[window.core_rows.size // 2])
    r = correlation_with(panel, row)
    R = (window.factors.V * np.sqrt(window.factors.lam)) @ window.factors.B  # rank rule 1: the whole of R
    np.testing.assert_allclose(r[window.panel_rows], np.clip(R[window.core_rows.size // 2], -1, 1), atol=1e-5)
    outside = np.setdiff1d(np.arange(r.size), window.panel_rows)
    assert np.isnan(r[outside]).all()
    assert r[row] == 1


def test_without_files_each_part_says_what_makes_it(reported: Reported, tmp_path: Path, capsys: Capsys) -> None:
    out = tmp_path / "bare.html"
    result = varfx(capsys, "report", reported.run, "--out", out)
    assert result.code == 0, result.err
    assert "opens in any browser" in result.out
    text = out.read_text()
    for command in ("varfx finemap --run RUN --out F", "varfx prior h2 RUN --out H", "varfx qc --panel"):
        assert command in text
    assert 'id="locus-1"' not in text
    assert {"manhattan", "gains", "calibration"} <= set(charts(text))


def test_static_pictures_and_fewer_loci(reported: Reported, tmp_path: Path, capsys: Capsys) -> None:
    out = tmp_path / "static.html"
    result = varfx(capsys, "report", reported.run, *reported.options(), "--static", "--loci", 1, "--out", out)
    assert result.code == 0, result.err
    text = out.read_text()
    assert text.count("<img alt=") == 8
    assert "<script" not in text
    assert 'id="locus-1"' in text
    assert 'id="locus-2"' not in text
    assert text.count("<td") > 50


def test_the_evaluation_of_a_file_is_taken_as_it_is(reported: Reported, tmp_path: Path, capsys: Capsys) -> None:
    found = evaluate(reported.run).to_dict()
    found["windows"][0]["gain"] = 123.25
    (tmp_path / "E.json").write_text(json.dumps(found))
    assert (
        varfx(capsys, "report", reported.run, "--evaluation", tmp_path / "E.json", "--out", tmp_path / "r.html").code
        == 0
    )
    text = (tmp_path / "r.html").read_text()
    assert 123.2 in charts(text)["gains"]["data"]["windows"]["gain"]  # type: ignore[index, call-overload]
    assert "calibration" not in charts(text)


def test_other_files_are_refused_and_nothing_is_written(
    reported: Reported, simulated: Simulated, tmp_path: Path, capsys: Capsys
) -> None:
    write_finemap(simulated, tmp_path / "F")
    text = pl.read_csv(f"{tmp_path}/F.pip.tsv.gz", separator="\t", infer_schema=False)
    import gzip

    changed = text.with_columns(Z=(pl.col("Z").cast(pl.Float64) + 1.0).cast(pl.String))
    with gzip.open(f"{tmp_path}/F.pip.tsv.gz", "wb") as file:
        file.write(changed.write_csv(separator="\t").encode())
    write_heritability(tmp_path / "H", trait="weight")
    (tmp_path / "E.json").write_text("[]")
    (tmp_path / "hg38.gtf").write_text("##description: GRCh38\n")
    out = tmp_path / "r.html"
    for options, message in (
        (["--finemap", tmp_path / "F"], "is not that of the run's summary statistics, first rs"),
        (["--finemap", tmp_path / "none"], f"error: `{tmp_path}/none.pip.tsv.gz` cannot be read: No such file"),
        (["--h2", tmp_path / "H"], "`h2` is of 'weight', the report of 'height'"),
        (["--evaluation", tmp_path / "E.json"], "is no evaluation"),
        (["--trait", "x"], "`trait` 'x' is not one of the run's: height"),
        (["--channels", "nothing"], "are not annotations of the run"),
        (["--loci", 1000], "`loci` must be 0 to 100"),
        (["--qc", tmp_path / "none"], "none.windows.tsv"),
    ):
        result = varfx(capsys, "report", reported.run, *options, "--out", out)
        assert result.code == 2, options
        assert message in result.err, (options, result.err)
        assert len(result.err.strip().splitlines()) == 1
        assert not out.exists()
    result = varfx(capsys, "report", tmp_path, "--out", out)
    assert result.code == 2
    assert "is no finished run" in result.err


def test_the_full_name_of_a_file_stands_for_its_beginning(reported: Reported, tmp_path: Path, capsys: Capsys) -> None:
    out = tmp_path / "r.html"
    assert varfx(capsys, "report", reported.run, "--finemap", f"{reported.folder}/F.pip.tsv.gz", "--out", out).code == 0
    assert 'id="locus-1"' in out.read_text()


def test_matching_is_what_the_ledger_says(reported: Reported, simulated: Simulated) -> None:
    panel, stats = open_panel(simulated.panel), read_sumstats(simulated.height)
    ledger = harmonise(stats.table, panel.variants, source="a", reference_name="b").ledger.counts
    assert f"{ledger['matched']:,} in both" in reported.html.read_text()


def test_only_html_is_written_and_genes_need_loci(reported: Reported, tmp_path: Path, capsys: Capsys) -> None:
    result = varfx(capsys, "report", reported.run, "--out", tmp_path / "r.pdf")
    assert (result.code, "r.pdf` is to be an HTML file: end its name in .html" in result.error) == (2, True)
    result = varfx(capsys, "report", reported.run, "--variants", "V.parquet", "--out", tmp_path / "r.html")
    assert (result.code, "`variants` belongs to reports of runs on expression" in result.error) == (2, True)
    gtf = tmp_path / "genes.gtf"
    gtf.write_text('chr1\tx\tgene\t1\t9\t.\t+\t.\tgene_id "g"\n')
    result = varfx(capsys, "report", reported.run, "--gtf", gtf, "--out", tmp_path / "r.html")
    assert (
        result.code,
        "(--gtf) is not used: genes are drawn below the loci of --finemap" in " ".join(result.err.split()),
    ) == (0, True)
