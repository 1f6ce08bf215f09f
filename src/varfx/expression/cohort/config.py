"""Configuration of a cohort: its inputs and options."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from varfx.errors import ConfigError
from varfx.genotypes.config import Filters, Mismatch

Normalisation = Literal["inverse-normal", "standardise", "none"]
Phasing = Literal["auto", "yes", "no"]
RelativesRule = Literal["together", "exclude"]


@dataclass(frozen=True, kw_only=True)
class PrepareFiles:
    """Files from which a cohort is made; lists of individuals as `varfx.genotypes.name_lists` reads them."""

    genotypes: tuple[Path, ...]
    """VCF or BCF (indexed), PLINK .bed or .pgen; several files, e.g. one per chromosome, of the same individuals."""
    reference: Path
    """FASTA (plain or bgzip) of the genome that the genotypes were called on."""
    gtf: Path
    """GENCODE or Ensembl genes on that genome: TSS, strand, gene type."""
    expression: Path | None = None
    """BED of FastQTL, tensorQTL, QTLtools or GTEx: #chr start end gene_id, then a column per individual."""
    counts: Path | None = None
    """In place of --expression: GCT of counts; together with --tpm normalised in GTEx's order."""
    tpm: Path | None = None
    """GCT of TPM of the same genes and samples."""
    samples: Path | None = None
    """Sample and individual per line, if expression goes by samples."""
    covariates: Path | None = None
    """Regressed out of expression; a row per covariate and a column per individual, or transposed."""
    people: Path | None = None
    """Individuals to use: names, or FID and IID; by default all with genotypes, expression and covariates."""
    exclude_people: Path | None = None
    """Individuals to leave out: names, or FID and IID as for PLINK's --remove."""
    relatives: Path | None = None
    """Pairs of relatives, or of samples of one individual: two columns, or KING's .kin0 or PLINK's .genome."""
    populations: Path | None = None
    """Individual and population per line: each part of a fold gets about the same mixture."""
    heldout_genes: Path | None = None
    """Ensembl ids of the genes to hold out, one per line, in place of --heldout-fraction."""
    regions: Path | None = None
    """BED of regions with train, valid or test, such as Basenji2's sequences, in place of --heldout-fraction: genes of valid and
    test regions are held out, those in none or across parts left out."""

    def __post_init__(self) -> None:
        if not self.genotypes:
            raise ConfigError("`genotypes` are needed: X.vcf.gz, X.bcf, X.bed or X.pgen.")
        if self.regions is not None and self.heldout_genes is not None:
            raise ConfigError("`regions` and `heldout_genes` both say which genes are held out. Give one.")
        given = (self.expression is not None, self.counts is not None, self.tpm is not None)
        if given not in ((True, False, False), (False, True, True)):
            raise ConfigError("Give expression either as --expression BED, or as both --counts GCT and --tpm GCT.")

    def named(self) -> dict[str, Path]:
        """Each file by its name here; of PLINK's sets of files, each with its ending."""
        from varfx.genotypes.plink_sets import plink_parts  # slow to import: not for help pages

        named = {name: path for name, path in vars(self).items() if isinstance(path, Path)}
        for number, path in enumerate(self.genotypes):
            name = f"genotypes{number or ''}"
            parts = {f"{name}{ending}": part for ending, part in plink_parts(str(path)).items()}
            named |= parts or {name: path}
        return named


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Configuration of the split of individuals and genes."""

    folds: int | str | Path = 3
    """Ways to divide individuals into training, tuning and test sets, with disjoint test sets; or published folds: a table of
    individual, fold and part, or a folder with a list per part and fold."""
    tune: float = 0.1
    """Share of individuals to tune on: when to stop, and how strongly to penalise."""
    test: float = 0.1
    """Share of individuals to test on."""
    heldout_fraction: float = 0.2
    """Share of genes that no model is trained on; their windows overlap no training gene's."""
    heldout_populations: tuple[str, ...] = ()
    """Populations whose individuals are the test set of every fold."""
    seed: int = 0
    """Of the folds and the genes held out."""

    def __post_init__(self) -> None:
        if isinstance(self.folds, Path):
            object.__setattr__(self, "folds", str(self.folds))  # as the command line has it
        if isinstance(self.folds, int) and self.folds < 1:
            raise ConfigError(f"`folds` must be at least 1, got {self.folds}.")
        if isinstance(self.folds, str) and self.heldout_populations:
            raise ConfigError("`heldout_populations` and lists of `folds` both say who is tested on. Give one.")
        for name in ("tune", "test"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"`{name}` must lie between 0 and 1, got {getattr(self, name)}.")
        if self.tune + self.test >= 1:
            raise ConfigError(f"`tune` and `test` leave nobody to train on: {self.tune} + {self.test} is not below 1.")
        if not 0 <= self.heldout_fraction < 1:
            raise ConfigError(f"`heldout_fraction` must be in [0, 1), got {self.heldout_fraction}.")
        if self.seed < 0:
            raise ConfigError(f"`seed` must not be negative, got {self.seed}.")


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Configuration of a cohort."""

    window: int = 49_152
    """Bases around the TSS."""
    gene_types: tuple[str, ...] = ("protein_coding",)
    """Types of genes to keep, as in the GTF; all keeps every type."""
    tss_distance: int = 64
    """Genes with another gene's TSS within so many bases are left out; -1 keeps them."""
    max_n: int = 0
    """Unknown bases (N) that a window may have; an ambiguity code of IUPAC is none."""
    region_size: int = 196_608
    """Bases to which --regions are lengthened: what the pretrained network reads."""
    normalise: Normalisation = "inverse-normal"
    """Of expression, learned from training individuals in each fold; before covariates are regressed out."""
    phased: Phasing = "auto"
    """Keep haplotypes: if the genotypes are phased wherever a gene is (auto), yes or no."""
    on_mismatch: Mismatch = "fail"
    """Where REF is not the base of the reference: fail, exchange REF and ALT if ALT is it (flip), or drop."""
    filters: Filters = "all"
    """Records that count: all, or those whose FILTER is PASS (or not given)."""
    relatives_rule: RelativesRule = "together"
    """Relatives stay together in one part of each fold, or are left out until nobody has one (exclude)."""
    split: SplitConfig = field(default_factory=SplitConfig)

    def __post_init__(self) -> None:
        if self.gene_types == ("all",):
            object.__setattr__(self, "gene_types", ())
        if self.window < 2:
            raise ConfigError(f"`window` must be at least 2 bases, got {self.window}.")
        if not 0 <= self.max_n < self.window:
            raise ConfigError(f"`max_n` must be from 0 to {self.window - 1}, got {self.max_n}.")
        if self.region_size < 1:
            raise ConfigError(f"`region_size` must be at least 1, got {self.region_size}.")
        for name, choices in (
            ("normalise", Normalisation),
            ("phased", Phasing),
            ("on_mismatch", Mismatch),
            ("filters", Filters),
            ("relatives_rule", RelativesRule),
        ):
            if getattr(self, name) not in get_args(choices):
                raise ConfigError(f"`{name}` must be {', '.join(get_args(choices))}, got {getattr(self, name)!r}.")
