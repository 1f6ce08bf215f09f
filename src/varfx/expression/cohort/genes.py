"""Genes of a cohort: expression joined with the GTF, exclusions counted per step."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import polars as pl
from jaxtyping import Bool, Int64, UInt8
from numpy import ndarray

from varfx.errors import DataError, HarmonisationError
from varfx.expression.cohort.store import window_start
from varfx.genome.fasta import UNKNOWN, Fasta
from varfx.io.ledger import Sieve

NEAR = 1000  # bases between the TSS of the GTF and the place in the expression file that do not speak of another build
ENOUGH = 3  # genes elsewhere that speak of another build; fewer are a note


def join_gtf(sieve: Sieve, genes: pl.DataFrame, gene_types: tuple[str, ...], tss_distance: int) -> None:
    """Adds `name, gene_type, chrom, strand, tss` to the sieve's genes (column `gene_id`), leaving out by type and TSS.

    Args:
        sieve: of genes; columns `chrom, start, end` of the expression file are compared with the GTF's and taken away.
        genes: of `varfx.genome.gtf.read_gtf`.
        gene_types: to keep; empty keeps all.
        tss_distance: genes with the TSS of another gene of these types within so many bases are left out; -1 keeps them.

    Raises:
        DataError: no gene of the expression file is in the GTF.
        HarmonisationError: their places differ: another genome build.
    """
    first, theirs = sieve.frame["gene_id"][0], genes["gene_id"][0]
    joined = sieve.frame.rename(
        {name: f"{name}_bed" for name in ("chrom", "start", "end") if name in sieve.frame.columns}
    )
    sieve.frame = joined.join(genes, on="gene_id", how="left", maintain_order="left")
    sieve.drop(
        sieve.frame["tss"].is_null(), "not in the GTF", sides=f"first {first} in expression, {theirs} in the GTF"
    )
    if not sieve.frame.height:
        raise DataError(
            f"No gene of the expression file (first {first}) is in the GTF (first {theirs}): both need Ensembl ids. "
            "Give the GTF that expression was counted with."
        )
    _check_places(sieve)
    kept = genes.filter(pl.col("gene_type").is_in(gene_types)) if gene_types else genes
    types = f"the genes have the types {some(sieve.frame['gene_type'].unique().sort())}, --gene-type {some(gene_types)}"
    sieve.drop(~sieve.frame["gene_id"].is_in(kept["gene_id"].implode()), "another gene type", sides=types)
    near = near_other_tss(kept, tss_distance)
    crowded = kept["gene_id"].filter(pl.Series(near, dtype=pl.Boolean))
    sieve.drop(sieve.frame["gene_id"].is_in(crowded.implode()), f"another TSS within {tss_distance} bases")
    sieve.frame = sieve.frame.drop("chrom_bed", "start_bed", "end_bed", strict=False)


def near_other_tss(genes: pl.DataFrame, distance: int) -> Bool[ndarray, " gene"]:
    """Genes with the TSS of another one, on either strand, at most `distance` bases away; none if that is negative."""
    frame = genes.select("chrom", "tss").with_row_index("row").sort("chrom", "tss")
    gap = frame.select((pl.col("tss").diff().over("chrom") <= distance).fill_null(False).alias("near"))[
        "near"
    ].to_numpy()
    near = gap | np.append(gap[1:], False)
    result = np.zeros(genes.height, dtype=bool)
    result[frame["row"].to_numpy()] = near & (distance >= 0)
    return result


def place_windows(
    sieve: Sieve, reference: Fasta, chroms: tuple[str, ...], window: int, max_n: int, *, contigs: tuple[str, ...] = ()
) -> None:
    """Adds `start, end, masked_bases`; leaves out genes without genotypes or reference around them.

    Args:
        sieve: of genes with `chrom, strand, tss`.
        reference: the genome.
        chroms: chromosomes with genotypes.
        window: bases of each window.
        max_n: unknown bases that a window may have.
        contigs: the genotype files' own names of chromosomes, for messages.
    """
    frame = sieve.frame
    starts = [window_start(tss, strand, window) for tss, strand in frame.select("tss", "strand").iter_rows()]
    start = pl.Series("start", starts, dtype=pl.Int64)
    sieve.frame = frame.with_columns(start, (start + window).alias("end"), masked_bases=pl.lit(0, pl.Int64))
    here = f"genes are on {some(frame['chrom'].unique(maintain_order=True))}"
    there = f"{here}, genotypes on {some(contigs or chroms)}"
    sieve.drop(~sieve.frame["chrom"].is_in(chroms), "no genotypes of the chromosome", sides=there)
    there = f"{here}, the reference has {some(reference.lengths)}"
    sieve.drop(~sieve.frame["chrom"].is_in(list(reference.lengths)), "chromosome not in the reference", sides=there)
    length = sieve.frame["chrom"].replace_strict(dict(reference.lengths), return_dtype=pl.Int64)
    shown = {chrom: reference.lengths[chrom] for chrom in sieve.frame["chrom"].unique(maintain_order=True)}
    there = f"windows have {window} bases, chromosomes {some(f'{name}: {size}' for name, size in shown.items())}"
    over = (sieve.frame["start"] < 0) | (sieve.frame["end"] > length)
    sieve.drop(over, "window over the end of the chromosome", sides=there)
    masked = _masked_bases(sieve.frame, reference.resolved)
    sieve.frame = sieve.frame.with_columns(masked_bases=masked)
    sieve.drop(masked > max_n, f"window with more than {max_n} bases N")


def stretches(genes: pl.DataFrame, longest: int) -> list[tuple[str, int, int]]:
    """The union of the genes' windows, chromosome by chromosome as they come, in pieces no longer than `longest`."""
    pieces: list[tuple[str, int, int]] = []
    for (chrom,), part in genes.group_by("chrom", maintain_order=True):
        merged: list[list[int]] = []
        for start, end in part.select("start", "end").sort("start").iter_rows():
            if merged and start <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([start, end])
        for start, end in merged:
            pieces += [(str(chrom), low, min(low + longest, end)) for low in range(start, end, longest)]
    return pieces


