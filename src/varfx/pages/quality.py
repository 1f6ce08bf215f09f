"""What became of the rows of the GWAS, and how well its associations agree with the panel's LD."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from varfx.io import sealed
from varfx.io.ledger import NOTE
from varfx.io.text_numbers import missing_as_null
from varfx.io.text_table import open_table
from varfx.pages.study import Study
from varfx.pages.words import MISSING, without_folders
from varfx.report.html.blocks import Absent, Block, Cell, Column, Facts, Prose, Section, Table

MARKS = ("fail", "warn", "pass")
MOST_ROWS = 200
SHOWN_VARIANTS = ("chrom", "position", "variant_id", "z")


def ledger_section(study: Study) -> Section:
    """The ledgers: reading of the GWAS, matching to the panel, and the panel's own."""
    read = study.sumstats.metadata
    origin = f"{read['format']}, " if read.get("format") else ""
    parts = (
        ("ledger-read", f"Summary statistics ({origin}`varfx sumstats clean`)", read.get("ledger", [])),
        ("ledger-matched", "Matching to the LD panel", study.trait.get("ledger", [])),
        ("ledger-panel", "LD panel (`varfx ld build`)", study.panel.metadata.get("ledger", [])),
    )
    blocks = tuple(_ledger(name, caption, rows) for name, caption, rows in parts if rows)
    empty = (Prose(text="The files keep no ledger."),)
    return Section(anchor="harmonisation", heading="Harmonisation ledger", blocks=blocks or empty)


def _ledger(name: str, caption: str, rows: Iterable[Mapping[str, Any]]) -> Table:
    entries = list(rows)
    columns = {
        Column(heading="step"): [Cell(shown=str(row["step"])) for row in entries],
        Column(heading="rows", numeric=True): [
            Cell(shown="" if row["step"] == NOTE else f"{row['count']:,}", sort=row["count"]) for row in entries
        ],
    }
    if any("left" in row for row in entries):
        columns[Column(heading="left", numeric=True)] = [
            Cell(shown=f"{row['left']:,}" if "left" in row else "", sort=row.get("left")) for row in entries
        ]
    if any(row.get("note") for row in entries):
        columns[Column(heading="note")] = [Cell(shown=str(row.get("note", ""))) for row in entries]
    return Table(
        name=name,
        caption=caption,
        columns=tuple(columns),
        rows=tuple(zip(*columns.values(), strict=True)),
        sortable=False,
    )


def quality_section(summary: Path | None, windows: Path | None, variants: Path | None, study: Study) -> Section:
    """Windows that disagree with the LD, with their likely cause, and their conspicuous variants.

    Args:
        summary: Q.json.
        windows: Q.windows.tsv.
        variants: Q.variants.tsv.
        study: the study.

    Raises:
        VarfxError: a file that is given is missing or damaged.
    """
    heading = "Quality control against LD"
    if windows is None or variants is None or summary is None:
        command = (
            f"varfx qc --panel {study.panel.path.name} --sumstats {study.files.sumstats[study.number].name} --out Q"
        )
        return Section(anchor="qc", heading=heading, blocks=(Absent(command=command, option="--qc Q"),))
    blocks: list[Block] = []
    table = _read(windows)
    mark = next((name for name in ("qc", "mark") if name in table.columns), None)
    if mark is not None:
        counts = {each: int((table[mark] == each).sum()) for each in MARKS}
        blocks.append(
            Facts(
                rows=(
                    (
                        "windows",
                        f"{table.height:,}: {counts['pass']:,} pass, {counts['warn']:,} warn, {counts['fail']:,} fail",
                    ),
                )
            )
        )
        table = table.filter(pl.col(mark) != "pass")
    notes = sealed.read_json(summary).get("notes", []) if summary.is_file() else []
    blocks += [Prose(text=note, emphasis="note") for note in map(without_folders, notes)]
    if table.height:
        blocks.append(_table("qc-windows", "Windows that do not pass.", table))
    elif mark is not None:
        blocks.append(Prose(text="All windows pass."))
    flagged = _read(variants) if variants.is_file() else pl.DataFrame()
    if flagged.height:
        blocks.append(_table("qc-variants", f"Variants of these windows{_of(flagged.height)}.", flagged))
    return Section(anchor="qc", heading=heading, blocks=tuple(blocks))


def _of(height: int) -> str:
    return f", the first {MOST_ROWS} of {height:,}" if height > MOST_ROWS else ""


def _read(path: Path) -> pl.DataFrame:
    table = open_table(path).read()
    return pl.DataFrame([missing_as_null(table[name]) for name in table.columns])


def _table(name: str, caption: str, table: pl.DataFrame) -> Table:
    """All columns of a text table; those of numbers sort as numbers."""
    table = table.head(MOST_ROWS)
    numbers = {key: table[key].cast(pl.Float64, strict=False) for key in table.columns}
    numeric = {
        key: numbers[key].null_count() == table[key].null_count() and numbers[key].null_count() < table.height
        for key in table.columns
    }
    columns = tuple(Column(heading=key.replace("_", " "), numeric=numeric[key]) for key in table.columns)
    rows = tuple(
        tuple(
            _cell(key, table[key][i], numbers[key][i] if numeric[key] else None, numeric[key]) for key in table.columns
        )
        for i in range(table.height)
    )
    return Table(name=name, caption=caption, columns=columns, rows=rows, visible_rows=20)


def _cell(key: str, text: str | None, value: float | None, numeric: bool) -> Cell:
    if text is None:
        return Cell(shown=MISSING, sort=None if numeric else "")
    if not numeric or value is None:
        return Cell(shown=text, emphasis=text if text in MARKS else "")
    shown = (
        f"{int(value):,}"
        if value.is_integer() and abs(value) < 1e9 and key not in ("position", "chrom")
        else text
        if "e" not in text.lower()
        else f"{value:.4g}"
    )
    return Cell(shown=shown.replace("-", "−"), sort=value)
