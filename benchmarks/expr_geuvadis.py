"""All models of expression on real individuals: GEUVADIS, chromosome 22 (330 Europeans, the genes whose windows the reference at hand holds).

Parts, each written to the JSON as soon as it is done, and skipped if the JSON has it:

    curve      linear models on 50, 100, 200 and all 264 training individuals, nested; 3 folds
    networks   a small Enformer and a mini Borzoi from random weights, and attention readout, beside the linear models; fold 0, window 4,096
    times      processor seconds per gene of each model, and of scikit-learn and a least-squares scan alone

    python benchmarks/expr_geuvadis.py --data ../shared/data --out benchmarks/results/expr_geuvadis.json
    python benchmarks/expr_geuvadis.py --data ../shared/data --parts times --genes 5 --out times.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from _measure import machine
from varfx.expression.cohort.config import PrepareConfig, PrepareFiles
from varfx.expression.cohort.gene_data import gene_data
from varfx.expression.cohort.prepare import prepare
from varfx.expression.cohort.store import Cohort, open_cohort
from varfx.expression.evaluate import evaluate
from varfx.expression.evaluation_config import EvaluationConfig
from varfx.expression.linear.config import BaselineConfig
from varfx.expression.linear.gene import fit_model
from varfx.expression.linear.run import fit_baselines
from varfx.expression.network.config import FitConfig, NetworkChoice
from varfx.expression.network.fit import fit_network
from varfx.expression.variants.config import VariantConfig
from varfx.expression.variants.score import score_variants
from varfx.report.expression import draw_evaluation
from varfx.training.people.config import ExpressionTrainConfig

MODELS = ("elastic-net", "blup", "informed-blup", "top1")
SIZES = (50, 100, 200)
NETWORKS = {
    "enformer small": NetworkChoice(width=48, depth=1),
    "enformer small, attention": NetworkChoice(width=48, depth=1, readout="attention"),
    "borzoi mini": NetworkChoice(model="borzoi", width=48, depth=1),
}
WINDOW = 4096


def cohort_of(data: Path, folder: Path, window: int) -> Cohort:
    """The cohort with windows of this length; made once."""
    out = folder / f"cohort{window}"
    if out.is_dir():
        return open_cohort(out)
    files = PrepareFiles(
        genotypes=(data / "genotypes" / "1KG_phase1_release_v3_chr22.1092.vcf.gz",),
        reference=data / "reference" / "derived_GRCh37_chr22_1-22000000.fa.gz",
        gtf=data / "genes" / "gencode.v19.annotation.chr22.gtf.gz",
        expression=data / "expression" / "genes.50percent.chr22.bed.gz",
        covariates=data / "expression" / "genes.covariates.pc50.txt.gz",
    )
    return prepare(files, out, PrepareConfig(window=window))


def curve(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Scores by number of training individuals, and by class of heritability."""
    cohort = cohort_of(options.data, work, 49_152)
    run = fit_baselines(
        cohort.path, work / "curve", BaselineConfig(models=MODELS, train_size=SIZES), workers=1, overwrite=True
    )
    result = evaluate([run.path], EvaluationConfig())
    if options.figures is not None:
        draw_evaluation(result.to_dict(), options.figures)
    return {
        **described(cohort),
        "learning_curves": result.learning_curves,
        "heritability_classes": result.heritability_classes,
    }


