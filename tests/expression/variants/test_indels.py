"""A network on sequences with indels: what it trains on, its predictions, effects of indels, and one line for each mistake."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import safetensors.torch
import torch

from cases.cohort import small_cohort
from cases.donors import write_fasta
from cases.indels import files
from varfx.errors import ConfigError, DataError
from varfx.expression.cohort.store import Cohort, open_cohort
from varfx.expression.network.batches import CohortBatches, gene_sequences
from varfx.expression.network.config import FitConfig
from varfx.expression.network.fit import fit_network
from varfx.expression.network.indels import indel_files
from varfx.expression.network.opened import OpenNetworks, open_network
from varfx.expression.run import ExpressionRun
from varfx.expression.variants.indels import score_indels
from varfx.expression.variants.score import VariantConfig, score_variants
from varfx.expression.variants.table import as_annotations
from varfx.models.expression import ExpressionNetworkConfig
from varfx.training.people.config import ExpressionTrainConfig

NETWORK = ExpressionNetworkConfig(
    window=128, width=24, depth=1, num_downsamples=4, dropout=0, attention_dropout=0, position_dropout=0, norm="running"
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """One gene per strand; missing genotypes too."""
    folder = tmp_path_factory.mktemp("indels")
    return open_cohort(small_cohort(folder, window=128, people=20, genes=2, missing=0.1, heldout_fraction=0))


def test_without_indels_sequences_are_those_of_the_cohort(home: Cohort) -> None:
    source = indel_files(home, *files(home, indels=False))
    plain, with_files = (CohortBatches(home, home.genes_train, 0, indels=each) for each in (None, source))
    rows = np.arange(20)
    for gene in range(2):
        torch.testing.assert_close(with_files.encode(gene, rows, CPU), plain.encode(gene, rows, CPU), rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def run(home: Cohort) -> ExpressionRun:
    genotypes, genome = files(home, indels=True)
    training = ExpressionTrainConfig(epochs=1, learning_rate=1e-2)
    config = FitConfig(network=NETWORK, training=training, indels=genotypes, reference=genome)
    return fit_network(home.path, home.path.parent / "RUN", config)


def test_predictions_and_effects_are_of_spelled_sequences(home: Cohort, run: ExpressionRun) -> None:
    network = open_network(run, 0)
    scores = score_variants(run.path, VariantConfig(indels=True))
    for gene_id in home.genes_train:
        gene, rows = home.gene(gene_id), home.fold(0).test
        mine = run.predictions.filter((pl.col("gene_id") == gene_id) & (pl.col("part") == "test"))
        data = CohortBatches(home, (gene_id,), 0, indels=indel_files(home, *files(home, indels=True)))
        x = data.encode(0, rows, CPU)
        assert (x - gene_sequences(home, gene_id, missing="mean").encode(rows)).abs().max() > 0.4
        with torch.no_grad():
            np.testing.assert_allclose(mine["prediction"].to_numpy(), network(x).numpy(), rtol=1e-5, atol=1e-6)
        text = "A" * 300 + "".join(np.array(list("ACGT"))[home.reference(gene_id)]) + "A" * 300
        tss = 300 + gene.tss - 1 - gene.start  # in the text
        changed = {
            gene.tss + 5: text[: tss + 6] + "GG" + text[tss + 6 :],
            gene.tss - 9: text[: tss - 8] + text[tss - 6 :],
        }
        anchors = {gene.tss + 5: tss, gene.tss - 9: tss - 2}
        table = scores.table.filter((pl.col("gene_id") == gene_id) & pl.col("high_scoring").not_())
        for position, other in changed.items():
            values = []
            for haplotype, anchor in ((other, anchors[position]), (text, tss)):
                first = anchor - (64 if gene.strand == "+" else 63)
                one_hot = np.eye(4, dtype=np.float32)[["ACGT".index(base) for base in haplotype[first : first + 128]]]
                x = torch.tensor((one_hot if gene.strand == "+" else one_hot[::-1, ::-1]).copy())
                with torch.no_grad():
                    values.append(float(network(x[None])[0]))
            lengths = pl.col("effect_allele").str.len_bytes() + pl.col("other_allele").str.len_bytes()
            row = table.filter((pl.col("position") == position) & (lengths > 2))
            assert row["ism"][0] == pytest.approx(values[0] - values[1], abs=1e-5)
            assert row["weight"][0] == pytest.approx(row["ism"][0] / 2)
    annotations = as_annotations(scores.table, scores.variants, rule="variformer").table
    assert annotations.height == home.variants.height + 4
    assert annotations.filter(pl.col("effect_allele").str.len_bytes() > 1)["ism"].null_count() == 0


def test_a_network_is_read_once_for_all_genes(
    home: Cohort, run: ExpressionRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, plain = [], safetensors.torch.load_file
    monkeypatch.setattr(safetensors.torch, "load_file", lambda path: read.append(path) or plain(path))
    in_double = score_indels(run, home, home.genes_train, fold=0, float64=True)
    assert len(read) == 1
    pieces = [score_indels(run, home, [gene], fold=0, float64=True) for gene in home.genes_train]
    assert in_double.equals(pl.concat(pieces))
    networks = OpenNetworks(run)
    first = networks.of(0, home.genes_train[0]).double()
    assert networks.of(0, home.genes_train[1]) is first
    assert first.head.weight.dtype == torch.float32


def test_mistakes(home: Cohort, run: ExpressionRun, tmp_path: Path) -> None:
    genotypes, genome = files(home, indels=True)
    with pytest.raises(ConfigError, match="`indels` needs `reference`"):
        FitConfig(indels=genotypes)
    with pytest.raises(ConfigError, match="`reference` is for `indels`"):
        FitConfig(reference=genome)
    with pytest.raises(ConfigError, match="is not for sequences with indels"):
        FitConfig(indels=genotypes, reference=genome, training=ExpressionTrainConfig(max_shift=2))
    other = write_fasta(tmp_path / "o.fa", {"chr21": "C" * 200_000, "chr22": "C" * 200_000})
    source = indel_files(home, genotypes, other)
    with pytest.raises(DataError, match=r"`.*o\.fa` is not the genome that `.*` was prepared with"):
        CohortBatches(home, home.genes_train, 0, indels=source).encode(0, np.arange(2), CPU)
    plain = fit_network(
        home.path, tmp_path / "PLAIN", FitConfig(network=NETWORK, training=ExpressionTrainConfig(epochs=1))
    )
    with pytest.raises(ConfigError, match=r"has read no indels\. Fit a network with `varfx expr fit --indels`"):
        score_variants(plain.path, VariantConfig(indels=True))
