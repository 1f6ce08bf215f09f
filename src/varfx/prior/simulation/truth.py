"""Comparison of a prior with the f behind a simulation, and calibration of its own probabilities.

Closeness: root mean square error and correlation of log f over the core variants of the scored windows.

Calibration, which needs no truth: where the prior is right, `w ~ N(0, C)`, so that for every variant

    b_m' C^-1 w ~ N(0, b_m' C^-1 b_m),        ratio of a group = sum (b_m' C^-1 w)^2 / sum b_m' C^-1 b_m = 1 on average.

The groups are tenths of the variants by predicted f. A ratio above 1 says that the group has larger effects than predicted: it is
the slope of the likelihood along the group's f. The same over all of w is `mean_chi2 = w' C^-1 w / rank`.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from varfx.annotations.snpvar import read_variances
from varfx.bootstrap import Resampling, listed
from varfx.errors import ConfigError, DataError
from varfx.ld import LDPanel, WhitenedWindow
from varfx.likelihood import exact
from varfx.training.gwas.windows import PriorWindow

NUM_GROUPS = 10


@dataclass(frozen=True, eq=False)
class WindowAgainstTruth:
    """One window's core variants.

    Attributes:
        log_F: predicted, N f.
        log_f: true.
        score2: `(b_m' C^-1 w)^2`, summed over replicates.
        leverage: `b_m' C^-1 b_m`, times their number.
        quadratic: `w' C^-1 w`, summed over replicates.
        num_terms: its expectation.
    """

    log_F: Float[ndarray, " core"]
    log_f: Float[ndarray, " core"]
    score2: Float[ndarray, " core"]
    leverage: Float[ndarray, " core"]
    quadratic: float
    num_terms: int


@dataclass(frozen=True, eq=False)
class TruthComparison:
    """Collects windows while a prior is scored: `score_windows(..., observe=comparison)`.

    Attributes:
        panel: the LD panel.
        f: true f of its variants; NaN where unknown.
        sigma2: the prior's residual variance.
        trait: which of the prior's.
        windows: what was seen.
    """

    panel: LDPanel
    f: Float[ndarray, " variant"]
    sigma2: float
    trait: int = 0
    windows: list[WindowAgainstTruth] = field(default_factory=list)

    @torch.no_grad()
    def __call__(self, window: PriorWindow, F: Float[Tensor, "variant trait"]) -> None:
        """Takes one window's data and predicted F = N f in."""
        whitened = window.traits[self.trait]
        if whitened is None:
            return
        core_rows, panel_rows = self.panel.rows(window.index)
        core = np.searchsorted(panel_rows, core_rows)
        predicted = F[:, self.trait].double()
        seen = exact(whitened, predicted, self.sigma2, dtype=torch.float64)
        zero = WhitenedWindow(B=whitened.B, w=torch.zeros_like(whitened.w), T=whitened.T)
        without = exact(zero, predicted, self.sigma2, dtype=torch.float64)
        self.windows.append(
            WindowAgainstTruth(
                log_F=predicted.log().cpu().numpy()[core],
                log_f=np.log(self.f[core_rows]),
                score2=(2 * (seen.grad_F - without.grad_F)).cpu().numpy()[core],
                leverage=(-2 * without.grad_F).cpu().numpy()[core],
                quadratic=-2 * float(seen.log_p - without.log_p),
                num_terms=whitened.num_terms,
            )
        )

    def summarise(self, n_ref: float, *, seed: int = 0) -> dict[str, Any]:
        """All numbers, JSON-able.

        Args:
            n_ref: N in F = N f.
            seed: of the bootstrap over windows.

        Raises:
            DataError: no window was seen.
        """
        if not self.windows:
            raise DataError("no window was compared with the truth: none has an association.")
        errors, samples = _errors(self.windows, n_ref), Resampling(len(self.windows), seed=seed)
        return {
            "rmse_log_f": float(_rmse(errors.sum(0))),
            "rmse_log_f_ci95": listed(samples.interval(errors, _rmse)),
            "corr_log_f": _number(_correlation(errors.sum(0))),
            "corr_log_f_ci95": listed(samples.interval(errors, _correlation)),
            "mean_log_ratio": float((errors[:, 1] - errors[:, 2]).sum() / errors[:, 0].sum()),
            "n_variants": int(errors[:, 0].sum()),
            "n_windows": len(self.windows),
            **self.calibration(n_ref, seed=seed),
        }

    def calibration(self, n_ref: float, *, seed: int = 0) -> dict[str, Any]:
        """The numbers that need no truth: `mean_chi2` with its interval, and `calibration`, an entry per tenth of the variants by f.

        Args:
            n_ref: N in F = N f.
            seed: of the bootstrap over windows.
        """
        quadratic = np.array([[each.quadratic, each.num_terms] for each in self.windows])
        samples = Resampling(len(self.windows), seed=seed)
        return {
            "mean_chi2": float(_ratio(quadratic.sum(0))),
            "mean_chi2_ci95": listed(samples.interval(quadratic, _ratio)),
            "calibration": _calibration(self.windows, n_ref, samples),
        }


