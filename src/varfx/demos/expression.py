"""The demo of expression: a cohort, linear models of all its genes, networks of a few, their scores and their variants."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from varfx.bootstrap import mean_interval
from varfx.demos.study import DemoStudy
from varfx.demos.timing import timed
from varfx.errors import ConfigError, DataError
from varfx.expression.cohort.config import SplitConfig
from varfx.expression.cohort.gene_data import gene_data
from varfx.expression.cohort.prepare import PrepareConfig, prepare
from varfx.expression.cohort.store import Cohort
from varfx.expression.evaluate import ExpressionEvaluation, evaluate
from varfx.expression.evaluation_config import EvaluationConfig
from varfx.expression.linear.config import BaselineConfig
from varfx.expression.linear.run import fit_baselines
from varfx.expression.network.config import FitConfig
from varfx.expression.network.fit import fit_network
from varfx.expression.run import ExpressionRun
from varfx.expression.variants.config import Rule, VariantConfig
from varfx.expression.variants.score import VariantScores, score_variants
from varfx.expression.variants.table import as_annotations
from varfx.io import sealed
from varfx.io.working_folder import make_folder
from varfx.linalg.threads import one_thread
from varfx.models.expression_config import ExpressionNetworkConfig
from varfx.progress import Progress, silent
from varfx.training.people.config import ExpressionTrainConfig

FOLD = 0  # of the networks
RULE: Rule = "variformer"
NETWORK = ExpressionNetworkConfig(
    window=6_144, width=24, depth=1, dropout=0.0, attention_dropout=0.0, position_dropout=0.0, norm="running"
)
TRAINING = ExpressionTrainConfig(epochs=12, learning_rate=4e-4, batch=32, micro_batch=32, keep_graphs=True)


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Size of the demonstration; the defaults take two processors about two minutes."""

    window: int = 49_152
    """Bases around each TSS, for the linear models."""
    network_genes: int = 3
    """Number of genes with a network."""
    network: ExpressionNetworkConfig = NETWORK
    """Networks, which read a part of the window; their weights start at random."""
    training: ExpressionTrainConfig = TRAINING
    """Of the networks."""
    seed: int = 0
    """Of the folds, the genes held out, first weights and intervals."""

    def __post_init__(self) -> None:
        if self.network_genes < 1:
            raise ConfigError(f"`network_genes` must be at least 1, got {self.network_genes}.")


