"""A page per gene in the report of a run on expression: what it shows, how it is reached, and what it never shows."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.browser import ABSENT, CHROMIUM, chromium
from cases.command_line import varfx
from cases.reports import EVIL
from varfx.expression.cohort.gene_data import adjusted_expression
from varfx.expression.cohort.store import Cohort
from varfx.expression.explain.around import around_variant
from varfx.expression.network.opened import open_network
from varfx.expression.run import open_run
from varfx.genome.intervals import Intervals
from varfx.pages import expression, gene_effects, gene_room
from varfx.pages.agreement import LEAST_INDIVIDUALS, grouped
from varfx.pages.gene_effects import effects_chart
from varfx.pages.gene_room import fitting_pages
from varfx.report.html.charts.logo import GLYPHS

Capsys = pytest.CaptureFixture[str]
GENE = "ENSG00000000001"
SEEN = EVIL.replace("\x1b", "\\x1b")


def charts(path: Path) -> dict[str, Any]:
    text = path.read_text()
    return {name: json.loads(held) for name, held in re.findall(r'id="chart-([^"]+)">(.*?)</script>', text, flags=re.S)}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-6, 6), min_size=3, max_size=150), st.randoms())
def test_groups_hold_ten_individuals_and_equal_predictions_stay_together(values: list[int], random: Any) -> None:
    predicted = np.array(values, dtype=float)
    observed = np.arange(predicted.size) ** 1.5 % 7
    found = grouped(predicted, observed)
    order = list(range(predicted.size))
    random.shuffle(order)
    again = grouped(predicted[order], observed[order])
    assert (found is None) == (again is None)
    if found is None or again is None:
        size = max(LEAST_INDIVIDUALS, -(-predicted.size // 10))
        ends = np.unique(predicted, return_counts=True)[1].cumsum()
        assert not [end for end in ends if end >= size and predicted.size - end >= size]
        return
    assert found["individuals"].min() >= LEAST_INDIVIDUALS
    assert found["individuals"].sum() == predicted.size
    assert found["individuals"].size <= 10
    for key in found:
        np.testing.assert_allclose(found[key], again[key], atol=1e-12)
    ends = np.cumsum(found["individuals"])
    ascending = np.sort(predicted)
    assert all(ascending[end - 1] < ascending[end] for end in ends[:-1])
    by_hand = [part.mean() for part in np.split(ascending, ends[:-1])]
    np.testing.assert_allclose(found["predicted"], by_hand)


@pytest.fixture(scope="module")
def report(study: tuple[Path, Cohort], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the linear models with everything that a gene's page can show."""
    from varfx.cli.app import run as command

    folder, cohort = study
    here = tmp_path_factory.mktemp("genes")
    gene = cohort.gene(GENE)
    variants = cohort.window_variants(GENE)[0]
    half = (gene.start + gene.tss) // 2
    parts = ((gene.start, half), (half, gene.tss), (gene.end + 90_000, gene.end + 90_100))  # adjoining, and far away
    (here / "open.bed").write_text("".join(f"chr{gene.chrom}\t{a}\t{b}\n" for a, b in parts))
    row = 'chr{}\tT\t{}\t{}\t{}\t.\t{}\t.\tgene_id "{}"; gene_name "GENE1"; gene_type "protein_coding"; transcript_id "t";\n'
    first, last = gene.tss - 60, gene.tss
    lines = [row.format(gene.chrom, kind, a, b, gene.strand, GENE) for kind, a, b in (("gene", first, last), ("exon", first, first + 20))]  # fmt: skip
    (here / "g.gtf").write_text("".join(lines))
    causal, control = (variants.row(k, named=True) for k in (3, 4))
    pair = {"gene_id": GENE, **{k: causal[k] for k in variants.columns}, "tss_distance": 5, "eaf": 0.3, "weight": 0.25, "pip": 0.97}  # fmt: skip
    pair |= {
        f"control_{k}": v for k, v in {**control, "tss_distance": 7, "eaf": 0.3, "weight": 0.125, "pip": 0.0}.items()
    }
    pl.DataFrame([pair]).write_csv(here / "E.controls.tsv", separator="\t")
    motif = {"gene_id": GENE, "variant": "22:1:A:C", "variant_id": "rsMOTIF", "motif": "CTCF.H12", "strand": "+", "effect": "loss", "delta": -3.5, "p_ref": 1e-6, "p_alt": 0.01, "weight": 0.2, "strong": True}  # fmt: skip
    (here / "E.motifs.tsv.gz").write_bytes(gzip.compress(pl.DataFrame([motif]).write_csv(separator="\t").encode()))
    options = ["--gtf", here / "g.gtf", "--states", f"open={here / 'open.bed'}", "--explained", here / "E"]
    assert command(["report", str(folder / "B"), *map(str, options), "--out", str(here / "r.html")]) == 0
    return here / "r.html"


