from __future__ import annotations

import gzip
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from varfx.errors import ConfigError, DataError, FormatError, StoreError
from varfx.genome.variants import SCHEMA
from varfx.genotypes import ukb_npz
from varfx.genotypes.ld_source import CorrelationSource, GenotypeSource, MissingRegion
from varfx.genotypes.ukb_ld import UKB_NUM_PEOPLE, UkbLD, write_ukb_ld

MB = 1_000_000
STEM = "chr22_1_3000001"


def table_of(positions: Any, chrom: str = "22") -> pl.DataFrame:
    size = len(positions)
    return pl.DataFrame(
        {
            "chrom": [chrom] * size,
            "position": list(positions),
            "variant_id": [f"rs{position}" for position in positions],
            "effect_allele": ["A"] * size,
            "other_allele": ["G"] * size,
            "eaf": [None] * size,
        },
        schema=SCHEMA,
    )


def correlations(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.asarray(np.corrcoef(rng.normal(size=(size, 2 * size)) + rng.normal(size=2 * size)))


def write_table(folder: Path, stem: str, table: pl.DataFrame) -> None:
    rows = ["rsid\tchromosome\tposition\tallele1\tallele2"]
    for row in table.iter_rows(named=True):
        fields = (row["variant_id"], row["chrom"], row["position"], row["effect_allele"], row["other_allele"])
        rows.append("\t".join(map(str, fields)))
    with gzip.open(folder / f"{stem}.gz", "wt") as file:
        file.write("\n".join(rows) + "\n")


def write_region(folder: Path, stem: str, table: pl.DataFrame, stored: np.ndarray, layout: str = "coo") -> None:
    """A region with the matrix stored as it is given."""
    write_table(folder, stem, table)
    sparse.save_npz(folder / f"{stem}.npz", sparse.coo_matrix(stored).asformat(layout))


def stored_as(R: np.ndarray, side: str, diagonal: float) -> np.ndarray:
    stored = {"lower": np.tril, "upper": np.triu, "both": np.copy}[side](R)
    np.fill_diagonal(stored, diagonal)
    return np.asarray(stored)


class TestOneRegion:
    @pytest.mark.parametrize("layout", ["coo", "csr", "csc"])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("diagonal", [0.5, 1.0])
    @pytest.mark.parametrize("side", ["lower", "upper", "both"])
    def test_either_triangle_and_diagonal(
        self, tmp_path: Path, rng: np.random.Generator, side: str, diagonal: float, dtype: Any, layout: str
    ) -> None:
        R = correlations(rng, 12)
        write_region(tmp_path, STEM, table_of(range(1, 13)), stored_as(R, side, diagonal).astype(dtype), layout)
        source = UkbLD(tmp_path)
        index = np.arange(12)
        square, cross = source.correlation(index, index)
        assert square.dtype == cross.dtype == np.float32
        np.testing.assert_allclose(square, R, atol=1e-6)
        np.testing.assert_allclose(cross, R, atol=1e-6)
        assert (square.diagonal() == 1).all()

    @pytest.mark.parametrize("side", ["lower", "upper", "both"])
    def test_blocks_and_chunks_do_not_matter(
        self, tmp_path: Path, rng: np.random.Generator, side: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ukb_npz, "_BLOCK", 5)
        monkeypatch.setattr(ukb_npz, "_CHUNK_ENTRIES", 7)
        R = correlations(rng, 23)
        write_region(tmp_path, STEM, table_of(range(1, 24)), stored_as(R, side, 0.5))
        np.testing.assert_allclose(UkbLD(tmp_path).correlation(np.arange(23), np.arange(23))[0], R, atol=1e-6)

    def test_one_variant(self, tmp_path: Path) -> None:
        write_region(tmp_path, STEM, table_of([5]), np.array([[0.5]]))
        assert UkbLD(tmp_path).correlation(np.array([0]), np.array([0]))[0].tolist() == [[1.0]]

    def test_rows_out_of_order_bad_alleles_and_copies(self, tmp_path: Path, rng: np.random.Generator) -> None:
        R = correlations(rng, 6)
        table = table_of([50, 10, 10, 30, 40, 20]).with_columns(
            pl.Series("effect_allele", ["A", "A", "G", "<DEL>", "c", "A"]),
            pl.Series("other_allele", ["G", "G", "A", "G", "T", "G"]),
        )
        write_region(tmp_path, STEM, table, stored_as(R, "lower", 0.5))
        source = UkbLD(tmp_path)
        rows = [1, 5, 4, 0]
        assert source.variants["variant_id"].to_list() == ["rs10", "rs20", "rs40", "rs50"]
        assert source.variants["effect_allele"].to_list() == ["A", "A", "C", "A"]
        assert [entry["count"] for entry in source.ledger] == [1, 1]
        core, panel = np.array([3, 1]), np.array([0, 1, 2, 3])
        square, cross = source.correlation(core, panel)
        np.testing.assert_allclose(square, R[np.ix_([0, 5], [0, 5])], atol=1e-6)
        np.testing.assert_allclose(cross, R[np.ix_([0, 5], rows)], atol=1e-6)

    def test_what_it_says_of_itself(self, tmp_path: Path, rng: np.random.Generator) -> None:
        write_region(tmp_path, STEM, table_of(range(1, 5)), correlations(rng, 4))
        source = UkbLD(tmp_path)
        assert isinstance(source, CorrelationSource)
        assert not isinstance(source, GenotypeSource)
        assert source.variants.schema == pl.Schema(SCHEMA)
        assert source.variants["eaf"].null_count() == 4
        assert source.num_people == UKB_NUM_PEOPLE == 337_545
        assert UkbLD(tmp_path, num_people=1000).num_people == 1000
        assert source.missing == ()
        with pytest.raises(ConfigError, match=r"`num_people` must be above 2, got 2"):
            UkbLD(tmp_path, num_people=2)

    def test_pickled_source_has_no_matrix_and_reads_the_same(self, tmp_path: Path, rng: np.random.Generator) -> None:
        write_region(tmp_path, STEM, table_of(range(1, 101)), correlations(rng, 100))
        source = UkbLD(tmp_path)
        before = len(pickle.dumps(source))
        index = np.arange(100)
        expected = source.correlation(index, index)[1]
        content = pickle.dumps(source)
        assert len(content) == before
        assert np.array_equal(pickle.loads(content).correlation(index, index)[1], expected)

    def test_the_matrix_is_read_once(self, tmp_path: Path, rng: np.random.Generator) -> None:
        write_region(tmp_path, STEM, table_of(range(1, 9)), correlations(rng, 8))
        source = UkbLD(tmp_path)
        first = source.correlation(np.arange(4), np.arange(8))[1].copy()
        (tmp_path / f"{STEM}.npz").unlink()
        assert np.array_equal(source.correlation(np.arange(4), np.arange(8))[1], first)


class TestManyRegions:
    @pytest.fixture
    def R(self, rng: np.random.Generator) -> np.ndarray:
        return correlations(rng, 50)

    @pytest.fixture
    def folder(self, tmp_path: Path, R: np.ndarray) -> Path:
        """Variants every 100 kb of 5 Mb, in three regions; alleles of the odd variants are swapped in the second."""
        positions = np.arange(50) * 100_000 + 1
        for start in range(3):
            inside = np.flatnonzero((positions > start * MB) & (positions <= (start + 3) * MB))
            sign = np.where((inside % 2 == 1) & (start == 1), -1, 1)
            table = table_of(positions[inside]).with_columns(
                pl.Series("effect_allele", np.where(sign < 0, "G", "A")),
                pl.Series("other_allele", np.where(sign < 0, "A", "G")),
            )
            part = R[np.ix_(inside, inside)] * sign * sign[:, None]
            write_region(
                tmp_path, f"chr22_{start * MB + 1}_{(start + 3) * MB + 1}", table, stored_as(part, "lower", 0.5)
            )
        return tmp_path

    @pytest.mark.parametrize(
        ("start", "panel"), [(0, (0, 20)), (1, (0, 30)), (2, (10, 40)), (3, (20, 50)), (4, (30, 50))]
    )
    def test_each_core_has_the_region_with_the_most_flank(
        self, folder: Path, R: np.ndarray, start: int, panel: tuple[int, int]
    ) -> None:
        source = UkbLD(folder)
        assert source.variants.height == 50
        core, wide = source.select("22", start * MB, (start + 1) * MB, MB)
        assert core.tolist() == list(range(10 * start, 10 * start + 10))
        assert wide.tolist() == list(range(*panel))
        # Variants 30 to 39 are first met in the second region, so that its alleles are theirs.
        sign = np.where((np.arange(50) % 2 == 1) & (np.arange(50) // 10 == 3), -1, 1)
        assert source.variants["effect_allele"].to_list() == ["A" if s > 0 else "G" for s in sign]
        square, cross = source.correlation(core, wide)
        expected = R * sign * sign[:, None]
        np.testing.assert_allclose(square, expected[np.ix_(core, core)], atol=1e-6)
        np.testing.assert_allclose(cross, expected[np.ix_(core, wide)], atol=1e-6)

    def test_the_panel_is_limited_to_the_flank(self, folder: Path) -> None:
        assert UkbLD(folder).select("22", 2 * MB, 3 * MB, 150_000)[1].tolist() == list(range(19, 32))

    def test_swapped_alleles_turn_the_sign_whichever_region_comes_first(self, folder: Path, R: np.ndarray) -> None:
        (folder / "chr22_1_3000001.npz").unlink()
        source = UkbLD(folder)
        assert source.variants["effect_allele"].head(4).to_list() == ["A", "G", "A", "G"]  # now of the second region
        sign = np.where(source.variants["effect_allele"] == "A", 1, -1)
        for start in (2, 3):
            core, wide = source.select("22", start * MB, (start + 1) * MB, MB)
            there = R[np.ix_(core + 10, wide + 10)] * sign[core][:, None] * sign[wide]
            np.testing.assert_allclose(source.correlation(core, wide)[1], there, atol=1e-6)

    def test_other_alleles_at_a_position_are_another_variant(self, tmp_path: Path, rng: np.random.Generator) -> None:
        for start, other in ((0, "G"), (1, "T")):
            table = table_of([2_500_000]).with_columns(other_allele=pl.lit(other))
            write_region(tmp_path, f"chr22_{start * MB + 1}_{(start + 3) * MB + 1}", table, np.array([[1.0]]))
        assert UkbLD(tmp_path).variants["other_allele"].to_list() == ["G", "T"]

    def test_chromosomes_come_in_genome_order(self, folder: Path, rng: np.random.Generator) -> None:
        for chrom in ("X", "3", "10"):
            write_region(folder, f"chr{chrom}_1_3000001", table_of([7, 9], chrom), correlations(rng, 2))
        source = UkbLD(folder)
        assert source.variants["chrom"].unique(maintain_order=True).to_list() == ["3", "10", "22", "X"]
        core, panel = source.select("X", 0, MB, MB)
        assert source.variants["chrom"].gather(core).to_list() == ["X", "X"]
        assert source.correlation(core, panel)[0].shape == (2, 2)
        assert all(part.size == 0 for part in source.select("5", 0, MB, MB))

    def test_a_core_that_no_region_holds_is_refused(self, folder: Path) -> None:
        source = UkbLD(folder)
        message = r"no region holds the whole core 22:0-5000000; the best, .*, has 30 of its 50 variants\. Use a --core"
        with pytest.raises(DataError, match=message):
            source.select("22", 0, 5 * MB, 0)
        core, _ = source.select("22", 4 * MB, 6 * MB, MB)  # beyond the last region, where there is nothing
        assert core.tolist() == list(range(40, 50))

    def test_variants_of_two_regions_are_refused(self, folder: Path) -> None:
        with pytest.raises(DataError, match=r"no region holds all 50 variants asked for\. Take those"):
            UkbLD(folder).correlation(np.arange(2), np.arange(50))

    @pytest.mark.parametrize(
        ("stem", "change", "start", "end", "reason"),
        [
            ("chr22_1000001_4000001", "npz2", 2, 3, "chr22_1000001_4000001: only an .npz2 file"),
            ("chr22_1_3000001", "npz", 0, 2, "chr22_1_3000001: the .npz file is missing"),
            ("chr22_2000001_5000001", "gz", 3, 5, "chr22_2000001_5000001: the .gz file is missing"),
        ],
    )
    def test_unreadable_regions_are_missing_windows(
        self, folder: Path, stem: str, change: str, start: int, end: int, reason: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        if change == "npz2":
            (folder / f"{stem}.npz").rename(folder / f"{stem}.npz2")
        else:
            (folder / f"{stem}.{change}").unlink()
        with caplog.at_level(logging.WARNING):
            source = UkbLD(folder)
        assert len(source.missing) == 1
        region = source.missing[0]
        assert (region.chrom, region.start, region.end) == ("22", start * MB, end * MB)
        assert isinstance(region, MissingRegion)
        assert region.reason.startswith(reason)
        assert reason in caplog.text


class TestBadInput:
    @pytest.fixture
    def region(self, tmp_path: Path, rng: np.random.Generator) -> tuple[Path, np.ndarray]:
        R = correlations(rng, 8)
        write_region(tmp_path, STEM, table_of(range(1, 9)), stored_as(R, "both", 1))
        return tmp_path, R

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            ({(5, 2): np.nan}, r"at least 1 correlations are NaN or outside -1 to 1, first nan in row 6, column 3\."),
            ({(5, 2): np.inf}, r"at least 1 correlations are NaN or outside -1 to 1, first inf in row 6, column 3\."),
            ({(1, 0): 1.01, (3, 0): -1.5}, r"at least 2 correlations .* first 1\.01 in row 2, column 1\."),
            (
                {(5, 2): 0.9, (6, 2): 0.9},
                r"is asymmetric: 2 pairs differ between its two triangles, first row 6, column 3",
            ),
            ({(5, 2): 0.0}, r"is asymmetric: 1 pairs differ"),
            (
                {(3, 3): 0.7},
                r"the diagonal must be 0\.5 or 1 throughout, but 1 of 8 entries are not, first 0\.7 in row 4",
            ),
            (
                {(3, 3): 0.5},
                r"the diagonal must be 0\.5 or 1 throughout, but 1 of 8 entries are not, first 0\.5 in row 4",
            ),
        ],
    )
    def test_impossible_values(
        self, region: tuple[Path, np.ndarray], change: dict[tuple[int, int], float], match: str
    ) -> None:
        folder, R = region
        stored = stored_as(R, "both", 1)
        for place, value in change.items():
            stored[place] = value
        write_region(folder, STEM, table_of(range(1, 9)), stored)
        with pytest.raises(DataError, match=match) as caught:
            UkbLD(folder).correlation(np.arange(8), np.arange(8))
        assert "\n" not in str(caught.value)

    def test_rounding_beyond_one_is_tolerated(self, tmp_path: Path) -> None:
        write_region(tmp_path, STEM, table_of([1, 2]), np.array([[0.5, 0], [1.0005, 0.5]]))
        assert UkbLD(tmp_path).correlation(np.arange(2), np.arange(2))[0][0, 1] == pytest.approx(1.0005)

    def test_size_disagrees_with_the_table(self, region: tuple[Path, np.ndarray]) -> None:
        folder, _ = region
        write_table(folder, STEM, table_of(range(1, 8)))
        message = r"chr22_1_3000001\.npz` holds 8 x 8 correlations, but `.*chr22_1_3000001\.gz` lists 7 variants\."
        with pytest.raises(FormatError, match=message):
            UkbLD(folder).correlation(np.arange(7), np.arange(7))

    def test_not_square(self, region: tuple[Path, np.ndarray]) -> None:
        folder, R = region
        write_region(folder, STEM, table_of(range(1, 9)), R[:, :7])
        with pytest.raises(FormatError, match=r"holds a matrix of shape \(8, 7\); a square one is needed"):
            UkbLD(folder).correlation(np.arange(8), np.arange(8))

    @pytest.mark.parametrize("fault", ["text", "empty", "cut", "flipped", "npy", "no format", "lengths", "outside"])
    def test_damaged_matrix(self, region: tuple[Path, np.ndarray], fault: str) -> None:
        folder, R = region
        path = folder / f"{STEM}.npz"
        whole = path.read_bytes()
        good = {"row": np.arange(8), "col": np.arange(8), "data": np.ones(8), "shape": (8, 8), "format": b"coo"}
        if fault == "npy":
            with open(path, "wb") as file:
                np.save(file, R)
        elif fault == "no format":
            np.savez(path, **{key: value for key, value in good.items() if key != "format"})
        elif fault == "lengths":
            np.savez(path, **{**good, "row": np.arange(7)})
        elif fault == "outside":
            np.savez(path, **{**good, "col": np.arange(8) + 1})
        else:
            contents = {"text": b"hello", "empty": b"", "cut": whole[:-200]}
            middle = len(whole) // 2
            contents["flipped"] = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
            path.write_bytes(contents[fault])
        match = r"entries outside its 8 rows" if fault == "outside" else r"is not a whole scipy\.sparse \.npz file \("
        with pytest.raises(FormatError, match=match):
            UkbLD(folder).correlation(np.arange(8), np.arange(8))

    def test_a_flipped_byte_never_changes_a_value_unseen(self, region: tuple[Path, np.ndarray]) -> None:
        folder, _ = region
        path, index = folder / f"{STEM}.npz", np.arange(8)
        whole, expected = path.read_bytes(), UkbLD(folder).correlation(index, index)[0]
        refused = 0
        for place in range(0, len(whole), 5):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            try:
                assert np.array_equal(UkbLD(folder).correlation(index, index)[0], expected)
            except DataError:
                refused += 1
        assert refused > 100

    @pytest.mark.parametrize(
        ("content", "match"),
        [
            (b"", r"is empty: it should list variants"),
            (b"rsid chromosome\n", r"5 columns are missing from its header, first `rsid`|columns are missing"),
            (b"rsid\tchromosome\tposition\tallele1\tallele2\n", r"lists no variants"),
            (b"rsid\tchromosome\tposition\tallele1\tallele2\nrs1\t22\tx\tA\tG\n", r"`position` is not a whole number"),
            (
                b"rsid\tchromosome\tposition\tallele1\tallele2\nrs1\t21\t5\tA\tG\n",
                r"1 of 1 variants are not on chromosome 22",
            ),
            (b"rsid\tchromosome\tposition\tallele1\tallele2\nrs1\t22\t5\tN\tG\n", r"none of its variants has alleles"),
        ],
    )
    def test_bad_table(self, region: tuple[Path, np.ndarray], content: bytes, match: str) -> None:
        (region[0] / f"{STEM}.gz").write_bytes(gzip.compress(content))
        with pytest.raises(DataError, match=match):
            UkbLD(region[0])

    def test_truncated_table(self, region: tuple[Path, np.ndarray]) -> None:
        path = region[0] / f"{STEM}.gz"
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(FormatError, match=r"is damaged or truncated: it cannot be decompressed"):
            UkbLD(region[0])

    def test_folders_without_regions(self, tmp_path: Path) -> None:
        with pytest.raises(FormatError, match=r"holds no UKBB_LD files"):
            UkbLD(tmp_path / "absent")
        (tmp_path / "readme.txt").write_text("x")
        with pytest.raises(FormatError, match=r"holds no UKBB_LD files"):
            UkbLD(tmp_path)
        (tmp_path / f"{STEM}.npz2").write_bytes(b"")
        with pytest.raises(
            FormatError, match=r"none of its 1 regions has both an \.npz and a \.gz file, first chr22_1_"
        ):
            UkbLD(tmp_path)


class TestWriting:
    def test_round_trip_and_the_stored_form(self, tmp_path: Path, rng: np.random.Generator) -> None:
        R = correlations(rng, 9)
        write_ukb_ld(tmp_path, STEM, table_of(range(1, 10)), R)
        with np.load(tmp_path / f"{STEM}.npz") as archive:
            assert archive["data"].dtype == np.float32
            assert archive["row"].dtype == np.int32
            assert archive["data"].size == 45
        stored = sparse.load_npz(tmp_path / f"{STEM}.npz").toarray()
        assert (np.triu(stored, 1) == 0).all()
        np.testing.assert_allclose(stored + stored.T, R, atol=1e-6)  # how PolyFun reads it
        header = gzip.decompress((tmp_path / f"{STEM}.gz").read_bytes()).partition(b"\n")[0]
        assert header == b"rsid\tchromosome\tposition\tallele1\tallele2"
        source = UkbLD(tmp_path)
        assert source.variants.equals(table_of(range(1, 10)))
        np.testing.assert_allclose(source.correlation(np.arange(9), np.arange(9))[0], R, atol=1e-6)

    def test_the_same_input_gives_the_same_table_file(self, tmp_path: Path, rng: np.random.Generator) -> None:
        contents = []
        for _ in range(2):
            write_ukb_ld(tmp_path, STEM, table_of([1, 2]), np.eye(2))
            contents.append((tmp_path / f"{STEM}.gz").read_bytes())
        assert contents[0] == contents[1]

    def test_refusals(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"`name` must look like chr22_20000001_23000001, got 'chr22'"):
            write_ukb_ld(tmp_path, "chr22", table_of([1, 2]), np.eye(2))
        with pytest.raises(DataError, match=r"`R` has shape \(3, 3\), but there are 2 variants"):
            write_ukb_ld(tmp_path, STEM, table_of([1, 2]), np.eye(3))
        with pytest.raises(StoreError, match=r"the folder .* does not exist"):
            write_ukb_ld(tmp_path / "absent", STEM, table_of([1, 2]), np.eye(2))
        assert list(tmp_path.iterdir()) == []
