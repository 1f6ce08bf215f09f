"""`score_windows`: log densities of held-out associations under a prior, and their gain over no heritability at all.

All numbers are nats of the whitened associations, summed over windows, computed in float64 by the exact engine; the product `B F B'`
of windows of rank 512 and more in float32.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from varfx.bootstrap import listed, student_interval
from varfx.ld import WhitenedWindow
from varfx.ld.gaps import LEAST_RANK
from varfx.likelihood import exact
from varfx.prior.gain_interval import Spectrum, gain_interval
from varfx.progress import Progress, silent
from varfx.training.gwas.placement import Placement
from varfx.training.gwas.windows import PriorWindow, WindowData, in_background

PathLike = str | os.PathLike[str]
CPU = torch.device("cpu")
VarianceOf = Callable[[PriorWindow], Float[Tensor, "variant trait"]]
Observe = Callable[[PriorWindow, Float[Tensor, "variant trait"]], None]


@dataclass(frozen=True, eq=False)
class WindowScores:
    """Scores per window (rows) and trait (columns); 0 where a trait has no data.

    Attributes:
        windows: numbers of the panel's windows.
        log_p: under the prior.
        sum_squares: `w'w`, from which the null's log p follows for any sigma2.
        rank: independent associations.
        num_observed: associations.
        spectra: signal of the windows with data, in order, one tuple per trait.
    """

    windows: tuple[int, ...]
    log_p: Float[ndarray, "window trait"]
    sum_squares: Float[ndarray, "window trait"]
    rank: Float[ndarray, "window trait"]
    num_observed: Float[ndarray, "window trait"]
    spectra: tuple[tuple[Spectrum, ...], ...]

    def log_p_null(self, sigma2: Sequence[float]) -> Float[ndarray, "window trait"]:
        """Log p of each window without any heritability, w ~ N(0, sigma2 I)."""
        variance = np.asarray(sigma2)
        return np.asarray(-0.5 * (self.rank * np.log(2 * math.pi * variance) + self.sum_squares / variance))


@torch.no_grad()
def score_windows(
    data: WindowData,
    windows: Sequence[int],
    variance_of: VarianceOf,
    sigma2: Sequence[float],
    *,
    observe: Observe | None = None,
    tracks: bool = True,
    device: torch.device = CPU,
    progress: Progress = silent,
) -> WindowScores:
    """Scores windows under a prior, in float64.

    Args:
        data: windows and traits, in float64.
        windows: numbers of the panel's windows.
        variance_of: F = n_ref f of the variants of a window, which lies on the device, and each trait; on any device.
        sigma2: residual variance per trait.
        observe: sees each window and its F, both on the device.
        tracks: whether `variance_of` needs the windows' tracks.
        device: of likelihoods and eigenvalues; it must have float64.
        progress: told about each window.
    """
    shape = (len(windows), len(data.traits))
    log_p, squares, rank, observed = (np.zeros(shape) for _ in range(4))
    spectra: list[list[Spectrum]] = [[] for _ in data.traits]
    for row, window in enumerate(in_background(data, windows, tracks=tracks, place=Placement(device, room=0))):
        F = variance_of(window).double().to(device)
        if observe is not None:
            observe(window, F)
        for column, trait in enumerate(window.traits):
            observed[row, column] = window.num_observed[column]
            if trait is None:
                continue
            if is_large(trait):
                log_p[row, column], found = log_p_and_spectrum(trait, F[:, column], sigma2[column])
                spectra[column].append(found)
            else:
                log_p[row, column] = float(exact(trait, F[:, column], sigma2[column], dtype=torch.float64).log_p)
                spectra[column].append(spectrum(trait, F[:, column]))
            squares[row, column] = float(trait.w.double().square().sum())
            rank[row, column] = trait.num_terms
        progress(row + 1, len(windows), "windows scored")
    return WindowScores(tuple(windows), log_p, squares, rank, observed, tuple(tuple(each) for each in spectra))


def spectrum(window: WhitenedWindow, F: Float[Tensor, " variant"]) -> Spectrum:
    """Eigenvalues of a window's signal `B F B'`, in float64."""
    signal = window.B.double() if window.T is None else window.T.double() @ window.B.double()
    return Spectrum(torch.linalg.eigvalsh((signal * F) @ signal.T).clamp_min(0.0).cpu().numpy(), window.replicates)


def is_large(window: WhitenedWindow) -> bool:
    """Whether a window is scored by `log_p_and_spectrum`: one replicate, on the CPU, of rank 512 or more."""
    return window.replicates == 1 and window.rank >= LEAST_RANK and window.B.device.type == "cpu"


def log_p_and_spectrum(window: WhitenedWindow, F: Float[Tensor, " variant"], sigma2: float) -> tuple[float, Spectrum]:
    """Log p and the eigenvalues of the signal of a large window, by one product `B F B'` in float32; all else in float64.

    The product's rounding moves log p by less than 0.01 nats (a test says so); it takes most of the time.
    """
    scaled = window.merged(torch.float32).B * F.sqrt().float()
    signal = (scaled @ scaled.T).double()
    values = torch.from_numpy(np.linalg.eigvalsh(signal.numpy())).clamp_min(0.0)
    C = signal.diagonal_scatter(signal.diagonal() + sigma2)
    w = window.w.double().reshape(-1, 1)
    solved = torch.linalg.solve_triangular(torch.linalg.cholesky(C), w, upper=False)
    log_det = float((values + sigma2).log().sum())
    log_p = -0.5 * (log_det + float(solved.square().sum()) + window.rank * math.log(2 * math.pi))
    return log_p, Spectrum(values.numpy(), 1)


def eigen_squares(
    window: WhitenedWindow, F: Float[Tensor, " variant"]
) -> tuple[Float[ndarray, " term"], Float[ndarray, " term"]]:
    """Eigenvalues of a window's signal, and its squared associations in the eigenvectors; replicates one after the other."""
    signal = window.B.double() if window.T is None else window.T.double() @ window.B.double()
    a, Q = torch.linalg.eigh((signal * F) @ signal.T)
    squares = (Q.T @ window.w.double().reshape(window.rank, -1)).square()
    return np.tile(a.clamp_min(0.0).cpu().numpy(), window.replicates), squares.T.reshape(-1).cpu().numpy()


