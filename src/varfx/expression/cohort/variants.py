"""Reads the variants of all windows into a cohort being written: which somebody carries, phase, and the reference's bases."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from jaxtyping import Bool, UInt8
from numpy import ndarray

from varfx.errors import DataError
from varfx.expression.cohort.config import PrepareConfig
from varfx.expression.cohort.genes import stretches
from varfx.expression.cohort.write import CohortWriter
from varfx.genome.fasta import AMBIGUOUS, CODE_OF, Fasta
from varfx.genome.variants import chrom_rank
from varfx.genotypes.donors import Donors, DonorVariants
from varfx.io.ledger import Ledger, Sieve
from varfx.progress import Progress

logger = logging.getLogger(__name__)
LONGEST_STRETCH = 1 << 20  # bases read at once


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadVariants:
    """What was read.

    Attributes:
        varies: whether each variant of the writer differs among the individuals.
        ledger: counts of `varfx.genotypes.snvs.STEPS`, summed over all windows.
    """

    varies: Bool[ndarray, " variant"]
    ledger: Ledger


def starts_phased(donors: Donors, sieve: Sieve, config: PrepareConfig) -> bool:
    """Whether haplotypes may be kept, by the first heterozygous genotypes of each chromosome with genes.

    Raises:
        DataError: `phased` is yes, but a chromosome is not phased; names the file.
    """
    if config.phased == "no":
        return False
    chroms = sieve.frame["chrom"].unique(maintain_order=True).to_list()
    unphased = donors.unphased(chroms)
    if not unphased:
        return True
    path, chrom = unphased[0]
    where = f"`{path}`: the genotypes of chromosome {chrom} are not phased"
    if config.phased == "yes":
        raise DataError(f"`--phased yes`, but {where}. Use --phased auto, or phase them.")
    if len({chrom for _, chrom in unphased}) < len(chroms):
        sieve.ledger.note(
            f"{where}, so that no haplotypes are kept. Phase them, or leave out the genes on chromosome {chrom}."
        )
    return False


def add_variants(
    writer: CohortWriter,
    donors: Donors,
    sieve: Sieve,
    reference: Fasta,
    config: PrepareConfig,
    progress: Progress,
) -> ReadVariants:
    """Reads and writes all variants in windows that somebody carries.

    Where phase turns out to be lost, the writer's haplotypes are dropped, which the sieve's ledger notes.

    Args:
        writer: takes the variants.
        donors: the genotypes.
        sieve: of genes with their windows.
        reference: the genome.
        config: `on_mismatch`, `filters` and `phased`.
        progress: told about each stretch of the genome that was read.

    Raises:
        DataError: mismatches with the reference, or phase that is lost with `phased` = yes.
        FormatError: a file is damaged, or has no genotypes.
    """
    genes = sieve.frame
    parts = stretches(genes.sort(chrom_rank(), "chrom", "start"), LONGEST_STRETCH)
    total: dict[str, int] = {}
    varies: list[ndarray] = []
    for number, (chrom, start, end) in enumerate(parts, start=1):
        block = donors.read(
            chrom, start, end, reference=reference, on_mismatch=config.on_mismatch, filters=config.filters
        )
        if writer.phased and block.phase_is_lost:
            _lose_phase(writer, sieve.ledger, block, f"{chrom}:{start + 1}-{end}", config)
        carried = (block.dosages > 0).any(axis=1)
        kept = replace(
            block,
            variants=block.variants.filter(pl.Series(carried)),
            dosages=block.dosages[carried],
            haplotypes=None if block.haplotypes is None else block.haplotypes[carried],
        )
        writer.add(kept)
        varies.append(_varies(kept.dosages))
        for name, count in {**block.ledger, "without carriers": int((~carried).sum())}.items():
            total[name] = total.get(name, 0) + count
        progress(number, len(parts), "stretches of the genome")
    donors.check(total, reference)
    donors.check_genotypes()
    return ReadVariants(varies=np.concatenate(varies), ledger=Ledger(total))


def known_reference(reference: Fasta, variants: pl.DataFrame) -> Callable[[str, int, int], UInt8[ndarray, " base"]]:
    """The bases of a stretch of the genome (chrom, start, end); an ambiguity code is the REF of the variant there.

    Args:
        reference: the genome.
        variants: single-nucleotide variants whose REF agrees with it, in genome order.
    """
    by_chrom = {
        str(chrom): (part["position"].to_numpy() - 1, part["other_allele"].to_list())
        for (chrom,), part in variants.group_by("chrom")
    }

    def codes(chrom: str, start: int, end: int) -> UInt8[ndarray, " base"]:
        found = reference.resolved(chrom, start, end).copy()
        letters = np.array(list(reference.letters(chrom, start, end)))
        places, refs = by_chrom.get(chrom, (np.empty(0, dtype=np.int64), []))
        low, high = np.searchsorted(places, [start, end])
        for row in range(int(low), int(high)):
            if letters[places[row] - start] in AMBIGUOUS:
                found[places[row] - start] = CODE_OF[ord(refs[row])]
        return found

    return codes


def _lose_phase(writer: CohortWriter, ledger: Ledger, block: DonorVariants, where: str, config: PrepareConfig) -> None:
    lost = f"{block.ledger['unphased calls']} of {block.heterozygous} heterozygous genotypes in {where} are not phased"
    if config.phased == "yes":
        raise DataError(f"`--phased yes`, but {lost}. Use --phased auto, or phase them.")
    ledger.note(f"{lost}, so that no haplotypes are kept. Phase them, or leave out the genes there.")
    writer.drop_haplotypes()


def _varies(dosages: ndarray) -> Bool[ndarray, " variant"]:
    lowest = np.where(dosages < 0, 3, dosages).min(axis=1)
    return np.asarray(dosages.max(axis=1) > lowest)
