"""Motifs of MEME files, and the exact p-value of a match.

With p_ib the probability of base b at place i and q_b the background's, the score of a sequence is the sum over places of

    S_ib = log2(p_ib + 1e-4) - log2(q_b)

Places are independent under the background, so that the distribution of the sum of S rounded to tenths is a convolution
over places (Staden 1989; as FIMO and memelite compute it). p is the probability of a sum at least as large.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from varfx.errors import FormatError
from varfx.io.text_lines import numbered_lines

BIN = 0.1  # of log2 units
PSEUDO = 1e-4
ROUNDING = 1e-9  # tenths that a score may fall short of
UNIFORM = (0.25, 0.25, 0.25, 0.25)
_MATRIX = re.compile(r"letter-probability matrix:(.*)")
_WIDTH = re.compile(r"\bw=\s*(\d+)")
_LETTERS = re.compile(r"\balength=\s*(\d+)")


@dataclass(frozen=True, eq=False)
class Motif:
    """A motif.

    Attributes:
        name: its identifier.
        other_name: its second name; may be empty.
        probabilities: of A, C, G, T at each place.
        background: of A, C, G, T.
    """

    name: str
    other_name: str
    probabilities: Float64[ndarray, "place 4"]
    background: tuple[float, ...] = UNIFORM

    @property
    def width(self) -> int:
        """Bases."""
        return int(self.probabilities.shape[0])

    @cached_property
    def scores(self) -> Float64[ndarray, "place 4"]:
        """S, in log2 units."""
        return np.asarray(np.log2(self.probabilities + PSEUDO) - np.log2(self.background))

    @cached_property
    def tenths(self) -> Int64[ndarray, "place 4"]:
        """S rounded to tenths."""
        return np.round(self.scores / BIN).astype(np.int64)

    @cached_property
    def range(self) -> tuple[float, float]:
        """Smallest and largest score of any sequence."""
        return float(self.scores.min(axis=1).sum()), float(self.scores.max(axis=1).sum())

    @cached_property
    def survival(self) -> tuple[int, Float64[ndarray, " score"]]:
        """The smallest score in tenths, and from there on the probability of each score or a larger one."""
        lowest, highest = self.tenths.min(axis=1), self.tenths.max(axis=1)
        density = np.zeros(int((highest - lowest).sum()) + 1)
        density[0], reach = 1.0, 1
        for place in range(self.width):
            following = np.zeros_like(density)
            for base, share in enumerate(self.background):
                step = int(self.tenths[place, base] - lowest[place])
                following[step : step + reach] += density[:reach] * share
            density, reach = following, reach + int(highest[place] - lowest[place])
        return int(lowest.sum()), np.minimum(np.cumsum(density[::-1])[::-1], 1.0)

    def p(self, scores: Float64[ndarray, " match"]) -> Float64[ndarray, " match"]:
        """p of scores in log2 units: that of the largest tenth not above each, as memelite has it."""
        lowest, survival = self.survival
        tenths = np.floor(scores / BIN + ROUNDING).astype(np.int64)
        return np.asarray(survival[np.clip(tenths - lowest, 0, survival.size - 1)])

    @cached_property
    def reversed(self) -> Motif:
        """The motif as the other strand reads it."""
        return Motif(self.name, self.other_name, self.probabilities[::-1, ::-1], self.background[::-1])


def read_meme(path: str | os.PathLike[str], *, background: bool = False) -> list[Motif]:
    """The motifs of a MEME file (minimal or full text format).

    Args:
        path: plain, gzip or zstd.
        background: use the file's background frequencies in place of uniform ones.

    Raises:
        FormatError: no motif, letters other than ACGT or in another order, a matrix that is cut, rows that are no probabilities, or a name given twice.
    """
    lines = ((number, line.decode("utf-8", "replace").strip()) for number, line in numbered_lines(Path(path)))
    motifs: list[Motif] = []
    names = ("", "")
    frequencies: tuple[float, ...] = UNIFORM
    for number, line in lines:
        words = line.split()
        if line.startswith("MOTIF"):
            names = (words[1] if len(words) > 1 else f"motif{len(motifs) + 1}", words[2] if len(words) > 2 else "")
        elif line.startswith("ALPHABET="):
            _check_letters(line.removeprefix("ALPHABET=").strip(), path, number)
        elif line.startswith("Background letter frequencies"):
            frequencies = _background(lines, path) if background else UNIFORM
        elif found := _MATRIX.match(line):
            motifs.append(Motif(*names, _matrix(found[1], lines, path, number, names[0]), frequencies))
    if not motifs:
        raise FormatError(
            f"`{path}` holds no motif: a MEME file has `MOTIF name` and `letter-probability matrix:` lines."
        )
    known = [motif.name for motif in motifs]
    twice = (
        [name for number, name in enumerate(known) if name in known[:number]] if len(set(known)) < len(known) else []
    )
    if twice:
        raise FormatError(
            f"`{path}`: {len(twice)} motifs have the name of an earlier one, first `{twice[0]}`. Make the names unique."
        )
    return motifs


def _check_letters(letters: str, path: str | os.PathLike[str], number: int) -> None:
    """The columns of a matrix are the letters in the order of this line."""
    if letters.upper() not in ("ACGT", "ACGU"):
        raise FormatError(
            f"`{path}`: line {number} says that its letters are {letters[:30]!r}, but the columns of a matrix must be ACGT, in this order."
        )


def _background(lines: Iterator[tuple[int, str]], path: str | os.PathLike[str]) -> tuple[float, ...]:
    number, line = next(lines, (0, ""))
    words = line.split()
    try:
        found = {letter: float(value) for letter, value in zip(words[::2], words[1::2], strict=True)}
        values = tuple(found[letter] for letter in "ACGT")
    except (ValueError, KeyError) as error:
        raise FormatError(
            f"`{path}`: line {number} should hold the background, `A 0.25 C 0.25 G 0.25 T 0.25`."
        ) from error
    if min(values) <= 0 or abs(sum(values) - 1) > 0.01:
        raise FormatError(f"`{path}`: the background in line {number} must be positive and sum to 1.")
    return tuple(value / sum(values) for value in values)


def _matrix(
    header: str, lines: Iterator[tuple[int, str]], path: str | os.PathLike[str], number: int, name: str
) -> Float64[ndarray, "place 4"]:
    width, letters = _WIDTH.search(header), _LETTERS.search(header)
    if width is None or (letters is not None and int(letters[1]) != 4):
        raise FormatError(f"`{path}`: line {number}, the matrix of {name} must say `w=` and have four letters (DNA).")
    rows: list[list[float]] = []
    while len(rows) < int(width[1]):
        number, line = next(lines, (number, ""))
        words = line.split()
        if not words and rows:
            break
        try:
            rows.extend([[float(word) for word in words]] if words else [])
        except ValueError:
            break
        if not words and number == 0:
            break
    values = np.array(rows) if rows and all(len(row) == 4 for row in rows) else np.zeros((0, 4))
    if len(values) != int(width[1]) or not len(values):
        raise FormatError(
            f"`{path}`: the matrix of {name} before line {number + 1} is cut: it should have {width[1]} rows of 4 numbers."
        )
    total = values.sum(axis=1)
    if (values < 0).any() or (np.abs(total - 1) > 0.02).any():
        raise FormatError(
            f"`{path}`: the matrix of {name} has rows that are no probabilities (they sum to {total.min():.3g} to {total.max():.3g})."
        )
    return np.asarray(values / total[:, None])
