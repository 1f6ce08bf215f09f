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
from varfx.gwas.options import CleanOptions
from varfx.gwas.positions import add_positions, read_positions
from varfx.gwas.read import RawGwas, read_gwas
from varfx.gwas.sample_size import bolt_power_gain, parse_sample_size, sample_sizes
from varfx.gwas.statistics import note_disagreement, z_scores
from varfx.gwas.sumstats import MAX_ABS_Z, SCHEMA, SumStats
from varfx.io import sealed
from varfx.io.ledger import Ledger

MHC = ("6", 25_000_000, 34_000_000)


def clean(
    path: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    n: str | float | None = None,
    trait: str | None = None,
    filters: CleanOptions | None = None,
    columns: Mapping[str, str] | None = None,
    na: Sequence[str] = (),
    positions_from: str | os.PathLike[str] | None = None,
) -> SumStats:
    """The summary statistics of a GWAS file, checked, filtered, in genome order; written to `out` if given.

    Args:
        path: a file of any format of `varfx.gwas.formats`.
        out: the `*.sumstats.parquet` to write.
        n: sample size N, or "CASES,CONTROLS"; needed where the file has none.
        trait: a name for the trait; by default from the file's metadata or its name.
        filters: which variants to keep; by default all valid ones.
        columns: role -> column name, for a header that no format fits.
        na: words that mark missing values, beside the format's own.
        positions_from: a .bim, .pvar or table that gives positions to rsIDs, for files without positions.

    Returns:
        The statistics; `metadata["ledger"]` lists what was done, `metadata["format"]` the format recognised,
        `metadata["n_gain"]` the factor between the number of people and the effective `n` (BOLT-LMM).

    Raises:
        FormatError: the file cannot be read, or its header is unknown.
        DataError: values that cannot be right, or no variant left.
        ConfigError: an option that is out of its range or does not fit the file.
        StoreError: `out` cannot be written.
    """
    options = filters or CleanOptions()
    given = None if n is None else parse_sample_size(n)
    source = str(path)
    raw = read_gwas(path, columns=columns, na=na, drop_invalid=options.drop_invalid)
    ledger, table = raw.notes, raw.table

    sizes = sample_sizes(table, given, raw.study, ledger, source=source)
    table = table.with_columns(sizes, z_scores(table, ledger, source=source))
    note_disagreement(raw.table, ledger, source=source)
    table = _canonical(table, ledger)
    table = _drop_missing(table, ledger, positions_expected="position" in raw.names)
    if positions_from is not None:
        if "position" in raw.names:
            raise ConfigError(f"`--positions-from` is for files without positions, but `{source}` has them.")
        table = add_positions(
            table.drop("chrom", "position"), read_positions(positions_from), ledger, source=str(positions_from)
        )
    table = _drop_or_raise(table, ledger, options, source)
    gain = 1.0
    if options.bolt_neff and raw.format_name == "BOLT-LMM" and table.height:
        gain = bolt_power_gain(table, ledger)
        table = table.with_columns(pl.col("n") * gain)
    table = _filter(table, ledger, options, source)
    if not table.height:
        raise DataError(f"`{source}`: no variant is left; {ledger.largest_drop()}. Check the file and the filters.")
    if not _in_order(table):
        ledger.add("sorted", table.height, "into genome order")
        table = variants.in_genome_order(table)
    ledger.add("kept", table.height, "variants")
    stats = SumStats(
        table=table.select(list(SCHEMA)).cast(dict(SCHEMA)),  # type: ignore[arg-type]
        trait=trait or raw.study.trait or _stem(path),
        metadata={
            **_metadata(path, raw, options, n=n, columns=columns, na=na, positions_from=positions_from),
            "n_gain": gain,
        },
    )
    if out is not None:
        stats.write(out)
    return stats


def _metadata(path: str | os.PathLike[str], raw: RawGwas, options: CleanOptions, **arguments: Any) -> dict[str, Any]:
    positions_from = arguments.pop("positions_from")
    config = {**asdict(options), **{name: value for name, value in arguments.items() if value}}
    inputs = {"gwas": path} if positions_from is None else {"gwas": path, "positions": positions_from}
    return {
        "format": raw.format_name,
        "genome_build": raw.study.genome_build,
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
        pl.coalesce("maf", pl.min_horizontal(pl.col("eaf"), 1 - pl.col("eaf"))),
    )


def _drop_missing(table: pl.DataFrame, ledger: Ledger, *, positions_expected: bool) -> pl.DataFrame:
    """The rows that lack nothing needed; eaf and INFO may stay unknown."""
    needed = ["z", "n", "effect_allele", "other_allele"]
    needed += ["chrom", "position"] if positions_expected else ["variant_id"]
    for name in needed:
        lacking = table[name].is_null()
        if name == "chrom":
            lacking = lacking | (table[name] == "0") | (table[name] == "")
        if lacking.any():
            ledger.drop(int(lacking.sum()), f"missing {name}")
            table = table.filter(~lacking)
    return table


