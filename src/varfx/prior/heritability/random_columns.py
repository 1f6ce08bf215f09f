"""Random 0/1 annotations, drawn anew for the rows asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from varfx.annotations import channels
from varfx.annotations.channels import Rows


@dataclass(frozen=True, eq=False)
class RandomColumns:
    """Random 0/1 annotations: the same numbers as `default_rng(seed).random((height, width)) < fraction`, whichever rows are asked for.

    Attributes:
        height: number of variants.
        width: number of annotations.
        fraction: share of variants in each.
        seed: of the draw.
    """

    height: int
    width: int
    fraction: float
    seed: int

    def rows(self, rows: Rows) -> Bool[ndarray, "row annotation"]:
        """Those of some variants."""
        wanted = np.arange(self.height)[rows] if isinstance(rows, slice) else rows
        found = np.zeros((wanted.size, self.width), dtype=bool)
        if not found.size:
            return found
        number = wanted // channels.BLOCK
        for block in np.unique(number):
            here = number == block
            first, last = int(wanted[here].min()), int(wanted[here].max())
            # a float64 takes one step of the generator
            generator = np.random.Generator(np.random.PCG64(self.seed).advance(first * self.width))
            found[here] = (generator.random((last - first + 1, self.width)) < self.fraction)[wanted[here] - first]
        return found