def null_sigma2(data: WindowData, windows: Sequence[int]) -> list[float]:
    """sigma2 of the null model f = 0, refitted on the given windows: the mean square of the whitened associations.

    A sum over w alone, for which no B is read.
    """
    totals = np.zeros((len(data.traits), 2))
    for index in windows:
        for number, w in enumerate(data.associations(index)):
            if w is not None:
                totals[number] += float(w.double().square().sum()), w.numel()
    return [float(squares / rank) if rank else 1.0 for squares, rank in totals]


def summarise(
    scores: WindowScores,
    names: Sequence[str],
    sigma2: Sequence[float],
    sigma2_null: Sequence[float],
    *,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """One JSON-able entry per trait: log p, the null's, the gain with its 95 % interval.

    `gain` compares with the null at its own sigma2, `gain_same_sigma2` with the null at the prior's.
    """
    null, same = scores.log_p_null(sigma2_null), scores.log_p_null(sigma2)
    entries = []
    for i, name in enumerate(names):
        used = scores.rank[:, i] > 0
        gain = (scores.log_p - null)[used, i]
        entries.append(
            {
                "name": name,
                "log_p": float(scores.log_p[used, i].sum()),
                "log_p_null": float(null[used, i].sum()),
                "gain": float(gain.sum()),
                "gain_ci95": listed(gain_interval(gain, scores.spectra[i], sigma2[i], sigma2_null[i], seed=seed)),
                "gain_same_sigma2": float((scores.log_p - same)[used, i].sum()),
                "sigma2": float(sigma2[i]),
                "sigma2_null": float(sigma2_null[i]),
                "n_windows": int(used.sum()),
                "n_variants": int(scores.num_observed[used, i].sum()),
                "rank": int(scores.rank[used, i].sum()),
            }
        )
    return entries


def compare(first: WindowScores, second: WindowScores, names: Sequence[str]) -> list[dict[str, Any]]:
    """The paired difference of two priors on the same windows, first minus second, per trait, with its 95 % interval."""
    difference = first.log_p - second.log_p
    return [
        {
            "name": name,
            "difference": float(difference[:, i].sum()),
            "difference_ci95": listed(student_interval(difference[first.rank[:, i] > 0, i])),
        }
        for i, name in enumerate(names)
    ]
