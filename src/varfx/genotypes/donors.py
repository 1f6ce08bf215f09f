"""`Donors`: single-nucleotide genotypes of individuals by region, whichever file they come from.

Formats (`VcfFile`, `PlinkDonors`) only say what their records are; the rules that must be the same for all (multi-nucleotide
variants, missing and haploid calls, duplicates, agreement with the reference genome) are those of `snvs`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Int, Int8
from numpy import ndarray

from varfx.errors import ConfigError, DataError, FormatError
from varfx.genome.builds import LENGTHS, NUCLEAR, builds_of
from varfx.genome.chromosomes import chrom_names
from varfx.genome.fasta import Fasta
from varfx.genotypes.config import FILTERS, Filters, Mismatch
from varfx.genotypes.plink1 import BedFile
from varfx.genotypes.plink2 import PgenFile
from varfx.genotypes.plink_sets import plink_file
from varfx.genotypes.records import MISSING, DonorFile, Record
from varfx.genotypes.snvs import ON_MISMATCH, SnvTable
from varfx.genotypes.vcf import VcfFile
from varfx.short_repr import short_repr

ACCEPTED = "X.vcf.gz, X.bcf, X.bed or X.pgen"
MAX_MISMATCHES = 0.05  # of the records checked; about half mismatch in a wrong build, fewer than 0.001 in a good file
ENOUGH = 20  # checked records in one region before their share of mismatches means anything
PROBED_CALLS, PROBED_RECORDS = 1000, 5000  # heterozygous genotypes and records that show whether a chromosome is phased
MAX_UNPHASED = 0.01  # of the heterozygous genotypes of a region of phased genotypes
WHOLE = 1 << 29  # beyond the end of any chromosome
CHUNK_GENOTYPES = 1 << 24  # genotypes of a PLINK file held at once while reading
Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True, kw_only=True, eq=False)
class DonorVariants:
    """Single-nucleotide variants of a region and everybody's genotypes, in genome order."""

    __repr__ = short_repr

    variants: pl.DataFrame  # chrom, position (1-based), variant_id, effect_allele (ALT), other_allele (REF)
    dosages: Int8[ndarray, "variant individual"]  # of ALT: 0, 1, 2; -1 missing
    haplotypes: (
        Int8[ndarray, "variant individual 2"] | None
    )  # 0, 1; -1 missing; None where the chromosome is not phased
    ledger: dict[str, int]  # what was read, changed and left out; the keys are `varfx.genotypes.snvs.STEPS`, always all
    heterozygous: int = 0  # genotypes in the records that were kept

    @property
    def phase_is_lost(self) -> bool:
        """True if more heterozygous genotypes are unphased than a phased file has."""
        return self.ledger["unphased calls"] > MAX_UNPHASED * self.heterozygous


