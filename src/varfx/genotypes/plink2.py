"""PLINK 2 genotypes: `PREFIX.pgen`, `PREFIX.pvar` or `.pvar.zst` (variants) and `PREFIX.psam` (individuals).

The counted allele, `effect_allele`, is ALT. Dosages are used where the file has them. A .pgen with a .bim and .fam
beside it is read too: the .bim's column 5 is then ALT.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from jaxtyping import Bool, Float32, Int, Int32, UInt32
from numpy import ndarray

from varfx.errors import FormatError
from varfx.genome.builds import build_of_contigs
from varfx.genotypes.plink1 import first_bytes, read_bim, read_fam, sites_of
from varfx.io.text_lines import numbered_lines
from varfx.io.text_table import open_table, read_with_header

if TYPE_CHECKING:
    import pgenlib

_PLINK1_MODE = 1
FILTER = "FILTER"
_EXTERNAL_INDEX_MODES = (0x20, 0x21)


class PgenFile:
    """A PLINK 2 file set; a `GenotypeFile`. Nothing is kept open, so that it can be pickled."""

    path: Path
    people: pl.DataFrame
    sites: pl.DataFrame
    build: str | None  # by the contigs of the .pvar
    passed: Bool[ndarray, " variant"] | None  # FILTER is PASS or not given; None without that column
    oriented: bool  # False with a .bim, or a .pvar without header: REF is then just the other allele

    def __init__(self, prefix: str | os.PathLike[str]) -> None:
        """Reads the variants and individuals, and checks the header of the .pgen against them.

        Args:
            prefix: the path without ".pgen"; the other two files stand beside it.

        Raises:
            FormatError: one of the three is missing, empty, or damaged, or they do not agree.
        """
        self.path = Path(f"{prefix}.pgen")
        self.sites, self.passed, self.oriented = _read_sites(str(prefix))
        self.build = _build(str(prefix))
        self.people = _read_people(str(prefix))
        alleles = self.sites["effect_allele"].str.count_matches(",", literal=True).to_numpy().astype(np.uintp) + 2
        # pgenlib needs where each variant's alleles begin as soon as a variant has more than two.
        self._allele_offsets = (
            np.concatenate([np.zeros(1, np.uintp), np.cumsum(alleles)]) if (alleles > 2).any() else None
        )
        self._check()

    def read(
        self, rows: Int[ndarray, " variant"], people: Int[ndarray, " individual"]
    ) -> Float32[ndarray, "variant individual"]:
        """Dosages of ALT, negative where missing; see `GenotypeFile.read`."""
        # pgenlib takes a subset in increasing order only; the wanted order is restored afterwards.
        subset, order = np.unique(people, return_inverse=True)
        dosages = np.empty((rows.size, subset.size), dtype=np.float32)
        with self._reader(subset.astype(np.uint32)) as reader:
            reader.read_dosages_list(rows.astype(np.uint32), dosages)
        return dosages if np.array_equal(subset, people) else dosages[:, order]

    def read_alleles(
        self, rows: Int[ndarray, " variant"]
    ) -> tuple[Int32[ndarray, "variant individual 2"], Bool[ndarray, "variant individual"]]:
        """Everyone's two allele numbers (0 is REF; negative where missing), and where their order is known.

        Raises:
            FormatError: the file is truncated or damaged.
        """
        alleles = np.empty((rows.size, 2 * self.people.height), dtype=np.int32)
        phased = np.empty((rows.size, self.people.height), dtype=np.uint8)
        with self._reader(None) as reader:
            reader.read_alleles_and_phasepresent_list(rows.astype(np.uint32), alleles, phased)
        return alleles.reshape(rows.size, -1, 2), phased.astype(bool)

    @contextlib.contextmanager
    def _reader(self, subset: UInt32[ndarray, " individual"] | None) -> Iterator[pgenlib.PgenReader]:
        import pgenlib

        try:
            with pgenlib.PgenReader(
                os.fsencode(self.path),
                raw_sample_ct=self.people.height,
                variant_ct=self.sites.height,
                sample_subset=subset,
                allele_idx_offsets=self._allele_offsets,
            ) as reader:
                yield reader
        except RuntimeError as error:
            raise FormatError(
                f"`{self.path}` cannot be read ({_reason(error)}): it is truncated or damaged. Copy it again."
            ) from error

    def _check(self) -> None:
        head = first_bytes(self.path, 11, ".pgen", "plink2 --make-pgen")
        if head[2:3] == bytes([_PLINK1_MODE]):
            raise FormatError(f"`{self.path}` is a PLINK 1 .bed file inside: rename it to end in .bed.")
        if len(head) == 11 and head[2] in _EXTERNAL_INDEX_MODES:
            raise FormatError(f"`{self.path}` needs a .pgen.pgi index. Rewrite it with `plink2 --make-pgen`.")
        if len(head) < 11:
            raise FormatError(f"`{self.path}` is truncated: it has only {len(head)} bytes. Copy it again.")
        num_variants, num_people = struct.unpack("<II", head[3:11])
        if (num_variants, num_people) != (self.sites.height, self.people.height):
            raise FormatError(
                f"`{self.path}` holds {num_variants} variants of {num_people} individuals, but the files beside it list "
                f"{self.sites.height} variants and {self.people.height} individuals. Give files that belong together."
            )


def _reason(error: RuntimeError) -> str:
    text = error.args[0] if error.args else ""
    return " ".join((text.decode(errors="replace") if isinstance(text, bytes) else str(text)).split()).rstrip(".")


def _read_sites(prefix: str) -> tuple[pl.DataFrame, Bool[ndarray, " variant"] | None, bool]:
    """The variants, which of them passed their filters, and whether their `other_allele` is the reference's."""
    for path in (Path(f"{prefix}.pvar"), Path(f"{prefix}.pvar.zst")):
        if path.is_file():
            return *_sites_and_filter(path), _has_header(path)
    if Path(f"{prefix}.bim").is_file():
        return read_bim(Path(f"{prefix}.bim")), None, False
    raise FormatError(f"`{prefix}.pgen` has no variants beside it: `{prefix}.pvar` (or .pvar.zst, .bim) is missing.")


