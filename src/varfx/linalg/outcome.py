"""Outcome of an iteration, and a random estimate with its error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Float
from scipy.special import stdtrit
from torch import Tensor

from varfx.errors import ConfigError
from varfx.short_repr import short_repr


class Outcome(Enum):
    """Outcome of an iteration, from best to worst; the value says what to try."""

    CONVERGED = "converged: the requested tolerance is met"
    MAX_STEPS = "step limit reached before the tolerance: raise max_steps, loosen rtol or use a better preconditioner"
    ROUNDING = "rounding error exceeds the tolerance: compute in float64, loosen rtol or use a better preconditioner"
    BREAKDOWN = (
        "breakdown: a direction of zero or negative curvature, or a value that is not finite; check that the matrix and "
        "the preconditioner are positive definite and free of NaN, or compute in float64"
    )

    @staticmethod
    def worst(outcomes: Iterable[Outcome]) -> Outcome:
        """The worst of several outcomes; CONVERGED if there are none."""
        order = list(Outcome)
        return max(outcomes, key=order.index, default=Outcome.CONVERGED)


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimate:
    """A mean over independent random probes, with its standard error.

    Attributes:
        value: the estimate, in float64, of any shape.
        stderr: its standard error, of the same shape; infinite where one probe leaves it unknown.
        num_probes: how many probes were averaged; `num_probes - 1` degrees of freedom stand behind `stderr`.
        outcome: how the iteration behind the samples ended.
    """

    __repr__ = short_repr

    value: Float[Tensor, "*shape"]
    stderr: Float[Tensor, "*shape"]
    num_probes: int
    outcome: Outcome = Outcome.CONVERGED

    @staticmethod
    def from_samples(
        samples: Float[Tensor, "*shape probe"],
        *,
        exact: Float[Tensor, "*shape"] | float = 0.0,
        outcome: Outcome = Outcome.CONVERGED,
    ) -> Estimate:
        """`exact` plus the mean of independent samples, the last axis running over probes.

        Raises:
            ConfigError: there are no probes.
        """
        num = samples.shape[-1]
        if num == 0:
            raise ConfigError("an estimate needs at least one probe, got `num_probes` = 0.")
        values = samples.double()
        mean = values.mean(dim=-1)
        stderr = values.std(dim=-1) / num**0.5 if num > 1 else torch.full_like(mean, torch.inf)
        return Estimate(value=mean + exact, stderr=stderr, num_probes=num, outcome=outcome)

    def interval(self, level: float = 0.95) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
        """Lower and upper end of the confidence interval, by Student's t.

        Raises:
            ConfigError: `level` is outside (0, 1).
        """
        if not 0 < level < 1:
            raise ConfigError(f"`level` must be between 0 and 1, got {level}.")
        if self.num_probes < 2:
            return torch.full_like(self.value, -torch.inf), torch.full_like(self.value, torch.inf)
        half = float(stdtrit(self.num_probes - 1, 0.5 + level / 2)) * self.stderr
        return self.value - half, self.value + half
