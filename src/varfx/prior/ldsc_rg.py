"""Genetic correlation by LD score regression, as the program `ldsc --rg` does it (Bulik-Sullivan et al. 2015, Nature Genetics 47:1236).

    E[z_1j z_2j] = sqrt(n_1j n_2j) rho_g l_j / M + a_12

on the variants that both traits and the LD scores have, with each trait's own regression on the same variants. `docs/ldsc.md` has the rules.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import scipy.stats
from jaxtyping import Float
from numpy import ndarray

from varfx.annotations.ld_scores import LDScores, join_sumstats
from varfx.errors import DataError
from varfx.genome.variants import complement_expr, palindromic_expr
from varfx.gwas.sumstats import SumStats
from varfx.likelihood.ldsr_closed import (
    BlockJackknife,
    WeightedLD,
    block_bounds,
    cross_weights,
    fit_reweighted,
    fit_two_step,
)
from varfx.prior.ldsc import MIN_VARIANTS, LDSCResult, regress_chi2
from varfx.prior.ldsc_config import LDSCConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class LDSCCorrelation:
    """Genetic correlation of two traits by LD score regression.

    Attributes:
        p1: the first trait.
        p2: the second.
        rg: gcov / sqrt(h2_1 h2_2); None where an h2 is not positive, like what follows.
        rg_se: jackknife standard error of the ratio.
        z: rg / rg_se.
        p: two-sided, normal.
        gcov: genetic covariance.
        gcov_se: its standard error.
        gcov_int: the intercept, from shared individuals.
        gcov_int_se: its standard error; None where it was given.
        first: the first trait's own regression.
        second: the second's.
        n_variants: in the regression.
        mean_z1z2: mean product of z.
        notes: what the user should know.
    """

    p1: str
    p2: str
    rg: float | None
    rg_se: float | None
    z: float | None
    p: float | None
    gcov: float
    gcov_se: float
    gcov_int: float
    gcov_int_se: float | None
    first: LDSCResult
    second: LDSCResult
    n_variants: int
    mean_z1z2: float
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able values, with ldsc's names for those of the second trait."""
        kept = {
            name: getattr(self, name)
            for name in (
                "p1", "p2", "rg", "rg_se", "z", "p", "gcov", "gcov_se", "gcov_int", "gcov_int_se", "n_variants", "mean_z1z2",
            )
        }  # fmt: skip
        for number, each in ((1, self.first), (2, self.second)):
            kept |= {
                f"h2_{number}": each.h2, f"h2_{number}_se": each.h2_se, f"h2_int_{number}": each.intercept,
                f"h2_int_{number}_se": each.intercept_se,
            }  # fmt: skip
        return {**kept, "notes": list(self.notes)}

    def table_row(self) -> list[Any]:
        """The values of ldsc's table."""
        second = self.second
        return [
            self.p1, self.p2, self.rg, self.rg_se, self.z, self.p, second.h2, second.h2_se, second.intercept,
            second.intercept_se, self.gcov_int, self.gcov_int_se,
        ]  # fmt: skip


