"""A small panel from simulated genotypes, with traits simulated from them: what the tests of priors share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy import ndarray
from scipy.signal import lfilter

from varfx.annotations import Annotations
from varfx.genotypes.open_ld import open_source
from varfx.gwas.sumstats import SCHEMA, SumStats
from varfx.ld import LDPanel, PanelConfig, build_panel
from varfx.training import TraitData, WindowData

CORE = 100_000
N = 10_000.0


@dataclass(frozen=True)
class Simulated:
    """Files as a user has them, and the truth behind them.

    Attributes:
        folder: holds everything.
        bed: PLINK files of the reference.
        panel: the panel built from them.
        annot: annotations: `active` (0/1 in stretches) and `noise` (standard normal, one value in ten missing), with
            frequency, minor-allele frequency and LD score.
        height: a trait at all variants, the same N.
        weight: a trait with no association on chromosome 2's first window and at every seventh variant, and unequal N.
        F: N f of `height`.
        beta: its effects.
        X: standardised genotypes of the panel's variants.
        active: the annotation.
    """

    folder: Path
    bed: Path
    panel: Path
    annot: Path
    height: Path
    weight: Path
    F: ndarray
    beta: ndarray
    X: ndarray
    active: ndarray

    def open(self) -> LDPanel:
        from varfx.ld import open_panel

        return open_panel(self.panel)

    def fit_options(self) -> list[str]:
        return ["--panel", str(self.panel), "--sumstats", str(self.height), "--annot", str(self.annot)]


def haplotypes(rng: np.random.Generator, people: int, variants: int, rho: float = 0.9) -> ndarray:
    """Genotypes 0, 1, 2 with correlations that fade along the chromosome: (individual, variant)."""
    noise = rng.standard_normal((2 * people, variants))
    noise[:, 1:] *= np.sqrt(1 - rho**2)
    latent = lfilter([1.0], [1.0, -rho], noise, axis=1)
    threshold = rng.uniform(-0.8, 0.8, variants)
    return (latent > threshold).astype(np.int8).reshape(2, people, variants).sum(0)


def standardise(counts: ndarray) -> ndarray:
    centred = counts - counts.mean(0)
    return centred / centred.std(0)


def write_bed(prefix: Path, counts: ndarray, chrom: list[str], position: ndarray) -> None:
    """PLINK 1 files with A1 = A counted, A2 = G."""
    people, variants = counts.shape
    code = np.array([3, 2, 0], dtype=np.uint8)[counts.T]
    padded = np.zeros((variants, -(-people // 4) * 4), dtype=np.uint8)
    padded[:, :people] = code
    parts = padded.reshape(variants, -1, 4)
    packed = parts[:, :, 0] | parts[:, :, 1] << 2 | parts[:, :, 2] << 4 | parts[:, :, 3] << 6
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + packed.tobytes())
    rows = [f"{c}\trs{i}\t0\t{p}\tA\tG\n" for i, (c, p) in enumerate(zip(chrom, position, strict=True))]
    prefix.with_suffix(".bim").write_text("".join(rows))
    prefix.with_suffix(".fam").write_text("".join(f"f{i} i{i} 0 0 0 -9\n" for i in range(people)))


def associations(rng: np.random.Generator, X: ndarray, beta: ndarray, sigma2: float = 1.0) -> ndarray:
    """z = sqrt(N) R beta + sigma R^1/2 e for `beta` in units of 1 / sqrt(N), R = X'X / individuals."""
    people = X.shape[0]
    noise = rng.standard_normal(people)
    noise -= noise.mean()
    return X.T @ (X @ beta / people) + np.sqrt(sigma2 / people) * (X.T @ noise)


def sumstats(panel: LDPanel, z: ndarray, n: ndarray, trait: str) -> SumStats:
    """Associations with the panel's own alleles; rows whose z is NaN are left out."""
    table = panel.variants.select(
        "chrom",
        "position",
        "variant_id",
        "effect_allele",
        "other_allele",
        "eaf",
        z=pl.Series(z),
        n=pl.Series(n),
        info=pl.lit(None, pl.Float64),
    )
    return SumStats(table=table.filter(pl.col("z").is_finite()).select(*SCHEMA), trait=trait)


