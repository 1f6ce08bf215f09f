"""Blocks as HTML."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import assert_never

from varfx.io.visible import visible
from varfx.report.html.blocks import (
    Absent,
    Block,
    Cell,
    Chart,
    Column,
    Downloads,
    Facts,
    Folded,
    Formula,
    Legend,
    Links,
    Part,
    Prose,
    Table,
)
from varfx.report.html.escape import address, data_uri, embedded_json, escaped

_CODE = re.compile(r"`([^`]+)`")
ZOOM_BUTTONS = (("in", "Zoom in"), ("out", "Zoom out"), ("left", "Left"), ("right", "Right"), ("all", "All"))


def html_of(blocks: Sequence[Block], *, static: bool) -> str:
    """Blocks one after the other.

    Args:
        blocks: what is shown.
        static: charts as pictures instead of scripts.
    """
    return "\n".join(_block(block, static=static) for block in blocks)


def _block(block: Block, *, static: bool) -> str:
    match block:
        case Prose():
            marked = f' class="{escaped(block.emphasis)}"' if block.emphasis else ""
            return f"<p{marked}>{with_code(block.text)}</p>"
        case Formula():
            return f"<pre>{escaped(chr(10).join(block.lines))}</pre>"
        case Facts():
            rows = "".join(f"<dt>{escaped(name)}</dt><dd>{with_code(value)}</dd>" for name, value in block.rows)
            return f'<dl class="facts">{rows}</dl>'
        case Table():
            return table_html(block, sortable=block.sortable and not static)
        case Chart():
            return picture_html(block) if static else chart_html(block)
        case Absent():
            named = f"; name its output with <code>{escaped(block.option)}</code>" if block.option else ""
            return (
                f'<p class="absent">{with_code(block.what)} <code>{escaped(block.command)}</code> makes it{named}.</p>'
            )
        case Downloads():
            return downloads_html(block)
        case Folded():
            inside = html_of(block.blocks, static=static)
            return f'<details class="folded"><summary>{escaped(block.summary)}</summary>\n{inside}\n</details>'
        case Links():
            links = "".join(
                f'<li><a href="{address(anchor)}">{escaped(text)}</a></li>' for text, anchor in block.entries
            )
            return f'<nav class="links" aria-label="{escaped(block.about)}"><ul>{links}</ul></nav>'
        case Part():
            return part_html(block, static=static)
        case _:
            assert_never(block)


def part_html(part: Part, *, static: bool) -> str:
    """A part; one with routes is marked for the script that shows it, and its heading can take the focus."""
    inside = html_of(part.blocks, static=static)
    routes, focus = "", ""
    if part.routes and not static:
        routes = f' class="page" data-routes="{escaped(json.dumps([visible(name) for name in part.routes]))}"'
        focus = ' tabindex="-1"'
    return (
        f'<section id="{escaped(part.anchor)}"{routes}>\n<h3{focus}>{escaped(part.heading)}</h3>\n{inside}\n</section>'
    )


def with_code(text: str) -> str:
    """Text in which `...` becomes code."""
    return _CODE.sub(lambda found: f"<code>{found[1]}</code>", escaped(text))


def table_html(table: Table, *, sortable: bool) -> str:
    """A table, with buttons that sort it and one that shows all rows."""
    name = escaped(table.name)
    heads = "".join(_head(column, sortable=sortable) for column in table.columns)
    shown = table.visible_rows if sortable and table.visible_rows else len(table.rows)
    rows = "\n".join(
        ("<tr>" if number < shown else '<tr class="further">')
        + "".join(_cell(cell, column) for cell, column in zip(row, table.columns, strict=True))
        + "</tr>"
        for number, row in enumerate(table.rows)
    )
    more = ""
    if shown < len(table.rows):
        more = f'<button type="button" class="plain" data-more="{name}">Show all {len(table.rows):,} rows</button>'
    caption = f"<caption>{with_code(table.caption)}</caption>" if table.caption else ""
    return f'<div class="table"><table id="{name}">{caption}<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>{more}'


def _head(column: Column, *, sortable: bool) -> str:
    kind = ' class="number"' if column.numeric else ""
    about = f' title="{escaped(column.about)}"' if column.about else ""
    heading = escaped(column.heading)
    if not sortable:
        return f'<th scope="col"{kind}{about}>{heading}</th>'
    return f'<th scope="col" aria-sort="none"{kind}{about}><button type="button">{heading}</button></th>'


def _cell(cell: Cell, column: Column) -> str:
    kinds = [
        word for word in ("number" if column.numeric else "", "wide" if column.wide else "", cell.emphasis) if word
    ]
    kind = f' class="{escaped(" ".join(kinds))}"' if kinds else ""
    value = cell.shown if cell.sort is None and not column.numeric else "" if cell.sort is None else cell.sort
    inside = escaped(cell.shown)
    if cell.anchor:
        inside = f'<a href="{address(cell.anchor)}">{inside}</a>'
    return f'<td{kind} data-sort="{escaped(value)}">{inside}</td>'


def chart_html(chart: Chart) -> str:
    """A place where the page's script draws, and the specification with its data."""
    name = escaped(chart.name)
    content = {
        "spec": {**chart.spec, "description": chart.alternative},
        "data": chart.data,
        "zoom": chart.zoom,
        "width": chart.width,
    }
    focus = ' tabindex="0"' if chart.zoom else ""
    bar = ""
    if chart.zoom:
        buttons = "".join(
            f'<button type="button" class="plain" data-zoom="{how}">{word}</button>' for how, word in ZOOM_BUTTONS
        )
        bar = (
            f'<div class="zoom" data-of="draw-{name}" role="group" aria-label="Zoom of {escaped(chart.title)}">{buttons}'
            "<output></output></div>"
        )
    legends = "".join(_legend(each) for each in chart.legends)
    return _figure(
        chart,
        legends,
        f'<div class="chart" id="draw-{name}" data-chart="{name}" role="group" aria-label="{escaped(chart.title)}" '
        f'aria-describedby="words-{name}"{focus}></div>\n{bar}',
        unseen=f'<span class="unseen" id="words-{name}">{escaped(chart.alternative)}</span>',
        below=f'\n<script type="application/json" id="chart-{name}">{embedded_json(content)}</script>',
    )


def _figure(chart: Chart, *inside: str, unseen: str = "", below: str = "") -> str:
    """A figure with the chart's title and caption around what shows it."""
    return (
        f'<figure><p class="title">{escaped(chart.title)}</p>\n{"".join(inside)}'
        f"<figcaption>{with_code(chart.caption)}{unseen}</figcaption>{below}</figure>"
    )


def _legend(legend: Legend) -> str:
    entries = "".join(
        f'<li><span class="swatch" style="background:{escaped(colour)}"></span>{escaped(name)}</li>'
        for name, colour in legend.entries
    )
    return f'<ul class="legend"><li>{escaped(legend.title)}:</li>{entries}</ul>\n'


def picture_html(chart: Chart) -> str:
    """The chart as a PNG inside the page."""
    from varfx.report.style import png

    content = png(chart.figure())
    return _figure(chart, f'<img alt="{escaped(chart.alternative)}" src="{data_uri(content, "image/png")}">\n')


def downloads_html(downloads: Downloads) -> str:
    """Links to files that the page holds itself."""
    links = "".join(
        f'<li><a download="{escaped(each.file_name)}" href="{data_uri(each.content, each.kind)}">{escaped(each.file_name)}</a>: '
        f"{escaped(each.about)}</li>"
        for each in downloads.files
    )
    return f'<ul class="downloads">{links}</ul>'
