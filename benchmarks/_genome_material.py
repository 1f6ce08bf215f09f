"""A part of a biobank for `genome.py`: a panel of real LD at UK Biobank's size, a GWAS with gaps, and 96 annotations.

The LD is that of the published LD graphical model of chr1:16,103-2,888,443 (1000 Genomes, EUR): 13,000 of its variants, those that share
an index with another one told apart by correlations of 0.95 and more, as imputed variants are. Its three thirds follow each other around a
ring (1, 2, 3, 1, ...), each a core with the two others as its flanks, so that all windows of a chromosome are consistent with each other;
alleles are exchanged at random in every window. The thirds are whitened once, and every window is written by the panel's own writer.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import zarr

from varfx.annotations import Annotations
from varfx.genotypes.ldgm import Ldgm
from varfx.io import sealed
from varfx.ld import store
from varfx.ld.store import LDPanel, open_panel, write_window
from varfx.ld.whiten import Factors, factors_from_correlation
from varfx.ld.windows import Core

GENOME_WINDOWS = 2763  # regions of UKBB_LD
GENOME_VARIANTS = 12_000_000
VARIANTS = 13_000  # of core and flanks
RANK = 2_000  # leading directions that are kept
KEPT = 0.978
SPAN = 1_000_000
PEOPLE = 337_545
N = 400_000
H2 = 0.4  # of a whole genome
ANNOTATIONS = 96
STRONG_PER_WINDOW = 1 / 7  # loci for fine-mapping
STRONG_Z = 9.0
GAPS = 0.02  # share of the panel's variants that the GWAS lacks
LEAST_TWIN = 0.9  # smallest r^2 of a variant and the index that it shares


@dataclass(frozen=True, eq=False)
class Ring:
    """The three cores: whitened LD of each with all three, in the order (before, core, after)."""

    factors: tuple[Factors, ...]
    scores: tuple[np.ndarray, ...]

    @property
    def sizes(self) -> list[int]:
        """Core variants of each."""
        return [each.V.shape[0] for each in self.factors]


def ring(data: Path, work: Path) -> Ring:
    """The three whitened cores, from an earlier run if there was one."""
    kept = work / "ring.npz"
    if not kept.is_file():
        R = _correlations(data)
        thirds = np.array_split(np.arange(VARIANTS), 3)
        arrays = {}
        for number, core in enumerate(thirds):
            around = np.concatenate([thirds[number - 1], core, thirds[(number + 1) % 3]])
            factors = factors_from_correlation(R[np.ix_(core, core)], R[np.ix_(core, around)], rank_variance=0.99)
            score = np.square(R[core]).sum(1)
            arrays |= {f"lam{number}": factors.lam, f"V{number}": factors.V.astype(np.float32), f"score{number}": score}
            arrays |= {f"B{number}": factors.B.astype(np.float32)}
        np.savez(kept, **arrays)
    with np.load(kept) as found:
        factors = tuple(
            Factors(lam=found[f"lam{i}"][:RANK], V=found[f"V{i}"][:, :RANK], B=found[f"B{i}"][:RANK]) for i in range(3)
        )
        return Ring(factors, tuple(found[f"score{i}"] for i in range(3)))


def _correlations(data: Path) -> np.ndarray:
    """Correlations of 13,000 variants in float32."""
    rng = np.random.default_rng(0)
    source = Ldgm(data / "ldgm")
    everything = np.arange(source.variants.height)
    rows = np.sort(np.concatenate([everything, rng.choice(everything, VARIANTS - everything.size)]))
    R, _ = source.correlation(rows, rows[:1])
    loading = np.sqrt(rng.uniform(LEAST_TWIN, 1, VARIANTS)).astype(np.float32)
    R *= loading[:, None] * loading
    np.fill_diagonal(R, 1.0)
    return R


def chromosomes(windows: int) -> list[int]:
    """Number of windows on each of up to 22 chromosomes."""
    return [len(part) for part in np.array_split(np.arange(windows), max(1, min(22, windows // 4)))]


def make(folder: Path, data: Path, windows: int, dtype: str) -> LDPanel:
    """Writes `P.ld.zarr`, `S.txt.gz` and `A.annot.parquet` into a folder, unless they are there."""
    path = folder / "P.ld.zarr"
    if not (path / sealed.MANIFEST).is_file():
        _write(folder, path, ring(data, folder), windows, dtype)
    return open_panel(path)


def _write(folder: Path, path: Path, of: Ring, windows: int, dtype: str) -> None:
    shutil.rmtree(path, ignore_errors=True)
    zarr.create_group(path).create_group("windows")
    cores = [
        (Core(str(c + 1), k * SPAN, (k + 1) * SPAN), k, count)
        for c, count in enumerate(chromosomes(windows))
        for k in range(count)
    ]
    variants = _variants([core for core, _, _ in cores], [k % 3 for _, k, _ in cores], of)
    sizes = np.array([of.sizes[k % 3] for _, k, _ in cores])
    firsts = np.concatenate([[0], np.cumsum(sizes)])
    annotations = _annotations(variants)
    annotations.write(folder / "A.annot.parquet")
    beta = _effects(variants, annotations)
    rng = np.random.default_rng(7)
    sign = rng.choice(np.array([-1, 1], dtype=np.float32), variants.height)
    z, notes = np.zeros(variants.height), []
    steps = [_noise_step(of, kind) for kind in range(3)]
    noise = np.zeros(0, dtype=np.float32)
    for number, (core, k, count) in enumerate(cores):
        factors = of.factors[k % 3]
        lengths = [of.sizes[k % 3 - 1], of.sizes[k % 3], of.sizes[(k + 1) % 3]]
        columns = np.arange(0 if k else lengths[0], sum(lengths) - (lengths[2] if k == count - 1 else 0))
        panel = firsts[number] - lengths[0] + columns
        inside = np.arange(firsts[number], firsts[number + 1])
        B = factors.B[:, columns] * sign[panel]
        own = Factors(lam=factors.lam, V=factors.V * sign[inside, None], B=B)
        write_window(path, core, own, inside, panel, of.scores[k % 3], KEPT, dtype=np.dtype(dtype))
        fresh = rng.standard_normal(len(own.lam), dtype=np.float32)
        carried, spread = steps[k % 3]
        noise = fresh if not k else carried @ noise + spread @ fresh
        w = B @ beta[panel].astype(np.float32) + noise
        z[inside] = own.V @ (np.sqrt(own.lam).astype(np.float32) * w)
        notes.append(
            {"name": core.name, "chrom": core.chrom, "start": core.start, "end": core.end, "num_core": inside.size,
             "num_panel": panel.size, "rank": own.lam.size, "variance_kept": KEPT}
        )  # fmt: skip
    config = {"core": SPAN, "flank": SPAN, "rank_variance": KEPT, "dtype": dtype}
    metadata = {"num_people": PEOPLE, "build": "hg19", "config": config, "ledger": [], "missing": []}
    store.PANEL.finish(path, variants, pl.DataFrame(notes), metadata)
    _write_sumstats(folder / "S.txt.gz", variants, z, rng)


def _noise_step(of: Ring, kind: int) -> tuple[np.ndarray, np.ndarray]:
    """X' and a root of `I - X'X`, with X the correlations of the whitened noise of the core before and of this one.

    A GWAS has the noise of variants in LD in common, also across the edge of two cores; the cores after the next share none.
    """
    before, here = of.factors[kind - 1], of.factors[kind]
    after = slice(of.sizes[kind - 2] + of.sizes[kind - 1], None)  # columns of this core in the window before
    X = before.B[:, after].astype(np.float64) @ (here.V / np.sqrt(here.lam))
    values, vectors = np.linalg.eigh(np.eye(len(here.lam)) - X.T @ X)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return X.T.astype(np.float32), root.astype(np.float32)


def _variants(cores: list[Core], kinds: list[int], of: Ring) -> pl.DataFrame:
    """All variants of the part, evenly spaced in their cores."""
    rng = np.random.default_rng(1)
    frames = []
    for core, kind in zip(cores, kinds, strict=True):
        size = of.sizes[kind]
        pairs = np.array([("A", "C"), ("A", "G"), ("C", "T"), ("G", "T")])[rng.integers(0, 4, size)]
        frames.append(
            pl.DataFrame(
                {
                    "chrom": [core.chrom] * size,
                    "position": core.start + 1 + np.arange(size) * SPAN // size,
                    "variant_id": [f"rs{core.chrom}_{core.start // SPAN}_{i}" for i in range(size)],
                    "effect_allele": pairs[:, 0],
                    "other_allele": pairs[:, 1],
                    "eaf": rng.beta(0.6, 1.2, size).clip(0.01, 0.99),
                    "ld_score": of.scores[kind],
                }
            )
        )
    return pl.concat(frames)


def _annotations(variants: pl.DataFrame) -> Annotations:
    """Two thirds intervals of 0.2 to 20 % of the genome, one third continuous and smooth along it."""
    rng = np.random.default_rng(2)
    size = variants.height
    columns = {}
    for number in range(ANNOTATIONS):
        length = int(rng.integers(3, 40))
        steps = rng.standard_normal(size // length + 2).astype(np.float32)
        values = np.repeat(steps, length)[:size]
        if number % 3:
            values = (values > np.quantile(steps, 1 - 10 ** rng.uniform(-2.7, -0.7))).astype(np.float32)
        columns[f"annotation{number}"] = values
    keys = variants.select("chrom", "position", "variant_id", "effect_allele", "other_allele")
    return Annotations(table=keys.with_columns(**columns), metadata={"build": "hg19"})


def _effects(variants: pl.DataFrame, annotations: Annotations) -> np.ndarray:
    """Effects in units of 1 / sqrt(N), whose variance is log-linear in a dozen annotations, with strong effects here and there."""
    rng = np.random.default_rng(3)
    X = annotations.table.select(annotations.channels[:12]).to_numpy()
    logs = X @ rng.uniform(0, 1, 12)
    F = np.exp(logs - logs.max())
    F *= N * H2 / GENOME_VARIANTS / F.mean()
    beta = np.sqrt(F) * rng.standard_normal(len(F))
    windows = variants.height // (VARIANTS // 3)
    strong = rng.choice(variants.height, max(2, round(windows * STRONG_PER_WINDOW)), replace=False)
    beta[strong] = STRONG_Z * rng.choice([-1, 1], strong.size)
    return beta


def _write_sumstats(path: Path, variants: pl.DataFrame, z: np.ndarray, rng: np.random.Generator) -> None:
    """A GWAS of quantitative traits as text, without some of the panel's variants."""
    eaf = variants["eaf"].to_numpy()
    se = 1 / np.sqrt(N * 2 * eaf * (1 - eaf))
    table = variants.select(
        CHR="chrom", POS="position", SNP="variant_id", A1="effect_allele", A2="other_allele", FRQ=pl.col("eaf").round(5)
    ).with_columns(BETA=pl.Series(z * se), SE=pl.Series(se), Z=pl.Series(z), N=pl.lit(N))
    kept = table.filter(pl.Series(rng.random(len(z)) >= GAPS))
    with gzip.open(path, "wb", compresslevel=1) as file:
        for part in _parts(kept):
            file.write(part)


def _parts(table: pl.DataFrame) -> Iterator[bytes]:
    for start in range(0, table.height, 100_000):
        text = table.slice(start, 100_000).write_csv(separator="\t", include_header=start == 0, float_precision=6)
        yield text.encode()
