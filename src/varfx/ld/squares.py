"""Squared correlations of a window, put together again from what a panel stores: for objectives that look at chi2 alone."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float16
from numpy import ndarray

from varfx.ld.whiten import Factors

BLOCK_BYTES = 2**27  # of rows of R in float32 at a time


def squared_correlations(factors: Factors, num_people: int) -> Float16[ndarray, "core panel"]:
    """`r2_mk - (1 - r2_mk) / (n - 2)` of core with panel variants: each corrected for its sampling bias, in half precision.

    `R[i,+] = V lam^1/2 B` on the eigenpairs that are kept, so that a panel built with a rank rule below 1 has r2 a little
    too small. Costs 2 core rank panel flops; rows are made block by block.

    Args:
        factors: the stored window.
        num_people: sample size of the reference; up to 2, and nothing is corrected.
    """
    root = (factors.V * np.sqrt(factors.lam)).astype(np.float32)
    B = factors.B.astype(np.float32, copy=False)
    out = np.empty((root.shape[0], B.shape[1]), dtype=np.float16)
    rows = max(1, BLOCK_BYTES // (4 * max(1, B.shape[1])))
    for start in range(0, root.shape[0], rows):
        r2 = np.square(root[start : start + rows] @ B)
        if num_people > 2:
            r2 -= (1 - r2) / (num_people - 2)
        out[start : start + rows] = r2
    return out
