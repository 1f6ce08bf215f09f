"""Genes for a sequence model, chosen by how well a linear model predicts them (Variformer, Methods, "Selection of train and test genes").

The range of R2 among the training genes is cut into bins of equal width. From the top bin on, `per_bin` genes are drawn from each; what a bin
lacks is drawn from the next. Held-out genes are those with R2 of at least `heldout_min_r2`, the best first.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float64, Int64
from numpy import ndarray

from varfx.errors import DataError
from varfx.expression.cohort.gene_data import adjusted_expression
from varfx.expression.cohort.store import Cohort
from varfx.expression.run import open_run
from varfx.expression.selection_config import SelectionConfig
from varfx.expression.transfer.predict import home_cohort
from varfx.progress import Progress, silent
from varfx.short_repr import short_repr

ROLES = ("train", "held-out")


@dataclass(frozen=True, eq=False)
class SelectedGenes:
    """A choice of genes.

    Attributes:
        table: of all genes with an R2: `gene_id`, `gene_set` (training or held-out), `r2`, `bin` (0 is the lowest; of training genes) and
            `chosen` (train, held-out, or null).
        notes: what the user should know.
    """

    __repr__ = short_repr

    table: pl.DataFrame
    notes: tuple[str, ...]

    @property
    def genes(self) -> tuple[str, ...]:
        """Ids of the chosen genes, those to train on first, the highest R2 first."""
        return tuple(
            gene
            for role in ROLES
            for gene in self.table.filter(pl.col("chosen") == role).sort("r2", "gene_id", descending=[True, False])[
                "gene_id"
            ]
        )


def select_genes(
    run: str | os.PathLike[str],
    config: SelectionConfig | None = None,
    *,
    cohort: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> SelectedGenes:
    """Chooses genes by the R2 of a linear model.

    Args:
        run: of `varfx expr baseline`.
        config: the rule.
        cohort: where the run's cohort lies, if it moved.
        progress: told about each gene.

    Raises:
        DataError: the run has no predictions of the model in the fold, or no training gene.
        StoreError: the run or its cohort is damaged, or the cohort another one.
    """
    config = config or SelectionConfig()
    opened = open_run(run)
    if config.model not in opened.record["models"] or config.fold not in opened.record["folds"]:
        raise DataError(
            f"`{run}` has models {', '.join(opened.record['models'])} in folds {', '.join(map(str, opened.record['folds']))}, but not "
            f"{config.model} in fold {config.fold}. Choose with --model and --fold."
        )
    home = home_cohort(opened, cohort)
    rows = opened.predictions.filter(
        (pl.col("model") == config.model) & (pl.col("fold") == config.fold) & (pl.col("part") == config.part)
    )
    table = _scores(home, rows, config, progress)
    training = table["gene_set"].to_numpy() == "training"
    if not training.any():
        raise DataError(f"`{run}` has no training gene with an R2 of {config.model}. Fit it on more genes.")
    r2 = table["r2"].to_numpy()
    chosen = np.full(table.height, None, dtype=object)
    place, edges = bins_of(r2[training], config.bins)
    drawn = draw_from_top(place, config.bins, config.per_bin, np.random.default_rng(config.seed))
    chosen[np.flatnonzero(training)[drawn]] = ROLES[0]
    best = np.flatnonzero(~training & (r2 >= config.heldout_min_r2))
    chosen[best[np.argsort(-r2[best], kind="stable")][: config.heldout]] = ROLES[1]
    bins = np.full(table.height, None, dtype=object)
    bins[training] = place.tolist()
    table = table.with_columns(
        bin=pl.Series(bins.tolist(), dtype=pl.Int64), chosen=pl.Series(chosen.tolist(), dtype=pl.String)
    )
    wanted, counts = config.bins * config.per_bin, np.bincount(place, minlength=config.bins)
    notes = [f"bins of R2 from {edges[0]:.3f} to {edges[-1]:.3f} hold {', '.join(map(str, counts))} training genes"]
    if drawn.size < wanted:
        notes.append(f"{drawn.size} training genes were chosen, not {wanted}: there are no more")
    return SelectedGenes(table, tuple(notes))


def bins_of(r2: Float64[ndarray, " gene"], count: int) -> tuple[Int64[ndarray, " gene"], Float64[ndarray, " edge"]]:
    """The bin of each gene, of equal width between the smallest and the largest R2, and the bins' bounds."""
    edges = np.linspace(r2.min(), r2.max(), count + 1)
    return np.clip(np.searchsorted(edges, r2, side="right") - 1, 0, count - 1), edges


def draw_from_top(
    place: Int64[ndarray, " gene"], bins: int, per_bin: int, rng: np.random.Generator
) -> Int64[ndarray, " chosen"]:
    """Genes drawn from each bin, the highest first; what one lacks is drawn from the next below."""
    chosen: list[ndarray] = []
    owed = 0
    for number in reversed(range(bins)):
        here = np.flatnonzero(place == number)
        taken = rng.permutation(here)[: per_bin + owed]
        owed += per_bin - taken.size
        chosen.append(taken)
    return np.sort(np.concatenate(chosen))


def _scores(cohort: Cohort, rows: pl.DataFrame, config: SelectionConfig, progress: Progress) -> pl.DataFrame:
    """R2 of each gene, 1 - sum (y - p)^2 / sum (y - mean y)^2; genes without variation or with gaps are left out."""
    fold, heldout = cohort.fold(config.fold), set(cohort.genes_heldout)
    row_of = {name: row for row, name in enumerate(cohort.people)}
    found: list[tuple[str, str, float]] = []
    parts = rows.partition_by("gene_id", maintain_order=True)
    for done, part in enumerate(parts, start=1):
        gene = str(part["gene_id"][0])
        y = adjusted_expression(cohort, gene, fold)[[row_of[name] for name in part["person"]]]
        error, spread = y - part["prediction"].to_numpy(), y - y.mean()
        if np.isfinite(error).all() and spread @ spread > 0:
            found.append(
                (gene, "held-out" if gene in heldout else "training", 1 - float(error @ error / (spread @ spread)))
            )
        progress(done, len(parts), "genes")
    schema = {"gene_id": pl.String, "gene_set": pl.String, "r2": pl.Float64}
    return pl.DataFrame(found, schema=schema, orient="row")
