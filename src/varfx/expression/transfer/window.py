"""One gene's window of the run's own cohort with the genotypes of other individuals brought to it.

Variants are matched by position and alleles, in either order; strands are never guessed, as both sides are called on one
reference. Alleles in the other order turn counts of copies round.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64, Int8, Int64
from numpy import ndarray

from varfx.expression.cohort.store import Cohort, GeneWindow
from varfx.expression.transfer.others import Others, Region
from varfx.genome.fasta import CODE_OF
from varfx.genome.variant_codes import SWAPPED, encode, find, in_several_rows

FOUND, TURNED, ABSENT = "found", "found, alleles exchanged", "absent"
EXTRA, TWICE = "only in the other genotypes", "given twice, left out"


@dataclass(frozen=True, kw_only=True, eq=False)
class MatchedWindow:
    """A gene's window.

    Attributes:
        gene: where it lies.
        home: the run's own cohort.
        region: genotypes of the other individuals there.
        source: row of `region` that each variant of the cohort's window has; -1 where it is absent.
        swapped: whether its alleles stand in the other order there.
        extra: rows of `region` that the cohort lacks.
        twice: rows of `region` left out, because their variant stands in several.
    """

    gene: GeneWindow
    home: Cohort
    region: Region
    source: Int64[ndarray, " variant"]
    swapped: Bool[ndarray, " variant"]
    extra: Int64[ndarray, " extra"]
    twice: int

    @cached_property
    def variants(self) -> pl.DataFrame:
        """Of the cohort's window."""
        return self.home.window_variants(self.gene.gene_id)[0]

    @property
    def found(self) -> Bool[ndarray, " variant"]:
        """Variants that the other genotypes have."""
        return np.asarray(self.source >= 0)

    @cached_property
    def dosages(self) -> Int8[ndarray, "variant individual"]:
        """Counts of the cohort's ALT in the other individuals; -1 is missing, or the variant absent."""
        return self._brought(self.region.dosages, copies=2)

    @cached_property
    def haplotypes(self) -> Int8[ndarray, "variant individual 2"] | None:
        """The same per chromosome; None without phase."""
        return None if self.region.haplotypes is None else self._brought(self.region.haplotypes, copies=1)

    def counts(self) -> dict[str, int]:
        """Variants by what became of them."""
        turned = int(self.swapped.sum())
        return {
            FOUND: int(self.found.sum()) - turned,
            TURNED: turned,
            ABSENT: int((~self.found).sum()),
            EXTRA: int(self.extra.size),
            TWICE: self.twice,
        }

    def _brought(self, values: ndarray, *, copies: int) -> ndarray:
        found = self.found
        result = np.full((found.size, *values.shape[1:]), -1, dtype=np.int8)
        result[found] = values[self.source[found]]
        turned = result[self.swapped]
        result[self.swapped] = np.where(turned < 0, -1, copies - turned)
        return result


def match_window(home: Cohort, gene_id: str, others: Others) -> MatchedWindow:
    """A gene's window with the other individuals' genotypes.

    Raises:
        DataError: alleles that are none.
        VarfxError: a file or cohort that is damaged.
    """
    gene = home.gene(gene_id)
    region = others.read(gene.chrom, gene.start, gene.end)
    variants, _ = home.window_variants(gene_id)
    source, swapped = np.full(variants.height, -1, dtype=np.int64), np.zeros(variants.height, dtype=bool)
    extra, twice = np.arange(region.variants.height, dtype=np.int64), 0
    if region.variants.height and variants.height:
        mine, theirs = encode([variants, region.variants], both_strands=False, sources=[str(home.path), others.name])
        copies = in_several_rows(theirs.key)
        source = np.asarray(find(mine.key, np.where(copies, -1, theirs.key)), dtype=np.int64)
        found = source >= 0
        swapped[found] = (mine.form[found] ^ theirs.form[source[found]]) & SWAPPED > 0
        extra = np.setdiff1d(np.flatnonzero(~copies), source)
        twice = int(copies.sum())
    return MatchedWindow(gene=gene, home=home, region=region, source=source, swapped=swapped, extra=extra, twice=twice)


def training_means(
    dosages: Int8[ndarray, "variant individual"], train: Int64[ndarray, " train"]
) -> Float64[ndarray, " variant"]:
    """Mean counts of ALT in the training individuals with a genotype; 0 where none has one."""
    known = dosages[:, train] >= 0
    counts = np.where(known, dosages[:, train], 0).sum(axis=1)
    return np.asarray(counts / np.maximum(known.sum(axis=1), 1))


def oriented_extra(window: MatchedWindow) -> tuple[Int64[ndarray, " extra"], Bool[ndarray, " extra"]]:
    """Rows of the region's extra variants that fit the reference, and whether REF and ALT are exchanged there.

    A variant neither of whose alleles is the reference's base is left out.
    """
    gene, extra = window.gene, window.extra
    if not extra.size:
        return extra, np.zeros(0, dtype=bool)
    rows = window.region.variants[extra]
    base = window.home.reference(gene.gene_id)[rows["position"].to_numpy() - 1 - gene.start]
    ref, alt = (
        np.array([CODE_OF[ord(allele)] if len(allele) == 1 else 255 for allele in rows[name]], dtype=np.uint8)
        for name in ("other_allele", "effect_allele")
    )
    single = (ref < 4) & (alt < 4)
    fits = single & ((ref == base) | (alt == base))
    return extra[fits], (alt == base)[fits]
