"""The page around the blocks: valid HTML, a strict policy, text shown literally, libraries that are the recorded ones."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from urllib.parse import unquote

import html5lib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varfx.errors import StoreError
from varfx.report.html import vendored
from varfx.report.html.blocks import (
    Absent,
    Block,
    Cell,
    Chart,
    Column,
    Download,
    Downloads,
    Facts,
    Folded,
    Formula,
    Legend,
    Links,
    Page,
    Part,
    Prose,
    Section,
    Table,
    charts_of,
)
from varfx.report.html.charts.forest import forest
from varfx.report.html.document import document
from varfx.report.html.escape import embedded_json, escaped
from varfx.report.html.theme import CONFIG, SMALLEST
from varfx.report.style import styled

EVIL = "</script><b>\x1b[31mred</b>&'\""


def chart(name: str = "forest") -> Chart:
    rows = {"name": [EVIL, "b"], "value": [1.5, 2.0], "low": [1.0, None], "high": [2.0, None], "detail": ["", "d"]}
    return forest(rows, name=name, title=EVIL, label="enrichment", alternative=EVIL, reference=1.0)


def page(*blocks: Block) -> Page:
    return Page(title=EVIL, subtitle=EVIL, sections=(Section(anchor="all", heading=EVIL, blocks=blocks),), footer=EVIL)


ALL: tuple[Block, ...] = (
    Prose(text=f"`{EVIL}`", emphasis="note"),
    Formula(lines=(EVIL,)),
    Facts(rows=((EVIL, EVIL),)),
    Table(
        name="t",
        caption=EVIL,
        columns=(Column(heading=EVIL, about=EVIL), Column(heading="n", numeric=True)),
        rows=((Cell(shown=EVIL, anchor="all"), Cell(shown="1", sort=1.0)), (Cell(shown="b"), Cell(shown="–"))),
        visible_rows=1,
    ),
    chart(),
    Absent(command=EVIL, option=EVIL),
    Downloads(files=(Download(file_name=f"{EVIL}.csv", about=EVIL, content=b"a,b\n1,2\n"),)),
    Folded(summary=EVIL, blocks=(chart("second"),)),
    Part(anchor="part", heading=EVIL, blocks=(Prose(text=EVIL),)),
    Links(about=EVIL, entries=((EVIL, EVIL),)),
    Part(anchor=EVIL, heading=EVIL, blocks=(), routes=(EVIL, "other")),
)


class Tags(HTMLParser):
    """Every start tag with its attributes, and the text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.seen = ""
        self._inside = ""
        self.scripts: list[tuple[str | None, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append((dict(attrs).get("type"), ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            kind, before = self.scripts[-1]
            self.scripts[-1] = (kind, before + data)
        elif self._inside != "style":
            self.seen += data


def html_errors(text: str) -> list[object]:
    parser = html5lib.HTMLParser(namespaceHTMLElements=False)
    parser.parse(text)
    return list(parser.errors)


@pytest.mark.parametrize("static", [False, True])
def test_every_block_makes_valid_html_that_shows_text_literally(static: bool) -> None:
    text = document(page(*ALL), static=static)
    assert html_errors(text) == []
    found = Tags(text)
    assert "b" not in {tag for tag, _ in found.tags}
    assert "</script><b>\\x1b[31mred</b>&'\"" in found.seen
    assert "\x1b" not in text
    heading = next(attributes for tag, attributes in found.tags if tag == "th")
    assert heading["title"] == EVIL.replace("\x1b", "\\x1b")


@pytest.mark.parametrize("static", [False, True])
def test_nothing_is_loaded_and_scripts_run_by_checksum_only(static: bool) -> None:
    text = document(page(*ALL), static=static)
    found = Tags(text)
    for tag, attributes in found.tags:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, name, value)
        assert not [name for name in attributes if name.startswith("on")]
    policy = next(
        attributes["content"]
        for tag, attributes in found.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src ")
    assert "unsafe-eval" not in policy
    assert "connect-src" not in policy
    run = [content for kind, content in found.scripts if kind is None]
    digests = [base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() for content in run]
    assert re.findall(r"'sha256-([^']+)'", policy) == digests
    assert len(run) == (0 if static else 4)
    assert ("script-src 'none'" in policy) == static
    assert not re.search(r"@import|url\(", text.split("<style>")[1].split("</style>")[0])


def test_the_specification_of_a_chart_comes_back_from_the_page() -> None:
    drawn = chart()
    found = Tags(document(page(drawn)))
    content = next(
        json.loads(content) for kind, content in found.scripts if kind == "application/json" and '"spec"' in content
    )
    assert content["data"]["rows"]["name"] == [EVIL.replace("\x1b", "\\x1b"), "b"]
    assert content["spec"]["description"] == EVIL.replace("\x1b", "\\x1b")
    assert charts_of(ALL) == [ALL[4], ALL[7].blocks[0]]  # type: ignore[union-attr]


def test_a_static_page_has_pictures_with_their_text() -> None:
    found = Tags(document(page(*ALL), static=True))
    pictures = [attributes for tag, attributes in found.tags if tag == "img"]
    assert len(pictures) == 2
    for picture in pictures:
        assert (picture["src"] or "").startswith("data:image/png;base64,iVBOR")
        assert picture["alt"] == EVIL.replace("\x1b", "\\x1b")
    assert found.scripts == []
    assert not [tag for tag, _ in found.tags if tag == "button"]


def test_links_lead_to_what_they_name() -> None:
    found = Tags(document(page(*ALL)))
    anchors = {attributes["id"] for _, attributes in found.tags if attributes.get("id")}
    links = [attributes["href"] or "" for tag, attributes in found.tags if tag == "a" and "download" not in attributes]
    assert {unquote(link[1:]) for link in links} <= anchors
    routes = [json.loads(each["data-routes"] or "") for _, each in found.tags if "data-routes" in each]
    assert routes == [[EVIL.replace("\x1b", "\\x1b"), "other"]]
    assert not [each for _, each in Tags(document(page(*ALL), static=True)).tags if "data-routes" in each]


def test_charts_have_words_and_can_be_reached_by_keys() -> None:
    zooming = Chart(
        name="z",
        title="t",
        alternative="words",
        spec={},
        data={},
        figure=lambda: None,
        zoom="zoom.x",
        legends=(Legend(title="l", entries=(("a", "#000000"),)),),
    )  # type: ignore[arg-type, return-value]
    found = Tags(document(page(zooming)))
    place = next(attributes for _, attributes in found.tags if attributes.get("data-chart") == "z")
    assert place["tabindex"] == "0"
    words = next(attributes for _, attributes in found.tags if attributes.get("id") == place["aria-describedby"])
    assert words["class"] == "unseen"
    assert "words" in found.seen
    buttons = [
        attributes["data-zoom"] for tag, attributes in found.tags if tag == "button" and "data-zoom" in attributes
    ]
    assert buttons == ["in", "out", "left", "right", "all"]


def test_type_is_large_enough() -> None:
    sizes = [
        value for part in CONFIG.values() if isinstance(part, dict) for name, value in part.items() if "ontSize" in name
    ]
    assert min(sizes) >= SMALLEST == 12
    css = files("varfx.report.html").joinpath("assets", "page.css").read_text()
    rem = [float(size) for size in re.findall(r"font-size: (\d*\.?\d+)r?em", css)]
    assert min(rem) * 16 >= 12
    assert "@media print" in css


@given(st.text())
def test_any_text_is_shown_and_embedded_literally(text: str) -> None:
    shown = escaped(text)
    assert not set("<>\"'\x1b") & set(shown)
    embedded = embedded_json({"a": [text], text: 1})
    assert not set("<>&\x1b\u2028\u2029") & set(embedded)
    assert set(json.loads(embedded)) <= {"a", *json.loads(embedded)}
    if text.isprintable():
        assert json.loads(embedded)["a"] == [text] or text == "a"


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        embedded_json({"a": float("nan")})


def test_vendored_libraries_are_the_recorded_ones() -> None:
    folder = files("varfx.report").joinpath("vendor")
    recorded = vendored.manifest()
    assert (
        {name for name in (each.name for each in folder.iterdir()) if name.endswith(".js")}
        == set(recorded)
        == set(vendored.SCRIPTS)
    )
    for name, entry in recorded.items():
        content = folder.joinpath(name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        assert entry["version"] in content.decode()
        assert "Redistribution and use in source and binary forms" in folder.joinpath(entry["licence_file"]).read_text()
        assert "sourceMappingURL" not in vendored.script(name)
        assert "</script" not in content.decode().lower()


def test_a_damaged_library_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = {name: {**entry, "sha256": "0" * 64} for name, entry in vendored.manifest().items()}
    monkeypatch.setattr(vendored, "manifest", lambda: changed)
    with pytest.raises(StoreError, match="checksum differs"):
        vendored.script("vega.min.js")


def test_a_page_without_charts_carries_no_libraries() -> None:
    assert len(document(page(Prose(text="a")))) < 20_000


def test_the_forest_keeps_its_scale_when_an_interval_is_very_wide() -> None:
    rows = {"name": ["a", "b"], "value": [1.5, 2.0], "low": [1.0, -500.0], "high": [2.0, 700.0], "detail": ["", ""]}
    drawn = forest(rows, name="f", title="t", label="x", alternative="a", reference=1.0)
    assert "2 interval ends lie outside" in drawn.caption
    with styled():
        low, high = drawn.figure().axes[0].get_xlim()
    assert -5 < low < 1 < 2 < high < 7
