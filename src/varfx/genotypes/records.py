"""One record of a file of genotypes as every format gives it: alleles, and who carries which."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jaxtyping import Bool, Int, Int64
from numpy import ndarray

MISSING = -1  # an allele that was not called
ABSENT = -2  # no allele: the call has a lower ploidy than others


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One site. Genotypes are numbers of alleles: 0 is `ref`, k is `alts[k - 1]`."""

    position: int  # 1-based, of the first base of `ref`
    variant_id: str | None
    ref: str  # capital letters
    alts: tuple[str, ...]  # capital letters; may hold `*`, `<DEL>` and the like
    alleles: Int[ndarray, "individual ploidy"]  # MISSING and ABSENT are negative; ploidy 0: none are given
    phased: Bool[ndarray, " individual"]
    oriented: bool = True  # False: the file does not say which of the two alleles is the reference's
    passed: bool = True  # False: FILTER names a filter that the site failed
    phase_set: Int64[ndarray, " individual"] | None = None  # (PS) phase is known within it; 0 where none is named
    rounded: int = 0  # genotypes that are dosages rounded to whole copies, in the absence of a call


class DonorFile(Protocol):
    """A file of individuals' genotypes that can be read by region.

    Attributes:
        path: the file.
        people: names, in file order.
        chroms: the chromosomes with records, by our names.
        contigs: the file's own names of them.
        lengths: of chromosomes by our names, as far as the file states them.
    """

    path: Path
    people: tuple[str, ...]
    chroms: tuple[str, ...]
    contigs: tuple[str, ...]
    lengths: dict[str, int]

    def records(self, chrom: str, start: int, end: int) -> Iterator[Record]:
        """Records that touch [start, end), 0-based, in the order of their positions; `chrom` is one of `chroms`.

        Raises:
            FormatError: the file is truncated or damaged.
        """
        ...
