"""Credible sets of a fit, their purity, and posterior inclusion probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from varfx.finemap.ld_matrix import LDMatrix
from varfx.short_repr import short_repr

MOST_FOR_PURITY = 100  # variants of a set whose correlations are looked at


@dataclass(frozen=True, eq=False)
class CredibleSet:
    """The fewest variants that together hold one effect with a given probability. Behaves as the list of their rows.

    Attributes:
        variants: rows, ascending.
        effect: number of the effect, from 0.
        coverage: sum of the probabilities of `variants`.
        log_bf: natural log Bayes factor of the effect.
        purity: smallest |r| between two of the variants.
        purity_mean: mean |r|.
        purity_median: median |r|.
        lead: row of the most probable variant.
        r2: r2 of each of the variants with the lead.
    """

    __repr__ = short_repr

    variants: Int[ndarray, " member"]
    effect: int
    coverage: float
    log_bf: float
    purity: float
    purity_mean: float
    purity_median: float
    lead: int
    r2: Float[ndarray, " member"]

    def __iter__(self) -> Iterator[int]:
        return iter(self.variants.tolist())

    def __len__(self) -> int:
        return int(self.variants.size)

    def __contains__(self, row: object) -> bool:
        return row in self.variants


def inclusion_probabilities(
    alpha: Float[ndarray, "effect variant"], V: Float[ndarray, " effect"]
) -> Float[ndarray, " variant"]:
    """`1 - prod_l (1 - alpha_lj)` over the effects of positive variance."""
    used = alpha[V > 0]
    with np.errstate(divide="ignore"):
        return np.asarray(0.0 - np.expm1(np.log1p(-np.minimum(used, 1.0)).sum(axis=0)))  # 0 - 0 has no sign


def members(alpha: Float[ndarray, " variant"], coverage: float) -> Int[ndarray, " member"]:
    """Rows of the shortest list of variants, most probable first, whose probabilities reach `coverage`; ascending."""
    order = np.argsort(-alpha, kind="stable")
    reached = np.cumsum(alpha[order])
    number = min(int(np.count_nonzero(reached < coverage)) + 1, alpha.size)
    return np.sort(order[:number])


def credible_sets(
    alpha: Float[ndarray, "effect variant"],
    V: Float[ndarray, " effect"],
    log_bf: Float[ndarray, " effect"],
    ld: LDMatrix,
    *,
    coverage: float = 0.95,
    min_purity: float = 0.5,
) -> list[CredibleSet]:
    """Sets of the effects of positive variance, without duplicates and without those of low purity; purest first.

    Of sets with more than 100 variants, evenly spaced ones are looked at for purity.

    Args:
        alpha: probability of each variant to carry each effect.
        V: prior variance of each effect.
        log_bf: natural log Bayes factor of each effect.
        ld: correlations.
        coverage: probability that a set holds its variant.
        min_purity: smallest |r| between two variants of a set.
    """
    found: list[CredibleSet] = []
    seen: set[bytes] = set()
    for effect in np.flatnonzero(V > 0):
        rows = members(alpha[effect], coverage)
        if rows.tobytes() in seen:
            continue
        seen.add(rows.tobytes())
        lead = int(rows[alpha[effect, rows].argmax()])
        smallest, mean, median = _purity(rows, ld)
        if smallest < min_purity:
            continue
        found.append(
            CredibleSet(
                variants=rows,
                effect=int(effect),
                coverage=float(alpha[effect, rows].sum()),
                log_bf=float(log_bf[effect]),
                purity=smallest,
                purity_mean=mean,
                purity_median=median,
                lead=lead,
                r2=_with_lead(rows, lead, ld) ** 2,
            )
        )
    return sorted(found, key=lambda each: -each.purity)


def _purity(rows: ndarray, ld: LDMatrix) -> tuple[float, float, float]:
    """Smallest, mean and median |r| between variants."""
    if rows.size == 1:
        return 1.0, 1.0, 1.0
    looked = rows
    if rows.size > MOST_FOR_PURITY:
        looked = rows[np.linspace(0, rows.size - 1, MOST_FOR_PURITY).astype(int)]
    pairs = np.abs(ld.block(looked))[np.triu_indices(looked.size, 1)]
    return float(pairs.min()), float(pairs.mean()), float(np.median(pairs))


def _with_lead(rows: ndarray, lead: int, ld: LDMatrix) -> ndarray:
    """r of each variant with the lead."""
    one = np.zeros(ld.size)
    one[lead] = 1.0
    return np.asarray(np.clip(ld.product(one)[rows], -1.0, 1.0))
