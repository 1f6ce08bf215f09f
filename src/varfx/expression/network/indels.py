"""Personal sequences with insertions and deletions: each haplotype spelled out, and cut around the base of the TSS.

An indel moves all bases behind it. So substitutions are laid over a stretch wider than the window first
(`varfx.expression.network.sequences`), and then each haplotype picks its bases from that stretch: bases of the reference in their
order, without those that its deletions take away, with those that its insertions bring. The base of the TSS stands at index L // 2,
whatever lies between it and the window's ends; where it is deleted, the last base before the deletion (in genome order) takes its place.

Of phased genotypes both haplotypes are spelled. Of unphased ones a substitution is half on either, and all of an individual's
heterozygous indels lie on the second. A missing genotype of an indel counts as the reference. Of indels that overlap on one
haplotype the first in genome order is applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float, Float64, Int, Int64, UInt8
from numpy import ndarray
from torch import Tensor

from varfx.errors import ConfigError, DataError
from varfx.expression.cohort.store import Cohort, GeneWindow, window_start
from varfx.expression.network.sequences import Rows
from varfx.expression.network.stretch import Stretch
from varfx.genome.fasta import CODE_OF, UNKNOWN, Fasta, open_fasta
from varfx.genotypes.config import Mismatch
from varfx.genotypes.donors import Donors, DonorVariants, open_donors

PAD = 4096  # bases read on either side of the window, for what deletions take away


@dataclass(frozen=True)
class Indel:
    """A plain insertion or deletion, in bases of the wide stretch.

    Attributes:
        begin: first base that is taken away, or before which bases are inserted.
        end: behind the last base that is taken away.
        inserted: codes of the inserted bases.
    """

    begin: int
    end: int
    inserted: tuple[int, ...]


def spelled(indels: Sequence[Indel], length: int, anchor: int, window: slice) -> Int64[ndarray, " base"]:
    """Bases of a haplotype around its anchor: indices into the wide stretch, and -1 - code of inserted and unknown bases.

    Args:
        indels: the haplotype's, in genome order.
        length: bases of the wide stretch.
        anchor: the base of the TSS in it.
        window: the bases wanted, counted from the anchor: from `start` (negative) to `stop`.
    """
    pieces: list[ndarray] = []
    done, last = 0, -1
    for indel in indels:
        if indel.begin < done or indel.begin == last:
            continue  # overlaps one before it, or stands at the same place
        pieces += [np.arange(done, indel.begin), -1 - np.array(indel.inserted, dtype=np.int64)]
        done, last = indel.end, indel.begin
    source = np.concatenate([*pieces, np.arange(done, length)]).astype(np.int64)
    own = np.flatnonzero(source >= 0)
    place = int(own[max(0, int(np.searchsorted(source[own], anchor, side="right")) - 1)])
    first, stop = place + window.start, place + window.stop
    found = np.full(stop - first, -1 - UNKNOWN, dtype=np.int64)
    inside = slice(max(first, 0), min(stop, source.size))
    found[inside.start - first : inside.stop - first] = source[inside]
    return found


class IndelWindow:
    """One gene's window and everybody's haplotypes with indels, as `WindowSequences` without augmentation.

    Attributes:
        indels: those of the stretch, in genome order.
        variants: the same as a table; columns of `varfx.expression.cohort.store.VARIANTS_SCHEMA`.
        ledger: of the genotypes that were read (`varfx.genotypes.snvs.STEPS`).
    """

    indels: tuple[Indel, ...]
    variants: pl.DataFrame
    ledger: dict[str, int]

    def __init__(
        self,
        read: DonorVariants,
        gene: GeneWindow,
        window: int,
        start: int,
        codes: UInt8[ndarray, " base"],
        *,
        haplotypes: bool,
        mean_of: Sequence[int] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """Lays out the stretch.

        Args:
            read: genotypes of the stretch, with indels.
            gene: the gene.
            window: bases around the TSS.
            start: 0-based first base of the stretch.
            codes: its reference.
            haplotypes: a sequence per haplotype, in place of their mean.
            mean_of: rows of the individuals whose mean stands for missing genotypes of substitutions; by default everyone.
            device: where batches are made.
        """
        plain = _is_substitution(read.variants)
        genotypes = read.dosages if read.haplotypes is None else read.haplotypes
        self.ledger = read.ledger
        self.variants = read.variants.filter(~pl.Series(plain, dtype=pl.Boolean))
        self.indels = tuple(_indels(self.variants, start))
        self._carried = _carried(read, ~plain)
        self._haplotypes, self._strand = haplotypes, gene.strand
        self._anchor, self._length = gene.tss - 1 - start, len(codes)
        middle = window // 2 if gene.strand == "+" else window - 1 - window // 2
        self._window = slice(-middle, window - middle)
        snvs = read.variants.filter(pl.Series(plain, dtype=pl.Boolean))
        stretch = Stretch(codes=codes, start=start, variants=snvs, genotypes=genotypes[plain])
        self._wide = stretch.sequences(start, len(codes), "+", device=device, mean_of=mean_of)

    @property
    def device(self) -> torch.device:
        """Device of the batches."""
        return self._wide.device

    def encode(self, people: Rows) -> Float[Tensor, "individual base 4"] | Float[Tensor, "individual 2 base 4"]:
        """The sequences of some individuals, (individual, base, 4), or (individual, 2, base, 4) of haplotypes."""
        x = self._wide.encode(people)
        x = x if x.ndim == 4 else x[:, None].expand(-1, 2, -1, -1)
        rows = np.arange(len(self._carried))[people if isinstance(people, slice) else np.asarray(people)]
        source = np.stack([[self._spelled(self._carried[row, copy]) for copy in range(2)] for row in rows])
        found = self._picked(x, _moved(torch.from_numpy(source), x.device))
        return found if self._haplotypes else found.mean(dim=1)

    def frequencies(self, people: Sequence[int]) -> Float64[ndarray, " indel"]:
        """Share of these individuals' haplotypes that carry each indel."""
        return np.asarray(self._carried[list(people)].mean(axis=(0, 1)))

    def with_indel(self, number: int) -> Float[Tensor, "base 4"]:
        """The reference with one of the indels."""
        carried = np.zeros(len(self.indels), dtype=bool)
        carried[number] = True
        return self._on_reference(carried)

    def reference(self) -> Float[Tensor, "base 4"]:
        """The reference itself."""
        return self._on_reference(np.zeros(len(self.indels), dtype=bool))

    def _on_reference(self, carried: Bool[ndarray, " indel"]) -> Float[Tensor, "base 4"]:
        x = self._wide.reference()[None, None]
        return self._picked(x, torch.from_numpy(self._spelled(carried))[None, None].to(x.device))[0, 0]

    def _spelled(self, carried: Bool[ndarray, " indel"]) -> Int64[ndarray, " base"]:
        chosen = [self.indels[number] for number in np.flatnonzero(carried)]
        return spelled(chosen, self._length, self._anchor, self._window)

    def _picked(
        self, x: Float[Tensor, "individual 2 wide 4"], source: Int[Tensor, "individual 2 base"]
    ) -> Float[Tensor, "individual 2 base 4"]:
        letters = torch.eye(UNKNOWN + 1, UNKNOWN, dtype=x.dtype, device=x.device)
        own = x.gather(2, source.clamp(min=0)[..., None].expand(-1, -1, -1, 4))
        found = torch.where((source >= 0)[..., None], own, letters[(-1 - source).clamp(min=0)])
        return found.flip(2, 3) if self._strand == "-" else found  # A, C, G, T from behind are T, G, C, A