@dataclass(frozen=True, kw_only=True, eq=False)
class ExpressionDemo:
    """Results of the demonstration.

    Attributes:
        folder: where all files are.
        config: how large it was.
        study: the files it began with, and the truth of a simulation.
        cohort: the cohort.
        baselines: the linear models' run.
        network: the networks' run.
        evaluation: of both on the test individuals.
        scores: of variants, by model: elastic-net in the first fold, and the network.
        seconds: what each step took.
    """

    folder: Path
    config: DemoConfig
    study: DemoStudy
    cohort: Cohort
    baselines: ExpressionRun
    network: ExpressionRun
    evaluation: ExpressionEvaluation
    scores: dict[str, VariantScores]
    seconds: dict[str, float]

    @property
    def network_model(self) -> str:
        """The network's name in tables."""
        return str(self.network.record["models"][0])

    def linear_means(self) -> list[dict[str, Any]]:
        """Each linear model's means over the training genes and all folds, as in `ExpressionEvaluation.models`."""
        return [
            entry
            for entry in self.evaluation.models
            if entry["gene_set"] == "training" and entry["model"] != self.network_model
        ]

    def side_by_side(self) -> list[dict[str, Any]]:
        """Every model on the genes and the fold of the networks: `model, genes (of `ExpressionEvaluation.genes`), r2, pcc`.

        `minus_network` is the model's R2 minus the networks', the mean over genes, with an interval over genes in
        `minus_network_ci95`. A constant prediction counts as correlation 0.
        """
        genes = self.network.record["genes"]
        rows = {
            (entry["model"], entry["gene"]): entry
            for entry in self.evaluation.genes
            if entry["gene"] in genes and entry["fold"] == FOLD and entry["r2"] is not None
        }
        records = []
        for model in dict.fromkeys(model for model, _ in rows):
            entries = [rows[model, gene] for gene in genes if (model, gene) in rows]
            gaps = np.array([entry["r2"] - rows[self.network_model, entry["gene"]]["r2"] for entry in entries])
            record: dict[str, Any] = {"model": model, "genes": entries}
            record |= {name: float(np.mean([entry[name] or 0.0 for entry in entries])) for name in ("r2", "pcc")}
            record["minus_network"], record["minus_network_ci95"] = mean_interval(gaps, self.config.seed)
            records.append(record)
        return records

    def causal_ranks(self) -> dict[str, list[dict[str, Any]]]:
        """By model a record per gene with a simulated causal variant that it scores: `gene, rank, variants`; none for real data.

        Rank 1 has the largest effect of the gene's `variants` variants that the model sees.
        """
        if self.study.truth is None:
            return {}
        causal = self.study.truth.drop_nulls("position").select("gene_id", causal="position")
        ranks = {}
        for model, scores in self.scores.items():
            size = pl.col("weight").abs()
            ranked = (
                scores.table.filter(pl.col("weight").is_not_null())
                .with_columns(
                    rank=size.rank("max", descending=True).over("gene_id").cast(pl.Int64),
                    variants=pl.len().over("gene_id").cast(pl.Int64),
                )
                .join(causal, on="gene_id", maintain_order="left")
                .filter(pl.col("position") == pl.col("causal"))
            )
            ranks[model] = ranked.select("rank", "variants", gene="gene_id").to_dicts()
        return ranks


def run_demo(
    study: DemoStudy,
    out: str | os.PathLike[str],
    config: DemoConfig | None = None,
    *,
    workers: int | None = None,
    progress: Progress = silent,
) -> ExpressionDemo:
    """Prepares, fits, evaluates and scores variants; writes everything below `out`, `results.json` last.

    Args:
        study: the files to begin with.
        out: the folder to write to; files of an earlier demo in it are replaced.
        config: how large.
        workers: processes of the linear models; by default one a core.
        progress: told about genes, steps and networks.

    Raises:
        VarfxError: a file that cannot be read or written.
    """
    config = config or DemoConfig()
    folder = make_folder(out)
    with one_thread():
        demo = _run(study, folder, config, workers, progress)
    sealed.write_json(folder / "results.json", results(demo))
    return demo


def _run(study: DemoStudy, folder: Path, config: DemoConfig, workers: int | None, progress: Progress) -> ExpressionDemo:
    seconds: dict[str, float] = {}
    with timed(seconds, "expr prepare"):
        options = PrepareConfig(window=config.window, split=SplitConfig(seed=config.seed))
        cohort = prepare(study.inputs, folder / "cohort", options, overwrite=True, progress=progress)
    with timed(seconds, "expr baseline"):
        baselines = fit_baselines(
            cohort.path,
            folder / "baselines",
            BaselineConfig(seed=config.seed),
            workers=workers,
            overwrite=True,
            progress=progress,
        )
    with timed(seconds, "expr fit"):
        chosen = genes_for_networks(cohort, config.network.window, config.network_genes)
        network = fit_network(
            cohort.path, folder / "network", _network(config, chosen), overwrite=True, progress=progress
        )
    with timed(seconds, "expr evaluate"):
        runs = (baselines.path, network.path)
        evaluation = evaluate(runs, EvaluationConfig(seed=config.seed), workers=workers, progress=progress)
    scores = {}
    with timed(seconds, "expr variants"):
        for name, run in (("elastic-net", baselines), ("network", network)):
            scores[name] = _score(run, baselines, folder / f"{name}.annot.parquet", progress)
    return ExpressionDemo(
        folder=folder,
        config=config,
        study=study,
        cohort=cohort,
        baselines=baselines,
        network=network,
        evaluation=evaluation,
        scores=scores,
        seconds=seconds,
    )


