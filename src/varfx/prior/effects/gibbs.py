"""Gibbs sampling of sparse effects `s` in whitened regressions `w ~ N(A s, I)`, the background integrated out into A.

The conditional distribution of s_m given the others, with g = a_m'(w - A s) + d_m s_m and d_m = |a_m|^2, is

    slab k:  log pi_mk + 1/2 log(t_k / v_mk) + 1/2 t_k g^2,   s_m ~ N(t_k g, t_k),   t_k = 1 / (d_m + 1 / v_mk)
    zero:    log(1 - sum_k pi_mk)

Variants are visited one after the other, exactly, but computed by blocks: the conditionals of all variants of a block that
are still to come are found at once, and hold up to the first one whose effect changes. As nearly all effects are zero and
stay so, a block costs a few vector operations. All chains of several windows go in step (`varfx.prior.effects.lanes`).
Averages over sweeps are of the conditional expectations (Rao-Blackwell), not of the samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from varfx.prior.effects.lanes import BLOCK, Draws, LaneBlock, visit


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
        t = 1 / (d + 1 / variances)
        with np.errstate(divide="ignore"):
            constant = np.log(chances / (1 - chances.sum(0))) + 0.5 * np.log(t / variances)
        return cls(A, w.astype(np.float32), grams, d, constant, t, background_F)


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
    regressions: Sequence[SparseRegression],
    states: Sequence[Float[ndarray, "chain variant"]],
    sweeps: int,
    generators: Sequence[np.random.Generator],
    averages: Sequence[Averages] | None = None,
) -> None:
    """Runs every chain of each regression for so many sweeps; the result for each does not depend on the others.

    Args:
        regressions: the windows.
        states: their chains' effects in float32, changed to the last states; the same number of chains for each.
        sweeps: how many.
        generators: one per regression.
        averages: to add to, if given.
    """
    longest = max(len(each.grams) for each in regressions)
    blocks = [LaneBlock.of(regressions, number) for number in range(longest)]
    for _ in range(sweeps):
        residuals = [each.w - s @ each.A for each, s in zip(regressions, states, strict=True)]
        draws = [Draws.of(generator, s.shape) for generator, s in zip(generators, states, strict=True)]
        visited = [np.empty_like(s) for s in states]
        for block in blocks:
            before, g, own_draws = [], [], []
            for place in block.windows:
                before.append(states[place][:, block.columns(place)].copy())
                g.append(residuals[place] @ regressions[place].A[block.columns(place)].T)
                own_draws.append(draws[place].block(block.columns(place)))
            after, own = visit(block, before, g, own_draws)
            for place, old, new, seen in zip(block.windows, before, after, own, strict=True):
                columns = block.columns(place)
                states[place][:, columns] = new
                touched = np.flatnonzero((new != old).any(0))
                if touched.size:
                    change = (new - old)[:, touched]
                    residuals[place] -= change @ regressions[place].A[columns][touched]
                visited[place][:, columns] = seen
        for place, each in enumerate(averages or ()):
            _add(each, regressions[place], visited[place])
            squares = residuals[place].astype(np.float64) ** 2
            each.visits += len(squares)
            each.residual_square += squares.sum(0)
            each.trace.append(np.stack([(states[place] != 0).sum(1), squares.sum(1)], axis=1))


def _add(averages: Averages, regression: SparseRegression, own: Float[ndarray, "chain variant"]) -> None:
    """Adds the conditional expectations of a sweep, given `g` of each variant and chain at its visit."""
    t, F, d = regression.t, regression.background_F, regression.d
    kept = 1 - F * d  # share of an effect at m that the background's mean at m does not take over
    for g in own.astype(np.float64):
        in_slab = t * g
        L = regression.constant + 0.5 * in_slab * g
        top = np.maximum(L.max(0), 0.0)
        chance = np.exp(L - top)
        chance /= chance.sum(0) + np.exp(-top)
        square = chance * (in_slab**2 + t)
        mean = (chance * in_slab).sum(0)
        average = kept * mean + F * g
        averages.chance += chance
        averages.square += square
        averages.mean += mean
        averages.total_mean += average
        averages.total_square += average**2 + kept**2 * (square.sum(0) - mean**2) + F * kept
