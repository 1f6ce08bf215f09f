"""Motifs that variants make or break: the best match over a variant's place on either strand, of both alleles.

Each allele is put between the reference's bases, so that indels are built both ways. Alleles lose what they share at their ends
first; a window counts if it holds a base of the allele or, where the allele is empty, both neighbours of the gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64, Int64, UInt8
from numpy import ndarray

from varfx.expression.explain.config import ExplainConfig
from varfx.expression.explain.motifs import Motif
from varfx.genome.fasta import CODE_OF

SCHEMA: dict[str, pl.DataType] = {
    "row": pl.Int64(),  # of the variants
    "motif": pl.String(),
    "motif_name": pl.String(),
    "strand": pl.String(),  # of the better allele's best match
    "offset": pl.Int64(),  # of its first base from the variant's first changed base, on the forward strand
    "score_ref": pl.Float64(),  # log2 units
    "score_alt": pl.Float64(),
    "delta": pl.Float64(),
    "p_ref": pl.Float64(),
    "p_alt": pl.Float64(),
    "pct_ref": pl.Float64(),  # 0 is the worst sequence of the motif, 1 the best
    "pct_alt": pl.Float64(),
    "effect": pl.String(),  # gain or loss
    "strong": pl.Boolean(),
}
UNKNOWN = 4
CELLS = 1 << 24  # of a product of windows and motifs held at once


@dataclass(frozen=True, eq=False)
class Sites:
    """Variants with the reference's bases around them.

    Attributes:
        left: codes of the bases before the variant, the nearest last (A, C, G, T are 0 to 3, unknown 4).
        right: codes of the bases behind it.
        ref: alleles without the bases they share with the other at their ends.
        alt: the same.
    """

    left: UInt8[ndarray, "variant flank"]
    right: UInt8[ndarray, "variant flank"]
    ref: tuple[str, ...]
    alt: tuple[str, ...]


def site(
    reference: UInt8[ndarray, " base"], offset: int, ref: str, alt: str, flank: int
) -> tuple[ndarray, ndarray, str, str]:
    """Bases before and behind a variant, and its alleles without what they share.

    Args:
        reference: codes of a stretch of the genome.
        offset: of the variant's first base in it; bases outside it are unknown.
        ref: as in a VCF.
        alt: as in a VCF.
        flank: bases on either side.
    """
    behind = offset + len(ref)
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt, behind = ref[:-1], alt[:-1], behind - 1
    while ref and alt and ref[0] == alt[0]:
        ref, alt, offset = ref[1:], alt[1:], offset + 1
    padded = np.full(len(reference) + 2 * flank, UNKNOWN, dtype=np.uint8)
    padded[flank : flank + len(reference)] = reference
    return padded[offset : offset + flank], padded[behind + flank : behind + 2 * flank], ref, alt


def disruptions(sites: Sites, motifs: Sequence[Motif], config: ExplainConfig) -> pl.DataFrame:
    """Motifs whose match differs between a variant's alleles, where one of them has p below `motif_p`; columns of `SCHEMA`.

    Args:
        sites: with flanks at least as long as the longest motif less one base.
        motifs: the motifs.
        config: the thresholds.
    """
    parts = []
    for width in sorted({motif.width for motif in motifs}):
        group = [motif for motif in motifs if motif.width == width]
        ref, alt = (_best(sites, alleles, group) for alleles in (sites.ref, sites.alt))
        parts.append(_rows(group, ref, alt, config))
    table = pl.concat(parts) if parts else pl.DataFrame(schema=SCHEMA)
    return table.sort("row", "motif")


@dataclass(frozen=True, eq=False)
class _Best:
    """Best match of each motif over each variant, of one allele."""

    score: Float64[ndarray, "variant motif"]  # minus infinity where no window is known
    offset: Int64[ndarray, "variant motif"]
    forward: Bool[ndarray, "variant motif"]
    p: Float64[ndarray, "variant motif"]


def _best(sites: Sites, alleles: tuple[str, ...], motifs: Sequence[Motif]) -> _Best:
    count, width = len(alleles), motifs[0].width
    shape = (count, len(motifs))
    score, offset, forward = np.full(shape, -np.inf), np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool)
    strands = [*motifs, *(motif.reversed for motif in motifs)]
    matrix = np.stack([motif.scores for motif in strands]).reshape(len(strands), -1).T
    for rows, windows in _windows(sites, alleles, width, len(strands)):
        number = windows.shape[1]
        if not number:
            continue
        found = (np.eye(5, 4)[windows].reshape(-1, 4 * width) @ matrix).reshape(len(rows), number, 2, len(motifs))
        found[(windows == UNKNOWN).any(axis=2)] = -np.inf
        flat = found.transpose(0, 3, 1, 2).reshape(len(rows), len(motifs), -1)
        choice = flat.argmax(axis=2)
        score[rows] = np.take_along_axis(flat, choice[:, :, None], axis=2)[:, :, 0]
        offset[rows], forward[rows] = choice // 2 - (width - 1), choice % 2 == 0
    p = np.column_stack([_p(motif, score[:, column], forward[:, column]) for column, motif in enumerate(motifs)])
    return _Best(score, offset, forward, p)


def _p(
    motif: Motif, score: Float64[ndarray, " variant"], forward: Bool[ndarray, " variant"]
) -> Float64[ndarray, " variant"]:
    result = np.ones(score.size)
    for strand, matrix in ((True, motif), (False, motif.reversed)):
        mine = np.isfinite(score) & (forward == strand)
        result[mine] = matrix.p(score[mine])
    return result


def _windows(
    sites: Sites, alleles: tuple[str, ...], width: int, strands: int
) -> Iterator[tuple[ndarray, UInt8[ndarray, "variant window place"]]]:
    """Windows over the alleles of some variants at a time, all of one length."""
    lengths = np.array([len(allele) for allele in alleles], dtype=np.int64)
    flank = width - 1
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        step = max(1, CELLS // max(1, (flank + int(length)) * max(strands, 4 * width)))
        for first in range(0, rows.size, step):
            part = rows[first : first + step]
            letters = "".join(alleles[row] for row in part).encode()
            middle = CODE_OF[np.frombuffer(letters, dtype=np.uint8)].reshape(part.size, int(length))
            left = sites.left[part][:, sites.left.shape[1] - flank :]
            bases = np.concatenate([left, middle, sites.right[part][:, :flank]], axis=1)
            if bases.shape[1] < width:  # an empty allele of a motif of one base
                yield part, np.zeros((part.size, 0, width), dtype=np.uint8)
                continue
            yield part, np.lib.stride_tricks.sliding_window_view(bases, width, axis=1)


def _rows(motifs: Sequence[Motif], ref: _Best, alt: _Best, config: ExplainConfig) -> pl.DataFrame:
    both = np.isfinite(ref.score) & np.isfinite(alt.score)
    row, column = np.nonzero(both & (np.minimum(ref.p, alt.p) < config.motif_p) & (ref.score != alt.score))
    gain = alt.score[row, column] > ref.score[row, column]
    ranges = np.array([motif.range for motif in motifs])
    low, high = ranges[column, 0], ranges[column, 1]
    scores = {"ref": ref.score[row, column], "alt": alt.score[row, column]}
    pct = {name: (value - low) / (high - low) for name, value in scores.items()}
    p = {"ref": ref.p[row, column], "alt": alt.p[row, column]}
    forward = np.where(gain, alt.forward[row, column], ref.forward[row, column])
    strong = (np.minimum(p["ref"], p["alt"]) < config.strong_p) & (
        np.abs(scores["alt"] - scores["ref"]) >= config.strong_delta
    )
    return pl.DataFrame(
        {
            "row": row,
            "motif": [motifs[int(k)].name for k in column],
            "motif_name": [motifs[int(k)].other_name for k in column],
            "strand": np.where(forward, "+", "-").tolist(),
            "offset": np.where(gain, alt.offset[row, column], ref.offset[row, column]),
            **{f"score_{name}": value for name, value in scores.items()},
            "delta": scores["alt"] - scores["ref"],
            **{f"p_{name}": value for name, value in p.items()},
            **{f"pct_{name}": value for name, value in pct.items()},
            "effect": np.where(gain, "gain", "loss").tolist(),
            "strong": strong,
        },
        schema=SCHEMA,
    )
