"""Genes of a cohort with individuals' coverage, as training asks for them, and how well coverage was predicted.

Coverage of all genes and individuals is read once and kept in memory (4 bytes per individual, gene, bin and track).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from numpy import ndarray
from torch import Tensor

from varfx.errors import DataError
from varfx.expression.cohort.store import Cohort, GeneWindow, window_start
from varfx.expression.network.batches import CohortBatches
from varfx.expression.network.coverage_files import CoverageFiles
from varfx.expression.network.indels import IndelFiles
from varfx.genome.gene_models import read_gene_models
from varfx.models.coverage import CoverageNetwork, GeneTotals, log_total, squash, unsquash
from varfx.models.full_precision import full_precision
from varfx.training.people.batches import Part

Exons = Mapping[str, tuple[tuple[int, int], ...]]


@dataclass(frozen=True, eq=False)
class GeneCoverage:
    """A gene's coverage.

    Attributes:
        values: summed over bins; NaN of individuals without a file.
        bins: those of its exons.
    """

    values: Float32[ndarray, "individual bin track"]
    bins: Bool[ndarray, " bin"]


@dataclass(frozen=True, eq=False)
class CoverageStore:
    """Coverage of some genes of a cohort, and the scale on which it is learned.

    Attributes:
        genes: by Ensembl id.
        known: rows of the individuals who have a file.
        scale: by which coverage is multiplied.
        clip: of the transform.
    """

    genes: dict[str, GeneCoverage]
    known: Bool[ndarray, " individual"]
    scale: float
    clip: float

    def squashed(self, gene_id: str, rows: Int64[ndarray, " individual"]) -> Float32[Tensor, "individual bin track"]:
        """Targets of some individuals."""
        return squash(torch.from_numpy(self.genes[gene_id].values[rows] * np.float32(self.scale)), self.clip)


def read_coverage(
    cohort: Cohort,
    files: CoverageFiles,
    gene_ids: Sequence[str],
    *,
    window: int,
    bin_size: int,
    train: Int64[ndarray, " individual"],
    exons: Path | None,
    scale: float | None,
    clip: float,
) -> CoverageStore:
    """Reads the coverage of genes.

    Args:
        cohort: the cohort.
        files: of its individuals.
        gene_ids: the genes.
        window: bases around the TSS.
        bin_size: bases per bin.
        train: rows of the individuals whose mean bin becomes 1 where no scale is given.
        exons: GTF; by default every bin counts.
        scale: of coverage.
        clip: of the transform.

    Raises:
        FormatError: files that cannot be read.
        DataError: genes without exons; no coverage at all.
    """
    spans = None if exons is None else _exons(cohort, gene_ids, exons)
    known = np.array([name in files.files for name in cohort.people])
    genes = {}
    for gene_id in gene_ids:
        gene = cohort.gene(gene_id)
        values = np.full((len(cohort.people), window // bin_size, files.tracks), np.nan, dtype=np.float32)
        for row in np.flatnonzero(known):
            values[row] = files.bins(cohort.people[row], gene, window, bin_size)
        bins = (
            np.ones(values.shape[1], dtype=bool) if spans is None else exon_bins(gene, spans[gene_id], window, bin_size)
        )
        genes[gene_id] = GeneCoverage(values, bins)
    rows = train[known[train]]
    mean = (
        float(np.mean([genes[gene_id].values[rows].mean(dtype=np.float64) for gene_id in gene_ids]))
        if rows.size
        else 0.0
    )
    if not mean > 0:
        raise DataError(
            f"{rows.size} training individuals have coverage, and its mean over the windows is {mean}: nothing to learn."
        )
    return CoverageStore(genes, known, 1 / mean if scale is None else scale, clip)


def _exons(cohort: Cohort, gene_ids: Sequence[str], path: Path) -> Exons:
    genes = [cohort.gene(gene_id) for gene_id in gene_ids]
    models = read_gene_models(path, [(gene.chrom, gene.start + 1, gene.end) for gene in genes])
    found = {model.gene_id: model.exons for model in models if model.exons}
    absent = [gene_id for gene_id in gene_ids if gene_id not in found]
    if absent:
        raise DataError(
            f"`{path}` has no exons of {len(absent)} of {len(gene_ids)} genes, first {absent[0]}. Give the cohort's GTF."
        )
    return found


def exon_bins(gene: GeneWindow, exons: Sequence[tuple[int, int]], window: int, bin_size: int) -> Bool[ndarray, " bin"]:
    """The bins, along the gene's strand, that share a base with an exon.

    Raises:
        DataError: none does.
    """
    first = window_start(gene.tss, gene.strand, window)
    inside = np.zeros(window, dtype=bool)
    for start, end in exons:  # 1-based, inclusive
        inside[max(0, start - 1 - first) : max(0, end - first)] = True
    inside = inside[::-1] if gene.strand == "-" else inside
    count = window // bin_size
    bins = np.asarray(inside[: count * bin_size].reshape(count, bin_size).any(axis=1))
    if not bins.any():
        raise DataError(
            f"no exon of {gene.gene_id} lies within its window: the GTF is of another build than the cohort."
        )
    return bins


class CohortCoverage(CohortBatches):
    """Some genes of a cohort in one fold, as `varfx.training.people.coverage.CoverageBatches`.

    Args:
        cohort: the cohort.
        genes: Ensembl ids.
        fold: number of the fold.
        store: coverage of these genes.
        window: bases around the TSS.
        phased: sequences of both haplotypes.
        train_size: number of training individuals; all by default.
        seed: of the order in which training individuals are left out.
        indels: genotypes with insertions and deletions; bins stay those of the reference.
    """

    def __init__(
        self,
        cohort: Cohort,
        genes: Sequence[str],
        fold: int,
        *,
        store: CoverageStore,
        window: int,
        phased: bool = False,
        train_size: int | None = None,
        seed: int = 0,
        indels: IndelFiles | None = None,
    ) -> None:
        super().__init__(
            cohort, genes, fold, window=window, phased=phased, train_size=train_size, seed=seed, indels=indels
        )
        self.store = store
        self._moments = [self._moments_of(gene_id) for gene_id in self.genes]

    def people(self, gene: int, part: Part) -> Int64[ndarray, " individual"]:
        """The fold's individuals who have coverage."""
        rows = super().people(gene, part)
        return np.asarray(rows[self.store.known[rows]])

    def targets(self, gene: int, rows: Int64[ndarray, " individual"]) -> Float32[Tensor, " individual"]:
        """Logarithms of exon totals in standard deviations of the training individuals."""
        mean, spread = self._moments[gene]
        return ((self._log_totals(self.genes[gene], rows) - mean) / spread).float()

    def coverage(self, gene: int, rows: Int64[ndarray, " individual"]) -> Float32[Tensor, "individual bin track"]:
        """Squashed coverage."""
        return self.store.squashed(self.genes[gene], rows)

    def totals(self, gene: int, network: CoverageNetwork) -> GeneTotals:
        """The gene's expression from the network, on its device."""
        bins = torch.from_numpy(self.store.genes[self.genes[gene]].bins).to(network.head.weight.device)
        return GeneTotals(network, bins, *self._moments[gene], self.store.clip)

    def mean_target(self) -> Float[Tensor, " track"]:
        """Mean squashed coverage of the training individuals over all genes and bins."""
        means = [self.coverage(gene, self.people(gene, "train")).mean(dim=(0, 1)) for gene in range(self.num_genes)]
        return torch.stack(means).mean(dim=0)

    def record(self, gene: int) -> dict[str, Any]:
        """What `GeneTotals` of a gene is made of, JSON-able."""
        mean, spread = self._moments[gene]
        bins = np.flatnonzero(self.store.genes[self.genes[gene]].bins).tolist()
        return {"gene_id": self.genes[gene], "mean": mean, "spread": spread, "clip": self.store.clip, "bins": bins}

    def _log_totals(self, gene_id: str, rows: Int64[ndarray, " individual"]) -> Float[Tensor, " individual"]:
        bins = torch.from_numpy(self.store.genes[gene_id].bins)
        return log_total(self.store.squashed(gene_id, rows).double(), bins, self.store.clip)

    def _moments_of(self, gene_id: str) -> tuple[float, float]:
        rows = self._fold.train[self.store.known[self._fold.train]]
        values = self._log_totals(gene_id, rows).numpy()
        if values.size < 2 or not values.std() > 0:
            raise DataError(
                f"{gene_id}: coverage of its exons is the same in all {values.size} training individuals. Leave it out."
            )
        return float(values.mean()), float(values.std())


