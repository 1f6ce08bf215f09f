"""`varfx expr compare`: the variants that models single out, against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from varfx.cli.console import console, progress_bar
from varfx.cli.options import Paths
from varfx.expression.variants.config import Rule


def compare(
    scores: Paths,
    /,
    *,
    cohort: Path | None = None,
    rule: Rule = "variformer",
    min_maf: float = 0.0,
    json: Path | None = None,
    figures: Path | None = None,
    seed: int = 0,
) -> None:
    """Compare the variants that models single out: overlap, signs, allele frequencies, distances to the TSS, and LD.

    High-scoring variants and drivers of each two models are compared among the variants that both score, gene by gene.

        varfx expr compare network.parquet elastic-net.parquet
        varfx expr compare network.parquet elastic-net.parquet --cohort COHORT --min-maf 0.05 --json overlap.json

    Args:
        scores: Tables of `varfx expr variants --long`, one per model (or fold).
        cohort: The cohort of the scores, for LD among the variants.
        rule: Whose drivers: sasse, variformer or rastogi.
        min_maf: Leave out variants with a smaller minor-allele frequency in training individuals.
        json: Write all numbers to this file.
        figures: Write pictures into this folder: spectra of allele frequencies, and distances to the TSS.
        seed: Of bootstraps over genes, and of variants drawn for LD.
    """
    from varfx.expression.variants.compare import compare_scores
    from varfx.io import sealed
    from varfx.io.run_folder import check_parent

    for path in filter(None, (json, figures)):
        check_parent(path)
    with progress_bar() as progress:
        found = compare_scores(scores, cohort=cohort, rule=rule, min_maf=min_maf, seed=seed, progress=progress)
    if json is not None:
        inputs = {f"scores.{number}": path for number, path in enumerate(scores)}
        inputs |= {} if cohort is None else {"cohort": cohort}
        options = {"rule": rule, "min_maf": min_maf, "seed": seed}
        sealed.write_json(json, {**vars(found), "provenance": sealed.provenance(options, inputs)})
    if figures is not None:
        from varfx.report.compared_variants import draw_comparison

        console.print(f"{figures}: {', '.join(draw_comparison(vars(found), figures))}", soft_wrap=True)
    console.print(_sets_table(found.sets))
    if found.pairs:
        console.print(_pairs_table(found.pairs))


def _sets_table(sets: list[dict[str, Any]]) -> Table:
    table = Table("model", "variants", "number", "median MAF", "median kb to the TSS")
    with_ld = any("ld" in entry for entry in sets)
    if with_ld:
        table.add_column("mean r2")
    for entry in sets:
        quartiles = entry["tss_distance_quartiles"]
        cells = [entry["model"], entry["set"], f"{entry['variants']:,}", _number(entry["median_maf"])]
        cells.append("" if quartiles is None else f"{quartiles[1] / 1000:.1f}")
        table.add_row(*cells, *([_number(entry["ld"]["mean_r2"])] if with_ld else []))
    return table


def _pairs_table(pairs: list[dict[str, Any]]) -> Table:
    table = Table("models", "variants", "genes", "shared", "by chance", "mean Jaccard", "odds ratio", "same sign")
    for entry in pairs:
        sign = entry["same_sign_share"]
        table.add_row(
            f"{entry['first']}, {entry['second']}",
            entry["set"],
            f"{entry['genes']:,}",
            f"{entry['both']:,}",
            f"{entry['expected_both']:,.1f}",
            _number(entry["mean_jaccard"]),
            "" if entry["odds_ratio_by_gene"] is None else f"{entry['odds_ratio_by_gene']:.2f}",
            "" if sign is None else f"{100 * sign:.0f} % of {entry['shared_with_signs']:,}",
        )
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
