"""Builds `Annotations` of a panel's variants from BED files, tables and dbNSFP, one channel a BED file or column."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float, Int64
from numpy import ndarray

from varfx.annotations.align import align
from varfx.annotations.columns import ChannelColumns
from varfx.annotations.dbnsfp import DbnsfpSpec, read_dbnsfp
from varfx.annotations.foreign import AnnotationTable, read_annotation_table
from varfx.annotations.places import KEY_SCHEMA
from varfx.annotations.store import Annotations
from varfx.errors import ConfigError, FormatError
from varfx.genome import intervals
from varfx.genome.chromosomes import CHROMOSOMES
from varfx.genome.harmonise import harmonise
from varfx.genome.matching import Matching
from varfx.genome.per_chromosome import files_of, is_split
from varfx.io.ledger import Ledger

_SITES = (".bim", ".bim.gz", ".bim.zst", ".pvar", ".pvar.gz", ".pvar.zst")
_EXTENSIONS = (".gz", ".bgz", ".zst", ".bed", ".tsv", ".csv", ".txt", ".parquet", ".annot")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BedSpec:
    """One BED file and the channel that it becomes.

    Attributes:
        path: the file.
        name: the channel's name; by default the file's name without its extensions.
        column: 1-based number of a score column; None for 1 where covered and 0 elsewhere.
        fill: the score of variants that no interval covers; None leaves them missing.
        combine: which score counts where several intervals cover a variant: the largest, or the mean.
    """

    path: Path
    name: str | None = None
    column: int | None = None
    fill: float | None = None
    combine: intervals.Combine = "max"

    def __post_init__(self) -> None:
        if self.combine not in ("max", "mean"):
            raise ConfigError(f'`combine` must be "max" or "mean", but is "{self.combine}".')
        if self.fill is not None and (self.column is None or not np.isfinite(self.fill)):
            raise ConfigError(f"`fill` must be a finite number and needs a score column, but is {self.fill}.")

    @property
    def channel(self) -> str:
        """The channel's name."""
        return self.name or stem(self.path)


@dataclass(frozen=True)
class TableSpec:
    """One table (`.annot`, Parquet, TSV, CSV) and the columns that become channels.

    Attributes:
        path: the file; "@" in it stands for the chromosome, one file each.
        name: the channel's name, or with several columns a prefix: `name.column`.
        columns: the columns to take; None for all numeric ones that are no key.
        rows_of: the .bim or .pvar whose variants are the rows of a thin `.annot`; "@" as in `path`.
    """

    path: Path
    name: str | None = None
    columns: tuple[str, ...] | None = None
    rows_of: Path | None = None


def stem(path: Path) -> str:
    """A file's name without the extensions that say only its format and compression."""
    name = path.name
    while name.lower().endswith(_EXTENSIONS) and "." in name[1:]:
        name = name[: name.rindex(".")]
    return name


def parse_named_path(text: str) -> tuple[str | None, Path]:
    """`name=path` or `path`; a "=" behind a "/" belongs to the path.

    Raises:
        ConfigError: nothing on one side of "=".
    """
    name, equals, path = text.partition("=")
    if not equals or "/" in name:
        if not text:
            raise ConfigError("An annotation input is empty: give PATH or NAME=PATH.")
        return None, Path(text)
    if not name or not path:
        raise ConfigError(f"`{text}` is neither PATH nor NAME=PATH.")
    return name, Path(path)


def parse_table(text: str, columns: tuple[str, ...] = ()) -> TableSpec:
    """The table of `PATH`, `NAME=PATH`, or, of a thin `.annot`, `[NAME=]PATH:FILE.bim`.

    Raises:
        ConfigError: nothing on one side of "=".
    """
    table, colon, sites = text.rpartition(":")
    thin = bool(colon) and stem(Path(sites)) != sites and sites.lower().endswith(_SITES)
    name, path = parse_named_path(table if thin else text)
    return TableSpec(path, name, columns or None, Path(sites) if thin else None)


