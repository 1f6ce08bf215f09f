"""The forest plot of enrichments: what is drawn, and what cannot be."""

from __future__ import annotations

import pytest

from varfx.errors import DataError
from varfx.report.enrichment import MAX_ROWS, enrichment_forest


def row(name: str, value: float | None, **more: object) -> dict[str, object]:
    ci = None if value is None else [value - 0.5, value + 0.5]
    return {
        "name": name,
        "enrichment": value,
        "enrichment_ci95": ci,
        "plug_in_enrichment": 1.2,
        "enrichment_p": 0.01,
    } | more


def test_rows_with_an_enrichment_are_drawn_in_order() -> None:
    rows = [row("exon", 3.0), row("distance", None), row("bare", 0.5, enrichment_ci95=None, enrichment_p=None)]
    (axes,) = enrichment_forest(rows, title="h2 = 0.1 (0.02)").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["exon", "bare"]
    assert {text.get_text() for text in axes.texts} == {"3.00 (2.50 to 3.50), p = 0.01", "0.50"}
    intervals = [
        line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_xdata()[0] != line.get_xdata()[1]
    ]
    assert len(intervals) == 1


def test_at_most_sixty_rows() -> None:
    (axes,) = enrichment_forest([row(f"a{k}", 1.0) for k in range(90)], title="many").axes
    assert len(axes.get_yticks()) == MAX_ROWS


def test_nothing_to_draw() -> None:
    with pytest.raises(DataError, match="no annotation has an enrichment"):
        enrichment_forest([row("distance", None)], title="none")