def test_what_a_page_shows(report: Path, study: tuple[Path, Cohort]) -> None:
    folder, cohort = study
    text, drawn = report.read_text(), charts(report)
    start = text.index('<section id="gene=GENE1"')
    mine = text[start : text.index('<section id="', start + 10)]
    for words in ("TSS", GENE, "rsMOTIF", "CTCF.H12", "0.970", "GENE1.csv", "open"):
        assert words in mine, words
    assert text.count("Previous: ") == text.count("Next: ") == 3
    place = re.findall(r'id="chart-effects-(\d+)"', mine)[0]
    effects = drawn[f"effects-{place}"]["data"]
    run = open_run(folder / "B")
    assert run.weights is not None
    weights = run.weights.filter(pl.col("gene_id") == GENE)
    shown = sorted(zip(effects["variants"]["model"], effects["variants"]["weight"], strict=True))
    wanted = sorted(weights.select("model", "weight").iter_rows())
    assert [name for name, _ in shown] == [name for name, _ in wanted]
    assert [value for _, value in shown] == pytest.approx([value for _, value in wanted], rel=1e-3)
    assert "fine-mapped eQTL" in effects["variants"]["kind"]
    assert "driver" in effects["variants"]["kind"]
    gene = cohort.gene(GENE)
    sign = 1 if gene.strand == "+" else -1
    inside = [kb for kb in effects["variants"]["kb"] if gene.start < gene.tss + sign * 1000 * kb <= gene.tss]
    assert sorted(effects["ticks"]["kb"]) == sorted(inside)
    ends = sorted(sign * (edge + 0.5 - gene.tss) / 1000 for edge in (gene.start, gene.tss))
    assert effects["states"] == {"start": [pytest.approx(ends[0])], "end": [pytest.approx(ends[1])], "name": ["open"]}
    assert all(ends[0] < kb < ends[1] for kb in effects["ticks"]["kb"])
    assert sorted((effects["exons"]["start"][0], effects["exons"]["end"][0])) == sorted((sign * -0.06, sign * -0.04))


def test_intervals_of_states_are_along_the_strand_and_thinned_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"weight": 0.5, "kind": "other", "model": "m", "eaf": 0.1, "variant_id": "v", "effect_allele": "A"}
    row |= {"other_allele": "C", "states": ["enhancer"], "tss": 1_000, "strand": "-", "chrom": "1"}
    table = pl.DataFrame([{**row, "position": position} for position in (900, 1_600)])
    bases = {"enhancer": [(895, 905), (1_590, 1_620), (1_630, 1_632), (5_000, 6_000)], "quiet": [(0, 100_000)]}
    states = {name: {"1": Intervals(*np.array(ends).T)} for name, ends in bases.items()} | {"other": {}}

    def drawn() -> tuple[Any, str]:
        chart = effects_chart(table, title="G", name="g", unit="sd", genes=[], states=states)
        return chart.data["states"], chart.caption

    found, words = drawn()
    kb = [tuple((1_000 - edge - 0.5) / 1000 for edge in ends[::-1]) for ends in [*bases["enhancer"][:3], (0, 100_000)]]
    assert list(zip(found["start"], found["end"], strict=True)) == [pytest.approx(each) for each in kb]
    assert found["name"] == ["enhancer"] * 3 + ["quiet"]
    assert "are drawn" not in words
    monkeypatch.setattr(gene_effects, "MOST_INTERVALS", 2)
    found, words = drawn()
    assert found["name"] == ["enhancer", "quiet"]
    assert found["start"][0] == pytest.approx(kb[1][0])
    assert "Of 4 intervals of states the longest 2 are drawn." in words