def _build(prefix: str) -> str | None:
    paths = [path for path in (Path(f"{prefix}.pvar"), Path(f"{prefix}.pvar.zst")) if path.is_file()]
    return build_of_contigs(open_table(paths[0]).preamble) if paths and _has_header(paths[0]) else None


def read_sites(path: Path) -> pl.DataFrame:
    """The variants of a .pvar file, as `GenotypeFile.sites`: a VCF-like header, or none and the columns of a .bim."""
    return _sites_and_filter(path)[0]


def _sites_and_filter(path: Path) -> tuple[pl.DataFrame, Bool[ndarray, " variant"] | None]:
    """The variants of a .pvar, and where their FILTER is PASS or not given; None without that column."""
    if not _has_header(path):
        return read_bim(path), None
    columns = {"CHROM": "chrom", "POS": "position", "ID": "variant_id", "REF": "other_allele", "ALT": "effect_allele"}
    table = read_with_header(path, list(columns), "variants", optional=[FILTER])
    passed = table[FILTER].fill_null(".").is_in(["PASS", "."]).to_numpy() if FILTER in table.columns else None
    return sites_of(table.rename(columns), path), passed


def _read_people(prefix: str) -> pl.DataFrame:
    path = Path(f"{prefix}.psam")
    if not path.is_file():
        if Path(f"{prefix}.fam").is_file():
            return read_fam(Path(f"{prefix}.fam"))
        raise FormatError(f"`{prefix}.pgen` has no individuals beside it: `{path}` (or .fam) is missing.")
    if not _has_header(path):
        return read_fam(path)
    if "FID" not in open_table(path).names:
        return read_with_header(path, ["IID"], "individuals").select(
            pl.lit("0").alias("fid"), pl.col("IID").alias("iid")
        )
    return read_with_header(path, ["FID", "IID"], "individuals").rename({"FID": "fid", "IID": "iid"})


def _has_header(path: Path) -> bool:
    """True if the first line that is neither blank nor a "##" comment begins with #."""
    lines = (line for _, line in numbered_lines(path) if line.strip() and not line.startswith(b"##"))
    return next(lines, b"#").startswith(b"#")
