"""Text to numbers: what is not a number and no missing-value marker is counted, and named in the error."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import polars as pl

from varfx.errors import DataError
from varfx.gwas.roles import NUMBER_FIELDS, NUMBER_ROLES, TEXT_ROLES
from varfx.io.ledger import Ledger
from varfx.io.text_numbers import whole

_LOG10_SMALLEST = 300.0  # below 1e-300 a p-value is taken from its text, before a float64 loses digits


@dataclass
class Offences:
    """Words found in numeric columns, over all blocks of a file."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, tuple[int, str]] = field(default_factory=dict)

    def note(self, role: str, rows: pl.Series, values: pl.Series) -> None:
        """Counts the offending rows of a block."""
        if rows.len():
            self.counts[role] = self.counts.get(role, 0) + rows.len()
            self.first.setdefault(role, (int(rows[0]), str(values[0])))

    def raise_any(self, source: str, names: dict[str, str]) -> None:
        """Raises for the first role that has offenders; `names` are the file's own column names.

        Raises:
            DataError: a numeric column holds a word.
        """
        for role, count in self.counts.items():
            row, value = self.first[role]
            what = f"`{source}`: column {names.get(role, role)} holds text where a number belongs in {count} rows, first row {row}"
            if re.fullmatch(r"[+-]?\d+,\d+(,\d+)*([eE][+-]?\d+)?", value):
                raise DataError(
                    f"{what} ({value[:40]!r}): a comma is neither a decimal point nor a separator of thousands here. Write the file "
                    "with decimal points and without separators of thousands."
                )
            raise DataError(
                f"{what} ({value[:40]!r}). Drop these rows with --drop-invalid, or, if it marks missing values, "
                f"name it with --na."
            )


def to_numbers(block: pl.DataFrame, offences: Offences) -> pl.DataFrame:
    """The block with numeric roles as Float64 (`position` as Int64), and True in `bad_text` where a word stood.

    `p` becomes `neg_log10_of_p`, which does not underflow: "1e-400" is 400, and 0 is infinite. A p outside 0 to 1 is
    null there, and stands in `p_outside`.
    """
    numeric = [role for role in (*NUMBER_ROLES, *NUMBER_FIELDS) if role in block.columns]
    bad = pl.Series("bad_text", [False]).new_from_index(0, block.height)
    columns: list[pl.Series] = []
    for role in numeric:
        text = block[role]
        if text.dtype == pl.String:
            text = text.str.strip_chars()
        values = whole(text) if role == "position" else text.cast(pl.Float64, strict=False)
        wrong = values.is_null() & text.is_not_null()
        if wrong.any():
            offences.note(role, block["row"].filter(wrong), text.filter(wrong))
            bad = bad | wrong
        columns += _of_p(values, text) if role == "p" else [values]
    kept = [pl.col("row").cast(pl.UInt32)]
    kept += [pl.col(role).cast(pl.String) for role in TEXT_ROLES if role in block.columns]
    kept += [pl.col(role) for role in ("low_confidence",) if block.schema.get(role) == pl.Boolean]
    return block.select(kept).with_columns(*columns, bad.alias("bad_text"))


def drop_bad_text(block: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """The block without the rows in which `to_numbers` met a word."""
    kept = block.filter(~pl.col("bad_text"))
    ledger.drop(block.height - kept.height, "invalid: text where a number belongs")
    return kept


def _of_p(values: pl.Series, text: pl.Series) -> list[pl.Series]:
    """-log10 of p-values, and those that are none."""
    outside = ~values.is_between(0, 1).fill_null(True)
    if not outside.any():
        return [_neg_log10(values, text)]
    none = pl.lit(None, pl.Float64)
    parts = pl.DataFrame([_neg_log10(values, text), values.alias("value"), outside.alias("outside")]).select(
        pl.when("outside").then(none).otherwise("neg_log10_of_p").alias("neg_log10_of_p"),
        pl.when("outside").then("value").otherwise(none).alias("p_outside"),
    )
    return parts.get_columns()


def _neg_log10(values: pl.Series, text: pl.Series) -> pl.Series:
    logs = -values.log(10)
    if text.dtype == pl.String:
        tiny = ((logs > _LOG10_SMALLEST) & (values >= 0)).fill_null(False)
        if tiny.any():
            parts = text.to_frame("text").select(
                pl.col("text").str.extract(r"^\+?([0-9.]*[1-9][0-9.]*)[eE]-?\d+$").cast(pl.Float64, strict=False),
                pl.col("text").str.extract(r"[eE](-\d+)$").cast(pl.Float64, strict=False).alias("exponent"),
            )
            exact = -(parts["text"].log(10) + parts["exponent"])
            logs = pl.select(pl.when(tiny).then(pl.coalesce(exact, logs)).otherwise(logs)).to_series()
    return logs.alias("neg_log10_of_p")
