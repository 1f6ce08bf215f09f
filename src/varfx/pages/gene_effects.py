"""The chart of variant effects around a gene, its table of the largest ones, and the download of all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Bool
from numpy import ndarray

from varfx.expression.explain.states import States
from varfx.genome.gene_models import GeneModel
from varfx.pages.genes import drawn_genes
from varfx.pages.words import fixed, number, rounded, shortened, signed
from varfx.report.html.blocks import Cell, Chart, Column, Columns, Table
from varfx.report.html.charts.gene_effects import FREQUENCIES, KINDS, SIGNS, EffectsData, gene_effects

UNIT = "sd per copy of ALT"
MOST_VARIANTS = 1_500  # drawn of one gene
MOST_ROWS = 25  # of its table
MOST_INTERVALS = 300  # of states drawn around a gene
_BOUNDS = (0.01, 0.05, 0.2)  # of the classes of frequency


def effects_chart(
    table: pl.DataFrame, *, title: str, name: str, unit: str, genes: Sequence[GeneModel], states: States
) -> Chart:
    """A stick per variant and model, with states and genes below.

    Args:
        table: effects of a gene's variants; columns of `LONG_SCHEMA`, and `kind`, `states`, `tss`, `strand` (null where unknown).
        title: above it.
        name: of the chart.
        unit: of the effect.
        genes: around it.
        states: intervals of chromatin states or peaks, of each sorted and apart.
    """
    size = table.height
    table = table.sort(pl.col("weight").abs(), descending=True, maintain_order=True).head(MOST_VARIANTS)
    along = table["tss"].null_count() == 0
    tss, strand = (table["tss"][0], table["strand"][0]) if along else (0, "+")
    kb = [round(each, 3) for each in _kb(table["position"].to_numpy(), tss, strand)]
    margin = 0.02 * (max(kb) - min(kb)) + 0.1
    domain = (min([*kb, *([0.0] if along else [])]) - margin, max([*kb, *([0.0] if along else [])]) + margin)
    models = tuple(dict.fromkeys(table["model"]))
    variants: Columns = {
        "kb": kb,
        "weight": rounded(table["weight"]),
        "kind": table["kind"].to_list(),
        "model": table["model"].to_list(),
        "maf": [_frequency(each) for each in table["eaf"]],
        "id": [_named(row) for row in table.iter_rows(named=True)],
        "alleles": [
            f"{shortened(b, 12)}>{shortened(a, 12)}"
            for a, b in table.select("effect_allele", "other_allele").iter_rows()
        ],
        "frequency": rounded(table["eaf"], 3),
        "states": [", ".join(each) for each in table["states"]],
    }
    pairs = [(at, state) for at, each in zip(kb, table["states"], strict=True) for state in each]
    bodies, exons = _along(genes, str(table["chrom"][0]), domain, tss, strand)
    drawn, total = _states_along(states, str(table["chrom"][0]), domain, tss, strand)
    words = _words(table, size, variants["id"][0]) + _state_words(len(drawn["name"]), total)
    return gene_effects(
        EffectsData(
            variants=variants,
            models=models,
            label="distance to the TSS along the gene's strand (kb)" if along else f"position on chromosome {table['chrom'][0]} (kb)",
            domain=domain,
            unit=unit,
            states=drawn,
            ticks={"kb": [at for at, _ in pairs], "name": [state for _, state in pairs]},
            genes=bodies,
            exons=exons,
        ),
        name=name,
        title=f"Effects around {title}",
        alternative=words,
        caption=words,
    )  # fmt: skip


def _kb(positions: ndarray, tss: int, strand: str) -> list[float]:
    sign = 1 if strand == "+" else -1
    return [sign * (float(each) - tss) / 1000 for each in positions]


def _frequency(eaf: float | None) -> str:
    """The class of frequency of the rarer allele."""
    if eaf is None or not np.isfinite(eaf):
        return FREQUENCIES[-1]
    return FREQUENCIES[int(np.searchsorted(_BOUNDS, min(eaf, 1 - eaf), side="right"))]


def _named(row: dict[str, object]) -> str:
    return str(row["variant_id"] or f"{row['chrom']}:{row['position']}")


def _words(table: pl.DataFrame, size: int, first: str) -> str:
    counts = {kind: int((table["kind"] == kind).sum()) for kind in KINDS[:-1]}
    signs = dict(zip(KINDS, SIGNS, strict=True))
    marked = ", ".join(f"{signs[kind]} {kind} {count}" for kind, count in counts.items() if count)
    largest = f"The largest effect is that of {first} ({signed(table['weight'][0])}, {table['model'][0]})."
    cut = f" Drawn: the largest {MOST_VARIANTS:,}." if size > MOST_VARIANTS else ""
    return f"{size:,} effects that are not 0{f' ({marked})' if marked else ''}. {largest}{cut}"


def _along(
    genes: Sequence[GeneModel], chrom: str, domain: tuple[float, float], tss: int, strand: str
) -> tuple[Columns, Columns]:
    """Genes and exons within the picture, in kb along the gene's strand."""
    ends = sorted(tss + (1 if strand == "+" else -1) * int(1000 * end) for end in domain)
    bodies, exons = drawn_genes(genes, chrom, ends[0], ends[1])

    def moved(columns: Columns) -> dict[str, list[object]]:
        out = {key: list(values) for key, values in columns.items()}
        pairs = [
            sorted(_kb(np.array([round(a * 1e6), round(b * 1e6)]), tss, strand))
            for a, b in zip(columns["start"], columns["end"], strict=True)
        ]
        out["start"], out["end"] = [round(a, 3) for a, _ in pairs], [round(b, 3) for _, b in pairs]
        if "strand" in out:
            out["strand"] = ["+" if each == strand else "-" for each in columns["strand"]]
        return out

    return moved(bodies), moved(exons)


