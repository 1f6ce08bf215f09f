"""A panel's LD in layouts that other tools read, each core a block: NumPy and PLINK squares, PRS-CS, SBayesRC.

A panel keeps the leading eigenpairs of each core, not R. A square is `V diag(lam) V'` with its diagonal completed to 1: what the rank rule
took from a variant's variance becomes variance of its own. Eigenpairs (SBayesRC) are written as they are. Correlations between cores are
not part of any of these layouts.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float, Float32
from numpy import ndarray

from varfx.errors import ConfigError, StoreError
from varfx.genome.variants import identifier
from varfx.genotypes.matrices.prscs import write_prscs
from varfx.genotypes.matrices.sbayesrc import INFO, VARIANTS, write_block
from varfx.io import sealed
from varfx.ld.config import ExportFormat
from varfx.ld.store import LDPanel
from varfx.ld.whiten import Factors
from varfx.ld.windows import Core
from varfx.progress import Progress, silent

logger = logging.getLogger(__name__)
RECORD = "export.json"  # beside the blocks
GRCH37_ONLY = ("prscs", "sbayesrc")  # layouts whose positions are read as GRCh37
WITH_FREQUENCIES = ("prscs", "sbayesrc")


@dataclass(frozen=True, eq=False)
class Block:
    """LD and variants of one core.

    Attributes:
        core: where it lies.
        variants: columns of the panel's variants, `variant_id` filled.
        factors: eigenpairs.
    """

    core: Core
    variants: pl.DataFrame
    factors: Factors

    @property
    def lost(self) -> Float[ndarray, " variant"]:
        """Share of each variant's variance that the eigenpairs lack."""
        U = self.factors.V.astype(np.float64) * np.sqrt(self.factors.lam)
        return np.asarray(np.maximum(0.0, 1 - np.einsum("mk,mk->m", U, U)))

    def square(self) -> Float32[ndarray, "variant variant"]:
        """`V diag(lam) V'` with 1 on the diagonal."""
        U = self.factors.V.astype(np.float64) * np.sqrt(self.factors.lam)
        R: ndarray = U @ U.T
        np.fill_diagonal(R, 1.0)
        return np.asarray(np.clip(R, -1, 1), dtype=np.float32)


def export_panel(
    panel: LDPanel, out: str | os.PathLike[str], form: ExportFormat, *, progress: Progress = silent
) -> dict[str, Any]:
    """Writes a folder in another tool's layout.

    Args:
        panel: the panel.
        out: the folder to make.
        form: npz (R per core, with a table of variants), plink (.ld.bin with .bim), prscs, or sbayesrc.
        progress: told about each core.

    Returns:
        The record that is written beside the blocks: sample size, genome build, cores, variants, and the variance that squares replace.

    Raises:
        StoreError: `out` exists, or cannot be written.
        ConfigError: the layout needs frequencies, unique names or GRCh37, and the panel lacks them; h5py is not installed.
    """
    if Path(out).exists():
        raise StoreError(f"`{out}` exists: it is not replaced. Give another --out, or remove it.")
    _check(panel, form)
    lost: list[float] = []
    with sealed.atomic_path(out) as folder:
        folder.mkdir()

        def blocks() -> Iterator[Block]:
            for index, core in enumerate(panel.cores):
                window = panel.own(index)
                variants = panel.variants[window.core_rows].with_columns(identifier())
                block = Block(core, variants, window.factors)
                lost.extend(block.lost)
                yield block
                progress(index + 1, len(panel.cores), "cores written")

        _WRITERS[form](folder, blocks(), panel)
        record = {
            "exported": form,
            "num_people": panel.num_people,
            "build": panel.build,
            "cores": len(panel.cores),
            "variants": len(lost),
            "rank": int(panel.windows["rank"].sum()),
            "variance_lacking": {"mean": float(np.mean(lost)), "largest": float(np.max(lost))},
            "provenance": sealed.provenance({"format": form}, {"panel": panel.path / sealed.MANIFEST}),
        }
        sealed.write_json(folder / RECORD, record)
    return record


