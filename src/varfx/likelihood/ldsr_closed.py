"""LD score regression in closed form: weighted least squares with a block jackknife. Arrays only.

The model is linear in what is estimated, so that the squared loss of the `ldsr` objective has a closed minimum for the
constant and the linear variance model:

    E[chi2_j] = n_j sum_c tau_c l_jc + a,      l_jc = sum_k r_jk^2 annot_c(k)

with one coefficient `tau_c` per annotation column (a variant's variance is f_k = sum_c tau_c annot_c(k)) and the
intercept `a` (sigma2 in the rest of varfx). Sources: Bulik-Sullivan et al. 2015 and its supplementary note (model,
weights), Finucane et al. 2015 (several annotations), Busing, Meijer & van der Leeden 1999 (jackknife by blocks).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from varfx.errors import DataError

NUM_REWEIGHTINGS = 2
MAX_CONDITION = 1e12  # of the normal equations with unit diagonal; beyond it float64 keeps fewer than 4 digits


@dataclass(frozen=True, kw_only=True, eq=False)
class BlockJackknife:
    """An estimate and its sampling error, seen by leaving out one block of variants at a time.

    Attributes:
        estimate: from all variants.
        delete_values: the same without each block in turn.
    """

    estimate: Float[ndarray, " coefficient"]
    delete_values: Float[ndarray, "block coefficient"]

    @property
    def covariance(self) -> Float[ndarray, "coefficient coefficient"]:
        """Covariance of the pseudo-values `B estimate - (B-1) delete_values`, divided by the number of blocks B."""
        blocks = self.delete_values.shape[0]
        pseudo = blocks * self.estimate - (blocks - 1) * self.delete_values
        covariance: ndarray = np.atleast_2d(np.cov(pseudo, rowvar=False)) / blocks
        return covariance

    @property
    def standard_error(self) -> Float[ndarray, " coefficient"]:
        """Square roots of the diagonal of `covariance`."""
        return np.sqrt(np.diag(self.covariance))

    def transform(self, function: Callable[[ndarray], ndarray]) -> BlockJackknife:
        """The jackknife of a function of the coefficients, one that maps (..., coefficient) to (..., value)."""
        return BlockJackknife(estimate=function(self.estimate), delete_values=function(self.delete_values))


def block_bounds(num_rows: int, num_blocks: int) -> Int[ndarray, " bound"]:
    """Bounds of contiguous blocks of nearly equal size: floor(k num_rows / num_blocks) for k = 0 to num_blocks.

    Raises:
        DataError: fewer than 2 blocks, or more blocks than rows.
    """
    if not 2 <= num_blocks <= num_rows:
        raise DataError(
            f"`num_blocks` must be from 2 to the number of variants, {num_rows}, but is {num_blocks}. "
            "Give another number of blocks, or more variants."
        )
    return np.floor(np.linspace(0, num_rows, num_blocks + 1)).astype(np.int64)


def weighted_least_squares(
    design: Float[ndarray, "row coefficient"], response: Float[ndarray, " row"], weights: Float[ndarray, " row"]
) -> Float[ndarray, " coefficient"]:
    """The b that minimises sum_j w_j (y_j - x_j' b)^2, from the normal equations.

    Raises:
        DataError: shapes that disagree, values that are not finite, weights that are not positive, collinear columns.
    """
    _check_rows(design, response, weights)
    weighted = design * weights[:, None]
    gram = design.T @ weighted
    _check_rank(gram[None], "all variants")
    return np.linalg.solve(gram, weighted.T @ response)


def jackknife_least_squares(
    design: Float[ndarray, "row coefficient"],
    response: Float[ndarray, " row"],
    weights: Float[ndarray, " row"],
    bounds: Int[ndarray, " bound"],
) -> BlockJackknife:
    """`weighted_least_squares` of all rows, and again without each block of rows.

    The normal equations are summed once per block, so that leaving one out costs a solve of their small size.

    Args:
        design: x, one row per variant.
        response: y.
        weights: positive; kept fixed when a block is left out.
        bounds: ascending, from 0 to the number of rows: block k holds rows bounds[k] to bounds[k+1] - 1.

    Raises:
        DataError: as `weighted_least_squares`, also where the columns are collinear without one of the blocks.
    """
    _check_rows(design, response, weights)
    weighted = design * weights[:, None]
    spans = list(itertools.pairwise(bounds))
    gram = np.stack([design[start:end].T @ weighted[start:end] for start, end in spans])
    moment = np.stack([weighted[start:end].T @ response[start:end] for start, end in spans])
    total_gram, total_moment = gram.sum(axis=0), moment.sum(axis=0)
    _check_rank(total_gram[None], "all variants")
    _check_rank(total_gram - gram, "the variants that stay when a block is left out")
    return BlockJackknife(
        estimate=np.linalg.solve(total_gram, total_moment),
        delete_values=np.linalg.solve(total_gram - gram, (total_moment - moment)[:, :, None])[:, :, 0],
    )


@dataclass(frozen=True, eq=False)
class WeightedLD:
    """Data of a regression on LD scores, one row per variant in genome order.

    Attributes:
        ld_scores: l_jc, one column per annotation; a single column of plain LD scores is the constant model.
        chi2: squared z, or the product of two traits' z.
        n: sample size.
        weights: any; `ldsc_weights` gives LDSC's. The paper's (B.6) are 1 / [l_j (n h2 l_j / M + 1)^2].
    """

    ld_scores: Float[ndarray, "variant annotation"]
    chi2: Float[ndarray, " variant"]
    n: Float[ndarray, " variant"]
    weights: Float[ndarray, " variant"]

    def rows(self, kept: Bool[ndarray, " variant"]) -> WeightedLD:
        """The variants of a mask."""
        return WeightedLD(self.ld_scores[kept], self.chi2[kept], self.n[kept], self.weights[kept])


def fit_ldsr_linear(
    data: WeightedLD, bounds: Int[ndarray, " bound"], *, intercept: float | None = None
) -> BlockJackknife:
    """The minimum over (tau, a) of sum_j w_j (chi2_j - n_j sum_c tau_c l_jc - a)^2, with its jackknife.

    Args:
        data: LD scores, chi2, n and weights.
        bounds: of the jackknife's blocks, from `block_bounds`.
        intercept: a known `a`; None estimates it.

    Returns:
        tau (heritability per variant and unit of annotation), followed by the intercept unless it was given.
    """
    mean_n, chi2 = float(np.mean(data.n)), data.chi2
    scaled = data.ld_scores * (data.n / mean_n)[:, None]  # by the mean n, so that the columns have similar magnitudes
    if intercept is None:
        fit = jackknife_least_squares(np.column_stack([scaled, np.ones_like(chi2)]), chi2, data.weights, bounds)
    else:
        fit = jackknife_least_squares(scaled, chi2 - intercept, data.weights, bounds)
    scale = np.ones(fit.estimate.size)
    scale[: data.ld_scores.shape[1]] = 1.0 / mean_n
    return fit.transform(lambda coefficients: coefficients * scale)


def ldsc_weights(
    total_ld: Float[ndarray, " variant"],
    weight_ld: Float[ndarray, " variant"],
    n: Float[ndarray, " variant"],
    *,
    h2: float,
    num_variants: float,
    intercept: float,
) -> Float[ndarray, " variant"]:
    """LDSC's weights: one over the variance of chi2, and over how often the same stretch of LD is counted.

        w_j = 1 / [2 (a + n_j h2 l_j / M)^2] / l_w,j                   Bulik-Sullivan et al. 2015, supplementary note

    Args:
        total_ld: l_j, summed over annotations; values below 1 count as 1.
        weight_ld: l_w, LD scores over the variants of the regression; values below 1 count as 1.
        n: sample size.
        h2: a guess of the heritability; brought into 0 to 1.
        num_variants: M, the number of variants that `h2` is spread over.
        intercept: a.
    """
    slope = n * min(max(h2, 0.0), 1.0) / num_variants
    expected = intercept + slope * np.maximum(total_ld, 1.0)
    weights: ndarray = 1.0 / (2.0 * expected**2 * np.maximum(weight_ld, 1.0))
    return weights


def cross_weights(
    total_ld: Float[ndarray, " variant"],
    weight_ld: Float[ndarray, " variant"],
    n: tuple[Float[ndarray, " variant"], Float[ndarray, " variant"]],
    *,
    h2: tuple[float, float],
    intercepts: tuple[float, float],
    covariance: float,
    cross_intercept: float,
    num_variants: float,
) -> Float[ndarray, " variant"]:
    """LDSC's weights of products of two traits' z: one over their variance and over how often LD is counted.

        w_j = 1 / [(a_1 + n_1j h1 l_j / M) (a_2 + n_2j h2 l_j / M) + (a_12 + sqrt(n_1j n_2j) rho l_j / M)^2] / l_w,j

    Bulik-Sullivan et al. 2015, Nature Genetics 47:1236, supplementary note.

    Args:
        total_ld: l_j; values below 1 count as 1.
        weight_ld: l_w; values below 1 count as 1.
        n: sample sizes of both traits.
        h2: their heritabilities, brought into 0 to 1.
        intercepts: a_1 and a_2.
        covariance: a guess of the genetic covariance rho, brought into -1 to 1.
        cross_intercept: a_12.
        num_variants: M.
    """
    ld = np.maximum(total_ld, 1.0) / num_variants
    first, second = (
        level + size * min(max(each, 0.0), 1.0) * ld for level, size, each in zip(intercepts, n, h2, strict=True)
    )
    cross = cross_intercept + np.sqrt(n[0] * n[1]) * min(max(covariance, -1.0), 1.0) * ld
    weights: ndarray = 1.0 / ((first * second + cross**2) * np.maximum(weight_ld, 1.0))
    return weights


def fit_reweighted(
    data: WeightedLD,
    bounds: Int[ndarray, " bound"],
    reweight: Callable[[float, float], Float[ndarray, " variant"]],
    *,
    intercept: float | None = None,
) -> BlockJackknife:
    """The constant model after two updates of the weights from its own fit (iteratively reweighted least squares).

    Args:
        data: LD scores of one annotation, chi2, n, and weights to start with.
        bounds: of the jackknife's blocks; the weights stay as they are when a block is left out.
        reweight: weights from (tau, intercept).
        intercept: a known intercept, or None.

    Returns:
        tau and, unless given, the intercept.
    """
    halves = block_bounds(data.chi2.size, 2)
    for _ in range(NUM_REWEIGHTINGS):
        now = fit_ldsr_linear(data, halves, intercept=intercept).estimate
        weights = reweight(float(now[0]), float(now[1]) if intercept is None else intercept)
        data = replace(data, weights=weights)
    return fit_ldsr_linear(data, bounds, intercept=intercept)


def fit_two_step(
    data: WeightedLD,
    num_blocks: int,
    free_update: Callable[[float, float, Bool[ndarray, " variant"]], Float[ndarray, " kept"]],
    fixed_update: Callable[[float, float], Float[ndarray, " variant"]],
    *,
    small: Bool[ndarray, " variant"],
) -> BlockJackknife:
    """LDSC's two-step estimator: the intercept from the variants with small chi2, then the slope from all.

    Large associations would drag the intercept; small ones alone would bias the slope. Blocks are equal in number of
    *small* variants, and a block of the second step spans the same stretch of the genome. A delete value of the slope
    must also follow the intercept that its block would have had; to first order this moves it by

        tau_(k) - c (a_(k) - a) ,     c = sum_j w_j x_j / sum_j w_j x_j^2,   x_j = n_j l_j

    (the derivative of the slope with respect to a fixed intercept), with the starting weights w in c, as LDSC has it.

    Args:
        data: LD scores of one annotation, chi2, n, and weights to start with.
        num_blocks: of the jackknife.
        free_update: weights of the variants in a mask from (tau, intercept, mask), for the first step.
        fixed_update: weights of all variants from (tau, intercept), for the second step.
        small: variants of the first step.

    Returns:
        tau and the intercept.
    """
    first_bounds = block_bounds(int(small.sum()), num_blocks)
    first = fit_reweighted(data.rows(small), first_bounds, lambda tau, level: free_update(tau, level, small))
    intercept = float(first.estimate[1])
    second_bounds = np.concatenate([[0], np.flatnonzero(small)[first_bounds[1:-1]], [small.size]])
    second = fit_reweighted(data, second_bounds, fixed_update, intercept=intercept)
    x = data.n * data.ld_scores[:, 0]
    slope_per_intercept = (data.weights * x).sum() / (data.weights * x**2).sum()
    moved = second.delete_values[:, 0] - slope_per_intercept * (first.delete_values[:, 1] - intercept)
    return BlockJackknife(
        estimate=np.array([second.estimate[0], intercept]),
        delete_values=np.column_stack([moved, first.delete_values[:, 1]]),
    )


def _check_rows(design: ndarray, response: ndarray, weights: ndarray) -> None:
    if design.ndim != 2 or response.shape != design.shape[:1] or weights.shape != design.shape[:1]:
        raise DataError(
            "`design` must have a row for each value of `response` and `weights`, but their shapes are "
            f"{design.shape}, {response.shape} and {weights.shape}."
        )
    good = np.isfinite(design).all(axis=1) & np.isfinite(response) & np.isfinite(weights) & (weights > 0)
    bad = np.flatnonzero(~good)
    if bad.size:
        raise DataError(
            f"LD scores, chi2 and weights must be finite and weights positive: {bad.size} of {good.size} variants are "
            f"not, first row {bad[0]} (weight {weights[bad[0]]:g}). Remove these variants."
        )


def _check_rank(gram: Float[ndarray, "case coefficient coefficient"], what: str) -> None:
    diagonal = np.sqrt(np.einsum("kii->ki", gram))
    scale = np.where(diagonal > 0, diagonal, 1.0)
    condition = float(np.linalg.cond(gram / scale[:, :, None] / scale[:, None, :]).max())
    if not condition < MAX_CONDITION:
        raise DataError(
            f"the {gram.shape[1]} coefficients cannot be told apart from {what}: the LD scores of the annotations "
            f"(and the intercept) are collinear, condition number {condition:.1e}. Leave out an annotation, or give "
            "more variants or fewer blocks."
        )
