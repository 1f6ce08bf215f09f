"""FUSION: a `GENE.wgt.RDat` per gene (R's `save`) and a table of them, the POS file.

`wgt.matrix` (variant, model) is per standard deviation of the genotype, `snps` has the alleles (V5 is counted), `cv.performance` the
R2 and p of each model on held-out individuals. Names of models are FUSION's: top1, lasso, enet, blup.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from varfx.errors import ConfigError, FormatError
from varfx.expression.twas.from_run import ExportedGene
from varfx.expression.twas.models import GENES_SCHEMA, WEIGHTS_SCHEMA, GeneModels
from varfx.expression.twas.r_data import Frame, Matrix, Value, save
from varfx.genome import variants
from varfx.io import sealed
from varfx.io.file_names import as_file_name
from varfx.io.r_file import read_r
from varfx.io.text_table import open_table

COLUMNS = ("PANEL", "WGT", "ID", "CHR", "P0", "P1", "N")
NAMES = {"elastic-net": "enet"}
_OBJECTS = ("wgt.matrix", "snps", "cv.performance")


def weights_folder(out: str | os.PathLike[str]) -> Path:
    """The folder of a POS file's weights: `W.wgt` of `W.pos`."""
    path = Path(out)
    return path.with_name(f"{path.name.removesuffix('.pos')}.wgt")


def write_fusion(genes: Sequence[ExportedGene], out: str | os.PathLike[str]) -> None:
    """Writes the POS file, and the weights into a folder beside it.

    Raises:
        StoreError: a file cannot be written, or the folder holds something else.
    """
    folder, path = weights_folder(out), Path(out)
    rows = []
    with sealed.atomic_path(folder) as partial:
        partial.mkdir()
        for gene in genes:
            name = f"{as_file_name(gene.gene)}.wgt.RDat"
            _save(gene, partial / name)
            positions = gene.variants["position"].to_numpy()
            place = (gene.chrom, int(positions.min()), int(positions.max()))
            rows.append(
                (path.name.removesuffix(".pos"), f"{folder.name}/{name}", gene.gene, *place, int(gene.genes["n"][0]))
            )
    with sealed.atomic_path(path) as partial:
        pl.DataFrame(rows, schema=list(COLUMNS), orient="row").write_csv(partial, separator="\t")


def _save(gene: ExportedGene, path: Path) -> None:
    table = gene.variants.with_columns(variants.identifier())
    names, models = table["variant_id"].to_list(), [NAMES.get(name, name) for name in gene.genes["model"]]
    sd = np.sqrt(np.diag(gene.covariance))
    count = table.height
    chrom = int(gene.chrom) if gene.chrom.isdecimal() else gene.chrom
    objects: dict[str, Value] = {
        "wgt.matrix": Matrix(gene.weights * sd[:, None], names, models),
        "snps": Frame(
            {
                "V1": np.full(count, chrom, dtype=np.int32) if isinstance(chrom, int) else [chrom] * count,
                "V2": names,
                "V3": np.zeros(count),
                "V4": table["position"].to_numpy().astype(np.int32),
                "V5": table["effect_allele"].to_list(),
                "V6": table["other_allele"].to_list(),
            }
        ),
        "cv.performance": Matrix(np.vstack([gene.genes["r2"], gene.genes["p"]]), ["rsq", "pval"], models),
        "hsq": np.array([gene.h2, np.nan]),
        "hsq.pv": np.array([np.nan]),
        "N.tot": np.array([float(gene.genes["n"][0])]),
    }
    save(path, objects)


