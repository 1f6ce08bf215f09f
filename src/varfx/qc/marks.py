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
CLEAR_FLIP = 3.0  # log likelihood ratio of a sign that is named as the cause
UNEVEN_N = 0.1  # relative spread of sample sizes that is called mixed
MANY_OUTLIERS = 0.2  # share of DENTIST-S outliers among the lead's neighbours that different sample sizes leave
FEWEST = 20  # associations below which a window is not judged
FEWEST_WINDOWS = 10  # below which windows are not compared with each other


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Values above which a window gets a mark.

    Attributes:
        s: of `estimate_s`, where its likelihood ratio is above `likelihood_ratio` and the energy, if there is one, has a p-value below
            `energy_p` and a ratio above `beside_s`.
        beside_s: smallest ratio of the energy where s speaks. Strong effects that partly hide each other raise s and, less, the energy.
        beyond_effects: smallest ratio of the energy where s speaks, if strong effects left outside all that they can: an effect that is
            found at another variant in LD raises s and the energy, too.
        energy_ratio: of the energy outside the kept directions, with a p-value below `energy_p`.
        energy_p: largest p-value of the energy.
        sigma2: of the residual variance, where its likelihood ratio is above `likelihood_ratio`.
        likelihood_ratio: smallest 2 log likelihood ratio.
        stands_out: times the panel's median that a number must exceed too.
    """

    s: float
    beside_s: float
    beyond_effects: float
    energy_ratio: float
    energy_p: float
    sigma2: float
    likelihood_ratio: float
    stands_out: float


WARN = Bounds(
    s=0.1,
    beside_s=0.0,
    beyond_effects=0.0,
    energy_ratio=2.0,
    energy_p=1e-3,
    sigma2=1.3,
    likelihood_ratio=15.0,
    stands_out=1.5,
)
FAIL = Bounds(
    s=0.2,
    beside_s=4.0,
    beyond_effects=1.5,
    energy_ratio=15.0,
    energy_p=1e-6,
    sigma2=3.0,
    likelihood_ratio=60.0,
    stands_out=3.0,
)


@dataclass(frozen=True)
class Baseline:
    """How well the panel fits the associations elsewhere: medians over its windows.

    Attributes:
        windows: number of windows behind the medians.
        s: of `estimate_s`, 0 where its likelihood ratio is small.
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
            s=float(np.median([check.s if check.s_lr > WARN.likelihood_ratio else 0.0 for check in used])),
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
    warning = _above(check, WARN, baseline)
    if not warning:
        return Verdict("pass", "", ())
    failing = _above(check, FAIL, baseline)
    mark: Mark = "fail" if failing else "warn"
    return Verdict(mark, _cause(check, variants, n_spread, warning), failing or warning)


def _above(check: WindowCheck, bounds: Bounds, baseline: Baseline | None) -> tuple[str, ...]:
    """Names of the numbers above their bounds and, with a baseline, above some times the panel's median."""
    usual = baseline or Baseline(windows=0, s=0.0, energy_ratio=0.0, sigma2=0.0)
    times = bounds.stands_out
    unlikely = not check.energy_p >= bounds.energy_p  # also where the panel has no p-value
    found = {
        "s": check.s > max(bounds.s, times * usual.s)
        and check.s_lr > bounds.likelihood_ratio
        and unlikely
        and not check.energy_ratio <= bounds.beside_s
        and not check.energy_least <= bounds.beyond_effects,
        "energy": check.energy_ratio > np.fmax(bounds.energy_ratio, times * usual.energy_ratio) and unlikely,
        "variance": check.sigma2 > max(bounds.sigma2, times * usual.sigma2)
        and check.variance_lr > bounds.likelihood_ratio,
    }
    return tuple(name for name, above in found.items() if above)


def _cause(check: WindowCheck, variants: VariantChecks | None, n_spread: float, evidence: tuple[str, ...]) -> str:
    if variants is not None:
        flipped = int(np.count_nonzero(variants.flipped & (variants.flip_lr > CLEAR_FLIP)))
        if 0 < flipped <= max(2, MOST_FLIPPED * check.variants):
            return f"flipped alleles at {flipped} variant{'s' if flipped > 1 else ''}"
        linked = int(np.isfinite(variants.dentist).sum())
        if linked and variants.outlier.sum() > MANY_OUTLIERS * linked:
            return "mixed sample sizes"
    if n_spread > UNEVEN_N:
        return "mixed sample sizes"
    if evidence == ("variance",):
        return "inflated associations"
    return "LD of another population, or sample sizes that are not given per variant"