def test_predictions_are_shown_in_groups_only(report: Path, study: tuple[Path, Cohort]) -> None:
    folder, cohort = study
    drawn = charts(report)
    run = open_run(folder / "B")
    text = report.read_text()
    for gene in cohort.genes["gene_id"]:
        start = text.index(f"<dd>{gene}</dd>")
        found = re.search(r'id="chart-(agreement-\d+)"', text[start:])
        assert found is not None
        groups = drawn[found[1]]["data"]["groups"]
        assert min(groups["individuals"]) >= LEAST_INDIVIDUALS
        observed = adjusted_expression(cohort, gene, cohort.fold(0))
        for model in ("blup", "elastic-net"):
            rows = [k for k, each in enumerate(groups["model"]) if each == model]
            of = run.predictions.filter(
                (pl.col("gene_id") == gene) & (pl.col("model") == model) & (pl.col("part") == "test")
            )
            people = [cohort.people.index(name) for name in of["person"]]
            every = np.average([groups["observed"][k] for k in rows], weights=[groups["individuals"][k] for k in rows])
            assert every == pytest.approx(observed[people].mean(), abs=2e-3)
    assert not [name for name in cohort.people if re.search(rf"\b{name}\b", text)]
    values = [f"{value:.4g}" for value in run.predictions["prediction"]]
    numbers = {float(each) for chart in drawn.values() for column in chart["data"].get("groups", {}).values() for each in column if not isinstance(each, str)}  # fmt: skip
    assert len(numbers & {float(each) for each in values}) < 0.05 * len(values)


@pytest.mark.skipif(CHROMIUM is None, reason=ABSENT)
def test_pages_open_by_address_link_and_key(report: Path, tmp_path: Path) -> None:
    visible = "Array.from(document.querySelectorAll('section.page')).filter(each => !each.hidden).map(each => each.querySelector('h3').textContent)"
    with chromium(tmp_path / "profile") as page:
        page.open(report)
        assert page.value(visible) == []
        page.value("location.hash = 'gene=GENE1'")
        page.wait(f"{visible}.length === 1")
        assert page.value(visible) == ["GENE1"]
        page.wait(
            "Array.from(document.querySelectorAll('section.page:not([hidden]) .chart')).every(each => each.dataset.drawn === 'yes')"
        )
        assert page.value("document.activeElement.textContent") == "GENE1"
        (tmp_path / "page.png").write_bytes(page.screenshot((0, int(page.value("document.querySelector('section.page:not([hidden])').getBoundingClientRect().top + scrollY")), 1200, 2600)))  # fmt: skip
        page.value(f"location.hash = 'gene={GENE}'")  # the id leads there too
        page.value(
            "Array.from(document.querySelectorAll('#genes-table a')).find(a => a.textContent === 'ENSG00000000000').focus()"
        )
        page.press("Enter", text="\r")
        page.wait(f"{visible}[0] !== 'GENE1'")
        assert page.value(visible) == [SEEN]
        assert page.value("document.querySelectorAll('main b').length") == 0
        assert page.messages == []
        assert page.requests == [report.as_uri()]
        page.open(report, width=390)
        assert page.value("document.documentElement.scrollWidth") <= 390


