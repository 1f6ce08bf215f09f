"""The fit of one locus: a sum of single effects, each with a posterior over variants (Wang et al. 2020, Zou et al. 2022).

Model, in units of b sqrt(n - 1):

    z ~ N(R b, sigma2 R + R T R),   b = sum_l b_l with one non-zero each,   T = kappa * background variances

Every sweep updates the effects one after another given the others; the evidence lower bound rises with each. A fit is a coroutine: it
yields each single effect that it needs and is sent its posterior, so that one processor or a batch on a device can answer.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from varfx.errors import DataError
from varfx.finemap.background import Background
from varfx.finemap.config import SusieConfig
from varfx.finemap.ld_matrix import LDMatrix, LowRankLD, background_diagonal, weigh
from varfx.finemap.mismatch import Mismatch, coherence, excess_mismatch, low_direction_share
from varfx.finemap.sets import CredibleSet, credible_sets, inclusion_probabilities
from varfx.finemap.single_effect import SingleEffect
from varfx.short_repr import short_repr

KAPPA_MOVED = 0.01  # relative change of kappa that is worth a new factorisation
MOMENTS_MOVED = 1e-4  # the same of kappa and the residual variance where both are found by moments
ALPHA_TOL = 1e-4  # largest change of a probability per sweep, where the evidence lower bound is no criterion


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """A single effect that a fit asks for.

    Attributes:
        score: `B' C^-1 r` of each variant.
        d: its precision; one number if all are equal.
        log_weights: log of the prior probabilities.
        M: the matrix that the effect's mean is multiplied with.
    """

    score: Float[ndarray, " variant"]
    d: Float[ndarray, " variant"]
    log_weights: Float[ndarray, " variant"]
    M: LDMatrix


Answer = tuple[SingleEffect, Float[ndarray, " variant"]]
"""The posterior of an effect, and M times its mean."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Susie:
    """A fitted locus.

    Attributes:
        pip: posterior inclusion probability of each variant.
        sets: credible sets, purest first.
        alpha: probability of each variant to carry each effect.
        mean: posterior mean of each effect at each variant, if it is there, in units of b sqrt(n - 1).
        square: posterior mean of its square.
        V: prior variance of each effect as a share of the trait's variance; in units of z where no n was given.
        log_bf: natural log Bayes factor of each effect.
        log_bf_variant: the same for each variant.
        elbo: evidence lower bound; without n, up to a constant.
        history: evidence lower bound after each sweep.
        converged: whether it stopped rising.
        sigma2: residual variance.
        kappa: scale of the background.
        background_mean: posterior mean of the background at each variant, in units of b sqrt(n - 1).
        mismatch: excess noise of the LD; None where it was not estimated.
        low_share: share of the residual in low directions of the LD; None where mismatch was not estimated.
        ld: correlations that the fit used.
    """

    __repr__ = short_repr

    pip: Float[ndarray, " variant"]
    sets: list[CredibleSet]
    alpha: Float[ndarray, "effect variant"]
    mean: Float[ndarray, "effect variant"]
    square: Float[ndarray, "effect variant"]
    V: Float[ndarray, " effect"]
    log_bf: Float[ndarray, " effect"]
    log_bf_variant: Float[ndarray, "effect variant"]
    elbo: float
    history: list[float]
    converged: bool
    sigma2: float
    kappa: float
    background_mean: Float[ndarray, " variant"]
    mismatch: float | None
    low_share: float | None
    ld: LDMatrix

    @property
    def sweeps(self) -> int:
        """Number of sweeps."""
        return len(self.history)

    def sets_at(self, coverage: float, min_purity: float = 0.5) -> list[CredibleSet]:
        """Credible sets of another coverage."""
        return credible_sets(self.alpha, self.V, self.log_bf, self.ld, coverage=coverage, min_purity=min_purity)


@dataclass(frozen=True, kw_only=True, eq=False)
class Noise:
    """What z varies by beside sparse effects, in the fit of one locus.

    Attributes:
        sigma2: residual variance; None estimates it, which needs LD of the GWAS's own individuals. Beside a background both are found
            by moments (SuSiE-inf).
        background: variance of the polygenic effect of each variant, in units of b sqrt(n - 1); None for no background.
        kappa: scale of `background`; None learns it, up to `largest_kappa`.
        largest_kappa: upper bound of a learned kappa.
        reference_size: individuals behind R, if their number is to be accounted for; infinity for mismatch alone.
        mismatch: whether excess noise of the LD is estimated.
    """

    __repr__ = short_repr

    sigma2: float | None = 1.0
    background: Float[ndarray, " variant"] | None = None
    kappa: float | None = None
    largest_kappa: float = 1.0
    reference_size: float | None = None
    mismatch: bool = False


