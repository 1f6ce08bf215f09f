"""A small reference with LD in three formats: the same individuals and variants as .bed, .pgen and a folder of UKBB_LD files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pgenlib
import polars as pl
from bed_reader import to_bed

from varfx.genotypes.open_ld import open_source
from varfx.genotypes.panel import GenotypePanel
from varfx.genotypes.ukb_ld import write_ukb_ld
from varfx.ld import PanelConfig, build_panel

CORE = 1000
CONFIG = PanelConfig(core=CORE, flank=CORE, rank_variance=1.0)


def haplotype_counts(rng: np.random.Generator, people: int, variants: int, copy: float = 0.9) -> np.ndarray:
    """Counts of an allele, (individual, variant): each haplotype copies its left neighbour's allele with probability `copy`."""
    haplotypes = (rng.random((2 * people, variants)) < rng.uniform(0.2, 0.8, variants)).astype(np.int8)
    for variant in range(1, variants):
        same = rng.random(2 * people) < copy
        haplotypes[same, variant] = haplotypes[same, variant - 1]
    counts = haplotypes[:people] + haplotypes[people:]
    counts[0], counts[1] = 0, 1  # every variant has a variance
    return counts


def positions_of(rng: np.random.Generator, variants: int, chroms: Sequence[str], bases: int = 4 * CORE) -> pl.DataFrame:
    """`chrom` and `position` of variants spread over the first `bases` of each chromosome."""
    share = np.array_split(np.arange(variants), len(chroms))
    parts = [
        pl.DataFrame(
            {"chrom": [chrom] * rows.size, "position": np.sort(rng.choice(bases, rows.size, replace=False)) + 1}
        )
        for chrom, rows in zip(chroms, share, strict=True)
    ]
    return pl.concat(parts)


def write_bed(prefix: Path, counts: np.ndarray, sites: pl.DataFrame) -> Path:
    people, variants = counts.shape
    properties = {
        "fid": [f"F{i}" for i in range(people)],
        "iid": [f"I{i}" for i in range(people)],
        "chromosome": sites["chrom"].to_list(),
        "sid": [f"rs{j}" for j in range(variants)],
        "bp_position": sites["position"].to_list(),
        "allele_1": ["A"] * variants,
        "allele_2": ["G"] * variants,
    }
    to_bed(f"{prefix}.bed", counts.astype(np.float32), properties=properties)
    return Path(f"{prefix}.bed")


def write_pgen(prefix: Path, counts: np.ndarray, sites: pl.DataFrame) -> Path:
    people, variants = counts.shape
    with pgenlib.PgenWriter(f"{prefix}.pgen".encode(), people, variant_ct=variants, nonref_flags=False) as writer:
        writer.append_biallelic_batch(np.ascontiguousarray(counts.T, dtype=np.int8))
    rows = [f"{c}\t{p}\trs{j}\tG\tA\n" for j, (c, p) in enumerate(sites.iter_rows())]
    Path(f"{prefix}.pvar").write_text("#CHROM\tPOS\tID\tREF\tALT\n" + "".join(rows))
    Path(f"{prefix}.psam").write_text("#FID\tIID\n" + "".join(f"F{i}\tI{i}\n" for i in range(people)))
    return Path(f"{prefix}.pgen")


def write_ukb(folder: Path, bed: Path, chrom: str, starts: Sequence[int], bases: int = 3 * CORE) -> Path:
    """The correlations of a .bed as overlapping regions of three cores."""
    folder.mkdir(exist_ok=True)
    source = open_source(bed)
    for start in starts:
        index = source.select(chrom, start, start + bases, 0)[0]
        X = source.standardised(index, np.float64)  # type: ignore[attr-defined]
        name = f"chr{chrom}_{start + 1}_{start + bases + 1}"
        write_ukb_ld(folder, name, source.variants[index], X.T @ X / X.shape[0])
    return folder


class Slow(GenotypePanel):
    """A quarter of a second per window."""

    def standardised(self, *arguments: object) -> np.ndarray:
        time.sleep(0.25)
        return super().standardised(*arguments)  # type: ignore[arg-type]


def build_slowly(bed: str, out: str, workers: str, kind: type[Slow] = Slow) -> None:
    """A build of which something is seen while it goes on."""
    source = open_source(bed)
    source.__class__ = kind
    build_panel(source, out, CONFIG, workers=int(workers))