def compare_with_truth(truth: str | os.PathLike[str], panel: LDPanel, sigma2: list[float]) -> TruthComparison:
    """A comparison that is ready to see windows.

    Args:
        truth: `truth.parquet` of `varfx prior simulate`, or any file of per-variant f.
        panel: the LD panel.
        sigma2: of the prior's trait.

    Raises:
        ConfigError: the prior has several traits.
        VarfxError: the file cannot be read.
    """
    if len(sigma2) != 1:
        raise ConfigError(f"`truth` holds f of one trait, but the run has {len(sigma2)}: compare runs of one trait.")
    f = read_variances(truth, panel.variants)
    if not (f > 0).any():
        raise DataError(f"`{truth}` has no positive f for any of the panel's {f.size} variants.")
    return TruthComparison(panel=panel, f=np.where(f > 0, f, np.nan), sigma2=sigma2[0])


def _errors(windows: list[WindowAgainstTruth], n_ref: float) -> Float[ndarray, "window 7"]:
    """Per window: number, sums of predicted x, true y, x^2, y^2, xy, (x - y)^2, over variants with a known truth."""
    rows = []
    for each in windows:
        known = np.isfinite(each.log_f)
        x, y = each.log_F[known] - np.log(n_ref), each.log_f[known]
        rows.append([x.size, x.sum(), y.sum(), x @ x, y @ y, x @ y, np.square(x - y).sum()])
    return np.array(rows)


def _rmse(sums: Float[ndarray, "... 7"]) -> Float[ndarray, "..."]:
    return np.asarray(np.sqrt(sums[..., 6] / sums[..., 0]))


def _correlation(sums: Float[ndarray, "... 7"]) -> Float[ndarray, "..."]:
    n, x, y, xx, yy, xy = (sums[..., i] for i in range(6))
    across, along = n * xx - x**2, n * yy - y**2
    flat = (across <= 1e-10 * n * xx) | (along <= 1e-10 * n * yy)  # no more than rounding
    return np.where(flat, np.nan, (n * xy - x * y) / np.sqrt(np.where(flat, 1, across * along)))


def _ratio(sums: Float[ndarray, "... 2"]) -> Float[ndarray, "..."]:
    return np.asarray(sums[..., 0] / sums[..., 1])


def _number(value: Float[ndarray, ""]) -> float | None:
    return float(value) if np.isfinite(value) else None


def _calibration(windows: list[WindowAgainstTruth], n_ref: float, samples: Resampling) -> list[dict[str, Any]]:
    """One entry a tenth of the variants, by predicted f."""
    log_F = np.concatenate([each.log_F for each in windows])
    count = min(NUM_GROUPS, log_F.size)
    rank = np.empty(log_F.size, dtype=np.int64)
    rank[np.argsort(log_F, kind="stable")] = np.arange(log_F.size)
    group = rank * count // log_F.size
    starts = np.cumsum([0, *(each.log_F.size for each in windows)])
    entries = []
    for number in range(count):
        parts = [group[a:b] == number for a, b in itertools.pairwise(starts)]
        sums = np.array(
            [[each.score2[part].sum(), each.leverage[part].sum()] for each, part in zip(windows, parts, strict=True)]
        )
        f = np.exp(np.concatenate([each.log_F[part] for each, part in zip(windows, parts, strict=True)])) / n_ref
        true = np.exp(np.concatenate([each.log_f[part] for each, part in zip(windows, parts, strict=True)]))
        entries.append(
            {
                "group": number + 1,
                "n_variants": int(f.size),
                "mean_f": float(f.mean()),
                "mean_true_f": _number(np.nanmean(true)) if np.isfinite(true).any() else None,
                "ratio": float(_ratio(sums.sum(0))),
                "ratio_ci95": listed(samples.interval(sums, _ratio)),
            }
        )
    return entries
