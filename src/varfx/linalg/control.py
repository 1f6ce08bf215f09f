"""Control variates: samples of a known mean take scatter out of samples of an unknown one."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from varfx.errors import DataError

_PRIOR_PROBES = 2.0  # how many probes' worth of trust the slope given beforehand has


def control_variate(
    samples: Float[Tensor, "*shape k"],
    control: Float[Tensor, "*shape k"],
    *,
    slope: float,
    variance: Float[Tensor, "*shape"],
) -> Float[Tensor, "*shape k"]:
    """`samples - c control`, of the same mean and less scatter.

    The slope c of each probe is the regression of samples on control over the *other* probes, drawn towards `slope` as if
    two more probes had shown it. Being independent of the probe, it leaves the mean exactly unbiased (Lavenberg and
    Welch, 1981, show the bias of a slope fitted on all).

    Args:
        samples: independent along the last axis.
        control: of mean zero, independent along the last axis.
        slope: what c is beforehand.
        variance: of the control beforehand; where it is zero and the control is constant, the samples stay as they are.

    Raises:
        DataError: the two differ in shape.
    """
    if samples.shape != control.shape:
        raise DataError(
            f"`samples` and `control` must be alike, got {tuple(samples.shape)} and {tuple(control.shape)}."
        )
    others = max(samples.shape[-1] - 1, 1)

    def over_others(values: Tensor) -> Tensor:
        return values.sum(dim=-1, keepdim=True) - values

    mean = over_others(control) / others
    prior = _PRIOR_PROBES * variance.unsqueeze(-1)
    # Rounding may leave a little below zero where there is nothing.
    spread = (over_others(control.square()) - others * mean.square()).clamp(min=0) + prior
    together = over_others(control * samples) - mean * over_others(samples) + slope * prior
    usable = spread > 0
    return samples - (together / spread.where(usable, 1)).where(usable, 0) * control
