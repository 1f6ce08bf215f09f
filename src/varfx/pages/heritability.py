"""Heritability and enrichment: the file of `varfx prior h2`."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from varfx.errors import DataError
from varfx.io import sealed
from varfx.pages.words import MISSING, fixed, interval, number, rounded, without_folders
from varfx.report.html.blocks import Absent, Block, Cell, Column, Columns, Download, Facts, Prose, Section, Table
from varfx.report.html.charts.forest import forest

HEADING = "Heritability and enrichment"


def read_heritability(path: Path | None) -> Mapping[str, Any] | None:
    """The numbers of `varfx prior h2`, if a file is given.

    Raises:
        StoreError: it is missing or damaged.
        DataError: it is another JSON.
    """
    if path is None:
        return None
    found = sealed.read_json(path)
    if not isinstance(found, dict) or not {"h2", "annotations"} <= found.keys():
        raise DataError(f"`{path}` holds no heritability. Give the --out of `varfx prior h2`.")
    return found


def heritability_section(found: Mapping[str, Any] | None, trait: str, run: Path) -> Section:
    """Total heritability, a forest plot of enrichments, and their table.

    Raises:
        DataError: the heritability is another trait's.
    """
    if found is None:
        command = f"varfx prior h2 {run.name} --out H"
        return Section(anchor="heritability", heading=HEADING, blocks=(Absent(command=command, option="--h2 H"),))
    if str(found.get("trait", trait)) != trait:
        raise DataError(f"`h2` is of {found['trait']!r}, the report of {trait!r}. Give the heritability of this run.")
    blocks: list[Block] = [Facts(rows=_totals(found))]
    rows = [each for each in found["annotations"] if each["enrichment"] is not None]
    if rows:
        blocks += [
            _forest(rows, "enrichments", "Enrichment of annotations"),
            enrichment_table(found["annotations"], "enrichment-table", "Annotation"),
        ]
    top = [each for each in found.get("top", []) if each.get("enrichment") is not None]
    if top:
        blocks.append(_forest(top, "top", "Enrichment of the variants of largest f"))
    if found.get("coefficients"):
        blocks.append(_coefficients(found["coefficients"]))
    blocks += [Prose(text=without_folders(note), emphasis="note") for note in found.get("notes", [])]
    return Section(anchor="heritability", heading=HEADING, blocks=tuple(blocks))


def _totals(found: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    names = {
        "h2": "heritability, observed scale",
        "h2_liability": "heritability, liability scale",
        "sigma2": "residual variance sigma2",
    }
    rows = [(words, _with_error(found, key)) for key, words in names.items() if found.get(key) is not None]
    plug_in = found.get("plug_in") or {}
    if plug_in:
        rows.append(("before calibration", ", ".join(f"{key} {number(value)}" for key, value in plug_in.items())))
    for key, words in (("n_windows", "windows"), ("n_blocks", "jackknife blocks"), ("n_variants", "variants counted")):
        if found.get(key) is not None:
            rows.append((words, f"{found[key]:,}"))
    return tuple(rows)


def _with_error(entry: Mapping[str, Any], key: str) -> str:
    text = number(entry[key])
    if entry.get(f"{key}_se") is not None:
        text += f" (s.e. {number(entry[f'{key}_se'], 2)})"
    bounds = entry.get(f"{key}_ci95")
    return text if bounds is None else f"{text}, 95 % interval {number(bounds[0])} to {number(bounds[1])}"


def _forest(rows: Sequence[Mapping[str, Any]], name: str, title: str) -> Any:
    ordered = sorted(rows, key=lambda each: -each["enrichment"]) if name == "enrichments" else list(rows)
    bounds = [each.get("enrichment_ci95") or (None, None) for each in ordered]
    columns: Columns = {
        "name": [str(each["name"]) for each in ordered],
        "value": rounded(each["enrichment"] for each in ordered),
        "low": rounded(low for low, _ in bounds),
        "high": rounded(high for _, high in bounds),
        "detail": [_detail(each) for each in ordered],
    }
    first = ordered[0]
    words = f"{len(ordered)} rows; the largest is {first['name']} with {number(first['enrichment'])} ({interval(first.get('enrichment_ci95'), 2)})."
    return forest(
        columns,
        name=name,
        title=title,
        label="enrichment: share of heritability over share of variants (95 % interval)",
        alternative=words
        if name == "enrichments"
        else "; ".join(f"{each['name']}: {number(each['enrichment'])}" for each in ordered),
        reference=1.0,
    )


def _detail(entry: Mapping[str, Any]) -> str:
    p = entry.get("enrichment_p")
    share = entry.get("prop_snps", entry.get("share"))
    return ("" if p is None else f"p = {p:.2g}, ") + ("" if share is None else f"{100 * share:.2g} % of variants")


def enrichment_table(rows: Sequence[Mapping[str, Any]], name: str, heading: str) -> Table:
    """A row per annotation, by p."""
    columns = (
        Column(heading=heading),
        Column(heading="variants", numeric=True, about="share of variants"),
        Column(heading="h² share", numeric=True, about="share of heritability"),
        Column(heading="enrichment", numeric=True, about="share of heritability over share of variants"),
        Column(heading="s.e.", numeric=True),
        Column(heading="p", numeric=True, about="that f inside is f outside"),
        Column(heading="tau*", numeric=True, about="standardised partial coefficient (Gazal et al. 2017)"),
        Column(heading="s.e. of tau*", numeric=True),
        Column(heading="plug-in", numeric=True, about="enrichment before calibration"),
    )
    keys = (
        "prop_snps",
        "prop_h2",
        "enrichment",
        "enrichment_se",
        "enrichment_p",
        "tau_star",
        "tau_star_se",
        "plug_in_enrichment",
    )
    cells = tuple(
        (Cell(shown=str(row["name"])), *(Cell(shown=number(row.get(key)), sort=row.get(key)) for key in keys))
        for row in rows
    )
    return Table(name=name, caption="", columns=columns, rows=cells, visible_rows=30)


def _coefficients(rows: Sequence[Mapping[str, Any]]) -> Table:
    columns = (
        Column(heading="coefficient of log f"),
        *(Column(heading=each, numeric=True) for each in ("estimate", "s.e.", "as fitted")),
    )
    cells = tuple(
        (
            Cell(shown=str(row["name"])),
            *(
                Cell(shown=fixed(row.get(key)) if row.get(key) is not None else MISSING, sort=row.get(key))
                for key in ("estimate", "se", "fitted")
            ),
        )
        for row in rows
    )
    return Table(
        name="coefficients",
        caption="Coefficients of the model, in units of its features.",
        columns=columns,
        rows=cells,
        visible_rows=30,
    )


def enrichment_file(found: Mapping[str, Any]) -> Download:
    """The annotations as a CSV file."""
    rows = found["annotations"]
    names = [key for key in (rows[0] if rows else {}) if not isinstance(rows[0][key], list | dict)]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return Download(
        file_name="enrichment.csv", about="heritability and enrichment of annotations", content=text.getvalue().encode()
    )
