"""Weights of polygenic scores: files of `varfx prior weights`, PGS-Catalog scoring files, and tables with their columns."""

from __future__ import annotations

import os
from itertools import takewhile
from pathlib import Path

import polars as pl

from varfx.errors import DataError, FormatError
from varfx.genome import variants
from varfx.io.text_lines import numbered_lines
from varfx.io.text_numbers import MISSING, require_exact, whole
from varfx.io.text_table import open_table, refuse_alike

_ROLES = {
    "id": "variant_id",
    "rsid": "variant_id",
    "snp": "variant_id",
    "chrom": "chrom",
    "chr": "chrom",
    "chr_name": "chrom",
    "pos": "position",
    "bp": "position",
    "position": "position",
    "chr_position": "position",
    "a1": "effect_allele",
    "effect_allele": "effect_allele",
    "a2": "other_allele",
    "other_allele": "other_allele",
    "a1_freq": "eaf",
    "allelefrequency_effect": "eaf",
}
_WEIGHTS = ("weight", "effect_weight")
SINGLE = "SCORE"  # name of the score of an only column of weights


def read_weights(path: str | os.PathLike[str]) -> tuple[pl.DataFrame, list[str]]:
    """Variants with columns of `SCHEMA` and a column per score, and the names of the scores.

    Args:
        path: a text table (plain or gzip) with the columns `ID A1 A2 CHROM POS WEIGHT` (of `varfx prior weights`; `WEIGHT.NAME` for each of
            several traits), or `rsID chr_name chr_position effect_allele other_allele effect_weight` (PGS Catalog). Without
            positions variants are matched by ID.

    Raises:
        FormatError: a column is missing, or two may be meant.
        DataError: a weight that is no number, or alleles that are none.
    """
    table = open_table(path, skip=_preamble(path))
    refuse_alike(table.names, (*_ROLES, *_WEIGHTS), path)
    columns, scores = _columns(table.names, path)
    parts = [frame.drop("row") for frame in table.frames([*columns.values(), *scores.values()], MISSING)]
    if not parts:
        raise FormatError(f"`{path}` is empty below its header: it should hold one variant per row.")
    frame = pl.concat(parts)
    given = {role: frame[str(number)] for role, number in columns.items()}
    text = pl.DataFrame(
        {role: given.get(role, pl.Series([None] * frame.height, dtype=pl.String)) for role in variants.SCHEMA}
    )
    require_exact(text["position"], "position", path)
    result = text.select(
        variants.chrom_expr("chrom"),
        whole(text["position"]).alias("position"),
        "variant_id",
        pl.col("effect_allele").str.to_uppercase(),
        pl.col("other_allele").str.to_uppercase(),
        pl.col("eaf").cast(pl.Float64, strict=False),
    ).with_columns(frame[str(number)].cast(pl.Float64, strict=False).alias(name) for name, number in scores.items())
    for name in scores:
        bad = ~(result[name].is_finite().fill_null(False))
        variants.require_no(
            bad, result, f"the weight `{name}` is no number", "Correct or remove these rows.", source=str(path)
        )
    remedy = "Correct or remove these rows."
    variants.require_no(
        variants.bad_alleles(result), result, "alleles are missing or outside ACGT", remedy, source=str(path)
    )
    return result, list(scores)


def _preamble(path: str | os.PathLike[str]) -> int:
    """Number of lines above the header: the comments `#name=value` of a PGS-Catalog file."""
    lines = (line for _, line in numbered_lines(Path(path)))
    return sum(1 for _ in takewhile(lambda line: line.startswith(b"##") or (line[:1] == b"#" and b"=" in line), lines))


def _columns(names: tuple[str, ...], path: str | os.PathLike[str]) -> tuple[dict[str, int], dict[str, int]]:
    """Numbers of the columns by role, and of the weights by the name of their score."""
    columns: dict[str, int] = {}
    scores: dict[str, int] = {}
    for number, name in enumerate(names):
        word = name.strip().lstrip("#").lower()
        if word in _ROLES:
            role = _ROLES[word]
            if role in columns:
                raise FormatError(
                    f"`{path}`: the columns `{names[columns[role]]}` and `{name}` may both be the {role}. Keep one."
                )
            columns[role] = number
        elif word in _WEIGHTS:
            scores[SINGLE] = number
        elif word.startswith("weight."):
            scores[name.strip()[len("weight.") :]] = number
    placed = {"chrom", "position"} <= set(columns) or "variant_id" in columns
    if not scores or not placed or not {"effect_allele", "other_allele"} <= set(columns):
        raise FormatError(
            f"`{path}` needs the columns WEIGHT, A1, A2, and CHROM with POS, or ID (or those of a PGS-Catalog file); it has "
            f"{', '.join(names[:12])[:160]}."
        )
    if not {"chrom", "position"} <= set(columns):
        columns = {role: number for role, number in columns.items() if role not in ("chrom", "position")}
    if len({name.casefold() for name in scores}) < len(scores) or "" in scores:
        raise DataError(f"`{path}`: two scores have the same name, or one has none. Rename the columns WEIGHT.NAME.")
    return columns, scores
