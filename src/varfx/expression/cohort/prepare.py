"""Makes a cohort from genotypes, expression, reference genome and genes: `varfx expr prepare`."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64
from numpy import ndarray

from varfx.errors import DataError
from varfx.expression.cohort import tables
from varfx.expression.cohort.adjust import fit_adjustment, is_constant
from varfx.expression.cohort.config import Normalisation, PrepareConfig, PrepareFiles, SplitConfig
from varfx.expression.cohort.fold_lists import list_files
from varfx.expression.cohort.genes import join_gtf, place_windows
from varfx.expression.cohort.normalise import counts_per_million, expressed, refuse_exchanged, tmm_factors
from varfx.expression.cohort.people import ChosenPeople, choose_people
from varfx.expression.cohort.regions import PART, keep_in_regions
from varfx.expression.cohort.splits import overlapping, split_genes
from varfx.expression.cohort.store import Cohort, open_cohort
from varfx.expression.cohort.variants import add_variants, known_reference, starts_phased
from varfx.expression.cohort.write import CohortTables, cohort_folder, with_variant_rows, writing_cohort
from varfx.expression.gene_list import read_genes
from varfx.genome.fasta import open_fasta
from varfx.genome.gtf import bare_gene_id, read_gtf
from varfx.genotypes.donors import open_donors
from varfx.genotypes.name_lists import SAMPLE, read_mapping
from varfx.io import sealed
from varfx.io.ledger import Ledger, Sieve
from varfx.io.output_lock import one_writer
from varfx.progress import Progress, silent

logger = logging.getLogger(__name__)
_DEFAULT = PrepareConfig()
__all__ = ["PrepareConfig", "PrepareFiles", "prepare"]
_PARTICIPANT = ("participant_id", "participant", "subject_id", "subjid", "subject", "donor_id", "donor", "individual_id",
                "individual", "person_id", "person", "iid")  # fmt: skip


@one_writer
def prepare(
    inputs: PrepareFiles,
    out: str | os.PathLike[str],
    config: PrepareConfig = _DEFAULT,
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
        DataError: data that contradict each other: no individuals in common, wrong genome build, no genes left, too few
            individuals for the folds.
        StoreError: `out` is there already, or cannot be written.
    """
    cohort_folder(out).check(overwrite=overwrite)
    expression, tpm = _read_expression(inputs)
    genotyped = open_donors(inputs.genotypes).people
    known = (*genotyped, *expression.people)
    covariates = None if inputs.covariates is None else tables.read_covariates(inputs.covariates, known)
    people = choose_people(
        inputs,
        config,
        genotyped=genotyped,
        expressed=expression.people,
        covariates=None if covariates is None else covariates.people,
    )
    donors = open_donors(inputs.genotypes, people=people.names)
    C = None if covariates is None else _columns(covariates.values, covariates.people, people.names)
    with open_fasta(inputs.reference) as reference:
        sieve, values = _candidates(inputs, config, (expression, tpm), people)
        place_windows(sieve, reference, donors.chroms, config.window, config.max_n, contigs=donors.contigs)
        if inputs.regions is not None:
            keep_in_regions(sieve, inputs.regions, config.region_size)
        _require_genes(sieve)
        _check_covariates(values[sieve.frame["row"].to_numpy()[0]], C, people, config.normalise)
        phased = starts_phased(donors, sieve, config)
        with writing_cohort(out, people.names, phased=phased, overwrite=overwrite) as writer:
            read = add_variants(writer, donors, sieve, reference, config, progress)
            _drop_without_variants(sieve, writer.variants, read.varies, read.ledger)
            _require_genes(sieve)
            train, tune, heldout = _divide_genes(sieve, config.split, inputs.heldout_genes)
            made = CohortTables(
                genes=sieve.frame.drop("row"),
                expression=values[sieve.frame["row"].to_numpy()].astype(np.float32),
                covariates=C,
                covariate_names=() if covariates is None else covariates.names,
                normalise=config.normalise,
                folds=people.folds,
                genes_train=train,
                genes_heldout=heldout,
                genes_tune=tune,
            )
            writer.finish(
                made,
                known_reference(reference, writer.variants),
                window=config.window,
                options=asdict(config),
                ledger={
                    "people": people.ledger.rows(),
                    "genes": sieve.ledger.rows(),
                    "genotypes": read.ledger.rows(),
                },
                provenance=sealed.provenance(asdict(config), inputs.named() | _named_lists(config.split)),
            )
    for note in (*people.ledger.notes, *sieve.ledger.notes):
        logger.warning("%s", note)
    return open_cohort(out)


