"""Personal sequences of a gene's window, made on the device from the reference's bases and everybody's genotypes.

Without phase a person's sequence is the mean of the two haplotypes: `dosage / 2` of a base's one moves from REF to ALT,
so that a heterozygote has 0.5 of each. With phase there are two sequences per person. No sequence is ever stored.
Layout (person, base, channel), channels A, C, G, T, as `varfx.models.enformer.Enformer` takes; unknown bases (N) are
four zeros.

Every sequence is oriented: a gene of the "-" strand is reverse-complemented, and the base of its transcription start
site stands at index L // 2 of the L bases on both strands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float, Int, Int8, Int64, UInt8
from torch import Tensor

from varfx.errors import ConfigError, DataError

if TYPE_CHECKING:
    from varfx.expression.cohort import Cohort

Missing = Literal["reference", "mean"]
UNKNOWN = 4  # the code of N


def encode(
    reference: UInt8[Tensor, " base"],
    offsets: Int64[Tensor, " variant"],
    ref_code: UInt8[Tensor, " variant"],
    alt_code: UInt8[Tensor, " variant"],
    dosages: Int8[Tensor, "person variant"],
    *,
    strand: str,
    dtype: torch.dtype = torch.float32,
    missing: Missing = "reference",
) -> Float[Tensor, "person base 4"]:
    """Everyone's mean of two haplotypes; for many batches of one window, `WindowSequences` is faster.

    Args:
        reference: codes of the window in genome order (A, C, G, T are 0 to 3, others 4).
        offsets: of each variant from the window's first base, in genome order. Several may share one (multi-allelic).
        ref_code: codes of REF, as in `reference`.
        alt_code: codes of ALT.
        dosages: copies of ALT, 0 to 2; negative where missing.
        strand: of the gene, "+" or "-"; the latter's sequences are reverse-complemented.
        dtype: of the result.
        missing: missing genotypes count as no copies ("reference") or as the mean of the others ("mean").

    Raises:
        ConfigError: another strand or `missing`.
        DataError: offsets outside the window, codes outside 0 to 3, or REF that differs from the reference.
    """
    window = WindowSequences(
        reference, offsets, ref_code, alt_code, dosages, strand=strand, dtype=dtype, missing=missing
    )
    return window.encode(slice(None))


def encode_haplotypes(
    reference: UInt8[Tensor, " base"],
    offsets: Int64[Tensor, " variant"],
    ref_code: UInt8[Tensor, " variant"],
    alt_code: UInt8[Tensor, " variant"],
    haplotypes: Int8[Tensor, "person 2 variant"],
    *,
    strand: str,
    dtype: torch.dtype = torch.float32,
    missing: Missing = "reference",
) -> Float[Tensor, "person 2 base 4"]:
    """Everyone's two haplotypes, one-hot; arguments and errors as for `encode`, 1 where a haplotype carries ALT."""
    window = WindowSequences(
        reference, offsets, ref_code, alt_code, haplotypes, strand=strand, dtype=dtype, missing=missing
    )
    return window.encode(slice(None))