def _masked_bases(
    genes: pl.DataFrame, codes: Callable[[str, int, int], UInt8[ndarray, " base"]]
) -> Int64[ndarray, " gene"]:
    places = genes.select("chrom", "start", "end").iter_rows()
    return np.array([np.count_nonzero(codes(*place) == UNKNOWN) for place in places], dtype=np.int64)


def some(names: Iterable[object]) -> str:
    """The first names, for a message."""
    listed = [str(name) for name in names]
    return ", ".join(listed[:5]) + (", ..." if len(listed) > 5 else "") if listed else "none"


def _check_places(sieve: Sieve) -> None:
    """The expression file's places must be those of the GTF's TSS (or its genes must begin there)."""
    joined = sieve.frame
    if "chrom_bed" not in joined.columns:
        return
    apart = pl.min_horizontal(
        (pl.col("start_bed") + 1 - pl.col("tss")).abs(), (pl.col("end_bed") - pl.col("tss")).abs()
    )
    far = joined.filter((pl.col("chrom_bed") != pl.col("chrom")) | (apart > NEAR))
    if 2 * far.height <= joined.height:
        return
    gene = far.row(0, named=True)
    where = (
        f"{far.height} of {joined.height} genes lie elsewhere in the GTF than in the expression file, first "
        f"{gene['gene_id']} ({gene['chrom']}:{gene['tss']} and {gene['chrom_bed']}:{gene['start_bed'] + 1})"
    )
    if far.height < ENOUGH:
        sieve.ledger.note(f"{where}. Check that both are of the genome build of the genotypes.")
        return
    raise HarmonisationError(
        f"{where}: they are of different genome builds. Give the GTF of the build of the genotypes, and expression placed "
        "on it."
    )
