"""`score`: polygenic scores of individuals, the sum of weights times copies of the effect allele."""

from __future__ import annotations

import gzip
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from numpy import ndarray

from varfx.errors import DataError, HarmonisationError
from varfx.genome import variants
from varfx.genome.harmonise import harmonise
from varfx.genome.overlap import share_found
from varfx.genotypes.panel import GenotypeFile, count_moments, places_of_individuals
from varfx.io import sealed
from varfx.io.ledger import Ledger
from varfx.prior.polygenic.config import ScoreConfig
from varfx.prior.polygenic.dosages import open_dosages
from varfx.prior.polygenic.weights_file import SINGLE, read_weights
from varfx.progress import Progress, silent

logger = logging.getLogger(__name__)
PathLike = str | os.PathLike[str]
_DEFAULT = ScoreConfig()
CHUNK_GENOTYPES = 1 << 22  # genotypes held at once while scoring


@dataclass(frozen=True, eq=False)
class Scores:
    """Polygenic scores of individuals.

    Attributes:
        people: `fid, iid`, one row per individual.
        names: of the scores.
        chroms: chromosomes with scored variants, in genome order.
        sums: scores per chromosome.
        called: number of non-missing genotypes at scored variants, per individual.
        alleles: copies of effect alleles at scored variants, missing genotypes filled in, per individual.
        num_variants: scored variants.
        ledger: what became of every variant of the weights.
    """

    people: pl.DataFrame
    names: tuple[str, ...]
    chroms: tuple[str, ...]
    sums: Float[ndarray, "score chromosome individual"]
    called: Int[ndarray, " individual"]
    alleles: Float[ndarray, " individual"]
    num_variants: int
    ledger: Ledger = field(repr=False)

    @property
    def total(self) -> Float[ndarray, "score individual"]:
        """Scores over all chromosomes."""
        return np.asarray(self.sums.sum(1))

    def table(self) -> pl.DataFrame:
        """Columns of a PLINK 2 .sscore file, then the sum of each score, its mean per allele, and its sums per chromosome."""
        columns = {
            "#FID": self.people["fid"],
            "IID": self.people["iid"],
            "ALLELE_CT": pl.Series(2 * self.called),
            "NAMED_ALLELE_DOSAGE_SUM": pl.Series(self.alleles),
        }
        for name, total in zip(self.names, self.total, strict=True):
            columns[f"{name}_AVG"] = pl.Series(total / (2 * self.num_variants))
            columns[f"{name}_SUM"] = pl.Series(total)
        for name, parts in zip(self.names, self.sums, strict=True):
            for chrom, part in zip(self.chroms, parts, strict=True):
                columns[f"{name}_SUM_CHR{chrom}"] = pl.Series(part)
        return pl.DataFrame(columns)


@dataclass(frozen=True, eq=False)
class _Plan:
    """Scored variants.

    Attributes:
        file: number of each variant's file.
        row: its row there.
        flipped: whether the file counts the other allele.
        frequency: of the effect allele, for missing genotypes.
        weights: (score, variant).
        chrom: place of its chromosome among those scored.
    """

    file: Int[ndarray, " variant"]
    row: Int[ndarray, " variant"]
    flipped: ndarray
    frequency: Float[ndarray, " variant"]
    weights: Float[ndarray, "score variant"]
    chrom: Int[ndarray, " variant"]


