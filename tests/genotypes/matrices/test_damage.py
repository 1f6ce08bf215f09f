"""Files of LD that are damaged, incomplete, or mean something else: one line, and no panel."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest

from cases import ld_matrices as write
from varfx.errors import ConfigError, DataError, FormatError, VarfxError
from varfx.genotypes.open_ld import open_source

SIZE = 6
VARIANTS = pl.DataFrame(
    {
        "chrom": ["1"] * SIZE,
        "position": range(10, 10 + SIZE),
        "variant_id": [f"rs{i}" for i in range(SIZE)],
        "effect_allele": ["A"] * SIZE,
        "other_allele": ["C"] * SIZE,
        "eaf": [0.2] * SIZE,
    }
)
R = 0.5 ** np.abs(np.subtract.outer(np.arange(SIZE), np.arange(SIZE)))


def read_all(path: Path, **options: object) -> np.ndarray:
    source = open_source(path, num_people=100, **options)  # type: ignore[arg-type]
    rows = np.arange(source.variants.height)
    return source.correlation(rows, rows)[0]  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize(
    ("ending", "spoil", "message"),
    [
        (".ld.bin", lambda r: r[:-1], r"has 120 bytes, but a square of its 6 variants has 144 \(bin4\) or 288 \(bin\)"),
        (".ld", lambda r: r[:-1], r"has 5 rows, but 6 variants belong to it\. It is truncated"),
        (".ld", lambda r: r[:, :-1], r"has 5 numbers in row 1, but 6 variants .* A triangle"),
        (".ld", lambda r: np.vstack([r, r[:1]]), r"has more than 6 rows"),
        (".npy", lambda r: r[:-1], r"array of shape \(5, 6\) and type float64, but 6 variants"),
        (".npy", lambda r: r * 2, r"correlations are NaN or outside -1 to 1, first 2 of row 1 with row 1"),
        (".npy", lambda r: r + np.triu(np.full((6, 6), 0.1), 1), r"is asymmetric: r of row 1 with row 2 is 0\.6"),
        (".npy", lambda r: r - np.eye(6) * 0.5, r"the diagonal must be 1, but 6 of 6 entries are not, first 0\.5"),
        (".npz", lambda r: r[0], r"array of shape \(6,\)"),
    ],
)
def test_squares_that_are_none(tmp_path: Path, ending: str, spoil, message: str) -> None:
    path = write.write_square(tmp_path / f"x{ending}", spoil(R), VARIANTS)
    with pytest.raises((FormatError, DataError), match=message):
        read_all(path)


def test_r2_is_recognised(tmp_path: Path) -> None:
    size = 120
    table = pl.concat([VARIANTS] * 20).with_columns(
        position=pl.int_range(1, size + 1), variant_id=pl.format("rs{}", pl.int_range(size))
    )
    squares = np.eye(size) * 0.5 + 0.5
    with pytest.raises(DataError, match=r"no negative value among 120 variants: it holds r2"):
        read_all(write.write_square(tmp_path / "x.npy", squares, table))
    with pytest.raises(DataError, match=r"vcor2.* holds r2"):
        read_all(write.write_square(tmp_path / "y.unphased.vcor2.bin", R, VARIANTS))


@pytest.mark.parametrize(
    "header", ["CHR_A\tBP_A\tSNP_A\tCHR_B\tBP_B\tSNP_B\tR", "#CHROM_A\tPOS_A\tID_A\tCHROM_B\tPOS_B\tID_B\tUNPHASED_R"]
)
def test_tables_of_pairs_are_refused(tmp_path: Path, header: str) -> None:
    path = write.write_square(tmp_path / "x.ld", R, VARIANTS)
    path.write_text(header + "\n1\t10\trs0\t1\t11\trs1\t0.5\n")
    with pytest.raises(DataError, match="is a table of pairs above a threshold of r2"):
        read_all(path)


def test_squares_and_their_lists(tmp_path: Path) -> None:
    path = write.write_square(tmp_path / "x.ld.bin", R, VARIANTS)
    with pytest.raises(ConfigError, match=r"does not say of how many individuals its LD is\. Give --num-people"):
        open_source(path)
    with pytest.raises(ConfigError, match=r"`r_allele` is for square"):
        open_source(write.write_sbayesrc(tmp_path / "s", {"1": R}, VARIANTS, people=9), r_allele="listed")
    plink2 = write.write_square(tmp_path / "y.unphased.vcor1.bin", R, VARIANTS)
    with pytest.raises(ConfigError, match=r"does not say what its r refers to: --r-allele listed if"):
        open_source(plink2, num_people=9)
    with pytest.raises(ConfigError, match=r"major allele of 6 of 6 variants is not known, first rs0"):
        open_source(plink2, num_people=9, r_allele="major")
    (tmp_path / "y.unphased.vcor1.bin.vars").write_text("rs0\nrs1\nrs2\nrs3\nrs4\nrsX\n")
    with pytest.raises(ConfigError, match=r"lacks 1 of the 6 variants of `y\.unphased\.vcor1\.bin\.vars`, first rsX"):
        open_source(plink2, num_people=9, r_allele="listed")
    (tmp_path / "x.bim").write_text("")
    with pytest.raises(ConfigError, match=r"x\.bim` and `x\.variants\.tsv` both stand beside the matrix"):
        open_source(path, num_people=9)
    (tmp_path / "x.bim").unlink()
    (tmp_path / "x.variants.tsv").unlink()
    with pytest.raises(
        ConfigError, match=r"has no list of variants beside it \(\.z, \.bim, \.pvar\)\. Give one with --variants"
    ):
        open_source(path, num_people=9)
    listed = tmp_path / "list.tsv"
    listed.write_text("CHR\tBP\tSNP\tA1\tA2\tREF\tALT\n1\t1\trs1\tA\tC\tA\tC\n")
    with pytest.raises(FormatError, match="more than one pair of alleles"):
        open_source(path, num_people=9, variants=listed)


def test_blocks_that_share_variants_are_refused(tmp_path: Path) -> None:
    paths = [write.write_square(tmp_path / f"{name}.npy", R, VARIANTS) for name in "ab"]
    with pytest.raises(DataError, match=r"a\.npy` and `.*b\.npy` share variants \(6, first rs0\)"):
        open_source(paths, num_people=9)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data[:-3], r"has 181 bytes, but 6 eigenvectors of 6 variants make 184"),
        (lambda data: data[:10], r"has only 10 bytes: it is truncated"),
        (lambda data: b"\x07" + data[1:], r"has 7 variants, but snp\.info lists 6"),
        (lambda data: data[:4] + b"\x09" + data[5:], r"says that it has 9 eigenvectors of 6 variants"),
        (lambda data: data[:16] + b"\0\0\0\0" + data[20:], r"its eigenvalues are not positive and descending"),
        (lambda data: data[:50] + b"\x7f" + data[51:], r"its eigenvectors are not"),
        (lambda data: data[:8] + np.float32(1).tobytes() + data[12:], r"add up to 6, more than their stated sum 1"),
    ],
)
def test_damaged_blocks_of_sbayesrc(tmp_path: Path, spoil, message: str) -> None:
    folder = write.write_sbayesrc(tmp_path / "ld", {"1": R}, VARIANTS, people=99)
    block = folder / "block1.eigen.bin"
    block.write_bytes(spoil(block.read_bytes()))
    with pytest.raises(FormatError, match=message):
        read_all(folder)


def test_incomplete_folders(tmp_path: Path) -> None:
    folder = write.write_sbayesrc(tmp_path / "ld", {"1": R[:3, :3], "2": R[3:, 3:]}, VARIANTS, people=99)
    (folder / "block2.eigen.bin").unlink()
    with pytest.raises(FormatError, match=r"lacks the files of 1 of its 2 blocks, first block 2"):
        open_source(folder)
    (folder / "snp.info").unlink()
    with pytest.raises(ConfigError, match=r"lacks snp\.info"):
        open_source(folder)
    prscs = write.write_prscs(tmp_path / "prscs", {"1": R}, VARIANTS)
    shutil.copy(prscs / "snpinfo_1kg_hm3", prscs / "snpinfo_ukbb_hm3")
    with pytest.raises(ConfigError, match=r"snpinfo_1kg_hm3 and snpinfo_ukbb_hm3"):
        open_source(prscs, num_people=9)
    for name in ("snpinfo_1kg_hm3", "snpinfo_ukbb_hm3"):
        (prscs / name).unlink()
    with pytest.raises(ConfigError, match=r"has no snpinfo_\* beside it"):
        open_source(prscs, num_people=9)


def test_populations_of_prscsx(tmp_path: Path) -> None:
    folder = write.write_prscs(tmp_path / "ld", {"1": R}, VARIANTS, np.ones(SIZE))
    with pytest.raises(ConfigError, match=r"of the populations AFR, EUR, and that of the LD SAS is not among them"):
        open_source(folder, num_people=9, population="SAS")
    (folder / "ldblk_1kg_eur_chr1.hdf5").rename(folder / "mine_chr1.hdf5")
    with pytest.raises(ConfigError, match=r"that of the LD is not known\. Give --population"):
        open_source(folder, num_people=9)
    assert np.allclose(read_all(folder, population="EUR"), R)


def test_damaged_hdf5(tmp_path: Path) -> None:
    folder = write.write_prscs(tmp_path / "ld", {"1": R}, VARIANTS)
    path = folder / "ldblk_1kg_eur_chr1.hdf5"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match=r"is not a whole HDF5 file of PRS-CS"):
        read_all(folder)
    path.write_bytes(whole)
    with h5py.File(path, "a") as file:
        del file["blk_1/snplist"]
        file["blk_1/snplist"] = np.array(["rs0", "rs1"], dtype="S5")
    with pytest.raises(FormatError, match=r"blk_1 has shape \(6, 6\), but 2 variants"):
        read_all(folder)
    with h5py.File(path, "a") as file:
        del file["blk_1/snplist"]
        file["blk_1/snplist"] = np.array([f"other{i}" for i in range(SIZE)], dtype="S9")
    with pytest.raises(DataError, match=r"lacks 6 of the 6 variants of .*, first other0"):
        read_all(folder)


def test_damaged_magenpy(tmp_path: Path) -> None:
    folder = write.write_magenpy(tmp_path / "chr_1", R, VARIANTS, people=99)
    chunk = next(path for path in sorted((folder / "matrix" / "data").iterdir()) if not path.name.startswith("."))
    chunk.write_bytes(chunk.read_bytes()[:4])
    with pytest.raises(FormatError, match=r"is not a whole matrix of magenpy"):
        read_all(folder)
    shutil.rmtree(folder / "metadata" / "bp")
    with pytest.raises(FormatError, match=r"is not a whole matrix of magenpy"):
        read_all(folder)


def test_damaged_rds(tmp_path: Path) -> None:
    folder = write.write_ldpred2(tmp_path / "ld", {"1": R}, VARIANTS)
    path = folder / "LD_with_blocks_chr1.rds"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(FormatError, match=r"is damaged or truncated: it cannot be decompressed"):
        read_all(folder)
    path.write_bytes(b"X\n12")
    with pytest.raises(FormatError, match=r"is not a whole \.rds file"):
        read_all(folder)
    other = write.write_ldpred2(tmp_path / "other", {"1": R[:5, :5]}, VARIANTS)
    with pytest.raises(FormatError, match=r"has shape \(5, 5\), but its map lists 6 variants"):
        read_all(other)
    shutil.copy(folder / "map_hm3_plus.rds", path)
    with pytest.raises(FormatError, match=r"holds no sparse matrix \(dsCMatrix\) but DataFrame"):
        read_all(folder)


def attempt(path: Path) -> tuple[np.ndarray, str]:
    """Correlations, or none and the error's text."""
    try:
        return read_all(path), ""
    except VarfxError as error:
        return np.empty(0), str(error)


