"""Content of a mislabelled column of statistics: the reading under which the file agrees with itself."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from varfx.gwas.evidence import Reading, agree, tests_of, values_of
from varfx.gwas.statistics import z_from_neg_log10_p


def fitting(raw: pl.DataFrame, names: Mapping[str, str]) -> str:
    """The first other meaning of a column with which effect, SE and test agree, and how to name it; "" if none."""
    tests = {test.what: test for test in tests_of(raw, names)}
    tests |= {reading.what: reading for reading in _readings_of_p(raw, names)}
    for reading in _readings_of_effects(raw, names):
        for test in tests.values():
            if agree(reading.z, test.z):
                words = [word for word in (reading.what, test.what if test.remedy else "") if word]
                said = " and ".join(words) or f"`{test.what}` fits the effect and its SE"
                remedies = (part for part in (reading.remedy, test.remedy or _as_given(test, names)) if part.strip())
                return f"{said}: name the columns that fit with --columns {','.join(remedies)}"
    return ""


def _readings_of_effects(raw: pl.DataFrame, names: Mapping[str, str]) -> list[Reading]:
    """The effect over its SE as named, and as it would be if one of the two were something else."""
    found = []
    se, se_name = values_of(raw, "se"), names.get("se", "SE")
    for role in ("odds_ratio", "hazard_ratio", "beta"):
        if role not in raw.columns:
            continue
        value, name = values_of(raw, role), names.get(role, role)
        middle = f"median {np.nanmedian(value):.3g}" if np.isfinite(value).any() else "no values"
        with np.errstate(all="ignore"):
            if role == "beta":
                found += [
                    Reading("", np.abs(value / se), f"beta={name},se={se_name}"),
                    Reading(
                        f"`{name}` looks like odds ratios ({middle}; log odds are near 0)",
                        np.abs(np.log(value) / se),
                        f"odds_ratio={name},se={se_name}",
                    ),
                    Reading(f"`{se_name}` looks like a variance", np.abs(value) / np.sqrt(se), f"beta={name}"),
                    Reading(f"`{name}` looks like z", np.abs(value), f"z={name}"),
                ]
            else:
                found += [
                    Reading("", np.abs(np.log(value) / se), f"{role}={name},se={se_name}"),
                    Reading(
                        f"`{name}` looks like log odds ({middle}; odds ratios are near 1)",
                        np.abs(value / se),
                        f"beta={name},se={se_name}",
                    ),
                    Reading(
                        f"`{se_name}` looks like the error of {name}, not of its logarithm",
                        np.abs(np.log(value)) * value / se,
                        f"{role}={name}",
                    ),
                ]
    return found


def _readings_of_p(raw: pl.DataFrame, names: Mapping[str, str]) -> list[Reading]:
    """|z| of a column called p if it held something else."""
    found: list[Reading] = []
    name = names.get("p", "p")
    if "neg_log10_of_p" in raw.columns:
        inside = 10.0 ** -values_of(raw, "neg_log10_of_p")
        outside = values_of(raw, "p_outside") if "p_outside" in raw.columns else np.full(raw.height, np.nan)
        value = np.where(np.isnan(inside), outside, inside)
        found += [
            Reading(f"`{name}` looks like ln p", z_from_neg_log10_p(-value / np.log(10)), f"ln_p={name}"),
            Reading(f"`{name}` looks like log10 p", z_from_neg_log10_p(-value), f"log10_p={name}"),
            Reading(f"`{name}` looks like -log10 p", z_from_neg_log10_p(value), f"neg_log10_p={name}"),
            Reading(
                f"`{name}` looks like percentages", z_from_neg_log10_p(2 - np.log10(np.maximum(value, 1e-300))), " "
            ),
        ]
    if "neg_log10_p" in raw.columns:
        name = next((names[role] for role in ("neg_log10_p", "log10_p", "ln_p") if role in names), "-log10 p")
        value = values_of(raw, "neg_log10_p")
        found += [
            Reading(f"`{name}` looks like -ln p", z_from_neg_log10_p(value / np.log(10)), " "),
            Reading(f"`{name}` looks like p", z_from_neg_log10_p(-np.log10(np.maximum(value, 1e-300))), f"p={name}"),
        ]
    return found


def _as_given(test: Reading, names: Mapping[str, str]) -> str:
    """`role=NAME` of a test that fits as it is."""
    return next((f"{role}={name}" for role, name in names.items() if name == test.what), "")
