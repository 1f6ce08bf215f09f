"""Input gradients: against finite differences, averaged over individuals before magnitudes, standardised over the window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import zscore

from cases.cohort import small_cohort
from cases.local_attention import enliven
from varfx.errors import ConfigError, DataError
from varfx.expression.cohort.store import Cohort, open_cohort
from varfx.expression.network.batches import gene_sequences
from varfx.expression.variants.gradients import (
    gradient_times_input,
    people_attribution,
    reference_attribution,
    standardised,
)
from varfx.models.expression import ExpressionNetwork, ExpressionNetworkConfig


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return open_cohort(small_cohort(tmp_path_factory.mktemp("gradients"), window=256, phased=True))


def network(**changes: object) -> ExpressionNetwork:
    options: dict[str, object] = {"window": 256, "width": 24, "depth": 1, "num_downsamples": 4, **changes}
    model = ExpressionNetwork(ExpressionNetworkConfig(**options))  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(9)
    enliven(model, generator)
    with torch.no_grad():
        model.head.weight.normal_(generator=generator)
    return model.eval()


@torch.no_grad()
def finite_differences(model: ExpressionNetwork, x: torch.Tensor) -> np.ndarray:
    """x * df/dx of one sequence, by central differences where x is not 0."""
    step, result = 1e-5, np.zeros(tuple(x.shape))
    for base, code in x.nonzero().tolist():
        pair = x.repeat(2, 1, 1)
        pair[0, base, code] += step
        pair[1, base, code] -= step
        up, down = model(pair).tolist()
        result[base, code] = float(x[base, code]) * (up - down) / (2 * step)
    return result


def test_gradient_times_input_is_the_mean_over_people_of_finite_differences(cohort: Cohort) -> None:
    model = network().double()
    x = gene_sequences(cohort, cohort.genes["gene_id"][1], missing="reference").encode([3, 7]).double()
    expected = np.mean([finite_differences(model, each) for each in x], axis=0)
    found = gradient_times_input(model, x).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8 * np.abs(expected).max() + 1e-9)
    mixed = (x == 0.5).any(dim=0).any(dim=1)
    assert mixed.any()
    assert np.abs(found[mixed.numpy()]).max() > 0


def test_attributions_are_standardised_largest_magnitudes(cohort: Cohort) -> None:
    model, sequences = network(), gene_sequences(cohort, cohort.genes["gene_id"][1], missing="reference")
    expected = zscore(np.abs(gradient_times_input(model, sequences.reference()[None]).numpy()).max(axis=1))
    np.testing.assert_allclose(reference_attribution(model, sequences), expected, rtol=0, atol=1e-4)
    people = [1, 2, 5, 8, 13]
    averaged = gradient_times_input(model, sequences.encode(people)).numpy()
    for size in (2, 5):
        found = people_attribution(model, sequences, people, people_per_pass=size)
        np.testing.assert_allclose(found, zscore(np.abs(averaged).max(axis=1)), rtol=0, atol=1e-4)
    assert not np.allclose(found, expected, atol=1e-3)


def test_two_haplotypes_are_summed_and_predictions_halved(cohort: Cohort) -> None:
    model, gene = network().double(), cohort.genes["gene_id"][0]
    pair = gene_sequences(cohort, gene, haplotypes=True, missing="reference").encode([4]).double()
    one, two = (gradient_times_input(model, pair[:, each]) for each in (0, 1))
    torch.testing.assert_close(gradient_times_input(model, pair), (one + two) / 2)


def test_training_mode_and_bfloat16_change_nothing(cohort: Cohort) -> None:
    sequences = gene_sequences(cohort, cohort.genes["gene_id"][0], missing="reference")
    model = network(precision="bfloat16", norm="running", checkpointing=True).train()
    expected = reference_attribution(network(), sequences)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        np.testing.assert_array_equal(reference_attribution(model, sequences), expected)
    assert model.training
    assert all(weight.grad is None for weight in model.parameters())


def test_a_flat_window_is_zero_and_errors_say_what_to_do(tmp_path: Path, cohort: Cohort) -> None:
    assert not standardised(np.ones((5, 4))).any()
    sequences = gene_sequences(cohort, cohort.genes["gene_id"][0], missing="reference")
    with pytest.raises(DataError, match="`people` is empty"):
        people_attribution(network(), sequences, [])
    with pytest.raises(ConfigError, match="`people_per_pass` must be at least 1, got 0"):
        people_attribution(network(), sequences, [1], people_per_pass=0)
