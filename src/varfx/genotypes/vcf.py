"""Genotypes of a VCF (bgzip) or BCF file by region, read with cyvcf2."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cyvcf2
import numpy as np
import pysam

from varfx.errors import FormatError
from varfx.genome.chromosomes import chrom_names
from varfx.genotypes.records import Record
from varfx.io.stream import check_bgzf

INDICES = (".tbi", ".csi")


class VcfFile:
    """A VCF or BCF with its index beside it; a `DonorFile`. Genotypes are those of the GT field."""

    path: Path
    people: tuple[str, ...]
    chroms: tuple[str, ...]
    lengths: dict[str, int]
    _reader: Any  # a second reader, which notices damage

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Reads the header and checks that the file is whole.

        Raises:
            FormatError: no such file, not bgzip, truncated, no index, no people, or no VCF.
        """
        self.path = Path(path)
        check_bgzf(self.path, "VCF")
        index = next((end for end in INDICES if os.path.isfile(f"{self.path}{end}")), None)
        if index is None:
            command = "bcftools index" if self.path.suffix == ".bcf" else "tabix -p vcf"
            raise FormatError(
                f"`{self.path}` has no index (.tbi or .csi) beside it, so that no region can be read. Make one with "
                f"`{command} {self.path.name}`."
            )
        self._open()
        self.people = tuple(self._file.samples)
        if not self.people:
            raise FormatError(f"`{self.path}` holds no people, only sites. Give the file with genotypes.")
        contigs = self._contigs(index)
        self._contigs_of: dict[str, list[str]] = {}
        for name, contig in zip(chrom_names(contigs), contigs, strict=True):
            self._contigs_of.setdefault(name, []).append(contig)
        self.chroms = tuple(self._contigs_of)
        self.lengths = self._header_lengths()

    def records(self, chrom: str, start: int, end: int) -> Iterator[Record]:
        """See `DonorFile.records`; a record without a GT field has no alleles (ploidy 0)."""
        for contig in self._contigs_of[chrom]:
            last = start
            for variant in self._variants(f"{contig}:{start + 1}-{end}"):
                last = max(last, variant.POS)
                try:
                    calls = variant.genotype.array()
                except Exception as error:
                    if "couldn't get genotypes" not in str(error):
                        raise self._damaged() from error
                    calls = np.zeros((len(self.people), 1), dtype=np.int16)
                alts = tuple(alt.upper() for alt in variant.ALT)
                phased = calls[:, -1].astype(bool)
                yield Record(variant.POS, variant.ID, variant.REF.upper(), alts, calls[:, :-1], phased)
            self._check_end(contig, last, end)

    def _variants(self, region: str) -> Iterator[Any]:
        found = self._file(region)
        while True:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # "no intervals found": an empty answer is one
                    variant = next(found, None)
            except Exception as error:
                raise self._damaged() from error
            if variant is None:
                return
            yield variant

    def _check_end(self, contig: str, last: int, end: int) -> None:
        """No record may begin between the last one read and the end: cyvcf2 ends silently where a block is damaged."""
        if last >= end:
            return
        before = pysam.set_verbosity(0)
        try:
            found = list(self._reader.fetch(contig, last, end))
        except (OSError, ValueError) as error:
            raise self._damaged() from error
        finally:
            pysam.set_verbosity(before)
        positions = [
            record.pos if isinstance(self._reader, pysam.VariantFile) else _position(record) for record in found
        ]
        if any(position > last for position in positions):
            raise self._damaged()

    def _open(self) -> None:
        try:
            self._file = cyvcf2.VCF(os.fspath(self.path))
        except Exception as error:
            raise FormatError(
                f"`{self.path}` cannot be read as VCF or BCF with people's genotypes. Check its header."
            ) from error

    def _damaged(self) -> FormatError:
        return FormatError(f"`{self.path}` is damaged: a record cannot be read. Fetch it again and index it anew.")

    def _contigs(self, index: str) -> list[str]:
        """The contigs with records; of a BCF those in its header."""
        before = pysam.set_verbosity(0)
        try:
            if self.path.suffix == ".bcf":
                self._reader = pysam.VariantFile(os.fspath(self.path))
                return list(self._file.seqnames)
            self._reader = pysam.TabixFile(os.fspath(self.path), index=f"{self.path}{index}")
            return list(self._reader.contigs)
        except (OSError, ValueError) as error:
            raise FormatError(f"`{self.path}{index}` cannot be read. Make the index anew.") from error
        finally:
            pysam.set_verbosity(before)

    def _header_lengths(self) -> dict[str, int]:
        try:
            contigs, sizes = self._file.seqnames, self._file.seqlens
        except AttributeError:  # a header without lengths
            return {}
        names = chrom_names(contigs)
        return {name: int(size) for name, size in zip(names, np.asarray(sizes), strict=False) if 0 < size < 2**31 - 1}

    def __reduce__(self) -> tuple[Any, ...]:
        return VcfFile, (self.path,)


def _position(line: str) -> int:
    return int(line.split("\t", 2)[1])