Steps = Generator[Step, Answer, Susie]
Updates = Generator[Step, Answer, None]


class Fit:
    """The state of one fit; arrays have a row per effect."""

    def __init__(self, z: ndarray, ld: LDMatrix, n: float | None, log_weights: ndarray, L: int, noise: Noise) -> None:
        self.z, self.n, self.log_weights, self.noise = z, n, log_weights, noise
        self.sigma2 = 1.0 if noise.sigma2 is None else noise.sigma2
        learn = noise.background is not None and noise.kappa is None
        self.by_moments = learn and noise.sigma2 is None  # whose steps need not raise the evidence lower bound
        needs_factors = noise.background is not None or noise.mismatch
        self.factored = ld.factored() if needs_factors else None
        self.ld = ld.dense_if_smaller() if isinstance(ld, LowRankLD) else ld
        self.kappa = noise.kappa or 0.0
        self.background = None
        if learn:
            assert noise.background is not None
            assert self.factored is not None
            self.background = Background.of(self.factored, z, noise.background)
        self.mismatch = None if noise.reference_size is None else Mismatch(per_person=1 / noise.reference_size)
        if noise.mismatch and self.mismatch is None:
            self.mismatch = Mismatch(per_person=0.0)
        self.effects: list[SingleEffect | None] = [None] * L
        self.means = np.zeros((L, z.size))
        self.kl = np.zeros(L)
        self._weigh()

    def _weigh(self) -> None:
        """z and LD for the current residual variance and background."""
        T = None if self.noise.background is None or self.kappa == 0 else self.kappa * self.noise.background
        base = self.factored if T is not None and self.factored is not None else self.ld
        self.given = weigh(base, self.z, self.sigma2, T)
        self.d = self.given.M.diagonal
        self.explained = np.array([self.given.M.product(b) if b.any() else b for b in self.means])
        self.base: ndarray | float = self.sigma2
        self.signals = self.explained
        if self.mismatch is not None:
            if T is not None and self.factored is not None:
                self.base = self.sigma2 + background_diagonal(self.factored, T)
            self.signals = self.explained * self.sigma2
            if T is not None:
                self.signals = np.array([self.ld.product(b) if b.any() else b for b in self.means])

    def run(self, config: SusieConfig) -> Steps:
        """Sweeps until convergence.

        Raises:
            DataError: the fit diverges.
        """
        history: list[float] = []
        converged = False
        if self.noise.mismatch:
            yield from self.start_mismatch()
        alpha = self.probabilities()
        while not converged and len(history) < config.max_sweeps:
            for number in range(len(self.effects)):
                yield from self.update(number)
            history.append(self.elbo())
            before, alpha = alpha, self.probabilities()
            if not np.isfinite(history[-1]):
                raise DataError(
                    f"the fit diverged in sweep {len(history)}: `R` is no correlation matrix of real data (not positive semidefinite). "
                    "Compute it from one set of individuals."
                )
            still = float(np.abs(alpha - before).max()) < ALPHA_TOL
            if self.mismatch is None and not self.by_moments:
                still = len(history) > 1 and history[-1] - history[-2] < config.tol
            still = still and len(history) > 1
            converged = self.learn(still=still, last=len(history) == config.max_sweeps) and still
        return self.result(history, converged, config)

    def start_mismatch(self) -> Updates:
        """The mismatch from one effect alone, times its coherence: secondary patterns of bad LD must not enter as effects first."""
        assert self.mismatch is not None
        yield from self.update(0)
        self._learn_mismatch()
        effect = self.effects[0]
        assert effect is not None
        share = coherence(effect.alpha, np.exp(self.log_weights), self.ld)
        self.mismatch = replace(self.mismatch, excess=share * self.mismatch.excess)

    def update(self, number: int) -> Updates:
        """One effect given the others."""
        rest = self.explained.sum(axis=0) - self.explained[number]
        score, d = self.given.zeta - rest, self.d
        if self.mismatch is not None:
            signal = self.signals.sum(axis=0) - self.signals[number]
            others = self.means.sum(axis=0) - self.means[number]
            factor = self.mismatch.inflation(signal, float(others @ signal), self.base)
            score, d = score / factor, d / factor
        effect, explained = yield Step(score=score, d=d, log_weights=self.log_weights, M=self.given.M)
        self.effects[number] = effect
        if effect.V == 0:
            self.means[number] = self.explained[number] = 0.0
            if self.signals is not self.explained:
                self.signals[number] = 0.0
            self.kl[number] = 0.0
            return
        b = effect.alpha * effect.mean
        self.means[number] = b
        self.explained[number] = explained
        if self.signals is not self.explained:
            plain = self.given.log_det == 0
            self.signals[number] = self.sigma2 * self.explained[number] if plain else self.ld.product(b)
        self.kl[number] = b @ score - 0.5 * float((effect.alpha * effect.square * d).sum()) - effect.evidence

    def _spread(self) -> float:
        """`sum_l E |b_l - E b_l|^2` in the metric of M."""
        squares = sum(
            float((each.alpha * each.square * self.d).sum()) for each in self.effects if each is not None and each.V > 0
        )
        return squares - float((self.means * self.explained).sum())

    def elbo(self) -> float:
        """The evidence lower bound; without n up to a constant."""
        b, fitted = self.means.sum(axis=0), self.explained.sum(axis=0)
        energy = float(b @ fitted - 2 * b @ self.given.zeta) + self._spread()
        energy += self.given.log_det - self.given.explained
        if self.n is not None:
            energy += self.n * np.log(2 * np.pi * self.sigma2) + (self.n - 1) / self.sigma2
        return float(-0.5 * energy - self.kl.sum())

    def learn(self, *, still: bool, last: bool) -> bool:
        """Updates variance, background and mismatch after a sweep; whether the background, if there is one, did not move much.

        Args:
            still: the effects moved no more; the residual variance stays that which they were fitted with.
            last: no sweep follows; the background stays too.
        """
        settled = True
        if self.background is not None:
            settled = self._learn_background(self.background, last=last)
        elif self.noise.sigma2 is None:
            assert self.n is not None
            b, fitted = self.means.sum(axis=0), self.explained.sum(axis=0)
            energy = self.sigma2 * (float(b @ fitted - 2 * b @ self.given.zeta) + self._spread())
            following = (self.n - 1 + energy) / self.n
            if not (still or last):
                self.sigma2 = following
                self._weigh()
        if self.noise.mismatch:
            self._learn_mismatch()
        return settled

    def _learn_background(self, background: Background, *, last: bool) -> bool:
        """Updates the background, and the residual variance if it is free; whether they did not move much."""
        squares = np.array(
            [
                each.alpha * each.square if each is not None and each.V > 0 else np.zeros_like(self.z)
                for each in self.effects
            ]
        )
        largest = self.noise.largest_kappa
        if self.noise.sigma2 is None:
            assert self.n is not None
            sigma2, kappa = background.moments(self.n, self.means, squares, largest=largest)
        else:
            sigma2 = self.sigma2
            kappa = background.kappa(sigma2, self.means, squares, largest=largest)
        moved = MOMENTS_MOVED if self.by_moments else KAPPA_MOVED
        if abs(kappa - self.kappa) <= moved * max(kappa, self.kappa) and abs(sigma2 / self.sigma2 - 1) <= moved:
            return True
        if not last:
            self.sigma2, self.kappa = sigma2, kappa
            self._weigh()
        return False

    def _learn_mismatch(self) -> None:
        assert self.mismatch is not None
        signal, b = self.signals.sum(axis=0), self.means.sum(axis=0)
        s = signal * signal + max(float(b @ signal), 0.0)
        excess = excess_mismatch(self.z - signal, s, self.base, self.mismatch.per_person)
        self.mismatch = replace(self.mismatch, excess=excess)

    def probabilities(self) -> Float[ndarray, "effect variant"]:
        """Probability of each variant to carry each effect, before the first sweep that of the prior."""
        prior = np.exp(self.log_weights)
        return np.array([prior if each is None else each.alpha for each in self.effects])

    def result(self, history: list[float], converged: bool, config: SusieConfig) -> Susie:
        """The fit as it stands."""
        effects = [each for each in self.effects if each is not None]
        V = np.array([each.V for each in effects])
        alpha = np.array([each.alpha for each in effects])
        log_bf = np.array([each.evidence for each in effects])
        residual = self.given.zeta - self.explained.sum(axis=0)
        T = 0.0 if self.noise.background is None else self.kappa * self.noise.background
        low = None
        if self.noise.mismatch and self.factored is not None:
            low = low_direction_share(self.z - self.signals.sum(axis=0), self.factored)
        return Susie(
            pip=inclusion_probabilities(alpha, V),
            sets=credible_sets(alpha, V, log_bf, self.ld, coverage=config.coverage, min_purity=config.min_purity),
            alpha=alpha,
            mean=np.array([each.mean for each in effects]),
            square=np.array([each.square for each in effects]),
            V=V if self.n is None else V / (self.n - 1),
            log_bf=log_bf,
            log_bf_variant=np.array([each.lbf for each in effects]),
            elbo=history[-1],
            history=history,
            converged=converged,
            sigma2=self.sigma2,
            kappa=self.kappa,
            background_mean=np.asarray(T * residual),
            mismatch=self.mismatch.excess if self.mismatch is not None and self.noise.mismatch else None,
            low_share=low,
            ld=self.ld,
        )
