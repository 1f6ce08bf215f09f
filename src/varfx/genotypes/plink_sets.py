"""PLINK file sets by their path: PREFIX.bed, PREFIX.pgen or a bare PREFIX; the same for LD references and cohorts."""

from __future__ import annotations

import os
from pathlib import Path

from varfx.errors import ConfigError, FormatError
from varfx.genotypes.plink1 import BedFile
from varfx.genotypes.plink2 import PgenFile

_PARTS = {".bed": (".bed", ".bim", ".fam"), ".pgen": (".pgen", ".pvar", ".pvar.zst", ".bim", ".psam", ".fam")}


def open_plink(path: str) -> BedFile | PgenFile | None:
    """The file set at a path; None if there is none.

    Raises:
        ConfigError: a bare prefix of both a .bed and a .pgen.
        FormatError: a file is missing or damaged.
    """
    found = _found(path)
    if len(found) == 2:
        raise ConfigError(f"`{path}` is the prefix of a .bed and of a .pgen. Give the ending too.")
    if not found:
        return None
    prefix = path.removesuffix(found[0])
    return BedFile(prefix) if found[0] == ".bed" else PgenFile(prefix)


def plink_file(path: str, accepted: str) -> BedFile | PgenFile:
    """The file set at a path that must be one.

    Args:
        path: the path.
        accepted: the kinds of files that may be given, for the message.

    Raises:
        FormatError: a VCF that is not compressed; a file is missing or damaged.
        ConfigError: another kind of file, or none.
    """
    if path.endswith(".vcf"):
        raise FormatError(
            f"`{path}` is not compressed. Compress and index it: `bgzip {path}`, `tabix -p vcf {path}.gz`."
        )
    file = open_plink(path)
    if file is None:
        raise ConfigError(f"`{path}` is no file of genotypes that varfx knows, or does not exist. Give {accepted}.")
    return file


def plink_parts(path: str) -> dict[str, Path]:
    """The files of the set at a path, by their endings; empty if it is no PLINK set.

    A .bim or .fam counts only where a .pgen has no .pvar or .psam.
    """
    found = _found(path)
    if not found:
        return {}
    prefix = path.removesuffix(found[0])
    parts = {ending: Path(prefix + ending) for ending in _PARTS[found[0]] if os.path.isfile(prefix + ending)}
    if {".pvar", ".pvar.zst"} & set(parts):
        parts.pop(".bim", None)
    if ".psam" in parts:
        parts.pop(".fam", None)
    return parts


def _found(path: str) -> list[str]:
    """The endings of the sets that a path may mean. Prefixes may hold dots, so that endings are cut and added as text."""
    given = [ending for ending in _PARTS if path.endswith(ending)]
    return given or [ending for ending in _PARTS if os.path.isfile(path + ending)]
