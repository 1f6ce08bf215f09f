"""Correlation of a variant's effects between two ancestries, by the likelihood of their associations together.

With `K = L_1^-1 B_1 sqrt(F_1 F_2) B_2' L_2^-T` (L the Cholesky factors of each ancestry's own C) and its singular values s, the
associations fall into pairs (a, b) of unit variance and covariance `rho s`, so that one decomposition of a region serves every rho:

    log p = const - 1/2 sum [ log(1 - rho^2 s^2) + (a^2 + b^2 - 2 rho s a b) / (1 - rho^2 s^2) ]
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import minimize_scalar

from varfx.prior.ancestries.posterior import Ancestries, Part
from varfx.prior.pairs import stacked
from varfx.progress import Progress, silent

REGIONS = 48  # at most so many, evenly spaced, on which a correlation is estimated
BOUND = 0.999  # of |rho|


@dataclass(frozen=True, eq=False)
class Correlation:
    """An estimate of rho.

    Attributes:
        pair: numbers of the two ancestries.
        rho: estimate of largest likelihood.
        se: its standard error, from the scores of the regions (robust to wrong variances); NaN at a bound.
        regions: number of regions.
    """

    pair: tuple[int, int]
    rho: float
    se: float
    regions: int

    def to_dict(self, names: list[str]) -> dict[str, Any]:
        """JSON-able, with the ancestries' names."""
        first, second = (names[number] for number in self.pair)
        se = None if np.isnan(self.se) else self.se
        return {"ancestries": [first, second], "rho": self.rho, "se": se, "regions": self.regions}


@dataclass(frozen=True, eq=False)
class PairedTerms:
    """One region's associations of two ancestries in pairs."""

    s: Float[ndarray, " term"]
    a: Float[ndarray, " term"]
    b: Float[ndarray, " term"]

    def log_p(self, rho: float) -> float:
        """Log likelihood at rho, minus that at 0."""
        c = rho * self.s
        free = 1 - c * c
        squares = self.a**2 + self.b**2
        return float(-0.5 * (np.log(free) + (squares - 2 * c * self.a * self.b) / free - squares).sum())

    def slope(self, rho: float) -> float:
        """Derivative of `log_p`."""
        c = rho * self.s
        free = 1 - c * c
        energy = self.a**2 + self.b**2 - 2 * c * self.a * self.b
        return float((self.s * (c / free + self.a * self.b / free - c * energy / free**2)).sum())


def estimate_correlations(ancestries: Ancestries, *, progress: Progress = silent) -> list[Correlation]:
    """The correlation of each pair of ancestries; 0 where they share no region.

    Args:
        ancestries: the trait in all of them; their `rho` does not matter.
        progress: told about each region.
    """
    unit = replace(ancestries, rho=np.ones_like(ancestries.rho))
    pairs = list(itertools.combinations(range(len(unit.traits)), 2))
    found = []
    for number, pair in enumerate(pairs):
        terms = paired_terms(unit, pair)
        found.append(_fit(pair, terms))
        progress(number + 1, len(pairs), "pairs of ancestries")
    return found


def paired_terms(unit: Ancestries, pair: tuple[int, int]) -> list[PairedTerms]:
    """The paired associations of some regions, which are cores of the ancestry with fewer of them.

    Args:
        unit: ancestries with all `rho` 1.
        pair: two of them.
    """
    counts = [len(unit.traits[number].cores.panel.cores) for number in pair]
    lead, other = pair if counts[0] <= counts[1] else pair[::-1]
    cores = unit.traits[lead].cores
    observed = [index for index in range(len(cores.panel.cores)) if cores.observed(index)]
    chosen = (
        [observed[i] for i in np.unique(np.linspace(0, len(observed) - 1, REGIONS).astype(int))] if observed else []
    )
    terms = []
    for index in chosen:
        beside = [part for number, part in unit.beside(lead, [index]) if number == other]
        if beside:
            own = unit.part(lead, *stacked([unit.side(lead, index)]))
            terms.append(_pair(unit, (lead, other), own, beside[0]))
    return terms


def _pair(unit: Ancestries, pair: tuple[int, int], first: Part, second: Part) -> PairedTerms:
    """One region's terms."""
    factors = []
    for number, part in zip(pair, (first, second), strict=True):
        C = (part.signal * part.F) @ part.signal.T
        C.diagonal().add_(unit.traits[number].sigma2)
        factors.append(torch.linalg.cholesky(C))
    i, j, G = unit.cross(pair, first, second)
    left = torch.linalg.solve_triangular(factors[0], first.signal[:, i] * G, upper=False)
    right = torch.linalg.solve_triangular(factors[1], second.signal[:, j], upper=False)
    U, s, Vh = torch.linalg.svd(left @ right.T, full_matrices=False)
    a, b = (
        torch.linalg.solve_triangular(L, part.w[:, None], upper=False)[:, 0]
        for L, part in zip(factors, (first, second), strict=True)
    )
    return PairedTerms(*(each.cpu().numpy() for each in (s, U.T @ a, Vh @ b)))


def _fit(pair: tuple[int, int], terms: list[PairedTerms]) -> Correlation:
    if not terms:
        return Correlation(pair, 0.0, float("nan"), 0)
    found = minimize_scalar(
        lambda rho: -sum(each.log_p(rho) for each in terms),
        bounds=(-BOUND, BOUND),
        method="bounded",
        options={"xatol": 1e-6},
    )
    rho, step = float(found.x), 1e-4
    if abs(rho) > BOUND - 2 * step:
        return Correlation(pair, rho, float("nan"), len(terms))
    slopes = np.array([each.slope(rho) for each in terms])
    curvature = sum(each.slope(rho + step) - each.slope(rho - step) for each in terms) / (2 * step)
    return Correlation(pair, rho, float(np.sqrt((slopes**2).sum()) / abs(curvature)), len(terms))


def correlation_matrix(size: int, found: list[Correlation]) -> Float[ndarray, "ancestry ancestry"]:
    """The correlations as a matrix; where estimates of pairs do not fit together, the nearest one by its eigenvalues."""
    rho = np.eye(size)
    for each in found:
        rho[each.pair] = rho[each.pair[::-1]] = each.rho
    values, vectors = np.linalg.eigh(rho)
    if values[0] >= 0:
        return rho
    rho = (vectors * values.clip(1e-6)) @ vectors.T
    scale = np.sqrt(np.diag(rho))
    return np.asarray(rho / scale / scale[:, None])