def score(
    weights: PathLike,
    genotypes: PathLike | Sequence[PathLike],
    *,
    config: ScoreConfig = _DEFAULT,
    progress: Progress = silent,
) -> Scores:
    """Scores of the individuals in genotype files.

    Variants are matched by position and alleles (by ID where the weights have no position); each file is read twice, for
    frequencies and for scores, at the matched variants only.

    Args:
        weights: see `read_weights`.
        genotypes: .bed, .pgen, .vcf.gz or .bcf, or several of the same individuals, e.g. one per chromosome; `@` in a name
            stands for the chromosome.
        config: matching, and missing genotypes.
        progress: told about variants.

    Raises:
        DataError: no variant is shared, or the frequencies of missing genotypes are not known.
        HarmonisationError: another genome build, too little overlap, or frequencies of the wrong allele.
        VarfxError: files that cannot be read.
    """
    table, names = read_weights(weights)
    paths = [genotypes] if isinstance(genotypes, str | os.PathLike) else list(genotypes)
    files = open_dosages(paths, table)
    people = files[0].people
    _require_different(people, _name(files))
    places = [places_of_individuals(file, files[0], np.arange(people.height)) for file in files]
    sites, ledger = _sites(files, places, table)
    match = harmonise(table, sites, source=str(weights), reference_name=_name(files), matching=config.matching)
    _check_overlap(table, files, sites[match.reference_row], config, names=(str(weights), _name(files)))
    ledger.include(match.ledger)
    plan, chroms = _plan(table, names, sites, match.table_row, match.reference_row, match.sign, config, str(weights))
    sums = np.zeros((len(names), len(chroms), people.height))
    called, alleles = np.zeros(people.height, dtype=np.int64), np.zeros(people.height)
    for chunk in _chunks(plan, people.height):
        number = int(plan.file[chunk[0]])
        counts = files[number].read(plan.row[chunk], places[number]).astype(np.float64)
        missing = counts < 0
        copies = np.where(plan.flipped[chunk, None], 2 - counts, counts)
        copies = np.where(missing, 2 * plan.frequency[chunk, None], copies)
        called += (~missing).sum(0)
        alleles += copies.sum(0)
        for chrom in np.unique(plan.chrom[chunk]):
            here = plan.chrom[chunk] == chrom
            sums[:, chrom] += plan.weights[:, chunk[here]] @ copies[here]
        ledger.add("missing genotypes", int(missing.sum()), _in_words(config, people.height))
        progress(int(chunk[-1]) + 1, plan.row.size, "variants")
    return Scores(people, tuple(_labels(names)), chroms, sums, called, alleles, plan.row.size, ledger)


def _check_overlap(
    table: pl.DataFrame,
    files: Sequence[GenotypeFile],
    matched: pl.DataFrame,
    config: ScoreConfig,
    *,
    names: tuple[str, str],
) -> None:
    """Compares the number of matched variants with all sites of the genotypes, not only those at places of the weights.

    Raises:
        HarmonisationError: few weights have a site where both have variants, as in another genome build.
    """
    sites = pl.concat([file.sites.select("chrom", "position") for file in files]).with_row_index("row")
    found = sites.join(matched.select("chrom", "position").unique(), on=["chrom", "position"], how="semi")
    rows = found.unique(["chrom", "position"], maintain_order=True)["row"].to_numpy().astype(np.int64)
    share = share_found(table, sites, rows)
    count = f"{matched.height:,} of the {table.height:,} variants of `{names[0]}` are"
    if share < config.min_overlap:
        raise HarmonisationError(
            f"only {count} among the {sites.height:,} of `{names[1]}` (overlap {share:.1%} where both have variants, at least "
            f"{config.min_overlap:.0%} is needed, --min-overlap). The likely cause is another genome build, or other variants."
        )
    if matched.height < table.height / 2:
        logger.warning("only %s in `%s`: the score lacks the others", count, names[1])


def write_scores(scores: Scores, out: PathLike) -> None:
    """Writes the table of `Scores`, tab-separated; .gz compresses."""
    text = scores.table().write_csv(separator="\t").encode()
    with sealed.atomic_path(out) as partial:
        partial.write_bytes(gzip.compress(text, mtime=0) if str(out).endswith(".gz") else text)


def _require_different(people: pl.DataFrame, source: str) -> None:
    """Refuses genotypes of several individuals of one name.

    Raises:
        DataError: with how many.
    """
    twice = people.height - people.select("fid", "iid").n_unique()
    if twice:
        raise DataError(
            f"`{source}`: {twice} of {people.height} individuals have the name (FID and IID) of another one. Rename them."
        )


def _labels(names: Sequence[str]) -> list[str]:
    return [SINGLE if name == SINGLE else f"{SINGLE}.{name}" for name in names]


def _name(files: Sequence[GenotypeFile]) -> str:
    return str(files[0].path) + (f" and {len(files) - 1} more" if len(files) > 1 else "")


