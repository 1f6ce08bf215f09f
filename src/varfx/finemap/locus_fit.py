"""Loci of a study: their LD from the panel, quality control, and the fits with the learned and the uniform prior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from varfx.finemap.config import NoiseConfig, SusieConfig
from varfx.finemap.fit import Noise, Steps, Susie
from varfx.finemap.ld_matrix import LowRankLD
from varfx.finemap.loci import Locus
from varfx.finemap.locus_ld import locus_ld
from varfx.finemap.sets import CredibleSet
from varfx.finemap.susie import alone, susie_steps
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
        inclusion: prior probabilities of a sparse effect, the weights of variants in place of f; None where the prior has none.
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
    inclusion: Float[ndarray, " variant"] | None = None


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


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedLocus:
    """A locus before its fits."""

    locus: Locus
    rows: Int[ndarray, " variant"]
    ld: LowRankLD
    n: float
    check: WindowCheck | None
    verdict: Verdict
    without_ld: bool

    def fits(self, task: LocusTask) -> list[Steps]:
        """The fit with the study's prior and, if that is not uniform itself, the one with equal weights and no background."""
        fits = [_fit(task, self.ld, self.rows, self.n, without_ld=self.without_ld)]
        if task.f is not None and not self.without_ld:
            plain = replace(task, f=None, inclusion=None, noise=replace(task.noise, background="none"))
            fits.append(_fit(plain, self.ld, self.rows, self.n, without_ld=False))
        return fits


def fit_loci(task: LocusTask, loci: Sequence[Locus], device: str = "cpu") -> list[LocusFit | None]:
    """The fits of some loci: on the CPU one by one, on a GPU in step. None for a locus without associations on the panel.

    Args:
        task: what they share.
        loci: stretches; for a GPU of similar size, all held at once.
        device: a name of `varfx.device`.

    Raises:
        StoreError: the panel is damaged.
    """
    if device == "cpu":
        return [
            _finished(task, each, [alone(steps) for steps in each.fits(task)]) if each else None
            for each in (prepare_locus(task, locus) for locus in loci)
        ]
    from varfx.device import find_float64_device
    from varfx.finemap.lockstep import together

    prepared = [prepare_locus(task, locus) for locus in loci]
    fits = [each.fits(task) if each else [] for each in prepared]
    results = iter(together([steps for own in fits for steps in own], find_float64_device(device)))
    return [
        _finished(task, each, [next(results) for _ in own]) if each else None
        for each, own in zip(prepared, fits, strict=True)
    ]


def locus_sizes(task: LocusTask, loci: Sequence[Locus]) -> Int[ndarray, " locus"]:
    """Number of variants with an association in each locus."""
    return np.array([_rows(task, locus, _cores(task, locus)).size for locus in loci])


def prepare_locus(task: LocusTask, locus: Locus) -> PreparedLocus | None:
    """A locus's variants, LD and quality control; None without associations on the panel."""
    cores = _cores(task, locus)
    rows = _rows(task, locus, cores)
    if not rows.size:
        return None
    check, verdict = verdict_of_cores(task.panel, cores, task.z, task.n, task.baseline)
    return PreparedLocus(
        locus=locus,
        rows=rows,
        ld=locus_ld(task.panel, cores, rows),
        n=float(np.median(task.n[rows])),
        check=check,
        verdict=verdict,
        without_ld=task.quality and verdict.mark == "fail",
    )


def _finished(task: LocusTask, given: PreparedLocus, results: list[Susie]) -> LocusFit:
    fit, uniform, rows = results[0], results[-1], given.rows
    reported = given.locus.reports(task.panel.variants["position"].to_numpy()[rows])
    sets_99 = fit.sets_at(HIGH_COVERAGE, task.susie.min_purity)
    slim = replace(fit, ld=LowRankLD(U=np.zeros((0, 0)), D=np.zeros(0)))  # results travel between processes
    return LocusFit(
        locus=given.locus,
        rows=rows,
        reported=reported,
        n=given.n,
        fit=slim,
        sets=[each for each in fit.sets if reported[each.lead]],
        sets_99=[each for each in sets_99 if reported[each.lead]],
        pip_uniform=uniform.pip,
        check=given.check,
        verdict=given.verdict,
        without_ld=given.without_ld,
        uneven_n=spread_of(task.n, rows),
        background_variance=fit.kappa * (1 / (given.n - 1) if task.f is None else float(task.f[rows].mean())),
    )


def _cores(task: LocusTask, locus: Locus) -> list[int]:
    """Numbers of the cores that a locus touches."""
    return [index for index, core in enumerate(task.panel.cores) if _touches(locus, core.chrom, core.start, core.end)]


def _touches(locus: Locus, chrom: str, start: int, end: int) -> bool:
    return locus.chrom == chrom and start < locus.end and locus.start < end


def _rows(task: LocusTask, locus: Locus, cores: list[int]) -> Int[ndarray, " variant"]:
    """Panel rows of the locus's variants with an association."""
    if not cores:
        return np.zeros(0, dtype=np.int64)
    rows = np.concatenate([task.panel.rows(index)[0] for index in cores])
    position = task.panel.variants["position"].to_numpy()[rows]
    return np.asarray(rows[locus.holds(position) & np.isfinite(task.z[rows])])


def noise_of(task: LocusTask, rows: ndarray, n: float, *, without_ld: bool = False) -> Noise:
    """What z varies by in the fit of one locus, beside sparse effects."""
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
    return Noise(
        sigma2=None if sigma2 == "free" else float(task.sigma2 if sigma2 is None else sigma2),
        background=background,
        kappa=kappa,
        largest_kappa=largest,
        reference_size=None if without_ld else size,
        mismatch=size is not None and not without_ld,
    )


def _fit(task: LocusTask, ld: LowRankLD, rows: ndarray, n: float, *, without_ld: bool) -> Steps:
    """SuSiE with the study's prior, or one effect with equal weights where LD is not to be trusted."""
    noise = noise_of(task, rows, n, without_ld=without_ld)
    prior = task.f if task.inclusion is None else task.inclusion
    weights = None if prior is None or without_ld else prior[rows]
    return susie_steps(task.z[rows], ld, n, 1 if without_ld else task.L, weights, noise=noise, config=task.susie)
