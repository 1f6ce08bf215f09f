"""Smaller windows: eigenvectors taken from the core's columns of `B`, and the flank's columns in 8 bits.

`B[:, core] = lam^1/2 V'`, so that V need not be stored beside it. Correlations with the flank are rounded to 1/127 of the largest in their row
among 128 neighbouring variants; those within the core keep half precision, as whitening divides by the square roots of small eigenvalues.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Int, Int8
from numpy import ndarray

from varfx.errors import DataError

NEIGHBOURS = 128  # columns that share a scale in each row
LEVELS = 127
SAME = 0.02  # largest difference of B's core columns from lam^1/2 V', as a share of the largest entry


def core_columns(core_rows: Int[ndarray, " core"], panel_rows: Int[ndarray, " panel"]) -> slice:
    """The columns of the core's variants among the panel's.

    Raises:
        DataError: they do not lie side by side.
    """
    first = int(np.searchsorted(panel_rows, core_rows[0]))
    columns = slice(first, first + core_rows.size)
    if not np.array_equal(panel_rows[columns], core_rows):
        raise DataError("the core's variants are not neighbours in the panel: build it with --storage full.")
    return columns


def eigenvectors(own: Float[ndarray, "rank core"], lam: Float[ndarray, " rank"]) -> Float[ndarray, "core rank"]:
    """V of B's core columns, in float32 (float64 of a float64 B)."""
    precision = np.float64 if own.dtype == np.float64 else np.float32
    return np.ascontiguousarray(own.astype(precision).T / np.sqrt(lam).astype(precision))


def require_shared(
    own: Float[ndarray, "rank core"], lam: Float[ndarray, " rank"], V: Float[ndarray, "core rank"]
) -> None:
    """Checks that B's core columns are `lam^1/2 V'`.

    Raises:
        DataError: they are not.
    """
    expected = (V * np.sqrt(lam)).T
    apart, size = float(np.abs(own - expected).max(initial=0.0)), float(np.abs(expected).max(initial=0.0))
    if apart > SAME * size:
        raise DataError(
            f"B's columns of the core differ from its eigenvectors by up to {apart:.2g}: correlations among the core and with the "
            "panel do not agree. Build with --storage full."
        )


def rounded(B: Float[ndarray, "rank variant"]) -> tuple[Int8[ndarray, "rank variant"], Float32[ndarray, "rank block"]]:
    """Codes of -127 to 127, and the size of one step per row and block of neighbours."""
    starts = np.arange(0, B.shape[1], NEIGHBOURS)
    if not starts.size:
        return np.zeros(B.shape, dtype=np.int8), np.zeros((B.shape[0], 0), dtype=np.float32)
    steps = (np.maximum.reduceat(np.abs(B), starts, axis=1) / LEVELS).astype(np.float32)
    inverse = np.divide(1, steps, out=np.zeros_like(steps), where=steps > 0)
    codes = np.rint(B * _wide(inverse, B.shape[1])).clip(-LEVELS, LEVELS)
    return codes.astype(np.int8), steps


def restored(
    codes: Int8[ndarray, "rank variant"], steps: Float32[ndarray, "rank block"]
) -> Float32[ndarray, "rank variant"]:
    """The correlations of codes."""
    return np.asarray(codes * _wide(steps, codes.shape[1]), dtype=np.float32)


def _wide(steps: Float32[ndarray, "rank block"], columns: int) -> Float32[ndarray, "rank variant"]:
    return np.repeat(steps, NEIGHBOURS, axis=1)[:, :columns]
