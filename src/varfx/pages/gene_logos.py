"""Gradients and mutagenesis of a network around the largest effects of a gene."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from varfx.expression.cohort.store import Cohort
from varfx.expression.run import NETWORK, ExpressionRun
from varfx.report.html.blocks import Chart
from varfx.report.html.charts.logo import logo

if TYPE_CHECKING:
    from varfx.expression.network.opened import OpenNetworks


def networks_of(run: ExpressionRun) -> OpenNetworks | None:
    """The networks of a run; None of linear models."""
    if run.kind != NETWORK:
        return None
    from varfx.expression.network.opened import OpenNetworks

    return OpenNetworks(run)


def logo_charts(
    networks: OpenNetworks | None, cohort: Cohort, effects: pl.DataFrame, count: int, name: str
) -> list[Chart]:
    """Attributions around the `count` single-nucleotide variants of a gene with the largest effects.

    Args:
        networks: of the run; None of linear models, which have no picture.
        cohort: the run's.
        effects: of the gene; columns of `LONG_SCHEMA`.
        count: how many.
        name: how the charts' names begin.
    """
    if networks is None or not count:
        return []
    from varfx.expression.explain.around import around_variant

    single = effects.filter(
        (pl.col("effect_allele").str.len_chars() == 1) & (pl.col("other_allele").str.len_chars() == 1)
    )
    best = single.sort(pl.col("weight").abs(), descending=True, maintain_order=True).head(count)
    charts = []
    for number, row in enumerate(best.iter_rows(named=True), start=1):
        gene_id, known = row["gene_id"], row["variant_id"] or f"{row['chrom']}:{row['position']}"
        around = around_variant(
            networks.of(row["fold"], gene_id), cohort, gene_id, row["position"], row["effect_allele"]
        )
        change = f"{row['other_allele']}>{row['effect_allele']}"
        charts.append(
            logo(
                [
                    ("gradient, reference", around.ref, around.gradient_ref.tolist()),
                    ("gradient, ALT", around.alt, around.gradient_alt.tolist()),
                    ("mutagenesis, reference", around.ref, around.mutagenesis.tolist()),
                ],
                first=around.first,
                name=f"{name}-{number}",
                title=f"What the network sees around {known}, {change}",
                caption="Gradient times input of either allele, and minus the mean effect of the other three bases (mutagenesis): a letter above the line raises predicted expression. Letters are along the gene's strand, the variant is shaded.",
                alternative=f"Attributions of {len(around.ref)} bases around {known}; homozygous effect {around.effect:+.3g} sd.",
            )
        )
    return charts
