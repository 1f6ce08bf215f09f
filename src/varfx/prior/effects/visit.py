"""Visits of a block of variants by the Markov chains of a window: machine code, compiled when first called.

Within a block an effect's change reaches the other variants through the block's Gram matrix, so that a visit reads nothing of
the window's size; the caller brings the window's residual up to date once per block. Arrays of a window:

    prior   d (variant), constant and t (slab, variant), background_F (variant), see `SparseRegression`
    s       effects, (chain, variant), float32; those of the block are changed
    g       `A (w - A s)` of the block's variants, (chain, block), float32; changed accordingly
    gram    `A A'` of the block's variants, (block, block), float32
    draws   uniform and normal random numbers, (chain, variant) each: every variant has its own, whether used or not
"""

from __future__ import annotations

from typing import Any

import numpy as np

LEAST_LOG = 25.0  # places less likely than the likeliest by this factor on the log scale are no targets of a move


def move(first: int, gram: Any, prior: Any, s: Any, g: Any, draws: Any) -> None:
    """Draws anew at which free variant of the block each effect is, and its value, the other effects fixed.

    This carries chains across variants in strong LD. `first` is the block's first variant.
    """
    _, constant, t, _ = prior
    uniform, normal = draws
    chains, size = g.shape
    slabs = t.shape[0]
    weights = np.empty((size, slabs))
    for chain in range(chains):
        for m in np.flatnonzero(s[chain, first : first + size]):
            old = s[chain, first + m]
            s[chain, first + m] = 0.0
            top = -np.inf
            for j in range(size):
                g[chain, j] += gram[m, j] * old
                for k in range(slabs):
                    weights[j, k] = constant[k, first + j] + 0.5 * t[k, first + j] * g[chain, j] * g[chain, j]
                    if s[chain, first + j] != 0:
                        weights[j, k] = -np.inf
                    top = max(top, weights[j, k])
            total = 0.0
            for j in range(size):
                for k in range(slabs):
                    likely = weights[j, k] > top - LEAST_LOG
                    weights[j, k] = np.exp(weights[j, k] - top) if likely else 0.0
                    total += weights[j, k]
            left = uniform[chain, first + m] * total
            place, slab = m, 0
            for choice in range(size * slabs):
                if weights[choice // slabs, choice % slabs] > 0:
                    place, slab = choice // slabs, choice % slabs
                    left -= weights[place, slab]
                    if left < 0:
                        break
            variance = t[slab, first + place]
            new = np.float32(variance * g[chain, place] + np.sqrt(variance) * normal[chain, first + m])
            s[chain, first + place] = new
            for j in range(size):
                g[chain, j] -= gram[place, j] * new


def scan(first: int, gram: Any, prior: Any, s: Any, g: Any, draws: Any, sums: Any) -> None:
    """Draws the effects of the block's variants anew, one after the other, and adds their conditional expectations to `sums`.

    `sums` are `chance`, `square` (slab, variant), `mean`, `total_mean` and `total_square` (variant) of `Averages`.
    """
    d, constant, t, background_F = prior
    uniform, normal = draws
    chance_sum, square_sum, mean_sum, total_mean_sum, total_square_sum = sums
    chains, size = g.shape
    slabs = t.shape[0]
    chance = np.empty(slabs)
    for chain in range(chains):
        for m in range(size):
            column = first + m
            old = s[chain, column]
            own = g[chain, m] + d[column] * old
            top = 0.0
            for k in range(slabs):
                chance[k] = constant[k, column] + 0.5 * t[k, column] * own * own
                top = max(top, chance[k])
            null = np.exp(-top) if top > 0 else 1.0
            total = null
            for k in range(slabs):
                chance[k] = np.exp(chance[k] - top)
                total += chance[k]
            share = 1 / total
            mean, square = 0.0, 0.0
            for k in range(slabs):
                p, centre = chance[k] * share, t[k, column] * own
                own_square = p * (centre * centre + t[k, column])
                chance_sum[k, column] += p
                square_sum[k, column] += own_square
                mean += p * centre
                square += own_square
            F = background_F[column]
            kept = 1 - F * d[column]  # share of an effect here that the background's mean here does not take over
            mean_sum[column] += mean
            total_mean_sum[column] += kept * mean + F * own
            total_square_sum[column] += (kept * mean + F * own) ** 2 + kept**2 * (square - mean * mean) + F * kept
            left = uniform[chain, column] * total - null
            new = np.float32(0.0)
            if left >= 0:
                slab = 0
                while slab < slabs - 1 and left >= chance[slab]:
                    left -= chance[slab]
                    slab += 1
                variance = t[slab, column]
                new = np.float32(variance * own + np.sqrt(variance) * normal[chain, column])
            if new != old:
                s[chain, column] = new
                for j in range(size):
                    g[chain, j] -= gram[m, j] * (new - old)


def scores(first: int, A: Any, residual: Any, g: Any) -> None:
    """`A residual'` of the block's variants into g, each row of A read once for all chains.

    As fast as memory is read; libraries copy the block before they multiply it with a few vectors. Compiled with sums in any order.
    """
    chains, size = g.shape
    rank = A.shape[1]
    for m in range(0, size, 2):
        n = min(m + 1, size - 1)
        for chain in range(0, chains, 2):
            other = min(chain + 1, chains - 1)
            mc, mo, nc, no = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
            for i in range(rank):
                here, there = A[first + m, i], A[first + n, i]
                mc += here * residual[chain, i]
                mo += here * residual[other, i]
                nc += there * residual[chain, i]
                no += there * residual[other, i]
            g[chain, m], g[other, m], g[chain, n], g[other, n] = mc, mo, nc, no


def subtract(first: int, A: Any, s: Any, before: Any, residual: Any) -> None:
    """Brings the chains' residuals up to date after changes of a block's effects from `before`."""
    chains, size = before.shape
    rank = A.shape[1]
    for m in range(size):
        for chain in range(chains):
            change = s[chain, first + m] - before[chain, m]
            if change != 0:
                for i in range(rank):
                    residual[chain, i] -= change * A[first + m, i]
