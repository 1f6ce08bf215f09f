"""The reference genome: bases of a FASTA file (plain or bgzip) by chromosome and place, as small codes.

GRCh38 and hs37d5 hold a few ambiguity codes of IUPAC (R, Y, ...). `Fasta.codes` has them as unknown; `Fasta.resolved` as the
alphabetically first of their bases, which is what VCF 4.3 requires of REF; `Fasta.letters` as they are.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from varfx.errors import DataError, FormatError
from varfx.genome.builds import NUCLEAR, builds_of
from varfx.genome.chromosomes import chrom_names
from varfx.genome.fasta_index import check_index
from varfx.genome.htslib import silent_pysam
from varfx.io.stream import check_bgzf, is_gzip

BASES = "ACGT"  # the base of each code
UNKNOWN = 4  # the code of N and of every other letter
AMBIGUOUS: Mapping[str, str] = {  # the bases of each IUPAC code, alphabetically; N says nothing
    **{"M": "AC", "R": "AG", "W": "AT", "S": "CG", "Y": "CT", "K": "GT"},
    **{"V": "ACG", "H": "ACT", "D": "AGT", "B": "CGT"},
}
CODE_OF = np.full(256, UNKNOWN, dtype=np.uint8)  # of each byte; soft-masked (lower-case) bases count as the others
for _code, _base in enumerate(BASES):
    CODE_OF[ord(_base)] = CODE_OF[ord(_base.lower())] = _code
_RESOLVED = CODE_OF.copy()
for _letter, _bases in AMBIGUOUS.items():
    _RESOLVED[ord(_letter)] = _RESOLVED[ord(_letter.lower())] = BASES.index(_bases[0])


class Fasta:
    """An indexed FASTA file. Contigs go by our names of chromosomes ("22" for `22` and `chr22`), others by their own.

    Attributes:
        path: the file.
        lengths: the number of bases of each contig, by our names.
    """

    path: Path
    lengths: Mapping[str, int]

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Opens the file; an index that is missing is built beside it (once) where the folder can be written to.

        Raises:
            FormatError: no such file, no FASTA, gzip in place of bgzip, truncated, or an index that does not fit; or
                there is no index and none can be written.
        """
        self.path = Path(path)
        _check(self.path)
        import pysam

        try:
            self._file = pysam.FastaFile(os.fspath(self.path))
        except (OSError, ValueError) as error:
            raise FormatError(f"`{self.path}` cannot be read as FASTA. Check it and its .fai index.") from error
        contigs = self._file.references
        if not contigs:
            raise FormatError(f"`{self.path}` holds no sequences. Give a FASTA file of the reference genome.")
        self._contig: dict[str, str] = {}
        for name, contig in zip(chrom_names(contigs), contigs, strict=True):
            if self._contig.setdefault(name, contig) != contig and name in NUCLEAR:
                raise FormatError(
                    f"`{self.path}` has two sequences of chromosome {name} ({self._contig[name]} and {contig}). Leave one in it."
                )
        self.lengths = {name: self._file.get_reference_length(contig) for name, contig in self._contig.items()}
        self._check_end()
        check_index(self.path, self._contig)

    @property
    def builds(self) -> tuple[str, ...]:
        """The builds (`hg19`, `hg38`) that all lengths of its chromosomes agree with."""
        known = {name: length for name, length in self.lengths.items() if name in NUCLEAR}
        return builds_of(known) if known else ()

    def codes(self, chrom: str, start: int, end: int) -> UInt8[ndarray, " base"]:
        """Codes of the bases of [start, end), 0-based: A, C, G, T are 0 to 3, anything else 4.

        Args:
            chrom: with or without "chr".
            start: 0-based, not negative.
            end: not beyond the contig's end.

        Raises:
            DataError: no such contig, or the region is empty or reaches beyond it.
            FormatError: the file ends before its index says.
        """
        return np.asarray(CODE_OF[np.frombuffer(self._text(chrom, start, end), dtype=np.uint8)])

    def resolved(self, chrom: str, start: int, end: int) -> UInt8[ndarray, " base"]:
        """`codes` with each ambiguity code as the alphabetically first of its bases, so that only N is unknown."""
        return np.asarray(_RESOLVED[np.frombuffer(self._text(chrom, start, end), dtype=np.uint8)])

    def letters(self, chrom: str, start: int, end: int) -> str:
        """The capital letters of [start, end) as the file has them, IUPAC codes too; arguments and errors as `codes`."""
        return self._text(chrom, start, end).decode("latin-1").upper()

    def _text(self, chrom: str, start: int, end: int) -> bytes:
        (name,) = chrom_names([chrom])
        if name not in self._contig:
            known = ", ".join(list(self.lengths)[:5])
            raise DataError(
                f"`{self.path}` has no sequence of chromosome {name}: it holds {len(self.lengths)} ({known}"
                f"{', ...' if len(self.lengths) > 5 else ''}). Give the reference genome of these data."
            )
        length = self.lengths[name]
        if not 0 <= start < end <= length:
            raise DataError(
                f"`{self.path}`: {name}:{start + 1}-{end} is not within chromosome {name}, which has {length} bases. "
                "Leave such regions out, or give the other genome build."
            )
        return self._read(self._contig[name], start, end)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Fasta:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return Fasta, (self.path,)

    def _read(self, contig: str, start: int, end: int) -> bytes:
        try:
            with silent_pysam():
                text: bytes = self._file.fetch(contig, start, end).encode("latin-1")
        except (OSError, ValueError) as error:
            raise FormatError(
                f"`{self.path}` is truncated or damaged, or its index belongs to another file. Remove the index to have it "
                "made anew, or fetch the file again."
            ) from error
        if len(text) != end - start:
            raise FormatError(
                f"`{self.path}` is truncated, or its .fai index belongs to another file: {contig} ends before base {end}. "
                "Fetch it again, or remove the index."
            )
        return text

    def _check_end(self) -> None:
        """The last base of the sequence that the file ends with must be there."""
        contig = self._file.references[-1]
        length = self._file.get_reference_length(contig)
        if length:
            self._read(contig, length - 1, length)


