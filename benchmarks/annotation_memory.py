"""Peak memory of what reads 200 annotations of many variants, per variant, and what 12 million would take.

    python benchmarks/annotation_memory.py --work /tmp/memory --out benchmarks/results/annotation_memory.json

Each step runs in a process of its own. `features` is what every command with annotations does: match, standardise, go through all windows; `held`
with all annotations in memory, `read` with annotations in their file, as tables above 512 MiB are, whatever their size here, with 32 MiB of them
kept and 16,384 variants gone through at a time. `matching` brings summary statistics to the panel's variants, without annotations; its sizes are
larger, because below 200,000 variants all rsIDs are compared, above a sample. With `--commands` also `annot build` from a table per chromosome, fit,
evaluate, predict, weights and h2, on a panel whose windows are of rank 8: what is measured grows with the number of variants, not LD. Windows that
a command keeps in memory are left out: they take up to a third of what is free. Annotations are 140 of 0/1 and 60 continuous, 20 of them with gaps.
Bytes per variant are the slope between the two sizes.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from _measure import machine, run_measured
from varfx.annotations.places import KEY_SCHEMA
from varfx.gwas.sumstats import SCHEMA, SumStats
from varfx.io import sealed_rows
from varfx.io.sealed_rows import ROWS_PER_GROUP

GENOME = 12_000_000
GOAL_BYTES = 8e9
BINARY, CONTINUOUS, WITH_GAPS = 140, 60, 20
PER_WINDOW, RANK, SPAN = 5_000, 8, 1_000_000
CHROMOSOMES = 4
PREAMBLE = """
import sys
from types import SimpleNamespace
import psutil
psutil.virtual_memory = lambda: SimpleNamespace(available=0, total=8 << 30)
from varfx.annotations import file
file.HELD_BYTES = {held}
from varfx.cli import main
sys.argv[0] = "varfx"
sys.exit(main())
"""
MATCHED = """
from varfx.genome.harmonise import harmonise
from varfx.gwas.sumstats import read_sumstats
import polars as pl
stats, variants = read_sumstats("{folder}/S.sumstats.parquet"), pl.read_parquet("{folder}/P.ld.zarr/variants.parquet")
harmonise(stats.table, variants, source="S", reference_name="P")
"""
FEATURES = """
import numpy as np
import polars as pl
from varfx.annotations import Standardiser, channels, file
file.HELD_BYTES, file.KEPT_BYTES, channels.BLOCK = {held}, 1 << 25, 1 << 14
variants = pl.read_parquet("{folder}/P.ld.zarr/variants.parquet")
found = file.open_annotations("{folder}/A.annot.parquet").on(variants)
features = Standardiser.of([found]).features(found)
for first in range(0, variants.height, {window}):
    features.rows(np.arange(first, first + {window}))
"""
HELD = {"held": 1 << 40, "read": 0}


def steps(folder: Path, held: int, *, commands: bool) -> dict[str, list[str]]:
    """The command line of each step."""
    given = f"--panel {folder}/P.ld.zarr --sumstats {folder}/S.sumstats.parquet --annotations {folder}/A.annot.parquet"
    schedule = "--max-steps 2 --start-windows 4 --holdout-chrom 1 --overwrite"
    lines = {
        "sumstats clean": f"sumstats clean {folder}/S.txt.gz --out {folder}/S.sumstats.parquet --build GRCh37 --trait trait",
        "annot build": f"annot build --panel {folder}/P.ld.zarr --table {folder}/base.@.parquet --out {folder}/built.annot.parquet",
        "prior fit": f"prior fit {given} --model mlp {schedule} --out {folder}/RUN",
        "prior evaluate": f"prior evaluate {folder}/RUN",
        "prior predict": f"prior predict {folder}/RUN --out {folder}/predict.parquet",
        "prior weights": f"prior weights {folder}/RUN --out {folder}/weights.txt.gz --effects normal",
        "prior h2": f"prior h2 {folder}/RUN --windows held-out --out {folder}/h2",
    }
    varfx = [sys.executable, "-c", PREAMBLE.format(held=held)]
    found = {name: [*varfx, *line.split()] for name, line in lines.items() if commands}
    features = FEATURES.format(held=held, folder=folder, window=PER_WINDOW)
    found["features"] = [sys.executable, "-c", features]
    return found


def make(folder: Path, size: int) -> None:
    """Writes the panel's table of variants, GWAS and annotations, unless they are there."""
    if (folder / "S.txt.gz").is_file():
        return
    root = folder / "P.ld.zarr"
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    variants = _variants(size, rng)
    variants.write_parquet(root / "variants.parquet")
    tables = [_table(part, rng) for part in variants.partition_by("chrom", maintain_order=True)]
    for number, table in enumerate(tables, start=1):
        table.write_parquet(folder / f"base.{number}.parquet")
    groups = (
        variants.select(list(KEY_SCHEMA)).slice(first, ROWS_PER_GROUP).with_columns(part)
        for first, part in _groups([table.drop("CHR", "BP", "SNP", "A1", "A2") for table in tables])
    )
    sealed_rows.write_rows(groups, folder / "A.annot.parquet", kind="annotations", metadata={"build": "hg19"})
    _gwas(folder / "S.txt.gz", variants, rng)


