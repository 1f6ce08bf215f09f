"""What a network sees around a variant: gradients of either allele, and mutagenesis of every base near by."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Float64
from numpy import ndarray

from varfx.errors import DataError
from varfx.expression.cohort.store import Cohort
from varfx.expression.evaluate import cohort_of
from varfx.expression.network.batches import gene_sequences
from varfx.expression.network.opened import OpenNetworks
from varfx.expression.network.sequences import WindowSequences, WindowVariants
from varfx.expression.run import open_run
from varfx.expression.variants.gradients import gradient_times_input
from varfx.expression.variants.ism import window_mutagenesis
from varfx.models.coverage import Predictor
from varfx.models.full_precision import full_precision

LETTERS = "ACGTN"


@dataclass(frozen=True, eq=False)
class Around:
    """Attributions around a variant, along the gene's strand.

    Attributes:
        first: of the first base, from the variant's.
        ref: the bases with the reference's allele.
        alt: with the other one.
        gradient_ref: gradient times input at each base of `ref`.
        gradient_alt: of `alt`.
        mutagenesis: minus the mean effect of the three other bases at each place of `ref`: positive where the base raises the prediction.
        effect: of the variant, homozygous.
    """

    first: int
    ref: str
    alt: str
    gradient_ref: Float64[ndarray, " base"]
    gradient_alt: Float64[ndarray, " base"]
    mutagenesis: Float64[ndarray, " base"]
    effect: float

    @property
    def marked(self) -> int:
        """Place of the variant's base."""
        return -self.first


def around_variant(
    network: Predictor, cohort: Cohort, gene_id: str, position: int, alt: str, *, flank: int = 20
) -> Around:
    """Attributions within `flank` bases of a single-nucleotide variant.

    Args:
        network: in evaluation mode.
        cohort: with the gene.
        gene_id: the gene.
        position: of the variant, 1-based.
        alt: its allele on the forward strand.
        flank: bases on either side, fewer at the window's ends.

    Raises:
        DataError: the variant lies outside the network's window, or its allele is no base.
    """
    gene = cohort.gene(gene_id)
    sequences = gene_sequences(cohort, gene_id, network.head.weight.device, window=network.config.window)
    centre = cohort.window // 2
    along = position - gene.tss if gene.strand == "+" else gene.tss - position
    place = network.config.window // 2 + along
    if not 0 <= place < sequences.length or alt not in "ACGT" or len(alt) != 1:
        raise DataError(
            f"{gene_id}: the variant at {position} is no base of the network's window (of {2 * centre} bases)."
        )
    code = LETTERS.index(alt) if gene.strand == "+" else 3 - LETTERS.index(alt)
    reference = sequences.reference()
    codes = torch.where(reference.sum(dim=1) > 0, reference.argmax(dim=1), 4).cpu()
    low, high = max(0, place - flank), min(sequences.length, place + flank + 1)
    changed = reference.clone()
    changed[place] = torch.eye(4, dtype=reference.dtype, device=reference.device)[code]
    with full_precision(network):
        gradients = [
            gradient_times_input(network, x[None].to(network.head.weight)).sum(dim=1).double().cpu().numpy()[low:high]
            for x in (reference, changed)
        ]
    loss, effect = _mutagenesis(network, codes, low, high, place, code)
    bases = [LETTERS[int(each)] for each in codes[low:high]]
    other = bases.copy()
    other[place - low] = LETTERS[code]
    return Around(
        first=low - place,
        ref="".join(bases),
        alt="".join(other),
        gradient_ref=gradients[0],
        gradient_alt=gradients[1],
        mutagenesis=loss,
        effect=effect,
    )


def _mutagenesis(
    network: Predictor, codes: torch.Tensor, low: int, high: int, place: int, code: int
) -> tuple[Float64[ndarray, " base"], float]:
    """Mutagenesis of all bases of a stretch, and the effect of one of the changes."""
    known = [where for where in range(low, high) if int(codes[where]) < 4]
    offsets = torch.tensor([where for where in known for _ in range(3)])
    ref = codes[offsets].to(torch.uint8)
    alt = torch.tensor(
        [other for where in known for other in range(4) if other != int(codes[where])], dtype=torch.uint8
    )
    window = WindowVariants(codes.to(torch.uint8), offsets, ref, alt, "+")  # oriented already
    nobody = torch.zeros(1, offsets.shape[0], dtype=torch.int8)
    found = window_mutagenesis(network, WindowSequences(window, nobody, device=network.head.weight.device)).effect
    loss = np.zeros(high - low)
    loss[np.array(known) - low] = -found.reshape(-1, 3).mean(axis=1)
    mine = (offsets == place) & (alt == code)
    return loss, float(found[mine.numpy()][0]) if bool(mine.any()) else 0.0


def around_top(
    run: str | os.PathLike[str], cohort: str | os.PathLike[str] | None, table: pl.DataFrame, count: int
) -> Iterator[tuple[dict[str, Any], Around]]:
    """Attributions around the variants with the largest |score|, one per gene, with their rows of the table.

    Args:
        run: of `varfx expr fit`.
        cohort: where its cohort lies, if it moved.
        table: columns of `varfx.expression.variants.table.LONG_SCHEMA`.
        count: how many genes.

    Raises:
        DataError: the run is no network.
    """
    opened = open_run(run)
    people = cohort_of([opened], cohort)
    best = table.sort(pl.col("weight").abs(), descending=True).unique("gene_id", keep="first", maintain_order=True)
    networks = OpenNetworks(opened)
    for row in best.head(count).iter_rows(named=True):
        network = networks.of(row["fold"], row["gene_id"])
        yield row, around_variant(network, people, row["gene_id"], row["position"], row["effect_allele"])