def genes_for_networks(cohort: Cohort, window: int, count: int) -> tuple[str, ...]:
    """The training genes that a single variant within `window` bases around the TSS tells most about, in training individuals.

    The strongest first; nothing about tuning or test individuals is looked at.

    Raises:
        DataError: no gene has a variant there.
    """
    strongest = {}
    for gene_id in cohort.genes_train:
        data, tss = gene_data(cohort, gene_id, FOLD), cohort.gene(gene_id).tss
        near = (data.variants["position"] - tss).abs().to_numpy() < window // 2
        X, y = data.X[data.fold.train][:, near].astype(np.float64), data.y[data.fold.train]
        X, y = X - X.mean(axis=0), y - y.mean()
        size = np.sqrt((X**2).sum(axis=0) * (y**2).sum())
        strongest[gene_id] = float(np.max(np.abs(y @ X) / np.where(size > 0, size, np.inf), initial=0.0))
    order = sorted((gene for gene, r in strongest.items() if r > 0), key=lambda gene: -strongest[gene])
    if not order:
        raise DataError(
            f"none of {len(strongest)} training genes has a variant within {window // 2:,} bases of its TSS that varies: networks "
            "have nothing to learn from. Give denser genotypes."
        )
    return tuple(order[:count])


def results(demo: ExpressionDemo) -> dict[str, object]:
    """The numbers of a demo, JSON-able: what was used, how each model does, and seconds per step; no individual's values."""
    cohort, fold = demo.cohort, demo.cohort.fold(FOLD)
    h2 = {record["gene"]: record["h2"] for record in demo.evaluation.heritability}
    return {
        "simulated": demo.study.truth is not None,
        "n_people": len(cohort.people),
        "people": {"train": fold.train.size, "tune": fold.tune.size, "test": fold.test.size},
        "folds": cohort.num_folds,
        "n_genes": cohort.genes.height,
        "n_genes_held_out": len(cohort.genes_heldout),
        "n_variants": cohort.variants.height,
        "phased": cohort.phased,
        "linear_models": demo.linear_means(),
        "heritability": heritability(demo.evaluation),
        "network": {
            **{name: getattr(demo.config.network, name) for name in ("window", "width", "depth")},
            "epochs": demo.config.training.epochs,
            "genes": [
                {"gene": gene, "name": cohort.gene(gene).name, "h2": h2.get(gene)}
                for gene in demo.network.record["genes"]
            ],
            "outcomes": demo.network.record["outcomes"],
        },
        "side_by_side": demo.side_by_side(),
        "causal_ranks": demo.causal_ranks(),
        "seconds": {step: round(value, 2) for step, value in demo.seconds.items()},
    }


def heritability(evaluation: ExpressionEvaluation) -> dict[str, Any]:
    """Heritability of expression by REML: mean over genes with interval, and number of genes with p below 0.05."""
    known = [record for record in evaluation.heritability if record["h2"] is not None]
    mean, interval = mean_interval(np.array([record["h2"] for record in known]), least=0, most=1)
    significant = sum(record["p"] < 0.05 for record in known)
    return {"genes": len(known), "mean": mean, "ci95": interval, "significant": significant}


def _network(config: DemoConfig, genes: Sequence[str]) -> FitConfig:
    return FitConfig(
        folds=(FOLD,),
        genes=tuple(genes),
        single_gene=True,
        network=config.network,
        training=replace(config.training, seed=config.seed),
    )


def _score(run: ExpressionRun, baselines: ExpressionRun, out: Path, progress: Progress) -> VariantScores:
    """Writes the annotations of a run's variants."""
    found = score_variants(run.path, VariantConfig(fold=FOLD, rule=RULE), baseline=baselines.path, progress=progress)
    provenance = sealed.provenance({"fold": FOLD, "rule": RULE}, {"run": run.path, "baseline": baselines.path})
    metadata: dict[str, object] = {"provenance": provenance, "model": found.model}
    as_annotations(found.table, found.variants, rule=RULE, metadata=metadata).write(out)
    return found
