"""Many loci in step on one device: their single effects are padded to one length, stacked and answered together.

The steps are those of `varfx.finemap.single_effect`, number by number, in float64; a locus that has converged leaves the stack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from varfx.finemap.fit import Answer, Step, Steps, Susie
from varfx.finemap.ld_matrix import DenseLD, LDMatrix
from varfx.finemap.single_effect import GRID, MAX_STEPS, XTOL, SingleEffect


def together(fits: Sequence[Steps], device: torch.device) -> list[Susie]:
    """Several fits on a device; each gives the numbers that `varfx.finemap.susie.alone` gives.

    Args:
        fits: coroutines of `susie_steps`, of loci of similar size.
        device: where single effects and products are computed.

    Raises:
        DataError: a fit diverged.
    """
    results: dict[int, Susie] = {}
    waiting: dict[int, Step] = {}

    def advance(number: int, answer: Answer | None) -> None:
        try:
            waiting[number] = next(fits[number]) if answer is None else fits[number].send(answer)
        except StopIteration as stop:
            waiting.pop(number, None)
            results[number] = stop.value

    with np.errstate(all="ignore"):  # a fit that diverges says so
        for number in range(len(fits)):
            advance(number, None)
        stack = _Stack(device)
        while waiting:
            numbers = list(waiting)
            answers = stack.answers(numbers, [waiting[number] for number in numbers])
            for number, answer in zip(numbers, answers, strict=True):
                advance(number, answer)
    return [results[number] for number in range(len(fits))]


@dataclass(eq=False)
class _Stack:
    """The matrices of the loci that are still in step, on the device.

    Attributes:
        device: where.
        numbers: which loci.
        held: their matrices, to notice one that changed.
        M: the same, padded with zeros.
    """

    device: torch.device
    numbers: list[int] = field(default_factory=list)
    held: list[LDMatrix] = field(default_factory=list)
    M: Tensor = field(default_factory=lambda: torch.zeros(0, 0, 0))

    def answers(self, numbers: list[int], steps: list[Step]) -> list[Answer]:
        """The posterior of each step's effect, and the product of M with its mean."""
        sizes = [step.score.size for step in steps]
        self._hold(numbers, steps, max(sizes))
        score, d, log_weights = (
            self._padded(rows, sizes, filler)
            for rows, filler in (
                ([step.score for step in steps], 0.0),
                ([step.d for step in steps], 1.0),
                ([step.log_weights for step in steps], -np.inf),
            )
        )
        V, parts, evidence = single_effects(score, d, log_weights)
        product = torch.bmm(self.M, (parts[0] * parts[1])[:, :, None])[:, :, 0]
        arrays = torch.stack([*parts, product]).cpu().numpy()
        return [
            (_effect(float(v), arrays[:4, row, :size], float(e), step), arrays[4, row, :size].copy())
            for row, (size, v, e, step) in enumerate(zip(sizes, V.tolist(), evidence.tolist(), steps, strict=True))
        ]

    def _hold(self, numbers: list[int], steps: list[Step], size: int) -> None:
        """Brings the matrices up to date: loci that left, and a matrix with another background."""
        if numbers != self.numbers:
            if self.numbers and set(numbers) < set(self.numbers):
                left = [self.numbers.index(number) for number in numbers]
                self.M = self.M[left, :size, :size].clone()
                self.held = [self.held[place] for place in left]
            else:
                self.M = torch.zeros(len(numbers), size, size, dtype=torch.float64, device=self.device)
                self.held = []
            self.numbers = numbers
        for place, step in enumerate(steps):
            if place < len(self.held) and self.held[place] is step.M:
                continue
            self.M[place, : step.M.size, : step.M.size] = _dense(step.M, self.device)
            self.held[place : place + 1] = [step.M]

    def _padded(self, rows: list[ndarray], sizes: list[int], filler: float) -> Tensor:
        padded = np.full((len(rows), max(sizes)), filler)
        for place, (row, size) in enumerate(zip(rows, sizes, strict=True)):
            padded[place, :size] = row
        return torch.from_numpy(padded).to(self.device)


def _dense(M: LDMatrix, device: torch.device) -> Tensor:
    if isinstance(M, DenseLD):
        return M.factor * torch.from_numpy(M.matrix).to(device)
    factored = M.factored()
    U = torch.from_numpy(np.ascontiguousarray(factored.U)).to(device)
    return U @ U.T + torch.diag(torch.from_numpy(factored.D).to(device))


