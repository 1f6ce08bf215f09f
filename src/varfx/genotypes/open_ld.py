"""Opens an LD reference by what its path is: PLINK 1 or 2 files, a folder of UKBB_LD, or LD graphical models."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from varfx.errors import ConfigError
from varfx.genotypes.config import Filters, ReferenceConfig
from varfx.genotypes.ld_source import LDSource
from varfx.genotypes.ldgm import METADATA, Ldgm
from varfx.genotypes.panel import GenotypeFile, GenotypePanel, People
from varfx.genotypes.plink_sets import open_plink, plink_parts
from varfx.genotypes.ukb_ld import UKB_NUM_PEOPLE, UkbLD

ACCEPTED = "PREFIX.bed, PREFIX.pgen, a bare PREFIX, a folder of UKBB_LD files, or LDGM's metadata.csv or its folder"


def open_source(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    maf: float = ReferenceConfig.maf,
    keep: People | None = None,
    population: str | None = None,
    num_people: int | None = None,
    filters: Filters = "all",
) -> LDSource:
    """The LD reference at a path, or several genotype files (e.g. one per chromosome) as one.

    Args:
        paths: PREFIX.bed or PREFIX.pgen (any number of them, of the same individuals), a bare PREFIX, a folder of UKBB_LD
            files, or LDGM's metadata.csv or its folder.
        maf: the least minor-allele frequency to keep; without effect on UKBB_LD, which has no frequencies.
        keep: individuals of genotype files to use: a file (FID and IID, or IID, per line) or a sequence of IIDs.
        population: for LDGM only; may be left out where the folder holds one.
        num_people: sample size behind UKBB_LD or LDGM matrices, if not the published one.
        filters: variants of a .pgen that count: all, or those whose FILTER is PASS (or not given).

    Raises:
        ConfigError: no path or unknown kinds of path, kinds that cannot be combined, options of another kind.
        FormatError: a damaged or incomplete file.
        DataError: values that cannot be right, or no variant passes the filters.
    """
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    if not paths:
        raise ConfigError(f"no LD reference is given. Give {ACCEPTED}.")
    seen = [os.path.abspath(path) for path in paths]
    twice = [path for number, path in enumerate(seen) if path in seen[:number]]
    if twice:
        raise ConfigError(f"`{twice[0]}` is given twice. Give each file once.")
    matrices = [path for path in map(Path, paths) if path.is_dir() or path.suffix == ".csv"]
    if matrices:
        if len(paths) > 1:
            raise ConfigError(
                f"`{matrices[0]}` cannot be combined with {len(paths) - 1} other references. Give it alone."
            )
        if keep is not None:
            raise ConfigError(f"`keep` chooses individuals, but `{matrices[0]}` holds correlations. Leave it out.")
        if filters != "all":
            raise ConfigError(f"`filter` is for genotypes, but `{matrices[0]}` holds correlations. Leave it out.")
        return _open_matrices(matrices[0], maf, population, num_people)
    if population is not None or num_people is not None:
        option = "population" if population is not None else "num_people"
        raise ConfigError(
            f"`{option}` is for matrices of correlations, but `{paths[0]}` holds genotypes. Leave it out."
        )
    return GenotypePanel([_open_genotypes(os.fspath(path)) for path in paths], maf=maf, keep=keep, filters=filters)


def input_files(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The files that an LD reference at these paths is read from, for checksums; a folder stands for itself."""
    found: list[Path] = []
    for path in [os.fspath(path) for path in paths]:
        if os.path.isdir(path) or path.endswith(".csv"):
            found.append(Path(path))
            continue
        found += plink_parts(path).values()
    return found


def _open_matrices(path: Path, maf: float, population: str | None, num_people: int | None) -> LDSource:
    if path.suffix == ".csv" or (path / METADATA).is_file():
        return Ldgm(path, population=population, maf=maf, num_people=num_people)
    if population is not None:
        raise ConfigError(f"`population` is for LDGM, but `{path}` has no {METADATA}. Leave it out.")
    return UkbLD(path, num_people=UKB_NUM_PEOPLE if num_people is None else num_people)


def _open_genotypes(path: str) -> GenotypeFile:
    file = open_plink(path)
    if file is None:
        raise ConfigError(f"`{path}` is no LD reference that varfx knows, or does not exist. Give {ACCEPTED}.")
    return file
