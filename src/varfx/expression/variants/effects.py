"""`ModelEffects`: effects of the variants of genes' windows by one model: mutagenesis of a network, weights of a linear model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64
from numpy import ndarray

from varfx.device import find_device
from varfx.expression.cohort.store import Cohort, GeneWindow, window_start
from varfx.expression.network.batches import gene_sequences
from varfx.expression.network.opened import OpenNetworks, shared_network
from varfx.expression.run import NETWORK, ExpressionRun
from varfx.expression.variants.config import VariantConfig
from varfx.expression.variants.gradients import people_attribution, reference_attributions
from varfx.expression.variants.ism import windows_mutagenesis
from varfx.expression.weights import aligned_weights
from varfx.models.coverage import Predictor

GENES_PER_PASS = 16  # on a GPU


@dataclass(frozen=True, eq=False)
class Effects:
    """A model's effects of the variants of a window; NaN where it has none.

    Attributes:
        reference: the prediction for the reference.
        weight: per copy of ALT.
        ism: homozygous effects by mutagenesis.
        gradient: standardised attribution on the reference.
        people_gradient: the same on test individuals' sequences.
    """

    reference: float
    weight: Float64[ndarray, " variant"]
    ism: Float64[ndarray, " variant"]
    gradient: Float64[ndarray, " variant"]
    people_gradient: Float64[ndarray, " variant"]


def groups(run: ExpressionRun, config: VariantConfig, genes: Sequence[str]) -> list[tuple[str, ...]]:
    """Genes by the passes that their variants share."""
    size = 1
    if shared_network(run):
        gpu = find_device(config.device).type == "cuda"
        size = config.genes_per_pass or (GENES_PER_PASS if gpu else 1)
    return [tuple(genes[first : first + size]) for first in range(0, len(genes), size)]


class ModelEffects:
    """One model and fold of a run; a network that genes share is opened once.

    Args:
        run: of `varfx expr fit` or `varfx expr baseline`.
        cohort: its cohort.
        config: fold and methods.
        model: of the run.

    Attributes:
        window: bases that a network reads; None of linear models, whose window is the cohort's.
    """

    window: int | None

    def __init__(self, run: ExpressionRun, cohort: Cohort, config: VariantConfig, model: str) -> None:
        self._run, self._cohort, self._config, self._model = run, cohort, config, model
        self.window = int(run.record["config"]["network"]["window"]) if run.kind == NETWORK else None
        self._networks = OpenNetworks(run, find_device(config.device)) if run.kind == NETWORK else None

    def of(self, genes: Sequence[str]) -> list[Effects]:
        """Effects of the variants of each gene's window, of genes that stand together in `groups`."""
        if self._networks is None:
            return [self._linear(gene_id) for gene_id in genes]
        return self._of_network(self._networks.of(self._config.fold, genes[0]), genes)

    def _of_network(self, network: Predictor, genes: Sequence[str]) -> list[Effects]:
        config, fold, device = self._config, self._cohort.fold(self._config.fold), find_device(self._config.device)
        train, test = fold.train.tolist(), fold.test.tolist()
        sequences = [
            gene_sequences(self._cohort, gene_id, device, window=self.window, mean_of=train) for gene_id in genes
        ]
        places = [each.offsets.cpu().numpy() for each in sequences]
        gradients = averaged = [np.full(each.size, np.nan) for each in places]
        if config.gradients != "none":
            found = reference_attributions(network, sequences)
            gradients = [gradient[where] for gradient, where in zip(found, places, strict=True)]
        if config.gradients == "people":
            averaged = [
                people_attribution(network, each, test)[where] for each, where in zip(sequences, places, strict=True)
            ]
        network = network.double() if config.float64 else network
        effects = windows_mutagenesis(network, sequences, variants_per_pass=config.variants_per_pass)
        return [
            Effects(each.reference, each.effect / 2, each.effect, *beside)
            for each, *beside in zip(effects, gradients, averaged, strict=True)
        ]

    def _linear(self, gene_id: str) -> Effects:
        weights, intercepts = self._run.weights, self._run.intercepts
        assert weights is not None
        assert intercepts is not None
        variants, _ = self._cohort.window_variants(gene_id)
        mine = (pl.col("gene_id") == gene_id) & (pl.col("model") == self._model) & (pl.col("fold") == self._config.fold)
        intercept = intercepts.filter(mine)["intercept"]
        weight = aligned_weights(variants, weights.filter(mine))
        nothing = np.full(variants.height, np.nan)
        if not len(intercept):  # left out of the fit, e.g. as constant
            return Effects(float("nan"), nothing, nothing, nothing, nothing)
        return Effects(float(intercept[0]), weight, nothing, nothing, nothing)


def inside_window(gene: GeneWindow, variants: pl.DataFrame, window: int) -> Bool[ndarray, " variant"]:
    """Variants in a network's window around the TSS, which may be shorter than the cohort's."""
    offset = variants["position"].to_numpy() - 1 - window_start(gene.tss, gene.strand, window)
    return np.asarray((offset >= 0) & (offset < window))
