"""Strong effects of a window, one after another, so that what they leave outside of the kept directions is not taken for mismatch.

With the kept eigenpairs `V, lam` of R and what truncation took from each variant's variance, d, the LD is known as
`V lam V' + diag(d)`. A variant enters where its association given those that entered before is far beyond noise. An effect of size b
at variant j reaches the rest `R_o` of the LD (trace mu, squared norm nu, largest eigenvalue at most `top`):

    |R_o e_j|^2 b^2 <= top d_j b^2             its energy outside; (nu / mu) d_j b^2 on the mean over variants
    4 b^2 e_j' R_o^3 e_j <= 4 top^2 d_j b^2    its part of that energy's variance

Another variant in LD r with j may carry the effect in its place, of size b / r, and leave more: `top b^2 max d / r^2` over variants with r2 of at
least 0.5 is the most that an effect leaves outside.

A panel keeps only trace and norm of the rest. So `reach`, the smaller of `top` and 1.8 nu / mu, stands for `|R_o e_j|^2 / d_j`: 99 % of the
variants of real LD stay below it (rank rules 0.9 to 0.99).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

MOST = 10  # effects
MOST_REFUSED = 50  # candidates that no other variant shows, after which none is looked for
REACH = 1.8  # times the mean over variants
ENTRY = 25.0  # squared association given the others, from which on an effect is strong
FREE = 0.2  # smallest variance given the others of a variant that enters
NEAR = 0.3  # r2 given the others, from which on variants must show a candidate's effect
SHOWN = 0.35  # share of it
CARRIES = 0.5  # r2 with a variant that entered, from which on another may carry its effect
MOST_HIDDEN = 1.8  # times its association, that an effect may be where no variant is near


@dataclass(frozen=True, eq=False)
class StrongEffects:
    """Strong effects of a window.

    Attributes:
        rows: variants that entered, in order.
        b: their effects together, in units of z.
        lacking: variance outside of each effect's variant: the mean over variants, by how well each would explain the effect.
        most: largest variance outside of a variant that may carry the effect, over its r2 with the one that entered.
    """

    rows: Int[ndarray, " effect"]
    b: Float[ndarray, " effect"]
    lacking: Float[ndarray, " effect"]
    most: Float[ndarray, " effect"]

    def at_most(self, top: float) -> float:
        """Energy that they leave outside at the very most, where no eigenvalue there exceeds `top`."""
        return float(top * (self.b * self.b * self.most).sum())

    def outside(self, reach: float) -> float:
        """Energy that they may leave outside, where an effect of 1 leaves at most `reach` times the variance that its variant lacks."""
        return float(reach * (self.b * self.b * self.lacking).sum())


def strong_effects(
    z: Float[ndarray, " variant"],
    U: Float[ndarray, "variant rank"],
    lacking: Float[ndarray, " variant"],
) -> StrongEffects:
    """The strong effects behind associations, by forward selection.

    Args:
        z: associations.
        U: factor of the kept LD, `U U' = V lam V'`.
        lacking: variance of each variant's z outside of the kept LD.
    """
    total = np.einsum("jr,jr->j", U, U) + lacking
    rows: list[int] = []
    doubt: list[float] = []
    most: list[float] = []
    across = np.zeros((z.size, 0))  # R between all variants and those that entered
    given, variance = z, total
    weights: ndarray = np.zeros((0, z.size))
    refused = np.zeros(z.size, dtype=bool)
    while len(rows) < MOST and refused.sum() < MOST_REFUSED:
        score = np.where((variance > FREE * total) & ~refused, given * given / variance, 0.0)
        row = int(score.argmax())
        if score[row] < ENTRY:
            break
        column = U @ U[row]
        column[row] += lacking[row]
        partial = column - across[row] @ weights  # covariance of all with the candidate, given those that entered
        if not _supported(row, z, given, variance, partial, refused):
            refused[row] = True
            continue
        rows.append(row)
        likely = np.exp(0.5 * (score - score[row]))
        doubt.append(float(likely @ lacking / likely.sum()))
        r2 = column * column / (total * total[row])
        carries = r2 >= CARRIES
        most.append(float((lacking[carries] / r2[carries]).max()))
        across = np.column_stack([across, column])
        weights = np.linalg.solve(across[rows], across.T)  # (effect, variant)
        given = z - weights.T @ z[rows]
        variance = np.maximum(total - np.einsum("ej,je->j", weights, across), 1e-12)
    b = np.linalg.solve(across[rows], z[rows]) if rows else np.zeros(0)
    return StrongEffects(np.array(rows, dtype=np.int64), b, np.array(doubt), np.array(most))


def _supported(row: int, z: ndarray, given: ndarray, variance: ndarray, partial: ndarray, refused: ndarray) -> bool:
    """Whether the variants in LD with a candidate show its effect too; an effect, not a flipped allele, does so.

    Where none is in LD with it, the association itself must be at least about half of the effect: a flipped allele looks like an effect
    of at least twice its association.
    """
    near = (partial**2 > NEAR * variance[row] * variance) & (variance > 0.05) & ~refused
    near[row] = False
    b = given[row] / variance[row]
    if near.any():
        expected = partial[near] * b
        return bool(expected @ given[near] > SHOWN * (expected @ expected))
    return bool(b * z[row] > 0 and abs(b) < MOST_HIDDEN * abs(z[row]))


def largest_outside(mu: float, nu: float, directions: int, smallest_kept: float) -> float:
    """Upper bound of the eigenvalues outside: the smallest kept one, or what trace and squared norm over so many directions allow."""
    if directions < 2:
        return min(smallest_kept, mu)
    spread = max(0.0, nu - mu * mu / directions)
    return min(smallest_kept, mu / directions + float(np.sqrt(spread * (directions - 1) / directions)))