def _effect(V: float, parts: Float[ndarray, "part variant"], evidence: float, step: Step) -> SingleEffect:
    if V <= 0:
        zero = np.zeros_like(step.score)
        return SingleEffect(V=0.0, alpha=np.exp(step.log_weights), mean=zero, square=zero, lbf=zero, evidence=0.0)
    alpha, mean, square, lbf = (part.copy() for part in parts)
    return SingleEffect(V=V, alpha=alpha, mean=mean, square=square, lbf=lbf, evidence=evidence)


def single_effects(score: Tensor, d: Tensor, log_weights: Tensor) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
    """`varfx.finemap.single_effect.single_effect` of each row: V, (alpha, mean, square, lbf), evidence.

    Args:
        score: (locus, variant), 0 in the padding.
        d: the same shape, 1 in the padding.
        log_weights: the same shape, minus infinity in the padding.
    """
    s2 = score * score
    V = best_variances(s2, d, log_weights)[:, None]
    shrunk = V / (1 + V * d)
    lbf = 0.5 * (s2 * shrunk - torch.log1p(V * d))
    joint = lbf + log_weights
    top = joint.max(dim=1).values
    alpha = torch.exp(joint - top[:, None])
    total = alpha.sum(dim=1)
    mean = shrunk * score
    return V[:, 0], (alpha / total[:, None], mean, shrunk + mean * mean, lbf), top + torch.log(total)


def best_variances(s2: Tensor, d: Tensor, log_weights: Tensor) -> Tensor:
    """`varfx.finemap.single_effect.best_variance` of each row."""
    real = torch.isfinite(log_weights)
    largest = torch.where(real, (s2 / d - 1) / d, -torch.inf).max(dim=1).values
    grid = largest[:, None] * torch.from_numpy(GRID[:, 0]).to(s2)
    values = torch.stack([_evidence(column, s2, d, log_weights) for column in grid.T], dim=1)
    best = values.argmax(dim=1)
    end = grid.shape[1] - 1

    def place(index: Tensor) -> Tensor:
        return torch.log(grid.gather(1, index[:, None])[:, 0])

    low, high, x = place((best + 1).clamp(max=end)), place((best - 1).clamp(min=0)), place(best)
    falling = (best == end) & ((torch.exp(log_weights) * torch.where(real, s2 - d, 0.0)).sum(dim=1) <= 0)
    low = torch.where(best == end, x - 30.0, low)
    active = (largest > 0) & ~falling
    none = ~active
    for _ in range(MAX_STEPS):
        slope, curvature = _slope(torch.exp(x), s2, d, log_weights)
        low, high = torch.where(slope > 0, x, low), torch.where(slope > 0, high, x)
        step = torch.where(curvature < 0, -slope / curvature, torch.inf)
        following = x + step
        inside = (low < following) & (following < high)
        following = torch.where(inside, following, torch.where(step.abs() > XTOL, (low + high) / 2, x))
        moved = (following - x).abs()
        x = torch.where(active, following, x)
        active &= moved >= XTOL
        if not bool(active.any()):
            break
    V = torch.exp(x)
    return torch.where(none | ~(_evidence(V, s2, d, log_weights) > 0), 0.0, V)


def _evidence(V: Tensor, s2: Tensor, d: Tensor, log_weights: Tensor) -> Tensor:
    grown = 1 + V[:, None] * d
    joint = s2 * (0.5 * V[:, None] / grown) - 0.5 * torch.log(grown) + log_weights
    top = joint.max(dim=1).values
    return top + torch.log(torch.exp(joint - top[:, None]).sum(dim=1))


def _slope(V: Tensor, s2: Tensor, d: Tensor, log_weights: Tensor) -> tuple[Tensor, Tensor]:
    """First and second derivative of each row's evidence by log V."""
    u = V[:, None] * d / (1 + V[:, None] * d)
    gain = s2 / d
    joint = 0.5 * (gain * u + torch.log1p(-u)) + log_weights
    alpha = torch.exp(joint - joint.max(dim=1).values[:, None])
    alpha = alpha / alpha.sum(dim=1)[:, None]
    first = 0.5 * (gain * (u * (1 - u)) - u)
    second = 0.5 * (gain * (u * (1 - u) * (1 - 2 * u)) - u * (1 - u))
    mean = (alpha * first).sum(dim=1)
    return mean, (alpha * (first * first + second)).sum(dim=1) - mean * mean
