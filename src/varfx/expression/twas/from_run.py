"""Models of a linear run with what exports say beside: allele frequencies, covariances, and performance in test individuals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float64
from numpy import ndarray
from scipy.stats import pearsonr

from varfx.errors import DataError
from varfx.expression.cohort.gene_data import adjusted_expression, imputed
from varfx.expression.cohort.store import Cohort
from varfx.expression.linear.run import chosen_genes
from varfx.expression.run import ExpressionRun
from varfx.expression.twas.models import GENES_SCHEMA, WEIGHTS_SCHEMA
from varfx.expression.weights import aligned_weights


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearModels:
    """Linear models of a cohort's genes: those of a run, or what stands for a network.

    Attributes:
        path: of the run, for messages.
        genes: ids of the run's.
        models: names.
        weights: columns of `varfx.expression.run.WEIGHT_SCHEMA`, weights that are not 0.
        predictions: columns of `varfx.expression.run.PREDICTION_SCHEMA`, of the models.
        intercepts: columns of `varfx.expression.run.INTERCEPT_SCHEMA`; None where nothing is assumed.
    """

    path: Path
    genes: tuple[str, ...]
    models: tuple[str, ...]
    weights: pl.DataFrame
    predictions: pl.DataFrame
    intercepts: pl.DataFrame | None


@dataclass(frozen=True, kw_only=True, eq=False)
class ExportedGene:
    """One gene of a run.

    Attributes:
        gene: id.
        chrom: without "chr".
        genes: a row per model; columns of `varfx.expression.twas.models.GENES_SCHEMA`.
        variants: those with a weight in any model: columns of `varfx.genome.variants.SCHEMA`; `eaf` in the training individuals.
        weights: per copy of the effect allele, (variant, model).
        covariance: of the variants' dosages in the training individuals.
        h2: that a model assumed; NaN where none did.
    """

    gene: str
    chrom: str
    genes: pl.DataFrame
    variants: pl.DataFrame
    weights: Float64[ndarray, "variant model"]
    covariance: Float64[ndarray, "variant variant"]
    h2: float

    def table(self, model: str) -> pl.DataFrame:
        """Columns of `varfx.expression.twas.models.WEIGHTS_SCHEMA` of one model, weights that are not 0."""
        values = pl.Series(self.weights[:, self.genes["model"].to_list().index(model)])
        table = self.variants.with_columns(gene=pl.lit(self.gene), weight=values)
        return table.select(*WEIGHTS_SCHEMA).filter(pl.col("weight") != 0)


def linear_models(run: ExpressionRun) -> LinearModels:
    """The linear models of a run of `varfx expr baseline`.

    Raises:
        DataError: a run without weights.
    """
    weights = run.weights
    models = [] if weights is None else [name for name in run.record["models"] if name in set(weights["model"])]
    if weights is None or not models:
        raise DataError(f"`{run.path}` has no weights of variants. Fit it without --no-weights.")
    return LinearModels(
        path=run.path,
        genes=tuple(run.record["genes"]),
        models=tuple(models),
        weights=weights,
        predictions=run.predictions,
        intercepts=run.intercepts,
    )


def exported_genes(
    source: LinearModels, cohort: Cohort, models: Sequence[str], fold: int, genes: Sequence[str]
) -> list[ExportedGene]:
    """Genes with a weight in some model.

    Args:
        source: the models.
        cohort: the run's.
        models: some of the source's.
        fold: whose weights.
        genes: ids; all of the source if empty.

    Raises:
        DataError: no gene has a weight.
    """
    wanted = chosen_genes(cohort, genes or source.genes)
    parts = source.weights.filter(pl.col("fold") == fold).partition_by("gene_id", as_dict=True)
    tested = source.predictions.filter(pl.col("part") == "test").partition_by("gene_id", as_dict=True)
    found = [
        _exported(source, cohort, gene, models, fold, parts[gene,], tested[gene,])
        for gene in wanted
        if (gene,) in parts
    ]
    found = [each for each in found if each.variants.height]
    if not found:
        raise DataError(
            f"`{source.path}`: none of {len(wanted)} genes has a weight in {', '.join(models)} of fold {fold}."
        )
    return found


def _exported(
    source: LinearModels,
    cohort: Cohort,
    gene: str,
    models: Sequence[str],
    fold: int,
    weights: pl.DataFrame,
    tested: pl.DataFrame,
) -> ExportedGene:
    variants, _ = cohort.window_variants(gene)
    train = cohort.fold(fold).train
    values = np.column_stack([aligned_weights(variants, weights.filter(pl.col("model") == model)) for model in models])
    kept = np.flatnonzero(values.any(axis=1))
    X = imputed(cohort.dosages(gene)[kept], cohort.fold(fold))[train].astype(np.float64)
    rows = [_performance(cohort, gene, model, tested.filter(pl.col("model") == model)) for model in models]
    records = [
        (gene, cohort.gene(gene).name, model, r2, p, train.size) for model, (r2, p) in zip(models, rows, strict=True)
    ]
    return ExportedGene(
        gene=gene,
        chrom=cohort.gene(gene).chrom,
        genes=pl.DataFrame(records, schema=GENES_SCHEMA, orient="row"),
        variants=variants[kept].with_columns(eaf=X.mean(axis=0) / 2),
        weights=values[kept],
        covariance=np.atleast_2d(np.cov(X, rowvar=False)) if kept.size else np.zeros((0, 0)),
        h2=_assumed_h2(source.intercepts, gene, fold),
    )


def _performance(cohort: Cohort, gene: str, model: str, tested: pl.DataFrame) -> tuple[float, float]:
    """R2 and one-sided p of the correlation with expression in the test individuals of all folds; 0 and 1 if it is not positive."""
    place = {name: row for row, name in enumerate(cohort.people)}
    observed, predicted = [], []
    for (number,), part in tested.partition_by("fold", as_dict=True, maintain_order=True).items():
        y = adjusted_expression(cohort, gene, cohort.fold(int(number)))
        observed.append(y[[place[name] for name in part["person"]]])
        predicted.append(part["prediction"].to_numpy().astype(np.float64))
    if not observed:
        return float("nan"), float("nan")
    y, x = np.concatenate(observed), np.concatenate(predicted)
    if y.size < 3 or np.ptp(x) <= 1e-6 * np.abs(x).max() or not np.isfinite(x).all():
        return 0.0, 1.0
    found = pearsonr(x, y, alternative="greater")
    return float(max(found.statistic, 0.0) ** 2), float(found.pvalue) if found.statistic > 0 else 1.0


def _assumed_h2(table: pl.DataFrame | None, gene: str, fold: int) -> float:
    if table is None:
        return float("nan")
    values = table.filter((pl.col("gene_id") == gene) & (pl.col("fold") == fold))["h2"].to_numpy()
    known = values[np.isfinite(values)]
    return float(known[0]) if known.size else float("nan")
