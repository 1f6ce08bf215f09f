"""The section of an expression report on what high-scoring variants do: states, motifs, fine-mapped eQTLs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from varfx.errors import ConfigError, FormatError
from varfx.expression.explain.explain import ENRICHMENT, EQTL, MOTIFS
from varfx.io.stream import read_bytes
from varfx.pages.config import ReportConfig
from varfx.pages.words import fixed, number, rounded, signed
from varfx.report.html.blocks import Absent, Block, Cell, Column, Columns, Prose, Section, Table
from varfx.report.html.charts.forest import forest

HEADING = "What high-scoring variants do"
MOST_STATES, MOST_MOTIFS = 25, 40


def explained_section(config: ReportConfig, run: str, genes: set[str]) -> Section:
    """States of the high-scoring variants against matched controls, the motifs they change most, and the eQTLs.

    Args:
        config: with the beginning of the files' names, if they are given.
        run: name of the run's folder.
        genes: of the run.

    Raises:
        ConfigError: no file of that beginning.
        FormatError: a file that cannot be read, or of other genes.
    """
    if config.explained is None:
        command = f"varfx expr explain {run} --motifs M.meme --states peaks.bed.gz --out E"
        return Section(anchor="explained", heading=HEADING, blocks=(Absent(command=command, option="--explained E"),))
    files = {name: config.file("explained", name) for name in (ENRICHMENT, MOTIFS, EQTL)}
    held = {name: path for name, path in files.items() if path is not None and path.is_file()}
    if not held:
        raise ConfigError(
            f"`{config.explained}`: there is no {config.explained}{ENRICHMENT}, {MOTIFS} or {EQTL}. Give the --out of `varfx expr explain`."
        )
    blocks: list[Block] = []
    if ENRICHMENT in held:
        blocks += _enrichment(_table(held[ENRICHMENT], ("state", "log2_enrichment", "p", "q")))
    if MOTIFS in held:
        blocks += _motifs(_table(held[MOTIFS], ("gene_id", "variant", "motif", "delta", "strong")), genes, held[MOTIFS])
    if EQTL in held:
        blocks.append(_eqtl(held[EQTL]))
    return Section(anchor="explained", heading=HEADING, blocks=tuple(blocks))


def read_explained(config: ReportConfig, ending: str, needed: tuple[str, ...]) -> pl.DataFrame | None:
    """One of the tables of `varfx expr explain`; None where it is not given.

    Args:
        config: with the beginning of the files' names.
        ending: of the file.
        needed: columns that it must have.

    Raises:
        FormatError: a file that cannot be read.
    """
    path = config.file("explained", ending)
    return _table(path, needed) if path is not None and path.is_file() else None


def _table(path: Path, needed: tuple[str, ...]) -> pl.DataFrame:
    table = pl.read_csv(read_bytes(path), separator="\t", null_values="NA", infer_schema_length=None)
    lacking = [name for name in needed if name not in table.columns]
    if lacking:
        raise FormatError(f"`{path}` lacks the column {lacking[0]}: it is no file of `varfx expr explain`.")
    return table


def _enrichment(table: pl.DataFrame) -> list[Block]:
    table = table.drop_nulls("log2_enrichment").sort("p", maintain_order=True)
    if not table.height:
        return [Prose(text="No high-scoring variant has a control: states cannot be compared.")]
    shown = table.head(MOST_STATES)
    sentence = "{}: {} of {} variants, expected {}; p {}, q {}"
    rows: Columns = {
        "name": shown["state"].to_list(),
        "value": rounded(shown["log2_enrichment"]),
        "low": rounded(shown["ci_low"]),
        "high": rounded(shown["ci_high"]),
        "detail": [
            sentence.format(
                r["state"], number(r["observed"]), r["n_hsv"], number(r["expected"]), f"{r['p']:.2g}", f"{r['q']:.2g}"
            )
            for r in shown.iter_rows(named=True)
        ],
    }
    first = table.row(0, named=True)
    chart = forest(
        rows,
        name="explained-states",
        title="States of high-scoring variants against matched controls",
        label="log2 of observed over expected",
        alternative=f"{table.height} states; the smallest p is that of {first['state']}: {rows['detail'][0]}.",
        reference=0.0,
        caption=f"Controls are other scored variants of the same gene, distance to the TSS and frequency. {first['n_hsv']} variants of {first['n_genes']} genes; {first['n_unmatched']} have no control. Intervals resample genes."
        + (f" Drawn: the {MOST_STATES} with the smallest p of {table.height}." if table.height > MOST_STATES else ""),
    )
    return [chart]


def _motifs(table: pl.DataFrame, genes: set[str], path: Path) -> list[Block]:
    unknown = set(table["gene_id"]) - genes
    if unknown:
        raise FormatError(
            f"`{path}` has {len(unknown)} genes that the run does not have, first {min(unknown)}. Explain this run."
        )
    strong = int(table["strong"].sum())
    said = f"{table.height:,} matches of motifs differ between the alleles of high-scoring variants and drivers, {strong:,} strongly."
    shown = motif_table(table, "explained-motifs")
    return [Prose(text=said)] if shown is None else [Prose(text=said), shown]


def motif_table(table: pl.DataFrame, name: str) -> Table | None:
    """The strong disruptions of motifs that differ most; None without any.

    Args:
        table: of `varfx expr explain`.
        name: of the table.
    """
    strong = table.filter(pl.col("strong")).sort(pl.col("delta").abs(), descending=True, maintain_order=True)
    columns = (
        Column(heading="gene"), Column(heading="variant"), Column(heading="motif"), Column(heading="strand"), Column(heading="effect"),
        Column(heading="log2 units", numeric=True), Column(heading="p of REF", numeric=True), Column(heading="p of ALT", numeric=True),
        Column(heading="score of the variant", numeric=True),
    )  # fmt: skip
    rows = tuple(
        (
            Cell(shown=row["gene_id"]),
            Cell(shown=row["variant_id"] or row["variant"]),
            Cell(shown=row["motif"]),
            Cell(shown=row["strand"]),
            Cell(shown=row["effect"]),
            Cell(shown=fixed(row["delta"], 2, sign=True), sort=row["delta"]),
            Cell(shown=f"{row['p_ref']:.1e}", sort=row["p_ref"]),
            Cell(shown=f"{row['p_alt']:.1e}", sort=row["p_alt"]),
            Cell(shown=signed(row["weight"]), sort=row["weight"]),
        )
        for row in strong.head(MOST_MOTIFS).iter_rows(named=True)
    )
    if not rows:
        return None
    caption = f"The {len(rows)} strong disruptions of motifs that differ most."
    return Table(name=name, caption=caption, columns=columns, rows=rows, visible_rows=15)


def _eqtl(path: Path) -> Prose:
    record: dict[str, Any] = json.loads(read_bytes(path))
    if record.get("pairwise_accuracy") is None:
        return Prose(text=f"Of {record.get('positives_scored', 0)} fine-mapped eQTLs none has a control.")
    error = "" if record["pairwise_se"] is None else f" (standard error {number(record['pairwise_se'])})"
    sign = (
        ""
        if record["sign_accuracy"] is None
        else f" Of {record['signs']} scores {record['sign_accuracy']:.0%} have the sign of the eQTL."
    )
    return Prose(
        text=f"Fine-mapped eQTLs (pip above {record['min_pip']:g}) score higher than matched controls in {number(record['pairwise_accuracy'])} of {record['pairs']} pairs{error}; 0.5 is chance. Area under the ROC curve {number(record['auroc'])}, under precision and recall {number(record['auprc'])} at a prevalence of 0.5.{sign}"
    )
