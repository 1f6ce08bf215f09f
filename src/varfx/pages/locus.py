"""One locus as its picture and tables: LD with the lead, annotations, genes, credible sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Float
from numpy import ndarray

from varfx.genome.gene_models import GeneModel
from varfx.ld import LDPanel
from varfx.pages.genes import distance, drawn_genes, named_genes
from varfx.pages.loci import Locus
from varfx.pages.study import Study
from varfx.pages.words import decimals, fixed, megabases, number, p_value, rounded, shortened
from varfx.report.html.blocks import Block, Cell, Column, Facts, Folded, Part, Prose, Table
from varfx.report.html.charts.locus import locus_chart, scatter
from varfx.report.html.charts.locus_data import NO_SET, LocusData

MOST_CHANNELS = 6
TOLD = 0.001  # PIP from which a variant is always drawn
MARGIN_MB = 0.01
AROUND = 400_000  # bases on each side of what matters, in the first view


@dataclass(frozen=True, kw_only=True, eq=False)
class Channels:
    """0/1 annotations to draw, on the panel's rows."""

    names: tuple[str, ...]
    inside: Bool[ndarray, "variant channel"]


def drawn_channels(study: Study, chosen: Sequence[str]) -> Channels:
    """The chosen 0/1 annotations of the run, by default the six most correlated with log f.

    Raises:
        ConfigError: a chosen one is unknown or not 0/1.
    """
    from varfx.errors import ConfigError

    annotations = study.files.read_annotations()
    if annotations is None:
        if chosen:
            raise ConfigError("`channels` are named, but the run has no annotations.")
        return Channels(names=(), inside=np.zeros((study.f.size, 0), dtype=bool))
    unknown = [name for name in chosen if name not in annotations.channels]
    if unknown:
        raise ConfigError(
            f"`channels`: {len(unknown)} are not annotations of the run, first {unknown[0]!r}. It has {', '.join(annotations.channels[:10])}."
        )
    values, _ = annotations.select(study.panel.variants)
    names = np.array(annotations.channels)
    binary = np.array(
        [
            bool(np.isin(column[np.isfinite(column)], (0.0, 1.0)).all() and np.nanmax(column, initial=0) > 0)
            for column in values.T
        ]
    )
    no_flags = [name for name in chosen if not binary[annotations.channels.index(name)]]
    if no_flags:
        raise ConfigError(
            f"`channels`: {no_flags[0]!r} does not hold 0 and 1. Only such annotations are drawn below a locus."
        )
    inside = values[:, binary] == 1
    if chosen:
        order = [names[binary].tolist().index(name) for name in chosen]
    else:
        with np.errstate(invalid="ignore", divide="ignore"):
            log_f = np.log(study.f) - np.log(study.f).mean()
            strength = np.abs((inside - inside.mean(axis=0)).T @ log_f) / (inside.std(axis=0) * inside.shape[0])
        order = np.argsort(-np.nan_to_num(strength), kind="stable")[:MOST_CHANNELS].tolist()
    return Channels(names=tuple(names[binary][order].tolist()), inside=inside[:, order])


def correlation_with(panel: LDPanel, row: int) -> Float[ndarray, " variant"]:
    """r of every panel variant with one, from the window in whose core it lies; NaN outside the window.

    `R[i,+] = V lam^1/2 B` on the kept eigenpairs.
    """
    r = np.full(panel.variants.height, np.nan)
    chrom, position = panel.variants["chrom"][row], panel.variants["position"][row]
    for index, core in enumerate(panel.cores):
        if core.chrom == chrom and core.start < position <= core.end:
            window = panel.window(index)
            place = np.flatnonzero(window.core_rows == row)
            if place.size:
                factors = window.factors
                r[window.panel_rows] = (factors.V[place[0]] * np.sqrt(factors.lam)) @ factors.B
                r[row] = 1.0
                break
    return np.asarray(np.clip(r, -1, 1))