def read_fusion(path: str | os.PathLike[str], model: str | None = None) -> GeneModels:
    """The models of a POS file: of each gene the one named, or the best on held-out individuals.

    Args:
        path: the POS file; its column WGT says where each gene's weights lie, seen from its folder.
        model: FUSION's name of a model, or ours.

    Raises:
        FormatError: a file is missing, damaged, or lacks what FUSION's have.
        ConfigError: no gene has that model; rdata is not installed.
    """
    table = open_table(path)
    lacking = [name for name in ("WGT", "ID", "CHR") if name not in table.names]
    if lacking:
        raise FormatError(
            f"`{path}` is no POS file of FUSION: it lacks the column {lacking[0]}. It has {', '.join(table.names)[:120]}."
        )
    given = table.read()
    records, parts = [], []
    for row in given.iter_rows(named=True):
        found = _read_gene(Path(path).parent / str(row["WGT"]), str(row["ID"]), NAMES.get(model or "", model))
        if found is not None:
            records.append(found[0])
            parts.append(found[1])
    if not parts:
        what = "has a weight" if model is None else f"has the model {model}"
        raise ConfigError(f"`{path}`: none of {given.height} genes {what}.")
    notes = []
    if len(parts) < given.height:
        notes.append(
            f"{given.height - len(parts)} of {given.height} genes have no weight{'' if model is None else f' of {model}'}"
        )
    return GeneModels(
        genes=pl.DataFrame(records, schema=GENES_SCHEMA, orient="row"),
        weights=pl.concat(parts),
        scale="standardised",
        build=None,
        source=str(path),
        notes=notes,
    )


def _read_gene(path: Path, gene: str, model: str | None) -> tuple[tuple[Any, ...], pl.DataFrame] | None:
    """A gene's row of `GENES_SCHEMA` and its weights; None without a weight."""
    held = read_r(path)
    lacking = [name for name in _OBJECTS if not isinstance(held, dict) or name not in held]
    if lacking:
        raise FormatError(f"`{path}` is no weight file of FUSION: it lacks `{lacking[0]}`.")
    matrix, snps, performance = (held[name] for name in _OBJECTS)
    try:
        models = [str(name) for name in matrix.coords["dim_1"].values]
        rows = [str(name) for name in performance.coords["dim_0"].values]
        r2, p = (np.asarray(performance)[rows.index(name)] for name in ("rsq", "pval"))
        columns = {name: snps[name].to_list() for name in ("V1", "V2", "V4", "V5", "V6")}
    except (AttributeError, KeyError, ValueError, IndexError) as error:
        raise FormatError(f"`{path}`: its matrices and `snps` are not named as FUSION's ({error}).") from error
    if model is not None and model not in models:
        return None
    values = np.asarray(matrix, dtype=np.float64)
    chosen = models.index(model) if model is not None else _best(values, np.asarray(p, dtype=np.float64))
    weight = _weights(values[:, chosen], models[chosen])
    table = pl.DataFrame(
        {
            "gene": gene,
            "chrom": [str(chrom).split(".")[0] for chrom in columns["V1"]],
            "position": [int(position) for position in columns["V4"]],
            "variant_id": [str(name) for name in columns["V2"]],
            "effect_allele": [str(allele).upper() for allele in columns["V5"]],
            "other_allele": [str(allele).upper() for allele in columns["V6"]],
            "eaf": None,
            "weight": weight,
        },
        schema=WEIGHTS_SCHEMA,
    ).with_columns(variants.chrom_expr("chrom"))
    table = table.filter(pl.col("weight").is_finite() & (pl.col("weight") != 0))
    if not table.height:
        return None
    n = held.get("N.tot")
    count = None if n is None else int(np.asarray(n).ravel()[0])
    return (gene, gene, models[chosen], float(r2[chosen]), float(p[chosen]), count), table


def _best(values: np.ndarray, p: np.ndarray) -> int:
    """The model with weights and the least p, or the first with weights."""
    usable = np.isfinite(values).all(axis=0) & (np.nan_to_num(values) != 0).any(axis=0)
    order = np.where(usable, np.where(np.isfinite(p), p, 1.0), np.inf)
    return int(np.argmin(order))


def _weights(weight: np.ndarray, model: str) -> np.ndarray:
    """FUSION's top1 holds every variant's marginal association, of which the largest alone is the model."""
    if model != "top1" or not np.isfinite(weight).any():
        return weight
    top = int(np.nanargmax(np.abs(weight)))
    return np.where(np.arange(weight.size) == top, weight, 0.0)