class Donors:
    """Individuals' genotypes in one or several files of the same individuals; open them with `open_donors`.

    Attributes:
        people: names, in the order of all arrays.
        chroms: the chromosomes with variants, by our names ("22"), in file order.
        contigs: the files' own names of them ("chr22", "NC_000022.11").
    """

    people: tuple[str, ...]
    chroms: tuple[str, ...]
    contigs: tuple[str, ...]

    def __init__(self, files: Sequence[DonorFile], people: Sequence[str] | None = None) -> None:
        """See `open_donors`."""
        self._files = tuple(files)
        self.name = str(files[0].path) + (f" and {len(files) - 1} more" if len(files) > 1 else "")
        self.people = tuple(files[0].people if people is None else people)
        self._places = [_places(file, files[0], self.people) for file in files]
        self.chroms = tuple(dict.fromkeys(chrom for file in files for chrom in file.chroms))
        self.contigs = tuple(dict.fromkeys(contig for file in files for contig in file.contigs))
        self._phased: dict[tuple[int, str], bool] = {}
        self._read = [0] * len(files)  # records with an ALT, and of these those without genotypes, per file
        self._empty = [0] * len(files)

    @property
    def phased(self) -> bool:
        """True if genotypes are phased on every chromosome, judged by the first heterozygous ones."""
        return not self.unphased(self.chroms)

    def unphased(self, chroms: Iterable[str]) -> list[tuple[Path, str]]:
        """The files and chromosomes, of those given, whose first heterozygous genotypes are not all phased."""
        return [
            (file.path, chrom)
            for chrom in chroms
            for number, file in enumerate(self._files)
            if chrom in file.chroms and not self._is_phased(number, chrom)
        ]

    def read(
        self,
        chrom: str,
        start: int,
        end: int,
        *,
        reference: Fasta | None = None,
        on_mismatch: Mismatch = "fail",
        indels: bool = False,
        filters: Filters = "all",
    ) -> DonorVariants:
        """The single-nucleotide variants of [start, end), 0-based, and everybody's genotypes.

        Args:
            chrom: with or without "chr".
            start: 0-based.
            end: not beyond the chromosome's end.
            reference: the genome that REF is compared with, and that says which of a .bed's alleles is REF; None
                takes the file's word, and A2 of a .bed as REF.
            on_mismatch: what happens where REF is not the reference's base: an error, exchange REF and ALT where ALT
                is that base (and leave out the others), or leave the variant out. Strands are never guessed.
            indels: insertions and deletions have rows too; by default they are counted and left out.
            filters: all records, or only those whose FILTER is PASS (or not given).

        Raises:
            ConfigError: an unknown `on_mismatch` or `filters`.
            DataError: no variants of this chromosome, a region beyond its end, a mismatch with on_mismatch="fail", or
                more mismatches than the right genome build could have.
            FormatError: a file is damaged, or has genotypes of more than two alleles.
        """
        for word, value, choices in (("on_mismatch", on_mismatch, ON_MISMATCH), ("filters", filters, FILTERS)):
            if value not in choices:
                raise ConfigError(f"`{word}` must be one of {', '.join(choices)}, but is {value!r}.")
        (name,) = chrom_names([chrom])
        if name not in self.chroms:
            known = ", ".join(self.chroms[:5]) + (", ..." if len(self.chroms) > 5 else "")
            raise DataError(
                f"`{self.name}` has no variants of chromosome {name}; it has {known}. Give its file too, or leave out "
                "the genes on it."
            )
        table = SnvTable(
            name,
            start,
            end,
            len(self.people),
            reference=reference,
            on_mismatch=on_mismatch,
            indels=indels,
            filters=filters,
        )
        for number in range(len(self._files)):
            for record in self._records(number, name, start, end):
                table.add(record)
        phased = not self.unphased([name])
        table.combine(phased)
        if reference is not None:
            self.check(table.ledger, reference, first=table.first_mismatch, least=ENOUGH)
            if on_mismatch == "fail":
                _refuse_mismatches(self.name, table, reference)
        return DonorVariants(
            variants=table.variants(),
            dosages=table.dosages(),
            haplotypes=table.haplotypes() if phased else None,
            ledger=table.ledger,
            heterozygous=table.heterozygous,
        )

    def check(self, ledger: Mapping[str, int], reference: Fasta, *, first: str = "", least: int = 1) -> None:
        """Checks that no more records disagree with the reference than the right build could explain.

        Args:
            ledger: of one region, or the sum of several.
            reference: what they were compared with.
            first: the first mismatch in words, for the message.
            least: how many records must have been checked for their share to mean anything.

        Raises:
            DataError: REF and ALT both differ from the reference in more than `MAX_MISMATCHES` of the records; the
                message names the likely build.
        """
        checked, mismatches = ledger["checked"], ledger["mismatches"]
        if checked < least or mismatches <= MAX_MISMATCHES * checked:
            return
        lengths = {chrom: size for file in self._files for chrom, size in file.lengths.items() if chrom in NUCLEAR}
        raise DataError(
            f"`{self.name}`: neither REF nor ALT is the base of `{reference.path}` in {mismatches} of {checked} variants"
            f"{f', first {first}' if first else ''}. {_likely_build(lengths, reference)}"
        )

    def check_genotypes(self) -> None:
        """Checks that of each file some record read so far has genotypes.

        Raises:
            FormatError: all records of a file have neither GT nor a dosage.
        """
        for file, read, empty in zip(self._files, self._read, self._empty, strict=True):
            if read and empty == read:
                raise FormatError(
                    f"`{file.path}`: none of the {read} records read has genotypes (GT) or dosages (DS, GP). Give a file "
                    "with one of these FORMAT fields."
                )

    def _records(self, number: int, chrom: str, start: int, end: int) -> Iterator[Record]:
        """Records of one file with the genotypes of `people`."""
        file, places = self._files[number], self._places[number]
        for record in file.records(chrom, start, end) if chrom in file.chroms else ():
            self._read[number] += 1
            self._empty[number] += not record.alleles.shape[1]
            if places is not None:
                sets = None if record.phase_set is None else record.phase_set[places]
                record = replace(record, alleles=record.alleles[places], phased=record.phased[places], phase_set=sets)
            yield record

    def _is_phased(self, number: int, chrom: str) -> bool:
        """True if all of the first heterozygous genotypes are phased; without any, order says nothing and is known."""
        if (number, chrom) not in self._phased:
            self._phased[number, chrom] = _begins_phased(self._files[number].records(chrom, 0, WHOLE))
        return self._phased[number, chrom]