def test_genes_are_chosen_and_what_is_left_out_is_said(
    study: tuple[Path, Cohort], tmp_path: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = study
    out = tmp_path / "r.html"
    assert varfx(capsys, "report", folder / "B", "--genes", f"GENE2,{GENE}.7", "--out", out).code == 0
    text = out.read_text()
    assert sorted(re.findall(r'class="page" data-routes="\[&quot;gene=(\w+)', text)) == ["GENE1", "GENE2"]
    assert "2 genes without a page" in text
    for options, message in (
        (["--genes", "NONE"], "1 of 1 genes are not in the run's evaluation, first NONE"),
        (["--genes", "GENE2", "--loci", 3], "`genes` and `loci` both say"),
        (["--logos", 11], "`logos` must be 0 to 10"),
        (["--cohort", tmp_path], "has no manifest.json: it is unfinished"),
    ):
        assert message in varfx(capsys, "report", folder / "B", *options, "--out", tmp_path / "s.html").error
    monkeypatch.setattr(expression, "LARGEST", 1)
    assert varfx(capsys, "report", folder / "B", "--out", out).code == 0
    assert "1 of 4 genes have a page" in out.read_text()
    assert "3 genes without a page" in out.read_text()


def test_a_report_without_room_has_short_pages(
    study: tuple[Path, Cohort], tmp_path: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = study
    out = tmp_path / "r.html"
    assert varfx(capsys, "report", folder / "B", "--out", out).code == 0
    whole, text = out.stat().st_size, out.read_text()
    pages = {
        gene: len(page.encode()) for gene, page in re.findall(r'<section id="gene=(\w+)"(.*?)</section>', text, re.S)
    }
    least = min(pages.values())
    monkeypatch.setattr(expression, "LARGEST", whole - least // 2)
    done = varfx(capsys, "report", folder / "B", "--out", out)
    assert done.code == 0
    text, drawn = out.read_text(), charts(out)
    assert out.stat().st_size < whole - least // 2
    assert len(re.findall(r'class="page"', text)) == 4
    assert len([name for name in drawn if name.startswith("effects-")]) == 3
    assert "The first 3 pages are complete; the other 1 have no pictures and no CSV" in text
    assert text.count("A short page, so that the report stays small enough to send.") == 1
    assert "of 4 genes 3 have a complete page, 1 a short one without pictures, and 0 none" in done.err


@given(st.lists(st.integers(1, 30), min_size=1, max_size=30), st.integers(0, 300))
def test_pages_fit_the_room_and_complete_ones_come_first(sizes: list[int], room: int) -> None:
    def size(blocks: list[int], *, static: bool) -> int:
        return sum(blocks)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gene_room, "page_bytes", size)
        pages, whole = fitting_pages(len(sizes), lambda k: [100 + sizes[k]], lambda k: [sizes[k]], room, static=False)
    assert whole >= 1
    assert [page[0] for page in pages] == [100 + each for each in sizes[:whole]] + sizes[whole : len(pages)]
    used = sum(page[0] for page in pages)
    assert used <= room or len(pages) == whole == 1
    if used + 100 + sum(sizes) <= room:
        assert whole == len(sizes)
    if whole == 1 and 100 + sum(sizes) <= room:
        assert len(pages) == len(sizes)


def test_a_network_is_seen_around_its_largest_effect(
    study: tuple[Path, Cohort], tmp_path: Path, capsys: Capsys
) -> None:
    folder, cohort = study
    long, out = tmp_path / "L.parquet", tmp_path / "r.html"
    options = ("--genes", GENE, "--gradients", "none", "--out", tmp_path / "V.annot.parquet", "--long", long)
    assert varfx(capsys, "expr", "variants", folder / "N", *options).code == 0
    words = ("--variants", long, "--genes", GENE, "--logos", 2, "--out", out)
    assert varfx(capsys, "report", folder / "N", *words).code == 0
    drawn = charts(out)
    assert {"logo-1-1", "logo-1-2"} <= set(drawn)
    best = pl.read_parquet(long).sort(pl.col("weight").abs(), descending=True).row(0, named=True)
    network = open_network(open_run(folder / "N"), 0, GENE)
    around = around_variant(network, cohort, GENE, best["position"], best["effect_allele"])
    letters = drawn["logo-1-1"]["data"]["letters"]
    heights = np.reshape(letters["height"], (3, -1))
    scale = np.abs(heights).max()
    np.testing.assert_allclose(heights[0], around.gradient_ref, atol=6e-3 * scale)
    np.testing.assert_allclose(heights[2], around.mutagenesis, atol=6e-3 * scale)
    assert "".join(letters["base"]) == around.ref + around.alt + around.ref
    assert "logo-" not in "".join(charts_of_linear(folder, tmp_path, capsys))


def charts_of_linear(folder: Path, tmp_path: Path, capsys: Capsys) -> list[str]:
    assert varfx(capsys, "report", folder / "B", "--loci", 1, "--logos", 3, "--out", tmp_path / "b.html").code == 0
    return list(charts(tmp_path / "b.html"))


def test_letters_are_closed_shapes_of_some_size() -> None:
    for letter, points in GLYPHS.items():
        x, y = np.array(points).T
        area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
        assert 0.2 < area < 0.75, letter
        assert x.min() >= 0
        assert max(x.max(), y.max()) <= 1.0
