"""Variants that models single out, compared: overlap and signs between models, allele frequencies, distances and LD of each.

High-scoring variants of two models overlap more than by chance if the odds ratio of the 2 x 2 table (high-scoring in the first, in the second,
both, neither) is above 1. The pooled table has Fisher's exact test; the Mantel-Haenszel odds ratio keeps genes apart,

    OR = sum_g a_g d_g / n_g / sum_g b_g c_g / n_g

because genes with many high-scoring variants in both models would otherwise look like overlap. Variants in LD are no independent
trials: the p-value is that of the published comparison, and too small.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.stats
from jaxtyping import Bool, Float64
from numpy import ndarray

from varfx.bootstrap import mean_interval
from varfx.errors import ConfigError, DataError, FormatError
from varfx.expression.cohort.gene_data import imputed
from varfx.expression.cohort.store import Cohort, open_cohort
from varfx.expression.variants.config import Rule
from varfx.expression.variants.table import KEY, LONG_KIND
from varfx.io import sealed
from varfx.progress import Progress, silent

MAF_BOUNDS = (0.0, 0.01, 0.05, 0.1, 0.2, 0.5)
DISTANCES = (0.25, 0.5, 0.75)  # quantiles of |distance to the TSS|
SETS = ("scored", "high-scoring", "drivers")
MOST_IN_LD = 200  # variants of a gene; of more, so many are drawn
STRONG_LD = 0.8  # r2
Record = dict[str, Any]


@dataclass(frozen=True, eq=False)
class ScoreComparison:
    """Models' variants compared.

    Attributes:
        pairs: a record per pair of models and set (high-scoring, drivers): see `overlap`.
        sets: a record per model and set: numbers, spectrum of minor-allele frequencies, distances to the TSS, LD.
    """

    pairs: list[Record]
    sets: list[Record]


def compare_scores(
    paths: Sequence[str | os.PathLike[str]],
    *,
    cohort: str | os.PathLike[str] | None = None,
    rule: Rule = "variformer",
    min_maf: float = 0.0,
    seed: int = 0,
    progress: Progress = silent,
) -> ScoreComparison:
    """Compares the tables of `varfx expr variants --long`, each of one model and fold.

    Args:
        paths: the tables.
        cohort: for LD among the variants, in training individuals of each table's fold; without it LD is left out.
        rule: whose drivers.
        min_maf: leave out rarer variants.
        seed: of variants drawn for LD, and of bootstraps over genes.
        progress: told about each gene.

    Raises:
        ConfigError: no table, or one given twice.
        FormatError: another kind of file.
        DataError: no variant is left, or tables without a common gene.
    """
    tables = _named_tables(paths, min_maf)
    flags = {name: {chosen: _flag(table, chosen, rule) for chosen in SETS} for name, table in tables.items()}
    opened = None if cohort is None else open_cohort(cohort)
    sets = []
    for done, (name, table) in enumerate(tables.items(), start=1):
        for chosen in SETS:
            record = {"model": name, "set": chosen, **described(table.filter(flags[name][chosen]))}
            if opened is not None:
                record["ld"] = _ld(opened, table, flags[name][chosen], seed)
            sets.append(record)
        progress(done, len(tables), "models")
    pairs = [
        {"first": first, "second": second, "set": chosen, **found}
        for (first, a), (second, b) in itertools.combinations(tables.items(), 2)
        for chosen in SETS[1:]
        if (found := overlap(a, b, flags[first][chosen], flags[second][chosen], seed)) is not None
    ]
    if len(tables) > 1 and not pairs:
        raise DataError("the tables have no gene in common whose variants both score. Give scores of the same genes.")
    return ScoreComparison(pairs, sets)


def overlap(
    first: pl.DataFrame, second: pl.DataFrame, a: Bool[ndarray, " row"], b: Bool[ndarray, " other"], seed: int = 0
) -> Record | None:
    """Overlap of two models' chosen variants among those that both score, gene by gene; None without any.

    Args:
        first: columns of `varfx.expression.variants.table.LONG_SCHEMA`.
        second: the same of the other model.
        a: rows of `first` that were chosen.
        b: rows of `second`.
        seed: of bootstraps over genes.
    """
    keys = ["gene_id", "chrom", "position", "effect_allele", "other_allele"]
    mine = first.select(*keys, "weight").with_columns(a=a)
    joined = mine.join(second.select(*keys, other_weight="weight").with_columns(b=b), on=keys, how="inner")
    if joined.is_empty():
        return None
    counted = joined.group_by("gene_id", maintain_order=True).agg(
        both=(pl.col("a") & pl.col("b")).sum(),
        first_only=(pl.col("a") & ~pl.col("b")).sum(),
        second_only=(~pl.col("a") & pl.col("b")).sum(),
        neither=(~pl.col("a") & ~pl.col("b")).sum(),
    )
    both, only_a, only_b, neither = (counted[name].to_numpy().astype(float) for name in counted.columns[1:])
    size, union = both + only_a + only_b + neither, both + only_a + only_b
    jaccard, interval = mean_interval(both[union > 0] / union[union > 0], seed, least=0, most=1)
    down = float((only_a * only_b / size).sum())
    table = np.array([[both.sum(), only_a.sum()], [only_b.sum(), neither.sum()]])
    shared = joined.filter(pl.col("a") & pl.col("b") & (pl.col("weight") != 0) & (pl.col("other_weight") != 0))
    same = int((shared["weight"].sign() == shared["other_weight"].sign()).sum())
    return {
        "genes": counted.height,
        "both": int(both.sum()),
        "first_only": int(only_a.sum()),
        "second_only": int(only_b.sum()),
        "neither": int(neither.sum()),
        "expected_both": float(((both + only_a) * (both + only_b) / size).sum()),
        "mean_jaccard": jaccard,
        "mean_jaccard_ci95": interval,
        "odds_ratio_by_gene": float((both * neither / size).sum()) / down if down > 0 else None,
        "fisher_p": float(scipy.stats.fisher_exact(table, alternative="greater").pvalue),
        **_signs(same, shared.height),
    }


def described(table: pl.DataFrame) -> Record:
    """Numbers, spectrum of minor-allele frequencies and distances to the TSS of variants."""
    maf = np.minimum(table["eaf"].to_numpy(), 1 - table["eaf"].to_numpy())
    distance = table["tss_distance"].abs().to_numpy()
    known = np.isfinite(maf)
    counts, _ = np.histogram(maf[known], MAF_BOUNDS)
    return {
        "variants": table.height,
        "genes": table["gene_id"].n_unique(),
        "maf_bounds": list(MAF_BOUNDS),
        "maf_counts": counts.tolist(),
        "median_maf": float(np.median(maf[known])) if known.any() else None,
        "tss_distance_quartiles": np.quantile(distance, DISTANCES).tolist() if distance.size else None,
    }


def _signs(same: int, count: int) -> Record:
    """Share of shared variants whose effects have the same sign, with Wilson's interval and the p of one half."""
    record: Record = {
        "shared_with_signs": count,
        "same_sign": same,
        "same_sign_share": None,
        "same_sign_ci95": None,
        "same_sign_p": None,
    }
    if count:
        test = scipy.stats.binomtest(same, count)
        interval = test.proportion_ci(method="wilson")
        record |= {"same_sign_share": same / count, "same_sign_ci95": [float(interval.low), float(interval.high)]}
        record["same_sign_p"] = float(test.pvalue)
    return record