def _states_along(
    states: States, chrom: str, domain: tuple[float, float], tss: int, strand: str
) -> tuple[Columns, int]:
    """Intervals of the states within the picture, in kb along the gene's strand, and their number.

    More than `MOST_INTERVALS` are thinned to the longest.
    """
    sign = 1 if strand == "+" else -1
    first, last = sorted(tss + sign * 1000 * end for end in domain)
    rows = []
    for name, held in states.items():
        if chrom not in held:
            continue
        mine = held[chrom]
        near = np.flatnonzero((mine.start < last) & (mine.end > first) & (mine.end > mine.start))
        for start, end in zip(mine.start[near].tolist(), mine.end[near].tolist(), strict=True):
            rows.append((end - start, name, *sorted(_kb(np.array([start + 0.5, end + 0.5]), tss, strand))))
    kept = sorted(range(len(rows)), key=lambda number: -rows[number][0])[:MOST_INTERVALS]
    shown = [rows[number] for number in sorted(kept)]
    columns: Columns = {
        "start": [round(low, 4) for *_, low, _ in shown],
        "end": [round(high, 4) for *_, high in shown],
        "name": [name for _, name, *_ in shown],
    }
    return columns, len(rows)


def _state_words(drawn: int, total: int) -> str:
    if not total:
        return ""
    thinned = f" Of {total:,} intervals of states the longest {drawn:,} are drawn." if drawn < total else ""
    return f" Bars below are intervals of states, ticks in them the variants within.{thinned}"


def effects_table(table: pl.DataFrame, name: str, *, most: int = MOST_ROWS) -> Table:
    """The `most` largest effects of a gene."""
    columns = (
        Column(heading="variant"), Column(heading="position", numeric=True), Column(heading="REF>ALT"), Column(heading="model"),
        Column(heading="effect", numeric=True, about=UNIT), Column(heading="frequency", numeric=True, about="of ALT"),
        Column(heading="kb from TSS", numeric=True), Column(heading="marked as"), Column(heading="states"),
    )  # fmt: skip
    largest = table.sort(pl.col("weight").abs(), descending=True, maintain_order=True).head(most)
    rows = tuple(
        (
            Cell(shown=_named(row)),
            Cell(shown=f"{row['position']:,}", sort=row["position"]),
            Cell(shown=f"{shortened(row['other_allele'], 12)}>{shortened(row['effect_allele'], 12)}"),
            Cell(shown=row["model"]),
            Cell(shown=signed(row["weight"]), sort=row["weight"]),
            Cell(shown=number(row["eaf"]), sort=row["eaf"]),
            Cell(
                shown=fixed(None if row["tss_distance"] is None else row["tss_distance"] / 1000, 2, sign=True),
                sort=row["tss_distance"],
            ),
            Cell(shown="" if row["kind"] == KINDS[-1] else row["kind"]),
            Cell(shown=", ".join(row["states"])),
        )
        for row in largest.iter_rows(named=True)
    )
    all_of_them = "; the download has all" if most == MOST_ROWS else ""
    caption = f"The {len(rows)} largest of {table.height:,} effects{all_of_them}."
    kept = len(columns) if table["states"].list.len().sum() else len(columns) - 1
    shown = tuple(row[:kept] for row in rows)
    return Table(name=name, caption=caption, columns=columns[:kept], rows=shown, visible_rows=8)


def effects_csv(table: pl.DataFrame) -> bytes:
    """All effects of a gene as CSV."""
    kept = table.drop("tss", "strand", "gene_id").with_columns(pl.col("states").list.join(";"))
    kept = kept.select(column for column in kept if column.null_count() < kept.height)
    return kept.with_columns(pl.col(pl.Float64).round_sig_figs(6)).write_csv().encode()


def marked(table: pl.DataFrame, fine: pl.DataFrame | None) -> pl.DataFrame:
    """Adds `kind`: fine-mapped eQTLs first, then drivers, then high-scoring variants.

    Args:
        table: columns of `LONG_SCHEMA`.
        fine: `gene_id, chrom, position, effect_allele, other_allele` of fine-mapped eQTLs; None without.
    """
    key = ["gene_id", "chrom", "position", "effect_allele", "other_allele"]
    causal = np.zeros(table.height, dtype=bool)
    if fine is not None:
        found = table.select(key).join(fine.select(key).unique().with_columns(found=True), on=key, how="left", maintain_order="left")  # fmt: skip
        causal = found["found"].fill_null(False).to_numpy()
    kind = (
        pl.when(pl.Series("causal", causal)).then(pl.lit(KINDS[0]))
        .when(pl.col("driver_variformer").fill_null(False)).then(pl.lit(KINDS[1]))
        .when(pl.col("high_scoring").fill_null(False)).then(pl.lit(KINDS[2]))
        .otherwise(pl.lit(KINDS[3]))
    )  # fmt: skip
    return table.with_columns(kind.alias("kind"))


def with_states(table: pl.DataFrame, names: Sequence[str], inside: Bool[ndarray, "variant state"]) -> pl.DataFrame:
    """Adds `states`: names of those in which each variant lies."""
    lists = [[name for name, within in zip(names, row, strict=True) if within] for row in inside]
    return table.with_columns(pl.Series("states", lists, dtype=pl.List(pl.String())))