class PlinkDonors:
    """A PLINK 1 or 2 file set as a `DonorFile`. Dosages without a hard call are rounded to a whole number of copies.

    A1 and A2 of a .bed (and of a .pgen with a .bim) do not say which is the reference's allele: such records are not
    `oriented`, and A2 stands as REF.
    """

    path: Path
    people: tuple[str, ...]
    chroms: tuple[str, ...]
    contigs: tuple[str, ...]
    lengths: dict[str, int]

    def __init__(self, file: BedFile | PgenFile) -> None:
        """Takes an opened file set; individuals go by their IID."""
        self._file = file
        self.path, self.people = file.path, tuple(file.people["iid"].to_list())
        self.lengths = {}
        self._oriented = isinstance(file, PgenFile) and file.oriented
        self._passed = file.passed
        self._index: dict[str, tuple[ndarray, ndarray, int]] = {}
        for (name,), rows in file.sites.with_row_index("row").group_by("chrom", maintain_order=True):
            position, order = rows["position"].to_numpy(), rows["row"].to_numpy().astype(np.int64)
            sort = np.argsort(position, kind="stable")
            longest = int(rows["other_allele"].str.len_bytes().max() or 1)  # type: ignore[arg-type]
            self._index[str(name)] = position[sort], order[sort], longest
        self.chroms = self.contigs = tuple(self._index)

    def records(self, chrom: str, start: int, end: int) -> Iterator[Record]:
        """See `DonorFile.records`."""
        positions, order, longest = self._index[chrom]
        first, last = np.searchsorted(positions, [start + 1 - longest + 1, end + 1])
        step = max(1, CHUNK_GENOTYPES // max(1, len(self.people)))
        for begin in range(int(first), int(last), step):
            rows = order[begin : min(begin + step, int(last))]
            alleles, phased, rounded = self._alleles(rows)
            sites = self._file.sites[rows]
            for k, (_, position, name, alt, ref) in enumerate(sites.iter_rows()):
                if position + len(ref) - 1 > start:
                    alts = tuple(alt.split(","))
                    yield Record(
                        position,
                        name,
                        ref,
                        alts,
                        alleles[k],
                        phased[k],
                        self._oriented,
                        passed=self._passed is None or bool(self._passed[rows[k]]),
                        rounded=int(rounded[k]),
                    )

    def _alleles(
        self, rows: Int[ndarray, " variant"]
    ) -> tuple[Int[ndarray, "variant individual 2"], Bool[ndarray, "variant individual"], Int[ndarray, " variant"]]:
        """Two allele numbers per variant and individual, where they are phased, and how many are rounded dosages."""
        everyone = np.arange(len(self.people))
        none = np.zeros(rows.size, dtype=np.int64)
        if isinstance(self._file, BedFile):
            return _of_counts(self._file.read(rows, everyone)), np.zeros((rows.size, everyone.size), dtype=bool), none
        alleles, phased = self._file.read_alleles(rows)
        biallelic = ~self._file.sites["effect_allele"][rows].str.contains(",", literal=True).to_numpy()
        uncalled = (alleles[:, :, 0] < 0) & biallelic[:, None]
        if not uncalled.any():
            return alleles, phased, none
        # A dosage may be known where no hard call is; read all again, as this is rare.
        counts = np.rint(self._file.read(rows, everyone)).astype(np.int8)
        rounded = uncalled & (counts >= 0)
        alleles = np.where(rounded[:, :, None], _of_counts(counts), alleles)
        return alleles, phased, rounded.sum(axis=1)

    def __reduce__(self) -> tuple[Any, ...]:
        return PlinkDonors, (self._file,)


def open_donors(paths: Paths, people: Sequence[str] | None = None) -> Donors:
    """The individuals' genotypes in X.vcf.gz, X.bcf, X.bed or X.pgen, or in several such files, e.g. one per chromosome.

    Args:
        paths: the file or files, of the same individuals in any order.
        people: names of those to read, in the order wanted; by default all, in the order of the first file.

    Raises:
        ConfigError: no path, or a kind of file that is not known.
        FormatError: a file is missing, damaged, truncated or has no index, or the files hold different individuals.
        DataError: someone in `people` is in no file, or is named twice.
    """
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    if not paths:
        raise ConfigError(f"no genotypes are given. Give {ACCEPTED}.")
    return Donors([_open(os.fspath(path)) for path in paths], people)


def _open(path: str) -> DonorFile:
    if path.endswith((".vcf.gz", ".vcf.bgz", ".bcf")):
        return VcfFile(path)
    return PlinkDonors(plink_file(path, ACCEPTED))


def _places(file: DonorFile, first: DonorFile, people: tuple[str, ...]) -> Int[ndarray, " individual"] | None:
    """Rows of the wanted individuals in a file; None for all, in its order."""
    place = {name: row for row, name in enumerate(file.people)}
    if len(place) < len(file.people):
        repeated = next(name for row, name in enumerate(file.people) if place[name] != row)
        raise FormatError(
            f"`{file.path}`: {len(file.people) - len(place)} of {len(file.people)} individuals have the name of another, first "
            f"{repeated!r}. Make the names unique."
        )
    if file is not first and set(file.people) != set(first.people):
        different = sorted(set(file.people) ^ set(first.people))
        raise FormatError(
            f"`{file.path}` and `{first.path}` hold different individuals: {len(different)} are in one only, first "
            f"{different[0]!r}. Give files of the same individuals."
        )
    unknown = [name for name in people if name not in place]
    if unknown or len(set(people)) < len(people):
        what = f"{len(unknown)} of {len(people)} individuals are not in it, first {unknown[0]!r}" if unknown else ""
        raise DataError(f"`{file.path}`: {what or 'an individual is wanted twice'}. Check the list of individuals.")
    return None if people == file.people else np.array([place[name] for name in people], dtype=np.int64)


def _begins_phased(records: Iterator[Record]) -> bool:
    read = heterozygous = 0
    for record in records:
        read += 1
        if record.alleles.shape[1] > 1:
            two = record.alleles[:, :2]
            is_heterozygous = (two >= 0).all(axis=1) & (two[:, 0] != two[:, 1])
            if (is_heterozygous & ~record.phased).any():
                return False
            heterozygous += int(is_heterozygous.sum())
        if heterozygous >= PROBED_CALLS or read >= PROBED_RECORDS:
            break
    return read > 0


def _of_counts(counts: Int[ndarray, "variant individual"]) -> Int[ndarray, "variant individual 2"]:
    """Alleles of counts of A1 (allele 1), in no meaningful order."""
    alleles = np.stack([counts > 1, counts > 0], axis=2).astype(np.int16)
    alleles[counts < 0] = MISSING
    return alleles


def _refuse_mismatches(name: str, table: SnvTable, reference: Fasta) -> None:
    exchanged, mismatches = table.ledger["exchanged"], table.ledger["mismatches"]
    if not exchanged + mismatches:
        return
    hint = f" ALT is that base in {exchanged} of them: --on-mismatch flip exchanges the two." if exchanged else ""
    raise DataError(
        f"`{name}`: REF is not the base of `{reference.path}` in {exchanged + mismatches} of "
        f"{table.ledger['checked']} variants, first {table.first_mismatch}.{hint} --on-mismatch drop leaves them out."
    )


def _likely_build(lengths: Mapping[str, int], reference: Fasta) -> str:
    """Probable cause and remedy."""
    theirs, ours = builds_of(lengths) if lengths else (), reference.builds
    if len(theirs) == 1 and theirs != ours:
        of = f"that is {ours[0]}" if len(ours) == 1 else "whose lengths are of neither hg19 nor hg38"
        return f"Its header has the lengths of {theirs[0]}: give the reference genome of {theirs[0]}, not one {of}."
    if len(theirs) != 1 and len(ours) == 1:
        other = next(build for build in LENGTHS if build != ours[0])
        return (
            f"The reference is {ours[0]}, so the genotypes are probably {other}: give the reference genome of {other}."
        )
    if len(theirs) == 1:
        return f"Both have the lengths of {ours[0]}: check how the genotypes were made (lifted over, or other strand)."
    return "They are probably of another build (hg19, hg38) than the reference: give the genome they were called on."