def make_associations(folder: Path, size: int) -> None:
    """Writes the panel's table of variants and summary statistics, unless they are there."""
    if (folder / "S.sumstats.parquet").is_file():
        return
    (folder / "P.ld.zarr").mkdir(parents=True)
    rng = np.random.default_rng(0)
    variants = _variants(size, rng)
    variants.write_parquet(folder / "P.ld.zarr/variants.parquet")
    z = pl.Series(rng.standard_normal(size).round(3))
    table = variants.with_columns(z=z, n=pl.lit(4e5), info=pl.lit(None, pl.Float64)).select(*SCHEMA)
    SumStats(table=table, trait="trait").write(folder / "S.sumstats.parquet")


def make_panel(folder: Path) -> None:
    """Makes the panel of the table of variants, with windows of rank 8, unless it is there."""
    from varfx.ld import store
    from varfx.ld.whiten import Factors
    from varfx.ld.windows import Core

    root = folder / "P.ld.zarr"
    if (root / "manifest.json").is_file():
        return
    variants = pl.read_parquet(root / "variants.parquet")
    V = np.linalg.qr(np.random.default_rng(0).standard_normal((PER_WINDOW, RANK)))[0]
    lam = np.full(RANK, PER_WINDOW / RANK)
    factors = Factors(lam=lam, V=V, B=np.sqrt(lam)[:, None] * V.T)
    notes = []
    for first in range(0, variants.height, PER_WINDOW):
        rows = np.arange(first, first + PER_WINDOW)
        start = first // PER_WINDOW * SPAN
        core = Core(variants["chrom"][first], start, start + SPAN)
        store.write_window(root, core, factors, rows, rows, np.ones(PER_WINDOW), 1.0, dtype=np.dtype("float16"))
        notes.append(
            {"name": core.name, "chrom": core.chrom, "start": core.start, "end": core.end, "num_core": PER_WINDOW,
             "num_panel": PER_WINDOW, "rank": RANK, "variance_kept": 1.0}
        )  # fmt: skip
    config = {"core": SPAN, "flank": 0, "rank_variance": 1.0, "dtype": "float16"}
    metadata = {"num_people": 337_545, "build": "hg19", "config": config, "ledger": [], "missing": []}
    store.PANEL.finish(root, variants, pl.DataFrame(notes), metadata)


