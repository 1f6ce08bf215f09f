"""A second ancestry beside the simulated panel: other LD, other frequencies, windows and variants, some alleles swapped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from cases.simulated_panel import CORE, Simulated, associations, haplotypes, standardise, sumstats, write_bed
from varfx.annotations import Annotations
from varfx.genotypes.open_ld import open_source
from varfx.ld import PanelConfig, build_panel

PEOPLE = 220
N_SECOND = 4_000.0


@dataclass(frozen=True)
class SecondAncestry:
    """Its files.

    Attributes:
        panel: LD panel with windows twice as long; it lacks every fifth variant of the first panel and has variants of its own.
        sumstats: the same trait, with the first panel's effects where the variant is in both.
        annot: annotations of its variants.
        X: standardised genotypes of its variants, by the first panel's effect allele (A).
    """

    panel: Path
    sumstats: Path
    annot: Path
    X: np.ndarray


def second_ancestry(simulated: Simulated, folder: Path) -> SecondAncestry:
    """Makes all files; about a second."""
    rng = np.random.default_rng(11)
    first = simulated.open().variants
    size = first.height // 3
    own = np.arange(first.height) % 5 != 0
    place = np.concatenate([np.flatnonzero(own), np.arange(0, first.height, 10)])
    new = np.arange(place.size) >= own.sum()
    order = np.lexsort((new, place))
    place, new = place[order], new[order]
    position = first["position"].to_numpy()[place] + np.where(new, 7, 0)
    chrom = first["chrom"].to_numpy()[place]
    counts = np.hstack([haplotypes(rng, PEOPLE, int((place // size == number).sum()), rho=0.7) for number in range(3)])
    write_bed(folder / "second", counts, list(chrom), position)
    _swap_alleles(folder / "second.bim", every=4)
    panel = build_panel(
        open_source([folder / "second.bed"], maf=0.0),
        folder / "SECOND.ld.zarr",
        PanelConfig(core=2 * CORE, flank=CORE, rank_variance=1.0),
        workers=1,
        inputs=[folder / "second.bed"],
    )
    swapped = panel.variants["effect_allele"].to_numpy() == "G"
    X = standardise(counts) * np.where(swapped, -1, 1)  # of the first panel's effect allele
    active = simulated.active[place]
    F = np.where(active > 0, 1.0, 0.1) * N_SECOND / 10_000
    beta = np.where(
        new, rng.standard_normal(place.size) * np.sqrt(F), simulated.beta[place] * np.sqrt(N_SECOND / 10_000)
    )
    z = np.hstack([associations(rng, X[:, chrom == name], beta[chrom == name]) for name in ("1", "2", "3")])
    z = np.where(swapped, -z, z)
    sumstats(panel, z, np.full(place.size, N_SECOND), "height").write(folder / "second.sumstats.parquet")
    noise = np.where(rng.random(place.size) < 0.1, np.nan, rng.standard_normal(place.size))
    table = panel.variants.select(
        "chrom", "position", "variant_id", "effect_allele", "other_allele",
        pl.col("eaf").cast(pl.Float32), pl.col("ld_score").cast(pl.Float32),
        active=pl.Series(active, dtype=pl.Float32), noise=pl.Series(noise, dtype=pl.Float32).fill_nan(None),
    )  # fmt: skip
    Annotations(table=table).write(folder / "SECOND.annot.parquet")
    return SecondAncestry(
        folder / "SECOND.ld.zarr", folder / "second.sumstats.parquet", folder / "SECOND.annot.parquet", X
    )


def _swap_alleles(bim: Path, *, every: int) -> None:
    """Names the alleles of some variants the other way round, so that A1 = G is counted, and all variants otherwise."""
    rows = [line.split("\t") for line in bim.read_text().splitlines()]
    for row in rows:
        row[1] = row[1].replace("rs", "second")
    for row in rows[::every]:
        row[4], row[5] = row[5], row[4]
    bim.write_text("".join("\t".join(row) + "\n" for row in rows))
