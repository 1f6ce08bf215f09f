"""Scores of models averaged: over folds, genes, classes of heritability and sizes of the training set; paired differences."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.stats

from varfx.bootstrap import mean_interval, percentiles
from varfx.expression.metrics import Scores
from varfx.expression.model_names import size_of

METRICS = ("pcc", "r2")
RANGE = {"pcc": (-1.0, 1.0), "r2": (-np.inf, 1.0)}  # values that a mean can have
APART = {"pcc": (-2.0, 2.0), "r2": (-np.inf, np.inf)}  # and a difference of two
GENE_SETS = ("training", "held-out")
CLASSES = (0.0, 0.05, 0.1, 0.2, 0.4, 1.0)  # bounds of cis-heritability
LEAST_GENES = 3  # for a correlation
Key = tuple[str, str, str, int]  # gene, model, split, fold
Record = dict[str, Any]


def gene_means(scored: Mapping[Key, Scores], heldout: set[str]) -> list[Record]:
    """Averages over folds. A constant prediction counts as correlation 0; one that is missing does not count."""
    groups: dict[tuple[str, str, str], list[tuple[int, Scores]]] = {}
    for (gene, model, split, fold), scores in scored.items():
        groups.setdefault((gene, model, split), []).append((fold, scores))
    records = []
    for (gene, model, split), folds in groups.items():
        known = [each for _, each in folds if each.r2 is not None]
        record: Record = {"gene": gene, "model": model, "split": split, "gene_set": GENE_SETS[gene in heldout]}
        record |= {"folds": [fold for fold, _ in folds], "missing": len(folds) - len(known)}
        record["constant"] = sum(each.pcc is None for each in known)
        for metric in METRICS:
            values = [0.0 if (value := getattr(each, metric)) is None else value for each in known]
            samples = [s for each in known if (s := getattr(each, f"{metric}_samples")).size]
            defined = bool(known) and not (metric == "pcc" and record["constant"] == len(known))
            record[metric] = float(np.mean(values)) if defined else None
            record[f"{metric}_ci95"] = percentiles(np.sum(samples, axis=0) / len(known)) if defined else None
        records.append(record)
    return records


def model_means(means: Sequence[Record], seed: int) -> list[Record]:
    """Means over genes, with intervals by resampling genes."""
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for entry in means:
        groups.setdefault((entry["gene_set"], entry["split"], entry["model"]), []).append(entry)
    order = sorted(groups, key=lambda key: (GENE_SETS.index(key[0]), key[1]))
    records = []
    for gene_set, split, model in order:
        entries = groups[gene_set, split, model]
        present = [entry for entry in entries if entry["r2"] is not None]
        record: Record = {"gene_set": gene_set, "split": split, "model": model, "genes": len(present)}
        record["constant"] = sum(entry["pcc"] is None for entry in present)
        record["missing"] = len(entries) - len(present)
        records.append(record | _averages(present, seed))
    return records


def differences(entries: Sequence[Record], seed: int) -> list[Record]:
    """The first model minus the second, over the genes and folds that both predict: means over folds, then genes."""
    values: dict[str, dict[tuple[str, str], dict[tuple[str, int], Record]]] = {name: {} for name in GENE_SETS}
    for entry in entries:
        if entry["r2"] is not None:
            table = values[entry["gene_set"]].setdefault((entry["model"], entry["split"]), {})
            table[entry["gene"], entry["fold"]] = entry
    records = []
    for gene_set, tables in values.items():
        for (first, a), (second, b) in itertools.combinations(tables.items(), 2):
            common = [key for key in a if key in b]
            if not common:
                continue
            names = dict(zip(("first", "first_split", "second", "second_split"), (*first, *second), strict=True))
            genes = {gene: [key for key in common if key[0] == gene] for gene, _ in common}
            record: Record = {"gene_set": gene_set, **names, "genes": len(genes)}
            for metric in METRICS:
                gaps = [
                    float(np.mean([(a[key][metric] or 0.0) - (b[key][metric] or 0.0) for key in keys]))
                    for keys in genes.values()
                ]
                least, most = APART[metric]
                record[metric], record[f"{metric}_ci95"] = mean_interval(np.array(gaps), seed, least=least, most=most)
            records.append(record)
    return records


def by_heritability(means: Sequence[Record], heritability: Sequence[Record], seed: int) -> list[Record]:
    """Means of each model over the genes of a class of cis-heritability (`h2_low <= h2 < h2_high`; the last class holds 1)."""
    h2 = {entry["gene"]: entry["h2"] for entry in heritability if entry["h2"] is not None}
    groups: dict[tuple[str, str, str, int], list[Record]] = {}
    for entry in means:
        if entry["gene"] in h2 and entry["r2"] is not None:
            place = min(int(np.searchsorted(CLASSES, h2[entry["gene"]], side="right")) - 1, len(CLASSES) - 2)
            groups.setdefault((entry["gene_set"], entry["split"], entry["model"], place), []).append(entry)
    return [
        {"gene_set": gene_set, "split": split, "model": model, "h2_low": CLASSES[place], "h2_high": CLASSES[place + 1]}
        | {"genes": len(entries)}
        | _averages(entries, seed)
        for (gene_set, split, model, place), entries in sorted(groups.items())
    ]


def learning_curves(models: Sequence[Record], full_sizes: Mapping[int, int]) -> list[Record]:
    """Means of the models that were fitted on several numbers of training individuals, by number.

    Args:
        models: of `model_means`.
        full_sizes: all training individuals of each fold; their mean is the number of a model without one in its name.
    """
    groups: dict[tuple[str, str, str], list[tuple[float, Record]]] = {}
    everyone = float(np.mean(list(full_sizes.values())))
    for entry in models:
        name, run, of_run = entry["model"].partition(":")  # several runs of one model
        model, size = size_of(name)
        key = entry["gene_set"], entry["split"], f"{model}{run}{of_run}"
        groups.setdefault(key, []).append((everyone if size is None else size, entry))
    return [
        {"gene_set": gene_set, "split": split, "model": model, "train_size": size}
        | {name: entry[name] for name in ("genes", *(f"mean_{m}{end}" for m in METRICS for end in ("", "_ci95")))}
        for (gene_set, split, model), entries in groups.items()
        if len(entries) > 1
        for size, entry in sorted(entries, key=lambda pair: pair[0])
    ]


def across_genes(scored: Mapping[Key, Scores], heldout: set[str]) -> list[Record]:
    """Agreement of mean prediction and mean expression over genes, means over test individuals and folds: is a gene high or low?"""
    groups: dict[tuple[str, str, str], dict[str, list[Scores]]] = {}
    for (gene, model, split, _), scores in scored.items():
        if np.isfinite(scores.mean_predicted):
            key = GENE_SETS[gene in heldout], split, model
            groups.setdefault(key, {}).setdefault(gene, []).append(scores)
    records = []
    for (gene_set, split, model), genes in groups.items():
        observed = np.array([np.mean([each.mean_observed for each in folds]) for folds in genes.values()])
        predicted = np.array([np.mean([each.mean_predicted for each in folds]) for folds in genes.values()])
        defined = len(genes) >= LEAST_GENES and np.ptp(observed) > 0 and np.ptp(predicted) > 0
        records.append(
            {
                "gene_set": gene_set,
                "split": split,
                "model": model,
                "genes": len(genes),
                "pearson": float(np.corrcoef(observed, predicted)[0, 1]) if defined else None,
                "spearman": float(scipy.stats.spearmanr(observed, predicted).statistic) if defined else None,
            }
        )
    return records


def _averages(entries: Sequence[Record], seed: int) -> Record:
    """Mean scores over genes, with intervals by resampling genes."""
    record: Record = {}
    for metric in METRICS:
        values = np.array([entry[metric] or 0.0 for entry in entries])
        least, most = RANGE[metric]
        record[f"mean_{metric}"], record[f"mean_{metric}_ci95"] = mean_interval(values, seed, least=least, most=most)
    return record
