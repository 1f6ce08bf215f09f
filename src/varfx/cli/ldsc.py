"""`varfx prior ldsc`: LD score regression."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from varfx.cli.console import console
from varfx.cli.options import Paths
from varfx.errors import ConfigError
from varfx.prior.ldsc_config import LDSCConfig

if TYPE_CHECKING:
    from numpy import ndarray

    from varfx.annotations.ld_scores import LDScores
    from varfx.gwas.sumstats import SumStats
    from varfx.prior.ldsc import LDSCResult


def ldsc(
    *,
    ref_ld: str,
    sumstats: Path | None = None,
    rg: Paths = (),
    out: Path | None = None,
    w_ld: str | None = None,
    json: Path | None = None,
    m: Annotated[tuple[float, ...] | None, Parameter(consume_multiple=True, negative=())] = None,
    n: float | None = None,
    effective_n: bool = False,
    intercept_gencov: float | None = None,
    annot: str | None = None,
    frq: str | None = None,
    all_frequencies: Annotated[bool, Parameter(negative=())] = False,
    config: Annotated[LDSCConfig, Parameter(name="*")] = LDSCConfig(),
) -> None:
    """Estimates heritability, confounding and genetic correlation by LD score regression, with LDSC's estimators.

        varfx prior ldsc --sumstats S.parquet --ref-ld eur_w_ld_chr/ --json OUT.json
        varfx prior ldsc --rg S1.parquet,S2.parquet --ref-ld eur_w_ld_chr/ --json OUT.json

    Args:
        sumstats: Summary statistics of one trait (*.sumstats.parquet from `varfx sumstats clean`).
        rg: Summary statistics of several traits with commas (or the option repeated), in place of --sumstats: the genetic correlation of the
            first with each other.
        out: With --rg, file to write ldsc's table to.
        ref_ld: LD scores to regress on: a folder, a file, a prefix, or a pattern with @ for the chromosome.
        w_ld: LD scores to weight with, given likewise; those of --ref-ld by default, if these are of one annotation.
        json: File to write the results to.
        m: Number of variants of each annotation, in place of the .l2.M_5_50 files.
        n: Sample size of every variant, in place of those in --sumstats (h2 goes with 1/n).
        effective_n: For BOLT-LMM, use the effective sample size that `sumstats clean` stored, not the number of individuals
            that LDSC's users give it.
        intercept_gencov: With --rg, a known intercept of the genetic covariance, 0 without shared individuals.
        annot: .annot files of overlapping annotations, for their heritability and enrichment.
        frq: PLINK .frq files of the same variants, to count only those above 5 % in --annot.
        all_frequencies: Count variants of all frequencies (.l2.M), not those above 5 % (.l2.M_5_50).
        config: How the regression is done.
    """
    import numpy as np

    from varfx.annotations.ld_scores import read_ld_scores
    from varfx.annotations.ldsc_overlap import read_overlap
    from varfx.io import sealed
    from varfx.prior.ldsc import ld_score_regression

    pairs = _split(rg)
    if (sumstats is None) == (not pairs):
        raise ConfigError("give either --sumstats FILE or --rg FILE FILE, one of the two.")
    if not pairs and (out is not None or intercept_gencov is not None):
        raise ConfigError("`--out` and `--intercept-gencov` belong to --rg.")
    if pairs and (len(pairs) < 2 or annot is not None or frq is not None):
        raise ConfigError("`--rg` needs at least two files, and takes no --annot or --frq.")
    reference = read_ld_scores(ref_ld, all_frequencies=all_frequencies)
    weights = reference if w_ld is None else read_ld_scores(w_ld)
    counts = None if m is None else np.array(m)
    inputs = {str(path): path for path in pairs} | ({} if sumstats is None else {"sumstats": sumstats})
    inputs |= {file.name: file for file in reference.files}
    options = {"ref_ld": ref_ld, "w_ld": w_ld, "m": m, "n": n, "annot": annot, "frq": frq}
    if pairs:
        _correlate(
            [_trait(path, n, effective_n)[0] for path in pairs], (reference, weights, counts), config, intercept_gencov,
            files=(json, out), provenance=sealed.provenance(options, inputs),
        )  # fmt: skip
        return
    assert sumstats is not None
    trait, gain = _trait(sumstats, n, effective_n)
    result = ld_score_regression(
        trait,
        reference,
        weights,
        counts,
        config=config,
        overlap=None if annot is None else read_overlap(annot, reference, frequencies=frq),
    )
    if json is not None:
        sealed.write_json(json, {**result.as_dict(), "provenance": sealed.provenance(options, inputs)})
    console.print(summary(trait.trait, result), soft_wrap=True)
    if n is None and gain != 1:
        console.print(
            f"note: n is the {'effective sample size' if effective_n else 'number of individuals'}; BOLT-LMM's effective sample size is "
            f"{gain:.4f} times the number of individuals, with which h2 is {result.h2 if effective_n else result.h2 / gain:.4f}",
            soft_wrap=True,
        )


def _split(files: tuple[Path, ...]) -> list[Path]:
    """The files of --rg; one word with commas, as ldsc takes it, stands for several."""
    return [Path(part) for path in files for part in ([str(path)] if path.is_file() else str(path).split(","))]


def _trait(path: Path, n: float | None, effective_n: bool) -> tuple[SumStats, float]:
    """Summary statistics with the sample size that is asked for, and the gain of BOLT-LMM's effective one."""
    import polars as pl

    from varfx.gwas.sumstats import SumStats, read_sumstats

    trait = read_sumstats(path)
    gain = float(trait.metadata.get("n_gain", 1.0))
    if n is None and not effective_n and gain != 1:
        trait = SumStats(table=trait.table.with_columns(pl.col("n") / gain), trait=trait.trait)
    if n is not None:
        trait = SumStats(table=trait.table.with_columns(pl.lit(n, pl.Float64).alias("n")), trait=trait.trait)
    return trait, gain