def build_annotations(
    panel: pl.DataFrame,
    beds: Sequence[BedSpec] = (),
    tables: Sequence[TableSpec] = (),
    *,
    dbnsfp: DbnsfpSpec | None = None,
    panel_name: str = "panel",
    metadata: dict[str, Any] | None = None,
) -> Annotations:
    """The annotations of a panel's variants.

    The channels `eaf`, `maf` and `ld_score` come first, each where the panel knows it for any variant; then BED
    files, then tables, in the order given, and dbNSFP's scores. A variant that no interval covers is 0 in a 0/1 channel, and missing in a
    score channel.

    Args:
        panel: columns of `varfx.genome.variants.SCHEMA`, and `ld_score` if there is one.
        beds: intervals.
        tables: values by variant.
        dbnsfp: scores of coding variants.
        panel_name: for messages.
        metadata: added to the result's, by convention with a key "provenance".

    Raises:
        ConfigError: a channel name stands twice, or an option does not fit its file.
        FormatError: a file that cannot be read.
        HarmonisationError: a table that has nothing in common with the panel, or another genome build.
        DataError: values or keys that cannot be right.
    """
    columns = ChannelColumns(panel.height)
    inputs = collect_channels(panel, columns, beds, tables, dbnsfp=dbnsfp, panel_name=panel_name)
    return Annotations(
        table=panel.select(list(KEY_SCHEMA)).with_columns(columns.series()),
        metadata={**(metadata or {}), "annotation_inputs": inputs},
    )


def collect_channels(
    panel: pl.DataFrame,
    columns: ChannelColumns,
    beds: Sequence[BedSpec],
    tables: Sequence[TableSpec],
    *,
    dbnsfp: DbnsfpSpec | None,
    panel_name: str,
) -> list[dict[str, Any]]:
    """Adds the channels of `build_annotations` to `columns`; returns what became of each input's rows. Arguments and errors are the same."""
    known = _of_panel(panel)
    for name, values in known.items():
        columns.put(name, values)
    sources = dict.fromkeys(known, panel_name)
    inputs: list[dict[str, Any]] = []
    for spec in beds:
        _claim(sources, spec.channel, str(spec.path))
        columns.put(spec.channel, _of_bed(spec, panel))
        inputs.append({"source": str(spec.path), "channels": [spec.channel]})
    for table in tables:
        names, counts = _of_table(table, panel, panel_name, sources, columns)
        for name in names:
            _note_empty(name, columns.column(name), table.path)
        inputs.append({"source": str(table.path), "channels": names, "counts": counts})
    if dbnsfp is not None:
        coding, counts = _aligned(read_dbnsfp(dbnsfp, panel), panel, panel_name)
        for name, column in coding.items():
            _claim(sources, name, str(dbnsfp.path))
            columns.put(name, column)
        scores = {"reduce": dbnsfp.reduce, "build": dbnsfp.build, "directions": dbnsfp.columns}
        inputs.append({"source": str(dbnsfp.path), "channels": list(coding), "counts": counts, **scores})
    return inputs


def _claim(sources: dict[str, str], channel: str, source: str) -> None:
    if channel in sources or channel in KEY_SCHEMA:
        raise ConfigError(
            f"The channel name `{channel}` of `{source}` is taken by `{sources.get(channel, 'the variant key')}`. Give "
            f"it another name: NAME={source}."
        )
    sources[channel] = source


def _of_panel(panel: pl.DataFrame) -> dict[str, Float[ndarray, " variant"]]:
    """The panel's own channels: `eaf` (for alpha; no feature), `maf`, `ld_score`."""
    eaf = panel["eaf"].cast(pl.Float64).to_numpy()
    columns = {"eaf": eaf, "maf": np.minimum(eaf, 1 - eaf)}
    if "ld_score" in panel.columns:
        columns["ld_score"] = panel["ld_score"].cast(pl.Float64).to_numpy()
    return {name: values for name, values in columns.items() if np.isfinite(values).any()}


def _of_bed(spec: BedSpec, panel: pl.DataFrame) -> Float[ndarray, " variant"]:
    bed = intervals.read_bed(spec.path, score_column=spec.column)
    intervals.require_effective(bed, path=spec.path)
    intervals.require_shared_chromosome(bed, panel, path=spec.path)
    if spec.column is None:
        intervals.require_zero_based(bed, panel, path=spec.path)
        values = intervals.covered(bed, panel)
        _note_empty(spec.channel, values, spec.path)
        return values
    scores = intervals.covering_score(bed, panel, combine=spec.combine)
    return scores if spec.fill is None else np.where(np.isnan(scores), np.float32(spec.fill), scores)