def _named_tables(paths: Sequence[str | os.PathLike[str]], min_maf: float) -> dict[str, pl.DataFrame]:
    """The tables by model; a model of several tables is followed by the file's name."""
    if not paths:
        raise ConfigError("no table is given. Name at least one made by `varfx expr variants --long`.")
    read = []
    for path in paths:
        table, _ = sealed.read_table(Path(path), kind=LONG_KIND)
        table = table.filter(pl.col("weight").is_not_null())
        if min_maf > 0:
            table = table.filter(pl.min_horizontal("eaf", 1 - pl.col("eaf")) >= min_maf)
        if table.is_empty():
            raise DataError(
                f"`{path}` has no variant with a score{f' and MAF of {min_maf:g} or more' if min_maf else ''}."
            )
        if table.select("model", "fold").n_unique() > 1:
            raise FormatError(f"`{path}` holds several models or folds. Give a table of one.")
        read.append((str(table["model"][0]), Path(path).stem, table))
    models = [model for model, _, _ in read]
    names = [model if models.count(model) == 1 else f"{model}:{stem}" for model, stem, _ in read]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"{twice} is given twice. Give each table once, under different names.")
    return dict(zip(names, (table for _, _, table in read), strict=True))


def _flag(table: pl.DataFrame, chosen: str, rule: Rule) -> Bool[ndarray, " row"]:
    if chosen == "scored":
        return np.ones(table.height, dtype=bool)
    column = "high_scoring" if chosen == "high-scoring" else f"driver_{rule}"
    return table[column].fill_null(False).to_numpy()


def _ld(cohort: Cohort, table: pl.DataFrame, chosen: Bool[ndarray, " row"], seed: int) -> Record:
    """r2 between the chosen variants of each gene, in training individuals: over all pairs, and averaged by gene."""
    fold = cohort.fold(int(table["fold"][0]))
    rng = np.random.default_rng(seed)
    pairs: list[Float64[ndarray, " pair"]] = []
    for (gene,), part in table.filter(chosen).group_by("gene_id", maintain_order=True):
        variants, _ = cohort.window_variants(str(gene))
        place = {key: row for row, key in enumerate(variants.select(KEY).drop("variant_id").iter_rows())}
        rows = [place[key] for key in part.select(KEY).drop("variant_id").iter_rows() if key in place]
        if len(rows) < part.height:
            raise DataError(
                f"`{cohort.path}` lacks {part.height - len(rows)} variants of {gene}: the scores are of another cohort."
            )
        X = imputed(cohort.dosages(str(gene))[rows], fold)[fold.train].astype(np.float64)
        X = X[:, X.std(axis=0) > 0]
        if X.shape[1] > MOST_IN_LD:
            X = X[:, np.sort(rng.choice(X.shape[1], MOST_IN_LD, replace=False))]
        if X.shape[1] > 1:
            r2 = np.corrcoef(X, rowvar=False) ** 2
            pairs.append(r2[np.triu_indices(X.shape[1], 1)])
    if not pairs:
        return {"genes": 0, "pairs": 0, "mean_r2": None, "mean_r2_ci95": None, "strong": None}
    mean, interval = mean_interval(np.array([each.mean() for each in pairs]), seed, least=0, most=1)
    together = np.concatenate(pairs)
    strong = float((together >= STRONG_LD).mean())
    return {
        "genes": len(pairs),
        "pairs": int(together.size),
        "mean_r2": mean,
        "mean_r2_ci95": interval,
        "strong": strong,
    }
