"""Numbers as readers want them: few digits, true minus signs, p-values of any size; and rounded for the page's data."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

MISSING = "–"
_FOLDERS = re.compile(r"(?<![\w.])/?(?:[\w.+-]+/)+(?=[\w.+-]+\.\w+)")


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    size = abs(value)
    text = (
        f"{value:.{digits - 1}e}"
        if size < 1e-3 or size >= 1e7
        else f"{value:,.{max(0, digits - 1 - math.floor(math.log10(size)))}f}"
    )
    return text.replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits and its sign."""
    return f"{'+' if value is not None and value > 0 else ''}{number(value, digits)}"


def fixed(value: float | None, decimals: int = 3, *, sign: bool = False) -> str:
    """A number with so many decimals."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:{'+' if sign else ''},.{decimals}f}".replace("-", "−")


def interval(bounds: Sequence[float] | None, decimals: int = 3) -> str:
    """A confidence interval."""
    return MISSING if bounds is None else f"{fixed(bounds[0], decimals)} to {fixed(bounds[1], decimals)}"


def p_value(neg_log10: float) -> str:
    """A p-value from its -log10, however small."""
    if neg_log10 < 3:
        return f"{10**-neg_log10:.3g}"
    exponent = math.floor(neg_log10)
    mantissa = 10 ** (exponent - neg_log10)
    if mantissa < 1:
        mantissa, exponent = mantissa * 10, exponent + 1
    return f"{mantissa:.1f}e−{exponent}"


def rounded(values: Iterable[Any], digits: int = 4) -> list[float | None]:
    """Values with so many significant digits, null where they are missing or not finite: the page's data."""
    return [
        None if value is None or not math.isfinite(value) else float(f"{float(value):.{digits}g}") for value in values
    ]


def decimals(values: Iterable[Any], places: int) -> list[float | None]:
    """Values with so many decimals, null where they are missing or not finite."""
    return [None if value is None or not math.isfinite(value) else round(float(value), places) for value in values]


def megabases(positions: np.ndarray) -> list[float]:
    """1-based positions in Mb."""
    return [round(float(position) / 1e6, 6) for position in positions]


def without_folders(note: object) -> str:
    """A note of another command, its files named without their folders: where they lie is nobody's business."""
    return _FOLDERS.sub("", str(note))


def shortened(text: str, most: int = 24) -> str:
    """A long allele or identifier, its middle left out."""
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-4:]} ({len(text)})"
