"""Trained networks of a run, opened for predictions: one (`open_network`), or each once for many genes (`OpenNetworks`)."""

from __future__ import annotations

import safetensors.torch
import torch

from varfx.errors import DataError
from varfx.expression.network.fit_one import new_network
from varfx.expression.network.tasks import network_stem
from varfx.expression.run import MODELS, NETWORK, ExpressionRun
from varfx.models.coverage import CoverageNetwork, GeneTotals, Predictor
from varfx.models.expression import ExpressionNetwork
from varfx.models.expression_config import ExpressionNetworkConfig


def open_network(run: ExpressionRun, fold: int, gene_id: str | None = None) -> Predictor:
    """A trained network of a run, in evaluation mode on the CPU; it maps sequences to one value per individual.

    Args:
        run: of kind "expression network".
        fold: number of the fold.
        gene_id: of a run with a network for each gene, or of coverage, whose exons it names; not looked at otherwise.

    Raises:
        DataError: the run is of another kind, or has no such network.
    """
    return _for_gene(run, _loaded(run, fold, gene_id), fold, gene_id)


def shared_network(run: ExpressionRun) -> bool:
    """True if a fold's genes have one network that reads them all alike; false of single genes' and of coverage, whose exons differ."""
    config = run.record["config"]
    return run.kind == NETWORK and not config["single_gene"] and not config["network"].get("coverage_tracks")


class OpenNetworks:
    """Networks of a run for many genes; each file is read once per fold, with single-gene networks once per gene.

    Held in memory are the networks of all folds asked for; of single-gene networks those of the last gene.

    Args:
        run: of `varfx expr fit`.
        device: where the networks are held.
    """

    def __init__(self, run: ExpressionRun, device: torch.device | str = "cpu") -> None:
        self._run, self._device = run, device
        self._held: dict[tuple[int, str | None], ExpressionNetwork] = {}

    def of(self, fold: int, gene_id: str) -> Predictor:
        """The network of a fold and gene, in float32 and evaluation mode.

        Raises:
            DataError: the run has no such network.
        """
        own = gene_id if self._run.record["config"].get("single_gene") else None
        self._held = {key: network for key, network in self._held.items() if key[1] == own}
        if (fold, own) not in self._held:
            self._held[fold, own] = _loaded(self._run, fold, gene_id).to(self._device)
        return _for_gene(self._run, self._held[fold, own], fold, gene_id).to(self._device).float()


def _loaded(run: ExpressionRun, fold: int, gene_id: str | None) -> ExpressionNetwork:
    """The network of a file of weights."""
    if run.kind != NETWORK:
        raise DataError(f"`{run.path}` holds {run.kind}, where a run of `varfx expr fit` is needed.")
    stem = network_stem(fold, gene_id if run.record["config"]["single_gene"] else None)
    path = run.path / MODELS / f"{stem}.safetensors"
    if not path.is_file():
        stems = sorted(file.stem for file in (run.path / MODELS).iterdir())
        raise DataError(f"`{run.path}` has no network {stem}; it has {len(stems)}, first {stems[0]}.")
    network = new_network(ExpressionNetworkConfig(**run.record["config"]["network"]))
    network.load_state_dict(safetensors.torch.load_file(path))
    return network


def _for_gene(run: ExpressionRun, network: ExpressionNetwork, fold: int, gene_id: str | None) -> Predictor:
    """The network in evaluation mode; of coverage with the gene's exons."""
    if isinstance(network, CoverageNetwork):
        return _gene_totals(run, network, fold, gene_id).eval()
    return network.eval()


def _gene_totals(run: ExpressionRun, network: CoverageNetwork, fold: int, gene_id: str | None) -> GeneTotals:
    """A gene's expression from a coverage network."""
    for each in run.record["coverage"]:
        if each["fold"] == fold and each["gene_id"] == gene_id:
            bins = torch.zeros(network.config.trunk().num_bins(network.config.window), dtype=torch.bool)
            bins[each["bins"]] = True
            return GeneTotals(network, bins, each["mean"], each["spread"], each["clip"])
    raise DataError(
        f"`{run.path}` predicts coverage, and has none of gene {gene_id} in fold {fold}. Name one of its genes."
    )
