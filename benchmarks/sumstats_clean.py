"""Time and peak memory of `varfx sumstats clean` on a generated BOLT-LMM file of a genome's size.

    python benchmarks/sumstats_clean.py --rows 12000000 --out benchmarks/output/sumstats_clean.json

The goal for 12 million variants on two cores: under 90 s and 8 GB.
"""

from __future__ import annotations

import argparse
import functools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from _measure import machine, run_measured

CHUNK = 1_000_000
PEOPLE = 450_000


def write_bolt(path: Path, rows: int, seed: int = 1) -> None:
    """A gzipped BOLT-LMM file with the columns of a real UK Biobank run, in genome order."""
    generator = np.random.default_rng(seed)
    chroms = np.sort(generator.integers(1, 23, rows))
    positions = np.empty(rows, dtype=np.int64)
    for chrom in range(1, 23):
        here = chroms == chrom
        positions[here] = 10_000 + np.cumsum(generator.integers(1, 400, int(here.sum())))
    with open(path, "wb") as file:
        squeeze = subprocess.Popen(["gzip", "-1", "-c"], stdin=subprocess.PIPE, stdout=file)
        assert squeeze.stdin is not None
        for start in range(0, rows, CHUNK):
            block = _block(generator, chroms[start : start + CHUNK], positions[start : start + CHUNK])
            block.write_csv(squeeze.stdin, separator="\t", include_header=start == 0)
        squeeze.stdin.close()
        if squeeze.wait():
            raise RuntimeError("gzip failed")


def _block(generator: np.random.Generator, chroms: np.ndarray, positions: np.ndarray) -> pl.DataFrame:
    size = len(chroms)
    pairs = np.array([(a, b) for a in "ACGT" for b in "ACGT" if a != b])[generator.integers(0, 12, size)]
    frequency = generator.uniform(0.001, 0.999, size).round(6)
    se = (1 / np.sqrt(2 * PEOPLE * frequency * (1 - frequency))).round(8)
    z = generator.standard_normal(size) * np.where(generator.random(size) < 0.01, 6.0, 1.2)
    chisq = (z**2).round(6)
    text = pl.Series(10 ** -(chisq / 4.6)).map_elements(lambda p: f"{p:.1E}", return_dtype=pl.String)
    return pl.DataFrame(
        {
            "SNP": pl.Series(generator.integers(1, 10**9, size)).cast(pl.String).map_elements("rs{}".format, pl.String),
            "CHR": chroms,
            "BP": positions,
            "GENPOS": (positions / 1e8).round(6),
            "ALLELE1": pairs[:, 0],
            "ALLELE0": pairs[:, 1],
            "A1FREQ": frequency,
            "INFO": generator.uniform(0.3, 1.0, size).round(6),
            "CHISQ_LINREG": (chisq * 0.8).round(6),
            "P_LINREG": text,
            "BETA": (z * se).round(9),
            "SE": se,
            "CHISQ_BOLT_LMM_INF": chisq,
            "P_BOLT_LMM_INF": text,
            "CHISQ_BOLT_LMM": (chisq * 1.02).round(6),
            "P_BOLT_LMM": text,
        }
    )


def clean_file(path: str, out: str) -> None:
    """What is measured, in its own process."""
    from varfx.gwas import clean

    clean(path, out=out, n=PEOPLE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=12_000_000, help="variants in the generated file")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "bolt.stats.gz", Path(folder) / "clean.sumstats.parquet"
        write_bolt(source, arguments.rows)
        seconds, peak = run_measured(functools.partial(clean_file, str(source), str(target)))
        result = {
            "benchmark": "sumstats_clean",
            "rows": arguments.rows,
            "input_bytes": source.stat().st_size,
            "output_bytes": target.stat().st_size,
            "seconds": round(seconds, 2),
            "peak_bytes": peak,
            "machine": machine(),
        }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
