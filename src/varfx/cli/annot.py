"""`varfx annot`: annotations of a panel's variants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cyclopts
from cyclopts import Parameter
from rich.table import Table

from varfx.cli.console import Names, console
from varfx.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

    from varfx.annotations import BedSpec, TableSpec

app = cyclopts.App(name="annot", help="Annotations of a panel's variants.")


@app.command
def build(
    *,
    panel: Path,
    out: Annotated[Path, Parameter(alias="-o")],
    bed: Annotated[list[str] | None, Parameter(negative=())] = None,
    bed_score: Annotated[list[str] | None, Parameter(negative=())] = None,
    table: Annotated[list[str] | None, Parameter(negative=())] = None,
    annot: Annotated[list[str] | None, Parameter(negative=())] = None,
    columns: Names = (),
    combine: Literal["max", "mean"] = "max",
    fill: float | None = None,
    frequency_from: Path | None = None,
    dbnsfp: Path | None = None,
    scores: Names = (),
    reduce: Literal["damaging", "canonical", "mean"] = "damaging",
    build: str = "hg19",
) -> None:
    """Build the annotations of a panel's variants: one named channel per BED file or table column.

    Frequency, minor-allele frequency and LD score are always among them, where the panel knows them.

        varfx annot build --panel P.ld.zarr --bed peaks.bed.gz --bed TSS=tss.bed --annot baselineLD.@.annot.gz --out A.annot.parquet

    Args:
        panel: LD panel made by `varfx ld build`; it gives the variants.
        out: The file to make, by convention ending in .annot.parquet.
        bed: BED file, or NAME=FILE: 1 where an interval covers the variant, else 0. Repeat it for more.
        bed_score: FILE:COLUMN or NAME=FILE:COLUMN: the value in that column (counted from 1) of the covering interval,
            missing where none covers. Repeat it for more.
        table: Parquet, TSV or CSV with position and alleles, position, or rsID; NAME=FILE puts NAME before its columns.
            Repeat it for more.
        annot: LDSC .annot(.gz); "@" stands for the chromosome. One without key columns (thin) needs the .bim whose rows
            it has: FILE.annot:FILE.bim. Repeat it for more.
        columns: Columns to take from tables, split by commas; all numeric ones by default.
        combine: The score where several intervals cover a variant: the largest (max), or the mean.
        fill: The score of variants that no interval covers, in place of missing.
        frequency_from: A S.sumstats.parquet whose frequencies are taken where the panel knows none.
        dbnsfp: dbNSFP file with scores of coding variants; "@" stands for the chromosome.
        scores: Columns to take from it, split by commas. Larger is more damaging in all of them: scores that count the
            other way are negated. Say NAME:high or NAME:low (which end is damaging) for scores that are not known.
        reduce: The score of a variant with several transcripts: the most damaging, the canonical one's, or the mean.
        build: The panel's genome build, hg19 or hg38: which of dbNSFP's positions to use.
    """
    from varfx.annotations import DbnsfpSpec, build_annotations, with_frequencies
    from varfx.gwas import sumstats
    from varfx.io import sealed
    from varfx.ld import open_panel

    opened = open_panel(panel)
    variants = opened.variants
    inputs: dict[str, Path] = {"panel": panel}
    metadata: dict[str, Any] = {}
    if frequency_from is not None:
        gwas = sumstats.read_sumstats(frequency_from)
        variants, ledger = with_frequencies(variants, gwas.table, source=str(frequency_from), panel_name=str(panel))
        metadata["frequency_ledger"] = ledger.to_dict()
        inputs["frequency_from"] = frequency_from
    beds = [_bed(text) for text in bed or []] + [_bed_score(text, combine, fill) for text in bed_score or []]
    tables = [_table(text, columns) for text in [*(table or []), *(annot or [])]]
    if columns and not tables:
        raise ConfigError(
            "`--columns` chooses columns of tables, but there is no --table and no --annot. Leave it out."
        )
    if fill is not None and not bed_score:
        raise ConfigError("`--fill` is for scores, but there is no --bed-score. Leave it out.")
    if (dbnsfp is None) != (not scores):
        raise ConfigError("`--dbnsfp` and `--scores` belong together: give a file and the columns to take from it.")
    coding = None if dbnsfp is None else DbnsfpSpec(dbnsfp, scores, reduce, build)
    if dbnsfp is not None:
        inputs["dbnsfp"] = dbnsfp
    inputs |= {str(path): path for path in [*(spec.path for spec in beds), *(spec.path for spec in tables)]}
    config = {
        "bed": bed,
        "bed_score": bed_score,
        "table": table,
        "annot": annot,
        "columns": list(columns),
        "combine": combine,
        "fill": fill,
        "dbnsfp": None if dbnsfp is None else {"scores": list(scores), "reduce": reduce, "build": build},
    }
    metadata["provenance"] = sealed.provenance(config, inputs)
    built = build_annotations(variants, beds, tables, dbnsfp=coding, panel_name=str(panel), metadata=metadata)
    built.write(out)
    _show(built.table, built.channels, out)


def _bed(text: str) -> BedSpec:
    from varfx.annotations import BedSpec, parse_named_path

    name, path = parse_named_path(text)
    return BedSpec(path, name)


def _bed_score(text: str, combine: Literal["max", "mean"], fill: float | None) -> BedSpec:
    from varfx.annotations import BedSpec, parse_named_path

    named_path, _, column = text.rpartition(":")
    if not named_path or not column.isdecimal():
        raise ConfigError(f"`--bed-score {text}` does not end in a column number. Give NAME=FILE:COLUMN, as in FILE:5.")
    name, path = parse_named_path(named_path)
    return BedSpec(path, name, column=int(column), fill=fill, combine=combine)


def _table(text: str, columns: tuple[str, ...]) -> TableSpec:
    from varfx.annotations import parse_table

    return parse_table(text, columns)


def _show(table: pl.DataFrame, channels: Sequence[str], out: Path) -> None:
    """Prints each channel's mean, share of variants that are not 0, and share that is missing."""
    listing = Table()
    listing.add_column("channel", overflow="fold")
    for heading in ("mean", "not 0", "missing"):
        listing.add_column(heading, justify="right")
    for name in channels:
        column = table[name]
        if column.null_count() == column.len():
            listing.add_row(name, "-", "-", "100.00%")
            continue
        mean, present = column.drop_nulls().to_numpy().mean(dtype="float64"), column.len() - column.null_count()
        covered = f"{(column != 0).sum() / present:.2%}"
        listing.add_row(name, f"{mean:.4g}", covered, f"{column.null_count() / column.len():.2%}")
    console.print(listing)
    console.print(f"{out}: {table.height:,} variants, {len(channels)} channels", soft_wrap=True)
