"""Shape of the effect distribution: a normal background and sparse slabs, both proportional to the network's variance.

With F = N f, rel_m = F_m / mean F, an effect in units of 1 / sqrt(N) is b_m = u_m + s_m:

    u_m ~ N(0, kappa F_m)                                          the polygenic background
    s_m ~ (1 - sum_k pi_mk) delta_0 + sum_k pi_mk N(0, v_mk)       the sparse part
    v_mk = c_k mean(F) rel_m^(1 - a),   pi_mk = pi_k rel_m^a       so that Var(b_m) = (kappa + sum_k pi_k c_k) F_m

`a` in [0, 1] divides the informed variance between the size of effects (0) and the chance of having one (1). Where the prior knows
the chance of a sparse effect itself (`varfx prior fit --effects mixture`), its ratio to the mean chance takes the place of rel_m in
pi_mk, and v_mk = c_k F_m / (that ratio)^a, which leaves Var(b_m) as it is. kappa = 1 without slabs is the normal prior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

MIXTURE_SIZES = (5.0, 30.0, 180.0, 1080.0)  # c_k: from effects of a tenth of all variants to those of one in a thousand
SPIKE_SLAB_SIZE = (60.0,)  # where the learning of the single slab's size begins
MOST_LIKELY = 0.98  # largest prior probability of a sparse effect
LEAST_RELATIVE = 1e-6  # floor of rel_m


@dataclass(frozen=True, kw_only=True, eq=False)
class EffectShape:
    """Hyperparameters of the effect distribution.

    Attributes:
        background: kappa, share of F_m that the polygenic background has.
        sizes: c_k, variance of each slab relative to the mean of F.
        weights: pi_k, prior probability of each slab at a variant of average F.
        exponent: a.
        mean_F: mean of F over the panel.
    """

    background: float
    sizes: Float[ndarray, " slab"]
    weights: Float[ndarray, " slab"]
    exponent: float
    mean_F: float

    @property
    def is_normal(self) -> bool:
        """Whether this is the normal prior itself."""
        return self.background == 1 and not (self.weights > 0).any()

    def relative(self, F: Float[ndarray, " variant"]) -> Float[ndarray, " variant"]:
        """rel_m."""
        return np.asarray(np.maximum(F / self.mean_F, LEAST_RELATIVE))

    def slabs(
        self, F: Float[ndarray, " variant"], inclusion: Float[ndarray, " variant"] | None = None
    ) -> tuple[ndarray, ndarray, ndarray]:
        """`pi_mk` (slab, variant), `1 - sum_k pi_mk` (variant) and `v_mk` (slab, variant).

        `inclusion` is each variant's chance of a sparse effect over the mean chance, where the prior knows it; else rel_m.
        """
        rel = self.relative(F)
        informed = (rel if inclusion is None else inclusion) ** self.exponent
        chances = self.weights[:, None] * informed
        total = chances.sum(0)
        chances = chances * np.minimum(1.0, MOST_LIKELY / np.maximum(total, MOST_LIKELY))
        variances = self.sizes[:, None] * self.mean_F * (rel / informed)
        return chances, 1 - chances.sum(0), variances

    def to_dict(self) -> dict[str, Any]:
        """All numbers, JSON-able."""
        return {
            "background": self.background,
            "slab_variances": [float(size) for size in self.sizes],
            "slab_probabilities": [float(weight) for weight in self.weights],
            "exponent": self.exponent,
            "mean_nf": self.mean_F,
            "sparse_share": float(self.sizes @ self.weights / (self.background + self.sizes @ self.weights)),
        }


def first_shape(sizes: tuple[float, ...], mean_F: float) -> EffectShape:
    """Where the learning begins: half of the variance in the background, the other half in equal parts in the slabs."""
    c = np.array(sizes)
    return EffectShape(background=0.5, sizes=c, weights=0.5 / (c * c.size), exponent=0.5, mean_F=mean_F)
