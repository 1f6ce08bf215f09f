"""One visit of a block of variants by the chains of several windows in step, each chain of each window being a lane.

An operation of the sampler costs the same for one lane as for a few dozen, so that all of them go together: in each round
every lane takes its next change of state. Lanes without another change drop out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

if TYPE_CHECKING:
    from varfx.prior.effects.gibbs import SparseRegression

BLOCK = 64  # variants


@dataclass(frozen=True, eq=False)
class Draws:
    """Random numbers of one sweep of a window: each variant has its own, whether they are used or not.

    Attributes:
        uniform: to include an effect, to choose its slab, and to choose the place and slab of a move, (3, chain, variant).
        normal: of an effect's value, and of one that has moved, (2, chain, variant).
    """

    uniform: Float[ndarray, "3 chain variant"]
    normal: Float[ndarray, "2 chain variant"]

    @classmethod
    def of(cls, generator: np.random.Generator, shape: tuple[int, ...]) -> Draws:
        """Fresh numbers for states of this shape."""
        return cls(
            generator.random((3, *shape), dtype=np.float32), generator.standard_normal((2, *shape), dtype=np.float32)
        )

    def block(self, columns: slice) -> Draws:
        """Those of some variants."""
        return Draws(self.uniform[:, :, columns], self.normal[:, :, columns])


@dataclass(frozen=True, eq=False)
class LaneBlock:
    """The block number `number` of the windows that have one, padded to equal size by variants that never have an effect.

    Attributes:
        number: of the block.
        windows: places of these windows among all.
        sizes: number of variants in the block, per window.
        gram: `A A'`, (window, block, block).
        d: (window, block).
        constant: (window, slab, block), see `SparseRegression`.
        t: (window, slab, block).
    """

    number: int
    windows: tuple[int, ...]
    sizes: tuple[int, ...]
    gram: Float[ndarray, "window block block"]
    d: Float[ndarray, "window block"]
    constant: Float[ndarray, "window slab block"]
    t: Float[ndarray, "window slab block"]
    half: Float[ndarray, "window slab block"]  # t / 2

    @classmethod
    def of(cls, regressions: Sequence[SparseRegression], number: int) -> LaneBlock:
        """The block of all regressions long enough."""
        places = [place for place, each in enumerate(regressions) if number < len(each.grams)]
        sizes = [len(regressions[place].grams[number]) for place in places]
        widest, slabs = max(sizes), len(regressions[0].t)
        gram = np.zeros((len(places), widest, widest), dtype=np.float32)
        d = np.zeros((len(places), widest), dtype=np.float32)
        t = np.ones((len(places), slabs, widest), dtype=np.float32)
        constant = np.full((len(places), slabs, widest), -np.inf, dtype=np.float32)
        for lane, (place, size) in enumerate(zip(places, sizes, strict=True)):
            columns, each = slice(number * BLOCK, number * BLOCK + size), regressions[place]
            gram[lane, :size, :size] = each.grams[number]
            d[lane, :size] = each.d[columns]
            constant[lane, :, :size], t[lane, :, :size] = each.constant[:, columns], each.t[:, columns]
        return cls(number, tuple(places), tuple(sizes), gram, d, constant, t, t / 2)

    def columns(self, place: int) -> slice:
        """Variants of the block in the window at this place."""
        return slice(self.number * BLOCK, self.number * BLOCK + self.sizes[self.windows.index(place)])


def visit(
    block: LaneBlock, states: Sequence[ndarray], g: Sequence[ndarray], draws: Sequence[Draws]
) -> tuple[list[Float[ndarray, "chain variant"]], list[Float[ndarray, "chain variant"]]]:
    """New effects of a block's variants, and `g` without the variant's own effect at the visit of each.

    First each effect may move to another variant of the block with the others fixed, which carries chains across variants
    in strong LD; then the variants are visited in order.

    Args:
        block: the block.
        states: effects of its variants, (chain, variant) per window.
        g: `A (w - A s)` of them.
        draws: random numbers of them.
    """
    lanes = _Lanes.of(block, states, g, draws)
    lanes.move()
    lanes.sweep()
    return lanes.parted(lanes.s), lanes.parted(lanes.own)


@dataclass(eq=False)
class _Lanes:
    """The state of all lanes in a block."""

    block: LaneBlock
    chains: int
    window: Int[ndarray, " lane"]
    s: Float[ndarray, "lane variant"]
    g: Float[ndarray, "lane variant"]
    own: Float[ndarray, "lane variant"]
    uniform: Float[ndarray, "3 lane variant"]
    normal: Float[ndarray, "2 lane variant"]

    @classmethod
    def of(cls, block: LaneBlock, states: Sequence[ndarray], g: Sequence[ndarray], draws: Sequence[Draws]) -> _Lanes:
        chains, width = states[0].shape[0], block.d.shape[1]

        def wide(parts: Sequence[ndarray]) -> ndarray:
            """Windows after one another on the axis of chains, padded with zeros."""
            padded = [
                part if part.shape[-1] == width
                else np.concatenate([part, np.zeros((*part.shape[:-1], width - part.shape[-1]), part.dtype)], axis=-1)
                for part in parts
            ]  # fmt: skip
            return np.concatenate(padded, axis=-2)

        return cls(
            block=block,
            chains=chains,
            window=np.repeat(np.arange(len(states)), chains),
            s=wide(states),
            g=wide(g),
            own=np.zeros((chains * len(states), width), dtype=np.float32),
            uniform=wide([each.uniform for each in draws]),
            normal=wide([each.normal for each in draws]),
        )

    def parted(self, values: Float[ndarray, "lane variant"]) -> list[Float[ndarray, "chain variant"]]:
        """Values of the lanes, per window and without padding."""
        return [
            values[place * self.chains : (place + 1) * self.chains, :size]
            for place, size in enumerate(self.block.sizes)
        ]

    def move(self) -> None:
        """Draws anew at which variant of the block, without another effect there, each effect is."""
        present = self.s != 0
        order = np.argsort(~present, axis=1, kind="stable")  # of each lane the variants with an effect first
        for turn in range(int(present.sum(1).max())):
            lanes = np.flatnonzero(present.sum(1) > turn)
            m = order[lanes, turn]
            window = self.window[lanes]
            self._change(lanes, m, np.zeros(len(lanes), dtype=np.float32))
            L = self.block.constant[window] + self.block.half[window] * self.g[lanes, None] ** 2
            L = np.where(self.s[lanes, None] != 0, -np.inf, L)
            weights = np.exp(L - L.max(axis=(1, 2), keepdims=True)).reshape(len(lanes), -1)
            slab, place = np.divmod(_choose(weights, self.uniform[2, lanes, m]), self.s.shape[1])
            self._change(lanes, place, self._value(lanes, slab, place, self.g[lanes, place], self.normal[1, lanes, m]))

    def sweep(self) -> None:
        """Visits the variants in order."""
        lanes = np.arange(len(self.s))
        start = np.zeros(len(lanes), dtype=np.int64)
        position = np.arange(self.s.shape[1])
        while lanes.size:
            window = self.window[lanes]
            s, g = self.s[lanes], self.g[lanes]
            own = g + self.block.d[window] * s
            to_come = position >= start[:, None]
            self.own[lanes] = np.where(to_come, own, self.own[lanes])
            L = self.block.constant[window] + self.block.half[window] * own[:, None] ** 2
            top = np.maximum(L.max(1), np.float32(0))
            weights = np.exp(L - top[:, None])
            zero = np.exp(-top)
            included = self.uniform[0, lanes] * (weights.sum(1) + zero) > zero
            events = (included | (s != 0)) & to_come
            first = events.argmax(1)
            row = np.arange(len(lanes))
            going = events[row, first]
            row, first, lanes = row[going], first[going], lanes[going]
            slab = _choose(weights[row, :, first], self.uniform[1, lanes, first])
            value = self._value(lanes, slab, first, own[row, first], self.normal[0, lanes, first])
            self._change(lanes, first, np.where(included[row, first], value, np.float32(0)))
            start = first + 1

    def _value(self, lanes: ndarray, slab: ndarray, place: ndarray, g: ndarray, normal: ndarray) -> ndarray:
        """Effects drawn from a slab's conditional distribution."""
        t = self.block.t[self.window[lanes], slab, place]
        return np.asarray(t * g + np.sqrt(t) * normal)

    def _change(self, lanes: ndarray, place: ndarray, value: ndarray) -> None:
        """Sets one effect of each of the lanes, and brings `g` up to date."""
        change = value - self.s[lanes, place]
        self.g[lanes] -= self.block.gram[self.window[lanes], place] * change[:, None]
        self.s[lanes, place] = value


def _choose(weights: Float[ndarray, "lane choice"], uniform: Float[ndarray, " lane"]) -> Int[ndarray, " lane"]:
    """A choice per lane, with probabilities proportional to weights."""
    sums = np.cumsum(weights, axis=1)
    chosen = (sums <= (uniform * sums[:, -1])[:, None]).sum(1)
    return np.asarray(np.minimum(chosen, weights.shape[1] - 1))