def indel_window(
    donors: Donors,
    gene: GeneWindow,
    reference: Fasta,
    *,
    window: int | None = None,
    haplotypes: bool = False,
    on_mismatch: Mismatch = "fail",
    pad: int = PAD,
    mean_of: Sequence[int] | None = None,
    device: torch.device | str = "cpu",
) -> IndelWindow:
    """Reads a gene's window with all plain substitutions, insertions and deletions.

    Args:
        donors: genotypes, phased or not.
        gene: its window.
        reference: the genome.
        window: bases around the TSS; by default the gene's window.
        haplotypes: a sequence per haplotype.
        on_mismatch: see `Donors.read`.
        pad: bases read on either side; more than a haplotype's deletions in half a window take away, or bases at the ends are unknown.
        mean_of: rows of the individuals whose mean stands for missing genotypes; by default everyone.
        device: where batches are made.

    Raises:
        ConfigError: `pad` is negative.
        DataError: haplotypes of genotypes that are not phased, and as `Donors.read`.
    """
    length = gene.end - gene.start if window is None else window
    start, end = wide_span(gene, reference, length, pad)
    read = donors.read(gene.chrom, start, end, reference=reference, on_mismatch=on_mismatch, indels=True)
    if haplotypes and read.haplotypes is None:
        raise DataError(
            f"`{donors.name}` is not phased around {gene.gene_id}, and `phased` reads haplotypes. Phase it, or leave that out."
        )
    codes = np.array(reference.codes(gene.chrom, start, end))
    return IndelWindow(read, gene, length, start, codes, haplotypes=haplotypes, mean_of=mean_of, device=device)


