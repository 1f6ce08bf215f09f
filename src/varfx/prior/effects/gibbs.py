"""Gibbs sampling of sparse effects `s` in whitened regressions `w ~ N(A s, I)`, the background integrated out into A.

The conditional distribution of s_m given the others, with g = a_m'(w - A s) + d_m s_m and d_m = |a_m|^2, is

    slab k:  log pi_mk + 1/2 log(t_k / v_mk) + 1/2 t_k g^2,   s_m ~ N(t_k g, t_k),   t_k = 1 / (d_m + 1 / v_mk)
    zero:    log(1 - sum_k pi_mk)

Variants are visited one after the other, exactly, but computed by blocks (`varfx.prior.effects.visit`): `A (w - A s)` of a block
comes from one product, changes within the block go through its Gram matrix, and those of all chains reach the residual in
one more product. A block is passed through twice per sweep, as the second pass reads little memory. Averages over
sweeps are of the conditional expectations (Rao-Blackwell), not of the samples.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from varfx.linalg.compiled import compiled
from varfx.prior.effects.visit import move, scan, scores, subtract

BLOCK = 128  # variants
PASSES = 2  # through a block per sweep
REFRESH = 20  # sweeps between two computations of the residual from the effects


@dataclass(frozen=True, eq=False)
class SparseRegression:
    """`w ~ N(A s, I)` with the prior of s, ready for sampling.

    Attributes:
        A: (variant, rank), float32, one row per variant.
        w: whitened associations.
        grams: `A A'` within each block of variants.
        d: its diagonal.
        constant: log(pi_mk / (1 - sum pi_m)) + 1/2 log(t_k / v_mk), (slab, variant).
        t: conditional variances t_k, (slab, variant).
        background_F: prior variance of the background of each variant.
    """

    A: Float[ndarray, "variant rank"]
    w: Float[ndarray, " rank"]
    grams: tuple[Float[ndarray, "block block"], ...]
    d: Float[ndarray, " variant"]
    constant: Float[ndarray, "slab variant"]
    t: Float[ndarray, "slab variant"]
    background_F: Float[ndarray, " variant"]

    @classmethod
    def of(
        cls,
        A: Float[ndarray, "variant rank"],
        w: Float[ndarray, " rank"],
        chances: Float[ndarray, "slab variant"],
        variances: Float[ndarray, "slab variant"],
        background_F: Float[ndarray, " variant"],
    ) -> SparseRegression:
        """The regression with prior `pi_mk` and `v_mk` (`EffectShape.slabs`)."""
        grams = tuple(A[start : start + BLOCK] @ A[start : start + BLOCK].T for start in range(0, len(A), BLOCK))
        d = np.concatenate([np.diag(gram) for gram in grams]).astype(np.float64)
        bare = cls(A, w.astype(np.float32), grams, d, np.empty(0), np.empty(0), background_F)
        return bare.under(chances, variances)

    def under(
        self, chances: Float[ndarray, "slab variant"], variances: Float[ndarray, "slab variant"]
    ) -> SparseRegression:
        """The same regression under another prior of the sparse effects."""
        t = 1 / (self.d + 1 / variances)
        with np.errstate(divide="ignore"):
            constant = np.log(chances / (1 - chances.sum(0))) + 0.5 * np.log(t / variances)
        return replace(self, constant=constant, t=t)

    def residual(self, s: Float[ndarray, "chain variant"]) -> Float[ndarray, "chain rank"]:
        """`w - A s` of each chain."""
        there = np.flatnonzero(s.any(0))
        return np.ascontiguousarray(self.w - s[:, there] @ self.A[there])


@dataclass(eq=False)
class Averages:
    """Sums over visits of the conditional expectations at each variant; `means` divides by the number of visits."""

    visits: int
    chance: Float[ndarray, "slab variant"]  # of each slab
    square: Float[ndarray, "slab variant"]  # chance times E[s^2] in the slab
    mean: Float[ndarray, " variant"]  # E[s]
    total_mean: Float[ndarray, " variant"]  # E[s + u]
    total_square: Float[ndarray, " variant"]  # E[(s + u)^2]
    residual_square: Float[ndarray, " rank"]  # (w - A s)^2
    trace: list[Float[ndarray, "chain quantity"]] = field(default_factory=list)

    @classmethod
    def zeros(cls, regression: SparseRegression) -> Averages:
        """Sums over nothing."""
        (slabs, variants), rank = regression.t.shape, len(regression.w)
        per_slab, per_variant = np.zeros((slabs, variants)), np.zeros(variants)
        return cls(0, per_slab, per_slab.copy(), per_variant, per_variant.copy(), per_variant.copy(), np.zeros(rank))

    def means(self) -> Averages:
        """The averages themselves, counted as one visit."""
        number = max(self.visits, 1)
        return Averages(
            visits=1,
            chance=self.chance / number,
            square=self.square / number,
            mean=self.mean / number,
            total_mean=self.total_mean / number,
            total_square=self.total_square / number,
            residual_square=self.residual_square / number,
            trace=self.trace,
        )


def sample(
    regression: SparseRegression,
    s: Float[ndarray, "chain variant"],
    sweeps: int,
    generator: np.random.Generator,
    averages: Averages | None = None,
) -> None:
    """Runs every chain for so many sweeps.

    Args:
        regression: the window.
        s: the chains' effects in float32, changed to the last states.
        sweeps: how many.
        generator: of random numbers.
        averages: to add to, if given.
    """
    prior = (regression.d, regression.constant, regression.t, regression.background_F)
    kept = Averages.zeros(regression) if averages is None else averages
    sums = (kept.chance, kept.square, kept.mean, kept.total_mean, kept.total_square)
    for sweep in range(sweeps):
        if sweep % REFRESH == 0:
            residual = regression.residual(s)
        uniform = generator.random((1 + PASSES, *s.shape), dtype=np.float32)
        normal = generator.standard_normal((1 + PASSES, *s.shape), dtype=np.float32)
        draws = list(zip(uniform, normal, strict=True))
        for number, gram in enumerate(regression.grams):
            columns = slice(number * BLOCK, number * BLOCK + len(gram))
            before = s[:, columns].copy()
            g = np.empty_like(before)
            compiled(scores, reordered=True)(columns.start, regression.A, residual, g)
            compiled(move)(columns.start, gram, prior, s, g, draws[0])
            for each in draws[1:]:
                compiled(scan)(columns.start, gram, prior, s, g, each, sums)
            compiled(subtract)(columns.start, regression.A, s, before, residual)
        squares = residual.astype(np.float64) ** 2
        kept.visits += PASSES * len(s)
        kept.residual_square += PASSES * squares.sum(0)
        kept.trace.append(np.stack([(s != 0).sum(1), squares.sum(1)], axis=1))
