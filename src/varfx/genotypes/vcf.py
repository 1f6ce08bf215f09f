"""Genotypes of a VCF (bgzip) or BCF file by region, read with cyvcf2.

Genotypes are those of the GT field. Where it is absent or missing, the dosage (DS, or the expectation of GP) is rounded to
whole copies; where both are there, GT counts.
"""

from __future__ import annotations

import os
import warnings
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from varfx.errors import FormatError
from varfx.genome.chromosomes import chrom_names
from varfx.genome.htslib import silent_pysam
from varfx.genotypes.bcf_header import check_bcf_header
from varfx.genotypes.index import check_index, index_contigs
from varfx.genotypes.records import ABSENT, MISSING, Record
from varfx.genotypes.vcf_dosages import alleles_of, copies_of
from varfx.io.stream import check_bgzf, stream_bytes

INDICES = (".tbi", ".csi")
_WHOLE = 1 << 29  # beyond the end of any chromosome
_LONGEST_HEADER = 64 << 20  # bytes


class VcfFile:
    """A VCF or BCF with its index beside it; a `DonorFile`."""

    path: Path
    people: tuple[str, ...]
    chroms: tuple[str, ...]
    contigs: tuple[str, ...]
    lengths: dict[str, int]
    _reader: Any  # a second reader, which notices damage

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Reads the header and checks that the file is whole.

        Raises:
            FormatError: no such file, not bgzip, truncated, no index or one of another version of the file, no individuals,
                names that repeat, or no VCF.
        """
        self.path = Path(path)
        check_bgzf(self.path, "VCF")
        indices = [ending for ending in INDICES if os.path.isfile(f"{self.path}{ending}")]
        if not indices:
            command = "bcftools index" if self.path.suffix == ".bcf" else "tabix -p vcf"
            raise FormatError(
                f"`{self.path}` has no index (.tbi or .csi) beside it, so that no region can be read. Make one with "
                f"`{command} {self.path.name}`."
            )
        if self.path.suffix == ".bcf":
            check_bcf_header(self.path)
        for index in indices:  # htslib may use either, reads one on opening, and does not survive every damage
            index_contigs(self.path, index)
        self._open()
        self.people = self._people()
        if not self.people:
            raise FormatError(f"`{self.path}` holds no individuals, only sites. Give the file with genotypes.")
        for index in indices:
            check_index(self.path, index)
        contigs = self._contigs(indices[0])
        self.contigs = tuple(contigs)
        self._contigs_of: dict[str, list[str]] = {}
        for name, contig in zip(chrom_names(contigs), contigs, strict=True):
            self._contigs_of.setdefault(name, []).append(contig)
        self.chroms = tuple(self._contigs_of)
        self.lengths = self._header_lengths()

    def records(self, chrom: str, start: int, end: int) -> Iterator[Record]:
        """See `DonorFile.records`; a record with neither GT nor a dosage has no alleles (ploidy 0)."""
        for contig in self._contigs_of[chrom]:
            last = start
            for variant in self._variants(f"{contig}:{start + 1}-{end}"):
                last = max(last, variant.POS)
                yield self._record(variant)
            self._check_end(contig, last, end)

    def sites(
        self, chrom: str, positions: Collection[int], names: Collection[str]
    ) -> Iterator[tuple[int, str | None, str, str]]:
        """Position, name, ALT (several with commas) and REF of the records at some positions or with some names."""
        for contig in self._contigs_of[chrom]:
            last = 0
            for variant in self._variants(contig):
                last = max(last, variant.POS)
                if variant.POS in positions or variant.ID in names:
                    yield variant.POS, variant.ID, ",".join(variant.ALT).upper(), variant.REF.upper()
            self._check_end(contig, last, _WHOLE)

    def dosages(
        self, chrom: str, start: int, end: int, *, at: Collection[int]
    ) -> Iterator[tuple[int, str, tuple[str, ...], Float64[ndarray, "individual alt"]]]:
        """Position, REF, ALTs and expected copies of each ALT of the records at some positions of [start, end), 0-based.

        DS or GP count where they are known, else GT; haploid calls count as two copies. NaN where all are missing.

        Raises:
            FormatError: the file is damaged, or has genotypes of more than two alleles.
        """
        for contig in self._contigs_of[chrom]:
            last = start
            for variant in self._variants(f"{contig}:{start + 1}-{end}"):
                last = max(last, variant.POS)
                if variant.POS in at and variant.ALT:
                    record = self._record(variant)
                    called = _called_copies(
                        record.alleles, len(record.alts), len(self.people), f"{chrom}:{variant.POS}"
                    )
                    dosed = copies_of(variant, len(record.alts), self.path)
                    copies = called if dosed is None else np.where(np.isnan(dosed), called, dosed)
                    yield record.position, record.ref, record.alts, np.clip(copies, 0.0, 2.0)
            self._check_end(contig, last, end)

    def _record(self, variant: Any) -> Record:
        try:
            calls = variant.genotype.array()
        except Exception as error:
            if "couldn't get genotypes" not in str(error):
                raise self._damaged() from error
            calls = np.zeros((len(self.people), 1), dtype=np.int16)
        try:
            name, ref, alts = variant.ID, variant.REF.upper(), tuple(alt.upper() for alt in variant.ALT)
        except UnicodeDecodeError as error:
            raise self._damaged() from error
        alleles, phased = calls[:, :-1], calls[:, -1].astype(bool)
        rounded = np.zeros(len(self.people), dtype=bool)
        uncalled = (alleles < 0).all(axis=1)  # true for everyone if there is no GT
        copies = copies_of(variant, len(alts), self.path) if alts and uncalled.any() else None
        if copies is not None:
            dosed = alleles_of(copies)
            rounded = uncalled & (dosed[:, 0] >= 0)
            called = _diploid(alleles)
            called[rounded, :2] = dosed[rounded]
            alleles = called
            phased = phased & ~rounded
        return Record(
            variant.POS,
            name,
            ref,
            alts,
            alleles,
            phased,
            passed=variant.FILTER is None,
            phase_set=_phase_sets(variant) if "PS" in self._file else None,
            rounded=int(rounded.sum()),
        )

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
        with silent_pysam() as pysam:
            try:
                found = list(self._reader.fetch(contig, last, end))
            except (OSError, ValueError, NotImplementedError) as error:  # a method of compression that bgzip has not
                raise self._damaged() from error
            binary = isinstance(self._reader, pysam.VariantFile)
        positions = [record.pos if binary else _position(record) for record in found]
        if any(position > last for position in positions):
            raise self._damaged()

    def _open(self) -> None:
        import cyvcf2

        try:
            self._file = cyvcf2.VCF(os.fspath(self.path))
        except Exception as error:
            repeated = _repeated_names(self.path)
            if repeated:
                raise FormatError(
                    f"`{self.path}`: {len(repeated)} names of individuals stand there twice, first {repeated[0]!r}. Make "
                    "the names unique, e.g. with `bcftools reheader -s`."
                ) from error
            raise FormatError(
                f"`{self.path}` cannot be read as VCF or BCF with individuals' genotypes. Check its header."
            ) from error

    def _people(self) -> tuple[str, ...]:
        try:
            return tuple(self._file.samples)
        except UnicodeDecodeError as error:
            raise FormatError(
                f"`{self.path}`: a name of an individual is no UTF-8 text. Rename it with `bcftools reheader -s`."
            ) from error

    def _damaged(self) -> FormatError:
        return FormatError(f"`{self.path}` is damaged: a record cannot be read. Fetch it again and index it anew.")

    def _contigs(self, index: str) -> list[str]:
        """The contigs with records; of a BCF those in its header."""
        try:
            with silent_pysam() as pysam:
                if self.path.suffix == ".bcf":
                    self._reader = pysam.VariantFile(os.fspath(self.path))
                    return list(self._file.seqnames)
                self._reader = pysam.TabixFile(os.fspath(self.path), index=f"{self.path}{index}")
                return list(self._reader.contigs)
        except (OSError, ValueError) as error:
            raise FormatError(f"`{self.path}{index}` cannot be read. Make the index anew.") from error

    def _header_lengths(self) -> dict[str, int]:
        try:
            contigs, sizes = self._file.seqnames, self._file.seqlens
        except AttributeError:  # a header without lengths
            return {}
        names = chrom_names(contigs)
        return {name: int(size) for name, size in zip(names, np.asarray(sizes), strict=False) if 0 < size < 2**31 - 1}

    def __reduce__(self) -> tuple[Any, ...]:
        return VcfFile, (self.path,)


def _phase_sets(variant: Any) -> Int64[ndarray, " individual"] | None:
    """The phase set (PS) of each individual, 0 where none is named; None without that field."""
    try:
        values = variant.format("PS")
    except KeyError:
        return None
    if values is None:
        return None
    if values.dtype.kind not in "iu":  # text, as 10x Genomics once wrote it
        names = ("" if name in (None, ".") else str(name) for name in np.asarray(values).ravel())
        return np.array([zlib.crc32(name.encode()) for name in names], dtype=np.int64)
    return np.asarray(values[:, 0], dtype=np.int64).clip(min=0)


def _called_copies(alleles: ndarray, num_alts: int, people: int, place: str) -> Float64[ndarray, "individual alt"]:
    """Copies of each ALT by the calls; NaN where an allele is missing."""
    if not alleles.shape[1]:
        return np.full((people, num_alts), np.nan)
    if (alleles[:, 2:] >= 0).any():
        raise FormatError(f"{place}: genotypes have more than two alleles. varfx reads haploid and diploid calls.")
    two = alleles[:, :2]
    missing = (two == MISSING).any(axis=1) | (two[:, 0] < 0)
    ploidy = np.maximum((two >= 0).sum(axis=1), 1)
    copies = np.stack([(two == k).sum(axis=1) * 2.0 / ploidy for k in range(1, num_alts + 1)], axis=1)
    copies[missing] = np.nan
    return np.asarray(copies)


def _diploid(alleles: ndarray) -> ndarray:
    """Alleles of at least two columns: ABSENT as the second allele of records that are haploid throughout."""
    width = max(2, alleles.shape[1])
    padded = np.full((alleles.shape[0], width), ABSENT, dtype=np.int16)
    padded[:, : alleles.shape[1]] = alleles
    return padded


def _repeated_names(path: Path) -> list[str]:
    """Names of individuals that stand twice in the header, of VCF or BCF."""
    text = b""
    for piece in stream_bytes(path):
        text += piece
        start = 0 if text.startswith(b"#CHROM\t") else text.find(b"\n#CHROM\t") + 1
        end = text.find(b"\n", start)
        if end > 0 and text.startswith(b"#CHROM\t", start):
            names = text[start:end].decode("utf-8", errors="replace").rstrip("\r").split("\t")[9:]
            return list(dict.fromkeys(name for name, count in Counter(names).items() if count > 1))
        if len(text) > _LONGEST_HEADER:
            break
    return []


def _position(line: str) -> int:
    return int(line.split("\t", 2)[1])
