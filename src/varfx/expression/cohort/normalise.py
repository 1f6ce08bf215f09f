"""Expression from counts and TPM in the order of GTEx v8: mask, TMM on all genes, counts per million.

The inverse-normal transform, GTEx's last step, is fitted per fold (`varfx.expression.cohort.adjust`). The mask and the TMM
factors are computed from all samples: neither looks at genotypes, and a sample's factor uses its own counts and those of
the reference sample. TMM: Robinson and Oshlack (2010), as edgeR's `calcNormFactors`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray
from scipy.stats import rankdata

from varfx.errors import DataError
from varfx.expression.cohort.tables import Expression

TRIM_RATIO, TRIM_ABUNDANCE = 0.3, 0.05
_MILLION = 1e-3  # by which the sum of rounded TPM may differ from a million
_SAME = 1e-6  # samples whose log2 ratios are all below this have factor 1


def refuse_exchanged(counts: Expression, tpm: Expression) -> None:
    """Refuses TPM as counts: tables that were exchanged, or one that was given twice.

    TPM of all genes sum to a million in every sample, within `_MILLION` for rounding; libraries differ by far more.

    Raises:
        DataError: the table of counts sums so, or holds fractions where that of TPM holds whole numbers, or both are the same.
    """
    C, T = (np.nan_to_num(table.values) for table in (counts, tpm))
    if not C.size:
        return
    files = f"`{counts.source}` (counts) and `{tpm.source}` (TPM)"
    if np.array_equal(C, T):
        raise DataError(f"{files} hold the same values. Give counts as --counts and TPM as --tpm.")
    as_tpm = bool((np.abs(C.sum(axis=0) / 1e6 - 1) < _MILLION).all())
    whole = [bool((values == np.rint(values)).all()) for values in (C, T)]
    if as_tpm or whole == [False, True]:
        what = "sums to a million in every sample" if as_tpm else "holds fractions, and the second whole numbers"
        raise DataError(f"{files} seem to be exchanged: the first {what}. Give counts as --counts and TPM as --tpm.")


def expressed(
    counts: Float64[ndarray, "gene sample"],
    tpm: Float64[ndarray, "gene sample"],
    *,
    least_count: float = 6,
    least_tpm: float = 0.1,
    share: float = 0.2,
) -> Bool[ndarray, " gene"]:
    """Genes with TPM of at least `least_tpm`, and counts of at least `least_count`, in a share of the samples each."""
    needed = share * counts.shape[1]
    return np.asarray(((tpm >= least_tpm).sum(axis=1) >= needed) & ((counts >= least_count).sum(axis=1) >= needed))


def tmm_factors(counts: Float64[ndarray, "gene sample"]) -> Float64[ndarray, " sample"]:
    """TMM factors of the library sizes, with geometric mean 1.

    The reference is the sample whose upper quartile (of shares) is nearest to the mean. Each factor is 2 to the mean log
    ratio to the reference, weighted by inverse variances, without the 30 % of genes with the most extreme ratios and the
    5 % with the most extreme abundances at either end.

    Raises:
        DataError: a sample without counts, or a count that is not finite or is negative.
    """
    if not (np.isfinite(counts).all() and (counts >= 0).all()):
        raise DataError("`counts` must be finite and not negative. Give raw counts.")
    size = counts.sum(axis=0)
    if not (size > 0).all():
        raise DataError(f"`counts`: {np.count_nonzero(size == 0)} of {size.size} samples have none. Leave them out.")
    counts = counts[(counts > 0).any(axis=1)]
    quartile = np.quantile(counts / size, 0.75, axis=0)
    if np.median(quartile) < 1e-20:
        reference = int(np.argmax(np.sqrt(counts).sum(axis=0)))
    else:
        reference = int(np.argmin(np.abs(quartile - quartile.mean())))
    logs = [_log2_factor(counts[:, k], counts[:, reference], size[k], size[reference]) for k in range(size.size)]
    return np.asarray(2.0 ** (np.array(logs) - np.mean(logs)))


def counts_per_million(
    counts: Float64[ndarray, "gene sample"], factors: Float64[ndarray, " sample"]
) -> Float64[ndarray, "gene sample"]:
    """Counts per million of the library sizes times their factors."""
    return np.asarray(counts / (counts.sum(axis=0) * factors) * 1e6)


def _log2_factor(
    y: Float64[ndarray, " gene"], reference: Float64[ndarray, " gene"], size: float, reference_size: float
) -> float:
    both = (y > 0) & (reference > 0)
    p, q = y[both] / size, reference[both] / reference_size
    ratio, abundance = np.log2(p / q), np.log2(p * q) / 2
    if not ratio.size or np.abs(ratio).max() < _SAME:
        return 0.0
    weight = 1 / ((1 - p) / y[both] + (1 - q) / reference[both])
    kept = _untrimmed(ratio, TRIM_RATIO) & _untrimmed(abundance, TRIM_ABUNDANCE)
    total = float(weight[kept].sum())
    return float((ratio[kept] * weight[kept]).sum() / total) if total > 0 else 0.0


def _untrimmed(values: Float64[ndarray, " gene"], share: float) -> Bool[ndarray, " gene"]:
    first = np.floor(values.size * share) + 1
    rank = rankdata(values)
    return np.asarray((rank >= first) & (rank <= values.size + 1 - first))
