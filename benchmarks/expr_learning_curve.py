"""Learning curves of the linear models on real individuals: GEUVADIS, chromosome 22.

330 Europeans with phased genotypes (thinned to 10 variants per window), the genes whose windows the reference at hand holds, 3 folds. Models are
fitted on 50, 100, 200 and all 264 training individuals, nested; tuning and test individuals are the same.

    python benchmarks/expr_learning_curve.py --data ../shared/data --out benchmarks/results/expr_learning_curve.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from _measure import machine
from varfx.expression.cohort.config import PrepareConfig, PrepareFiles
from varfx.expression.cohort.prepare import prepare
from varfx.expression.evaluate import evaluate
from varfx.expression.evaluation_config import EvaluationConfig
from varfx.expression.linear.config import BaselineConfig
from varfx.expression.linear.run import fit_baselines
from varfx.report.expression import draw_evaluation

MODELS = ("elastic-net", "blup", "informed-blup", "top1")
SIZES = (50, 100, 200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of real data")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--figures", type=Path, help="folder for the pictures")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    data, began = options.data, time.process_time()
    files = PrepareFiles(
        genotypes=(data / "genotypes" / "1KG_phase1_release_v3_chr22.1092.vcf.gz",),
        reference=data / "reference" / "derived_GRCh37_chr22_1-22000000.fa.gz",
        gtf=data / "genes" / "gencode.v19.annotation.chr22.gtf.gz",
        expression=data / "expression" / "genes.50percent.chr22.bed.gz",
        covariates=data / "expression" / "genes.covariates.pc50.txt.gz",
    )
    with tempfile.TemporaryDirectory() as folder:
        cohort = prepare(files, Path(folder) / "cohort", PrepareConfig())
        config = BaselineConfig(models=MODELS, train_size=tuple(options.sizes))
        run = fit_baselines(cohort.path, Path(folder) / "run", config, workers=options.workers)
        result = evaluate([run.path], EvaluationConfig())
    record = {
        "benchmark": "expr_learning_curve",
        "individuals": len(cohort.people),
        "genes": cohort.genes.height,
        "held_out_genes": len(cohort.genes_heldout),
        "variants": cohort.variants.height,
        "learning_curves": result.learning_curves,
        "heritability_classes": result.heritability_classes,
        "skipped": len(run.record["skipped"]),
        "processor_seconds": round(time.process_time() - began, 1),
        "machine": machine(),
    }
    options.out.write_text(json.dumps(record, indent=1) + "\n")
    if options.figures is not None:
        draw_evaluation(result.to_dict(), options.figures)
    for entry in result.learning_curves:
        if entry["gene_set"] == "training":
            print(f"{entry['model']:14} {entry['train_size']:5.0f}  R2 {entry['mean_r2']:.3f} {entry['mean_r2_ci95']}")


if __name__ == "__main__":
    main()
