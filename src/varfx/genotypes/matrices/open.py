"""Which published layout of LD a path is, and its source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from varfx.errors import ConfigError
from varfx.genotypes.config import RAllele
from varfx.genotypes.ld_source import LDSource
from varfx.genotypes.ldgm import METADATA, Ldgm
from varfx.genotypes.matrices import prscs, sbayesrc
from varfx.genotypes.matrices.ldpred2 import LDpred2Folder
from varfx.genotypes.matrices.magenpy import MagenpyMatrices, is_magenpy
from varfx.genotypes.matrices.prscs import PrsCsBlocks
from varfx.genotypes.matrices.sbayesrc import SBayesRCFolder
from varfx.genotypes.matrices.squares import Squares, is_square
from varfx.genotypes.ukb_ld import UKB_NUM_PEOPLE, UkbLD
from varfx.io.remote import Mirror

_OPTIONS = {  # of each layout, beside maf and num_people
    "LDGM": {"population"},
    "UKBB_LD": set[str](),
    "SBayesRC": set[str](),
    "PRS-CS": {"variants", "population"},
    "LDpred2": {"variants"},
    "magenpy": set[str](),
    "square": {"variants", "r_allele"},
}


def is_matrix(path: Path) -> bool:
    """True where a path is a folder, or has the ending of a file of correlations."""
    return path.is_dir() or path.suffix in (".csv", ".rds", ".zip", *prscs.ENDINGS) or is_square(path)


def layout_of(path: Path) -> str:
    """The layout of a folder or file, a key of the options above; a folder that is no other is UKBB_LD's."""
    if path.suffix == ".csv" or (path / METADATA).is_file():
        return "LDGM"
    if path.is_dir():
        names = [each.name for each in path.iterdir()]
        if sbayesrc.INFO in names or sbayesrc.VARIANTS in names:
            return "SBayesRC"
        if any(name.endswith(prscs.ENDINGS) for name in names):
            return "PRS-CS"
        if any(name.endswith(".rds") for name in names):
            return "LDpred2"
        return "magenpy" if is_magenpy(path) else "UKBB_LD"
    if path.name.endswith(prscs.ENDINGS):
        return "PRS-CS"
    if path.suffix == ".rds":
        return "LDpred2"
    return "magenpy" if path.suffix == ".zip" else "square"


def open_matrices(
    paths: Sequence[Path],
    *,
    maf: float,
    population: str | None = None,
    num_people: int | None = None,
    variants: Path | None = None,
    r_allele: RAllele | None = None,
    chrom: Sequence[str] = (),
    mirror: Mirror | None = None,
) -> LDSource:
    """The source of published correlations; see `varfx.genotypes.open_ld.open_source`.

    Raises:
        ConfigError: no such path, or an option of another layout.
        FormatError, DataError: see the layouts.
    """
    path, layout = paths[0], layout_of(paths[0])
    given = {"population": population, "variants": variants, "r_allele": r_allele}
    for name, value in given.items():
        if value is not None and name not in _OPTIONS[layout]:
            users = ", ".join(each for each, names in _OPTIONS.items() if name in names)
            raise ConfigError(f"`{name}` is for {users}, but `{path}` is {layout}. Leave it out.")
    if layout != "LDGM" and not path.exists():
        raise ConfigError(f"`{path}` does not exist. Check the path.")
    if layout == "LDGM":
        return Ldgm(path, population=population, maf=maf, num_people=num_people, mirror=mirror)
    if layout == "UKBB_LD":
        return UkbLD(path, num_people=UKB_NUM_PEOPLE if num_people is None else num_people, chroms=chrom)
    if layout == "SBayesRC":
        sbayesrc.refuse_incomplete(path)
        return SBayesRCFolder(path, num_people=num_people, maf=maf, mirror=mirror)
    if layout == "PRS-CS":
        return PrsCsBlocks(
            path, variants=variants, population=population, num_people=num_people, maf=maf, mirror=mirror
        )
    if layout == "LDpred2":
        return LDpred2Folder(path, variants=variants, num_people=num_people, maf=maf, mirror=mirror)
    if layout == "magenpy":
        return MagenpyMatrices(path, num_people=num_people, maf=maf, mirror=mirror)
    return Squares(paths, variants=variants, r_allele=r_allele, num_people=num_people, maf=maf, mirror=mirror)
