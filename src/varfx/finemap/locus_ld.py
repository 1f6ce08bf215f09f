"""The LD of a locus from a panel, also across the edges of its cores.

Within a core i the panel holds `R[i,i] = V lam V'` with truncated eigenpairs, across its edge `R[i,+] = V lam^1/2 B`. With W the
eigenvectors of all cores of the locus side by side,

    R = W G W' + diag(D),   G[i,i] = diag(lam_i),   G[i,j] = lam_i^1/2 B_i[:, j] V_j,   D = 1 - rowsum

so that the diagonal of R is 1. `G = F F'` gives `U = W F`. Variants without an association lose their row of U, which is exact.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from varfx.finemap.ld_matrix import DenseLD, LowRankLD
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
    windows = [panel.window(index) if len(cores) > 1 else panel.own(index) for index in cores]
    F = _root(_coupled(windows))
    parts, offset = [], 0
    for window in windows:
        rank = window.factors.lam.size
        _, _, inside = np.intersect1d(rows, window.core_rows, assume_unique=True, return_indices=True)
        parts.append(window.factors.V[inside].astype(np.float64) @ F[offset : offset + rank])
        offset += rank
    return with_unit_diagonal(np.concatenate(parts))


def with_unit_diagonal(U: ndarray) -> LowRankLD:
    """`U U'` with the diagonal that it lacks; rows longer than 1 are cut to 1."""
    own = np.einsum("jr,jr->j", U, U)
    long = own > 1
    U = np.where(long[:, None], U / np.sqrt(np.maximum(own, 1.0))[:, None], U)
    ld = LowRankLD(U=U, D=np.where(long, 0.0, 1 - own))
    if U.shape[1] <= U.shape[0]:
        return ld
    return LowRankLD(U=DenseLD(U @ U.T).factored().U, D=ld.D)


def _coupled(windows: list[PanelWindow]) -> ndarray:
    """G: covariance of the cores' eigen-directions."""
    ranks = [window.factors.lam.size for window in windows]
    edges = np.concatenate([[0], np.cumsum(ranks)])
    G = np.diag(np.concatenate([window.factors.lam for window in windows]))
    for i, first in enumerate(windows):
        for j in range(i + 1, len(windows)):
            block = (_across(first, windows[j]) + _across(windows[j], first).T) / 2
            G[edges[i] : edges[i + 1], edges[j] : edges[j + 1]] = block
            G[edges[j] : edges[j + 1], edges[i] : edges[i + 1]] = block.T
    return G


def _across(first: PanelWindow, second: PanelWindow) -> ndarray:
    """`lam^1/2 B[:, j] V_j` from the first core's flank; 0 for variants beyond it."""
    _, columns, inside = np.intersect1d(first.panel_rows, second.core_rows, assume_unique=True, return_indices=True)
    B = first.factors.B[:, columns].astype(np.float64)
    return np.asarray(np.sqrt(first.factors.lam)[:, None] * (B @ second.factors.V[inside].astype(np.float64)))


def _root(G: ndarray) -> ndarray:
    """F with `G = F F'`; directions that rounding or a flank's end made negative are left out."""
    if not np.any(G - np.diag(np.diag(G))):
        return np.diag(np.sqrt(np.diag(G)))
    try:
        return np.asarray(np.linalg.cholesky(G))
    except np.linalg.LinAlgError:
        lam, Q = np.linalg.eigh(G)
        kept = lam > 1e-10 * lam[-1]
        return np.asarray(Q[:, kept] * np.sqrt(lam[kept]))
