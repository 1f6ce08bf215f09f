"""Features of the variants in a gene's window: distance to the TSS, and annotations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool, Float32
from numpy import ndarray

from varfx.annotations import Annotations, BedSpec, build_annotations, parse_named_path, read_annotations
from varfx.errors import ConfigError
from varfx.expression.cohort.store import GeneWindow

SCALES = (500, 2_000, 8_000, 32_000)  # bases over which nearness to the TSS decays
UPSTREAM_SCALE = 2_000


def window_features(
    gene: GeneWindow, variants: pl.DataFrame, annotations: Sequence[Annotations] = ()
) -> tuple[tuple[str, ...], Float32[ndarray, "variant channel"], Bool[ndarray, "variant channel"]]:
    """Names, values (NaN where missing) and missingness of the channels of a window's variants.

    With d the distance to the TSS along the strand (positive downstream): `tss_s` = exp(-|d| / s) on each scale s,
    `upstream` = 1 where d < 0, `upstream_2000` = the same times exp(-|d| / 2000). Then the annotations' channels.

    Args:
        gene: the gene.
        variants: `chrom, position, effect_allele, other_allele`.
        annotations: tables in which a variant may be missing.
    """
    offset = (variants["position"].to_numpy() - gene.tss) * (1 if gene.strand == "+" else -1)
    distance, upstream = np.abs(offset).astype(np.float64), offset < 0
    columns = {f"tss_{scale}": np.exp(-distance / scale) for scale in SCALES}
    columns["upstream"] = upstream.astype(np.float64)
    columns[f"upstream_{UPSTREAM_SCALE}"] = upstream * np.exp(-distance / UPSTREAM_SCALE)
    names = list(columns)
    values = [np.column_stack(list(columns.values())).astype(np.float32)]
    for table in annotations:
        names += table.channels
        values.append(table.select(variants, absent="missing")[0].astype(np.float32))
    joined = np.hstack(values)
    return tuple(names), joined, np.isnan(joined)


def read_window_annotations(
    variants: pl.DataFrame, annot: Sequence[Path] = (), beds: Sequence[str] = ()
) -> list[Annotations]:
    """Annotations of a cohort's variants from files.

    Args:
        variants: of the cohort.
        annot: `*.annot.parquet` files; variants that they lack are taken as missing there.
        beds: BED files, `PATH` or `NAME=PATH`: 1 where an interval covers the variant.

    Raises:
        ConfigError: two channels have the same name, or a file shares no variant with the cohort.
        VarfxError: a file that cannot be read, or of another genome build.
    """
    tables = [read_annotations(path) for path in annot]
    if beds:
        specs = [BedSpec(path, name) for name, path in map(parse_named_path, beds)]
        panel = variants.with_columns(eaf=pl.lit(None, pl.Float64)).unique(
            ["chrom", "position", "effect_allele", "other_allele"], maintain_order=True
        )
        tables.append(build_annotations(panel, specs, panel_name="cohort"))
    for path, table in zip(annot, tables, strict=False):
        if table.select(variants, absent="missing")[1].all():
            raise ConfigError(
                f"`{path}` has no value for any of the cohort's {variants.height} variants. Check its genome build."
            )
    names = [name for table in tables for name in table.channels]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise ConfigError(f"the channel `{repeated[0]}` stands in several annotations. Rename it in one: NAME=PATH.")
    return tables
