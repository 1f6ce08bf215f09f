"""Published LD of an object store or a web server: any layout of files, one of which lies here at a time."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from varfx.errors import ConfigError, DataError, DownloadError, FormatError
from varfx.genome.chromosomes import spelled
from varfx.genotypes.ld_source import LDSource
from varfx.genotypes.ldgm import METADATA
from varfx.genotypes.matrices import prscs
from varfx.genotypes.matrices.open import layout_of, open_matrices
from varfx.genotypes.matrices.squares import is_square
from varfx.genotypes.ukb_ld import UKB_NUM_PEOPLE, UkbLD
from varfx.io.remote import Folder, Mirror, is_remote

_FILES = (".rds", ".zip", METADATA, *prscs.ENDINGS)
_CHROM = re.compile(r"chr_?([0-9A-Za-z]+)(?:\.(?:rds|zip|hdf5|h5))?$")  # of files or folders of one chromosome
_VALUES = "matrix/data"  # of a group of magenpy


def open_remote(
    addresses: Sequence[str],
    *,
    maf: float,
    num_people: int | None = None,
    chrom: Sequence[str] = (),
    population: str | None = None,
    variants: Path | None = None,
    **options: Any,
) -> LDSource:
    """The source of LD at an address: a folder, one of its files, or several squares of one folder.

    Args:
        addresses: `s3://...` or `https://...`.
        maf: see `varfx.genotypes.open_ld.open_source`, and so the others.
        num_people: sample size behind the correlations.
        chrom: chromosomes of UKBB_LD, or of layouts with a file per chromosome.
        population: of PRS-CSx.
        variants: the list of variants, on this machine.
        options: of squares.

    Raises:
        ConfigError: addresses of several folders, or an option of another layout.
        FormatError, DataError: see the layouts.
        DownloadError: a folder or a file that cannot be fetched.
    """
    folder, files = _split(addresses)
    here = Folder(folder)
    names = _names(here, files)
    groups = [] if files else _groups(here, names)
    above, _, last = folder.rpartition("/")
    if not files and is_remote(above) and _is_group(here):  # one chromosome of magenpy
        folder, names, files, groups = above, [], [last], [last]
    with tempfile.TemporaryDirectory(prefix="varfx-remote-") as scratch:
        root = Path(scratch) / "names" / "of"  # nothing lies above it
        root.mkdir(parents=True)
        for name in _of_chromosomes(names, chrom, folder):
            (root / name).touch()
        for name in _of_chromosomes(groups, chrom, folder):
            (root / name / _VALUES).mkdir(parents=True)
        paths = [root / name for name in files] or [root]
        layout = layout_of(paths[0])
        if layout == "UKBB_LD":
            return _ukbb(addresses[0], num_people, chrom, population or variants or options.get("r_allele"))
        mirror = Mirror(folder)
        if chrom and not any(_CHROM.search(name) for name in (*names, *groups)):
            raise ConfigError(
                f"`chrom` chooses files, but `{addresses[0]}` ({layout}) has none per chromosome. Leave it out."
            )
        try:
            source = open_matrices(
                paths,
                maf=maf,
                num_people=num_people,
                population=population,
                variants=variants,
                mirror=mirror,
                **options,
            )
        except (ConfigError, DataError, FormatError) as error:
            raise type(error)(mirror.told(str(error)).replace(str(root), folder)) from error
    source.name = addresses[0]
    return source


def _split(addresses: Sequence[str]) -> tuple[str, list[str]]:
    """The folder of some addresses, and the files among them; none where the address is a folder."""
    plain = [address.rstrip("/") for address in addresses]
    parts = [address.rsplit("/", 1) for address in plain]
    if all(is_square(Path(name)) or name.endswith(_FILES) for _, name in parts):
        if len({above for above, _ in parts}) > 1:
            raise ConfigError(f"`{addresses[0]}` and `{addresses[1]}` lie in different folders. Give files of one.")
        if len(parts) > 1 and not all(is_square(Path(name)) for _, name in parts):
            raise ConfigError(
                f"`{addresses[0]}` cannot be combined with {len(parts) - 1} other references. Give it alone."
            )
        return parts[0][0], [name for _, name in parts]
    if len(plain) > 1:
        raise ConfigError(f"`{addresses[0]}` cannot be combined with {len(plain) - 1} other references. Give it alone.")
    return plain[0], []


def _names(folder: Folder, files: Sequence[str]) -> list[str]:
    """Names of the files in a folder; of one that lists none, the files given."""
    try:
        names = folder.names()
    except DownloadError:
        if not files:
            raise
        names = []
    return sorted({*files, *(name for name in names if name not in ("", ".", "..") and "\0" not in name)})


def _groups(folder: Folder, names: Sequence[str]) -> list[str]:
    """Names of the folders in a folder that are groups of magenpy, where no file makes it another layout."""
    if any(not name.startswith(".") and not name.endswith(".zip") for name in names):
        return []
    return [name for name in folder.folders() if _is_group(folder.below(name))]


def _is_group(folder: Folder) -> bool:
    """Whether a remote folder is a group of magenpy."""
    return "matrix" in folder.folders() and "data" in folder.below("matrix").folders()


def _of_chromosomes(names: Sequence[str], chrom: Sequence[str], folder: str) -> list[str]:
    """The names without files of other chromosomes."""
    if not chrom:
        return list(names)
    wanted = {spelled(name) for name in chrom}
    of = {name: spelled(found[1]) for name in names if (found := _CHROM.search(name))}
    absent = sorted(wanted - set(of.values()))
    if of and absent:
        raise ConfigError(f"`{folder}` has no file of chromosome {absent[0]}; `--chrom` names it. Leave it out.")
    return [name for name in names if of.get(name) is None or of[name] in wanted]


def _ukbb(address: str, num_people: int | None, chrom: Sequence[str], others: object) -> LDSource:
    if others:
        raise ConfigError(
            f"`{address}` takes --num-people and --chrom only: it is read as UKBB_LD. Leave the others out."
        )
    return UkbLD(address, num_people=UKB_NUM_PEOPLE if num_people is None else num_people, chroms=chrom)
