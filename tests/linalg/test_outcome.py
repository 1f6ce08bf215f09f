import math

import pytest
import torch

from varfx.errors import ConfigError
from varfx.linalg import Estimate, Outcome


def test_worst_outcome_follows_the_order_of_severity() -> None:
    assert Outcome.worst([]) is Outcome.CONVERGED
    assert Outcome.worst([Outcome.MAX_STEPS, Outcome.CONVERGED]) is Outcome.MAX_STEPS
    assert Outcome.worst([Outcome.ROUNDING, Outcome.MAX_STEPS]) is Outcome.ROUNDING
    assert Outcome.worst([Outcome.BREAKDOWN, Outcome.ROUNDING, Outcome.CONVERGED]) is Outcome.BREAKDOWN


@pytest.mark.parametrize(
    ("outcome", "advice"),
    [
        (Outcome.MAX_STEPS, "raise max_steps"),
        (Outcome.ROUNDING, "float64"),
        (Outcome.BREAKDOWN, "positive definite"),
    ],
)
def test_outcome_says_what_to_try(outcome: Outcome, advice: str) -> None:
    assert advice in outcome.value


def test_estimate_is_exact_part_plus_mean_with_its_standard_error() -> None:
    samples = torch.tensor([[1.0, 3.0, 5.0, 7.0], [2.0, 2.0, 2.0, 2.0]])
    run = Estimate.from_samples(samples, exact=torch.tensor([10.0, 20.0]))
    assert run.value.tolist() == [14.0, 22.0]
    # the standard deviation with denominator n - 1 is sqrt(20 / 3), over sqrt(4)
    assert run.stderr.tolist() == pytest.approx([math.sqrt(20 / 3) / 2, 0.0])
    assert run.num_probes == 4
    assert run.outcome is Outcome.CONVERGED


def test_one_probe_leaves_the_error_unknown() -> None:
    run = Estimate.from_samples(torch.tensor([3.0]))
    assert run.stderr == torch.inf
    assert run.interval() == (-torch.inf, torch.inf)


def test_no_probe_is_an_error() -> None:
    with pytest.raises(ConfigError, match="at least one probe, got `num_probes` = 0"):
        Estimate.from_samples(torch.empty(3, 0))


def test_interval_is_that_of_students_t() -> None:
    run = Estimate(value=torch.tensor(5.0), stderr=torch.tensor(2.0), num_probes=5)
    low, high = run.interval(0.95)
    assert float(high) == pytest.approx(5 + 2 * 2.776445, abs=1e-5)  # t table: 0.975 with 4 degrees of freedom
    assert float(low) == pytest.approx(5 - 2 * 2.776445, abs=1e-5)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, math.nan])
def test_interval_refuses_an_impossible_level(level: float) -> None:
    with pytest.raises(ConfigError, match="`level` must be between 0 and 1"):
        Estimate.from_samples(torch.ones(3)).interval(level)


def test_interval_covers_at_its_level(generator: torch.Generator) -> None:
    samples = torch.randn(4000, 6, generator=generator, dtype=torch.float64) * 3 + 1
    low, high = Estimate.from_samples(samples).interval(0.9)
    covered = ((low < 1) & (high > 1)).double().mean()
    assert abs(float(covered) - 0.9) < 4 * math.sqrt(0.09 / 4000)
