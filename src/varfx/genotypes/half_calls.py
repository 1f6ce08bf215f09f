"""Genotypes that the records of one site know together: vt decompose and vcfbreakmulti write 1/2 as 1/. and ./1.

Each such record has dots for the alleles of the others. A dot is another record's ALT, and so no copy of this record's, where
the other records of the site have at least as many ALT alleles as this one has dots; with phase, on the same chromosome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

OTHER = 0  # an allele that is not one of the record's ALTs


@dataclass(slots=True, eq=False)
class SiteRecord:
    """One record of a site.

    Attributes:
        number: of the record.
        ref: its REF.
        alts: its ALTs.
        alleles: two allele numbers per individual, each negative where it was not called; haploid calls stand twice.
        phased: where the order of the alleles is known.
    """

    number: int
    ref: str
    alts: tuple[str, ...]
    alleles: Int[ndarray, "individual 2"]
    phased: Bool[ndarray, " individual"]


def completed(site: Sequence[SiteRecord]) -> list[tuple[SiteRecord, Bool[ndarray, " individual"]]]:
    """The records with genotypes that others of the site complete, and where; their alleles are then whole.

    Args:
        site: records at one position. Copies of the same ALT in several records count once.
    """
    found = []
    known = [record.alleles.copy() for record in site]
    for record in site:
        dots = record.alleles < 0
        half = dots.any(axis=1)
        if not half.any():
            continue
        own = {(record.ref, alt) for alt in record.alts}
        others = [
            (other, alleles, [k for k, alt in enumerate(other.alts, start=1) if (other.ref, alt) not in own])
            for other, alleles in zip(site, known, strict=True)
            if other is not record
        ]
        elsewhere, carried = _carried(others, record.alleles.shape[0])
        phased = record.phased.copy()
        for other, _, numbers in others:
            phased &= other.phased if numbers else True
        by_place = (~dots | elsewhere).all(axis=1)
        by_count = carried >= dots.sum(axis=1)
        whole = half & np.where(phased, by_place, by_count)
        if whole.any():
            record.alleles = np.where(whole[:, None] & dots, OTHER, record.alleles)
            found.append((record, whole))
    return found


def _carried(
    others: Sequence[tuple[SiteRecord, ndarray, list[int]]], people: int
) -> tuple[Bool[ndarray, "individual 2"], Int[ndarray, " individual"]]:
    """Positions with an ALT of other records per chromosome, and each individual's number of such alleles."""
    per_alt: dict[tuple[str, str], ndarray] = {}
    elsewhere = np.zeros((people, 2), dtype=bool)
    for other, alleles, numbers in others:
        for k in numbers:
            key = (other.ref, other.alts[k - 1])
            has = alleles == k
            elsewhere |= has
            count = has.sum(axis=1)
            per_alt[key] = np.maximum(per_alt[key], count) if key in per_alt else count
    carried = np.sum(list(per_alt.values()), axis=0) if per_alt else np.zeros(people, dtype=np.int64)
    return elsewhere, carried