def wide_span(gene: GeneWindow, reference: Fasta, window: int, pad: int = PAD) -> tuple[int, int]:
    """Start (0-based) and end of the stretch that a window with indels is cut from, within the chromosome.

    Raises:
        ConfigError: `pad` is negative.
    """
    if pad < 0:
        raise ConfigError(f"`pad` must not be negative, but is {pad}.")
    first = window_start(gene.tss, gene.strand, window)
    return max(0, first - pad), min(first + window + pad, reference.lengths[gene.chrom])


@dataclass(frozen=True, eq=False)
class IndelFiles:
    """Where haplotypes with indels come from.

    Attributes:
        donors: genotypes of a cohort's individuals, in its order.
        reference: the genome.
    """

    donors: Donors
    reference: Fasta

    def window(
        self,
        cohort: Cohort,
        gene_id: str,
        *,
        window: int,
        haplotypes: bool = False,
        mean_of: Sequence[int] | None = None,
        device: torch.device | str = "cpu",
    ) -> IndelWindow:
        """A gene of the cohort; arguments and errors as of `indel_window`.

        Raises:
            DataError: the genome is another than the cohort's.
        """
        self.check(cohort, gene_id)
        return indel_window(
            self.donors,
            cohort.gene(gene_id),
            self.reference,
            window=window,
            haplotypes=haplotypes,
            mean_of=mean_of,
            device=device,
        )

    def check(self, cohort: Cohort, gene_id: str) -> None:
        """Raises DataError if the genome is another than the cohort's around a gene."""
        gene = cohort.gene(gene_id)
        if not np.array_equal(self.reference.codes(gene.chrom, gene.start, gene.end), cohort.reference(gene_id)):
            raise DataError(
                f"`{self.reference.path}` is not the genome that `{cohort.path}` was prepared with: the windows of {gene_id} differ. "
                "Give the same FASTA."
            )


def indel_files(cohort: Cohort, genotypes: Sequence[Path], reference: Path | None) -> IndelFiles | None:
    """Opens genotypes of a cohort's individuals, and the genome; None where no genotypes are named.

    Raises:
        ConfigError: genotypes without a genome.
        VarfxError: files that cannot be read, or lack individuals.
    """
    if not genotypes:
        return None
    if reference is None:
        raise ConfigError("`indels` needs `reference`, the FASTA that the cohort was prepared with.")
    return IndelFiles(open_donors([str(path) for path in genotypes], cohort.people), open_fasta(reference))


def _is_substitution(variants: pl.DataFrame) -> Bool[ndarray, " variant"]:
    lengths = variants.select(pl.col("effect_allele", "other_allele").str.len_bytes() == 1)
    return (lengths["effect_allele"] & lengths["other_allele"]).to_numpy()


def _indels(variants: pl.DataFrame, start: int) -> list[Indel]:
    """Plain insertions and deletions; the base before them is in both alleles."""
    found = []
    for position, ref, alt in variants.select("position", "other_allele", "effect_allele").iter_rows():
        begin = position - start
        inserted = CODE_OF[np.frombuffer(alt[1:].encode(), dtype=np.uint8)].tolist()
        found.append(Indel(begin, begin + len(ref) - 1, tuple(inserted)))
    return found


def _carried(read: DonorVariants, rows: Bool[ndarray, " variant"]) -> Bool[ndarray, "individual 2 indel"]:
    """Which haplotype carries which indel."""
    if read.haplotypes is not None:
        return np.moveaxis(read.haplotypes[rows] > 0, 0, -1)
    copies = read.dosages[rows].T
    return np.stack([copies > 1, copies > 0], axis=1)


def _moved(x: Tensor, device: torch.device) -> Tensor:
    """On the device; to a GPU by a copy that the host does not wait for."""
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x.to(device)
