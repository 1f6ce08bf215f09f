"""Phased haplotypes with insertions and deletions, through the optional genvarloader (`pip install 'varfx[indels]'`).

genvarloader applies the variants; what it would get wrong without a word (REF that differs from the reference, multi-
nucleotide variants, `*`, haploid calls, duplicates, lower case) is settled before by `varfx.genotypes.donors`. An indel moves
all bases behind it, so that haplotypes are written wider than the window and cut around the base of the TSS: that base
stands at index L // 2, as in `varfx.expression.network.sequences`, whatever lies between it and the window's ends.

Genotypes stand in a temporary folder while a window is made. Sequences are in memory only.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import itertools
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Int, Int8, UInt8
from numpy import ndarray
from torch import Tensor

from varfx.errors import ConfigError, DataError
from varfx.expression.cohort.store import GeneWindow
from varfx.genome.fasta import CODE_OF, UNKNOWN, Fasta
from varfx.genome.fasta import bases as as_text
from varfx.genotypes.config import Mismatch
from varfx.genotypes.donors import Donors, DonorVariants

_CONTIG = "region"
_CHATTY = ("genvarloader", "genoray")
_PEOPLE_AT_ONCE = 64
PAD = 4096  # bases read on either side of the window, for what deletions take away


@dataclass(frozen=True, kw_only=True, eq=False)
class IndelSequences:
    """Everybody's two haplotypes of one gene's window, oriented: the TSS base stands at index L // 2."""

    codes: UInt8[ndarray, "individual 2 base"]  # A, C, G, T are 0 to 3; others, and bases that are not known, 4
    people: tuple[str, ...]
    ledger: dict[str, int]  # see `varfx.genotypes.snvs.STEPS`
    num_filled: int  # haplotypes with unknown bases at an end: the pad was too short, or the chromosome ends

    def encode(
        self,
        people: Sequence[int] | slice = slice(None),
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Float[Tensor, "individual 2 base 4"]:
        """One-hot haplotypes of some rows, unknown bases as zeros."""
        chosen = torch.from_numpy(self.codes[people]).to(device)
        return torch.eye(UNKNOWN + 1, UNKNOWN, dtype=dtype, device=device)[chosen.long()]


def indel_sequences(
    donors: Donors, gene: GeneWindow, reference: Fasta, *, on_mismatch: Mismatch = "fail", pad: int = PAD
) -> IndelSequences:
    """The haplotypes of a gene's window with all plain substitutions, insertions and deletions.

    Missing genotypes count as the reference. Where the TSS base itself is deleted, the last base before the deletion
    (in genome order) takes its place. Of variants that overlap on one haplotype genvarloader applies the first.

    Args:
        donors: phased genotypes.
        gene: its window.
        reference: the genome.
        on_mismatch: see `Donors.read`.
        pad: bases read on either side; more than a haplotype's deletions in half a window take away.

    Raises:
        ConfigError: genvarloader is not installed, or `pad` is negative.
        DataError: genotypes that are not phased, and as `Donors.read`.
    """
    gvl = _genvarloader()
    if pad < 0:
        raise ConfigError(f"`pad` must not be negative, but is {pad}.")
    if not donors.phased:
        raise DataError(
            f"`{donors.name}` is not phased, and indels need haplotypes. Phase it, or leave out the indels."
        )
    start, end = max(0, gene.start - pad), min(gene.end + pad, reference.lengths[gene.chrom])
    read = donors.read(gene.chrom, start, end, reference=reference, on_mismatch=on_mismatch, indels=True)
    whole = reference.codes(gene.chrom, start, end)
    length, tss = gene.end - gene.start, gene.tss - 1
    middle = length // 2 if gene.strand == "+" else length - 1 - length // 2
    codes = np.full((len(donors.people), 2, length), UNKNOWN, dtype=np.uint8)
    filled = 0
    with tempfile.TemporaryDirectory(prefix="varfx-indels-") as folder:
        for row, (bases, coordinates) in enumerate(_haplotypes(gvl, Path(folder), start, whole, read)):
            # The first base with a coordinate is the reference's own; inserted ones repeat it.
            place = int(np.searchsorted(coordinates, tss - start))
            if place == coordinates.size or coordinates[place] != tss - start:
                place = int(np.searchsorted(coordinates, coordinates[place - 1]))
            filled += _cut(bases, place - middle, codes[row // 2, row % 2])
    if gene.strand == "-":
        codes = np.array([3, 2, 1, 0, UNKNOWN], dtype=np.uint8)[codes[:, :, ::-1]]
    return IndelSequences(codes=codes, people=donors.people, ledger=read.ledger, num_filled=filled)


def _haplotypes(
    gvl: Any, folder: Path, start: int, reference: UInt8[ndarray, " base"], read: DonorVariants
) -> Iterator[tuple[UInt8[ndarray, " base"], Int[ndarray, " base"]]]:
    """Codes of each individual's first and second haplotype of the region, and each base's place in the region."""
    import pysam

    assert read.haplotypes is not None
    people = read.haplotypes.shape[1]
    vcf, fasta = folder / "region.vcf", folder / "region.fa"
    fasta.write_text(f">{_CONTIG}\n{as_text(reference)}\n")
    pysam.faidx(os.fspath(fasta))
    _write_vcf(vcf, start, reference.size, read.variants, read.haplotypes)
    pysam.tabix_index(os.fspath(vcf), preset="vcf")
    with _quiet():
        region = pl.DataFrame({"chrom": [_CONTIG], "chromStart": [0], "chromEnd": [reference.size]})
        gvl.write(folder / "region.gvl", region, variants=f"{vcf}.gz", extend_to_length=False)
        dataset = gvl.Dataset.open(folder / "region.gvl", os.fspath(fasta), deterministic=True, rc_neg=False)
        dataset = dataset.with_seqs("annotated").with_len("ragged")
    for first in range(0, people, _PEOPLE_AT_ONCE):
        with _quiet():
            found = dataset[0, first : first + _PEOPLE_AT_ONCE]
        letters, coordinates, offsets = found.haps.data, found.ref_coords.data, found.haps.offsets
        for begin, stop in itertools.pairwise(offsets.tolist()):
            yield CODE_OF[letters[begin:stop].view(np.uint8)], coordinates[begin:stop]


def _write_vcf(
    path: Path, start: int, length: int, variants: pl.DataFrame, haplotypes: Int8[ndarray, "variant individual 2"]
) -> None:
    """The region as a contig of its own; individuals are numbered so that genvarloader, which sorts names, keeps them."""
    names = [f"{person:09d}" for person in range(haplotypes.shape[1])]
    lines = [
        "##fileformat=VCFv4.2",
        f"##contig=<ID={_CONTIG},length={length}>",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Phased genotype">',
        "\t".join(("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *names)),
    ]
    genotypes = np.array(["0|0", "0|1", "1|0", "1|1"])
    columns = ("position", "other_allele", "effect_allele")
    for (position, ref, alt), carried in zip(variants.select(columns).iter_rows(), haplotypes, strict=True):
        calls = genotypes[2 * (carried[:, 0] > 0) + (carried[:, 1] > 0)]
        lines.append("\t".join((_CONTIG, str(position - start), ".", ref, alt, ".", ".", ".", "GT", *calls)))
    path.write_text("\n".join(lines) + "\n")


def _cut(bases: UInt8[ndarray, " base"], first: int, target: UInt8[ndarray, " window"]) -> bool:
    """Writes the bases from `first` on into the window; True if some are lacking, which stay unknown."""
    last = first + target.size
    begin, stop = max(first, 0), min(last, bases.size)
    target[begin - first : stop - first] = bases[begin:stop]
    return begin > first or stop < last


def _genvarloader() -> Any:
    try:
        return importlib.import_module("genvarloader")
    except ImportError as error:
        raise ConfigError(
            "haplotypes with indels need genvarloader, which is not installed. Install it with "
            "`pip install 'varfx[indels]'`, or leave out the indels."
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps genvarloader's log and progress bars off the terminal."""
    log = importlib.import_module("loguru").logger
    for name in _CHATTY:
        log.disable(name)
    try:
        with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of the calls that it makes, not of ours
            yield
    finally:
        for name in _CHATTY:
            log.enable(name)
