"""Marks of windows: pass, warn or fail, with the likely cause.

LD of few individuals, or of another sample of the same population, fits every window a little badly. So a window is judged by fixed
bounds and beside the panel's other windows: it warns where a number is above its bound and 1.5 times the panel's median, and fails
above a higher bound and 3 times the median. The bounds were set by `benchmarks/quality_control.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from varfx.qc.variants import VariantChecks
from varfx.qc.window import WindowCheck

Mark = Literal["pass", "warn", "fail"]
MOST_FLIPPED = 0.1  # share of variants with a doubtful sign, above which alleles are not the cause
CLEAR_FLIP = 5.0  # log likelihood ratio of a sign that is named as the cause
UNEVEN_N = 0.1  # relative spread of sample sizes that is called mixed
FEWEST = 20  # associations below which a window is not judged
FEWEST_WINDOWS = 10  # below which windows are not compared with each other
STANDS_OUT = {"warn": 1.5, "fail": 3.0}  # times the panel's median


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Values above which a window is marked, for one mark."""

    s: float
    energy_ratio: float
    energy_p: float
    variance_lr: float
    sigma2: float


WARN = Bounds(s=0.03, energy_ratio=1.5, energy_p=1e-4, variance_lr=15.0, sigma2=1.3)
FAIL = Bounds(s=0.1, energy_ratio=3.0, energy_p=1e-8, variance_lr=60.0, sigma2=2.5)


@dataclass(frozen=True)
class Baseline:
    """How well the panel fits the associations elsewhere: medians over its windows.

    Attributes:
        windows: number of windows behind the medians.
        s: of `estimate_s`.
        energy_ratio: of the energy outside the kept directions; NaN where nothing is outside.
        sigma2: of the residual variance.
    """

    windows: int
    s: float
    energy_ratio: float
    sigma2: float

    @classmethod
    def of(cls, checks: Sequence[WindowCheck]) -> Baseline | None:
        """The medians; None for fewer than 10 windows, which do not tell what is usual."""
        used = [check for check in checks if check.variants >= FEWEST]
        if len(used) < FEWEST_WINDOWS:
            return None
        ratios = [check.energy_ratio for check in used if np.isfinite(check.energy_ratio)]
        return cls(
            windows=len(used),
            s=float(np.median([check.s for check in used])),
            energy_ratio=float(np.median(ratios)) if ratios else float("nan"),
            sigma2=float(np.median([check.sigma2 for check in used])),
        )

    @property
    def doubtful(self) -> tuple[str, ...]:
        """Names of the medians above their bound for `warn`: the panel as a whole fits these associations badly."""
        found = {
            "s": self.s > WARN.s,
            "energy": self.energy_ratio > WARN.energy_ratio,
            "variance": self.sigma2 > WARN.sigma2,
        }
        return tuple(name for name, above in found.items() if above)


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


def judge(
    check: WindowCheck,
    variants: VariantChecks | None = None,
    *,
    n_spread: float = 0.0,
    baseline: Baseline | None = None,
) -> Verdict:
    """The mark of a window, and its cause where the variants were looked at.

    Args:
        check: the window's numbers.
        variants: checks of its variants; without, the cause is named by the window's numbers alone.
        n_spread: standard deviation of the sample sizes over their mean.
        baseline: the panel's other windows; without, a window is judged by fixed bounds alone.
    """
    if check.variants < FEWEST:
        return Verdict("pass", "", ())
    warning = _above(check, WARN, baseline, STANDS_OUT["warn"])
    if not warning:
        return Verdict("pass", "", ())
    failing = _above(check, FAIL, baseline, STANDS_OUT["fail"])
    mark: Mark = "fail" if failing else "warn"
    return Verdict(mark, _cause(check, variants, n_spread, warning), failing or warning)


def _above(check: WindowCheck, bounds: Bounds, baseline: Baseline | None, times: float) -> tuple[str, ...]:
    """Names of the numbers above their bounds and, with a baseline, above so many times the panel's median."""
    usual = baseline or Baseline(windows=0, s=0.0, energy_ratio=0.0, sigma2=0.0)
    stands_out = Bounds(
        s=max(bounds.s, times * usual.s),
        energy_ratio=float(np.fmax(bounds.energy_ratio, times * usual.energy_ratio)),
        energy_p=bounds.energy_p,
        variance_lr=bounds.variance_lr,
        sigma2=max(bounds.sigma2, times * usual.sigma2),
    )
    found = {
        "s": check.s > stands_out.s,
        "energy": check.energy_ratio > stands_out.energy_ratio and not check.energy_p >= stands_out.energy_p,
        "variance": check.sigma2 > stands_out.sigma2 and check.variance_lr > stands_out.variance_lr,
    }
    return tuple(name for name, above in found.items() if above)


def _cause(check: WindowCheck, variants: VariantChecks | None, n_spread: float, evidence: tuple[str, ...]) -> str:
    if variants is not None:
        flipped = int(np.count_nonzero(variants.flipped & (variants.flip_lr > CLEAR_FLIP)))
        if 0 < flipped <= max(2, MOST_FLIPPED * check.variants):
            return f"flipped alleles at {flipped} variant{'s' if flipped > 1 else ''}"
    if n_spread > UNEVEN_N:
        return "mixed sample sizes"
    if evidence == ("variance",):
        return "inflated associations"
    return "LD of another population, or sample sizes that are not given per variant"
