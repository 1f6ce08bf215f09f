"""`varfx prior ldsc`: LD score regression."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from varfx.cli.console import console, print_notes
from varfx.cli.options import as_options
from varfx.errors import ConfigError
from varfx.prior.ldsc_config import LDSCConfig, LDSCInputs

if TYPE_CHECKING:
    from numpy import ndarray

    from varfx.annotations.ld_scores import LDScores
    from varfx.gwas.sumstats import SumStats
    from varfx.prior.ldsc import LDSCResult

    Scores = tuple[LDScores, LDScores, ndarray | None]


Inputs = Annotated[
    LDSCInputs,
    as_options(
        LDSCInputs,
        m=Parameter(consume_multiple=True, negative=()),
        effective_n=Parameter(negative="--no-effective-n"),
    ),
]
Regression = Annotated[LDSCConfig, as_options(LDSCConfig)]


def ldsc(
    *,
    inputs: Inputs,
    out: Path | None = None,
    json: Path | None = None,
    config: Regression = LDSCConfig(),
) -> None:
    """Estimates heritability, confounding and genetic correlation by LD score regression, with LDSC's estimators.

        varfx prior ldsc --sumstats S.parquet --ref-ld eur_w_ld_chr/ --json OUT.json
        varfx prior ldsc --rg S1.parquet,S2.parquet --ref-ld eur_w_ld_chr/ --json OUT.json

    Args:
        out: With --rg, file to write ldsc's table to.
        json: File to write the results to.
    """
    import numpy as np

    from varfx.annotations.ld_scores import read_ld_scores
    from varfx.io import sealed

    pairs = inputs.traits()
    _check(inputs, pairs, out)
    reference = read_ld_scores(inputs.ref_ld, all_frequencies=inputs.all_frequencies)
    weights = reference if inputs.w_ld is None else read_ld_scores(inputs.w_ld)
    scores = (reference, weights, None if inputs.m is None else np.array(inputs.m))
    files = {str(path): path for path in pairs} | ({} if inputs.sumstats is None else {"sumstats": inputs.sumstats})
    files |= {file.name: file for file in reference.files}
    options = {name: getattr(inputs, name) for name in ("ref_ld", "w_ld", "m", "n", "annot", "frq")}
    provenance = sealed.provenance(options, files)
    if pairs:
        _correlate(inputs, scores, config, files=(json, out), provenance=provenance)
    else:
        _regress(inputs, scores, config, json=json, provenance=provenance)


def _check(inputs: LDSCInputs, pairs: list[Path], out: Path | None) -> None:
    """Refuses options that do not belong together.

    Raises:
        ConfigError: with the options.
    """
    if (inputs.sumstats is None) == (not pairs):
        raise ConfigError("give either --sumstats FILE or --rg FILE FILE, one of the two.")
    if not pairs and (out is not None or inputs.intercept_gencov is not None):
        raise ConfigError("`--out` and `--intercept-gencov` belong to --rg.")
    if pairs and (len(pairs) < 2 or inputs.annot is not None or inputs.frq is not None):
        raise ConfigError("`--rg` needs at least two files, and takes no --annot or --frq.")


def _regress(
    inputs: LDSCInputs, scores: Scores, config: LDSCConfig, *, json: Path | None, provenance: dict[str, Any]
) -> None:
    """Prints and writes the regression of one trait."""
    from varfx.annotations.ldsc_overlap import read_overlap
    from varfx.io import sealed
    from varfx.prior.ldsc import ld_score_regression

    assert inputs.sumstats is not None
    trait, gain = _trait(inputs.sumstats, inputs)
    overlap = None if inputs.annot is None else read_overlap(inputs.annot, scores[0], frequencies=inputs.frq)
    result = ld_score_regression(trait, *scores, config=config, overlap=overlap)
    if json is not None:
        sealed.write_json(json, {**result.as_dict(), "provenance": provenance})
    console.print(summary(trait.trait, result), soft_wrap=True)
    if inputs.n is None and gain != 1:
        effective = inputs.effective_n
        console.print(
            f"note: n is the {'effective sample size' if effective else 'number of individuals'}; BOLT-LMM's effective sample size is "
            f"{gain:.4f} times the number of individuals, with which h2 is {result.h2 if effective else result.h2 / gain:.4f}",
            soft_wrap=True,
        )


def _trait(path: Path, inputs: LDSCInputs) -> tuple[SumStats, float]:
    """Summary statistics with the sample size that is asked for, and the gain of BOLT-LMM's effective one."""
    import polars as pl

    from varfx.gwas.sumstats import SumStats, read_sumstats

    trait, n = read_sumstats(path), inputs.n
    gain = float(trait.metadata.get("n_gain", 1.0))
    if n is None and not inputs.effective_n and gain != 1:
        trait = SumStats(table=trait.table.with_columns(pl.col("n") / gain), trait=trait.trait)
    if n is not None:
        trait = SumStats(table=trait.table.with_columns(pl.lit(n, pl.Float64).alias("n")), trait=trait.trait)
    return trait, gain


def _correlate(
    inputs: LDSCInputs,
    scores: Scores,
    config: LDSCConfig,
    *,
    files: tuple[Path | None, Path | None],
    provenance: dict[str, Any],
) -> None:
    """Prints and writes the correlation of the first trait with each other."""
    from varfx.io import sealed
    from varfx.prior.correlation.files import COLUMNS
    from varfx.prior.heritability.files import table
    from varfx.prior.ldsc_rg import ldsc_correlation

    first, *others = (_trait(path, inputs)[0] for path in inputs.traits())
    found = [
        ldsc_correlation(first, each, *scores, config=config, cross_intercept=inputs.intercept_gencov)
        for each in others
    ]
    json, out = files
    if json is not None:
        pairs = [each.as_dict() for each in found]
        sealed.write_json(json, {**pairs[0], "pairs": pairs, "provenance": provenance})
    if out is not None:
        sealed.write_text(out, table(COLUMNS, [each.table_row() for each in found]))
    for each in found:
        print_notes(each.notes)
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
