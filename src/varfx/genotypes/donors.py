"""`Donors`: single-nucleotide genotypes of people by region, whichever file they come from.

Formats (`vcf`, `plink_donors`) only say what their records are; the rules that must be the same for all (multi-
nucleotide variants, missing and haploid calls, duplicates, agreement with the reference genome) are those of `snvs`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from jaxtyping import Int, Int8
from numpy import ndarray

from varfx.errors import ConfigError, DataError, FormatError
from varfx.genome.builds import LENGTHS, NUCLEAR, builds_of
from varfx.genome.chromosomes import chrom_names
from varfx.genome.fasta import Fasta
from varfx.genotypes.plink1 import BedFile
from varfx.genotypes.plink2 import PgenFile
from varfx.genotypes.plink_donors import PlinkDonors
from varfx.genotypes.records import DonorFile
from varfx.genotypes.snvs import ON_MISMATCH, Mismatch, SnvTable
from varfx.genotypes.vcf import VcfFile

ACCEPTED = "X.vcf.gz, X.bcf, X.bed or X.pgen"
MAX_MISMATCHES = 0.05  # of the records checked; about half mismatch in a wrong build, fewer than 0.001 in a good file
ENOUGH = 20  # checked records in one region before their share of mismatches means anything
PROBED_CALLS, PROBED_RECORDS = 1000, 5000  # heterozygous genotypes and records that show whether a file is phased
WHOLE = 1 << 29  # beyond the end of any chromosome
Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True, kw_only=True, eq=False)
class DonorVariants:
    """Single-nucleotide variants of a region and everybody's genotypes, in genome order."""

    variants: pl.DataFrame  # chrom, position (1-based), variant_id, effect_allele (ALT), other_allele (REF)
    dosages: Int8[ndarray, "variant person"]  # of ALT: 0, 1, 2; -1 missing
    haplotypes: Int8[ndarray, "variant person 2"] | None  # 0, 1; -1 missing; None where the file is not phased
    ledger: dict[str, int]  # what was read, changed and left out; the keys are `varfx.genotypes.snvs.STEPS`, always all


