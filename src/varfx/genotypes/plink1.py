"""PLINK 1 genotypes: `PREFIX.bed` (2 bits per genotype), `PREFIX.bim` (variants) and `PREFIX.fam` (individuals).

The .bed format: bytes 6c 1b 01, then ceil(individuals / 4) bytes per variant; from the lowest bits of each byte, 00 is
homozygous for A1 (column 5 of the .bim), 01 missing, 10 heterozygous, 11 homozygous for A2 (column 6). The counted
allele, `effect_allele`, is A1.
"""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
from jaxtyping import Int, Int8
from numpy import ndarray

from varfx.errors import FormatError
from varfx.genome.variants import chrom_expr
from varfx.io.text_numbers import whole_numbers
from varfx.io.text_table import read_headerless

_MAGIC = b"\x6c\x1b"
_VARIANT_MAJOR = 1
BIM_COLUMNS = ("chrom", "variant_id", "cm", "position", "effect_allele", "other_allele")


class BedFile:
    """A PLINK 1 file set; a `GenotypeFile`. Nothing is kept open, so that it can be pickled."""

    path: Path
    people: pl.DataFrame
    sites: pl.DataFrame
    passed: None = None  # there is no FILTER
    build: None = None  # nor a word on the genome build

    def __init__(self, prefix: str | os.PathLike[str]) -> None:
        """Reads the .bim and .fam, and checks the .bed against them.

        Args:
            prefix: the path without ".bed"; the .bim and .fam stand beside it.

        Raises:
            FormatError: one of the three is missing, empty, or damaged, or the .bed is not as long as they say.
        """
        self.path = Path(f"{prefix}.bed")
        self.sites = read_bim(Path(f"{prefix}.bim"))
        self.people = read_fam(Path(f"{prefix}.fam"))
        self._check()

    def read(
        self, rows: Int[ndarray, " variant"], people: Int[ndarray, " individual"]
    ) -> Int8[ndarray, "variant individual"]:
        """Counts of A1, negative where missing; see `GenotypeFile.read`."""
        from bed_reader import open_bed

        with open_bed(
            self.path, iid_count=self.people.height, sid_count=self.sites.height, count_A1=True, num_threads=1
        ) as bed:
            counts: ndarray = bed.read((people, rows), dtype="int8", order="F")
        return counts.T

    def _check(self) -> None:
        bytes_per_variant = -(-self.people.height // 4)
        expected = 3 + bytes_per_variant * self.sites.height
        try:
            size = self.path.stat().st_size
        except OSError as error:
            raise FormatError(f"`{self.path}` cannot be read: {error.strerror}. Check the path.") from error
        head = first_bytes(self.path, 3, ".bed", "plink --make-bed")
        if head[2:] != bytes([_VARIANT_MAJOR]):
            raise FormatError(
                f"`{self.path}` is not in variant-major order (third byte {head[2:].hex() or '(none)'}, not 01). "
                "Convert it with `plink --make-bed`."
            )
        if size != expected:
            raise FormatError(
                f"`{self.path}` has {size} bytes, but {self.sites.height} variants of {self.people.height} individuals make "
                f"{expected}. It is truncated, or its .bim or .fam belongs to another file."
            )


def first_bytes(path: Path, count: int, ending: str, made_by: str) -> bytes:
    """The beginning of a PLINK file of genotypes, 1 or 2; shorter where the file is.

    Raises:
        FormatError: it cannot be read, or does not begin as PLINK's files do.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(count)
    except OSError as error:
        raise FormatError(f"`{path}` cannot be read: {error.strerror}. Check the path.") from error
    if head[:2] != _MAGIC:
        raise FormatError(
            f"`{path}` is not a PLINK {ending} file: it begins with the bytes {head[:2].hex(' ') or '(none)'}, not 6c 1b. Make it with "
            f"`{made_by}`."
        )
    return head


def read_bim(path: Path) -> pl.DataFrame:
    """The variants of a .bim file (chromosome, ID, cM, position, A1, A2), as `GenotypeFile.sites`: A1 is counted.

    A .pvar without header has these columns too, where cM may be absent.

    Raises:
        FormatError: missing, empty, not five or six columns, or positions that are no whole numbers.
    """
    bim = read_headerless(path, BIM_COLUMNS, "variants", optional="cm")
    return sites_of(bim, path)


def sites_of(table: pl.DataFrame, path: Path) -> pl.DataFrame:
    """`GenotypeFile.sites` of text columns `chrom, position, variant_id, effect_allele, other_allele`."""
    return table.select(
        chrom_expr("chrom"),
        whole_numbers(table, "position", path).alias("position"),
        "variant_id",
        pl.col("effect_allele").str.to_uppercase(),
        pl.col("other_allele").str.to_uppercase(),
    )


def read_fam(path: Path) -> pl.DataFrame:
    """The individuals of a .fam file (FID, IID, father, mother, sex, phenotype): columns `fid, iid`.

    The phenotype may be absent.

    Raises:
        FormatError: missing, empty, or not five or six columns.
    """
    columns = ("fid", "iid", "father", "mother", "sex", "phenotype")
    fam = read_headerless(path, columns, "individuals", optional="phenotype")
    return fam.select("fid", "iid")
