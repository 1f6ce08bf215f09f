"""Seconds of the commands after a fit, by their arithmetic at measured rates of matrix products on the CPU.

Per window of rank r, m core and M panel variants (multiplications; large windows take `B F B'` in float32, all else is in float64):

    whitening     r^2 m + r^3                          without the few associations that a GWAS lacks
    scoring       r^2 M | 5/3 r^3                      log p and spectrum of one prior
    information   3/2 r^2 M + r M K | r^3              scores of K directions and their information
    pair          60 x 4 r M | 2 r^2 m + 6 r^3         posterior means of two neighbouring cores, by conjugate gradients
    two traits    7 r^2 M + 16/3 r^3 + 6 r M           likelihood of two traits with its information, in float64
    building      9 m^3 + r m M                        eigenpairs and B, in float64

`varfx.prior.plan.sampling` has the commands whose matrices are multiplied with vectors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from varfx.prior.plan.job import Job

ROUNDS = 6.0  # Newton steps of `h2`, of which those on a sixth of the windows count a sixth
PAIR_STEPS = 60
EVALUATE, NORMAL = "evaluate", "weights --effects normal"


@dataclass(frozen=True)
class Products:
    """Multiplications (with an addition each) per second on the CPU.

    Attributes:
        single: of large matrix products in float32.
        double: of the same in float64.
        streamed: of a large matrix in float32 with a vector, which waits for the memory.
    """

    single: float
    double: float
    streamed: float = math.inf

    def seconds(self, single: float, double: float, streamed: float = 0.0) -> float:
        """Of so many in float32, in float64, and with vectors."""
        return single / self.single + double / self.double + streamed / self.streamed


UNMEASURED = Products(math.inf, math.inf)


@dataclass(frozen=True, kw_only=True)
class Work:
    """The work of a command on all windows of a job.

    Attributes:
        single: multiplications of matrix products in float32.
        double: in float64.
        streamed: of matrices with vectors, in float32.
        whitening: multiplications in float64 that re-whiten, on the CPU wherever the rest is done.
        read: bytes of B.
        forward: variants through the network.
        share: of the windows.
    """

    single: float = 0.0
    double: float = 0.0
    streamed: float = 0.0
    whitening: float = 0.0
    read: float = 0.0
    forward: float = 0.0
    share: float = 1.0

    def seconds(self, products: Products, *, read_panel: float, forward: float) -> float:
        """Seconds at rates of the CPU, of reading, and of the network."""
        arithmetic = products.seconds(self.single, self.double + self.whitening, self.streamed)
        return self.share * (arithmetic + self.read / read_panel) + self.forward / forward


def command_work(job: Job) -> dict[str, Work]:
    """The work of each command whose size the windows alone decide."""
    r, m, M = (sizes.astype(np.float64) for sizes in (job.sizes.rank, job.sizes.num_core, job.sizes.num_panel))
    traits, held_out, directions = job.num_traits, job.schedule.holdout_share, job.num_features + 1
    variants, read = float(m.sum()), float(job.window_bytes.sum())
    read_core = read * float((m / M).mean())
    whitening = float((r**2 * m + r**3).sum())
    once = {"single": float((1.5 * r**2 * M + r * M * directions).sum()), "double": float((r**3).sum()), "read": read}

    def rounds(number: float) -> Work:
        scaled = {name: number * value for name, value in once.items()}
        return Work(**scaled, whitening=whitening, forward=variants, share=held_out)

    pairs = float((2 * r**2 * m + 6 * r**3).sum())
    two_traits = float((7 * r**2 * M + 16 / 3 * r**3 + 6 * r * M).sum())
    return {
        EVALUATE: Work(
            single=2 * traits * float((r**2 * M).sum()),
            double=2 * traits * 5 / 3 * float((r**3).sum()),
            whitening=2 * traits * whitening,
            read=2 * traits * read,
            share=held_out,
        ),
        "predict": Work(forward=variants),
        NORMAL: Work(
            single=traits * PAIR_STEPS * 4 * float((r * M).sum()),
            double=traits * pairs,
            whitening=traits * whitening,
            read=traits * read,
            forward=variants,
        ),
        "h2": rounds(2 * ROUNDS),
        "score-test": rounds(ROUNDS + 2),
        "rg": Work(
            double=ROUNDS * two_traits,
            whitening=2 * whitening,
            read=ROUNDS * read,
            forward=2 * variants,
            share=held_out,
        ),
        "qc": Work(double=float((8 * r**3).sum()), whitening=whitening, read=read_core),
        "ld build": Work(double=float((9 * m**3 + r * m * M).sum())),
        "ld export": Work(double=float((m**2 * r).sum()), read=read_core),
    }
