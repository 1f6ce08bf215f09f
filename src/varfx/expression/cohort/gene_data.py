"""One gene as the linear models see it: individuals' dosages and adjusted expression, and who is in which part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float32, Float64
from numpy import ndarray

from varfx.errors import DataError
from varfx.expression.cohort.adjust import fit_adjustment
from varfx.expression.cohort.store import Cohort, Fold


@dataclass(frozen=True, kw_only=True, eq=False)
class GeneData:
    """A gene of a cohort in one fold.

    Attributes:
        gene_id: Ensembl id without version.
        X: counts of ALT (`effect_allele`); a missing one is the mean of the training individuals (0 if none has it).
        y: expression after `varfx.expression.cohort.adjust`, fitted on all training individuals of the fold.
        fold: rows of the training, tuning and test individuals.
        variants: one row per column of `X`; columns of `varfx.expression.cohort.store.VARIANTS_SCHEMA`.
    """

    gene_id: str
    X: Float32[ndarray, "individual variant"]
    y: Float64[ndarray, " individual"]
    fold: Fold
    variants: pl.DataFrame


def gene_data(
    cohort: Cohort, gene_id: str, fold_number: int, *, train_size: int | None = None, seed: int = 0
) -> GeneData:
    """A gene of a cohort in one fold; genes held out get the same treatment as those for training.

    Args:
        cohort: with the gene.
        gene_id: Ensembl id.
        fold_number: counted from 0.
        train_size: number of training individuals; all by default. The others are in no part, and nothing is learned from them but how
            expression is adjusted: what a model should predict does not depend on the size.
        seed: of the order in which training individuals are left out.

    Raises:
        DataError: the cohort does not have the gene, it has fewer training individuals, or its expression cannot be adjusted.
        StoreError: the cohort is damaged.
    """
    whole = cohort.fold(fold_number)
    fold = whole.thinned(train_size, seed)
    variants, _ = cohort.window_variants(gene_id)
    return GeneData(
        gene_id=cohort.gene(gene_id).gene_id,
        X=imputed(cohort.dosages(gene_id), fold),
        y=adjusted_expression(cohort, gene_id, whole),
        fold=fold,
        variants=variants,
    )


def adjusted_expression(cohort: Cohort, gene_id: str, fold: Fold) -> Float64[ndarray, " individual"]:
    """Expression of all individuals, adjusted by what the fold's training individuals show.

    Raises:
        DataError: it is constant in training individuals, or the covariates are too many for them; names the gene.
    """
    values = cohort.expression()[cohort.gene_row(gene_id)].astype(np.float64)
    covariates = None if cohort.covariates is None else cohort.covariates.T
    try:
        return fit_adjustment(values, covariates, fold.train, cohort.normalise).apply(values, covariates)
    except DataError as error:
        raise DataError(f"{gene_id}: {error}") from error


def imputed(dosages: ndarray, fold: Fold) -> Float32[ndarray, "individual variant"]:
    """Dosages (variant, individual; -1 missing) as floats, individuals first, gaps filled with the training individuals' mean."""
    known = dosages >= 0
    counts = np.where(known, dosages, 0)
    called = known[:, fold.train].sum(axis=1)
    means = counts[:, fold.train].sum(axis=1) / np.maximum(called, 1)
    return np.ascontiguousarray(np.where(known, counts, means[:, None]).T.astype(np.float32))
