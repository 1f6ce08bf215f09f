"""The LD of a locus from a panel, also across the edges of its cores.

Within a core i the panel holds `R[i,i] = V lam V'` with truncated eigenpairs, across its edge `R[i,+] = V lam^1/2 B`. Of the core's variants
in the locus, `V_S lam^1/2 = W s Q'` by the eigenpairs of its Gram matrix. With the W of all cores side by side,

    R = W G W' + diag(D),   G[i,i] = diag(s_i^2),   G[i,j] = s_i Q_i' B_i[:, j] W_j,   D = 1 - rowsum

so that the diagonal of R is 1. `G = P g P'` gives `U = W P g^1/2`, with as many columns as the variants of the locus have directions: those
that a panel's rank rule would have cut off (`varfx.ld.whiten.rewhiten`) go into D.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from varfx.finemap.ld_matrix import RELATIVE_FLOOR, DenseLD, LowRankLD
from varfx.ld import LDPanel, PanelWindow


def locus_ld(panel: LDPanel, cores: list[int], rows: Int[ndarray, " variant"]) -> LowRankLD:
    """LD among the variants of a locus.

    Args:
        panel: the LD panel.
        cores: numbers of the cores that the locus touches, in genome order.
        rows: panel rows of the variants, ascending, all in these cores.

    Raises:
        StoreError: the panel is damaged.
    """
    windows = (panel.window(index) if len(cores) > 1 else panel.own(index) for index in cores)
    parts = [part for part in (_part(window, rows) for window in windows) if part.rows.size]
    if len(parts) == 1:
        (only,) = parts
        return with_unit_diagonal(only.W * only.s)
    g, P = np.linalg.eigh(_coupled(parts))
    kept = g > RELATIVE_FLOOR * g[-1]  # rounding and a flank's end make some negative
    F = P[:, kept] * np.sqrt(g[kept])
    shares = np.split(F, np.cumsum([part.s.size for part in parts])[:-1])
    return with_unit_diagonal(np.concatenate([part.W @ share for part, share in zip(parts, shares, strict=True)]))


@dataclass(frozen=True, eq=False)
class _Part:
    """A core's share in a locus.

    Attributes:
        rows: panel rows of its variants.
        W: orthonormal columns, (row, direction).
        s: square roots of the variances along them.
        Q: directions in the core's own; None for the identity.
        window: the core's.
    """

    rows: Int[ndarray, " row"]
    W: Float[ndarray, "row direction"]
    s: Float[ndarray, " direction"]
    Q: Float[ndarray, "rank direction"] | None
    window: PanelWindow

    def towards(self, other: _Part) -> Float[ndarray, "direction direction"]:
        """`s Q' B[:, j] W_j` from this core's flank; 0 for variants beyond it."""
        _, columns, there = np.intersect1d(self.window.panel_rows, other.rows, assume_unique=True, return_indices=True)
        across = self.window.factors.B[:, columns].astype(np.float64) @ other.W[there]
        return np.asarray(self.s[:, None] * (across if self.Q is None else self.Q.T @ across))


def _part(window: PanelWindow, rows: Int[ndarray, " variant"]) -> _Part:
    """The directions of a core's variants in the locus."""
    lam = window.factors.lam
    own, _, inside = np.intersect1d(rows, window.core_rows, assume_unique=True, return_indices=True)
    V = window.factors.V[inside].astype(np.float64)
    if own.size in (0, window.core_rows.size):
        return _Part(own, V, np.sqrt(lam), None, window)
    U = V * np.sqrt(lam)
    squares, Q = np.linalg.eigh(U.T @ U)
    cut_off = max(0.0, window.core_rows.size - float(lam.sum()))  # variance of the core that the panel lacks
    kept = squares > max(min(float(lam[-1]) / 2, cut_off), RELATIVE_FLOOR * squares[-1])
    squares, Q = squares[kept], Q[:, kept]
    return _Part(own, U @ (Q / np.sqrt(squares)), np.sqrt(squares), Q, window)


def with_unit_diagonal(U: ndarray) -> LowRankLD:
    """`U U'` with the diagonal that it lacks; rows longer than 1 are cut to 1."""
    own = np.einsum("jr,jr->j", U, U)
    long = own > 1
    U = np.where(long[:, None], U / np.sqrt(np.maximum(own, 1.0))[:, None], U)
    ld = LowRankLD(U=U, D=np.where(long, 0.0, 1 - own))
    if U.shape[1] <= U.shape[0]:
        return ld
    return LowRankLD(U=DenseLD(U @ U.T).factored().U, D=ld.D)


def _coupled(parts: list[_Part]) -> Float[ndarray, "direction direction"]:
    """G: covariance of the directions of all cores."""
    edges = np.concatenate([[0], np.cumsum([part.s.size for part in parts])])
    G = np.diag(np.concatenate([part.s for part in parts]) ** 2)
    for i, first in enumerate(parts):
        for j, second in enumerate(parts[i + 1 :], start=i + 1):
            block = (first.towards(second) + second.towards(first).T) / 2
            G[edges[i] : edges[i + 1], edges[j] : edges[j + 1]] = block
            G[edges[j] : edges[j + 1], edges[i] : edges[i + 1]] = block.T
    return G