def _correlate(
    traits: list[SumStats],
    scores: tuple[LDScores, LDScores, ndarray | None],
    config: LDSCConfig,
    cross_intercept: float | None,
    *,
    files: tuple[Path | None, Path | None],
    provenance: dict[str, Any],
) -> None:
    """Prints and writes the correlation of the first trait with each other."""
    from varfx.io import sealed
    from varfx.prior.correlation.files import COLUMNS
    from varfx.prior.heritability.files import table
    from varfx.prior.ldsc_rg import ldsc_correlation

    found = [
        ldsc_correlation(traits[0], each, *scores, config=config, cross_intercept=cross_intercept)
        for each in traits[1:]
    ]
    json, out = files
    if json is not None:
        first = found[0].as_dict()
        sealed.write_json(json, {**first, "pairs": [each.as_dict() for each in found], "provenance": provenance})
    if out is not None:
        sealed.write_text(out, table(COLUMNS, [each.table_row() for each in found]))
    for each in found:
        for note in each.notes:
            console.print(f"note: {note}", soft_wrap=True, markup=False)
    screen = Table("p1", "p2", "rg (se)", "z", "p", "gcov (se)", "intercept (se)")
    for each in found:
        screen.add_row(
            each.p1, each.p2, pair(each.rg, each.rg_se), "NA" if each.z is None else f"{each.z:.4f}",
            "NA" if each.p is None else f"{each.p:.4g}", pair(each.gcov, each.gcov_se), pair(each.gcov_int, each.gcov_int_se),
        )  # fmt: skip
    console.print(screen)


def pair(value: float | None, se: float | None) -> str:
    """A value with its standard error, for the screen."""
    return "NA" if value is None else f"{value:.4f} ({'NA' if se is None else f'{se:.4f}'})"


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