def simulate(folder: Path, *, people: int = 200, chroms: int = 3, cores: int = 4, per_core: int = 40) -> Simulated:
    """Makes all files; about a second."""
    rng = np.random.default_rng(7)
    total = chroms * cores * per_core
    counts = np.hstack([haplotypes(rng, people, cores * per_core) for _ in range(chroms)])
    step = CORE // per_core
    position = np.tile(np.arange(cores * per_core) * step + step // 2, chroms)
    chrom = [str(c + 1) for c in range(chroms) for _ in range(cores * per_core)]
    write_bed(folder / "ref", counts, chrom, position)
    source = open_source([folder / "ref.bed"], maf=0.0)
    panel = build_panel(
        source,
        folder / "P.ld.zarr",
        PanelConfig(core=CORE, flank=CORE, rank_variance=1.0),
        workers=1,
        inputs=[folder / "ref.bed"],
    )
    assert panel.variants.height == total

    X = standardise(counts)
    active = np.repeat(rng.random(total // 10) < 0.4, 10).astype(float)
    F = np.where(active > 0, 1.0, 0.1)
    beta = rng.standard_normal(total) * np.sqrt(F)
    z = np.hstack([associations(rng, X[:, rows], beta[rows]) for rows in _by_chrom(chroms, total)])
    sumstats(panel, z, np.full(total, N), "height").write(folder / "height.sumstats.parquet")
    other = 0.5 * beta + 0.5 * rng.standard_normal(total) * np.sqrt(F)
    z = np.hstack([associations(rng, X[:, rows], other[rows]) for rows in _by_chrom(chroms, total)])
    z[::7] = np.nan
    z[cores * per_core : (cores + 1) * per_core] = np.nan
    sumstats(panel, z, rng.uniform(0.5, 1, total) * N, "weight").write(folder / "weight.sumstats.parquet")

    noise = np.where(rng.random(total) < 0.1, np.nan, rng.standard_normal(total))
    table = panel.variants.select(
        "chrom",
        "position",
        "variant_id",
        "effect_allele",
        "other_allele",
        pl.col("eaf").cast(pl.Float32),
        pl.col("ld_score").cast(pl.Float32),
        active=pl.Series(active, dtype=pl.Float32),
        noise=pl.Series(noise, dtype=pl.Float32).fill_nan(None),
    )
    Annotations(table=table).write(folder / "A.annot.parquet")
    return Simulated(
        folder=folder,
        bed=folder / "ref.bed",
        panel=folder / "P.ld.zarr",
        annot=folder / "A.annot.parquet",
        height=folder / "height.sumstats.parquet",
        weight=folder / "weight.sumstats.parquet",
        F=F,
        beta=beta,
        X=X,
        active=active,
    )


def window_data(
    panel: LDPanel,
    z: ndarray,
    features: ndarray | None = None,
    heterozygosity: ndarray | None = None,
    *,
    n: ndarray | None = None,
    dtype: torch.dtype = torch.float32,
    cache_bytes: int = 2**30,
    scratch: Path | None = None,
) -> WindowData:
    """Windows with one trait a row of `z`, and the same N unless `n` (variant,) is given."""
    size = panel.variants.height
    sizes = np.full(size, N) if n is None else n
    traits = [
        TraitData(name=f"trait{i}", z=row, n=np.where(np.isfinite(row), sizes, np.nan), n_ref=float(np.median(sizes)))
        for i, row in enumerate(np.atleast_2d(z))
    ]
    return WindowData(
        panel,
        traits,
        np.zeros((size, 0)) if features is None else features,
        np.full(size, 0.25) if heterozygosity is None else heterozygosity,
        dtype=dtype,
        cache_bytes=cache_bytes,
        scratch=scratch,
    )


def _by_chrom(chroms: int, total: int) -> list[slice]:
    size = total // chroms
    return [slice(i * size, (i + 1) * size) for i in range(chroms)]
