"""The user's filters of a cleaned table, each counted."""

from __future__ import annotations

import polars as pl

from varfx.errors import ConfigError
from varfx.gwas.options import CleanOptions
from varfx.io.ledger import Ledger

MHC = ("6", 25_000_000, 34_000_000)


def filtered(
    table: pl.DataFrame, ledger: Ledger, options: CleanOptions, *, unused: tuple[str, ...], source: str
) -> pl.DataFrame:
    """The rows that pass the user's filters.

    Args:
        table: the cleaned table, with `maf`.
        ledger: dropped rows are counted here.
        options: the filters.
        unused: columns of the file without a role, for messages.
        source: the file, for messages.

    Raises:
        ConfigError: a filter needs what the file does not have.
    """
    for name, column, bound in (("min_info", "info", options.min_info), ("min_maf", "maf", options.min_maf)):
        if bound is not None:
            if table[column].is_null().all():
                raise _nothing_known(name, column, unused, source)
            table = keep(
                table, (table[column] >= bound).fill_null(False), f"{column} below {bound:g} or unknown", ledger
            )
    if options.drop_low_confidence:
        if "low_confidence" not in table.columns:
            raise ConfigError(f"`--drop-low-confidence`: `{source}` marks no rows so. Leave the option out.")
        table = keep(table, ~table["low_confidence"].fill_null(False), "of low confidence by the file itself", ledger)
    if options.min_n is not None:
        table = keep(table, table["n"] >= options.min_n, f"n below {options.min_n:g}", ledger)
    if options.max_missing is not None and table.height:
        bound = (1 - options.max_missing) * float(table["n"].max())  # type: ignore[arg-type]
        note = f"n below {1 - options.max_missing:g} of the largest ({bound:.0f})"
        table = keep(table, table["n"] >= bound, note, ledger)
    if options.drop_mhc:
        chrom, start, end = MHC
        if table["chrom"].is_null().all():
            raise ConfigError(f"`--drop-mhc` needs positions, of which `{source}` has none. Give --positions-from.")
        inside = (table["chrom"] == chrom) & table["position"].is_between(start, end)
        table = keep(table, ~inside.fill_null(False), f"in the MHC, chr6:{start}-{end}", ledger)
    return table


def keep(table: pl.DataFrame, passes: pl.Series, note: str, ledger: Ledger) -> pl.DataFrame:
    """The rows that pass; the others are counted."""
    ledger.drop(table.height - int(passes.sum()), note)
    return table.filter(passes)


def _nothing_known(option: str, role: str, unused: tuple[str, ...], source: str) -> ConfigError:
    what = "imputation quality" if role == "info" else "frequency"
    beside = f" among its columns, unless one of those not used is it ({', '.join(unused[:20])})" if unused else ""
    named = "info=NAME" if role == "info" else "eaf=NAME or maf=NAME"
    return ConfigError(
        f"`--{option.replace('_', '-')}` needs the {what}, of which `{source}` has none{beside}. Leave the option out"
        + (f", or name the column with --columns {named}." if unused else ".")
    )
