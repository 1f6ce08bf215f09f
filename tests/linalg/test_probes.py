import pytest
import torch

from varfx.errors import ConfigError
from varfx.linalg import Probe, draw_probes


@pytest.mark.parametrize("probe", list(Probe))
def test_probes_have_zero_mean_and_unit_covariance(probe: Probe, generator: torch.Generator) -> None:
    num = 40_000
    U = draw_probes(5, num, generator=generator, probe=probe, dtype=torch.float64)
    assert U.shape == (5, num)
    assert U.mean(dim=1).abs().max() < 5 / num**0.5
    assert (U @ U.T / num - torch.eye(5, dtype=torch.float64)).abs().max() < 5 * 2**0.5 / num**0.5


def test_rademacher_entries_are_signs_and_gaussian_ones_are_not(generator: torch.Generator) -> None:
    assert set(draw_probes(50, 4, generator=generator).unique().tolist()) == {-1.0, 1.0}
    gaussian = draw_probes(50, 400, generator=generator, probe=Probe.GAUSSIAN, dtype=torch.float64)
    assert abs(float((gaussian**4).mean()) - 3) < 0.2


@pytest.mark.parametrize("probe", list(Probe))
def test_the_generator_alone_decides(probe: Probe) -> None:
    def draw(seed: int) -> torch.Tensor:
        return draw_probes(9, 3, generator=torch.Generator().manual_seed(seed), probe=probe)

    torch.manual_seed(1)
    first = draw(7)
    torch.manual_seed(2)
    assert torch.equal(first, draw(7))
    assert not torch.equal(first, draw(8))


def test_columns_are_contiguous_and_may_be_none(generator: torch.Generator) -> None:
    assert draw_probes(7, 3, generator=generator).T.is_contiguous()
    assert draw_probes(7, 0, generator=generator, dtype=torch.float64).shape == (7, 0)


def test_negative_number_is_an_error(generator: torch.Generator) -> None:
    with pytest.raises(ConfigError, match="`num_probes` must not be negative, got -1"):
        draw_probes(7, -1, generator=generator)
