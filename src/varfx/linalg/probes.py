"""Random vectors of zero mean and unit covariance."""

from __future__ import annotations

from enum import Enum

import torch
from jaxtyping import Float
from torch import Tensor

from varfx.errors import ConfigError


class Probe(Enum):
    """The distribution of a probe's entries; RADEMACHER has the smaller variance wherever the diagonal dominates."""

    RADEMACHER = "rademacher"
    GAUSSIAN = "gaussian"


def draw_probes(
    size: int,
    num: int,
    *,
    generator: torch.Generator,
    probe: Probe = Probe.RADEMACHER,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> Float[Tensor, "n k"]:
    """`num` independent vectors with `E[u u'] = I`, as columns that are contiguous in memory.

    They are drawn on the generator's device, so that a CPU generator gives the same probes to every `device`.

    Raises:
        ConfigError: `num` is negative.
    """
    if num < 0:
        raise ConfigError(f"`num_probes` must not be negative, got {num}.")
    shape, place = (num, size), generator.device
    match probe:
        case Probe.RADEMACHER:
            rows = (
                torch.randint(2, shape, generator=generator, device=place, dtype=torch.int8).to(dtype).mul_(2).sub_(1)
            )
        case Probe.GAUSSIAN:
            rows = torch.randn(shape, generator=generator, device=place, dtype=dtype)
    return rows.to(device=place if device is None else device).T
