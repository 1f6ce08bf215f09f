"""The fit of one locus in several ancestries: single effects at the same variant everywhere, of a size of its own in each.

    z_k ~ N(R_k b_k, sigma2_k R_k + ...),   b_k = sum_l b_lk,   the non-zero of b_lk at one variant for all k

The posterior of a single effect is that of SuSiE with the sum of the ancestries' log Bayes factors, `alpha_j ~ pi_j exp(sum_k lbf_jk)`
(SuSiEx); its prior variance in each ancestry is that of largest evidence given the others. A variant that a panel lacks has no Bayes factor there.
Noise, background and error of the LD are those of each ancestry's own fit (`varfx.finemap.fit`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from varfx.errors import DataError
from varfx.finemap.ancestries.posthoc import posthoc_probabilities
from varfx.finemap.config import SusieConfig
from varfx.finemap.fit import ALPHA_TOL, Fit, Step, Updates
from varfx.finemap.sets import inclusion_probabilities, members
from varfx.finemap.single_effect import SingleEffect, best_variance, single_effect
from varfx.finemap.susie import answer

ROUNDS = 20  # over the ancestries' variances of one effect, at most
SAME = 1e-6  # relative change of a variance that ends them


@dataclass(frozen=True, kw_only=True, eq=False)
class SharedSet:
    """A credible set over the union of variants.

    Attributes:
        variants: rows of the union, ascending.
        effect: number of the effect.
        coverage: sum of their probabilities.
        log_bf: natural log Bayes factor of the effect.
        purity: smallest |r| between its variants in each panel; NaN where a panel has none.
        lead: row of the most probable one.
        exists: probability that the effect is there, per ancestry (`posthoc_probabilities`).
    """

    variants: Int[ndarray, " member"]
    effect: int
    coverage: float
    log_bf: float
    purity: Float[ndarray, " ancestry"]
    lead: int
    exists: Float[ndarray, " ancestry"]


@dataclass(frozen=True, kw_only=True, eq=False)
class SharedFit:
    """A locus fitted in several ancestries.

    Attributes:
        pip: inclusion probability of each variant of the union.
        alpha: probability of each variant to carry each effect.
        mean: posterior mean of all effects together, in units of b sqrt(n - 1), per ancestry; NaN where it lacks the variant.
        V: prior variance of each effect in each ancestry, in the same units.
        log_bf: natural log Bayes factor of each effect.
        sets: credible sets, most certain first.
        elbo: evidence lower bound after each sweep.
        converged: whether the fit moved no more.
    """

    pip: Float[ndarray, " variant"]
    alpha: Float[ndarray, "effect variant"]
    mean: Float[ndarray, "ancestry variant"]
    V: Float[ndarray, "ancestry effect"]
    log_bf: Float[ndarray, " effect"]
    sets: list[SharedSet]
    elbo: list[float]
    converged: bool


class JointFit:
    """The state of a fit: one `Fit` per ancestry, with effects in common."""

    def __init__(
        self, fits: Sequence[Fit], rows: Sequence[Int[ndarray, " own"]], log_weights: Float[ndarray, " variant"]
    ) -> None:
        """Sets up.

        Args:
            fits: of each ancestry, with the same number of effects.
            rows: for each the row of its variants in the union.
            log_weights: log of the prior probabilities over the union; they sum to 1.
        """
        self.fits, self.rows, self.log_weights = list(fits), list(rows), log_weights
        L = len(self.fits[0].effects)
        self.alpha = np.tile(np.exp(log_weights), (L, 1))
        self.evidence = np.zeros(L)
        self.steps: list[list[Step]] = [[] for _ in range(L)]

    def run(self, config: SusieConfig) -> SharedFit:
        """Sweeps until convergence.

        Raises:
            DataError: the fit diverges.
        """
        history: list[float] = []
        converged = False
        with np.errstate(all="ignore"):  # a fit that diverges says so
            for fit in self.fits:
                if fit.noise.mismatch:
                    _by_itself(fit.start_mismatch())
            while not converged and len(history) < config.max_sweeps:
                before = self.alpha.copy()
                for number in range(len(self.alpha)):
                    self._update(number)
                history.append(sum(fit.elbo() for fit in self.fits))
                if not np.isfinite(history[-1]):
                    raise DataError(
                        f"the fit diverged in sweep {len(history)}: the LD of an ancestry is no correlation matrix."
                    )
                still = len(history) > 1 and float(np.abs(self.alpha - before).max()) < ALPHA_TOL
                last = len(history) == config.max_sweeps
                settled = [fit.learn(still=still, last=last) for fit in self.fits]
                converged = still and all(settled)
            return self._result(history, converged, config)

    def _update(self, number: int) -> None:
        """One effect in all ancestries, given the others."""
        updates = [fit.update(number) for fit in self.fits]
        self.steps[number] = [next(update) for update in updates]
        effects, self.alpha[number], self.evidence[number] = shared_effect(
            self.steps[number], self.rows, self.log_weights
        )
        for update, step, effect in zip(updates, self.steps[number], effects, strict=True):
            explained = step.M.product(effect.alpha * effect.mean) if effect.V > 0 else effect.mean
            _send(update, (effect, explained))

    def _result(self, history: list[float], converged: bool, config: SusieConfig) -> SharedFit:
        size = self.log_weights.size
        V = np.array([[0.0 if each is None else each.V for each in fit.effects] for fit in self.fits])
        used = V.max(axis=0)
        mean = np.full((len(self.fits), size), np.nan)
        for k, (fit, rows) in enumerate(zip(self.fits, self.rows, strict=True)):
            mean[k, rows] = fit.means.sum(axis=0)
        sets = [self._set(number, V[:, number], config) for number in np.flatnonzero(used > 0).tolist()]
        seen: set[bytes] = set()
        kept = []
        for each in sorted(sets, key=lambda one: -one.log_bf):
            if np.nanmax(each.purity) >= config.min_purity and each.variants.tobytes() not in seen:
                seen.add(each.variants.tobytes())
                kept.append(each)
        return SharedFit(
            pip=inclusion_probabilities(self.alpha, used), alpha=self.alpha, mean=mean, V=V, log_bf=self.evidence,
            sets=kept, elbo=history, converged=converged,
        )  # fmt: skip

    def _set(self, number: int, V: ndarray, config: SusieConfig) -> SharedSet:
        rows = members(self.alpha[number], config.coverage)
        purity = np.full(len(self.fits), np.nan)
        for k, (fit, own) in enumerate(zip(self.fits, self.rows, strict=True)):
            _, _, places = np.intersect1d(rows, own, return_indices=True)
            if places.size:
                purity[k] = float(np.abs(fit.ld.block(np.sort(places))).min()) if places.size > 1 else 1.0
        return SharedSet(
            variants=rows,
            effect=number,
            coverage=float(self.alpha[number, rows].sum()),
            log_bf=float(self.evidence[number]),
            purity=purity,
            lead=int(rows[self.alpha[number, rows].argmax()]),
            exists=posthoc_probabilities(self._log_bf(number, V)),
        )

    def _log_bf(self, number: int, V: ndarray) -> Float[ndarray, "ancestry variant"]:
        """Log Bayes factors of an effect that explains as much of the trait's variance in every ancestry as where it explains most.

        The variance of largest evidence of each ancestry would never speak against an effect.
        """
        scale = np.array([1.0 if fit.n is None else fit.n - 1 for fit in self.fits])
        share = float((V / scale).max())
        found = np.zeros((len(self.fits), self.log_weights.size))
        for k, (step, rows) in enumerate(zip(self.steps[number], self.rows, strict=True)):
            own = single_effect(step.score, step.d, self.log_weights[rows], V=share * scale[k])
            found[k, rows] = own.lbf
        return found


def shared_effect(
    steps: Sequence[Step], rows: Sequence[Int[ndarray, " own"]], log_weights: Float[ndarray, " variant"]
) -> tuple[list[SingleEffect], Float[ndarray, " variant"], float]:
    """The posterior of one effect in each ancestry, the probabilities of its place, and its log Bayes factor.

    Variances are found one ancestry after another, each the one of largest evidence given the others, until they stay.

    Args:
        steps: score and precision per ancestry.
        rows: for each the row of its variants in the union.
        log_weights: log of the prior probabilities over the union.
    """
    lbf = np.zeros((len(steps), log_weights.size))
    V = np.zeros(len(steps))
    for _ in range(ROUNDS):
        before = V.copy()
        for k, (step, own) in enumerate(zip(steps, rows, strict=True)):
            others = log_weights[own] + (lbf.sum(axis=0) - lbf[k])[own]
            weights = others - np.logaddexp.reduce(others)
            V[k] = best_variance(step.score * step.score, step.d, weights)
            lbf[k] = 0.0
            lbf[k, own] = single_effect(step.score, step.d, weights, V=float(V[k])).lbf
        if (np.abs(V - before) <= SAME * np.maximum(V, before)).all():
            break
    joint = log_weights + lbf.sum(axis=0)
    evidence = float(np.logaddexp.reduce(joint))
    alpha = np.exp(joint - evidence)
    found = []
    first = int(V.argmax())
    for k, (step, own) in enumerate(zip(steps, rows, strict=True)):
        shrunk = V[k] / (1 + V[k] * step.d)
        mean = shrunk * step.score
        square = shrunk + mean * mean if V[k] > 0 else np.zeros_like(mean)
        # the bound of all ancestries counts the probabilities' divergence once
        share = evidence if k == first else 0.0
        found.append(SingleEffect(float(V[k]), alpha[own], mean, square, lbf[k, own], share))
    return found, alpha, evidence if V.any() else 0.0


def _by_itself(updates: Updates) -> None:
    """Runs updates of one ancestry alone."""
    step = next(updates)
    while _send(updates, answer(step)):
        step = next(updates)


def _send(updates: Updates, given: tuple[SingleEffect, ndarray]) -> bool:
    """Sends an answer; whether the updates ask for more."""
    try:
        updates.send(given)
    except StopIteration:
        return False
    return True