def ldsc_correlation(
    first: SumStats,
    second: SumStats,
    ref_ld: LDScores,
    weight_ld: LDScores,
    num_variants: Float[ndarray, " annotation"] | None = None,
    *,
    config: LDSCConfig = LDSCConfig(),
    cross_intercept: float | None = None,
) -> LDSCCorrelation:
    """The genetic correlation of two traits by LD score regression.

    Args:
        first: a trait.
        second: another.
        ref_ld: LD scores of one annotation.
        weight_ld: LD scores of the regression's variants.
        num_variants: M; None takes the counts read together with `ref_ld`.
        config: how it is done; a given intercept is that of both traits.
        cross_intercept: a known a_12 (0 without shared individuals); estimated by default.

    Raises:
        DataError: several annotations, no counts, or too few variants in common.
    """
    counts = ref_ld.counts if num_variants is None else num_variants
    if counts is None or len(ref_ld.names) != 1 or len(weight_ld.names) != 1:
        raise DataError(
            f"`--rg` needs LD scores of one annotation with their number of variants: `{ref_ld.source}` has {len(ref_ld.names)} "
            f"{'and a count' if counts is not None else 'and no .l2.M_5_50 or .l2.M file: give --m'}."
        )
    z, n, ld, weight, notes = _joined_pair(first, second, ref_ld, weight_ld, config)
    own = replace(config, chi2_max=None, two_step=config.two_step or 0.0)
    results = [
        regress_chi2(each**2, size, ld[:, None], weight, counts, names=ref_ld.names, config=own)
        for each, size in zip(z, n, strict=True)
    ]
    fit = _covariance(z, n, ld, weight, float(counts[0]), results, own, cross_intercept)
    gcov = fit.transform(lambda value: value[..., :1] * counts[0])
    h2 = [each.jackknife.transform(lambda value: value[..., :1] * counts[0]) for each in results]
    free = cross_intercept is None
    rg, rg_se = _ratio(gcov, h2)
    ratio = None if rg is None or not rg_se else rg / rg_se
    return LDSCCorrelation(
        p1=first.trait,
        p2=second.trait,
        rg=rg,
        rg_se=rg_se,
        z=ratio,
        p=None if ratio is None else float(2 * scipy.stats.norm.sf(abs(ratio))),
        gcov=float(gcov.estimate[0]),
        gcov_se=float(gcov.standard_error[0]),
        gcov_int=float(fit.estimate[1]) if cross_intercept is None else cross_intercept,
        gcov_int_se=float(fit.standard_error[1]) if free else None,
        first=results[0],
        second=results[1],
        n_variants=int(z[0].size),
        mean_z1z2=float((z[0] * z[1]).mean()),
        notes=notes + (() if rg is not None else ("an h2 is not positive: rg does not exist.",)),
    )


def _joined_pair(
    first: SumStats, second: SumStats, ref_ld: LDScores, weight_ld: LDScores, config: LDSCConfig
) -> tuple[tuple[ndarray, ndarray], tuple[ndarray, ndarray], ndarray, ndarray, tuple[str, ...]]:
    """Both traits' z and n, and the LD scores, of the variants that all have; and notes.

    Raises:
        DataError: too few variants in common.
    """
    one, other, notes = align_pair(first, second)
    a, b = join_sumstats(one, ref_ld, weight_ld), join_sumstats(other, ref_ld, weight_ld)
    needed = max(MIN_VARIANTS, config.num_blocks)
    if a.z.size < needed or a.z.size != b.z.size:
        raise DataError(
            f"only {a.z.size} variants are in `{first.trait}`, `{second.trait}` and `{ref_ld.source}`, where {needed} are needed. Check that "
            "all name variants in the same way."
        )
    kept = np.ones(a.z.size, dtype=bool)
    if config.chi2_max is not None:
        kept = a.z**2 * b.z**2 < config.chi2_max**2
        notes += (f"{int((~kept).sum())} variants with z1^2 z2^2 >= {config.chi2_max:g}^2 were left out.",)
    z, n = (a.z[kept], b.z[kept]), (a.n[kept], b.n[kept])
    return z, n, a.ref_ld[kept, 0], a.weight_ld[kept], notes