def open_fasta(path: str | os.PathLike[str]) -> Fasta:
    """The reference genome at `path`; see `Fasta`."""
    return Fasta(path)


def bases(codes: UInt8[ndarray, " base"]) -> str:
    """The codes as text, N for unknown bases."""
    letters: bytes = np.frombuffer(b"ACGTN", dtype=np.uint8)[codes].tobytes()
    return letters.decode()


def _check(path: Path) -> None:
    """The file exists, is FASTA (in bgzip if compressed, whole), and has its indices."""
    try:
        with open(path, "rb") as file:
            head = file.read(1)
    except OSError as error:
        raise FormatError(f"`{path}` cannot be read: {error.strerror}. Check the path.") from error
    compressed = is_gzip(path)
    if compressed:
        check_bgzf(path, "FASTA")
    elif head != b">":
        raise FormatError(f"`{path}` is not a FASTA file: it does not begin with `>`. Give the reference genome.")
    wanted = [f"{path}.fai", f"{path}.gzi"] if compressed else [f"{path}.fai"]
    if not all(os.path.isfile(index) for index in wanted):
        _build_index(path, compressed)


def _build_index(path: Path, compressed: bool) -> None:
    token = uuid.uuid4().hex[:8]
    partial = {
        end: path.with_name(f".{path.name}.{token}{end}") for end in ((".fai", ".gzi") if compressed else (".fai",))
    }
    options = ["--fai-idx", os.fspath(partial[".fai"])]
    if compressed:
        options += ["--gzi-idx", os.fspath(partial[".gzi"])]
    if not os.access(path.parent, os.W_OK):
        raise FormatError(
            f"`{path}` has no index, and none can be written beside it. Make one with `samtools faidx` in a folder "
            "of your own."
        )
    with silent_pysam() as pysam:
        try:
            pysam.faidx(*options, os.fspath(path))
            for end, file in partial.items():
                file.replace(f"{path}{end}")
        except (pysam.SamtoolsError, OSError) as error:
            raise FormatError(
                f"`{path}` has no index, and none could be made: it is damaged, or not FASTA with lines of equal length. "
                "Check it with `samtools faidx`."
            ) from error
        finally:
            for file in partial.values():
                file.unlink(missing_ok=True)
