"""What became of the rows of the GWAS, and how well its associations agree with the panel's LD."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from varfx.errors import DataError, FormatError
from varfx.io import sealed
from varfx.io.ledger import NOTE
from varfx.io.text_numbers import missing_as_null
from varfx.io.text_table import open_table
from varfx.pages.study import Study
from varfx.pages.words import MISSING, number, without_folders
from varfx.report.html.blocks import Absent, Block, Cell, Column, Facts, Prose, Section, Table

MARKS = ("fail", "warn", "pass")
MOST_ROWS = 200
WINDOW_COLUMNS = (
    "window",
    "qc",
    "cause",
    "n_variants",
    "mean_chi2",
    "s",
    "energy_ratio",
    "energy_p",
    "sigma2",
    "n_flipped",
)
VARIANT_COLUMNS = (
    "variant_id", "chrom", "position", "mark", "z", "kriging_mean", "kriging_z", "flip_lr", "dentist_chi2", "effect_allele", "other_allele",
)  # fmt: skip


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
    table, flagged = _read(windows), _read(variants)
    found = sealed.read_json(summary)
    if found.get("trait", study.trait["name"]) != study.trait["name"]:
        raise DataError(
            f"`{summary}` is of {found['trait']!r}, the report of {study.trait['name']!r}. Give the quality control of this trait."
        )
    if "qc" not in table.columns:
        raise FormatError(f"`{windows}` has no column `qc`. Give the --out of `varfx qc`.")
    counts = ", ".join(f"{int((table['qc'] == mark).sum()):,} {mark}" for mark in reversed(MARKS))
    causes = [f"{cause} ({count} windows)" for cause, count in found.get("causes", {}).items()]
    rows = [("windows", f"{table.height:,}: {counts}"), *([("likely causes", "; ".join(causes))] if causes else [])]
    blocks: list[Block] = [Facts(rows=tuple(rows))]
    blocks += [Prose(text=note, emphasis="note") for note in map(without_folders, found.get("notes", []))]
    doubtful = table.filter(pl.col("qc") != "pass").sort("qc", maintain_order=True)
    if doubtful.height:
        blocks.append(
            _table("qc-windows", f"Windows that do not pass{_of(doubtful.height)}.", doubtful, WINDOW_COLUMNS)
        )
    marked = flagged.filter(pl.col("mark").is_not_null()) if "mark" in flagged.columns else flagged
    if marked.height:
        caption = f"Variants whose association does not fit those around{_of(marked.height)}."
        blocks.append(_table("qc-variants", caption, marked, VARIANT_COLUMNS))
    return Section(anchor="qc", heading=heading, blocks=tuple(blocks))


def _of(height: int) -> str:
    return f", the first {MOST_ROWS} of {height:,}" if height > MOST_ROWS else ""


def _read(path: Path) -> pl.DataFrame:
    try:
        table = open_table(path).read()
    except FormatError as error:
        raise FormatError(f"{error} Give the --out of `varfx qc`.") from error
    return pl.DataFrame([missing_as_null(table[name]) for name in table.columns])


def _table(name: str, caption: str, table: pl.DataFrame, chosen: tuple[str, ...]) -> Table:
    """The chosen columns that a text table has; those of numbers sort as numbers."""
    table = table.head(MOST_ROWS).select(
        [key for key in chosen if key in table.columns and table[key].null_count() < table.height]
    )
    numbers = {key: table[key].cast(pl.Float64, strict=False) for key in table.columns}
    numeric = {
        key
        for key, values in numbers.items()
        if values.null_count() == table[key].null_count() < table.height and key != "chrom"
    }
    columns = tuple(
        Column(heading=key.replace("_", " "), numeric=key in numeric, wide=key == "cause") for key in table.columns
    )
    rows = tuple(
        tuple(_number(numbers[key][i]) if key in numeric else _word(table[key][i]) for key in table.columns)
        for i in range(table.height)
    )
    return Table(name=name, caption=caption, columns=columns, rows=rows, visible_rows=20)


def _word(text: str | None) -> Cell:
    return Cell(shown=text or MISSING, emphasis=text if text in MARKS else "")


def _number(value: float | None) -> Cell:
    if value is not None and (value.is_integer() and abs(value) < 1e10):
        return Cell(shown=f"{int(value):,}".replace("-", "−"), sort=value)
    return Cell(shown=number(value), sort=value)
