"""Dosages of individuals at chosen sites, from PLINK 1 and 2 files or VCF and BCF, read in stretches."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool, Float32, Int
from numpy import ndarray

from varfx.errors import ConfigError
from varfx.genome.chromosomes import CHROMOSOMES
from varfx.genome.per_chromosome import files_of, is_split
from varfx.genotypes.panel import GenotypeFile
from varfx.genotypes.plink_sets import plink_file
from varfx.genotypes.vcf import VcfFile

ACCEPTED = "X.bed, X.pgen, X.vcf.gz or X.bcf"


class VcfSites:
    """A VCF or BCF as a `GenotypeFile`, restricted to the positions of interest.

    Dosages (DS, or the expectation of GP) count where the file has them, else genotypes; haploid calls count as two copies.
    """

    path: Path
    people: pl.DataFrame
    sites: pl.DataFrame
    passed: Bool[ndarray, " variant"] | None = None
    build: str | None = None

    def __init__(self, path: str, wanted: pl.DataFrame) -> None:
        """Reads the sites at the positions, or with the identifiers, of the variants `wanted`.

        Raises:
            FormatError: see `VcfFile`.
        """
        self._file = VcfFile(path)
        self.path = self._file.path
        self.people = pl.DataFrame({"fid": ["0"] * len(self._file.people), "iid": list(self._file.people)})
        self.sites = self._sites(wanted)

    def read(
        self, rows: Int[ndarray, " variant"], people: Int[ndarray, " person"]
    ) -> Float32[ndarray, "variant person"]:
        """See `GenotypeFile.read`."""
        result = np.full((rows.size, people.size), -1, dtype=np.float32)
        wanted = self.sites[rows].with_columns(place=pl.Series(np.arange(rows.size)))
        for (chrom,), part in wanted.group_by("chrom", maintain_order=True):
            keys = part.select("position", "other_allele", "effect_allele").iter_rows()
            places = dict(zip(keys, part["place"].to_list(), strict=True))
            positions = part["position"].to_numpy()
            for position, ref, alts, copies in self._file.dosages(
                str(chrom), int(positions.min()) - 1, int(positions.max()), at=frozenset(positions.tolist())
            ):
                place = places.get((position, ref, ",".join(alts)))
                if place is not None and copies.shape[1] == 1:
                    result[place] = np.where(np.isnan(copies[people, 0]), -1, copies[people, 0])
        return result

    def _sites(self, wanted: pl.DataFrame) -> pl.DataFrame:
        rows = []
        named = frozenset(wanted.filter(pl.col("position").is_null())["variant_id"].drop_nulls().to_list())
        for chrom in self._file.chroms:
            positions = frozenset(wanted.filter(pl.col("chrom") == chrom)["position"].drop_nulls().to_list())
            if positions or named:
                rows += [(chrom, *site) for site in self._file.sites(chrom, positions, named)]
        schema = {
            "chrom": pl.String(),
            "position": pl.Int64(),
            "variant_id": pl.String(),
            "effect_allele": pl.String(),
            "other_allele": pl.String(),
        }
        return pl.DataFrame(rows, schema=schema, orient="row")


def open_dosages(paths: Sequence[str | os.PathLike[str]], wanted: pl.DataFrame) -> list[GenotypeFile]:
    """The files of genotypes, `@` replaced by the chromosomes of the variants `wanted`.

    Raises:
        ConfigError: no path, one given twice, or a kind of file that is not known.
        FormatError: a file is missing or damaged.
    """
    found: list[str] = []
    chroms = wanted["chrom"].drop_nulls().unique(maintain_order=True).to_list() or CHROMOSOMES[:22]
    for path in map(Path, paths):
        found += [str(each) for each in files_of(path, chroms).values()] if is_split(path) else [str(path)]
    if not found:
        raise ConfigError(f"no genotypes are given. Give {ACCEPTED}.")
    twice = [path for number, path in enumerate(found) if os.path.abspath(path) in map(os.path.abspath, found[:number])]
    if twice:
        raise ConfigError(f"`{twice[0]}` is given twice. Give each file once.")
    return [_open(path, wanted) for path in found]


def _open(path: str, wanted: pl.DataFrame) -> GenotypeFile:
    if path.endswith((".vcf.gz", ".vcf.bgz", ".bcf")):
        return VcfSites(path, wanted)
    return plink_file(path, ACCEPTED)
