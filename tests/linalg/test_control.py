import pytest
import torch

from varfx.errors import DataError
from varfx.linalg import control_variate


def regressed(samples: list[float], control: list[float], slope: float, variance: float) -> list[float]:
    """The same by the definition, one probe at a time: least squares over the others and the prior."""
    out = []
    for probe in range(len(samples)):
        x = [c for i, c in enumerate(control) if i != probe]
        y = [s for i, s in enumerate(samples) if i != probe]
        x_mean, y_mean = sum(x) / len(x), sum(y) / len(y)
        top = sum((a - x_mean) * (b - y_mean) for a, b in zip(x, y, strict=True)) + 2 * variance * slope
        bottom = sum((a - x_mean) ** 2 for a in x) + 2 * variance
        out.append(samples[probe] - top / bottom * control[probe])
    return out


@pytest.mark.parametrize(("slope", "variance"), [(0.0, 0.0), (1.0, 0.5), (-3.0, 7.0)])
def test_each_slope_is_the_regression_over_the_other_probes(slope: float, variance: float) -> None:
    samples, control = [3.0, 1.0, 4.0, 1.5, 9.0], [0.2, -1.0, 0.7, -0.1, 2.0]
    adjusted = control_variate(
        torch.tensor([samples, samples], dtype=torch.float64),
        torch.tensor([control, control], dtype=torch.float64),
        slope=slope,
        variance=torch.full((2,), variance, dtype=torch.float64),
    )
    for row in adjusted.tolist():
        assert row == pytest.approx(regressed(samples, control, slope, variance))


@pytest.mark.parametrize("num_probes", [1, 2, 5])
def test_the_mean_is_unbiased_for_skewed_and_dependent_samples(num_probes: int, generator: torch.Generator) -> None:
    runs = 40_000
    x = torch.randn(runs, num_probes, generator=generator, dtype=torch.float64)
    control, samples = x**2 - 1, x**2 + x**4  # means 0 and 4
    variance = torch.full((runs,), 2.0, dtype=torch.float64)
    means = control_variate(samples, control, slope=1.0, variance=variance).mean(dim=1)
    assert abs(float(means.mean()) - 4) < 4 * float(means.std()) / runs**0.5


def test_a_linear_relation_leaves_no_scatter(generator: torch.Generator) -> None:
    control = torch.randn(6, generator=generator, dtype=torch.float64)
    adjusted = control_variate(5 + 3 * control, control, slope=0.0, variance=torch.zeros((), dtype=torch.float64))
    assert adjusted.tolist() == pytest.approx([5.0] * 6)


def test_a_control_that_says_nothing_changes_nothing() -> None:
    samples = torch.tensor([1.0, 2.0, 4.0])
    for constant in (0.0, 0.3):
        control = torch.full((3,), constant)
        assert control_variate(samples, control, slope=1.0, variance=torch.zeros(())).tolist() == pytest.approx(
            [1, 2, 4]
        )


def test_different_shapes_are_an_error() -> None:
    with pytest.raises(DataError, match=r"`samples` and `control` must be alike, got \(3,\) and \(2,\)"):
        control_variate(torch.ones(3), torch.ones(2), slope=0.0, variance=torch.zeros(()))