class Donors:
    """People's genotypes in one or several files of the same people; open them with `open_donors`.

    Attributes:
        people: names, in the order of all arrays.
        phased: whether the order of the two alleles is known, by the first heterozygous genotypes of the first file.
        chroms: the chromosomes with variants, by our names ("22"), in file order.
    """

    people: tuple[str, ...]
    phased: bool
    chroms: tuple[str, ...]

    def __init__(self, files: Sequence[DonorFile], people: Sequence[str] | None = None) -> None:
        """See `open_donors`."""
        self._files = tuple(files)
        self.name = str(files[0].path) + (f" and {len(files) - 1} more" if len(files) > 1 else "")
        self.people = tuple(files[0].people if people is None else people)
        self._places = [_places(file, files[0], self.people) for file in files]
        self.chroms = tuple(dict.fromkeys(chrom for file in files for chrom in file.chroms))
        self.phased = _is_phased(files[0])

    def read(
        self,
        chrom: str,
        start: int,
        end: int,
        *,
        reference: Fasta | None = None,
        on_mismatch: Mismatch = "fail",
        indels: bool = False,
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

        Raises:
            ConfigError: an unknown `on_mismatch`.
            DataError: no variants of this chromosome, a region beyond its end, a mismatch with on_mismatch="fail", or
                more mismatches than the right genome build could have.
            FormatError: a file is damaged, or has genotypes of more than two alleles.
        """
        if on_mismatch not in ON_MISMATCH:
            raise ConfigError(f"`on_mismatch` must be one of {', '.join(ON_MISMATCH)}, but is {on_mismatch!r}.")
        (name,) = chrom_names([chrom])
        if name not in self.chroms:
            known = ", ".join(self.chroms[:5]) + (", ..." if len(self.chroms) > 5 else "")
            raise DataError(
                f"`{self.name}` has no variants of chromosome {name}; it has {known}. Give its file too, or leave out "
                "the genes on it."
            )
        table = SnvTable(
            name, start, end, len(self.people), reference=reference, on_mismatch=on_mismatch, indels=indels
        )
        for file, places in zip(self._files, self._places, strict=True):
            for record in file.records(name, start, end) if name in file.chroms else ():
                if places is not None:
                    record = replace(record, alleles=record.alleles[places], phased=record.phased[places])
                table.add(record)
        table.combine(self.phased)
        if reference is not None:
            self.check(table.ledger, reference, first=table.first_mismatch, least=ENOUGH)
            if on_mismatch == "fail":
                _refuse_mismatches(self.name, table, reference)
        haplotypes = table.haplotypes() if self.phased else None
        return DonorVariants(
            variants=table.variants(), dosages=table.dosages(), haplotypes=haplotypes, ledger=table.ledger
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


def open_donors(paths: Paths, people: Sequence[str] | None = None) -> Donors:
    """The people's genotypes in X.vcf.gz, X.bcf, X.bed or X.pgen, or in several such files, e.g. one per chromosome.

    Args:
        paths: the file or files, of the same people in any order.
        people: names of those to read, in the order wanted; by default all, in the order of the first file.

    Raises:
        ConfigError: no path, or a kind of file that is not known.
        FormatError: a file is missing, damaged, truncated or has no index, or the files hold different people.
        DataError: someone in `people` is in no file, or is named twice.
    """
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    if not paths:
        raise ConfigError(f"no genotypes are given. Give {ACCEPTED}.")
    return Donors([_open(os.fspath(path)) for path in paths], people)


def _open(path: str) -> DonorFile:
    # Prefixes may hold dots (1000G.subset.22), so that endings are cut and added as text.
    if path.endswith((".vcf.gz", ".vcf.bgz", ".bcf")):
        return VcfFile(path)
    if path.endswith(".vcf"):
        raise FormatError(
            f"`{path}` is not compressed. Compress and index it: `bgzip {path}`, `tabix -p vcf {path}.gz`."
        )
    if path.endswith(".bed"):
        return PlinkDonors(BedFile(path.removesuffix(".bed")))
    if path.endswith(".pgen"):
        return PlinkDonors(PgenFile(path.removesuffix(".pgen")))
    found = [ending for ending in (".bed", ".pgen") if os.path.isfile(path + ending)]
    if len(found) == 1:
        return _open(path + found[0])
    raise ConfigError(f"`{path}` is no file of genotypes that varfx knows, or does not exist. Give {ACCEPTED}.")


def _places(file: DonorFile, first: DonorFile, people: tuple[str, ...]) -> Int[ndarray, " person"] | None:
    """Where the wanted people stand in a file; None if all do, in its order."""
    place = {name: row for row, name in enumerate(file.people)}
    if len(place) < len(file.people):
        raise FormatError(
            f"`{file.path}`: {len(file.people) - len(place)} of {len(file.people)} people have the name of another. "
            "Make the names unique."
        )
    if file is not first and set(file.people) != set(first.people):
        different = len(set(file.people) ^ set(first.people))
        raise FormatError(
            f"`{file.path}` and `{first.path}` hold different people: {different} are in one only. Give files of the "
            "same people."
        )
    unknown = [name for name in people if name not in place]
    if unknown or len(set(people)) < len(people):
        what = f"{len(unknown)} of {len(people)} people are not in it, first {unknown[0]!r}" if unknown else ""
        raise DataError(f"`{file.path}`: {what or 'a person is wanted twice'}. Check the list of people.")
    return None if people == file.people else np.array([place[name] for name in people], dtype=np.int64)


def _is_phased(file: DonorFile) -> bool:
    """True if all of the first heterozygous genotypes are phased; without any, order says nothing and is known."""
    read = heterozygous = 0
    for chrom in file.chroms:
        for record in file.records(chrom, 0, WHOLE):
            read += 1
            if record.alleles.shape[1] > 1:
                two = record.alleles[:, :2]
                is_heterozygous = (two >= 0).all(axis=1) & (two[:, 0] != two[:, 1])
                if (is_heterozygous & ~record.phased).any():
                    return False
                heterozygous += int(is_heterozygous.sum())
            if heterozygous >= PROBED_CALLS or read >= PROBED_RECORDS:
                return True
    return read > 0


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
    """What is probably wrong, and the remedy."""
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