def _sites(
    files: Sequence[GenotypeFile], places: Sequence[ndarray], table: pl.DataFrame
) -> tuple[pl.DataFrame, Ledger]:
    """Biallelic sites at the weights' positions or IDs with `file`, `row` and the individuals' frequency `eaf`.

    Raises:
        DataError: there are none.
    """
    ledger, parts, total = Ledger(), [], 0
    placed = table.filter(pl.col("position").is_not_null()).select("chrom", "position").unique()
    names = table.filter(pl.col("position").is_null())["variant_id"].drop_nulls().unique()
    for number, (file, people) in enumerate(zip(files, places, strict=True)):
        total += file.sites.height
        sites = file.sites.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64), file=pl.lit(number))
        here = sites.join(placed, on=["chrom", "position"], how="semi", maintain_order="left")
        if names.len():
            named = sites.filter(pl.col("variant_id").is_in(names.implode()) & (pl.col("position") > 0))
            here = pl.concat([here, named]).unique("row", maintain_order=True)
        several = here["effect_allele"].str.contains(",", literal=True)
        ledger.add("multi-allelic sites left out", int(several.sum()))
        here = here.filter(~several)
        here = here.filter(~variants.bad_alleles(here))
        called, counts, _ = count_moments(file, here["row"].to_numpy(), people)
        with np.errstate(invalid="ignore"):
            parts.append(here.with_columns(eaf=pl.Series(counts / (2 * called))))
    found = pl.concat(parts)
    if not found.height:
        raise DataError(
            f"none of the {table.height} variants of the weights is among the {total} of `{_name(files)}`, by position or ID. Check "
            "that both are of one genome build."
        )
    return found, ledger


def _plan(
    table: pl.DataFrame,
    names: Sequence[str],
    sites: pl.DataFrame,
    table_row: ndarray,
    site_row: ndarray,
    sign: ndarray,
    config: ScoreConfig,
    source: str,
) -> tuple[_Plan, tuple[str, ...]]:
    """The scored variants in file order, and their chromosomes in genome order."""
    matched = sites[site_row].with_columns(
        weight_row=pl.Series(table_row), flipped=pl.Series(sign < 0), chrom_rank=pl.Series(site_row)
    )
    matched = matched.sort("file", "row")
    rows, flipped = matched["weight_row"].to_numpy(), matched["flipped"].to_numpy()
    chroms = (
        variants.in_genome_order(matched.select("chrom", "position"))["chrom"].unique(maintain_order=True).to_list()
    )
    place = {chrom: number for number, chrom in enumerate(chroms)}
    eaf = matched["eaf"].to_numpy()
    sample = np.where(flipped, 1 - eaf, eaf)
    known = table["eaf"].to_numpy().astype(np.float64)[rows]
    frequency = {"sample": np.where(np.isnan(sample), known, sample), "weights": known, "zero": np.zeros(rows.size)}
    used = frequency[config.missing]
    if config.missing == "weights" and np.isnan(used).any():
        raise DataError(
            f"`{source}` has no frequency (A1_FREQ) of {int(np.isnan(used).sum())} of {used.size} scored variants. Use --missing sample."
        )
    plan = _Plan(
        file=matched["file"].to_numpy(),
        row=matched["row"].to_numpy(),
        flipped=flipped,
        frequency=np.nan_to_num(used),
        weights=np.stack([table[name].to_numpy()[rows] for name in names]),
        chrom=np.array([place[chrom] for chrom in matched["chrom"]], dtype=np.int64),
    )
    return plan, tuple(chroms)


def _chunks(plan: _Plan, people: int) -> list[ndarray]:
    """Stretches of variants of one file each."""
    step = max(1, CHUNK_GENOTYPES // max(1, people))
    parts = []
    for number in np.unique(plan.file):
        own = np.flatnonzero(plan.file == number)
        parts += [own[start : start + step] for start in range(0, own.size, step)]
    return parts


def _in_words(config: ScoreConfig, people: int) -> str:
    means = {
        "sample": f"counted as the mean of the {people} individuals",
        "weights": "counted as twice the frequency in the weights",
        "zero": "counted as no copy",
    }
    return means[config.missing]
