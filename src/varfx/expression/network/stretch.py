"""`Stretch`: reference, variants and genotypes around a gene, from any source, and the personal sequences made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from jaxtyping import Int8, UInt8
from numpy import ndarray

from varfx.expression.network.sequences import Missing, WindowSequences, WindowVariants
from varfx.genome.fasta import CODE_OF


@dataclass(frozen=True, kw_only=True, eq=False)
class Stretch:
    """Substitutions of some individuals on a stretch of the reference.

    Attributes:
        codes: bases of the reference (A, C, G, T are 0 to 3, others 4).
        start: 0-based position of the first of them.
        variants: substitutions by position; columns position, other_allele (REF) and effect_allele (ALT).
        genotypes: copies of ALT (0, 1, 2), or ALT (1) or not (0) per haplotype; negative where missing.
    """

    codes: UInt8[ndarray, " base"]
    start: int
    variants: pl.DataFrame
    genotypes: Int8[ndarray, "variant individual"] | Int8[ndarray, "variant individual 2"]

    def sequences(
        self,
        first: int,
        length: int,
        strand: str,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
        missing: Missing = "mean",
        mean_of: Sequence[int] | None = None,
    ) -> WindowSequences:
        """Sequences of `length` bases from the 0-based position `first` on, oriented along the strand.

        Args:
            first: not before `start`.
            length: not beyond the last base.
            strand: of the gene.
            device: where batches are made.
            dtype: of the sequences.
            missing: missing genotypes count as no copies ("reference") or as the mean of the individuals `mean_of`.
            mean_of: rows of individuals; by default all.

        Raises:
            DataError: alleles that are no bases, or REF other than the reference.
        """
        offsets = self.variants["position"].to_numpy().astype(np.int64) - 1 - first
        inside = np.flatnonzero((offsets >= 0) & (offsets < length))
        codes = self.codes[first - self.start :][:length]
        return WindowSequences(
            WindowVariants(
                torch.from_numpy(codes.copy()),
                torch.from_numpy(offsets[inside]),
                _codes(self.variants["other_allele"], inside),
                _codes(self.variants["effect_allele"], inside),
                strand,
            ),
            torch.from_numpy(np.ascontiguousarray(np.moveaxis(self.genotypes[inside], 0, -1))),
            device=device,
            dtype=dtype,
            missing=missing,
            mean_of=mean_of,
        )


def _codes(alleles: pl.Series, rows: ndarray) -> torch.Tensor:
    return torch.from_numpy(CODE_OF[np.frombuffer("".join(alleles).encode(), dtype=np.uint8)][rows])