@torch.no_grad()
def coverage_metrics(
    network: CoverageNetwork, data: CohortCoverage, gene: int, rows: Int64[ndarray, " individual"], micro_batch: int
) -> dict[str, float | None]:
    """How well individuals' coverage of a gene was predicted, first track, undone transform; None where there is no number.

    Returns:
        individuals: how many.
        total_pcc: correlation over individuals of log2(1 + exon total).
        cov_pcc: correlation over bins of the coefficient of variation across individuals (Figure 5).
        bin_r2: mean over exon bins of R2 over individuals.
        profile_pcc: correlation over bins of the mean over individuals.
    """
    rows = rows[data.store.known[rows]]
    if not rows.size:
        return {"individuals": 0.0, **dict.fromkeys(("total_pcc", "cov_pcc", "bin_r2", "profile_pcc"))}
    device = network.head.weight.device
    with full_precision(network):
        parts = [
            network(data.encode(gene, rows[first : first + micro_batch], device)).cpu()
            for first in range(0, len(rows), micro_batch)
        ]
    bins = data.store.genes[data.genes[gene]].bins
    squashed, clip = torch.cat(parts).double(), data.store.clip
    target = data.coverage(gene, rows).double()
    totals = [log_total(each, torch.from_numpy(bins), clip).numpy() for each in (squashed, target)]
    predicted, observed = (unsquash(each[..., 0], clip).numpy() for each in (squashed, target))
    spread = observed[:, bins].var(axis=0) > 0
    error = np.square(predicted - observed)[:, bins].mean(axis=0)[spread]
    return {
        "individuals": float(rows.size),
        "total_pcc": _correlation(*totals),
        "cov_pcc": _correlation(variation(predicted), variation(observed)),
        "bin_r2": float((1 - error / observed[:, bins].var(axis=0)[spread]).mean()) if spread.any() else None,
        "profile_pcc": _correlation(predicted.mean(axis=0), observed.mean(axis=0)),
    }


def variation(values: ndarray) -> ndarray:
    """Coefficient of variation across individuals of each bin, 0 where the mean is."""
    mean = values.mean(axis=0)
    return np.asarray(np.where(mean > 0, values.std(axis=0) / np.where(mean > 0, mean, 1), 0))


def _correlation(a: ndarray, b: ndarray) -> float | None:
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / spread if spread > 0 else None