def align_pair(first: SumStats, second: SumStats) -> tuple[SumStats, SumStats, tuple[str, ...]]:
    """Both traits at the variants that both have, the second's z for the first's effect alleles; and notes.

    By rsID and alleles: exchanged alleles and the other strand are recognised, palindromes and other alleles left out, as ldsc does.

    Raises:
        DataError: no variant in common.
    """
    pair = ("effect_allele", "other_allele")
    single = [each.table.unique("variant_id", keep="first", maintain_order=True) for each in (first, second)]
    joined = single[0].join(single[1], on="variant_id", suffix="_2", maintain_order="left")
    if joined.height == 0:
        raise DataError(
            f"`{first.trait}` and `{second.trait}` share no rsID. Check that both name variants in the same way."
        )
    A1, A2 = (pl.col(name) for name in pair)
    B1, B2 = (pl.col(f"{name}_2") for name in pair)
    C1, C2 = (complement_expr(f"{name}_2") for name in pair)
    same, exchanged = (
        (A1 == B1) & (A2 == B2) | (A1 == C1) & (A2 == C2),
        (A1 == B2) & (A2 == B1) | (A1 == C2) & (A2 == C1),
    )
    usable = joined.with_columns(turned=exchanged, kept=(same | exchanged) & ~palindromic_expr())
    matched = usable.filter("kept")
    sign = pl.when("turned").then(-1.0).otherwise(1.0)
    names = first.table.columns
    others = matched.select(
        *(
            pl.col(name) if name in ("variant_id", "chrom", "position", *pair) else pl.col(f"{name}_2").alias(name)
            for name in names
        )
    ).with_columns(z=matched.select(pl.col("z_2") * sign).to_series())
    note = (
        f"{matched.height:,} variants are in both (by rsID and alleles) of {first.table.height:,} and {second.table.height:,}; "
        f"{joined.height - matched.height:,} have other or palindromic alleles, {int(matched['turned'].sum()):,} exchanged ones were turned."
    )
    return SumStats(table=matched.select(names), trait=first.trait), SumStats(table=others, trait=second.trait), (note,)


def _covariance(
    z: tuple[ndarray, ndarray],
    n: tuple[ndarray, ndarray],
    ld: Float[ndarray, " variant"],
    weight_ld: Float[ndarray, " variant"],
    num_variants: float,
    results: list[LDSCResult],
    config: LDSCConfig,
    cross_intercept: float | None,
) -> BlockJackknife:
    """Slope (and intercept, unless given) of products of z on `sqrt(n1 n2) l`."""
    product, size = z[0] * z[1], np.sqrt(n[0] * n[1])
    scaled_ld = ld * size / size.mean()

    def weights(scores: ndarray, slope: float, level: float, rows: ndarray | slice = slice(None)) -> ndarray:
        return cross_weights(
            scores[rows],
            weight_ld[rows],
            (n[0][rows], n[1][rows]),
            h2=(results[0].h2, results[1].h2),
            intercepts=(results[0].intercept, results[1].intercept),
            covariance=num_variants * slope,
            cross_intercept=level,
            num_variants=num_variants,
        )

    level = 0.0 if cross_intercept is None else cross_intercept
    start = weights(ld, (product.mean() - level) / (size * ld).mean(), level)
    data = WeightedLD(ld[:, None], product, size, start)

    def fixed_update(slope: float, at: float) -> ndarray:
        return weights(ld, slope, at)

    if cross_intercept is not None or not config.two_step or config.intercept is not None:
        bounds = block_bounds(product.size, config.num_blocks)
        return fit_reweighted(data, bounds, fixed_update, intercept=cross_intercept)
    small = (z[0] ** 2 < config.two_step) & (z[1] ** 2 < config.two_step)
    free_update = partial(weights, scaled_ld)
    return fit_two_step(data, config.num_blocks, free_update, fixed_update, small=small)


def _ratio(gcov: BlockJackknife, h2: list[BlockJackknife]) -> tuple[float | None, float | None]:
    """gcov / sqrt(h2_1 h2_2) and its jackknife error."""
    if not min(float(each.estimate[0]) for each in h2) > 0:
        return None, None
    product = h2[0].delete_values * h2[1].delete_values
    value = gcov.estimate / np.sqrt(h2[0].estimate * h2[1].estimate)
    if not (product > 0).all():
        return float(value[0]), None
    ratio = BlockJackknife(estimate=value, delete_values=gcov.delete_values / np.sqrt(product))
    return float(value[0]), float(ratio.standard_error[0])
