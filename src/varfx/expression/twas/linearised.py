"""A network as linear models of variants, and how well they stand for it.

    prediction of an individual ~ f(reference) + sum over variants of dosage * ISM / 2

ISM is the effect of the homozygous exchange of one base on the reference. The approximation is the network's own where effects add up;
interactions of variants, and indels, are not in it. So it is compared with the network's predictions of the run's individuals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from varfx.errors import DataError
from varfx.expression.cohort.gene_data import imputed
from varfx.expression.cohort.store import Cohort
from varfx.expression.linear.run import chosen_genes
from varfx.expression.run import PREDICTION_SCHEMA, WEIGHT_SCHEMA, ExpressionRun
from varfx.expression.twas.from_run import LinearModels
from varfx.expression.variants.config import VariantConfig
from varfx.expression.variants.score import score_variants
from varfx.expression.variants.table import LONG_KIND
from varfx.expression.weights import aligned_weights
from varfx.io import sealed
from varfx.progress import Progress, silent

POOR = 0.9  # correlation below which the approximation should not be used for a gene


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How well an approximation stands for a network.

    Attributes:
        r: correlation of both predictions over individuals per gene; NaN where one of them is constant.
        individuals: with predictions, tuning and test.
        fold: whose network.
        indels: whether the network reads indels, which the approximation leaves out.
    """

    r: Mapping[str, float]
    individuals: int
    fold: int
    indels: bool

    def by_gene(self) -> dict[str, float]:
        """The correlation per gene."""
        return dict(self.r)

    def of(self, genes: Sequence[str]) -> Agreement:
        """The agreement of some genes."""
        return Agreement(
            r={gene: self.r[gene] for gene in genes}, individuals=self.individuals, fold=self.fold, indels=self.indels
        )

    def words(self) -> str:
        """What a user should know."""
        known = np.array([value for value in self.r.values() if np.isfinite(value)])
        start = "these weights are a linear approximation of the network (half of each variant's in-silico mutagenesis per copy of ALT)"
        without = ", without its indels" if self.indels else ""
        if not known.size:
            return f"{start}{without}; predictions are constant, so that it could not be compared with the network"
        low, middle, high = np.quantile(known, [0, 0.5, 1])
        constant = f"; {len(self.r) - known.size} genes are predicted constant" if known.size < len(self.r) else ""
        return (
            f"{start}{without}. Correlation with the network over {self.individuals} individuals of fold {self.fold}: median {middle:.3f} of {known.size} "
            f"genes ({low:.3f} to {high:.3f}); below {POOR:g} in {int((known < POOR).sum())}{constant}"
        )

    def about(self) -> dict[str, str]:
        """Rows of the table `varfx` of a PredictDB file."""
        return {
            "approximation": self.words(),
            "linearised.individuals": str(self.individuals),
        }


def linearised(
    run: ExpressionRun,
    cohort: Cohort,
    fold: int,
    genes: Sequence[str] = (),
    *,
    scores: Path | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> tuple[LinearModels, Agreement]:
    """Linear models that stand for the network of a fold, with its agreement; their name is the network's with `-linearised`.

    Args:
        run: of `varfx expr fit`.
        cohort: the run's.
        fold: of the run.
        genes: ids; all of the run if empty.
        scores: table of `varfx expr variants --long` of the run and fold; by default variants are scored now.
        device: where mutagenesis is computed.
        progress: told about genes.

    Raises:
        DataError: scores of another run or fold, or that lack a gene.
        VarfxError: see `score_variants`.
    """
    (name,) = run.record["models"]
    wanted = chosen_genes(cohort, genes or run.record["genes"])
    table = (
        _given(scores, run, fold, wanted)
        if scores is not None
        else score_variants(
            run.path, VariantConfig(genes=wanted, fold=fold, gradients="none", device=device), cohort=cohort.path, progress=progress
        ).table
    )  # fmt: skip
    snvs = table.filter(pl.col("weight").is_finite() & (pl.col("ism").is_not_null()))
    snvs = snvs.filter((pl.col("effect_allele").str.len_chars() == 1) & (pl.col("other_allele").str.len_chars() == 1))
    model = f"{name}-linearised"
    theirs = run.predictions.filter(pl.col("fold") == fold)
    parts = theirs.partition_by("gene_id", as_dict=True, maintain_order=True)
    predictions, r = [], {}
    for (gene,), own in snvs.partition_by("gene_id", as_dict=True, maintain_order=True).items():
        part = parts.get((gene,))
        if part is None:
            continue
        ours = _predicted(cohort, fold, str(gene), own, part["person"].to_list())
        predictions.append(part.with_columns(model=pl.lit(model), prediction=pl.Series(ours).cast(pl.Float32)))
        r[str(gene)] = _correlation(ours, part["prediction"].to_numpy().astype(np.float64))
    if not predictions:
        raise DataError(
            f"`{run.path}`: none of {len(wanted)} genes has predictions and scored variants in fold {fold}."
        )
    weights = snvs.filter((pl.col("weight") != 0) & pl.col("gene_id").is_in(list(r))).with_columns(model=pl.lit(model))
    models = LinearModels(
        path=run.path,
        genes=wanted,
        models=(model,),
        weights=weights.select(list(WEIGHT_SCHEMA)),
        predictions=pl.concat(predictions).select(list(PREDICTION_SCHEMA)),
        intercepts=None,
    )
    return models, Agreement(
        r=r, individuals=theirs["person"].n_unique(), fold=fold, indels=bool(run.record["config"].get("indels"))
    )


def _given(path: Path, run: ExpressionRun, fold: int, genes: Sequence[str]) -> pl.DataFrame:
    """The table of scores, checked to be of the run and fold."""
    table, metadata = sealed.read_table(path, kind=LONG_KIND)
    of = metadata.get("provenance", {}).get("inputs", {}).get("run", {}).get("sha256")
    if of != sealed.checksum(run.path):
        raise DataError(f"`{path}` scores another run than `{run.path}`. Make it with `varfx expr variants {run.path.name} --long`.")  # fmt: skip
    folds = set(table["fold"])
    if folds != {fold}:
        raise DataError(f"`{path}` has scores of fold {', '.join(map(str, sorted(folds)))}, and fold {fold} is exported. Give --fold.")  # fmt: skip
    absent = [gene for gene in genes if gene not in set(table["gene_id"])]
    if absent:
        raise DataError(
            f"`{path}` lacks {len(absent)} of {len(genes)} genes, first {absent[0]}. Score them, or name others with --genes."
        )
    return table.filter(pl.col("gene_id").is_in(list(genes)))


def _predicted(cohort: Cohort, fold: int, gene: str, scored: pl.DataFrame, people: Sequence[str]) -> np.ndarray:
    """The approximation for individuals, less the prediction for the reference."""
    variants, _ = cohort.window_variants(gene)
    row = {name: place for place, name in enumerate(cohort.people)}
    X = imputed(cohort.dosages(gene), cohort.fold(fold))[[row[name] for name in people]].astype(np.float64)
    return np.asarray(X @ aligned_weights(variants, scored))


def _correlation(ours: np.ndarray, theirs: np.ndarray) -> float:
    if ours.size < 3 or not np.isfinite(theirs).all() or not np.ptp(ours) > 0 or not np.ptp(theirs) > 0:
        return float("nan")
    return float(np.corrcoef(ours, theirs)[0, 1])
