"""DataFrames as inputs of a prior: through the readers and checks of `sumstats clean` and `annot build`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from varfx.errors import ConfigError
from varfx.io.frames import Source, as_path, as_polars, is_frame, keep

if TYPE_CHECKING:
    from varfx.gwas.sumstats import SumStats

ENDINGS = {"sumstats": ".sumstats.parquet", "annotations": ".annot.parquet"}


def sumstats_file(source: Source, trait: str) -> Path:
    """The file of cleaned summary statistics: the path itself, or of a DataFrame what `varfx sumstats clean` makes of it.

    A frame with the columns of `SumStats.table` is taken as it is.

    Args:
        source: a path, or a DataFrame with columns of any known format.
        trait: name of the trait of a DataFrame.

    Raises:
        VarfxError: the frame's columns are unknown, or its values cannot be right.
    """
    if not is_frame(source):
        return as_path(source)
    return _kept(_sumstats(source, trait).write, "sumstats")


def annotations_file(source: Source, panel: Path | None) -> Path:
    """The file of annotations: the path itself, or of a DataFrame what `varfx annot build --table` makes of it.

    A frame with the columns of `Annotations.table` is taken as it is; another one needs a panel, whose variants it annotates.

    Raises:
        ConfigError: the frame needs a panel, and none is given.
        VarfxError: the frame's columns are unknown, or its values cannot be right.
    """
    if not is_frame(source):
        return as_path(source)
    import polars as pl

    from varfx.annotations.build import TableSpec, build_annotations
    from varfx.annotations.places import KEY_SCHEMA
    from varfx.annotations.store import Annotations

    table = as_polars(source)
    leading = dict(list(table.schema.items())[: len(KEY_SCHEMA)])
    if leading == KEY_SCHEMA and all(kind == pl.Float32 for kind in table.dtypes[len(KEY_SCHEMA) :]):
        return _kept(Annotations(table=table).write, "annotations")
    if panel is None:
        raise ConfigError("annotations in a DataFrame are brought to the variants of an LD panel: give `panel` too.")
    from varfx.ld import open_panel

    opened = open_panel(panel)
    built = build_annotations(
        opened.variants,
        tables=[TableSpec(as_path(table))],
        panel_name=str(panel),
        metadata={} if opened.build is None else {"build": opened.build},
    )
    return _kept(built.write, "annotations")


def _sumstats(frame: Source, trait: str) -> SumStats:
    from varfx.gwas.clean import clean
    from varfx.gwas.sumstats import SCHEMA, SumStats

    assert is_frame(frame)
    table = as_polars(frame)
    if dict(table.schema) == SCHEMA:
        return SumStats(table=table, trait=trait)
    cleaned = clean(table, trait=trait)
    # The time of the cleaning would give equal frames unequal checksums.
    metadata = {name: value for name, value in cleaned.metadata.items() if name != "provenance"}
    return SumStats(table=cleaned.table, trait=trait, metadata=metadata)


def _kept(write: Callable[[Path], None], role: str) -> Path:
    """What `write` writes, as a file that lasts as long as the process."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / f"made{ENDINGS[role]}"
        write(written)
        return keep(written.read_bytes(), ENDINGS[role])
