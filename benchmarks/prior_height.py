"""Real height on all chromosomes: held-out gain of each model, with and without chromosome 18, and by engine.

    python benchmarks/prior_height.py --data ../shared/data --out benchmarks/results/prior_height.json

Genotypes and GWAS are `polypred` (489 Europeans, 1 Mb of each autosome; UK Biobank height by BOLT-LMM), annotations all BED
files. Learned on chromosomes 1-16, stopped by 17-19, held out 20-22, in cores of 250 kb so that 12 windows are held out.
Chromosome 18 holds one locus with chi2 of 931 in the validation part; "no18" leaves it out.

The Enformer reads the same BED files base by base, as tracks (`--tracks`, else built here in some minutes), and frequency and LD
score as predictors. It learns on windows of 1 Mb, which pass each variant through the network once where cores of 250 kb would
four times, and is scored on the same 12 windows as the others.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from _measure import machine
from varfx.annotations import BedSpec, build_annotations
from varfx.genotypes.open_ld import open_source
from varfx.gwas.clean import clean
from varfx.ld import PanelConfig, build_panel
from varfx.models import ModelConfig
from varfx.models.track_enformer import TrackEnformerConfig
from varfx.prior import SplitConfig, evaluate, fit
from varfx.tracks.build import build_tracks
from varfx.tracks.manifest import TrackSpec, stem
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

HELD_OUT = ("20", "21", "22")
SMALL = TrackEnformerConfig(window=64, width=48, num_downsamples=3, variants_per_pass=4096)
ENFORMER_TRAINING: dict[str, Any] = {"learning_rate": 1e-3, "check_every": 16, "patience": 5}  # a pass is 16 windows


def jobs(all_chromosomes: bool) -> list[tuple[Any, Any, Any]]:
    """Model, engine and objective of each fit."""
    chosen = [(kind, "auto", "likelihood") for kind in ("constant", "linear", "mlp")]
    if all_chromosomes:
        chosen += [("mlp", "exact", "likelihood"), ("mlp", "stochastic", "likelihood")]
        chosen += [(kind, "exact", "ldsr") for kind in ("constant", "linear", "mlp")]
        chosen += [("enformer", "exact", "likelihood"), ("enformer", "exact", "ldsr")]
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--core", type=int, default=250_000)
    parser.add_argument("--tracks", type=Path, help="the BED files as *.tracks.zarr")
    parser.add_argument("--models", nargs="+", default=["constant", "linear", "mlp", "enformer"])
    parser.add_argument("--enformer-steps", type=int, default=240)
    options = parser.parse_args()
    prefix = options.data / "gwas" / "polypred"
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sumstats, annot, panel = folder / "height.sumstats.parquet", folder / "all.annot.parquet", folder / "P.ld.zarr"
        clean(prefix / "bolt.sumstats.txt.gz", out=sumstats, n=450_000, trait="height")
        source = open_source([prefix / f"1000G.subset.{chrom}.bed" for chrom in range(1, 23)])
        config = PanelConfig(core=options.core)
        built = build_panel(source, panel, config, workers=1)
        beds = [BedSpec(path) for path in sorted((options.data / "annotations").glob("*.bed*"))]
        build_annotations(built.variants, beds).write(annot)
        tracks = whole = None
        if "enformer" in options.models:
            tracks = options.tracks or folder / "beds.tracks.zarr"
            if options.tracks is None:
                specs = [TrackSpec(name=stem(bed.path), file=bed.path, kind="bed") for bed in beds]
                build_tracks(specs, tracks, build="hg19", workers=2)
            whole = folder / "whole.ld.zarr"
            build_panel(source, whole, PanelConfig(rank_variance=config.rank_variance), workers=1)
        for chromosomes in ("all", "no18"):
            split = SplitConfig(
                holdout_chrom=HELD_OUT,
                validation_chrom=("17", "18", "19") if chromosomes == "all" else ("17", "19"),
                exclude_chrom=() if chromosomes == "all" else ("18",),
            )
            constant = folder / f"constant_auto_likelihood_{chromosomes}"
            for kind, engine, objective in jobs(chromosomes == "all"):
                if kind not in options.models:
                    continue
                run = folder / f"{kind}_{engine}_{objective}_{chromosomes}"
                deep = kind == "enformer"
                started = time.perf_counter()
                fitted = fit(
                    whole if deep else panel,
                    [sumstats],
                    run,
                    annotations=None if deep else annot,
                    tracks=tracks if deep else None,
                    model=ModelConfig(kind=kind, enformer=SMALL) if deep else ModelConfig(kind=kind),
                    training=TrainConfig(
                        engine=engine,
                        objective=objective,
                        **(ENFORMER_TRAINING | {"max_steps": options.enformer_steps} if deep else {}),
                    ),
                    split=split,
                )
                seconds = time.perf_counter() - started
                trait = evaluate(run, panel=panel, chrom=HELD_OUT, compare_with=constant).traits[0]
                if deep:  # its own null was fitted to other windows: count from the constant prior's
                    first = next(row for row in rows if row["model"] == "constant")
                    trait |= {"gain": first["gain"] + trait["difference"], "gain_ci95": None}
                    trait |= {"sigma2_null": first["sigma2_null"]}
                rows.append(
                    {
                        "model": kind,
                        "engine": engine,
                        "objective": objective,
                        "chromosomes": chromosomes,
                        "fit_seconds": round(seconds, 1),
                        "steps": fitted.record["outcome"]["steps"],
                        "best_step": fitted.record["outcome"]["best_step"],
                        "num_weights": sum(weight.numel() for weight in fitted.model.parameters()),
                        **{key: trait[key] for key in KEPT},
                    }
                )
                print(rows[-1], flush=True)
    result = {"benchmark": "prior_height", "core": options.core, "rows": rows, "machine": machine()}
    options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
