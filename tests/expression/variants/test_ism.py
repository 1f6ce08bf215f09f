"""In-silico mutagenesis: equal to two whole passes, the right base on either strand, and what a linear model must give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cases.cohort import small_cohort
from cases.local_attention import changed_sequences, enliven, lively, sequence
from varfx.errors import ConfigError, DataError
from varfx.expression.cohort.store import Cohort, open_cohort
from varfx.expression.network.batches import gene_sequences
from varfx.expression.network.sequences import WindowSequences, WindowVariants
from varfx.expression.variants.ism import Mutagenesis, mutagenesis, window_mutagenesis, windows_mutagenesis
from varfx.models.enformer import AttentionPool, SigmoidGELU
from varfx.models.expression import ExpressionNetwork, ExpressionNetworkConfig

COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A"}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return open_cohort(small_cohort(tmp_path_factory.mktemp("ism"), window=1024))


def network(**changes: Any) -> ExpressionNetwork:
    options = {"window": 1024, "width": 48, "depth": 2, "num_downsamples": 5, **changes}
    model = ExpressionNetwork(ExpressionNetworkConfig(**options))
    generator = torch.Generator().manual_seed(9)
    enliven(model, generator)
    with torch.no_grad():
        model.head.weight.normal_(generator=generator).mul_(2)
        model.head.bias.fill_(0.3)
    return model.eval()


def oracle(model: ExpressionNetwork, cohort: Cohort, gene_id: str) -> tuple[float, np.ndarray]:
    """Prediction for the reference and effects from letters, one whole float64 pass per variant."""
    gene = cohort.gene(gene_id)
    variants, _ = cohort.window_variants(gene_id)
    letters = np.array(list("ACGTN"))[cohort.reference(gene_id)]

    def predict(text: np.ndarray) -> float:
        oriented = text if gene.strand == "+" else np.array([COMPLEMENT[letter] for letter in text[::-1]])
        x = torch.tensor(oriented[:, None] == np.array(list("ACGT"))).double()
        return float(model(x[None]))

    model = model.double()
    reference = predict(letters)
    effects = []
    for position, ref, alt in variants.select("position", "other_allele", "effect_allele").iter_rows():
        text = letters.copy()
        assert text[position - 1 - gene.start] == ref
        text[position - 1 - gene.start] = alt
        effects.append(predict(text) - reference)
    model.float()
    return reference, np.array(effects)


@pytest.mark.parametrize("gene", ["ENSG00000000000", "ENSG00000000001"], ids=["plus", "minus"])
@torch.no_grad()
def test_every_variant_of_a_window_on_both_strands(cohort: Cohort, gene: str) -> None:
    model = network()
    found = window_mutagenesis(model, gene_sequences(cohort, gene, missing="reference"), variants_per_pass=5)
    reference, effects = oracle(model, cohort, gene)
    assert np.abs(effects).max() > 3e-4
    assert found.reference == pytest.approx(reference, abs=1e-5)
    np.testing.assert_allclose(found.effect, effects, rtol=0, atol=1e-5)
    exact = window_mutagenesis(model.double(), gene_sequences(cohort, gene, missing="reference"))
    np.testing.assert_allclose(exact.effect, effects, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "double"), [("enformer", False), ("enformer", True), ("shallow", True), ("borzoi", True)]
)
def test_passes_of_many_genes_equal_one_gene_after_the_other(cohort: Cohort, kind: str, double: bool) -> None:
    changes = {
        "shallow": {"depth": 1, "pooling": "attention"},
        "borzoi": {"model": "borzoi", "num_downsamples": 6, "depth": 1},
    }
    """In float32 to the bound that a gene alone keeps to float64 above: passes of another size round as much."""
    model = network(**changes.get(kind, {}))
    model = model.double() if double else model
    genes = cohort.genes["gene_id"].to_list()
    sequences = [gene_sequences(cohort, gene, missing="reference") for gene in genes]
    together = windows_mutagenesis(model, sequences, variants_per_pass=7)
    for each, found in zip(sequences, together, strict=True):
        alone = window_mutagenesis(model, each)
        assert np.abs(alone.effect).max() > 1e-5
        tolerance = 1e-10 if double else 1e-5
        assert found.reference == pytest.approx(alone.reference, abs=tolerance)
        np.testing.assert_allclose(found.effect, alone.effect, rtol=0, atol=tolerance)


def test_a_window_without_variants_among_others(cohort: Cohort) -> None:
    model = network().double()
    one, two = (gene_sequences(cohort, gene, missing="reference") for gene in cohort.genes["gene_id"][:2])
    empty = WindowSequences(
        WindowVariants(
            torch.arange(1024).remainder(4).byte(),
            *(torch.zeros(0, dtype=kind) for kind in (torch.long, torch.uint8, torch.uint8)),
            "+",
        ),
        torch.zeros(1, 0, dtype=torch.int8),
    )
    first, middle, last = windows_mutagenesis(model, [one, empty, two], variants_per_pass=64)
    assert middle.effect.shape == (0,)
    assert middle.reference == pytest.approx(float(model(empty.reference()[None].double())[0].detach()), abs=1e-12)
    for found, each in ((first, one), (last, two)):
        np.testing.assert_allclose(found.effect, window_mutagenesis(model, each).effect, rtol=0, atol=1e-10)


def test_trained_in_bfloat16_or_left_in_training_mode_is_the_same(cohort: Cohort) -> None:
    sequences = gene_sequences(cohort, cohort.genes["gene_id"][0], missing="reference")
    expected = window_mutagenesis(network(), sequences)
    model = network(precision="bfloat16", checkpointing=True, norm="running").train()
    with torch.autocast("cpu", torch.bfloat16):
        found = window_mutagenesis(model, sequences)
    assert model.training
    assert found.reference == expected.reference
    np.testing.assert_array_equal(found.effect, expected.effect)


def test_adapters_and_haplotypes_are_the_same_network_and_the_same_window(tmp_path: Path) -> None:
    phased = open_cohort(small_cohort(tmp_path, window=1024, phased=True))
    gene = phased.genes["gene_id"][1]
    plain, adapted = network(), network(lora_rank=2)
    one = window_mutagenesis(plain, gene_sequences(phased, gene, missing="reference"))
    two = window_mutagenesis(plain, gene_sequences(phased, gene, haplotypes=True, missing="reference"))
    np.testing.assert_array_equal(one.effect, two.effect)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if name.endswith(".up"):
                weight.normal_(generator=torch.Generator().manual_seed(4))
    found = window_mutagenesis(adapted, gene_sequences(phased, gene, missing="reference"))
    np.testing.assert_allclose(found.effect, oracle_effects(adapted, phased, gene), rtol=0, atol=1e-5)


@torch.no_grad()
def oracle_effects(model: ExpressionNetwork, cohort: Cohort, gene: str) -> np.ndarray:
    return oracle(model, cohort, gene)[1]


def every_third(length: int, **options: Any) -> Mutagenesis:
    trunk = lively(num_downsamples=4)
    reference, places = sequence(length), torch.arange(0, length, 3)
    weight = torch.linspace(-1, 1, 96, dtype=torch.float64)
    return mutagenesis(
        trunk,
        lambda embedding: (embedding @ weight).sum(1),
        reference,
        places,
        sequence(length, seed=7)[places],
        rows=slice(2, 5),
        **options,
    )


@torch.no_grad()
def test_three_bins_summed_as_the_zero_shot_model_reads_them() -> None:
    found = every_third(150, variants_per_pass=7)
    trunk, reference, places = lively(num_downsamples=4), sequence(150), torch.arange(0, 150, 3)
    weight = torch.linspace(-1, 1, 96, dtype=torch.float64)
    x = torch.cat([reference[None], changed_sequences(reference, places, sequence(150, seed=7)[places])])
    whole = (trunk.embed(x, slice(2, 5)) @ weight).sum(1)
    assert found.reference == pytest.approx(float(whole[0]), rel=1e-12)
    np.testing.assert_allclose(found.effect, whole[1:] - whole[0], rtol=0, atol=1e-12)


def test_the_reference_allele_has_no_effect_at_all() -> None:
    reference = sequence(150)
    found = every_third(150)
    same = (reference == sequence(150, seed=7)).all(dim=1)[::3].numpy()
    assert 5 < same.sum() < 25
    assert (found.effect[same] == 0).all()
    assert (found.effect[~same] != 0).all()


def test_the_cut_into_passes_changes_nothing() -> None:
    np.testing.assert_allclose(
        every_third(150, variants_per_pass=1).effect, every_third(150, variants_per_pass=64).effect, rtol=0, atol=1e-13
    )


def additive() -> ExpressionNetwork:
    """A network without activations, whose pooling is the mean and which has no transformer: a sum over bases."""
    model = network(depth=0).double()
    for module in list(model.trunk.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, SigmoidGELU):
                setattr(module, name, torch.nn.Identity())
        if isinstance(module, AttentionPool):
            torch.nn.init.zeros_(module.to_attn_logits.weight)
    return model


def test_an_additive_network_gives_differences_of_its_coefficients(cohort: Cohort) -> None:
    gene = cohort.genes["gene_id"][1]
    model, sequences = additive(), gene_sequences(cohort, gene, missing="reference")
    nothing = torch.zeros(1, 1024, 4, dtype=torch.float64, requires_grad=True)
    model(nothing).sum().backward()
    assert nothing.grad is not None
    coefficient = nothing.grad[0]
    found = window_mutagenesis(model, sequences)
    alt, ref = (coefficient[sequences.offsets, code].numpy() for code in (sequences.alt_code, sequences.ref_code))
    assert np.abs(alt - ref).max() > 1e-6
    np.testing.assert_allclose(found.effect, alt - ref, rtol=0, atol=1e-12)
    # ... and so individuals' predictions are the reference's plus dosage / 2 times the effects: the scale of drivers
    with torch.no_grad():
        people = model(sequences.encode().double()).numpy()
    dosages = cohort.dosages(gene).T
    np.testing.assert_allclose(people, found.reference + dosages / 2 @ found.effect, rtol=0, atol=1e-12)


def test_errors_say_what_to_do() -> None:
    with pytest.raises(ConfigError, match="`variants_per_pass` must be at least 1, got 0"):
        every_third(150, variants_per_pass=0)
    trunk, x, read = lively(), sequence(40), lambda embedding: embedding.sum((1, 2))
    places = torch.tensor([3, 40])
    with pytest.raises(DataError, match="1 of 2 variants are outside the window of 40 bases, first number 2"):
        mutagenesis(trunk, read, x, places, x[:2], rows=slice(1, 2))
    with pytest.raises(DataError, match="in training mode"):
        mutagenesis(trunk.train(), read, x, places[:1], x[:1], rows=slice(1, 2))


def test_a_window_without_variants_has_a_reference_only() -> None:
    x = sequence(40)
    found = mutagenesis(lively(), lambda e: e.sum((1, 2)), x, torch.zeros(0, dtype=torch.long), x[:0], rows=slice(1, 2))
    assert found.effect.shape == (0,)
