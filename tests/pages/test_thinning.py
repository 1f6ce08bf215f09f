"""What is drawn of millions of associations, and how numbers are written."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from varfx.pages.associations import MOST_STRONG, MOST_TILES, chromosome_axis, quantile_columns, thinned
from varfx.pages.study import neg_log10_p
from varfx.pages.words import fixed, interval, number, p_value, rounded, shortened, without_folders
from varfx.report.html.charts.locus_data import gene_rows


def test_a_small_study_is_drawn_whole(rng: np.random.Generator) -> None:
    y = rng.exponential(1, 1000)
    assert thinned(np.zeros(1000, dtype=int), np.arange(1000.0), y).all()


def test_of_a_large_study_peaks_stay_and_the_rest_is_few(rng: np.random.Generator) -> None:
    size = 400_000
    chrom, mb = rng.integers(0, 22, size), rng.uniform(0, 200, size)
    y = rng.exponential(1.2, size)
    peaks = rng.choice(size, 30, replace=False)
    y[peaks] = np.linspace(20, 300, 30)
    kept = thinned(chrom, mb, y)
    assert kept[peaks].all()
    assert kept.sum() <= MOST_STRONG + MOST_TILES
    assert kept[y >= 3].sum() > 0.3 * MOST_STRONG
    for number_ in range(22):  # no chromosome is lost
        assert kept[chrom == number_].sum() > 500


def test_quantiles_are_those_of_all_associations(rng: np.random.Generator) -> None:
    z = rng.standard_normal(20_000)
    columns = quantile_columns(neg_log10_p(z))
    observed = np.array(columns["observed"])
    p = np.sort(2 * scipy.stats.norm.sf(np.abs(z)))
    assert observed[0] == pytest.approx(-np.log10(p[0]), abs=1e-3)
    assert observed[-1] == pytest.approx(-np.log10(p[-1]), abs=1e-3)
    inside = (observed >= np.array(columns["low"]) - 1e-3) & (observed <= np.array(columns["high"]) + 1e-3)
    assert inside.mean() > 0.6  # of normal z; the points are correlated
    assert (np.diff(columns["expected"]) < 0).all()


def test_p_of_any_size() -> None:
    assert neg_log10_p(np.array([0.0]))[0] == pytest.approx(0)
    assert neg_log10_p(np.array([-1.959964]))[0] == pytest.approx(-math.log10(0.05), abs=1e-6)
    tail = (5005.5242086942 - math.log(2)) / math.log(10)  # pnorm(-100, log.p = TRUE) of R is -5005.5242
    assert neg_log10_p(np.array([100.0]))[0] == pytest.approx(tail, rel=1e-9)


def test_chromosomes_lie_beside_each_other() -> None:
    scale, starts = chromosome_axis(("1", "X"), np.array([0, 0, 1, 1]), np.array([10.0, 250.0, 5.0, 150.0]))
    x = np.array([10.0, 250.0, 5.0, 150.0]) + starts[[0, 0, 1, 1]]
    assert (np.diff(x) > 0).all()
    assert x[1] < scale.ends[0] < x[2]
    assert scale.axis()["labelExpr"].count("datum.value <") == 2
    single, none = chromosome_axis(("22",), np.zeros(2, dtype=int), np.array([16.0, 51.0]))
    assert single.axis() == {"title": "position on chromosome 22 (Mb)"}
    assert none.tolist() == [0]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.001, 0.3), st.text("ABC", min_size=1, max_size=9)), max_size=30))
def test_genes_and_their_names_do_not_meet(found: list[tuple[float, float, str]]) -> None:
    found.sort()
    genes = {
        "start": [start for start, _, _ in found],
        "end": [start + size for start, size, _ in found],
        "name": [name for *_, name in found],
        "strand": ["+"] * len(found),
    }
    rows = gene_rows(genes, (0.0, 1.0))
    for row in set(rows):
        mine = [n for n, each in enumerate(rows) if each == row]
        for a, b in itertools.pairwise(mine):
            assert (
                max(genes["end"][a], genes["start"][a] + 0.011 * (len(genes["name"][a]) + 3))
                <= genes["start"][b] + 1e-9
            )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (number(None), "–"), (number(0.0), "0"), (number(1234.5), "1,234"), (number(0.012345), "0.0123"), (number(-1.5e-9), "−1.50e−09"),
        (fixed(-0.5, 1), "−0.5"), (fixed(2, 2, sign=True), "+2.00"), (fixed(float("nan")), "–"), (interval(None), "–"),
        (interval((-1, 2.5), 1), "−1.0 to 2.5"), (p_value(0.3), "0.501"), (p_value(7.301), "5.0e−8"), (p_value(310.0), "1.0e−310"),
        (shortened("A" * 40, 12), "AAAAAA…AAAA (40)"), (shortened("ACGT"), "ACGT"),
        (without_folders("all rows are in /tmp/a-b/c.d/x.annot.parquet (5 of 6)"), "all rows are in x.annot.parquet (5 of 6)"),
        (without_folders("A/C at 3/4, and/or run/y.tsv"), "A/C at 3/4, and/or y.tsv"),
    ],
)  # fmt: skip
def test_words(text: str, expected: str) -> None:
    assert text == expected


def test_rounding_keeps_what_is_missing() -> None:
    assert rounded([None, float("nan"), float("inf"), 123456.0, 0.00012345]) == [None, None, None, 123500.0, 0.0001234]