def locus_part(study: Study, locus: Locus, channels: Channels, genes: Sequence[GeneModel], most: int) -> Part:
    """A locus's facts, picture, credible sets and comparison with the uniform prior.

    Args:
        study: the study.
        locus: the locus.
        channels: annotations to draw.
        genes: of all loci.
        most: variants to draw.
    """
    table = locus.variants
    r2 = np.full(table.height, np.nan)
    lead_row = int(locus.panel_row[locus.lead])
    on_panel = locus.panel_row >= 0
    if lead_row >= 0:
        r2[on_panel] = np.square(correlation_with(study.panel, lead_row))[locus.panel_row[on_panel]]
    shown = np.flatnonzero(drawn(locus, most))
    data = _data(study, locus, r2, shown, channels, genes)
    words = _words(locus, genes)
    drawn_words = (
        ""
        if shown.size == table.height
        else f" Drawn: {shown.size:,} of {table.height:,} variants, all of credible sets and of PIP above {TOLD}."
    )
    grey = " Grey: LD unknown, further than the window of the lead." if not np.isfinite(r2[shown]).all() else ""
    chart = locus_chart(
        data,
        name=f"{locus.anchor}-view",
        alternative=words,
        caption=f"{words}{drawn_words}{grey} Hover for each variant. Drag to move, zoom with the buttons or Ctrl + wheel.",
    )
    blocks: list[Block] = [Facts(rows=_facts(locus, genes)), chart]
    in_sets = table.with_columns(r2=pl.Series(r2), f=pl.Series(_f(study, locus))).filter(pl.col("set") > 0)
    if in_sets.height:
        blocks.append(_set_table(locus, in_sets))
    else:
        blocks.append(Prose(text="No credible set: no effect is narrowed down to variants in LD with each other."))
    if table["uniform"].null_count() < table.height:
        blocks.append(Folded(summary="What the prior changed", blocks=(scatter(data, name=f"{locus.anchor}-priors"),)))
    return Part(anchor=locus.anchor, heading=heading(locus, genes), blocks=tuple(blocks))


def heading(locus: Locus, genes: Sequence[GeneModel]) -> str:
    """The locus in a few words: lead, place, nearest gene."""
    near = named_genes(genes, locus.chrom, locus.position)
    return f"{locus.name} ({locus.chrom}:{locus.position / 1e6:.3f} Mb{', ' + near[0] if near else ''})"


