"""Configuration of a cohort: its inputs and options."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from varfx.errors import ConfigError
from varfx.expression.cohort.splits import SplitConfig
from varfx.expression.cohort.store import Normalisation
from varfx.genotypes.config import Filters
from varfx.genotypes.plink_sets import plink_parts
from varfx.genotypes.snvs import Mismatch

Phasing = Literal["auto", "yes", "no"]
RelativesRule = Literal["together", "exclude"]


@dataclass(frozen=True, kw_only=True)
class PrepareFiles:
    """Files from which a cohort is made.

    Attributes:
        genotypes: VCF, BCF, PLINK 1 .bed or PLINK 2 .pgen; several files (e.g. one per chromosome) of the same individuals.
        reference: FASTA of the genome that the genotypes were called on.
        gtf: GENCODE or Ensembl genes on it.
        expression: FastQTL's BED; or else
        counts: GCT of counts, and
        tpm: GCT of TPM of the same genes and samples.
        samples: the individual of each sample of the expression files; see `varfx.genotypes.name_lists`, as for all lists.
        covariates: a row per covariate, a column per individual.
        people: individuals to use.
        exclude_people: individuals to leave out.
        relatives: pairs of relatives, or of samples of one individual.
        populations: the population of each individual.
        heldout_genes: Ensembl ids of the genes to hold out, one per line.
    """

    genotypes: tuple[Path, ...]
    reference: Path
    gtf: Path
    expression: Path | None = None
    counts: Path | None = None
    tpm: Path | None = None
    samples: Path | None = None
    covariates: Path | None = None
    people: Path | None = None
    exclude_people: Path | None = None
    relatives: Path | None = None
    populations: Path | None = None
    heldout_genes: Path | None = None

    def __post_init__(self) -> None:
        if not self.genotypes:
            raise ConfigError("`genotypes` are needed: X.vcf.gz, X.bcf, X.bed or X.pgen.")
        given = (self.expression is not None, self.counts is not None, self.tpm is not None)
        if given not in ((True, False, False), (False, True, True)):
            raise ConfigError("Give expression either as --expression BED, or as both --counts GCT and --tpm GCT.")

    def named(self) -> dict[str, Path]:
        """Each file by its name here; of PLINK's sets of files, each with its ending."""
        named = {name: path for name, path in vars(self).items() if isinstance(path, Path)}
        for number, path in enumerate(self.genotypes):
            name = f"genotypes{number or ''}"
            parts = {f"{name}{ending}": part for ending, part in plink_parts(str(path)).items()}
            named |= parts or {name: path}
        return named


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Configuration of a cohort.

    Attributes:
        window: bases around each TSS.
        gene_types: of the GTF that are kept; empty keeps all.
        tss_distance: genes with another TSS within so many bases are left out; -1 keeps them.
        max_n: unknown bases (N) that a window may have; an ambiguity code of IUPAC is none.
        normalise: how expression is transformed, fitted on training individuals fold by fold.
        phased: whether haplotypes are kept: auto keeps them if the genotypes are phased wherever a gene is.
        on_mismatch: what happens to variants whose REF is not the reference's base.
        filters: whether all records count, or only those whose FILTER is PASS (or not given).
        relatives_rule: whether relatives stay together in one part, or are left out until nobody has one.
        split: how individuals and genes are divided.
    """

    window: int = 49_152
    gene_types: tuple[str, ...] = ("protein_coding",)
    tss_distance: int = 64
    max_n: int = 0
    normalise: Normalisation = "inverse-normal"
    phased: Phasing = "auto"
    on_mismatch: Mismatch = "fail"
    filters: Filters = "all"
    relatives_rule: RelativesRule = "together"
    split: SplitConfig = field(default_factory=SplitConfig)

    def __post_init__(self) -> None:
        if self.window < 2:
            raise ConfigError(f"`window` must be at least 2 bases, got {self.window}.")
        if not 0 <= self.max_n < self.window:
            raise ConfigError(f"`max_n` must be from 0 to {self.window - 1}, got {self.max_n}.")
        for name, choices in (
            ("normalise", Normalisation),
            ("phased", Phasing),
            ("on_mismatch", Mismatch),
            ("filters", Filters),
            ("relatives_rule", RelativesRule),
        ):
            if getattr(self, name) not in get_args(choices):
                raise ConfigError(f"`{name}` must be {', '.join(get_args(choices))}, got {getattr(self, name)!r}.")
