"""Standard errors of parameters from blocks of neighbouring windows, and their degrees of freedom."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from varfx.ld import LDPanel
from varfx.ld.windows import Core
from varfx.likelihood.blocks import FEW_BLOCKS, Blocks, choose_blocks, effective_degrees
from varfx.likelihood.maximise import (
    Pieces,
    deleted_steps,
    in_blocks,
    penalised_information,
    sandwich_steps,
    scaled_inverse,
)
from varfx.prior.heritability.config import ErrorMethod
from varfx.prior.heritability.source import FEW_WINDOWS

LD_REACH = 1_000_000  # bases; distance to which windows may depend on each other without flanks
LEAST_DEGREES = 1.0  # of freedom; no standard error with fewer: nearly all information lies in one block


class ErrorConfig(Protocol):
    """What a configuration says of standard errors."""

    @property
    def se(self) -> ErrorMethod:
        """Jackknife or sandwich."""

    @property
    def blocks(self) -> int:
        """Largest number of blocks."""


@dataclass(frozen=True, eq=False)
class Steps:
    """Changes of the parameters from leaving out blocks of windows.

    Attributes:
        values: steps of theta, one per block, whose jackknife is its covariance.
        parts: covariance of theta from each block's information, for degrees of freedom: `H^-1 AI_b H^-1`.
        blocks: of windows.
    """

    values: Float[ndarray, "block parameter"]
    parts: Float[ndarray, "block parameter parameter"]
    blocks: Blocks

    def degrees(self, gradient: Float[ndarray, " parameter"]) -> float:
        """Degrees of freedom of the variance of `gradient' theta`; below 1 if nearly all information lies in one block."""
        return effective_degrees(np.einsum("p,bpq,q->b", gradient, self.parts, gradient))

    def notes(self) -> list[str]:
        """Warnings for the reader."""
        blocks = self.blocks
        if blocks.count >= FEW_BLOCKS:
            return []
        return [
            f"standard errors come from {blocks.count} blocks of neighbouring windows ({FEW_BLOCKS} or more are needed to trust them): they "
            "may be wrong by a factor of two; intervals and p-values are by Student's t with the degrees of freedom of the blocks"
        ]


def stretches(cores: Sequence[Core], flank: int) -> Int[ndarray, " bound"]:
    """Bounds of runs of windows closer to each other than two flanks, or 1 Mb; windows of different runs share neither effects nor LD.

    Args:
        cores: of the windows, in genome order.
        flank: bases on either side of a core.
    """
    reach = max(2 * flank, LD_REACH)
    apart = [
        place + 1
        for place, (one, other) in enumerate(itertools.pairwise(cores))
        if one.chrom != other.chrom or other.start - one.end >= reach
    ]
    return np.array([0, *apart, len(cores)])


def window_blocks(
    score: Float[ndarray, "window parameter"], panel: LDPanel, windows: Sequence[int], most: int
) -> Blocks:
    """Blocks of windows that are nearly independent of each other.

    Args:
        score: d log p / d theta of each window, at the maximum.
        panel: the LD panel.
        windows: numbers of its windows, in genome order.
        most: largest number of blocks.
    """
    cores = [panel.cores[index] for index in windows]
    size = float(np.median([core.end - core.start for core in cores]))
    reach = int(np.ceil(panel.flank / size)) + 1 if panel.flank else 1
    max_lag = int(np.ceil(max(2 * panel.flank, LD_REACH) / size))
    return choose_blocks(score, stretches(cores, panel.flank), reach=reach, max_lag=max_lag, most=most)


def error_steps(
    pieces: Pieces,
    panel: LDPanel,
    windows: Sequence[int],
    config: ErrorConfig,
    prior_precision: Float[ndarray, " parameter"],
) -> Steps | None:
    """The steps behind standard errors; None with fewer than 20 windows, or all in one block.

    Args:
        pieces: likelihood of the windows, at the maximum.
        panel: the LD panel.
        windows: numbers of its windows, in genome order.
        config: jackknife or sandwich, and the largest number of blocks.
        prior_precision: of the parameters, see `maximise`.
    """
    if len(pieces.score) < FEW_WINDOWS:
        return None
    blocks = window_blocks(pieces.score, panel, windows, config.blocks)
    if blocks.count < 2:
        return None
    step = deleted_steps if config.se == "jackknife" else sandwich_steps
    inverse = scaled_inverse(penalised_information(pieces, prior_precision))
    return Steps(
        values=blocks.inflation * step(pieces, blocks.bounds, prior_precision),
        parts=inverse @ in_blocks(pieces.information, blocks.bounds) @ inverse,
        blocks=blocks,
    )