def _candidates(
    inputs: PrepareFiles,
    config: PrepareConfig,
    given: tuple[tables.Expression, tables.Expression | None],
    people: ChosenPeople,
) -> tuple[Sieve, Float64[ndarray, "gene individual"]]:
    """Genes of the GTF that are expressed and vary, and the expression; `given` are expression, or counts and TPM."""
    expression, tpm = given
    values = _aligned(expression, people.names)
    sieve = Sieve(expression.genes.with_row_index("row"), "in the expression file")
    join_gtf(sieve, read_gtf(inputs.gtf, chroms=expression.chroms), config.gene_types, config.tss_distance)
    if tpm is not None:
        kept = expressed(values, _aligned(tpm, people.names))[sieve.frame["row"].to_numpy()]
        sieve.drop(~kept, "low counts or TPM")
        values = counts_per_million(values, tmm_factors(values))
    _drop_unusable(sieve, values, people)
    return sieve, values


def _named_lists(split: SplitConfig) -> dict[str, Path]:
    """Files of published folds, for the provenance."""
    if isinstance(split.folds, int):
        return {}
    if not Path(split.folds).is_dir():
        return {"folds": Path(split.folds)}
    return {f"folds.{part}.{number}": path for (number, part), path in list_files(split.folds).items()}


def _read_expression(inputs: PrepareFiles) -> tuple[tables.Expression, tables.Expression | None]:
    """Expression, or counts and TPM with the same genes in the same order; columns are individuals."""
    if inputs.expression is not None:
        read = tables.read_expression_bed(inputs.expression)
        people = _participants(inputs.samples, read)
        return (read if people is None else _as_participants(read, people)), None
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
    refuse_exchanged(counts, tpm)
    people = _participants(inputs.samples, counts)
    if people is not None:
        counts, tpm = _as_participants(counts, people), tables.as_participants(tpm, people)
    gaps = int(np.isnan(counts.values).sum() + np.isnan(tpm.values).sum())
    if gaps:
        raise DataError(f"`{inputs.counts}` and `{inputs.tpm}` have {gaps} gaps. Counts and TPM must be whole.")
    return counts, tpm


def _participants(path: Path | None, expression: tables.Expression) -> dict[str, str] | None:
    """The individual of each sample, if the file is given."""
    if path is None:
        return None
    return read_mapping(path, "samples and their people", expression.people, keys=SAMPLE, values=_PARTICIPANT)


def _as_participants(expression: tables.Expression, people: dict[str, str]) -> tables.Expression:
    """The table by individuals; samples that the map lacks are logged."""
    absent = [sample for sample in expression.people if sample not in people]
    if 0 < len(absent) < len(expression.people):
        logger.warning(
            "--samples: %d of %d samples of `%s` are not in it and are left out, first %s",
            *(len(absent), len(expression.people), expression.source, absent[0]),
        )
    return tables.as_participants(expression, people)


def _aligned(expression: tables.Expression, people: tuple[str, ...]) -> Float64[ndarray, "gene individual"]:
    return _columns(expression.values, expression.people, people)


def _columns(values: ndarray, names: tuple[str, ...], people: tuple[str, ...]) -> Float64[ndarray, "row individual"]:
    place = {name: column for column, name in enumerate(names)}
    return np.ascontiguousarray(values[:, [place[name] for name in people]])


