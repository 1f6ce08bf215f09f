"""Genes of a cohort as training asks for them: adjusted expression, and individuals' sequences made on the device.

Windows may be cut around the TSS. Sequences are made anew for each batch, and none is kept; of a gene stay its reference
bases and its genotypes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from numpy import ndarray
from torch import Tensor

from varfx.device import numbered
from varfx.errors import ConfigError
from varfx.expression.cohort.gene_data import adjusted_expression
from varfx.expression.cohort.store import Cohort, window_start
from varfx.expression.network.indels import IndelFiles, IndelWindow
from varfx.expression.network.sequences import Missing, WindowSequences
from varfx.expression.network.stretch import Stretch
from varfx.training.people.batches import Part

KEPT_GENES = 256  # windows with genotypes that stay on the device
_READING = threading.RLock()  # files are read by one thread at a time


def gene_sequences(
    cohort: Cohort,
    gene_id: str,
    device: torch.device | str | None = None,
    *,
    window: int | None = None,
    haplotypes: bool = False,
    dtype: torch.dtype = torch.float32,
    missing: Missing = "mean",
    mean_of: Sequence[int] | None = None,
) -> WindowSequences:
    """A gene's window, or the `window` bases of it around the TSS: the one way from a cohort to sequences.

    Args:
        cohort: the cohort.
        gene_id: the gene.
        device: where batches are made.
        window: bases around the TSS; by default the cohort's.
        haplotypes: a sequence per haplotype.
        dtype: of the sequences.
        missing: missing genotypes count as no copies ("reference") or as the mean of the individuals `mean_of`.
        mean_of: rows of individuals; by default everyone.

    Raises:
        ConfigError: the cohort's windows are shorter.
        DataError: no such gene, or haplotypes of a cohort that is not phased.
    """
    window = check_window(cohort, window)
    gene = cohort.gene(gene_id)
    with _READING:
        stretch = Stretch(
            codes=cohort.reference(gene_id),
            start=gene.start,
            variants=cohort.window_variants(gene_id)[0],
            genotypes=cohort.haplotypes(gene_id) if haplotypes else cohort.dosages(gene_id),
        )
    return stretch.sequences(
        window_start(gene.tss, gene.strand, window),
        window,
        gene.strand,
        device=device,
        dtype=dtype,
        missing=missing,
        mean_of=mean_of,
    )


def check_window(cohort: Cohort, window: int | None) -> int:
    """The bases to use, by default those of the cohort.

    Raises:
        ConfigError: the cohort's windows are shorter.
    """
    if window is None:
        return cohort.window
    if not 1 <= window <= cohort.window:
        raise ConfigError(
            f"`window` must be from 1 to the cohort's {cohort.window:,} bases, got {window:,}. For longer windows prepare "
            "the cohort with a larger --window."
        )
    return window


class CohortBatches:
    """Some genes of a cohort in one fold, as `varfx.training.people.batches.GeneBatches`.

    Args:
        cohort: the cohort.
        genes: Ensembl ids; gene number i of training is the i-th.
        fold: number of the fold. Expression is adjusted by what all its training individuals show, missing genotypes are filled by those used.
        window: bases around the TSS; the cohort's by default.
        phased: sequences of both haplotypes.
        train_size: number of training individuals; all by default.
        seed: of the order in which training individuals are left out.
        indels: genotypes with insertions and deletions, in place of the cohort's substitutions.
    """

    def __init__(
        self,
        cohort: Cohort,
        genes: Sequence[str],
        fold: int,
        *,
        window: int | None = None,
        phased: bool = False,
        train_size: int | None = None,
        seed: int = 0,
        indels: IndelFiles | None = None,
    ) -> None:
        self._indels = indels
        self.genes = tuple(genes)
        self._cohort = cohort
        self._whole = cohort.fold(fold)
        self._fold = self._whole.thinned(train_size, seed)
        self._window = check_window(cohort, window)
        self._phased = phased
        self._kept: OrderedDict[int, WindowSequences | IndelWindow] = OrderedDict()
        self._targets: dict[int, Float32[Tensor, " individual"]] = {}

    @property
    def num_genes(self) -> int:
        """Number of genes."""
        return len(self.genes)

    def people(self, gene: int, part: Part) -> Int64[ndarray, " individual"]:
        """The fold's individuals; expression is complete."""
        return self._fold.train if part == "train" else self._fold.tune

    def targets(self, gene: int, rows: Int64[ndarray, " individual"]) -> Float32[Tensor, " individual"]:
        """Adjusted expression."""
        if gene not in self._targets:
            values = adjusted_expression(self._cohort, self.genes[gene], self._whole)
            self._targets[gene] = torch.from_numpy(values.astype(np.float32))
        return self._targets[gene][torch.from_numpy(rows)]

    def encode(
        self,
        gene: int,
        rows: Int64[ndarray, " individual"],
        device: torch.device,
        *,
        reverse_complement: bool = False,
        shift: int = 0,
    ) -> Float[Tensor, "individual *haplotype base 4"]:
        """Sequences of some individuals."""
        window = self._window_of(gene, device)
        if isinstance(window, IndelWindow):
            return window.encode(rows.tolist())
        return window.encode(torch.from_numpy(rows), reverse_complement=reverse_complement, shift=shift)

    def _window_of(self, gene: int, device: torch.device) -> WindowSequences | IndelWindow:
        with _READING:
            window = self._kept.get(gene)
            if window is None or window.device != numbered(device):
                window = self._read(self.genes[gene], device)
                self._kept[gene] = window
            self._kept.move_to_end(gene)
            if len(self._kept) > KEPT_GENES:
                self._kept.popitem(last=False)
            return window

    def _read(self, gene_id: str, device: torch.device) -> WindowSequences | IndelWindow:
        train = self._fold.train.tolist()
        if self._indels is not None:
            return self._indels.window(
                self._cohort, gene_id, window=self._window, haplotypes=self._phased, mean_of=train, device=device
            )
        return gene_sequences(
            self._cohort, gene_id, device, window=self._window, haplotypes=self._phased, mean_of=train
        )
