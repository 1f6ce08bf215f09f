"""Marks of windows: pass, warn or fail, with the likely cause.

The bounds were set on windows of 1000 Genomes genotypes (`benchmarks/quality_control.py`): no window whose LD is that of its own
individuals fails, and LD from other individuals of the same population warns at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from varfx.qc.variants import VariantChecks
from varfx.qc.window import WindowCheck

Mark = Literal["pass", "warn", "fail"]
MOST_FLIPPED = 0.1  # share of variants with a doubtful sign, above which alleles are not the cause
UNEVEN_N = 0.1  # relative spread of sample sizes that is called mixed
FEWEST = 20  # associations below which a window is not judged


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Values above which a window is marked, for one mark."""

    s: float
    energy_ratio: float
    energy_p: float
    variance_lr: float
    sigma2: float


WARN = Bounds(s=0.1, energy_ratio=3.0, energy_p=1e-4, variance_lr=15.0, sigma2=1.5)
FAIL = Bounds(s=0.5, energy_ratio=20.0, energy_p=1e-8, variance_lr=60.0, sigma2=4.0)


@dataclass(frozen=True)
class Verdict:
    """The mark of a window.

    Attributes:
        mark: pass, warn or fail.
        cause: the likely cause in words; empty for pass.
        evidence: names of the numbers above their bounds.
    """

    mark: Mark
    cause: str
    evidence: tuple[str, ...]


def judge(check: WindowCheck, variants: VariantChecks | None = None, n_spread: float = 0.0) -> Verdict:
    """The mark of a window, and its cause where the variants were looked at.

    Args:
        check: the window's numbers.
        variants: checks of its variants; without, the cause is named by the window's numbers alone.
        n_spread: standard deviation of the sample sizes over their mean.
    """
    if check.variants < FEWEST:
        return Verdict("pass", "", ())
    failing, warning = _above(check, FAIL), _above(check, WARN)
    if not warning:
        return Verdict("pass", "", ())
    mark: Mark = "fail" if failing else "warn"
    return Verdict(mark, _cause(check, variants, n_spread, warning), failing or warning)


def _above(check: WindowCheck, bounds: Bounds) -> tuple[str, ...]:
    """Names of the numbers above their bounds."""
    energy = check.energy_ratio > bounds.energy_ratio and not check.energy_p >= bounds.energy_p
    variance = check.variance_lr > bounds.variance_lr and check.sigma2 > bounds.sigma2
    found = {"s": check.s > bounds.s, "energy": energy, "variance": variance}
    return tuple(name for name, above in found.items() if above)


def _cause(check: WindowCheck, variants: VariantChecks | None, n_spread: float, evidence: tuple[str, ...]) -> str:
    if variants is not None:
        flipped = int(np.count_nonzero(variants.flipped))
        if 0 < flipped <= max(2, MOST_FLIPPED * check.variants):
            return f"flipped alleles at {flipped} variants"
    if n_spread > UNEVEN_N:
        return "mixed sample sizes"
    if evidence == ("variance",) and check.s < WARN.s:
        return "inflated associations"
    return "LD of another population, or sample sizes that are not given per variant"