def _drop_unusable(sieve: Sieve, values: Float64[ndarray, "gene individual"], people: ChosenPeople) -> None:
    rows = sieve.frame["row"].to_numpy()
    sieve.drop(np.isnan(values[rows]).any(axis=1), "expression with gaps")
    rows = sieve.frame["row"].to_numpy()
    training = people.training_rows()
    # float32 is what the cohort stores
    constant = [
        any(is_constant(gene[who]) for who in training) for gene in values[rows].astype(np.float32).astype(float)
    ]
    sieve.drop(np.array(constant, dtype=bool), "constant expression in training individuals")


def _require_genes(sieve: Sieve) -> None:
    if not sieve.frame.height:
        raise DataError(
            f"No gene is left ({sieve.why()}). {sieve.largest()}. Check the files, or relax --gene-type, --max-n and the "
            "like."
        )


def _check_covariates(y: ndarray, C: ndarray | None, people: ChosenPeople, method: Normalisation) -> None:
    """Fits a gene, so that too many covariates for the individuals are noticed before anything is written."""
    for rows in people.training_rows():
        fit_adjustment(y, None if C is None else C.T, rows, method)
        if C is not None and 2 * C.shape[0] > rows.size:
            logger.warning(
                "%d covariates for %d training individuals leave little to learn from", C.shape[0], rows.size
            )


def _drop_without_variants(
    sieve: Sieve, variants: pl.DataFrame, varies: Bool[ndarray, " variant"], genotypes: Ledger
) -> None:
    counted = with_variant_rows(sieve.frame, variants)
    before = np.append(0, np.cumsum(varies))
    first, count = counted["first_variant"].to_numpy(), counted["num_variants"].to_numpy()
    seen = ", ".join(f"{step}: {number}" for step, number in genotypes.counts.items() if number)
    sieve.drop(
        before[first + count] == before[first],
        "no variant that varies in the window",
        sides=f"the genotypes gave {seen or 'no record in any window'}",
    )


def _divide_genes(
    sieve: Sieve, config: SplitConfig, heldout_file: Path | None
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Genes for training, genes held out on which a network may be tuned (by regions only), and all genes held out."""
    if PART in sieve.frame.columns:
        return _by_regions(sieve.frame)
    windows = list(sieve.frame.select("gene_id", "chrom", "start", "end").iter_rows())
    if heldout_file is None:
        train, heldout = split_genes(windows, config)
        return train, (), heldout
    listed = {bare_gene_id(name) for name in read_genes(heldout_file)}
    ids = [window[0] for window in windows]
    heldout = tuple(gene for gene in ids if gene in listed)
    if not heldout:
        raise DataError(
            f"`{heldout_file}`: none of its {len(listed)} genes is among the {len(ids)} of the cohort (first {ids[0]}). "
            "Give Ensembl ids."
        )
    absent = sorted(listed - set(ids))
    if absent:
        sieve.ledger.note(
            f"--heldout-genes: {len(absent)} of {len(listed)} genes are not in the cohort, first {absent[0]}."
        )
    shared = [cluster for cluster in overlapping(windows) if 0 < len(listed & set(cluster)) < len(cluster)]
    if shared:
        sieve.ledger.note(f"{len(shared)} groups of overlapping windows have genes both held out and for training.")
    return tuple(gene for gene in ids if gene not in listed), (), heldout


def _by_regions(genes: pl.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    parts = {part: tuple(genes.filter(pl.col(PART) == part)["gene_id"]) for part in ("train", "tune", "test")}
    if not parts["train"]:
        raise DataError(
            f"no gene lies in a region for training: {genes.height} are in regions to tune or test on. Check that --regions are of "
            "the genome build of the reference."
        )
    heldout = tuple(genes.filter(pl.col(PART) != "train")["gene_id"])
    return parts["train"], parts["tune"], heldout
