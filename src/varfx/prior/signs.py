"""Do the signs of the associations agree with LD? Flipped effect alleles halve a gain without any other sign of trouble.

Two variants j, k in LD r have associations that are nearly bivariate normal with correlation r, whatever the trait. Given their
sizes, the odds that they have the same sign (times that of r) are

    P(same) / P(opposite) = exp(2 |r z_j z_k| / (1 - r^2))

If a share of the pairs is turned by wrong alleles, an opposite sign has the probability

    share (1 - q) + (1 - share) q,    q = 1 / (1 + exp(2 |r z_j z_k| / (1 - r^2)))

and the share of largest likelihood is found by EM. The idea is DENTIST's (Chen et al. 2021, Nature Communications), which tests each
variant against its neighbours; here one number per GWAS is enough. Pairs with r of at least `MIN_R` count, all with r = `MIN_R`, so that
panels that were cut to fewer eigenvalues, or come from other individuals, do not overstate the odds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from varfx.ld import LDPanel
from varfx.training import TraitData

MIN_R = 0.9
MAX_VARIANTS = 400  # per window that look for their best partner
MAX_WINDOWS = 64
MIN_PAIRS = 50
TOLERATED = 0.01  # share of wrong signs below which nothing is said
MIN_EVIDENCE = 12.0  # nats over no wrong sign at all: pairs in one block of LD are not independent


@dataclass(frozen=True)
class SignCheck:
    """Agreement of a trait's signs with LD.

    Attributes:
        pairs: of variants in high LD.
        opposite: of these with signs that disagree with LD.
        expected: number of those if all alleles were right.
        share: estimated share of variants with a wrong sign.
        evidence: log-likelihood at `share` minus that at 0, in nats.
    """

    pairs: int
    opposite: int
    expected: float
    share: float
    evidence: float

    def warning(self, trait: str) -> str | None:
        """Warning for the user, or None if the signs agree."""
        if self.pairs < MIN_PAIRS or self.share < TOLERATED or self.evidence < MIN_EVIDENCE:
            return None
        return (
            f"`{trait}`: the signs of about {self.share:.1%} of the associations disagree with LD: of {self.pairs} pairs of variants "
            f"with |r| of at least {MIN_R} {self.opposite} have opposite effects, where {self.expected:.0f} are expected. Check which "
            "allele is the effect allele, its strand, and that the panel has the ancestry of the GWAS."
        )


def check_signs(panel: LDPanel, trait: TraitData, windows: Sequence[int]) -> SignCheck:
    """Agreement of the signs of a trait's associations with the panel's LD.

    Args:
        panel: the LD panel.
        trait: associations on its rows; of several replicates the first counts.
        windows: numbers of windows to look at; of more than `MAX_WINDOWS`, evenly spaced ones.
    """
    spread = np.unique(np.linspace(0, len(windows) - 1, min(MAX_WINDOWS, len(windows))).astype(int))
    products = [_products(panel, trait, windows[place]) for place in spread]
    return sign_check(np.concatenate(products) if products else np.empty(0))


def sign_check(products: Float[ndarray, " pair"]) -> SignCheck:
    """The check from `sign(r) z_j z_k` of pairs in high LD."""
    odds = np.exp(-2 * MIN_R * np.abs(products) / (1 - MIN_R**2))
    q = odds / (1 + odds)
    opposite = products < 0
    # share of a pair's turned signs; P(opposite) = q + share (1 - 2 q)
    turned = 0.25
    for _ in range(200):
        if_turned = turned * np.where(opposite, 1 - q, q)
        turned = (
            float(np.mean(if_turned / (if_turned + (1 - turned) * np.where(opposite, q, 1 - q)))) if q.size else 0.0
        )

    def log_p(share: float) -> float:
        probability = q + share * (1 - 2 * q)
        return float(np.log(np.clip(np.where(opposite, probability, 1 - probability), 1e-300, None)).sum())

    # one of two is wrong with probability 2 share (1 - share)
    share = 0.5 * (1 - np.sqrt(max(0.0, 1 - 2 * min(turned, 0.5))))
    return SignCheck(
        pairs=int(products.size),
        opposite=int(opposite.sum()),
        expected=float(q.sum()),
        share=float(share),
        evidence=log_p(turned) - log_p(0.0),
    )


def _products(panel: LDPanel, trait: TraitData, index: int) -> Float[ndarray, " pair"]:
    """`sign(r) z_j z_k` of a window's variants j and the partner k in highest LD, each pair once."""
    window = panel.window(index)
    z = trait.z[window.core_rows]
    z = z if z.ndim == 1 else z[:, 0]
    observed = np.flatnonzero(np.isfinite(z))
    if observed.size < 2:
        return np.empty(0)
    V = np.asarray(window.factors.V[observed], dtype=np.float64)
    chosen = np.unique(np.linspace(0, observed.size - 1, min(MAX_VARIANTS, observed.size)).astype(int))
    R = (V[chosen] * window.factors.lam) @ V.T
    R[np.arange(chosen.size), chosen] = 0.0
    partner = np.abs(R).argmax(axis=1)
    r = R[np.arange(chosen.size), partner]
    high = np.abs(r) >= MIN_R
    pairs = np.sort(np.column_stack([chosen, partner])[high], axis=1)
    _, first = np.unique(pairs, axis=0, return_index=True)
    z = z[observed]
    return np.asarray(np.sign(r[high]) * z[chosen[high]] * z[partner[high]])[first]
