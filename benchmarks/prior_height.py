"""Real height on all chromosomes: held-out gain of each model, with and without chromosome 18, and by engine.

    python benchmarks/prior_height.py --data ../shared/data --out benchmarks/results/prior_height.json

Genotypes and GWAS are `polypred` (489 Europeans, 1 Mb of each autosome; UK Biobank height by BOLT-LMM), annotations all BED
files. Learned on chromosomes 1-16, stopped by 17-19, held out 20-22, in cores of 250 kb so that 12 windows are held out.
Chromosome 18 holds one locus with chi2 of 931 in the validation part; "no18" leaves it out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from _measure import machine
from varfx.data.annotations import BedSpec, build_annotations
from varfx.data.gwas.clean import clean
from varfx.data.open_ld import open_source
from varfx.ld import PanelConfig, build_panel
from varfx.ld.rank_rule import default_rank_variance
from varfx.models import ModelConfig
from varfx.prior import SplitConfig, evaluate, fit
from varfx.training import TrainConfig

KEPT = (
    "gain",
    "gain_ci95",
    "difference",
    "difference_ci95",
    "sigma2",
    "sigma2_null",
    "n_windows",
    "n_variants",
    "rank",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--core", type=int, default=250_000)
    options = parser.parse_args()
    prefix = options.data / "gwas" / "polypred"
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sumstats, annot, panel = folder / "height.sumstats.parquet", folder / "all.annot.parquet", folder / "P.ld.zarr"
        clean(prefix / "bolt.sumstats.txt.gz", out=sumstats, n=450_000, trait="height")
        source = open_source([prefix / f"1000G.subset.{chrom}.bed" for chrom in range(1, 23)])
        config = PanelConfig(core=options.core, rank_variance=default_rank_variance(source.num_people))
        built = build_panel(source, panel, config, workers=1)
        beds = [BedSpec(path) for path in sorted((options.data / "annotations").glob("*.bed*"))]
        build_annotations(built.variants, beds).write(annot)
        for chromosomes in ("all", "no18"):
            split = SplitConfig(
                holdout_chrom=("20", "21", "22"),
                validation_chrom=("17", "18", "19") if chromosomes == "all" else ("17", "19"),
                exclude_chrom=() if chromosomes == "all" else ("18",),
            )
            jobs = [("constant", "auto", "likelihood"), ("linear", "auto", "likelihood"), ("mlp", "auto", "likelihood")]
            if chromosomes == "all":
                jobs += [("mlp", "exact", "likelihood"), ("mlp", "stochastic", "likelihood")]
                jobs += [("constant", "exact", "ldsr"), ("linear", "exact", "ldsr"), ("mlp", "exact", "ldsr")]
            for kind, engine, objective in jobs:
                run = folder / f"{kind}_{engine}_{objective}_{chromosomes}"
                started = time.perf_counter()
                fitted = fit(
                    panel,
                    [sumstats],
                    run,
                    annotations=annot,
                    model=ModelConfig(kind=kind),  # type: ignore[arg-type]
                    training=TrainConfig(engine=engine, objective=objective),  # type: ignore[arg-type]
                    split=split,
                )
                seconds = time.perf_counter() - started
                constant = folder / f"constant_auto_likelihood_{chromosomes}"
                trait = evaluate(run, compare_with=constant).traits[0]
                rows.append(
                    {
                        "model": kind,
                        "engine": engine,
                        "objective": objective,
                        "chromosomes": chromosomes,
                        "fit_seconds": round(seconds, 1),
                        "steps": fitted.record["outcome"]["steps"],
                        **{key: trait[key] for key in KEPT},
                    }
                )
                print(rows[-1], flush=True)
    result = {"benchmark": "prior_height", "core": options.core, "rows": rows, "machine": machine()}
    options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
