"""Sequences with insertions and deletions of the individuals of another cohort, for networks fitted on such sequences.

A cohort's store has substitutions only. So both sides are read from genotype files, on the genome that the run was fitted with: the
run's own, whose training individuals' means stand for missing genotypes, and the other individuals'. Variants are the same where
position, REF and ALT are. An indel that the other files lack is carried by none of their individuals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from jaxtyping import Int64
from numpy import ndarray

from varfx.errors import ConfigError, DataError
from varfx.expression.cohort.store import VARIANTS_SCHEMA, Cohort, GeneWindow
from varfx.expression.network.indels import IndelFiles, IndelWindow, indel_files, wide_span
from varfx.expression.run import NETWORK, ExpressionRun
from varfx.expression.transfer.config import Absent, TransferConfig
from varfx.expression.transfer.others import FileOthers, Others
from varfx.genotypes.donors import Donors, DonorVariants, open_donors
from varfx.genotypes.snvs import STEPS

FOUND, ABSENT, EXTRA = "indels found", "indels absent, counted as not carried", "indels only in the other genotypes"
LEFT_OUT = "REF and ALT are not the genome's, left out"


def reads_indels(run: ExpressionRun) -> bool:
    """True for networks fitted on sequences with indels."""
    return run.kind == NETWORK and bool(run.record["config"].get("indels"))


@dataclass(frozen=True, eq=False)
class IndelSources:
    """Genotype files with indels of both cohorts, and the genome.

    Attributes:
        home: of the run's own individuals.
        others: of the other individuals, in the order of the other cohort.
    """

    home: IndelFiles
    others: Donors

    def read(self, cohort: Cohort, gene: GeneWindow, window: int) -> IndelReads:
        """Genotypes of both cohorts around a gene.

        Raises:
            DataError: a genome other than the cohort's; other genotypes of another build.
        """
        self.home.check(cohort, gene.gene_id)
        reference = self.home.reference
        start, end = wide_span(gene, reference, window)
        home = self.home.donors.read(gene.chrom, start, end, reference=reference, indels=True)
        others = _nothing(self.others)
        if gene.chrom in self.others.chroms:
            others = self.others.read(gene.chrom, start, end, reference=reference, indels=True, on_mismatch="flip")
        return IndelReads(gene, window, start, reference.codes(gene.chrom, start, end), home, others)


@dataclass(frozen=True, eq=False)
class IndelReads:
    """Genotypes of both cohorts around a gene, as the genome has their alleles.

    Attributes:
        gene: the gene.
        window: bases of the network's window.
        start: 0-based first base of the stretch.
        codes: its reference.
        home: genotypes of the run's own individuals.
        others: of the other individuals.
    """

    gene: GeneWindow
    window: int
    start: int
    codes: ndarray
    home: DonorVariants
    others: DonorVariants

    def sequences(
        self, train: Int64[ndarray, " train"], *, haplotypes: bool, absent: Absent, device: torch.device
    ) -> IndelWindow:
        """Sequences of the training individuals first, whose means stand for missing genotypes, and then of the others.

        Raises:
            DataError: haplotypes of genotypes without phase.
        """
        read = joined(self.home, self.others, train, absent)
        if haplotypes and read.haplotypes is None:
            raise DataError(
                f"the network reads both haplotypes, and the other genotypes around {self.gene.gene_id} have no phase. Phase them."
            )
        return IndelWindow(
            read,
            self.gene,
            self.window,
            self.start,
            self.codes,
            haplotypes=haplotypes,
            mean_of=range(train.size),
            device=device,
        )

    @property
    def loses_phase(self) -> bool:
        """True if only the run's own genotypes are phased: heterozygous indels then lie on one haplotype."""
        return self.home.haplotypes is not None and self.others.haplotypes is None and bool(self.others.variants.height)

    def counts(self) -> Counter[str]:
        """Indels of the gene's window by what became of them, and variants left out."""
        inside = pl.col("position").is_between(self.gene.start + 1, self.gene.end)
        longer = pl.col("effect_allele").str.len_bytes() + pl.col("other_allele").str.len_bytes() > 2
        mine, theirs = (
            set(side.variants.filter(inside & longer).select(*_KEY).iter_rows()) for side in (self.home, self.others)
        )
        counts = {FOUND: len(mine & theirs), ABSENT: len(mine - theirs), EXTRA: len(theirs - mine)}
        return Counter(counts | {LEFT_OUT: self.others.ledger["mismatches"]})


