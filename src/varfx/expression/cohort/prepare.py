"""Makes a cohort from genotypes, expression, reference genome and genes: `varfx expr prepare`."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64
from numpy import ndarray

from varfx.errors import ConfigError, DataError
from varfx.expression.cohort import tables
from varfx.expression.cohort.adjust import fit_adjustment, is_constant
from varfx.expression.cohort.genes import Ledger, join_gtf, place_windows, stretches
from varfx.expression.cohort.normalise import counts_per_million, expressed, tmm_factors
from varfx.expression.cohort.people import join_people
from varfx.expression.cohort.splits import PeopleSplit, SplitConfig, overlapping, split_genes, split_people
from varfx.expression.cohort.store import Cohort, Normalisation, open_cohort
from varfx.expression.cohort.write import CohortTables, CohortWriter, check_free, with_variant_rows, writing_cohort
from varfx.genome.fasta import Fasta, open_fasta
from varfx.genome.gtf import read_gtf
from varfx.genome.variants import chrom_rank
from varfx.genotypes.donors import Donors, open_donors
from varfx.genotypes.snvs import Mismatch
from varfx.io import sealed
from varfx.progress import Progress, silent

logger = logging.getLogger(__name__)
Phasing = Literal["auto", "yes", "no"]
RelativesRule = Literal["together", "exclude"]
LONGEST_STRETCH = 1 << 20  # bases read at once
_PLINK_ENDINGS = (".bed", ".bim", ".fam", ".pgen", ".pvar", ".pvar.zst", ".psam")


@dataclass(frozen=True, kw_only=True)
class PrepareFiles:
    """What a cohort is made from.

    Attributes:
        genotypes: VCF, BCF, PLINK 1 .bed or PLINK 2 .pgen; several files (e.g. one per chromosome) of the same people.
        reference: FASTA of the genome that the genotypes were called on.
        gtf: GENCODE or Ensembl genes on it.
        expression: FastQTL's BED; or else
        counts: GCT of counts, and
        tpm: GCT of TPM of the same genes and samples.
        samples: the person of each sample of the expression files, two columns.
        covariates: a row a covariate, a column a person.
        people: whom to use, one a line.
        exclude_people: whom not to use.
        relatives: pairs of relatives or of samples of one person, two columns.
        populations: person and population, two columns.
        heldout_genes: Ensembl ids of the genes to hold out, one a line.
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
            prefix = str(path).removesuffix(".bed").removesuffix(".pgen")
            parts = {f"{name}{ending}": Path(prefix + ending) for ending in _PLINK_ENDINGS}
            named |= {part: file for part, file in parts.items() if file.is_file()} or {name: path}
        return named


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """How a cohort is made.

    Attributes:
        window: bases around each TSS.
        gene_types: of the GTF that are kept; empty keeps all.
        tss_distance: genes with another TSS within so many bases are left out; -1 keeps them.
        max_n: bases other than A, C, G, T that a window may have.
        normalise: how expression is transformed, fitted on training people fold by fold.
        phased: whether haplotypes are kept: auto keeps them where the genotypes are phased.
        on_mismatch: what happens to variants whose REF is not the reference's base.
        relatives_rule: whether relatives stay together in one part, or are left out until nobody has one.
        split: how people and genes are divided.
    """

    window: int = 49_152
    gene_types: tuple[str, ...] = ("protein_coding",)
    tss_distance: int = 64
    max_n: int = 0
    normalise: Normalisation = "inverse-normal"
    phased: Phasing = "auto"
    on_mismatch: Mismatch = "fail"
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
            ("relatives_rule", RelativesRule),
        ):
            if getattr(self, name) not in get_args(choices):
                raise ConfigError(f"`{name}` must be {', '.join(get_args(choices))}, got {getattr(self, name)!r}.")


@dataclass(frozen=True, kw_only=True, eq=False)
class _People:
    """Who is used, and how they are divided."""

    names: tuple[str, ...]
    ledger: Ledger
    folds: tuple[PeopleSplit, ...]

    def training_rows(self) -> list[ndarray]:
        row = {name: place for place, name in enumerate(self.names)}
        return [np.array([row[name] for name in fold.train], dtype=np.int64) for fold in self.folds]