def networks(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Scores of networks and linear models in fold 0."""
    cohort = cohort_of(options.data, work, WINDOW)
    training = ExpressionTrainConfig(epochs=options.epochs, patience=4, batch=64)
    runs, seconds = [], {}
    linear = fit_baselines(
        cohort.path, work / "linear", BaselineConfig(models=MODELS, folds=(0,)), workers=1, overwrite=True
    )
    for name, choice in NETWORKS.items():
        began = time.process_time()
        config = FitConfig(name=name, network=choice, training=training)
        runs.append(fit_network(cohort.path, work / name.replace(" ", "_"), config, overwrite=True).path)
        seconds[name] = round(time.process_time() - began, 1)
    result = evaluate([linear.path, *runs], EvaluationConfig())
    return {
        **described(cohort),
        "epochs_at_most": options.epochs,
        "fit_processor_seconds": seconds,
        "models": result.models,
        "differences": [each for each in result.differences if "elastic-net" in (each["first"], each["second"])],
    }


def times(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Medians over genes of processor seconds, alternating between the models."""
    cohort = cohort_of(options.data, work, 49_152)
    genes = cohort.genes["gene_id"].to_list()[: options.genes]
    taken: dict[str, list[float]] = {}
    same = []
    for gene_id in genes:
        gene = gene_data(cohort, gene_id, 0)
        X, y = gene.X[gene.fold.train], gene.y[gene.fold.train]
        tasks: dict[str, Callable[[], Any]] = {
            name: partial(fit_model, name, X, y) for name in ("elastic-net", "ridge", "blup", "top1")
        }
        tasks["scikit-learn's elastic net"] = partial(plain_elastic_net, X, y)
        tasks["scan by least squares"] = partial(scan, X, y)
        found = {}
        for name, task in tasks.items():
            began = time.process_time()
            found[name] = task()
            taken.setdefault(name, []).append(time.process_time() - began)
        same.append(int(np.flatnonzero(found["top1"].weights)[0]) == found["scan by least squares"])
    run = fit_baselines(
        cohort.path,
        work / "timed",
        BaselineConfig(models=("blup",), folds=(0,), genes=tuple(genes)),
        workers=1,
        overwrite=True,
    )
    began = time.process_time()
    score_variants(run.path, VariantConfig(model="blup"))
    scored = (time.process_time() - began) / len(genes)
    medians = {name: round(statistics.median(values), 5) for name, values in taken.items()}
    return {
        "genes": len(genes),
        "processor_seconds_per_gene": medians | {"variants of blup": round(scored, 5)},
        "same_lead": sum(same),
    }


def plain_elastic_net(X: np.ndarray, y: np.ndarray) -> Any:
    """The paper's elastic net, without anything of ours."""
    from sklearn.feature_selection import VarianceThreshold
    from sklearn.linear_model import ElasticNetCV
    from sklearn.pipeline import make_pipeline

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make_pipeline(VarianceThreshold(), ElasticNetCV(max_iter=2000)).fit(X.astype(np.float64), y)


def scan(X: np.ndarray, y: np.ndarray) -> int:
    """The variant of the largest |t| in a simple regression per variant, as tensorQTL's lead variant."""
    Z, e = X - X.mean(axis=0, dtype=np.float64), y - y.mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (e @ Z) / np.sqrt((Z**2).sum(axis=0) * (e @ e))
    return int(np.nanargmax(np.abs(r)))


def described(cohort: Cohort) -> dict[str, Any]:
    """Sizes of a cohort."""
    return {
        "individuals": len(cohort.people),
        "genes": cohort.genes.height,
        "held_out_genes": len(cohort.genes_heldout),
        "variants": cohort.variants.height,
    }


PARTS = {"times": times, "curve": curve, "networks": networks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--genes", type=int, default=39, help="genes that are timed")
    parser.add_argument("--epochs", type=int, default=3, help="of the networks, at most")
    parser.add_argument("--figures", type=Path, help="folder for the pictures of the learning curve")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    record = json.loads(options.out.read_text()) if options.out.is_file() else {"benchmark": "expr_geuvadis"}
    with tempfile.TemporaryDirectory() as folder:
        for part in options.parts:
            if part in record:
                continue
            began = time.process_time()
            record[part] = PARTS[part](options, Path(folder))
            record[part]["part_processor_seconds"] = round(time.process_time() - began, 1)
            record["machine"] = machine()
            options.out.write_text(json.dumps(record, indent=1) + "\n")
            print(part, "done")


if __name__ == "__main__":
    main()
