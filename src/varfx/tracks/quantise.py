"""Signals as small numbers: a transform, then 8-bit codes on a line or half precision, with the error that this makes.

    uint8      code = round((t - offset) / scale) in 0..254, 255 is missing;  error at most scale / 2
    float16    t itself, NaN is missing;  error at most 2^-11 |t|

`t` is the transformed signal. A track of whole numbers no more than 254 apart gets scale 1, and no error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from varfx.errors import ConfigError, DataError
from varfx.tracks.config import StoredAs

MISSING_CODE = 255
LARGEST_CODE = 254
AT_ONCE = 1 << 18  # bases whose temporaries stay in the processor's cache
_HALF_MAX = float(np.finfo(np.float16).max)
_HALF_ULP = 2.0**-11  # half a unit in the last place, relative
_HALF_TINY = 2.0**-25  # half the smallest step near zero
_SINGLE_ROUNDING = 2.0**-21  # of the float32 operations of encoding and decoding


@dataclass(frozen=True)
class Transform:
    """Elementwise steps applied from left to right before a signal is stored.

    Attributes:
        text: the steps joined by commas: `none`, `log1p`, `sqrt`, `asinh`, `clip:LOW:HIGH`; as in `clip:0:50,log1p`.
    """

    text: str = "none"

    def __post_init__(self) -> None:
        for step in self.text.split(","):
            _check_step(step, self.text)

    def __call__(self, values: Float32[ndarray, " base"]) -> Float32[ndarray, " base"]:
        """The transformed values; NaN stays NaN.

        Raises:
            DataError: log1p of a value of -1 or less, or a root of a negative one.
        """
        for step in self.text.split(","):
            name, *bounds = step.split(":")
            lowest = {"log1p": -1.0, "sqrt": 0.0}.get(name)
            if lowest is not None:
                bad = values <= lowest if name == "log1p" else values < lowest
                if bad.any():
                    first = float(values[bad.argmax()])
                    raise DataError(
                        f"{name} needs values {'above -1' if name == 'log1p' else 'of at least 0'}, but {bad.sum()} "
                        f"bases have others, first {first:g}. Choose another transform, or clip before it."
                    )
            match name:
                case "log1p":
                    values = np.log1p(values)
                case "sqrt":
                    values = np.sqrt(values)
                case "asinh":
                    values = np.arcsinh(values)
                case "clip":
                    values = np.clip(values, np.float32(bounds[0]), np.float32(bounds[1]))
                case _:
                    pass
        return values


def _check_step(step: str, text: str) -> None:
    name, *bounds = step.split(":")
    if name in ("none", "log1p", "sqrt", "asinh") and not bounds:
        return
    try:
        low, high = map(float, bounds)
        if name == "clip" and low < high and math.isfinite(low) and math.isfinite(high):
            return
    except ValueError:
        pass
    raise ConfigError(
        f"`transform` must be none, log1p, sqrt, asinh, clip:LOW:HIGH, or some of them joined by commas, but is {text!r}."
    )


@dataclass(frozen=True)
class Code:
    """Encoding of a transformed signal as the numbers of one array: `t = offset + scale * number`.

    Attributes:
        stored_as: `uint8` or `float16` (then offset 0, scale 1).
        offset: in the units of the transformed signal.
        scale: the same.
        max_error: the largest `|decoded - t|` that any value in the array's range may have.
    """

    stored_as: StoredAs
    offset: float
    scale: float
    max_error: float

    @property
    def missing(self) -> float:
        """The number that stands for a missing value."""
        return MISSING_CODE if self.stored_as == "uint8" else math.nan

    def encode(self, t: Float32[ndarray, " base"]) -> ndarray[Any, Any]:
        """The numbers to store; NaN becomes the missing one.

        Args:
            t: within the range that the code was made for.
        """
        if self.stored_as == "float16":
            return t.astype(np.float16)
        codes = np.empty(t.size, dtype=np.uint8)
        for start in range(0, t.size, AT_ONCE):
            part = t[start : start + AT_ONCE]
            number = (part - np.float32(self.offset)) * np.float32(1 / self.scale)
            np.rint(number, out=number)
            np.copyto(number, MISSING_CODE, where=np.isnan(part))
            codes[start : start + AT_ONCE] = number
        return codes

    def decode(self, stored: ndarray[Any, Any]) -> Float32[ndarray, " base"]:
        """The transformed signal; NaN where missing."""
        if self.stored_as == "float16":
            return stored.astype(np.float32)
        t = np.float32(self.offset) + np.float32(self.scale) * stored.astype(np.float32)
        return cast("ndarray[Any, Any]", np.where(stored == MISSING_CODE, np.float32(np.nan), t))


def choose_code(stored_as: StoredAs, low: float, high: float, *, whole: bool) -> Code:
    """The code for values between `low` and `high`.

    Args:
        stored_as: 8-bit codes or half precision.
        low: smallest transformed value.
        high: largest.
        whole: whether all values are whole numbers.

    Raises:
        DataError: half precision cannot hold the range.
    """
    largest = max(abs(low), abs(high))
    if stored_as == "float16":
        if largest > _HALF_MAX:
            raise DataError(
                f"values up to {largest:g} do not fit into float16 (65504): use a transform such as log1p, or uint8."
            )
        return Code("float16", 0.0, 1.0, max(largest * _HALF_ULP, _HALF_TINY))
    if low == high or (whole and high - low <= LARGEST_CODE):
        return Code("uint8", low, 1.0, largest * _SINGLE_ROUNDING if not whole else 0.0)
    scale = (high - low) / LARGEST_CODE
    if scale < np.finfo(np.float32).tiny:  # its reciprocal overflows: the range is kept as a constant
        return Code("uint8", low, 1.0, high - low + largest * _SINGLE_ROUNDING)
    return Code("uint8", low, scale, scale / 2 + (largest + high - low) * _SINGLE_ROUNDING)