@pytest.mark.parametrize("layout", ["sbayesrc", "prscs", "magenpy", "ldpred2", "square"])
def test_any_flipped_byte_gives_our_error_or_correlations(tmp_path: Path, layout: str) -> None:
    """No exception of a foreign library, and never a value that is no correlation."""
    makers = {
        "sbayesrc": lambda: write.write_sbayesrc(tmp_path / "ld", {"1": R}, VARIANTS, people=99),
        "prscs": lambda: write.write_prscs(tmp_path / "ld", {"1": R}, VARIANTS),
        "magenpy": lambda: write.write_magenpy(tmp_path / "ld", R, VARIANTS, people=99),
        "ldpred2": lambda: write.write_ldpred2(tmp_path / "ld", {"1": R}, VARIANTS),
        "square": lambda: write.write_square(tmp_path / "x.npz", R, VARIANTS),
    }
    path = makers[layout]()
    files = [path] if path.is_file() else [each for each in sorted(path.rglob("*")) if each.is_file()]
    rng = np.random.default_rng(3)
    for _ in range(40):
        victim = files[int(rng.integers(len(files)))]
        whole = victim.read_bytes()
        place = int(rng.integers(len(whole)))
        victim.write_bytes(whole[:place] + bytes([whole[place] ^ int(rng.integers(1, 256))]) + whole[place + 1 :])
        found, said = attempt(path)
        assert "\n" not in said
        assert np.isfinite(found).all()
        assert np.abs(found).max(initial=0.0) <= 1.02
        victim.write_bytes(whole)
