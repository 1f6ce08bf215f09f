"""Rows that cannot be right: an error that names the first, or dropped and counted by cause; and z without signs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from varfx.errors import DataError
from varfx.genome import variants
from varfx.genome.chromosomes import unknown_names
from varfx.gwas.options import CleanOptions
from varfx.gwas.roles import SIZES
from varfx.gwas.statistics import P_IS_ZERO, lacking
from varfx.gwas.sumstats import MAX_ABS_Z
from varfx.gwas.unused import or_named
from varfx.io.ledger import Ledger

logger = logging.getLogger(__name__)

_DROP = "Correct the file, or drop these rows with --drop-invalid."
_ONE_SIGN_ROWS = 20  # as many z of one sign are no chance
_NULL_MEDIAN = 0.1  # the median of z may be so far from 0, as in ldsc's check of signed statistics
_FEW_INDIVIDUALS = 30  # that many make no GWAS
_BLOCK = 100_000  # base pairs: z of nearer variants is not independent


def require_places(table: pl.DataFrame, given: bool, unused: Sequence[str], source: str) -> None:
    """Checks that variants have positions with chromosomes, or identifiers.

    Args:
        table: table of roles from `read_gwas`.
        given: whether another file gives positions to identifiers.
        unused: columns without a role, for messages.
        source: the file, for messages.

    Raises:
        DataError: neither has a column.
    """
    if "position" in table.columns and "chrom" not in table.columns:
        raise DataError(
            f"`{source}` has positions, but no chromosomes: give a column of them{or_named(unused, 'chrom')}."
        )
    if "variant_id" not in table.columns and (given or "position" not in table.columns):
        raise DataError(
            f"`{source}` has neither positions nor identifiers of its variants: give a column of them"
            f"{or_named(unused, 'variant_id')}."
        )


def drop_missing(
    table: pl.DataFrame,
    ledger: Ledger,
    *,
    positions_expected: bool,
) -> pl.DataFrame:
    """The rows that lack nothing needed; eaf and INFO may stay unknown."""
    needed = ["n", "effect_allele", "other_allele"]
    needed += ["chrom", "position"] if positions_expected else ["variant_id"]
    for name in needed:
        absent = table[name].is_null()
        if name == "chrom":
            absent = absent | (table[name] == "0") | (table[name] == "")
        if absent.any():
            ledger.drop(int(absent.sum()), f"missing {name}")
            table = table.filter(~absent)
    return table


def drop_without_z(
    table: pl.DataFrame, raw: pl.DataFrame, ledger: Ledger, options: CleanOptions, source: str
) -> pl.DataFrame:
    """The rows with z: of the others, each cause is counted.

    Rows without any statistic, and those whose only statistic is p = 0, are dropped; statistics that cannot be right
    are an error, or dropped with `drop_invalid`.

    Args:
        table: the table with `z`, null where unknown.
        raw: the same rows with their statistics, from `read_gwas`.
        ledger: dropped rows are counted here, by cause.
        options: whether to drop what cannot be right.
        source: the file, for messages.

    Raises:
        DataError: statistics that cannot be right, with all causes and the first row.
    """
    absent = table["z"].is_null()
    if not absent.any():
        return table
    causes = lacking(raw.filter(absent)).fill_null("")
    counts = {str(cause): int(count) for cause, count in causes.value_counts(sort=True).iter_rows()}
    wrong = {cause: count for cause, count in counts.items() if cause not in ("", P_IS_ZERO)}
    if wrong and not options.drop_invalid:
        first = table.filter(absent).row(int(causes.is_in(list(wrong)).arg_max() or 0), named=True)
        said = "; ".join(f"{cause} in {count}" for cause, count in wrong.items())
        raise DataError(
            f"`{source}`: z cannot be computed in {sum(wrong.values())} of {table.height} rows ({said}), first row "
            f"{first['row']} ({describe(first)}). {_DROP}"
        )
    ledger.drop(counts.get("", 0), "missing z")
    for cause, count in wrong.items():
        ledger.drop(count, f"invalid: {cause}")
    if count := counts.get(P_IS_ZERO, 0):
        ledger.drop(count, P_IS_ZERO)
        logger.warning(
            "`%s`: %d rows are dropped, likely the strongest associations of the file: %s. A file with -log10 p, or with "
            "effects and SE, keeps them.",
            source,
            count,
            P_IS_ZERO,
        )
    return table.filter(~absent)


def require_individuals(table: pl.DataFrame, names: Mapping[str, str], source: str) -> None:
    """Checks that n counts individuals: with so few, no z would be larger than their square root.

    Args:
        table: the table with `z` and `n`.
        names: the file's own column name of each role.
        source: the file, for messages.

    Raises:
        DataError: n is a number of studies, or a share.
    """
    largest = float(table["n"].max() or 0.0)  # type: ignore[arg-type]
    if not 0 < largest < _FEW_INDIVIDUALS:
        return
    columns = ", ".join(f"`{names[role]}`" for role in SIZES if role in names)
    what = (
        f"`{source}`: n is {largest:g} at most{f' by {columns}' if columns else ''}: a number of studies, or a share?"
    )
    if table.select((pl.col("z") ** 2 > pl.col("n")).any()).item():
        raise DataError(
            f"{what} Some z are above its square root. Give the individuals with --n N, or --n CASES,CONTROLS."
        )
    logger.warning("%s", what)


def drop_or_raise(table: pl.DataFrame, ledger: Ledger, options: CleanOptions, source: str) -> pl.DataFrame:
    """The rows without the rows that cannot be right: dropped and counted, or an error that names the first."""
    z, n, eaf = pl.col("z"), pl.col("n"), pl.col("eaf")
    percent = " (percentages?)" if _percentages(table["eaf"]) else ""
    odd = unknown_names(table["chrom"].unique())
    rules: list[tuple[str, str, pl.Expr]] = [
        ("chrom", f"chromosome is none of 1 to 22, X, Y, MT ({', '.join(odd[:5])})", pl.col("chrom").is_in(odd)),
        ("z", f"|z| is above {MAX_ABS_Z:g}", z.abs() > MAX_ABS_Z),
        ("n", "n is not positive", ~(n.is_finite() & (n > 0))),
        ("eaf", f"eaf is outside 0 to 1{percent}", ~((eaf >= 0) & (eaf <= 1))),
        ("info", "INFO is not finite", ~pl.col("info").is_finite()),
        ("position", "position is not positive", pl.col("position") < 1),
    ]
    for column, what, rule in rules:
        table = _rule(table, table.select(bad=rule.fill_null(False))["bad"], (column, what), ledger, options, source)
    what = "alleles are missing, equal, or hold letters other than ACGT"
    table = _rule(table, variants.bad_alleles(table), (None, what), ledger, options, source)
    what = "the same variant (position and alleles) stands more than once"
    return _rule(table, variants.duplicated(table), (None, what), ledger, options, source)


def _rule(
    table: pl.DataFrame,
    bad: pl.Series,
    fault: tuple[str | None, str],
    ledger: Ledger,
    options: CleanOptions,
    source: str,
) -> pl.DataFrame:
    count, (column, what) = int(bad.sum()), fault
    if not count:
        return table
    if options.drop_invalid:
        ledger.drop(count, f"invalid: {what}")
        return table.filter(~bad)
    first = table.row(int(bad.arg_max() or 0), named=True)
    value = f", {column}={first[column]:g}" if column not in (None, "chrom") else ""
    raise DataError(
        f"`{source}`: {what} in {count} of {table.height} rows, first row {first['row']} ({describe(first)}{value}). "
        f"{_DROP}"
    )


def check_signs(table: pl.DataFrame, options: CleanOptions, source: str) -> None:
    """Refuses z without a sign: of one sign in the whole file, or with a median far from 0 (Bulik-Sullivan 2015).

    The median may differ from 0 by 0.1, and by four of its standard errors; z within 100 kb counts as one.

    Raises:
        DataError: with the share of positive z or the median, and what to do.
    """
    if options.one_sign or table.height < _ONE_SIGN_ROWS:
        return
    z = table["z"].to_numpy()
    remedy = (
        "An unsigned z says nothing about LD: give a signed z or an effect, or, if the table is really oriented so "
        "(to risk alleles), --one-sign."
    )
    if (z >= 0).all() or (z <= 0).all():
        sign = "negative" if (z < 0).any() else "positive"
        raise DataError(f"`{source}`: z is {sign} in all {z.size} rows, as an unsigned statistic is. {remedy}")
    blocks = table.select(pl.struct("chrom", pl.col("position") // _BLOCK).n_unique()).item()
    independent = blocks if table["position"].count() else table.height
    middle = float(np.median(z))
    if abs(middle) > _NULL_MEDIAN + 4 * 1.2533 * float(z.std()) / independent**0.5:
        raise DataError(
            f"`{source}`: the median of z over {z.size} rows is {middle:.3g}, where it is near 0 for signed statistics. "
            f"{remedy}"
        )


def describe(row: dict[str, object]) -> str:
    """A variant in words: `rs1 1:1000 A/G`."""
    words = [str(row[name] or "") for name in ("variant_id", "chrom", "effect_allele", "other_allele")]
    words = ["".join(letter if letter.isprintable() else "?" for letter in word)[:40] for word in words]
    place = f"{words[0]} {words[1]}:{row['position']}".strip()
    return f"{place} {words[2]}/{words[3]}"


def _percentages(values: pl.Series) -> bool:
    known = values.drop_nulls()
    return bool(known.len() and (known > 1).mean() > 0.5 and (known <= 100).all())  # type: ignore[operator]
