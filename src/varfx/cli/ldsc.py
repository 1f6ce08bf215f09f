"""`varfx prior ldsc`: LD score regression."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from varfx.cli.console import console
from varfx.prior.ldsc_config import LDSCConfig

if TYPE_CHECKING:
    from varfx.prior.ldsc import LDSCResult


def ldsc(
    *,
    sumstats: Path,
    ref_ld: str,
    w_ld: str | None = None,
    json: Path | None = None,
    m: Annotated[tuple[float, ...] | None, Parameter(consume_multiple=True, negative=())] = None,
    n: float | None = None,
    effective_n: bool = False,
    annot: str | None = None,
    frq: str | None = None,
    all_frequencies: Annotated[bool, Parameter(negative=())] = False,
    config: Annotated[LDSCConfig, Parameter(name="*")] = LDSCConfig(),
) -> None:
    """Estimates heritability and confounding by LD score regression, with LDSC's estimators.

        varfx prior ldsc --sumstats S.parquet --ref-ld eur_w_ld_chr/ --json OUT.json

    Args:
        sumstats: Summary statistics of one trait (*.sumstats.parquet from `varfx sumstats clean`).
        ref_ld: LD scores to regress on: a folder, a file, a prefix, or a pattern with @ for the chromosome.
        w_ld: LD scores to weight with, given likewise; those of --ref-ld by default, if these are of one annotation.
        json: File to write the results to.
        m: Number of variants of each annotation, in place of the .l2.M_5_50 files.
        n: Sample size of every variant, in place of those in --sumstats (h2 goes with 1/n).
        effective_n: For BOLT-LMM, use the effective sample size that `sumstats clean` stored, not the number of individuals
            that LDSC's users give it.
        annot: .annot files of overlapping annotations, for their heritability and enrichment.
        frq: PLINK .frq files of the same variants, to count only those above 5 % in --annot.
        all_frequencies: Count variants of all frequencies (.l2.M), not those above 5 % (.l2.M_5_50).
        config: How the regression is done.
    """
    import numpy as np
    import polars as pl

    from varfx.annotations.ld_scores import read_ld_scores
    from varfx.annotations.ldsc_overlap import read_overlap
    from varfx.gwas.sumstats import SumStats, read_sumstats
    from varfx.io import sealed
    from varfx.prior.ldsc import ld_score_regression

    reference = read_ld_scores(ref_ld, all_frequencies=all_frequencies)
    weights = reference if w_ld is None else read_ld_scores(w_ld)
    trait = read_sumstats(sumstats)
    gain = float(trait.metadata.get("n_gain", 1.0))
    if n is None and not effective_n and gain != 1:
        trait = SumStats(table=trait.table.with_columns(pl.col("n") / gain), trait=trait.trait)
    if n is not None:
        trait = SumStats(table=trait.table.with_columns(pl.lit(n, pl.Float64).alias("n")), trait=trait.trait)
    result = ld_score_regression(
        trait,
        reference,
        weights,
        None if m is None else np.array(m),
        config=config,
        overlap=None if annot is None else read_overlap(annot, reference, frequencies=frq),
    )
    if json is not None:
        inputs = {"sumstats": sumstats, **{file.name: file for file in reference.files}}
        options = {"ref_ld": ref_ld, "w_ld": w_ld, "m": m, "n": n, "annot": annot, "frq": frq}
        sealed.write_json(json, {**result.as_dict(), "provenance": sealed.provenance(options, inputs)})
    console.print(summary(trait.trait, result), soft_wrap=True)
    if n is None and gain != 1:
        console.print(
            f"note: n is the {'effective sample size' if effective_n else 'number of people'}; BOLT-LMM's effective sample size is "
            f"{gain:.4f} times the number of individuals, with which h2 is {result.h2 if effective_n else result.h2 / gain:.4f}",
            soft_wrap=True,
        )


def summary(trait: str, result: LDSCResult) -> str:
    """The results as text for the terminal."""
    free = result.intercept_se is not None
    lines = [
        *(f"note: {note}" for note in result.notes),
        f"{trait}: {result.n_variants} variants, {result.num_blocks} jackknife blocks",
        f"h2 (observed scale)  {result.h2:.4f} ({result.h2_se:.4f})",
        f"intercept            {result.intercept:.4f} ({f'{result.intercept_se:.4f}' if free else 'given'})",
        f"mean chi2            {result.mean_chi2:.4f}",
        f"lambda GC            {result.lambda_gc:.4f}",
    ]
    if result.ratio is not None:
        lines.append(f"ratio                {result.ratio:.4f} ({result.ratio_se:.4f})")
    if len(result.annotations) > 1:
        width = max(len(annotation.name) for annotation in result.annotations)
        lines += ["", f"{'annotation':<{width}}  coefficient (se)              share of h2 (se)   enrichment (se)"]
        lines += [
            f"{each.name:<{width}}  {each.coefficient:11.4e} ({each.coefficient_se:10.4e})   "
            f"{each.proportion_h2:7.4f} ({each.proportion_h2_se:.4f})   {each.enrichment:8.4f} ({each.enrichment_se:.4f})"
            for each in result.annotations
        ]
    return "\n".join(lines)