def _of_table(
    spec: TableSpec, panel: pl.DataFrame, panel_name: str, sources: dict[str, str], columns: ChannelColumns
) -> tuple[list[str], dict[str, int]]:
    """Adds a table's channels; their names, and what became of the table's rows.

    A table may be split into a file per chromosome; chromosomes without a file are missing, and logged.
    """
    names: list[str] | None = None
    counts: dict[str, int] = {}
    for one, rows in _files(spec, panel):
        part, part_counts = _of_file(one, panel if rows is None else panel[rows], panel_name)
        if names is None:
            names = list(part)
            for name in names:
                _claim(sources, name, str(spec.path))
        elif part.keys() != {*names}:
            odd = sorted(part.keys() ^ {*names})
            raise FormatError(f"`{one.path}` has other columns than the files before it, first `{odd[0]}`.")
        for name, values in part.items():
            columns.put(name, values, rows)
        counts = {rule: counts.get(rule, 0) + count for rule, count in part_counts.items()}
    assert names is not None
    return names, counts


def _files(spec: TableSpec, panel: pl.DataFrame) -> Iterator[tuple[TableSpec, Int64[ndarray, " row"] | None]]:
    """The files of a table, each with the panel's rows that it is for; None for all."""
    if not is_split(spec.path):
        yield spec, None
        return
    present = [name for name in CHROMOSOMES if (panel["chrom"] == name).any()]
    paths = files_of(spec.path, present)
    sites = {} if spec.rows_of is None else files_of(spec.rows_of, present)
    for chrom, path in paths.items():
        one = TableSpec(path, spec.name, spec.columns, sites.get(chrom))
        yield one, np.flatnonzero((panel["chrom"] == chrom).to_numpy())


def _of_file(
    spec: TableSpec, panel: pl.DataFrame, panel_name: str
) -> tuple[dict[str, Float[ndarray, " variant"]], dict[str, int]]:
    """Channels of one file by name, and what became of its rows."""
    values, counts = _aligned(
        read_annotation_table(spec.path, columns=spec.columns, rows_of=spec.rows_of), panel, panel_name
    )
    if spec.name is not None:
        names = [spec.name] if len(values) == 1 else [f"{spec.name}.{name}" for name in values]
        values = dict(zip(names, values.values(), strict=True))
    return values, counts


def _note_empty(channel: str, values: Float[ndarray, " variant"], path: Path) -> None:
    """A warning where a channel is 0, or missing, for every variant: it can teach nothing."""
    known = values[np.isfinite(values)]
    if not known.size:
        _log.warning(
            "Channel `%s` of `%s` has no value for any variant: it can teach nothing. Check the file.", channel, path
        )
    elif not known.any():
        _log.warning(
            "Channel `%s` of `%s` is 0 for every variant: it can teach nothing. Check the file, its genome build and "
            "its names of chromosomes.", channel, path,
        )  # fmt: skip


def _aligned(
    table: AnnotationTable, panel: pl.DataFrame, panel_name: str
) -> tuple[dict[str, Float[ndarray, " variant"]], dict[str, int]]:
    aligned = align(table, panel, panel_name=panel_name)
    for note in aligned.notes:
        _log.warning(note)
    return dict(zip(aligned.channels, aligned.values.T, strict=True)), aligned.counts


def with_frequencies(
    panel: pl.DataFrame, sumstats: pl.DataFrame, *, source: str, panel_name: str
) -> tuple[pl.DataFrame, Ledger]:
    """The panel with frequencies that it does not know taken from a GWAS, turned to its effect alleles.

    Palindromes are kept by their letters: a wrong strand would leave the minor-allele frequency right.

    Args:
        panel: columns of `varfx.genome.variants.SCHEMA`.
        sumstats: the same and more.
        source: name of the GWAS for messages.
        panel_name: for messages.

    Raises:
        HarmonisationError: another genome build, or too little overlap.
    """
    match = harmonise(sumstats, panel, matching=Matching(palindromes="keep"), source=source, reference_name=panel_name)
    found = match.oriented(sumstats)["eaf"].cast(pl.Float64).to_numpy()
    eaf = panel["eaf"].cast(pl.Float64).to_numpy().copy()
    known = np.isfinite(eaf[match.reference_row])
    eaf[match.reference_row] = np.where(known, eaf[match.reference_row], found)
    return panel.with_columns(eaf=pl.Series(eaf, nan_to_null=True)), match.ledger
