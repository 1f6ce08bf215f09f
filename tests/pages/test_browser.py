"""The report in a real browser: it opens, draws, asks nobody, and obeys keys. Skipped without Chromium."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from cases.browser import ABSENT, CHROMIUM, Page, chromium
from cases.reports import EVIL, Reported

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=ABSENT)


@pytest.fixture(scope="module")
def page(reported: Reported, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        opened.open(reported.html)
        yield opened


def colours(png: bytes) -> int:
    pixels = (matplotlib.image.imread(io.BytesIO(png))[..., :3] * 255).astype(np.uint8)
    return len(np.unique(pixels.reshape(-1, 3), axis=0))


def test_it_draws_every_chart_and_asks_nobody(page: Page, reported: Reported) -> None:
    drawn = page.value("Array.from(document.querySelectorAll('.chart')).map(each => each.dataset.drawn)")
    assert drawn == ["yes"] * 10
    assert page.requests == [reported.html.as_uri()]
    assert page.messages == []
    canvases = page.value("document.querySelectorAll('.chart canvas').length")
    assert canvases == 10
    top = page.value("document.getElementById('draw-locus-1-view').getBoundingClientRect().top + scrollY")
    assert colours(page.screenshot((0, int(top), 1200, 600))) > 50
    assert page.value("document.documentElement.scrollWidth <= window.innerWidth")


def test_names_are_in_the_page_literally(page: Page) -> None:
    text = page.value("document.body.innerText")
    assert EVIL.replace("\x1b", "\\x1b") in text
    assert page.value("document.querySelectorAll('main b').length") == 0
    assert page.value(
        "Array.from(document.querySelectorAll('#loci-table a')).map(a => document.querySelector(a.getAttribute('href')) !== null)"
    ) == [True, True]


def test_a_table_sorts_by_keys(page: Page) -> None:
    column = "Array.from(document.querySelectorAll('#enrichment-table tbody tr')).map(row => row.cells[3].textContent)"
    before = page.value(column)
    page.value("document.querySelectorAll('#enrichment-table th button')[3].focus()")
    for key, text in (("Enter", "\r"), (" ", " ")):
        page.press(key, code="Enter" if key == "Enter" else "Space", text=text)
    assert page.value("document.querySelectorAll('#enrichment-table th')[3].getAttribute('aria-sort')") == "ascending"
    after = page.value(column)
    assert sorted(before) == after
    assert float(after[0]) < float(after[-1])


def test_a_locus_zooms_by_keys_and_buttons(page: Page) -> None:
    output = "document.querySelector('.zoom[data-of=draw-locus-1-view] output').textContent"
    button = "document.querySelector('.zoom[data-of=draw-locus-1-view] [data-zoom={}]').click()"

    def bounds() -> tuple[float, float]:
        low, _, high, _ = page.value(output).split()
        return float(low), float(high)

    page.value(button.format("all"))
    low, high = bounds()
    page.value("document.getElementById('draw-locus-1-view').focus()")
    page.press("+", text="+")
    assert bounds() == pytest.approx((low + (high - low) / 4, high - (high - low) / 4), abs=2e-3)
    page.press("ArrowRight")
    assert bounds()[0] > low + (high - low) / 4
    page.press("0", text="0")
    assert bounds() == pytest.approx((low, high), abs=2e-3)
    page.value(button.format("in"))
    assert bounds()[1] - bounds()[0] == pytest.approx((high - low) / 2, abs=2e-3)


def test_a_link_in_the_table_leads_to_the_locus(page: Page) -> None:
    page.value("document.querySelector('#loci-table a').click()")
    page.wait("location.hash.startsWith('#locus-')")
    page.wait("Math.abs(document.querySelector(location.hash).getBoundingClientRect().top) < window.innerHeight")


def test_injected_script_does_not_run(page: Page) -> None:
    page.value(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s); })()"
    )
    assert page.value("window.ran === undefined")
    with pytest.raises(AssertionError, match="EvalError"):
        page.value("new Function('return 1')()")


def test_it_fits_a_telephone_and_a_static_page_needs_no_script(reported: Reported, tmp_path: Path) -> None:
    from varfx.cli.app import run as command

    assert (
        command(["report", str(reported.run), *reported.options(), "--static", "--out", str(tmp_path / "s.html")]) == 0
    )
    with chromium(tmp_path / "profile") as opened:
        opened.open(reported.html, width=390)
        assert opened.value("document.documentElement.scrollWidth") <= 390
        opened.open(tmp_path / "s.html")
        loaded = opened.value("Array.from(document.images).map(each => each.naturalWidth > 100)")
        assert loaded == [True] * 10
        assert opened.messages == []
