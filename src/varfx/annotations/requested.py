"""Writes the annotations that options ask for: `varfx annot build` below its command."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from varfx.annotations import file
from varfx.annotations.build import BedSpec, collect_channels, parse_named_path, parse_table, with_frequencies
from varfx.annotations.columns import ChannelColumns
from varfx.annotations.config import AnnotationFiles
from varfx.annotations.dbnsfp import DbnsfpSpec
from varfx.annotations.file import AnyAnnotations, open_annotations
from varfx.annotations.places import KEY_SCHEMA
from varfx.annotations.store import KIND, Annotations, check_keys, check_names
from varfx.errors import ConfigError
from varfx.genome.builds import build_name, require_same_build
from varfx.gwas import sumstats
from varfx.io import sealed, sealed_rows


def write_annotations(
    variants: pl.DataFrame, files: AnnotationFiles, out: Path, *, panel: Path, panel_build: str | None = None
) -> AnyAnnotations:
    """Writes the annotations of a panel's variants, with their provenance; tables too large for memory a group of rows at a time.

    Args:
        variants: columns of `varfx.genome.variants.SCHEMA`, and `ld_score` if there is one.
        files: BED files, tables, dbNSFP, and what is taken from them.
        out: the file; beside it lies, until it is written, a temporary file without a name, of what does not fit into memory.
        panel: the panel's folder, for messages and checksums.
        panel_build: genome build of the panel, if it is known.

    Raises:
        HarmonisationError: `files.build` is not the panel's.
        StoreError: the file cannot be written.
        VarfxError: see `varfx.annotations.build.build_annotations`.
    """
    given = None if files.build is None else build_name(files.build)
    require_same_build("--build", given, str(panel), panel_build)
    build = given or panel_build
    inputs: dict[str, Path] = {"panel": panel}
    metadata: dict[str, Any] = {"build": build}
    if files.frequency_from is not None:
        gwas = sumstats.read_sumstats(files.frequency_from)
        require_same_build(str(files.frequency_from), gwas.build, str(panel), build)
        variants, ledger = with_frequencies(
            variants, gwas.table, source=str(files.frequency_from), panel_name=str(panel)
        )
        metadata["frequency_ledger"] = ledger.rows()
        inputs["frequency_from"] = files.frequency_from
    beds = [BedSpec(path, name) for name, path in map(parse_named_path, files.bed)]
    beds += [_score(text, files) for text in files.bed_score]
    tables = [parse_table(text, files.columns) for text in (*files.table, *files.annot)]
    coding = None
    if files.dbnsfp is not None:
        coding = DbnsfpSpec(files.dbnsfp, files.scores, files.reduce, build or "hg19")
        inputs["dbnsfp"] = files.dbnsfp
    inputs |= {str(path): path for path in [*(spec.path for spec in beds), *(spec.path for spec in tables)]}
    config = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(files).items()}
    metadata["provenance"] = sealed.provenance(config, inputs)
    panel_name, folder = str(panel), out.absolute().parent
    with ChannelColumns(variants.height, held_bytes=file.HELD_BYTES, folder=folder) as columns:
        used = collect_channels(variants, columns, beds, tables, dbnsfp=coding, panel_name=panel_name)
        return _write(columns, variants.select(list(KEY_SCHEMA)), out, {**metadata, "annotation_inputs": used})


def _write(columns: ChannelColumns, keys: pl.DataFrame, out: Path, metadata: dict[str, Any]) -> AnyAnnotations:
    """Writes the table at once where its channels lie in memory, else a group of rows at a time."""
    if columns.held:
        built = Annotations(table=keys.with_columns(columns.series()), metadata=metadata)
        built.write(out)
        return built
    check_keys(keys, source="annotations")
    check_names(columns.names, source="annotations")
    sealed_rows.write_rows(columns.groups(keys), out, kind=KIND, metadata=metadata)
    return open_annotations(out)


def _score(text: str, files: AnnotationFiles) -> BedSpec:
    """The score of a BED file, from `NAME=FILE:COLUMN`."""
    named_path, _, column = text.rpartition(":")
    if not named_path or not column.isdecimal():
        raise ConfigError(f"`--bed-score {text}` does not end in a column number. Give NAME=FILE:COLUMN, as in FILE:5.")
    name, path = parse_named_path(named_path)
    return BedSpec(path, name, column=int(column), fill=files.fill, combine=files.combine)
