"""LD of PRS-CS and PRS-CSx: HDF5 files per chromosome with dense blocks, and a table of variants.

`ldblk_{1kg|ukbb}_{population}/ldblk_..._chr{c}.hdf5` has groups `blk_1` to `blk_K` with `ldblk` (m, m) and `snplist` (m names).
The table is `snpinfo_1kg_hm3` or `snpinfo_ukbb_hm3` (CHR SNP BP A1 A2 MAF), or PRS-CSx's `snpinfo_mult_*` with `FRQ_{POP}` and `FLP_{POP}`
(-1: r of that population refers to A2). Positions are GRCh37. (Ge et al. 2019; Ruan et al. 2022.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from varfx.errors import ConfigError, DataError, FormatError
from varfx.genotypes.matrices.blocks import BlockSource, Correlations, Square, check_square
from varfx.genotypes.plink1 import sites_of
from varfx.genotypes.ukb_npz import NPZ_DAMAGE
from varfx.io.remote import Mirror
from varfx.io.text_numbers import decimals
from varfx.io.text_table import open_table, read_with_header

ENDINGS = (".hdf5", ".h5")
_NAME = re.compile(r"(?P<stem>.*)_chr(?P<chrom>[0-9A-Za-z]+)\.(?:hdf5|h5)")
_POPULATION = re.compile(r"_(afr|amr|eas|eur|sas)(?:_|$)", re.IGNORECASE)
_COLUMNS = {"CHR": "chrom", "SNP": "variant_id", "BP": "position", "A1": "effect_allele", "A2": "other_allele"}
_DAMAGE = (*NPZ_DAMAGE, SystemError, AssertionError, IndexError, AttributeError)


class PrsCsBlocks(BlockSource):
    """Blocks of PRS-CS; a `CorrelationSource`."""

    def __init__(
        self,
        path: Path,
        *,
        variants: Path | None = None,
        population: str | None = None,
        num_people: int | None = None,
        maf: float = 0.0,
        mirror: Mirror | None = None,
    ) -> None:
        """Reads the table of variants, and the names in each block.

        Args:
            path: a file, or a folder of files.
            variants: the table (snpinfo_*), by default the one in the same folder or the one above.
            population: of PRS-CSx's table (AFR, AMR, EAS, EUR, SAS), by default as the files' name says.
            num_people: the sample size behind the correlations (the files do not say it).
            maf: the least minor-allele frequency to keep.
            mirror: where the files lie on another machine; `path` then has their names alone.

        Raises:
            ConfigError: no table, or several; no population; h5py is not installed.
            FormatError: a damaged or incomplete file.
            DataError: a block's variants that the table lacks.
        """
        self.mirror = mirror
        self._paths = _files(path)
        listed = _table_beside(path) if variants is None else variants
        table = _read_table(
            self._here(listed) if variants is None else listed, population or _population_of(self._paths[0])
        )
        blocks: list[tuple[int, str, int]] = []
        names: list[tuple[int, int, str]] = []
        for number, file in enumerate(self._paths):
            for group, snps in _block_names(self._here(file)):
                names += [(len(blocks), row, snp) for row, snp in enumerate(snps)]
                blocks.append((number, group, len(snps)))
        self._blocks = blocks
        rows = pl.DataFrame(names, schema={"block": pl.Int32, "row": pl.Int64, "variant_id": pl.String}, orient="row")
        placed = rows.join(table, on="variant_id", how="left", maintain_order="left")
        lost = placed["position"].is_null()
        if lost.any():
            raise DataError(
                f"`{listed}` lacks {lost.sum()} of the {rows.height} variants of `{path}`, first {placed['variant_id'][int(lost.arg_max() or 0)]}. "
                "Give the table that belongs to these blocks (--variants)."
            )
        super().__init__(str(path), placed, num_people=num_people, build="hg19", maf=maf)

    def _read(self, block: int) -> Correlations:
        number, group, size = self._blocks[block]
        path = self._here(self._paths[number])
        try:
            with _opened(path) as file:
                data = file[group]["ldblk"]
                if data.shape != (size, size):
                    raise ValueError(f"{group} has shape {data.shape}, but {size} variants")
                R = data[...].astype(np.float32)
        except _DAMAGE as error:
            raise _damaged(path, error) from error
        check_square(R, f"{path}:{group}")
        return Square(R)


def write_prscs(folder: Path, blocks: Iterable[tuple[str, Sequence[str], np.ndarray]]) -> None:
    """Writes `ldblk_1kg_chr{c}.hdf5`, the names by which PRS-CS looks for them.

    Args:
        folder: that exists.
        blocks: chromosome, names and correlations of each, those of a chromosome together.

    Raises:
        ConfigError: h5py is not installed.
    """
    for chrom, part in groupby(blocks, key=lambda block: block[0]):
        with _opened(folder / f"ldblk_1kg_chr{chrom}.hdf5", "w") as file:
            for number, (_, names, R) in enumerate(part, start=1):
                group = file.create_group(f"blk_{number}")
                group["ldblk"] = R.astype(np.float64)
                group["snplist"] = np.array([name.encode() for name in names])


def _files(path: Path) -> list[Path]:
    """The HDF5 files of a path, by chromosome."""
    if path.is_file():
        return [path]
    found = sorted(each for each in path.iterdir() if _NAME.fullmatch(each.name))
    stems = {_NAME.fullmatch(each.name)["stem"] for each in found}  # type: ignore[index]
    if len(stems) > 1:
        raise ConfigError(
            f"`{path}` holds LD of {len(stems)} references ({', '.join(sorted(stems)[:3])}). Give the files of one."
        )
    if not found:
        raise FormatError(f"`{path}` holds no ldblk_*_chr*.hdf5 of PRS-CS. Check the path.")
    return found


def _table_beside(path: Path) -> Path:
    folder = path if path.is_dir() else path.parent
    for place in (folder, folder.absolute().parent):
        found = sorted(each for each in place.iterdir() if each.is_file() and each.name.startswith("snpinfo_"))
        if len(found) > 1:
            raise ConfigError(
                f"`{place}` holds {found[0].name} and {found[1].name}. Say with --variants which belongs to `{path.name}`."
            )
        if found:
            return found[0]
    raise ConfigError(
        f"`{path}` has no snpinfo_* beside it, which PRS-CS's LD needs for positions and alleles. Give it with --variants."
    )


def _population_of(path: Path) -> str | None:
    found = _POPULATION.search(path.name)
    return None if found is None else found[1].upper()


def _read_table(path: Path, population: str | None) -> pl.DataFrame:
    """Columns of `SCHEMA`, `maf` or `eaf`, and `sign` where the table has the population's flips."""
    names = open_table(path).names
    if "MAF" in names:
        table = read_with_header(path, [*_COLUMNS, "MAF"], "variants")
        extra = [decimals(table, "MAF", path).alias("maf")]
    else:
        known = sorted(name.removeprefix("FRQ_") for name in names if name.startswith("FRQ_"))
        if not known:
            raise FormatError(
                f"`{path}` has neither MAF nor FRQ_ columns; it has {', '.join(names[:10])}. Give PRS-CS's snpinfo table."
            )
        if population is None or population.upper() not in known:
            told = "is not known" if population is None else f"{population} is not among them"
            raise ConfigError(
                f"`{path}` is of the populations {', '.join(known)}, and that of the LD {told}. Give --population."
            )
        population = population.upper()
        table = read_with_header(path, [*_COLUMNS, f"FRQ_{population}", f"FLP_{population}"], "variants")
        flips = decimals(table, f"FLP_{population}", path)
        if not flips.is_in([-1.0, 1.0, 0.0]).all():
            raise DataError(f"`{path}`: FLP_{population} holds values other than 1, -1 and 0. Fetch it again.")
        sign = pl.Series("sign", np.where(flips.to_numpy() < 0, -1, 1)).cast(pl.Int8)
        extra = [decimals(table, f"FRQ_{population}", path).alias("maf"), sign]
    sites = sites_of(table.rename(_COLUMNS), path).with_columns(extra)
    twice = sites["variant_id"].is_duplicated()
    if twice.any():
        raise DataError(
            f"`{path}` lists {twice.sum()} variants more than once, first {sites['variant_id'][int(twice.arg_max() or 0)]}."
        )
    return sites


def _block_names(path: Path) -> list[tuple[str, list[str]]]:
    """The blocks that hold variants, in the order of their numbers, and their names."""
    try:
        with _opened(path) as file:
            groups = sorted((int(name.removeprefix("blk_")), name) for name in file if re.fullmatch(r"blk_\d+", name))
            if not groups:
                raise ValueError("it has no groups blk_1, blk_2, ...")
            lists = [
                (name, [each.decode() if isinstance(each, bytes) else str(each) for each in file[name]["snplist"][...]])
                for _, name in groups
            ]
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    return [(name, snps) for name, snps in lists if snps]


def _opened(path: Path, mode: str = "r") -> Any:
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ConfigError(f"`{path}` is HDF5, which needs h5py: pip install 'varfx[hdf5]'.") from error
    return h5py.File(path, mode)


def _damaged(path: Path, error: BaseException) -> FormatError:
    if isinstance(error, FormatError):
        return error
    reason = " ".join(str(error).split()).rstrip(".")[:120]
    return FormatError(f"`{path}` is not a whole HDF5 file of PRS-CS ({reason}). Fetch it again.")
