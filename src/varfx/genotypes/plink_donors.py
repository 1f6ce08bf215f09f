"""Genotypes of PLINK 1 and 2 files by region, with phase and all alleles where a .pgen has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from varfx.genotypes.plink1 import BedFile
from varfx.genotypes.plink2 import PgenFile
from varfx.genotypes.records import MISSING, Record

CHUNK_GENOTYPES = 1 << 24  # genotypes held at once while reading


class PlinkDonors:
    """A PLINK 1 or 2 file set as a `DonorFile`. Dosages without a hard call are rounded to a whole number of copies.

    A1 and A2 of a .bed (and of a .pgen with a .bim) do not say which is the reference's allele: such records are not
    `oriented`, and A2 stands as REF.
    """

    path: Path
    people: tuple[str, ...]
    chroms: tuple[str, ...]
    lengths: dict[str, int]

    def __init__(self, file: BedFile | PgenFile) -> None:
        """Takes an opened file set; people go by their IID."""
        self._file = file
        self.path, self.people = file.path, tuple(file.people["iid"].to_list())
        self.lengths = {}
        self._oriented = isinstance(file, PgenFile) and file.oriented
        self._index: dict[str, tuple[ndarray, ndarray, int]] = {}
        for (name,), rows in file.sites.with_row_index("row").group_by("chrom", maintain_order=True):
            position, order = rows["position"].to_numpy(), rows["row"].to_numpy().astype(np.int64)
            sort = np.argsort(position, kind="stable")
            longest = int(rows["other_allele"].str.len_bytes().max() or 1)  # type: ignore[arg-type]
            self._index[str(name)] = position[sort], order[sort], longest
        self.chroms = tuple(self._index)

    def records(self, chrom: str, start: int, end: int) -> Iterator[Record]:
        """See `DonorFile.records`."""
        positions, order, longest = self._index[chrom]
        first, last = np.searchsorted(positions, [start + 1 - longest + 1, end + 1])
        step = max(1, CHUNK_GENOTYPES // max(1, len(self.people)))
        for begin in range(int(first), int(last), step):
            rows = order[begin : min(begin + step, int(last))]
            alleles, phased = self._alleles(rows)
            sites = self._file.sites[rows]
            for k, (_, position, name, alt, ref) in enumerate(sites.iter_rows()):
                if position + len(ref) - 1 > start:
                    alts = tuple(alt.split(","))
                    yield Record(position, name, ref, alts, alleles[k], phased[k], self._oriented)

    def _alleles(
        self, rows: Int[ndarray, " variant"]
    ) -> tuple[Int[ndarray, "variant person 2"], Bool[ndarray, "variant person"]]:
        """Two allele numbers per variant and person, and where they are phased."""
        everyone = np.arange(len(self.people))
        if isinstance(self._file, BedFile):
            return _of_counts(self._file.read(rows, everyone)), np.zeros((rows.size, everyone.size), dtype=bool)
        alleles, phased = self._file.read_alleles(rows)
        biallelic = ~self._file.sites["effect_allele"][rows].str.contains(",", literal=True).to_numpy()
        uncalled = (alleles[:, :, 0] < 0) & biallelic[:, None]
        if uncalled.any():
            # A dosage may be known where no hard call is; read all again, as this is rare.
            counts = np.rint(self._file.read(rows, everyone)).astype(np.int8)
            alleles = np.where((uncalled & (counts >= 0))[:, :, None], _of_counts(counts), alleles)
        return alleles, phased

    def __reduce__(self) -> tuple[Any, ...]:
        return PlinkDonors, (self._file,)


def _of_counts(counts: Int[ndarray, "variant person"]) -> Int[ndarray, "variant person 2"]:
    """Alleles of counts of A1 (allele 1), in no meaningful order."""
    alleles = np.stack([counts > 1, counts > 0], axis=2).astype(np.int16)
    alleles[counts < 0] = MISSING
    return alleles