def _check(panel: LDPanel, form: ExportFormat) -> None:
    """Refuses what a layout cannot say."""
    if form in GRCH37_ONLY and panel.build == "hg38":
        raise ConfigError(
            f"`{panel.path}` is of GRCh38, but readers of {form} take positions for GRCh37. Export npz or plink."
        )
    variants = panel.variants.with_columns(identifier())
    if form in WITH_FREQUENCIES and variants["eaf"].null_count():
        raise ConfigError(
            f"`{panel.path}` lacks the frequency of {variants['eaf'].null_count():,} of {variants.height:,} variants, which {form} holds. "
            "Export npz or plink, or build the panel from genotypes."
        )
    twice = variants["variant_id"].is_duplicated()
    if form == "prscs" and twice.any():
        first = variants["variant_id"][int(twice.arg_max() or 0)]
        raise ConfigError(
            f"`{panel.path}`: {twice.sum():,} variants share a name, first {first}, and PRS-CS knows variants by name. Export another format."
        )


def _write_npz(folder: Path, blocks: Iterator[Block], panel: LDPanel) -> None:
    for block in blocks:
        np.savez_compressed(folder / f"{block.core.name}.npz", R=block.square())
        block.variants.drop("ld_score").write_csv(folder / f"{block.core.name}.variants.tsv", separator="\t")


def _write_plink(folder: Path, blocks: Iterator[Block], panel: LDPanel) -> None:
    for block in blocks:
        block.square().astype("<f4").tofile(folder / f"{block.core.name}.ld.bin")
        columns = ["chrom", "variant_id", "cm", "position", "effect_allele", "other_allele"]
        table = block.variants.with_columns(cm=pl.lit(0)).select(columns)
        table.write_csv(folder / f"{block.core.name}.bim", separator="\t", include_header=False)


def _write_prscs(folder: Path, blocks: Iterator[Block], panel: LDPanel) -> None:
    write_prscs(folder, ((each.core.chrom, each.variants["variant_id"].to_list(), each.square()) for each in blocks))
    eaf = pl.col("eaf")
    table = panel.variants.with_columns(identifier()).select(
        CHR="chrom",
        SNP="variant_id",
        BP="position",
        A1="effect_allele",
        A2="other_allele",
        MAF=pl.min_horizontal(eaf, 1 - eaf),
    )
    table.write_csv(folder / "snpinfo_1kg_hm3", separator="\t")


def _write_sbayesrc(folder: Path, blocks: Iterator[Block], panel: LDPanel) -> None:
    infos, variants, first = [], [], 0
    for number, block in enumerate(blocks, start=1):
        size, names = block.variants.height, block.variants["variant_id"]
        lam = block.factors.lam
        path = folder / f"block{number}.eigen.bin"
        write_block(path, lam, block.factors.V, total=float(size), threshold=float(lam.sum() / size))
        infos.append((number, block.core.chrom, first, names[0], first + size - 1, names[-1], size))
        variants.append(block.variants.with_columns(Block=pl.lit(number)))
        first += size
    columns = ["Block", "Chrom", "StartSnpIdx", "StartSnpID", "EndSnpIdx", "EndSnpID", "NumSnps"]
    pl.DataFrame(infos, schema=columns, orient="row").write_csv(folder / INFO, separator="\t")
    table = pl.concat(variants).select(
        Chrom="chrom", ID="variant_id", Index=pl.int_range(pl.len()), GenPos=pl.lit(0), PhysPos="position", A1="effect_allele",
        A2="other_allele", A1Freq="eaf", N=pl.lit(panel.num_people), Block="Block",
    )  # fmt: skip
    table.write_csv(folder / VARIANTS, separator="\t")


_WRITERS = {"npz": _write_npz, "plink": _write_plink, "prscs": _write_prscs, "sbayesrc": _write_sbayesrc}
