"""Predictions of networks for the individuals of another cohort, from their own sequences.

Their sequences hold all of their variants in the window, also those that the run's cohort lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Int64
from numpy import ndarray
from torch import Tensor

from varfx.device import find_device
from varfx.errors import DataError
from varfx.expression.cohort.store import window_start
from varfx.expression.network.fit import open_network
from varfx.expression.network.sequences import WindowSequences, WindowVariants
from varfx.expression.run import ExpressionRun, training_fold
from varfx.expression.transfer.config import TransferConfig
from varfx.expression.transfer.linear import KeyedValues
from varfx.expression.transfer.window import MatchedWindow, oriented_extra
from varfx.genome.fasta import CODE_OF
from varfx.training.people.predict import predict


def network_predictions(
    run: ExpressionRun, window: MatchedWindow, folds: Sequence[int], config: TransferConfig
) -> KeyedValues:
    """Adjusted expression of the other individuals by model and fold; missing genotypes as at home.

    Raises:
        DataError: the network reads haplotypes and the other genotypes have none.
    """
    if run.record["config"].get("indels"):
        raise DataError(
            f"the networks of `{run.path}` were fitted on sequences with indels, which other genotypes are not read with. Fit "
            "without --indels to predict elsewhere."
        )
    (model,) = run.record["models"]
    device = find_device(config.device)
    found: KeyedValues = {}
    for number in folds:
        network = open_network(run, number, window.gene.gene_id).to(device)
        train = training_fold(run, window.home, number, model).train
        sequences = _sequences(window, train, network.config.window, bool(run.record["config"].get("phased")), config)
        rows = np.arange(window.region.dosages.shape[1])
        encode = partial(_encode, sequences, train.size)
        found[model, number] = predict(network, encode, rows, micro_batch=config.people_per_batch)
    return found


def _encode(sequences: WindowSequences, first: int, rows: Int64[ndarray, " individual"]) -> Tensor:
    return sequences.encode(torch.from_numpy(rows + first))


def _sequences(
    window: MatchedWindow, train: Int64[ndarray, " train"], bases: int, phased: bool, config: TransferConfig
) -> WindowSequences:
    """Sequences of the training individuals, whose mean stands for missing genotypes, and then of the others."""
    gene, variants = window.gene, window.variants
    extra, exchanged = oriented_extra(window)
    region = window.region.variants[extra]
    genotypes = _with_extra(window, train, extra, exchanged, phased, config)
    positions = np.concatenate([variants["position"].to_numpy(), region["position"].to_numpy()]).astype(np.int64)
    first = window_start(gene.tss, gene.strand, bases)
    offsets = positions - 1 - first
    ref = np.concatenate([_codes(variants["other_allele"].to_list()), _codes(region["other_allele"].to_list())])
    alt = np.concatenate([_codes(variants["effect_allele"].to_list()), _codes(region["effect_allele"].to_list())])
    turned = np.concatenate([np.zeros(variants.height, dtype=bool), exchanged])
    ref, alt = np.where(turned, alt, ref), np.where(turned, ref, alt)
    order = np.argsort(positions, kind="stable")
    order = order[(offsets[order] >= 0) & (offsets[order] < bases)]
    reference = window.home.reference(gene.gene_id)[first - gene.start :][:bases]
    return WindowSequences(
        WindowVariants(
            torch.from_numpy(reference.copy()),
            torch.from_numpy(offsets[order]),
            torch.from_numpy(ref[order]),
            torch.from_numpy(alt[order]),
            gene.strand,
        ),
        torch.from_numpy(np.ascontiguousarray(np.moveaxis(genotypes[order], 0, -1))),
        device=find_device(config.device),
        missing="mean",
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


def _codes(alleles: Sequence[str]) -> ndarray:
    return CODE_OF[np.frombuffer("".join(alleles).encode(), dtype=np.uint8)]