_KEY = ("position", "effect_allele", "other_allele")  # the order of variants in `Donors.read`


def joined(
    home: DonorVariants, others: DonorVariants, train: Int64[ndarray, " train"], absent: Absent
) -> DonorVariants:
    """Training individuals and others together, at the variants of either.

    Variants that one side lacks are missing there; with `absent` = reference the other individuals have no copies of them.
    Haplotypes only if both sides have them.
    """
    table = (
        home.variants.with_row_index("mine")
        .join(others.variants.with_row_index("theirs"), on=["chrom", *_KEY], how="full", coalesce=True)
        .sort(_KEY)
    )
    rows = [table[name].cast(pl.Int64).fill_null(-1).to_numpy() for name in ("mine", "theirs")]

    def together(mine: ndarray, theirs: ndarray) -> ndarray:
        parts = []
        for values, source, lacking in (
            (mine[:, train], rows[0], -1),
            (theirs, rows[1], 0 if absent == "reference" else -1),
        ):
            part = np.full((table.height, *values.shape[1:]), lacking, dtype=np.int8)
            part[source >= 0] = values[source[source >= 0]]
            parts.append(part)
        return np.concatenate(parts, axis=1)

    phased = home.haplotypes is not None and (others.haplotypes is not None or not others.variants.height)
    haplotypes = None
    if phased and home.haplotypes is not None:
        theirs = np.zeros((0, others.dosages.shape[1], 2), dtype=np.int8)
        haplotypes = together(home.haplotypes, theirs if others.haplotypes is None else others.haplotypes)
    return DonorVariants(
        variants=table.select(*VARIANTS_SCHEMA),
        dosages=together(home.dosages, others.dosages),
        haplotypes=haplotypes,
        ledger=others.ledger,
    )


def _nothing(donors: Donors) -> DonorVariants:
    return DonorVariants(
        variants=pl.DataFrame(schema=VARIANTS_SCHEMA),
        dosages=np.zeros((0, len(donors.people)), dtype=np.int8),
        haplotypes=None,
        ledger=dict.fromkeys(STEPS, 0),
    )


def indel_sources(run: ExpressionRun, home: Cohort, others: Others, config: TransferConfig) -> IndelSources | None:
    """Opens the files that a run with indels is predicted from; None for other runs.

    Raises:
        ConfigError: the other individuals come from a cohort, and no genotype files of theirs are named.
        DataError: the run's own genotypes or genome are not where they were.
        VarfxError: files that cannot be read, or lack individuals.
    """
    if not reads_indels(run):
        return None
    record = run.record["config"]
    genotypes = config.home_indels or tuple(Path(name) for name in record["indels"])
    genome = config.reference or Path(record["reference"])
    for path, what, option in [
        *((path, "genotypes", "--home-indels") for path in genotypes),
        (genome, "genome", "--reference"),
    ]:
        if not path.exists():
            raise DataError(
                f"`{path}`, the {what} that `{run.path}` was fitted with, is not there. Say where it lies now with {option}."
            )
    files = indel_files(home, genotypes, genome)
    assert files is not None
    return IndelSources(files, _other_donors(run, others, config.indels))


def _other_donors(run: ExpressionRun, others: Others, genotypes: Sequence[Path]) -> Donors:
    if genotypes:
        return open_donors([str(path) for path in genotypes], others.people)
    if isinstance(others, FileOthers):
        return others.donors
    raise ConfigError(
        f"the networks of `{run.path}` were fitted on sequences with indels, which the cohort `{others.name}` does not keep. Name the "
        "genotype files of its individuals with --indels."
    )


def refuse_unused(runs: Sequence[ExpressionRun], config: TransferConfig) -> None:
    """Raises ConfigError if files with indels are named, and no run reads any."""
    if config.files_given and not any(reads_indels(run) for run in runs):
        raise ConfigError(
            f"`{config.files_given[0]}` is for networks of `varfx expr fit --indels`, and `{runs[0].path}` has read no indels. Leave it out."
        )
