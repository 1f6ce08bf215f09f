"""Runs made by hand, whose models are known: a random network, and linear models with chosen weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import safetensors.torch
import torch

from cases.local_attention import enliven
from varfx.expression.cohort.gene_data import gene_data
from varfx.expression.cohort.store import Cohort
from varfx.expression.linear.gene import prediction_rows
from varfx.expression.network.batches import CohortBatches
from varfx.expression.network.indels import indel_files
from varfx.expression.run import BASELINES, NETWORK, begin_run, cohort_identity, run_folder, write_run
from varfx.io.run_folder import RESULT
from varfx.models.expression import ExpressionNetwork, ExpressionNetworkConfig

ROUND = {"config": {}, "inputs": {}}


def random_network(**changes: Any) -> ExpressionNetwork:
    options = {"window": 256, "width": 24, "depth": 1, "num_downsamples": 4, "norm": "running", **changes}
    model = ExpressionNetwork(ExpressionNetworkConfig(**options))
    generator = torch.Generator().manual_seed(9)
    enliven(model, generator)
    with torch.no_grad():
        model.head.weight.normal_(generator=generator).mul_(3)
    return model.eval()


def network_run(
    out: Path,
    cohort: Cohort,
    model: ExpressionNetwork,
    *,
    fold: int = 0,
    indels: tuple[tuple[Path, ...], Path] | None = None,
    phased: bool = False,
) -> Path:
    """A run of one network for all genes, with its own predictions; with `indels` (genotypes, genome) of sequences with indels."""
    source = None if indels is None else indel_files(cohort, *indels)
    data = CohortBatches(
        cohort, cohort.genes["gene_id"].to_list(), fold, window=model.config.window, phased=phased, indels=source
    )
    begin_run(out, ROUND)
    models = run_folder(out).below(RESULT, "models")
    safetensors.torch.save_file(model.state_dict(), models / f"fold{fold}.safetensors")
    people, tables = cohort.fold(fold), []
    for number, gene in enumerate(cohort.genes["gene_id"]):
        with torch.no_grad():
            values = model(data.encode(number, np.arange(len(cohort.people)), torch.device("cpu"))).numpy()
        split = "hogp" if gene in cohort.genes_heldout else "hop"
        key = {"gene_id": gene, "model": "enformer", "fold": fold}
        tables.append(prediction_rows(cohort.people, people, values, key, split))
    files = {} if indels is None else {"indels": [str(path) for path in indels[0]], "reference": str(indels[1])}
    record = {
        "kind": NETWORK,
        **cohort_identity(cohort.path),
        "models": ["enformer"],
        "folds": [fold],
        "genes": list(cohort.genes_train),
        "heldout_genes": list(cohort.genes_heldout),
        "config": {"single_gene": False, "network": dataclasses.asdict(model.config), "phased": phased, **files},
        "provenance": {},
    }
    write_run(out, record=record, predictions=pl.concat(tables))
    return out


def linear_run(out: Path, cohort: Cohort, weights: dict[str, dict[str, np.ndarray]], *, fold: int = 0) -> Path:
    """A run of linear models with these weights per gene, by model; intercept 0.5."""
    begin_run(out, ROUND)
    predictions, rows, intercepts = [], [], []
    for model, by_gene in weights.items():
        for gene, weight in by_gene.items():
            data = gene_data(cohort, gene, fold)
            key = {"gene_id": gene, "model": model, "fold": fold}
            predictions.append(prediction_rows(cohort.people, data.fold, 0.5 + data.X @ weight, key, "hop"))
            table = data.variants.select("chrom", "position", "effect_allele", "other_allele")
            table = table.with_columns(weight=pl.Series(weight)).filter(pl.col("weight") != 0)
            rows.append(table.with_columns(pl.lit(value).alias(name) for name, value in key.items()))
            intercepts.append({**key, "intercept": 0.5, "h2": float("nan"), "alpha": float("nan")})
    record = {
        "kind": BASELINES,
        **cohort_identity(cohort.path),
        "models": list(weights),
        "folds": [fold],
        "genes": cohort.genes["gene_id"].to_list(),
        "config": {},
        "provenance": {},
    }
    names = ["gene_id", "model", "fold", "chrom", "position", "effect_allele", "other_allele", "weight"]
    write_run(
        out,
        record=record,
        predictions=pl.concat(predictions),
        weights=pl.concat([table.select(names) for table in rows]),
        intercepts=pl.DataFrame(intercepts),
    )
    return out


def some_weights(cohort: Cohort, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights per gene, `count` of them not 0, one of them large."""
    rng = np.random.default_rng(seed)
    weights = {}
    for gene in cohort.genes["gene_id"]:
        size = cohort.window_variants(gene)[0].height
        weights[gene] = np.zeros(size)
        rows = rng.choice(size, count, replace=False)
        weights[gene][rows] = rng.standard_normal(count)
        weights[gene][rows[:1]] += 6
    return weights