def prepare(
    inputs: PrepareFiles,
    out: str | os.PathLike[str],
    config: PrepareConfig = PrepareConfig(),
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Cohort:
    """Writes a cohort and opens it; complete, or not at all.

    Args:
        inputs: the files.
        out: the folder to make.
        config: the options.
        overwrite: replace a cohort that is there.
        progress: told about each stretch of the genome that was read.

    Raises:
        FormatError: a file that is damaged or of another format.
        DataError: data that contradict each other: no people in common, wrong genome build, no genes left, too few
            people for the folds.
        StoreError: `out` is there already, or cannot be written.
    """
    check_free(out, overwrite=overwrite)
    expression, tpm = _read_expression(inputs)
    covariates = None if inputs.covariates is None else tables.read_covariates(inputs.covariates)
    people = _choose_people(inputs, config, open_donors(inputs.genotypes).people, expression.people, covariates)
    donors = open_donors(inputs.genotypes, people=people.names)
    phased = _phased(donors, config.phased)
    values = _aligned(expression, people.names)
    C = None if covariates is None else _columns(covariates.values, covariates.people, people.names)
    with open_fasta(inputs.reference) as reference:
        ledger = Ledger(expression.genes.with_row_index("row"), "in the expression file")
        join_gtf(ledger, read_gtf(inputs.gtf), config.gene_types, config.tss_distance)
        if tpm is not None:
            mask = expressed(values, _aligned(tpm, people.names))
            ledger.drop(~mask[ledger.frame["row"].to_numpy()], "low counts or TPM")
            values = counts_per_million(values, tmm_factors(values))
        _drop_unusable(ledger, values, people)
        place_windows(ledger, reference, donors.chroms, config.window, config.max_n)
        _require_genes(ledger)
        _check_covariates(values[ledger.frame["row"].to_numpy()[0]], C, people, config.normalise)
        with writing_cohort(out, people.names, phased=phased, overwrite=overwrite) as writer:
            varies, genotypes = _add_variants(writer, donors, ledger.frame, reference, config.on_mismatch, progress)
            _drop_without_variants(ledger, writer.variants, varies)
            _require_genes(ledger)
            train, heldout = _divide_genes(ledger.frame, config.split, inputs.heldout_genes)
            writer.finish(
                CohortTables(
                    genes=ledger.frame.drop("row"),
                    expression=values[ledger.frame["row"].to_numpy()].astype(np.float32),
                    covariates=C,
                    covariate_names=() if covariates is None else covariates.names,
                    normalise=config.normalise,
                    folds=people.folds,
                    genes_train=train,
                    genes_heldout=heldout,
                ),
                reference.codes,
                window=config.window,
                options=asdict(config),
                ledger={"people": people.ledger.steps, "genes": ledger.steps, "genotypes": genotypes},
                provenance=sealed.provenance(asdict(config), inputs.named()),
            )
    return open_cohort(out)


def _read_expression(inputs: PrepareFiles) -> tuple[tables.Expression, tables.Expression | None]:
    """Expression, or counts and TPM with the same genes in the same order; columns are people."""
    people = None if inputs.samples is None else tables.read_mapping(inputs.samples, "samples and their people")
    if inputs.expression is not None:
        read = tables.read_expression_bed(inputs.expression)
        return (read if people is None else tables.as_participants(read, people)), None
    assert inputs.counts is not None
    assert inputs.tpm is not None
    counts, tpm = tables.read_gct(inputs.counts), tables.read_gct(inputs.tpm)
    for what, theirs, ours in (
        ("genes", tpm.genes["gene_id"].to_list(), counts.genes["gene_id"].to_list()),
        ("samples", list(tpm.people), list(counts.people)),
    ):
        different = sorted(set(theirs) ^ set(ours))
        if different:
            raise DataError(
                f"`{inputs.counts}` and `{inputs.tpm}` have different {what}: {len(different)} are in one only, first "
                f"{different[0]}. Give counts and TPM of the same run."
            )
    order = {gene: row for row, gene in enumerate(tpm.genes["gene_id"].to_list())}
    rows = [order[gene] for gene in counts.genes["gene_id"].to_list()]
    tpm = replace(tpm, genes=counts.genes, values=tpm.values[rows])
    if people is not None:
        counts, tpm = tables.as_participants(counts, people), tables.as_participants(tpm, people)
    gaps = int(np.isnan(counts.values).sum() + np.isnan(tpm.values).sum())
    if gaps:
        raise DataError(f"`{inputs.counts}` and `{inputs.tpm}` have {gaps} gaps. Counts and TPM must be whole.")
    return counts, tpm


def _choose_people(
    inputs: PrepareFiles,
    config: PrepareConfig,
    genotyped: tuple[str, ...],
    with_expression: tuple[str, ...],
    covariates: tables.Covariates | None,
) -> _People:
    pairs = [] if inputs.relatives is None else tables.read_pairs(inputs.relatives, "pairs of relatives")
    if pairs and not any(set(pair) <= set(genotyped) for pair in pairs):
        raise DataError(
            f"`{inputs.relatives}`: none of its {len(pairs)} pairs (first {pairs[0][0]} {pairs[0][1]}) is of people with "
            "genotypes. Its first two columns must be names of people."
        )
    apart = config.relatives_rule == "exclude"
    ledger = join_people(
        genotyped,
        with_expression,
        covariates=None if covariates is None else covariates.people,
        keep=None if inputs.people is None else tables.read_names(inputs.people, "people"),
        exclude=() if inputs.exclude_people is None else tables.read_names(inputs.exclude_people, "people"),
        relatives=pairs if apart else (),
    )
    names = tuple(ledger.frame["person"])
    populations = None
    if inputs.populations is not None:
        populations = tables.read_mapping(inputs.populations, "people and their populations")
    elif config.split.heldout_populations:
        raise ConfigError("`heldout_populations` needs --populations FILE, with a person and a population a line.")
    folds = split_people(names, config.split, populations=populations, relatives=() if apart else pairs)
    return _People(names=names, ledger=ledger, folds=folds)


def _phased(donors: Donors, wanted: Phasing) -> bool:
    if wanted == "yes" and not donors.phased:
        raise DataError("`--phased yes`, but the genotypes are not phased. Use --phased auto, or phase them.")
    return donors.phased and wanted != "no"


def _aligned(expression: tables.Expression, people: tuple[str, ...]) -> Float64[ndarray, "gene person"]:
    return _columns(expression.values, expression.people, people)


def _columns(values: ndarray, names: tuple[str, ...], people: tuple[str, ...]) -> Float64[ndarray, "row person"]:
    place = {name: column for column, name in enumerate(names)}
    return np.ascontiguousarray(values[:, [place[name] for name in people]])


def _drop_unusable(ledger: Ledger, values: Float64[ndarray, "gene person"], people: _People) -> None:
    rows = ledger.frame["row"].to_numpy()
    ledger.drop(np.isnan(values[rows]).any(axis=1), "expression with gaps")
    rows = ledger.frame["row"].to_numpy()
    training = people.training_rows()
    # float32 is what the cohort stores
    constant = [
        any(is_constant(gene[who]) for who in training) for gene in values[rows].astype(np.float32).astype(float)
    ]
    ledger.drop(np.array(constant, dtype=bool), "constant expression in training people")


def _require_genes(ledger: Ledger) -> None:
    if not ledger.frame.height:
        raise DataError(
            f"No gene is left ({ledger.why()}). Check the files, or relax --gene-type, --max-n and the like."
        )


def _check_covariates(y: ndarray, C: ndarray | None, people: _People, method: Normalisation) -> None:
    """Fits a gene, so that too many covariates for the people are noticed before anything is written."""
    for rows in people.training_rows():
        fit_adjustment(y, None if C is None else C.T, rows, method)
        if C is not None and 2 * C.shape[0] > rows.size:
            logger.warning("%d covariates for %d training people leave little to learn from", C.shape[0], rows.size)


def _add_variants(
    writer: CohortWriter,
    donors: Donors,
    genes: pl.DataFrame,
    reference: Fasta,
    on_mismatch: Mismatch,
    progress: Progress,
) -> tuple[Bool[ndarray, " variant"], dict[str, int]]:
    """Reads and writes all variants in windows that somebody carries; which of them vary, and what was counted."""
    parts = stretches(genes.sort(chrom_rank(), "chrom", "start"), LONGEST_STRETCH)
    total: dict[str, int] = {}
    varies: list[ndarray] = []
    for number, (chrom, start, end) in enumerate(parts, start=1):
        block = donors.read(chrom, start, end, reference=reference, on_mismatch=on_mismatch)
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
    return np.concatenate(varies), total


def _varies(dosages: ndarray) -> Bool[ndarray, " variant"]:
    lowest = np.where(dosages < 0, 3, dosages).min(axis=1)
    return np.asarray(dosages.max(axis=1) > lowest)


def _drop_without_variants(ledger: Ledger, variants: pl.DataFrame, varies: Bool[ndarray, " variant"]) -> None:
    counted = with_variant_rows(ledger.frame, variants)
    before = np.append(0, np.cumsum(varies))
    first, count = counted["first_variant"].to_numpy(), counted["num_variants"].to_numpy()
    ledger.drop(before[first + count] == before[first], "no variant that varies in the window")


def _divide_genes(
    genes: pl.DataFrame, config: SplitConfig, heldout_file: Path | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    windows = list(genes.select("gene_id", "chrom", "start", "end").iter_rows())
    if heldout_file is None:
        return split_genes(windows, config)
    listed = {name.partition(".")[0] for name in tables.read_names(heldout_file, "genes")}
    ids = [window[0] for window in windows]
    heldout = tuple(gene for gene in ids if gene in listed)
    if not heldout:
        raise DataError(
            f"`{heldout_file}`: none of its {len(listed)} genes is among the {len(ids)} of the cohort (first {ids[0]}). "
            "Give Ensembl ids."
        )
    shared = [cluster for cluster in overlapping(windows) if 0 < len(listed & set(cluster)) < len(cluster)]
    if shared:
        logger.warning("%d groups of overlapping windows have genes both held out and for training", len(shared))
    return tuple(gene for gene in ids if gene not in listed), heldout
