"""Effects of insertions and deletions: what a network predicts for the reference with one of them, minus for the reference.

The window stays anchored at the base of the TSS, so that an indel moves what lies behind it, seen from there. As of substitutions this is
the homozygous effect; `weight` is half of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch

from varfx.device import find_device
from varfx.errors import ConfigError
from varfx.expression.cohort.store import Cohort, window_start
from varfx.expression.network.indels import IndelWindow, indel_files
from varfx.expression.network.opened import OpenNetworks
from varfx.expression.run import NETWORK, ExpressionRun
from varfx.expression.variants.ism import WHOLE_AT_ONCE
from varfx.expression.variants.table import KEY, LONG_SCHEMA
from varfx.models.coverage import Predictor
from varfx.models.full_precision import full_precision
from varfx.progress import Progress, silent


def score_indels(
    run: ExpressionRun,
    cohort: Cohort,
    genes: Sequence[str],
    *,
    fold: int,
    float64: bool = False,
    device: str = "auto",
    progress: Progress = silent,
) -> pl.DataFrame:
    """A row per gene and indel of its window, columns of `LONG_SCHEMA`; what belongs to other scores is empty.

    Args:
        run: of `varfx expr fit --indels`.
        cohort: its cohort.
        genes: Ensembl ids.
        fold: number of the fold.
        float64: compute in float64.
        device: where to compute.
        progress: told of genes done.

    Raises:
        ConfigError: a run of another kind, or without indels.
        VarfxError: its genotypes or its genome cannot be read.
    """
    check_indels(run)
    config = run.record["config"]
    files = indel_files(cohort, [Path(name) for name in config["indels"]], Path(config["reference"]))
    assert files is not None
    (model,) = run.record["models"]
    train = cohort.fold(fold).train.tolist()
    tables, where = [], find_device(device)
    networks = OpenNetworks(run, where)
    for number, gene_id in enumerate(genes, 1):
        network = networks.of(fold, gene_id)
        window = files.window(cohort, gene_id, window=network.config.window, mean_of=train, device=where)
        gene = cohort.gene(gene_id)
        effect = indel_effects(network.double() if float64 else network, window)
        strand = 1 if gene.strand == "+" else -1
        columns = {
            "gene_id": gene_id,
            "model": model,
            "fold": fold,
            **{name: window.variants[name] for name in KEY},
            "tss_distance": strand * (window.variants["position"] - gene.tss),
            "eaf": window.frequencies(train),
            "weight": effect / 2,
            "ism": effect,
            "high_scoring": False,
        }
        table = pl.DataFrame(columns)
        offset = window.variants["position"] - 1 - window_start(gene.tss, gene.strand, network.config.window)
        tables.append(_conform(table.filter((offset >= 0) & (offset < network.config.window))))
        progress(number, len(genes), "genes with indels")
    return pl.concat(tables)


def check_indels(run: ExpressionRun) -> None:
    """Raises ConfigError if a run has read no indels."""
    if run.kind != NETWORK or not run.record["config"].get("indels"):
        raise ConfigError(
            f"`{run.path}` has read no indels. Fit a network with `varfx expr fit --indels`, or leave `--indels` out."
        )


@torch.no_grad()
def indel_effects(network: Predictor, window: IndelWindow) -> np.ndarray:
    """Homozygous effects of a window's indels, in the precision of the network's weights and evaluation mode."""
    with full_precision(network):
        weight = network.head.weight
        start = float(network(window.reference()[None].to(weight))[0])
        found = []
        for first in range(0, len(window.indels), WHOLE_AT_ONCE):
            numbers = range(first, min(first + WHOLE_AT_ONCE, len(window.indels)))
            found.append(
                network(torch.stack([window.with_indel(number) for number in numbers]).to(weight)).double().cpu()
            )
    return (torch.cat(found).numpy() if found else np.zeros(0)) - start


def _conform(table: pl.DataFrame) -> pl.DataFrame:
    """The columns of `LONG_SCHEMA` in its order, empty where the table has none."""
    return table.select(
        (pl.col(name) if name in table.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in LONG_SCHEMA.items()
    )
