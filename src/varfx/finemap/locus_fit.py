"""One locus of a study: its LD from the panel, quality control, and the fits with the learned and the uniform prior."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from varfx.finemap.config import NoiseConfig, SusieConfig
from varfx.finemap.ld_matrix import LowRankLD
from varfx.finemap.loci import Locus
from varfx.finemap.locus_ld import locus_ld
from varfx.finemap.sets import CredibleSet
from varfx.finemap.susie import Noise, Susie, susie
from varfx.ld import LDPanel
from varfx.prior.quality import verdict_of_cores
from varfx.qc import Baseline, Verdict, WindowCheck, spread_of

HIGH_COVERAGE = 0.99


@dataclass(frozen=True, kw_only=True, eq=False)
class LocusTask:
    """What all loci of a fine-mapping share; arrays on the panel's rows.

    Attributes:
        panel: the LD panel.
        z: associations, NaN for none.
        n: sample sizes.
        f: prior variances; None for a uniform prior.
        sigma2: residual variance that goes with f.
        L: largest number of effects.
        susie: credible sets and convergence.
        noise: residual variance, background, error of the LD.
        exact_ld: the panel's LD is that which the associations were simulated from.
        baseline: what is usual for the panel in quality control.
        quality: whether loci that fail quality control are fitted without LD.
    """

    panel: LDPanel
    z: Float[ndarray, " variant"]
    n: Float[ndarray, " variant"]
    f: Float[ndarray, " variant"] | None
    sigma2: float
    L: int
    susie: SusieConfig
    noise: NoiseConfig
    exact_ld: bool
    baseline: Baseline | None
    quality: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class LocusFit:
    """A fine-mapped locus; arrays are over its variants.

    Attributes:
        locus: the stretch.
        rows: panel rows of its variants.
        reported: which of them this locus reports.
        n: sample size of the fit.
        fit: the fit with the study's prior.
        sets: credible sets that this locus reports, purest first.
        sets_99: the same at 99 %.
        pip_uniform: inclusion probabilities under equal prior weights, without background.
        check: quality control of its worst core.
        verdict: the mark of that core.
        without_ld: the fit has one effect and equal weights, because quality control failed.
        uneven_n: relative spread of the sample sizes.
        background_variance: mean variance of the background's effects on standardised genotypes.
    """

    locus: Locus
    rows: Int[ndarray, " variant"]
    reported: ndarray
    n: float
    fit: Susie
    sets: list[CredibleSet]
    sets_99: list[CredibleSet]
    pip_uniform: Float[ndarray, " variant"]
    check: WindowCheck | None
    verdict: Verdict
    without_ld: bool
    uneven_n: float
    background_variance: float


def fit_locus(task: LocusTask, locus: Locus) -> LocusFit | None:
    """The fit of one locus; None if it has no associations on the panel.

    Raises:
        StoreError: the panel is damaged.
    """
    cores = [index for index, core in enumerate(task.panel.cores) if _touches(locus, core.chrom, core.start, core.end)]
    rows = _rows(task, locus, cores)
    if not rows.size:
        return None
    ld = locus_ld(task.panel, cores, rows)
    n = float(np.median(task.n[rows]))
    check, verdict = verdict_of_cores(task.panel, cores, task.z, task.n, task.baseline)
    failed = task.quality and verdict.mark == "fail"
    fit = _fit(task, ld, rows, n, without_ld=failed)
    uniform = fit
    if task.f is not None and not failed:
        plain = replace(task, f=None, noise=replace(task.noise, background="none"))
        uniform = _fit(plain, ld, rows, n, without_ld=False)
    reported = locus.reports(task.panel.variants["position"].to_numpy()[rows])
    sets_99 = fit.sets_at(HIGH_COVERAGE, task.susie.min_purity)
    slim = replace(fit, ld=LowRankLD(U=np.zeros((0, 0)), D=np.zeros(0)))  # results travel between processes
    return LocusFit(
        locus=locus,
        rows=rows,
        reported=reported,
        n=n,
        fit=slim,
        sets=[each for each in fit.sets if reported[each.lead]],
        sets_99=[each for each in sets_99 if reported[each.lead]],
        pip_uniform=uniform.pip,
        check=check,
        verdict=verdict,
        without_ld=failed,
        uneven_n=spread_of(task.n, rows),
        background_variance=fit.kappa * (1 / (n - 1) if task.f is None else float(task.f[rows].mean())),
    )


def _touches(locus: Locus, chrom: str, start: int, end: int) -> bool:
    return locus.chrom == chrom and start < locus.end and locus.start < end


def _rows(task: LocusTask, locus: Locus, cores: list[int]) -> Int[ndarray, " variant"]:
    """Panel rows of the locus's variants with an association."""
    if not cores:
        return np.zeros(0, dtype=np.int64)
    rows = np.concatenate([task.panel.rows(index)[0] for index in cores])
    position = task.panel.variants["position"].to_numpy()[rows]
    return np.asarray(rows[locus.holds(position) & np.isfinite(task.z[rows])])


def _fit(task: LocusTask, ld: LowRankLD, rows: ndarray, n: float, *, without_ld: bool) -> Susie:
    """SuSiE with the study's prior, or one effect with equal weights where LD is not to be trusted."""
    sigma2 = task.noise.residual_variance
    size = None
    large = task.panel.num_people < n and not task.exact_ld
    if task.noise.finite_reference == "on" or (task.noise.finite_reference == "auto" and large):
        size = float(task.panel.num_people)
    background, kappa, largest = None, None, 1.0
    asked = task.noise.background
    if asked == "auto":
        asked = "none" if size is not None or sigma2 == "free" or task.f is None else "learn"
    if asked != "none" and not without_ld:
        background = np.ones(rows.size) if task.f is None else (n - 1) * task.f[rows]
        largest = (n - 1) / rows.size if task.f is None else 1.0  # the whole variance of the trait
        kappa = None if asked == "learn" else float(asked)
    noise = Noise(
        sigma2=None if sigma2 == "free" else float(task.sigma2 if sigma2 is None else sigma2),
        background=background,
        kappa=kappa,
        largest_kappa=largest,
        reference_size=None if without_ld else size,
        mismatch=size is not None and not without_ld,
    )
    weights = None if task.f is None or without_ld else task.f[rows]
    return susie(task.z[rows], ld, n, 1 if without_ld else task.L, weights, noise=noise, config=task.susie)
