"""Work of the commands that multiply matrices with vectors again and again: sparse effects, credible sets, several ancestries.

Per window or pair of neighbouring cores (rank R = 2 r, M' = M + m variants), and per locus (rank r, p variants), multiplications:

    mixture, a pair        3/2 R^2 M' + 2/3 R^3, and per sweep and chain (R / 2 + 3000) M' with vectors
    mixture, learning      3 r^2 M + 9 r^3, then 24 x 3 sweeps of 4 chains, on at most 48 windows
    bound of a step        4 r^2 M + 2/3 r^3, and (2 r + 1000) M per sweep of coordinate ascent
    locus                  2 r^2 p + 9 r^3 (p^2 r more where R is dense), and 2 fits x 20 sweeps x 10 effects of 2 r p, or p^2
    background of a locus  5 x 2 r^2 p (p^2 r more where dense) besides
    ancestries, a pair     Rs^2 (M' + m) + 1/3 Rs^3, where Rs is the rank of all ancestries' cores there

A visit of a variant (exponentials of its slabs) takes as long as some 1,000 multiplications with a vector, measured at R 600 and M' 3,000; a
sweep visits it three times, and its products serve the chains together.
"""

from __future__ import annotations

import numpy as np

from varfx.prior.effects.config import EffectsConfig
from varfx.prior.plan.commands import Work
from varfx.prior.plan.job import Job

VISIT, VISITS = 1000.0, 3  # see above
CHAINS_SHARE = 0.5  # of a product, that a chain takes beside the others
ASCENTS = 10  # sweeps of coordinate ascent per step of a fit with sparse effects
START_WINDOWS, START_STEPS = 12, 24  # of that fit's first values
LEARNING_SWEEPS = 24 * 3 * 4
LEARNED_BY, FEWEST, MOST_NUMBERS = 48, 4, 2**28  # windows, and numbers in their matrices
LOCUS_BASES, EFFECTS = 3_000_000, 10  # defaults of `varfx finemap`
LOCUS_SWEEPS, LOCUS_FITS = 20, 2  # the fit with the prior, and that with equal weights
BACKGROUNDS = 5  # factorisations until kappa moves no more
REGIONS = 48  # by which correlations across ancestries are estimated


def mixture_weights(job: Job) -> Work:
    """Of `weights --effects mixture` (or spike-slab): learning of the distribution, and its posterior in all pairs of cores."""
    r, m, M = _sizes(job)
    effects = EffectsConfig()
    R, wide = 2 * r, M + m
    learned_by = min(job.windows, LEARNED_BY, max(FEWEST, int(MOST_NUMBERS / float((r * M).mean()))))
    share = learned_by / job.windows
    sweeps = 1.5 * effects.sweeps * effects.chains
    traits = job.num_traits
    return Work(
        single=traits * float((1.5 * R**2 * wide + 2 / 3 * R**3).sum()),
        double=traits * share * float((3 * r**2 * M + 9 * r**3).sum()),
        streamed=traits * (sweeps * _sweep(R, wide) + share * LEARNING_SWEEPS * _sweep(r, M)),
        whitening=traits * (1 + share) * float((r**2 * m + r**3).sum()),
        read=traits * (1 + share) * float(job.window_bytes.sum()),
        forward=float(m.sum()),
    )


def _sweep(rank: np.ndarray, variants: np.ndarray) -> float:
    """Multiplications with vectors that a chain's sweep over all windows takes as long as."""
    return float(((CHAINS_SHARE * rank + VISITS * VISIT) * variants).sum())


def bound_of_a_window(job: Job) -> Work:
    """Of the evidence lower bound and its gradient in a mean window, whose whitened associations are at hand."""
    r, _, M = _sizes(job)
    return Work(
        single=job.num_traits * float((4 * r**2 * M + 2 / 3 * r**3).mean()),
        streamed=job.num_traits * ASCENTS * float(((2 * r + VISIT) * M).mean()),
    )


def loci_work(job: Job, loci: int, *, background: bool) -> Work:
    """Of `finemap` on loci around one lead variant each, in every ancestry.

    Args:
        job: the windows, by whose density of variants and rank loci are sized.
        loci: how many.
        background: whether kappa is learned, as where the error of the LD need not be accounted for.
    """
    r, m, M = _sizes(job)
    total = Work()
    for owner in range(job.num_ancestries):
        mine = job.owners == owner
        p, rank = _locus(r[mine], m[mine], M[mine], job.sizes.bases[mine].astype(np.float64))
        dense = 2 * rank >= p
        effects = LOCUS_FITS * LOCUS_SWEEPS * EFFECTS
        factors = 2 * rank**2 * p + 9 * rank**3 + (p**2 * rank if dense else 0.0)
        learned = BACKGROUNDS * (2 * rank**2 * p + (p**2 * rank if dense else 0.0)) if background else 0.0
        read = float(job.window_bytes[mine].mean()) * rank / float(r[mine].mean())
        total = Work(
            double=total.double + loci * (factors + learned),
            # twice, as the matrices are in float64
            streamed=total.streamed + loci * 2 * effects * (p**2 if dense else 2 * rank * p),
            read=total.read + loci * read,
        )
    return total


def joint_weights(job: Job) -> Work:
    """Of `weights` of all ancestries together, with correlations estimated."""
    r, m, M = _sizes(job)
    means = np.array([r[job.owners == owner].mean() for owner in range(job.num_ancestries)])
    R = 2 * (r + means.sum() - means[job.owners])
    pairs = job.num_ancestries * (job.num_ancestries - 1) / 2
    region = float((3 * r**2 * M + 25 * r**3).mean())
    return Work(
        double=float((R**2 * (M + 2 * m) + R**3 / 3).sum()) + pairs * REGIONS * region,
        whitening=2 * float((r**2 * m + r**3).sum()),
        read=2 * float(job.window_bytes.sum()),
        forward=float(m.sum()),
    )


def _sizes(job: Job) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """r, m and M of each window."""
    r, m, M = (sizes.astype(np.float64) for sizes in (job.sizes.rank, job.sizes.num_core, job.sizes.num_panel))
    return r, m, M


def _locus(r: np.ndarray, m: np.ndarray, M: np.ndarray, bases: np.ndarray) -> tuple[float, float]:
    """Variants and rank of a locus around one lead, at the windows' mean density."""
    core_bases = float((bases * m / M).mean())
    p = min(float(m.sum()), float((M / bases).mean()) * LOCUS_BASES)
    return p, min(p, float(r.sum()), float(r.mean()) * LOCUS_BASES / core_bases)
