"""|z| of each row by each of a file's statistics, to be compared with each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float
from numpy import ndarray

from varfx.gwas.statistics import from_p

Z = Float[ndarray, " variant"]
NEARLY_ALL = 0.8


@dataclass(frozen=True)
class Reading:
    """One way to read the columns: |z| of each row, and how to say it."""

    what: str
    z: Z
    remedy: str = ""


def tests_of(raw: pl.DataFrame, names: Mapping[str, str]) -> list[Reading]:
    """|z| by each of the file's tests, the one that belongs to its effect and SE first."""
    found = [
        Reading(names.get(role, "chi-square"), magnitude(raw[role].sqrt()))
        for role in ("chisq_inf", "chisq")
        if role in raw.columns
    ]
    found += [
        Reading(names.get(of, of), magnitude(from_p(raw[role])))
        for role, of in (("neg_log10_p", "neg_log10_p"), ("neg_log10_of_p", "p"))
        if role in raw.columns
    ]
    if "z" in raw.columns:
        found.append(Reading(names.get("z", "z"), magnitude(raw["z"])))
    return found


def agree(one: Z, other: Z) -> bool:
    """Whether two |z| are the same, but for rounding, in nearly all rows."""
    both = np.isfinite(one) & np.isfinite(other)
    if not both.any():
        return False
    near = np.abs(one[both] - other[both]) <= 0.1 + 0.1 * other[both]
    return bool(near.mean() >= NEARLY_ALL)


def effect_name(raw: pl.DataFrame, names: Mapping[str, str]) -> str:
    """The effect of a file in words: its column, within log() where it is a ratio."""
    role = next(role for role in ("beta", "odds_ratio", "hazard_ratio") if role in raw.columns)
    return names.get(role, role) if role == "beta" else f"log({names.get(role, role)})"


def values_of(raw: pl.DataFrame, role: str) -> Z:
    """The numbers of a role; NaN where they are missing."""
    if role not in raw.columns:
        return np.full(raw.height, np.nan)
    return raw[role].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def magnitude(values: pl.Series) -> Z:
    """Absolute values; NaN where they are missing."""
    return np.asarray(np.abs(values.cast(pl.Float64).fill_null(float("nan")).to_numpy()))


def median_of(values: Z) -> float:
    """The median of the finite values; NaN if there is none."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")