def drawn(locus: Locus, most: int) -> Bool[ndarray, " variant"]:
    """Variants to draw: all that matter, then half of the rest by strength, half evenly along the locus."""
    table = locus.variants
    kept = (
        (table["set"] > 0).to_numpy()
        | (table["pip"] >= TOLD).to_numpy()
        | (table["uniform"].fill_null(0) >= 10 * TOLD).to_numpy()
    )
    kept[locus.lead] = True
    left = most - int(kept.sum())
    if left >= table.height - int(kept.sum()):
        return np.ones(table.height, dtype=bool)
    if left > 0:
        rest = np.flatnonzero(~kept)
        kept[rest[np.argsort(-locus.y[rest], kind="stable")[: left // 2]]] = True
        rest = np.flatnonzero(~kept)
        kept[rest[np.unique(np.linspace(0, rest.size - 1, left - left // 2).astype(int))]] = True
    return np.asarray(kept, dtype=bool)


def _f(study: Study, locus: Locus) -> Float[ndarray, " variant"]:
    return np.asarray(np.where(locus.panel_row >= 0, study.f[np.maximum(locus.panel_row, 0)], np.nan))


def _data(
    study: Study, locus: Locus, r2: ndarray, shown: ndarray, channels: Channels, genes: Sequence[GeneModel]
) -> LocusData:
    table = locus.variants[shown]
    position = table["position"].to_numpy()
    first, last = int(locus.variants["position"].min()), int(locus.variants["position"].max())  # type: ignore[arg-type]
    f = _f(study, locus)[shown]
    numbers = table["set"].to_list()
    variants: dict[str, list[object]] = {
        "mb": list(megabases(position)),
        "id": table["variant_id"].to_list(),
        "alleles": [
            f"{shortened(a, 12)}/{shortened(b, 12)}"
            for a, b in table.select("effect_allele", "other_allele").iter_rows()
        ],
        "p": list(decimals(locus.y[shown], 3)),
        "z": list(decimals(table["z"], 2)),
        "r2": list(decimals(r2[shown], 3)),
        "lead": [int(row == locus.lead) for row in shown],
        "pip": list(rounded(table["pip"], 4)),
        "uniform": list(rounded(table["uniform"], 4)),
        "set": [str(each) if each else NO_SET for each in numbers],
    }
    if np.isfinite(f).all() and (f > 0).all():
        variants["f"] = list(rounded(f, 4))
    row = locus.panel_row[shown]
    inside = channels.inside[np.maximum(row, 0)] & (row >= 0)[:, None]
    ticks = [(position[i], name) for k, name in enumerate(channels.names) for i in np.flatnonzero(inside[:, k])]
    bodies, exons = drawn_genes(genes, locus.chrom, first, last)
    return LocusData(
        name=f"Locus of {locus.name}",
        chrom=locus.chrom,
        domain=(round(first / 1e6 - MARGIN_MB, 3), round(last / 1e6 + MARGIN_MB, 3)),
        view=_view(locus, first, last),
        variants=variants,
        sets=tuple(str(each) for each in sorted({n for n in locus.variants["set"].to_list() if n})),
        ticks={"mb": megabases(np.array([at for at, _ in ticks])), "name": [name for _, name in ticks]},
        genes=bodies,
        exons=exons,
    )


def _view(locus: Locus, first: int, last: int) -> tuple[float, float]:
    """What is seen at first, in Mb: the surroundings of the lead and of all credible sets."""
    places = [locus.position, *locus.variants.filter(pl.col("set") > 0)["position"].to_list()]
    low, high = max(first, min(places) - AROUND), min(last, max(places) + AROUND)
    return round(low / 1e6 - MARGIN_MB, 3), round(high / 1e6 + MARGIN_MB, 3)


def _words(locus: Locus, genes: Sequence[GeneModel]) -> str:
    best, pip = locus.best
    near = named_genes(genes, locus.chrom, locus.position)
    gene = f", nearest gene {near[0]}" if near else ""
    sets = locus.sets.height
    return (
        f"{locus.variants.height:,} variants of chromosome {locus.chrom}; the strongest, {locus.name} at {locus.position / 1e6:.3f} Mb{gene}, has "
        f"p = {p_value(float(locus.y.max()))}. {sets} credible set{'' if sets == 1 else 's'}; the largest PIP is {fixed(pip)} of {best}."
    )


def _facts(locus: Locus, genes: Sequence[GeneModel]) -> tuple[tuple[str, str], ...]:
    row = locus.row
    quality = str(row.get("qc") or "")
    if row.get("qc_cause"):
        quality += f": {row['qc_cause']}"
    method = str(row.get("method") or "SuSiE")
    converged = {"yes": "converged", "no": "did not converge"}.get(str(row["converged"]), str(row["converged"]))
    parameters = ", ".join(
        f"{name} {number(row[name])}"
        for name in ("sigma2", "kappa", "lambda_mismatch")
        if isinstance(row.get(name), float)
    )
    near = [gene for gene in genes if gene.chrom == locus.chrom and distance(gene, locus.position) == 0]
    rows = [
        ("lead", f"{locus.name}, p = {p_value(float(locus.y.max()))}"),
        ("stretch", f"{locus.chrom}:{row['start']:,}–{row['end']:,}, {locus.variants.height:,} variants"),
        (
            "genes over the lead",
            ", ".join(gene.name for gene in near) if near else "none" if genes else "no GTF file was given (`--gtf`)",
        ),
        ("fine-mapping", f"{method}, {converged}; {parameters}"),
        ("quality", quality or "not checked"),
    ]
    return tuple(rows)


def _set_table(locus: Locus, table: pl.DataFrame) -> Table:
    columns = (
        Column(heading="set", numeric=True),
        Column(heading="variant"),
        Column(heading="position", numeric=True),
        Column(heading="alleles", about="effect allele / other allele"),
        Column(heading="z", numeric=True),
        Column(heading="r²", numeric=True, about="to the strongest association"),
        Column(heading="PIP", numeric=True),
        Column(heading="PIP, uniform", numeric=True, about="under the uniform prior"),
        Column(heading="f", numeric=True, about="learned variance of the effect"),
    )
    rows = tuple(
        (
            Cell(shown=str(row["set"]), sort=row["set"]),
            Cell(shown=row["variant_id"]),
            Cell(shown=f"{row['position']:,}", sort=row["position"]),
            Cell(shown=f"{shortened(row['effect_allele'], 12)}/{shortened(row['other_allele'], 12)}"),
            Cell(shown=fixed(row["z"], 2), sort=row["z"]),
            Cell(shown=fixed(row["r2"], 2), sort=_or_none(row["r2"])),
            Cell(shown=fixed(row["pip"], 4), sort=row["pip"]),
            Cell(shown=fixed(row["uniform"], 4), sort=row["uniform"]),
            Cell(shown=number(row["f"]), sort=_or_none(row["f"])),
        )
        for row in table.sort("set", "pip", descending=[False, True], maintain_order=True).iter_rows(named=True)
    )
    sets = "; ".join(
        f"set {row['cs']}: {row['n']} variants, log10 Bayes factor {number(row['log10bf'])}, purity {number(row['purity_min'], 2)}"
        for row in locus.sets.iter_rows(named=True)
    )
    return Table(
        name=f"{locus.anchor}-sets", caption=f"Credible sets. {sets}.", columns=columns, rows=rows, visible_rows=12
    )


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def top_channel(study: Study, locus: Locus, channels: Channels) -> str:
    """The annotations drawn that hold the variant of largest PIP, in words."""
    row = int(locus.panel_row[int(np.nanargmax(locus.variants["pip"].to_numpy()))])
    if row < 0:
        return ""
    return ", ".join(name for name, inside in zip(channels.names, channels.inside[row], strict=True) if inside)
