"""Borzoi, Flashzoi and the choices of a fit: runs that are left, variant scores, controls, and one line for each mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from cases.cohort import small_cohort
from varfx.errors import ConfigError, DataError, FormatError
from varfx.expression.cohort.store import open_cohort
from varfx.expression.network.batches import gene_sequences
from varfx.expression.network.config import FitConfig, NetworkChoice
from varfx.expression.network.fit import fit_network
from varfx.expression.network.opened import open_network
from varfx.expression.network.reference_only import ReferenceGenes
from varfx.expression.variants.ism import window_mutagenesis
from varfx.expression.variants.score import VariantConfig, score_variants
from varfx.models.expression import ExpressionNetwork, ExpressionNetworkConfig
from varfx.training.people.config import ExpressionTrainConfig
from varfx.training.people.module import ExpressionModule, mean_correlation
from varfx.training.people.pairwise import ResidualSums
from varfx.training.people.threads import flops_per_individual, threads_for

BORZOI = ExpressionNetworkConfig(
    model="borzoi", window=256, width=24, depth=1, num_downsamples=4, dropout=0, attention_dropout=0, position_dropout=0,
    norm="running", pooling="attention", pooled_bins=5,
)  # fmt: skip
TRAINING = ExpressionTrainConfig(epochs=1, learning_rate=1e-3)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_cohort(
        tmp_path_factory.mktemp("cohort"), window=256, people=24, genes=6, phased=True, normalise="none"
    )


def changed(config: ExpressionNetworkConfig, **changes: Any) -> ExpressionNetworkConfig:
    return ExpressionNetworkConfig(**{**config.to_json(), **changes})


def lively(config: ExpressionNetworkConfig) -> ExpressionNetwork:
    """Random weights everywhere, the head's and attention's output too."""
    network = ExpressionNetwork(config)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if not parameter.any() and "norm" not in name:
                parameter.normal_(generator=generator).mul_(0.3)
    return network.eval()


# --- runs


@pytest.fixture(scope="module")
def run(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "RUN"
    fit_network(cohort, out, FitConfig(network=BORZOI, training=TRAINING))
    return out


def test_a_borzoi_is_fitted_and_its_variants_scored(cohort: Path, run: Path) -> None:
    from varfx.expression.run import open_run

    opened = open_run(run)
    assert opened.record["models"] == ["borzoi"]
    assert opened.record["config"]["network"]["pooling"] == "attention"
    network = open_network(opened, 0)
    home = open_cohort(cohort)
    gene = home.genes_train[0]
    rows = opened.predictions.filter(opened.predictions["gene_id"] == gene)
    places = [home.people.index(name) for name in rows["person"]]
    x = gene_sequences(home, gene, missing="mean", mean_of=home.fold(0).train.tolist()).encode(places)
    with torch.no_grad():
        np.testing.assert_allclose(rows["prediction"].to_numpy(), network(x).numpy(), rtol=1e-5, atol=1e-6)
    scores = score_variants(run, VariantConfig(genes=(gene,)))
    assert np.isfinite(scores.table["ism"].to_numpy()).all()


@pytest.mark.parametrize("model", ["borzoi", "flashzoi"])
@pytest.mark.parametrize("pooling", ["bin", "attention"])
def test_effects_are_those_of_whole_passes(cohort: Path, model: Any, pooling: Any) -> None:
    home = open_cohort(cohort)
    network = lively(changed(BORZOI, model=model, pooling=pooling))
    sequences = gene_sequences(home, home.genes_train[1])
    found = window_mutagenesis(network, sequences, variants_per_pass=5)
    reference = sequences.reference()
    with torch.no_grad():
        for place, alt, effect in zip(sequences.offsets, sequences.alt_code, found.effect, strict=True):
            x = reference.clone()
            x[place] = torch.eye(4)[alt]
            expected = float(network(x[None])[0] - network(reference[None])[0])
            assert effect == pytest.approx(expected, abs=1e-5)
    assert np.abs(found.effect).max() > 1e-4


def test_attention_reads_bins_of_enformer_too_and_mutagenesis_stays_local(cohort: Path) -> None:
    home = open_cohort(cohort)
    sizes = ExpressionNetworkConfig(
        window=256, width=24, depth=1, num_downsamples=4, pooling="attention", pooled_bins=3
    )
    network = lively(sizes)
    assert (sizes.rows, sizes.readout) == (slice(7, 10, 1), 8)
    sequences = gene_sequences(home, home.genes_train[0])
    x = sequences.encode([0, 1])
    with torch.no_grad():
        embedding = network.trunk.embed(x)[:, 7:10]
        assert network.pool is not None
        weights = (embedding @ network.pool.weight[0] + network.pool.bias).softmax(dim=1)
        expected = torch.einsum("nb,nbc,c->n", weights, embedding, network.head.weight[0]) + network.head.bias
        torch.testing.assert_close(network(x), expected, rtol=1e-5, atol=1e-5)
        found = window_mutagenesis(network, sequences).effect
        changed_base = sequences.reference().clone()
        changed_base[sequences.offsets[2]] = torch.eye(4)[sequences.alt_code[2]]
        pair = network(torch.stack([sequences.reference(), changed_base]))
        assert found[2] == pytest.approx(float(pair[1] - pair[0]), abs=1e-5)


@pytest.mark.parametrize("model", ["enformer", "borzoi", "flashzoi"])
def test_adapters_start_as_nothing_and_alone_learn(model: Any) -> None:
    plain = lively(changed(BORZOI, model=model, norm="frozen", heads=2))
    sizes = changed(plain.config, lora_rank=2, locon_rank=3)
    adapted = ExpressionNetwork(sizes, trunk=None).eval()
    x = torch.eye(4)[torch.randint(4, (2, 256), generator=torch.Generator().manual_seed(1))]
    tensors = {}
    for name in adapted.state_dict():  # the plain network's weights, under the adapters' names
        source = name.replace(".base.", ".")
        tensors[name] = plain.state_dict().get(source, adapted.state_dict()[name])
    adapted.load_state_dict(tensors)
    torch.testing.assert_close(adapted(x), plain(x), rtol=1e-5, atol=1e-6)
    learning = {name for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    assert all(name.endswith((".up", ".down")) or name.startswith(("head.", "pool.")) for name in learning)
    assert sum(name.endswith(".up") for name in learning) >= 6
    adapted(x).sum().backward()
    grown = [p.grad for name, p in adapted.named_parameters() if name.endswith(".up")]
    assert all(gradient is not None and gradient.abs().max() > 0 for gradient in grown)


def test_a_checkpoint_of_borzoi_is_where_training_starts(cohort: Path, tmp_path: Path) -> None:
    from varfx.models.expression import load_network, make_trunk

    sizes = changed(BORZOI, norm="frozen")
    safetensors.torch.save_file(
        make_trunk(sizes, torch.Generator().manual_seed(5)).state_dict(), tmp_path / "b.safetensors"
    )
    loaded = load_network(tmp_path / "b.safetensors", sizes)
    expected = make_trunk(sizes, torch.Generator().manual_seed(5)).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in loaded.network.trunk.state_dict().items())
    with pytest.raises(
        FormatError, match=r"does not exist\. Download `model\.safetensors` of the model johahi/flashzoi"
    ):
        load_network(tmp_path / "none", changed(sizes, model="flashzoi"))


def test_published_sizes_with_a_checkpoint() -> None:
    sizes = NetworkChoice(model="borzoi").sizes(random=False, window=196_608, gpu=False)
    trunk = sizes.trunk()
    assert (sizes.width, sizes.depth, sizes.dropout, sizes.norm) == (1536, 8, 0.2, "frozen")
    assert trunk.num_bins(sizes.window) == 6144
    assert sizes.readout == 3072


# --- the control and the choices of training


def test_reference_only_learns_means_of_genes(cohort: Path, tmp_path: Path) -> None:
    home = open_cohort(cohort)
    genes = list(home.genes_train)
    data = ReferenceGenes(home, genes[:3], genes[3:], 0, 256, seed=0)
    values = home.expression()[[home.gene_row(gene) for gene in genes]][:, home.fold(0).train]
    means = np.log2(values.astype(float) + 2).mean(axis=1)
    expected = (means - means[:3].mean()) / means[:3].std()
    np.testing.assert_allclose(data.targets(0, np.arange(len(genes))).numpy(), expected, rtol=1e-5)
    x = data.encode(0, np.array([2, 0]), torch.device("cpu"))
    assert torch.equal(x[0], gene_sequences(home, genes[2]).reference())
    run = fit_network(
        cohort,
        tmp_path / "RUN",
        FitConfig(network=BORZOI, training=TRAINING, reference_only=True, tune_genes=tuple(genes[3:])),
    )
    assert run.record["config"]["training"]["loss"] == "mse"
    assert run.record["tune_genes"] == genes[3:]
    assert set(run.predictions.filter(run.predictions["split"] == "hop")["gene_id"]) == set(genes[:3])


def test_reference_only_refuses_normalised_expression(tmp_path: Path) -> None:
    home = open_cohort(small_cohort(tmp_path, window=128, people=20, genes=8))
    object.__setattr__(home, "_expression", home.expression() - 9)
    with pytest.raises(DataError, match=r"genes have expression below 0, first ENSG.* --normalise none"):
        ReferenceGenes(home, home.genes_train, (), 0, 128, seed=0)


def test_genes_to_stop_by_decide_by_their_correlation(cohort: Path) -> None:
    from varfx.expression.network.batches import CohortBatches

    home = open_cohort(cohort)
    genes = home.genes_train
    network = lively(BORZOI)
    data, tuning = CohortBatches(home, genes[:2], 0), CohortBatches(home, genes[2:4], 0)
    score = ExpressionModule(network, data, TRAINING, tuning).tune_score()
    rows, found = home.fold(0).tune, []
    for gene in range(2):
        with torch.no_grad():
            predicted = network(tuning.encode(gene, rows, torch.device("cpu"))).numpy()
        found.append(np.corrcoef(predicted, tuning.targets(gene, rows).numpy())[0, 1])
    assert score == pytest.approx(np.mean(found), abs=1e-5)
    assert mean_correlation([(np.ones(3), np.arange(3.0)), (np.arange(3.0), np.arange(3.0))]) == pytest.approx(0.5)


@pytest.mark.parametrize(("loss", "weights"), [("mse", (1.0, 0.0)), ("pairwise", (0.0, 1.0))])
def test_a_component_of_the_loss_alone(loss: Any, weights: tuple[float, float]) -> None:
    assert ExpressionTrainConfig(loss=loss).loss_weights == weights
    e = torch.tensor([0.5, -1.0, 2.0, 0.25], dtype=torch.float64, requires_grad=True)
    pairs = torch.stack([(e[i] - e[j]).square() for i in range(4) for j in range(i)]).mean()
    expected = weights[0] * e.square().mean() + weights[1] * pairs
    (slope,) = torch.autograd.grad(expected, e)
    sums = ResidualSums.of(e, weights=weights)
    assert sums.loss == pytest.approx(float(expected.detach()), rel=1e-12)
    torch.testing.assert_close(sums.gradient(e), slope)


def test_threads_follow_the_work() -> None:
    small, large = (ExpressionNetwork(changed(BORZOI, window=256 * size)) for size in (1, 16))
    assert 12 < flops_per_individual(large) / flops_per_individual(small) < 20
    assert threads_for(small, 4, 64) == 1
    assert threads_for(large, 1000, 64) > 8
    assert threads_for(large, 10**9, 64) == 64


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: changed(BORZOI, window=250), "`window` must be a multiple of 16 bases for borzoi, got 250. Take 240"),
        (lambda: changed(BORZOI, pooled_bins=65), "`pooled-bins` must be at most the window's 64 bins, got 65"),
        (
            lambda: changed(BORZOI, gamma_scale="distance"),
            "`gamma-scale` is of Enformer's position functions, which borzoi",
        ),
        (lambda: changed(BORZOI, model="basenji"), "`model` must be one of enformer, borzoi, flashzoi"),
        (
            lambda: changed(BORZOI, locon_rank=2, freeze_trunk=True),
            "`freeze-trunk` and `locon-rank` exclude each other",
        ),
        (lambda: ExpressionTrainConfig(loss="huber"), "`loss` must be both, mse or pairwise"),  # type: ignore[arg-type]
        (lambda: FitConfig(single_gene=True, reference_only=True), "`reference-only` is for a network of many genes"),
        (lambda: FitConfig(reference_only=True, training=ExpressionTrainConfig(loss="pairwise")), "its loss is mse"),
    ],
)
def test_mistakes(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
