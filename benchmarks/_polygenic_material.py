"""Panels, simulated traits and their Gaussian fit, for the benchmark of polygenic scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from bed_reader import to_bed
from cyvcf2 import VCF
from numpy import ndarray
from scipy.optimize import minimize

from varfx.genotypes.open_ld import open_source
from varfx.ld import LDPanel, PanelConfig, build_panel, open_panel
from varfx.prior.pairs import Cores

MAF = 0.05
H2_PER_VARIANT = 3e-6  # a million variants, of which a part is looked at, with heritability 0.5 per sixth of them
CHROMS = 5  # of polypred's
THIN = 6  # every so many of polypred's variants
STRETCHES = tuple(range(18, 49, 3))  # Mb of chr22 where a stretch of 1 Mb begins


@dataclass(frozen=True)
class Material:
    """Panel, rows of each stretch of LD, standardised genotypes, and copies of the panel's effect alleles."""

    name: str
    panel: LDPanel
    blocks: list[ndarray]
    X: ndarray
    counts: ndarray


def material(name: str, data: Path, scratch: Path) -> Material:
    """`polypred`: 20 to 21 Mb of five chromosomes of 489 Europeans, every sixth variant. `chr22`: eleven stretches of 1 Mb of
    379 Europeans of the 1000 Genomes. The panel is built once in `scratch`."""
    scratch.mkdir(exist_ok=True)
    if name == "polypred":
        beds, thin = [data / f"gwas/polypred/1000G.subset.{chrom}.bed" for chrom in range(1, CHROMS + 1)], THIN
    else:
        beds, thin = [_chr22(data / "genotypes", scratch)], 1
    source = open_source(beds, maf=MAF)
    kept = np.arange(0, source.variants.height, thin)
    thinned, path = _Thinned(source, kept), scratch / f"scores.{name}.ld.zarr"
    if not path.exists():
        build_panel(thinned, path, PanelConfig(rank_variance=0.999), workers=1)
    panel = open_panel(path)
    stretch = panel.variants.select(pl.col("chrom") + ":" + (pl.col("position") // 1_000_000).cast(str))["chrom"]
    where = stretch.to_numpy()
    X = thinned.standardised(np.arange(kept.size)).astype(np.float64)
    counts = X * np.array([_step(column) for column in X.T])
    counts = np.rint(counts + 2 * panel.variants["eaf"].to_numpy())
    return Material(name, panel, [np.flatnonzero(where == each) for each in np.unique(where)], X, counts)


def _step(column: ndarray) -> float:
    """Standard deviation of the counts behind a standardised column: the smallest distance of two genotypes is one copy."""
    values = np.unique(np.round(column[column != 0], 4))
    return float(1 / np.diff(values).min())


def _chr22(data: Path, scratch: Path) -> Path:
    """The stretches of chr22 as a PLINK file of the Europeans."""
    path = scratch / "chr22.bed"
    if path.exists():
        return path
    table = pl.read_csv(data / "populations.tsv", separator="\t")
    people = table.filter(pl.col("superpopulation") == "EUR")["individual"].to_list()
    file = VCF(str(data / "1KG_phase1_release_v3_chr22.1092.vcf.gz"), samples=people, gts012=True)
    kept = [
        (each.POS, each.REF, each.ALT[0], each.gt_types.copy()) for each in file if each.POS // 1_000_000 in STRETCHES
    ]
    positions, first, second, counts = zip(*kept, strict=True)
    genotypes = np.array(counts, dtype=float).T
    genotypes[genotypes == 3] = np.nan
    properties = {
        "chromosome": ["22"] * len(kept), "bp_position": positions, "allele_1": second, "allele_2": first,
        "sid": [f"22:{position}" for position in positions],
    }  # fmt: skip
    to_bed(path, genotypes, properties=properties)
    return path


class _Thinned:
    """Some variants of a genotype source."""

    missing = ()
    ledger = ()
    build = None

    def __init__(self, source: object, kept: ndarray) -> None:
        self._source, self._kept = source, kept
        self.name, self.num_people = source.name, source.num_people  # type: ignore[attr-defined]
        self.variants = source.variants[kept]  # type: ignore[attr-defined]
        self._places = (self.variants["chrom"].to_numpy(), self.variants["position"].to_numpy())

    def select(self, chrom: str, start: int, end: int, flank: int) -> tuple[ndarray, ndarray]:
        chroms, positions = self._places
        inside = [
            np.flatnonzero((chroms == chrom) & (positions > start - wide) & (positions <= end + wide))
            for wide in (0, flank)
        ]
        return inside[0], inside[1]

    def standardised(self, index: ndarray, dtype: type = np.float32) -> ndarray:
        return self._source.standardised(self._kept[index], dtype)  # type: ignore[attr-defined,no-any-return]


def simulated(m: Material, kind: str, N: float, annotated: bool, seed: int) -> tuple[ndarray, ndarray, ndarray]:
    """True effects in units of 1 / sqrt(N), z, and the annotation."""
    rng = np.random.default_rng(seed)
    M = m.X.shape[1]
    group = (rng.random(M) < 0.2).astype(int) if annotated else np.zeros(M, dtype=int)
    rel = np.where(group == 1, 5.0, 1.0)
    rel /= rel.mean()
    total = N * H2_PER_VARIANT

    def part(share: float) -> ndarray:
        causal = rng.random(M) < np.minimum(share * rel, 1)
        return np.where(causal, rng.standard_normal(M) * np.sqrt(total * rel / np.minimum(share * rel, 1)), 0.0)

    shares = {"sparse": (0.01,), "tenth": (0.1,), "infinitesimal": (1.0,), "mixed": (0.01, 1.0)}[kind]
    beta = sum(part(share) for share in shares) / np.sqrt(len(shares))
    z = np.zeros(M)
    for rows in m.blocks:
        X = m.X[:, rows]
        n = len(X)
        noise = rng.standard_normal(n)
        z[rows] = X.T @ (X @ beta[rows]) / n + X.T @ (noise - noise.mean()) / np.sqrt(n)
    return np.asarray(beta), z, group


def accuracy(m: Material, found: ndarray, beta: ndarray) -> float:
    """Correlation of two genetic values, chromosomes independent."""
    cross = [0.0, 0.0, 0.0]
    for rows in m.blocks:
        a, b = m.X[:, rows] @ found[rows], m.X[:, rows] @ beta[rows]
        cross = [total + each for total, each in zip(cross, (a @ b, a @ a, b @ b), strict=True)]
    return float(cross[0] / np.sqrt(cross[1] * cross[2])) if cross[1] > 0 else 0.0


def gaussian_fit(cores: Cores, group: ndarray, N: float) -> tuple[ndarray, float]:
    """F per variant and sigma2 by the Gaussian likelihood, a variance per group."""
    sides = [cores.side(index) for index in range(len(cores.panel.cores))]
    groups = int(group.max()) + 1
    parts = [
        (side.w.numpy(), [_gram(side.signal.double().numpy()[:, group[side.rows] == g]) for g in range(groups)])
        for side in sides
    ]

    def loss(logs: ndarray) -> float:
        total = 0.0
        for w, grams in parts:
            C = sum(np.exp(log) * gram for log, gram in zip(logs, grams, strict=False)) + np.exp(logs[-1]) * np.eye(
                w.size
            )
            L = np.linalg.cholesky(C)
            total += 2 * np.log(np.diag(L)).sum() + float(np.square(np.linalg.solve(L, w)).sum())
        return total

    start = np.append(np.full(groups, np.log(N * H2_PER_VARIANT)), 0.0)
    logs = minimize(loss, start, method="Nelder-Mead", options={"xatol": 0.02, "fatol": 0.05, "maxiter": 60}).x
    return np.exp(logs[:-1])[group], float(np.exp(logs[-1]))


def _gram(signal: ndarray) -> ndarray:
    return signal @ signal.T