def _drop_or_raise(table: pl.DataFrame, ledger: Ledger, options: CleanOptions, source: str) -> pl.DataFrame:
    """The rows without the rows that cannot be right: dropped and counted, or an error that names the first."""
    z, n, eaf = pl.col("z"), pl.col("n"), pl.col("eaf")
    rules: list[tuple[str, str, pl.Expr]] = [
        ("z", "z is not finite (NaN, an infinite effect, SE <= 0, chi-square < 0, or an effect of 0)", ~z.is_finite()),
        ("z", f"|z| is above {MAX_ABS_Z:g}", z.abs() > MAX_ABS_Z),
        ("n", "n is not positive", ~(n.is_finite() & (n > 0))),
        ("eaf", "eaf is outside 0 to 1", ~((eaf >= 0) & (eaf <= 1)) | eaf.is_nan()),
        ("info", "INFO is not finite", ~pl.col("info").is_finite()),
        ("position", "position is not positive", pl.col("position") < 1),
    ]
    for column, what, rule in rules:
        table = _rule(table, table.select(bad=rule.fill_null(False))["bad"], column, what, ledger, options, source)
    what = "alleles are missing, equal, or hold letters other than ACGT"
    table = _rule(table, variants.bad_alleles(table), None, what, ledger, options, source)
    what = "the same variant (position and alleles) stands more than once"
    return _rule(table, variants.duplicated(table), None, what, ledger, options, source)


def _rule(
    table: pl.DataFrame,
    bad: pl.Series,
    column: str | None,
    what: str,
    ledger: Ledger,
    options: CleanOptions,
    source: str,
) -> pl.DataFrame:
    count = int(bad.sum())
    if not count:
        return table
    if options.drop_invalid:
        ledger.drop(count, f"invalid: {what}")
        return table.filter(~bad)
    first = table.row(int(bad.arg_max() or 0), named=True)
    words = [str(first[name] or "") for name in ("variant_id", "chrom", "effect_allele", "other_allele")]
    words = ["".join(letter if letter.isprintable() else "?" for letter in word)[:40] for word in words]
    names, alleles = f"{words[0]} {words[1]}:{first['position']}".strip(), f"{words[2]}/{words[3]}"
    value = f", {column}={first[column]:g}" if column else ""
    raise DataError(
        f"`{source}`: {what} in {count} of {table.height} rows, first row {first['row']} "
        f"({names} {alleles}{value}). Correct the file, or drop these rows with --drop-invalid."
    )


def _filter(table: pl.DataFrame, ledger: Ledger, options: CleanOptions, source: str) -> pl.DataFrame:
    """The rows that pass the user's filters."""
    for name, column, bound in (("min_info", "info", options.min_info), ("min_maf", "maf", options.min_maf)):
        if bound is not None:
            if table[column].is_null().all():
                what = "imputation quality" if column == "info" else "frequency"
                raise ConfigError(
                    f"`--{name.replace('_', '-')}` needs the {what}, of which `{source}` has none. Leave the option out."
                )
            table = _keep(
                table, (table[column] >= bound).fill_null(False), f"{column} below {bound:g} or unknown", ledger
            )
    if options.min_n is not None:
        table = _keep(table, table["n"] >= options.min_n, f"n below {options.min_n:g}", ledger)
    if options.max_missing is not None and table.height:
        bound = (1 - options.max_missing) * float(table["n"].max())  # type: ignore[arg-type]
        note = f"n below {1 - options.max_missing:g} of the largest ({bound:.0f})"
        table = _keep(table, table["n"] >= bound, note, ledger)
    if options.drop_mhc:
        chrom, start, end = MHC
        if table["chrom"].is_null().all():
            raise ConfigError(f"`--drop-mhc` needs positions, of which `{source}` has none. Give --positions-from.")
        inside = (table["chrom"] == chrom) & table["position"].is_between(start, end)
        table = _keep(table, ~inside.fill_null(False), f"in the MHC, chr6:{start}-{end}", ledger)
    return table


def _keep(table: pl.DataFrame, passes: pl.Series, note: str, ledger: Ledger) -> pl.DataFrame:
    ledger.drop(table.height - int(passes.sum()), note)
    return table.filter(passes)


def _in_order(table: pl.DataFrame) -> bool:
    """True if positions only ascend, which spares a sort of twelve million rows; ties are left to the sort."""
    rank, position = variants.chrom_rank().cast(pl.Int64), pl.col("position").fill_null(0)
    return bool((table.select(place=rank * 2**40 + position)["place"].diff(null_behavior="drop") > 0).all())


def _stem(path: str | os.PathLike[str]) -> str:
    name = Path(path).name
    while name and Path(name).suffix in (".gz", ".bgz", ".zst", ".parquet", ".txt", ".tsv", ".sumstats", ".vcf"):
        name = Path(name).stem
    return name or Path(path).name
