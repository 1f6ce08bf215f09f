"""Predictions of networks for the individuals of another cohort, from their own sequences.

Their sequences hold all of their variants in the window, also those that the run's cohort lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import polars as pl
import torch
from jaxtyping import Int64
from numpy import ndarray
from torch import Tensor

from varfx.device import find_device
from varfx.errors import DataError
from varfx.expression.cohort.store import window_start
from varfx.expression.network.indels import IndelWindow
from varfx.expression.network.opened import OpenNetworks
from varfx.expression.network.sequences import WindowSequences
from varfx.expression.network.stretch import Stretch
from varfx.expression.run import ExpressionRun, training_fold
from varfx.expression.transfer.config import TransferConfig
from varfx.expression.transfer.indels import IndelReads
from varfx.expression.transfer.linear import KeyedValues
from varfx.expression.transfer.window import MatchedWindow, oriented_extra
from varfx.training.people.predict import predict

Sequences = WindowSequences | IndelWindow


def network_predictions(
    run: ExpressionRun,
    networks: OpenNetworks,
    window: MatchedWindow,
    folds: Sequence[int],
    config: TransferConfig,
    reads: IndelReads | None = None,
) -> KeyedValues:
    """Adjusted expression of the other individuals by model and fold; missing genotypes as at home.

    Args:
        run: of networks.
        networks: the run's, on the device of `config`.
        window: of the gene.
        folds: some of the run's.
        config: rules for variants.
        reads: genotypes with indels, for networks fitted on such sequences.

    Raises:
        DataError: the network reads haplotypes and the other genotypes have none.
    """
    (model,) = run.record["models"]
    device, phased = find_device(config.device), bool(run.record["config"].get("phased"))
    found: KeyedValues = {}
    for number in folds:
        network = networks.of(number, window.gene.gene_id)
        train = training_fold(run, window.home, number, model).train
        if reads is None:
            sequences: Sequences = _sequences(window, train, network.config.window, phased, config)
        else:
            sequences = reads.sequences(train, haplotypes=phased, absent=config.absent, device=device)
        rows = np.arange(train.size, train.size + window.region.dosages.shape[1])
        found[model, number] = predict(network, partial(_encode, sequences), rows, micro_batch=config.people_per_batch)
    return found


def _encode(sequences: Sequences, rows: Int64[ndarray, " individual"]) -> Tensor:
    return sequences.encode(torch.from_numpy(rows))


def _sequences(
    window: MatchedWindow, train: Int64[ndarray, " train"], bases: int, phased: bool, config: TransferConfig
) -> WindowSequences:
    """Sequences of the training individuals, whose mean stands for missing genotypes, and then of the others."""
    gene = window.gene
    extra, exchanged = oriented_extra(window)
    genotypes = _with_extra(window, train, extra, exchanged, phased, config)
    alleles, turned = ("other_allele", "effect_allele"), pl.Series(exchanged, dtype=pl.Boolean)
    region = window.region.variants[extra].select("position", *alleles)
    ref, alt = (region[name].zip_with(~turned, region[other]) for name, other in (alleles, alleles[::-1]))
    variants = pl.concat(
        [window.variants.select(region.columns), region.with_columns(other_allele=ref, effect_allele=alt)]
    )
    order = np.argsort(variants["position"].to_numpy(), kind="stable")
    stretch = Stretch(
        codes=window.home.reference(gene.gene_id),
        start=gene.start,
        variants=variants[order],
        genotypes=genotypes[order],
    )
    return stretch.sequences(
        window_start(gene.tss, gene.strand, bases),
        bases,
        gene.strand,
        device=find_device(config.device),
        mean_of=range(train.size),
    )


def _with_extra(
    window: MatchedWindow, train: ndarray, extra: ndarray, exchanged: ndarray, phased: bool, config: TransferConfig
) -> ndarray:
    """Genotypes (variant, individual, ...) of training individuals and others, at the window's and the extra variants.

    The training individuals have none of the extra variants, so that a missing genotype there counts as no copy.
    """
    gene_id = window.gene.gene_id
    others = window.haplotypes if phased else window.dosages
    values = window.region.haplotypes if phased else window.region.dosages
    if others is None or values is None:
        raise DataError(
            f"the network reads both haplotypes, and the other genotypes around {gene_id} have no phase. Phase them."
        )
    if config.absent == "reference":
        others = np.where(window.found.reshape(-1, *[1] * (others.ndim - 1)), others, 0)
    at_home = (window.home.haplotypes(gene_id) if phased else window.home.dosages(gene_id))[:, train]
    values = values[extra]
    turned = values[exchanged]
    values[exchanged] = np.where(turned < 0, -1, (1 if phased else 2) - turned)
    nobody = np.full((extra.size, *at_home.shape[1:]), -1, dtype=np.int8)
    return np.concatenate(
        [np.concatenate([at_home, others], axis=1), np.concatenate([nobody, values], axis=1)], axis=0
    ).astype(np.int8)
