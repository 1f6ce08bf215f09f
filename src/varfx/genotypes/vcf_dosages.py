"""Expected copies of each ALT from the fields DS and GP of a VCF record, and the genotypes they round to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int16
from numpy import ndarray

from varfx.errors import FormatError
from varfx.genotypes.records import MISSING

_LEAST = -1e9
SLACK = 0.05  # of the sum of a genotype's probabilities, and of a dosage's range


def copies_of(variant: Any, num_alts: int, path: Path) -> Float64[ndarray, "individual alt"] | None:
    """Expected copies of each ALT: DS where it is known, else from GP; NaN where neither is. None without both fields.

    Args:
        variant: of cyvcf2.
        num_alts: its number of ALT alleles.
        path: for messages.

    Raises:
        FormatError: a dosage outside 0 to 2, or probabilities that do not sum to 1.
    """
    found = None
    for read in (_of_ds, _of_gp):
        copies = read(variant, num_alts, path)
        if copies is not None:
            found = copies if found is None else np.where(np.isnan(found), copies, found)
    return found


def alleles_of(copies: Float64[ndarray, "individual alt"]) -> Int16[ndarray, "individual 2"]:
    """Two allele numbers per individual (0 is REF), in no meaningful order; missing where copies are, or exceed two."""
    whole = np.rint(copies)
    alleles = np.zeros((copies.shape[0], 2), dtype=np.int16)
    used = np.zeros(copies.shape[0], dtype=np.int64)
    for column in range(copies.shape[1]):
        for copy in (1, 2):
            carriers = np.flatnonzero((whole[:, column] >= copy) & (used < 2))
            alleles[carriers, 1 - used[carriers]] = column + 1
            used[carriers] += 1
    alleles[~(whole.sum(axis=1) <= 2)] = MISSING  # NaN too
    return alleles


def _of_ds(variant: Any, num_alts: int, path: Path) -> Float64[ndarray, "individual alt"] | None:
    values = _field(variant, "DS", num_alts)
    if values is None:
        return None
    bad = (values < -SLACK) | (values > 2 + SLACK)
    if bad.any():
        raise FormatError(
            f"`{path}`: {variant.CHROM}:{variant.POS}: {int(bad.sum())} of {bad.size} dosages (DS) are not between 0 and 2. "
            "Check the field."
        )
    return values


def _of_gp(variant: Any, num_alts: int, path: Path) -> Float64[ndarray, "individual alt"] | None:
    pairs = [(first, second) for second in range(num_alts + 1) for first in range(second + 1)]  # in the order of VCF
    values = _field(variant, "GP", len(pairs))
    if values is None:
        return None
    bad = (np.abs(values.sum(axis=1) - 1) > SLACK) | (values < -SLACK).any(axis=1)
    if bad.any():
        raise FormatError(
            f"`{path}`: {variant.CHROM}:{variant.POS}: {int(bad.sum())} of {bad.size} genotype probabilities (GP) do not "
            "sum to 1. Check whether they are on the Phred scale."
        )
    weights = np.array([[pair.count(alt) for alt in range(1, num_alts + 1)] for pair in pairs], dtype=np.float64)
    return np.asarray(values @ weights)


def _field(variant: Any, name: str, columns: int) -> Float64[ndarray, "individual value"] | None:
    """A field as numbers, NaN where missing; None if it is absent or has another number of values."""
    try:
        values = variant.format(name)
    except KeyError:
        return None
    if values is None:
        return None
    if values.dtype.kind not in "fi":  # a field that the header does not define is text
        cells = [str(cell).split(",") for cell in np.asarray(values).ravel()]
        if any(len(cell) not in (1, columns) for cell in cells):
            return None
        try:
            rows = [[np.nan] * columns if cell == ["."] else [float(text) for text in cell] for cell in cells]
            values = np.array(rows)
        except ValueError:
            return None
    values = np.asarray(values, dtype=np.float64)
    values[values < _LEAST] = np.nan  # htslib's missing integer
    return values if values.ndim == 2 and values.shape[1] == columns else None
