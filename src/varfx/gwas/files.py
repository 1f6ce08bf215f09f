"""One GWAS in several files: one per chromosome by `@`, or as they are named, read as one table."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import polars as pl

from varfx.errors import ConfigError, FormatError
from varfx.genome.chromosomes import CHROMOSOMES
from varfx.genome.per_chromosome import files_of, is_split
from varfx.gwas.read import RawGwas, read_gwas
from varfx.io.frames import STEM, DataFrame, as_path, is_frame
from varfx.io.ledger import Ledger

_Several = Sequence[str | os.PathLike[str]]
GwasPath = str | os.PathLike[str] | DataFrame | _Several
_ENDINGS = (
    *(".gz", ".bgz", ".zst", ".parquet", ".txt", ".tsv", ".csv", ".sumstats", ".stats", ".vcf"),
    *(".fastGWA", ".regenie", ".ma", ".linear", ".logistic", ".glm", ".assoc"),
)
_CHROMOSOME = re.compile(r"[._-]?(chromosome|chrom|chr)?[._-]?@")


def gwas_files(path: GwasPath) -> list[Path]:
    """The files of a GWAS: `@` in a name stands for the chromosome.

    Raises:
        ConfigError: none is named, or one twice.
        FormatError: no chromosome has a file.
    """
    if is_frame(path):
        return [as_path(path)]
    named = [Path(path)] if isinstance(path, str | os.PathLike) else [Path(each) for each in cast("_Several", path)]
    files: list[Path] = []
    for each in named:
        files += files_of(each, others=CHROMOSOMES[22:]).values() if is_split(each) else [each]
    if not files:
        raise ConfigError("no file of summary statistics is named. Give one, or one per chromosome.")
    twice = [file for file in files if files.count(file) > 1]
    if twice:
        raise ConfigError(f"`{twice[0]}` is named twice. Give each file of a GWAS once.")
    return files


def source_of(path: GwasPath) -> str:
    """The GWAS in words for messages: its path, or the first of its files and their number."""
    if is_frame(path):
        return STEM
    if isinstance(path, str | os.PathLike):
        return str(path)
    names = [str(each) for each in cast("_Several", path)]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def trait_of(path: GwasPath) -> str:
    """A name for the trait, from the (first) file's: without the chromosome and the endings of formats."""
    if is_frame(path):
        return STEM
    first = Path(path) if isinstance(path, str | os.PathLike) else Path(cast("_Several", path)[0])
    name = first.name
    while name and Path(name).suffix in _ENDINGS:
        name = Path(name).stem
    return _CHROMOSOME.sub("", name).strip("._-") or first.name


def read_files(
    files: Sequence[Path],
    *,
    columns: Mapping[str, str] | None = None,
    na: Sequence[str] = (),
    drop_invalid: bool = False,
    trait: str | None = None,
) -> RawGwas:
    """The files of one GWAS as one table; arguments and errors as `read_gwas`.

    `row` counts through all files.

    Raises:
        FormatError: files of different layouts or genome builds.
    """
    parts = [read_gwas(file, columns=columns, na=na, drop_invalid=drop_invalid, trait=trait) for file in files]
    first = parts[0]
    if len(parts) == 1:
        return first
    ledger, tables, before = Ledger(), [], 0
    ledger.add("files", len(parts), "read as one GWAS")
    for file, part in zip(files, parts, strict=True):
        _require_alike(first, part, files[0], file)
        ledger.include(part.notes, without="\0" if part is first else "columns")
        tables.append(part.table.with_columns(pl.col("row") + before))
        before += int(part.table["row"].to_numpy().max(initial=0))
    return first._replace(table=pl.concat(tables, how="diagonal"), notes=ledger)


def _require_alike(first: RawGwas, other: RawGwas, path: Path, other_path: Path) -> None:
    differences = {
        "format": (first.format_name, other.format_name),
        "genome build": (first.study.genome_build, other.study.genome_build),
        **{role: (first.names.get(role), other.names.get(role)) for role in {**first.names, **other.names}},
    }
    for what, (mine, theirs) in differences.items():
        if mine != theirs:
            raise FormatError(
                f"`{other_path}` and `{path}` are not alike: the {what} is {theirs or 'absent'} and {mine or 'absent'}. "
                "Give the files of one GWAS, with the same columns."
            )
