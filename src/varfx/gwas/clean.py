"""`clean`: a GWAS file, checked, filtered and in our form, with every change counted."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from varfx.errors import ConfigError, DataError
from varfx.genome import variants
from varfx.genome.builds import chosen_build, require_within
from varfx.gwas.agreement import check_agreement
from varfx.gwas.checks import (
    check_signs,
    drop_missing,
    drop_or_raise,
    drop_without_z,
    require_individuals,
    require_places,
)
from varfx.gwas.files import GwasPath, gwas_files, read_files, source_of, trait_of
from varfx.gwas.filters import filtered
from varfx.gwas.frequencies import with_frequencies
from varfx.gwas.keys import with_positions_of_ids
from varfx.gwas.log_p import with_neg_log10_p
from varfx.gwas.options import CleanOptions
from varfx.gwas.positions import add_positions, read_positions
from varfx.gwas.read import RawGwas
from varfx.gwas.sample_size import SampleSize, Sizes, bolt_power_gain, parse_sample_size, sample_sizes
from varfx.gwas.statistics import z_scores
from varfx.gwas.sumstats import SCHEMA, SumStats
from varfx.gwas.unused import or_named
from varfx.io import sealed
from varfx.io.ledger import Ledger
from varfx.io.output_lock import one_writer


@one_writer
def clean(
    path: GwasPath,
    *,
    out: str | os.PathLike[str] | None = None,
    n: str | float | None = None,
    trait: str | None = None,
    filters: CleanOptions | None = None,
    columns: Mapping[str, str] | None = None,
    na: Sequence[str] = (),
    positions_from: str | os.PathLike[str] | None = None,
    build: str | None = None,
) -> SumStats:
    """The summary statistics of a GWAS file, checked, filtered, in genome order; written to `out` if given.

    Args:
        path: a file of any format of `varfx.gwas.formats`; of a GWAS in several files, a path with "@" for the
            chromosome, or all their paths.
        out: the `*.sumstats.parquet` to write.
        n: sample size N, or "CASES,CONTROLS"; needed where the file has none.
        trait: a name for the trait; by default from the file's metadata or its name. Of a file with columns for
            several traits, the one to take.
        filters: which variants to keep; by default all valid ones.
        columns: role -> column name, for a header that no format fits, or against the format's own.
        na: words that mark missing values, beside `varfx.io.text_numbers.ABSENT`.
        positions_from: a .bim, .pvar or table that gives positions to rsIDs, for files without positions.
        build: genome build of the positions (GRCh37 or GRCh38); by default what the file's metadata state.

    Returns:
        The statistics; `metadata["ledger"]` lists what was done, `metadata["columns"]` which columns were used and which
        not, `metadata["format"]` the format recognised, `metadata["n_gain"]` the factor between the number of
        individuals and the effective `n` (BOLT-LMM).

    Raises:
        FormatError: the file cannot be read, or its header is unknown.
        DataError: values that cannot be right, or no variant left.
        ConfigError: an option that is out of its range or does not fit the file.
        StoreError: `out` cannot be written.
    """
    options = filters or CleanOptions()
    given = None if n is None else parse_sample_size(n)
    files, source = gwas_files(path), source_of(path)
    raw = read_files(files, columns=columns, na=na, drop_invalid=options.drop_invalid, trait=trait)
    ledger = raw.notes
    expected = "position" in raw.table.columns
    genome_build = chosen_build(build, raw.study.build, source)
    if positions_from is None:
        raw = raw._replace(table=with_positions_of_ids(raw.table, ledger))
        if "position" not in raw.table.columns:
            ledger.note(
                f"no positions: variants are known by identifier only, or give --positions-from{or_named(raw.unused, 'position')}"
            )
    require_places(raw.table, positions_from is not None, raw.unused, source)
    table = _with_statistics(raw, given, options, source)
    table = drop_missing(table, ledger, positions_expected=expected)
    if positions_from is not None:
        if "position" in raw.table.columns:
            raise ConfigError(f"`--positions-from` is for files without positions, but `{source}` has them.")
        table = add_positions(
            table.drop("chrom", "position"), read_positions(positions_from), ledger, source=str(positions_from)
        )
    table = drop_or_raise(table, ledger, options, source)
    require_individuals(table, raw.names, source)
    check_signs(table, options, source)
    gain = 1.0
    if options.bolt_neff and raw.format_name == "BOLT-LMM" and table.height:
        gain = bolt_power_gain(table, ledger)
        table = table.with_columns(pl.col("n") * gain)
    table = filtered(table, ledger, options, unused=raw.unused, source=source)
    if not table.height:
        raise DataError(f"`{source}`: no variant is left; {ledger.largest_drop()}. Check the file and the filters.")
    if not _in_order(table):
        ledger.add("sorted", table.height, "into genome order")
        table = variants.in_genome_order(table)
    ledger.add("kept", table.height, "variants")
    last = table.drop_nulls(["chrom", "position"]).group_by("chrom").agg(pl.col("position").max())
    require_within(genome_build, last.iter_rows(), source)
    stats = SumStats(
        table=table.select(list(SCHEMA)).cast(dict(SCHEMA)),  # type: ignore[arg-type]
        trait=trait or raw.study.trait or trait_of(path),
        metadata={
            **_metadata(files, raw, options, n=n, columns=columns, na=na, positions_from=positions_from),
            "n_gain": gain,
            "build": genome_build,
        },
    )
    if out is not None:
        stats.write(out)
    return stats


def _with_statistics(raw: RawGwas, given: SampleSize | None, options: CleanOptions, source: str) -> pl.DataFrame:
    """The rows that have z, with n and frequencies, in capitals."""
    ledger = raw.notes
    table = with_neg_log10_p(raw.table, ledger, raw.names, source=source)
    check_agreement(table, ledger, raw.names, source=source)
    sizes = Sizes(table, raw.names, raw.named, raw.study, ledger, source, raw.unused)
    done = table.with_columns(sample_sizes(sizes, given), z_scores(table, ledger, source=source, unused=raw.unused))
    return drop_without_z(_canonical(with_frequencies(done, given, ledger), ledger), table, ledger, options, source)


def _metadata(files: Sequence[Path], raw: RawGwas, options: CleanOptions, **arguments: Any) -> dict[str, Any]:
    positions_from = arguments.pop("positions_from")
    config = {**asdict(options), **{name: value for name, value in arguments.items() if value}}
    inputs: dict[str, str | os.PathLike[str]] = {"gwas": files[0]}
    inputs |= {f"gwas.{number}": file for number, file in enumerate(files[1:], start=2)}
    if positions_from is not None:
        inputs["positions"] = positions_from
    return {
        "format": raw.format_name,
        "genome_build": raw.study.genome_build,
        "columns": [asdict(use) for use in raw.uses],
        "ledger": raw.notes.rows(),
        "provenance": sealed.provenance(config, inputs),
    }


def _canonical(table: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """All columns of `SCHEMA` present, alleles in capitals, "." and "" as no ID."""
    kinds = {**SCHEMA, "maf": pl.Float64()}
    absent = [pl.lit(None, kind).alias(name) for name, kind in kinds.items() if name not in table.columns]
    table = table.with_columns(absent)
    capitals = table.select(pl.col("effect_allele", "other_allele").str.to_uppercase())
    small = (capitals["effect_allele"] != table["effect_allele"]) | (capitals["other_allele"] != table["other_allele"])
    if small.any():
        ledger.add("repaired", int(small.sum()), "alleles put in capitals")
        table = table.with_columns(capitals)
    return table.with_columns(
        pl.when(pl.col("variant_id").is_in(["", "."])).then(None).otherwise(pl.col("variant_id")).alias("variant_id"),
        pl.coalesce(
            pl.min_horizontal(pl.col("maf"), 1 - pl.col("maf")), pl.min_horizontal(pl.col("eaf"), 1 - pl.col("eaf"))
        ).alias("maf"),
    )


def _in_order(table: pl.DataFrame) -> bool:
    """True if positions only ascend, which spares a sort of twelve million rows; ties are left to the sort."""
    rank, position = variants.chrom_rank().cast(pl.Int64), pl.col("position").fill_null(0)
    return bool((table.select(place=rank * 2**40 + position)["place"].diff(null_behavior="drop") > 0).all())
