"""All models of expression on real individuals: GEUVADIS, chromosome 22, the genes whose windows the reference at hand holds.

Parts, each written to the JSON as soon as it is done, and skipped if the JSON has it:

    curve      linear models on 50, 100, 200 and all 264 training individuals, nested; 3 folds (330 Europeans, thinned VCF)
    networks   a small Enformer, the same with attention readout, and a mini Borzoi, each from random weights, beside the linear
               models on the same windows; fold 0, window 4,096 (344 Europeans, PLINK files of 20 to 21 Mb with some 15 variants
               per window, of which the thinned VCF has one or two)
    times      processor seconds per gene of each model, and of scikit-learn and a least-squares scan alone

The JSON has the networks' part after each network ("finished": false until the last). With `--work`, cohorts and runs stay in that
folder: finished networks are not trained again, and an interrupted one goes on from its last checkpoint.

    python benchmarks/expr_geuvadis.py --data ../shared/data --out benchmarks/results/expr_geuvadis.json
    python benchmarks/expr_geuvadis.py --data ../shared/data --parts times --genes 5 --out times.json
    python benchmarks/expr_geuvadis.py --parts networks --work build/geuvadis --epochs 5 --out benchmarks/results/expr_geuvadis.json
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
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
from varfx.expression.run import ExpressionRun, open_run
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
THINNED = "genotypes/1KG_phase1_release_v3_chr22.1092.vcf.gz"
DENSE = "gwas/polypred/1000G.subset.22.bed"
GENE_TYPES = ("protein_coding", "lincRNA", "antisense", "pseudogene")  # of the dense files, which cover 1 Mb


def cohort_of(data: Path, folder: Path, genotypes: str, config: PrepareConfig) -> Cohort:
    """The cohort of some genotypes with windows of the configured length; made once."""
    out = folder / f"{Path(genotypes).name.partition('.')[0]}.{config.window}"
    if out.is_dir():
        return open_cohort(out)
    files = PrepareFiles(
        genotypes=(data / genotypes,),
        reference=data / "reference" / "derived_GRCh37_chr22_1-22000000.fa.gz",
        gtf=data / "genes" / "gencode.v19.annotation.chr22.gtf.gz",
        expression=data / "expression" / "genes.50percent.chr22.bed.gz",
        covariates=data / "expression" / "genes.covariates.pc50.txt.gz",
    )
    return prepare(files, out, config)


def curve(options: argparse.Namespace, work: Path) -> Iterator[dict[str, Any]]:
    """Scores by number of training individuals, and by class of heritability."""
    cohort = cohort_of(options.data, work, THINNED, PrepareConfig())
    run = fit_baselines(
        cohort.path, work / "curve", BaselineConfig(models=MODELS, train_size=SIZES), workers=1, overwrite=True
    )
    result = evaluate([run.path], EvaluationConfig())
    if options.figures is not None:
        draw_evaluation(result.to_dict(), options.figures)
    yield {
        **described(cohort),
        "learning_curves": result.learning_curves,
        "heritability_classes": result.heritability_classes,
    }


def networks(options: argparse.Namespace, work: Path) -> Iterator[dict[str, Any]]:
    """Scores of networks and linear models in fold 0, after each network."""
    settings = PrepareConfig(window=WINDOW, gene_types=GENE_TYPES, on_mismatch="drop")
    cohort = cohort_of(options.data, work, DENSE, settings)
    genes = cohort.genes_train[: options.network_genes]
    linear = fit_baselines(
        cohort.path,
        work / "linear",
        BaselineConfig(models=MODELS, folds=(0,), genes=(*genes, *cohort.genes_heldout)),
        workers=1,
        overwrite=True,
    )
    # Whole batches with their graphs: each prediction is computed once, where micro-batches compute it twice.
    training = ExpressionTrainConfig(
        epochs=options.epochs, patience=4, batch=32, micro_batch=32, keep_graphs=True, checkpoint_minutes=1
    )
    runs, fits = [], {}
    for name in options.networks:
        config = FitConfig(name=name, network=NETWORKS[name], training=training, genes=(*genes, *cohort.genes_heldout))
        run, fits[name] = fitted(cohort, work, config)
        runs.append(run.path)
        result = evaluate([linear.path, *runs], EvaluationConfig())
        yield {
            **described(cohort),
            "window": WINDOW,
            "training_genes": len(genes),
            "training_individuals": len(cohort.fold(0).train),
            "variants_per_window": statistics.median(cohort.window_variants(gene)[0].height for gene in genes),
            "epochs_at_most": options.epochs,
            "fits": fits,
            "models": result.models,
            "differences": [each for each in result.differences if "elastic-net" in (each["first"], each["second"])],
        }


def fitted(cohort: Cohort, work: Path, config: FitConfig) -> tuple[ExpressionRun, dict[str, Any]]:
    """The run of a network, trained if the folder does not have it, and how its training went.

    Processor seconds are those of an uninterrupted training; null if it was interrupted.
    """
    assert config.name is not None
    stem = f"{config.name.replace(' ', '_').replace(',', '')}.{len(config.genes)}_genes.{config.training.epochs}_epochs"
    out, kept = work / stem, work / f"{stem}.json"
    if not kept.is_file():
        begun = work / f"{stem}.begun"
        interrupted = begun.exists()
        begun.touch()
        began = time.process_time()
        finished = (out / "manifest.json").is_file()
        run = open_run(out) if finished else fit_network(cohort.path, out, config, resume=True)
        seconds = None if interrupted else round(time.process_time() - began, 1)
        (outcome,) = run.record["outcomes"]
        how = {name: outcome[name] for name in ("best_epoch", "tune_r2", "stopped")}
        kept.write_text(json.dumps({"processor_seconds": seconds, **how}) + "\n")
        begun.unlink()
    return open_run(out), json.loads(kept.read_text())


def times(options: argparse.Namespace, work: Path) -> Iterator[dict[str, Any]]:
    """Medians over genes of processor seconds, alternating between the models."""
    cohort = cohort_of(options.data, work, THINNED, PrepareConfig())
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
    yield {
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
    parser.add_argument("--epochs", type=int, default=5, help="of the networks, at most")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--network-genes", type=int, help="training genes of the networks; by default all")
    parser.add_argument(
        "--work", type=Path, help="folder that keeps cohorts and runs, so that an interrupted benchmark goes on"
    )
    parser.add_argument("--figures", type=Path, help="folder for the pictures of the learning curve")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    record = json.loads(options.out.read_text()) if options.out.is_file() else {"benchmark": "expr_geuvadis"}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        work = options.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        work.mkdir(parents=True, exist_ok=True)
        for part in options.parts:
            if record.get(part, {}).get("finished", part in record):
                continue
            began = time.process_time()
            for found in PARTS[part](options, work):
                record[part] = {"finished": False, **found}
                write(options.out, record)
                print(f"{part}: {time.process_time() - began:.0f} processor seconds", flush=True)
            del record[part]["finished"]
            record[part]["part_processor_seconds"] = round(time.process_time() - began, 1)
            write(options.out, record)


def write(out: Path, record: dict[str, Any]) -> None:
    """Replaces the JSON."""
    partial = out.with_suffix(".partial")
    partial.write_text(json.dumps({**record, "machine": machine()}, indent=1) + "\n")
    partial.replace(out)


if __name__ == "__main__":
    main()