def _variants(size: int, rng: np.random.Generator) -> pl.DataFrame:
    """Variants of `CHROMOSOMES` chromosomes, `PER_WINDOW` per `SPAN` bases."""
    pairs = np.array([("A", "C"), ("A", "G"), ("C", "T"), ("G", "T")])[rng.integers(0, 4, size)]
    row = np.arange(size)
    return pl.DataFrame(
        {
            "chrom": (1 + row // PER_WINDOW * CHROMOSOMES // (size // PER_WINDOW)).astype(str),
            "position": row // PER_WINDOW * SPAN + 1 + 200 * (row % PER_WINDOW),
            "variant_id": [f"rs{number}" for number in range(100_000_000, 100_000_000 + size)],
            "effect_allele": pairs[:, 0],
            "other_allele": pairs[:, 1],
            "eaf": rng.uniform(0.01, 0.99, size),
            "ld_score": rng.uniform(1, 100, size),
        }
    )


def _table(variants: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """The annotations of a chromosome: stretches, and values of few digits."""
    size = variants.height
    columns = {}
    for number in range(BINARY + CONTINUOUS):
        steps = rng.standard_normal(size // 20 + 1).astype(np.float32).round(2)
        values = np.repeat(steps, 20)[:size]
        if number < BINARY:
            values = (values > 1.5).astype(np.float32)
        elif number < BINARY + WITH_GAPS:
            values[np.repeat(rng.random(size // 20 + 1) < 0.1, 20)[:size]] = np.nan
        columns[f"annotation{number}"] = pl.Series(values, dtype=pl.Float32, nan_to_null=True)
    keys = variants.select(CHR="chrom", BP="position", SNP="variant_id", A1="effect_allele", A2="other_allele")
    return keys.with_columns(**columns)


def _groups(tables: list[pl.DataFrame]) -> Iterator[tuple[int, list[pl.Series]]]:
    """Channels of a row group at a time, and its first row."""
    whole = pl.concat(tables)
    for first in range(0, whole.height, ROWS_PER_GROUP):
        yield first, whole.slice(first, ROWS_PER_GROUP).get_columns()


def _gwas(path: Path, variants: pl.DataFrame, rng: np.random.Generator) -> None:
    table = variants.select(
        CHR="chrom", POS="position", SNP="variant_id", A1="effect_allele", A2="other_allele", FRQ=pl.col("eaf").round(5)
    ).with_columns(Z=pl.Series(rng.standard_normal(variants.height)).round(4), N=pl.lit(400_000))
    path.write_bytes(gzip.compress(table.write_csv(separator="\t").encode(), compresslevel=1))


def lines(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Per step: bytes per variant, bytes at none, and bytes at 12 million variants."""
    sizes = sorted(map(int, found))
    result = {}
    for name in found[str(sizes[0])]:
        peaks = [found[str(size)][name]["peak_bytes"] for size in sizes if name in found[str(size)]]
        if len(peaks) == len(sizes) > 1:
            slope, base = np.polyfit(sizes, peaks, 1)
            result[name] = {
                "bytes_per_variant": round(slope),
                "base_bytes": round(base),
                "genome_bytes": round(base + slope * GENOME),
            }
    return result


def main() -> None:
    """Measures all steps at all sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", type=int, nargs="+", default=[60_000, 120_000])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--ways", nargs="+", choices=list(HELD), default=list(HELD))
    parser.add_argument(
        "--commands", action="store_true", help="annot build, fit, evaluate, predict, weights and h2 too"
    )
    parser.add_argument("--matched", type=int, nargs="*", default=[400_000, 800_000], help="sizes of the matching")
    options = parser.parse_args()
    kept: dict[str, Any] = json.loads(options.out.read_text()) if options.out.is_file() else {}
    os.environ["POLARS_MAX_THREADS"] = "2"
    for size in options.variants:
        folder = options.work / str(size)
        make(folder, size)
        if options.commands:
            make_panel(folder)
        for way in options.ways:
            for step, command in steps(folder, HELD[way], commands=options.commands).items():
                _measure_step(kept, way, size, step, command)
                options.out.write_text(json.dumps(kept, indent=1) + "\n")
    for size in options.matched:
        folder = options.work / f"matched{size}"
        make_associations(folder, size)
        _measure_step(kept, "tables", size, "matching", [sys.executable, "-c", MATCHED.format(folder=folder)])
        options.out.write_text(json.dumps(kept, indent=1) + "\n")


def _measure_step(kept: dict[str, Any], way: str, size: int, step: str, command: list[str]) -> None:
    """Adds a step's peak to what was measured, and what a genome would take."""
    seconds, peak = run_measured(command)
    here = kept.setdefault("peaks", {}).setdefault(way, {}).setdefault(str(size), {})
    here[step] = {"peak_bytes": peak, "seconds": round(seconds, 1)}
    print(f"{way}, {size:,} variants, {step}: {peak / 1e9:.2f} GB, {seconds:.0f} s", flush=True)
    kept |= {"benchmark": "annotation_memory", "annotations": BINARY + CONTINUOUS, "goal_bytes": GOAL_BYTES}
    kept |= {"genome": {name: lines(each) for name, each in kept["peaks"].items()}, "machine": machine()}


if __name__ == "__main__":
    main()
