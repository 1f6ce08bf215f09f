"""`GenotypePanel` through real .bed and .pgen files made here: filters, individuals, standardisation."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from bed_reader import to_bed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from varfx.errors import ConfigError, DataError, FormatError
from varfx.genome.variants import SCHEMA
from varfx.genotypes import panel as genotypes
from varfx.genotypes.ld_source import CorrelationSource, GenotypeSource
from varfx.genotypes.panel import GenotypePanel
from varfx.genotypes.plink1 import BedFile

STEPS = (
    "unplaced",
    "multi-allelic",
    "alleles outside ACGT",
    "no genotypes",
    "no variance",
    "minor-allele frequency below {maf:g}",
    "further copies of a variant",
)


def write_bed(prefix: Path, counts: np.ndarray, **properties: Any) -> Path:
    """A PLINK 1 file set of counts of A1, (individual, variant), NaN where missing."""
    people, sites = counts.shape
    defaults: dict[str, Any] = {
        "fid": [f"F{i}" for i in range(people)],
        "iid": [f"I{i}" for i in range(people)],
        "chromosome": ["22"] * sites,
        "sid": [f"rs{j}" for j in range(sites)],
        "bp_position": [1000 + 10 * j for j in range(sites)],
        "allele_1": ["A"] * sites,
        "allele_2": ["G"] * sites,
    }
    to_bed(f"{prefix}.bed", counts.astype(np.float32), properties=defaults | properties)
    return prefix


def random_counts(rng: np.random.Generator, people: int, sites: int, missing: float = 0.05) -> np.ndarray:
    counts = rng.binomial(2, rng.uniform(0.1, 0.9, sites), (people, sites)).astype(float)
    counts[:, :] = np.where(rng.random(counts.shape) < missing, np.nan, counts)
    counts[0], counts[1] = 0, 1  # every variant has a variance
    return counts


def imputed(counts: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(counts), np.nanmean(counts, axis=0), counts)


def dropped(panel: GenotypePanel) -> dict[str, int]:
    return {entry["step"]: entry["count"] for entry in panel.ledger if entry["count"]}


def test_standardised_genotypes_reproduce_numpys_correlations(tmp_path: Path, rng: np.random.Generator) -> None:
    counts = random_counts(rng, 37, 25)
    panel = GenotypePanel([BedFile(write_bed(tmp_path / "a", counts))])
    X = panel.standardised(np.arange(25), np.float64)
    assert X.shape == (37, 25)
    np.testing.assert_allclose(X.T @ X / 37, np.corrcoef(imputed(counts), rowvar=False), atol=1e-12)
    np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose((X**2).mean(axis=0), 1, rtol=1e-14)
    np.testing.assert_allclose(panel.variants["eaf"], np.nanmean(counts, axis=0) / 2, rtol=1e-14)
    assert (X[np.isnan(counts)] == 0).all()
    assert np.sign(X[0, 0]) == -1  # the first individual has no copy of A1, the effect allele
    assert panel.variants["effect_allele"].unique().to_list() == ["A"]


def test_standardised_is_float32_by_default_and_close_to_float64(tmp_path: Path, rng: np.random.Generator) -> None:
    panel = GenotypePanel([BedFile(write_bed(tmp_path / "a", random_counts(rng, 20, 6)))])
    single, double = panel.standardised(np.arange(6)), panel.standardised(np.arange(6), np.float64)
    assert single.dtype == np.float32
    assert double.dtype == np.float64
    np.testing.assert_allclose(single, double, rtol=1e-6)


def test_variants_come_in_genome_order_and_index_refers_to_it(tmp_path: Path, rng: np.random.Generator) -> None:
    counts = random_counts(rng, 30, 40)
    order = rng.permutation(40)
    chromosome, position = np.repeat(["2", "10", "X", "1"], 10), rng.permutation(40) + 1
    panel = GenotypePanel(
        [BedFile(write_bed(tmp_path / "a", counts[:, order], chromosome=chromosome, bp_position=position))]
    )
    assert panel.variants.schema == pl.Schema(SCHEMA)
    assert panel.variants["chrom"].unique(maintain_order=True).to_list() == ["1", "2", "10", "X"]
    assert all(part["position"].is_sorted() for part in panel.variants.partition_by("chrom"))
    index = rng.permutation(40)[:15]
    in_file = [int(name.removeprefix("rs")) for name in panel.variants["variant_id"].gather(index)]
    expected = imputed(counts[:, order])[:, in_file]
    expected = (expected - expected.mean(axis=0)) / expected.std(axis=0)
    np.testing.assert_allclose(panel.standardised(index, np.float64), expected, atol=1e-12)


def test_select_takes_half_open_stretches_of_zero_based_positions(tmp_path: Path, rng: np.random.Generator) -> None:
    position = [100, 101, 200, 201, 300, 301]
    files = BedFile(write_bed(tmp_path / "a", random_counts(rng, 9, 6), bp_position=position))
    panel = GenotypePanel([files])
    core, wide = panel.select("22", 100, 200, 100)  # 1-based positions 101 to 200, and 1 to 300
    assert core.tolist() == [1, 2]
    assert wide.tolist() == [0, 1, 2, 3, 4]
    assert all(part.size == 0 for part in panel.select("7", 0, 10**9, 0))


def test_each_filter_drops_and_counts_its_variants(tmp_path: Path) -> None:
    good = [0, 1, 2, 1, 0, 1, 2, 0, 1, 0]
    columns = {
        "kept": (good, "22", 10, "A", "G"),
        "lower case": (good, "chr22", 20, "c", "t"),
        "unplaced chromosome": (good, "0", 30, "A", "G"),
        "unplaced position": (good, "22", 0, "A", "G"),
        "negative position": (good, "22", -5, "A", "G"),
        "symbolic": (good, "22", 40, "<DEL>", "G"),
        "no second allele": (good, "22", 50, "0", "G"),
        "all missing": ([np.nan] * 10, "22", 60, "A", "G"),
        "monomorphic": ([2] * 10, "22", 70, "A", "G"),
        "all heterozygous": ([1] * 10, "22", 80, "A", "G"),
        "monomorphic where known": ([0] * 9 + [np.nan], "22", 90, "A", "G"),
        "rare": ([1] + [0] * 9, "22", 100, "A", "G"),
        "rare other allele": ([1] + [2] * 9, "22", 110, "A", "G"),
        "copy": (good[::-1], "22", 10, "A", "G"),
        "swapped copy": (good, "22", 10, "G", "A"),
        "other alleles, no copy": (good, "22", 10, "A", "T"),
    }
    counts, chromosome, position, first, second = zip(*columns.values(), strict=True)
    prefix = write_bed(
        tmp_path / "a",
        np.array(counts, dtype=float).T,
        chromosome=chromosome,
        bp_position=position,
        allele_1=first,
        allele_2=second,
        sid=list(columns),
    )
    panel = GenotypePanel([BedFile(prefix)], maf=0.1)
    assert panel.variants["variant_id"].to_list() == ["kept", "other alleles, no copy", "lower case"]
    assert panel.variants["effect_allele"].to_list() == ["A", "A", "C"]
    assert [entry["step"] for entry in panel.ledger] == [step.format(maf=0.1) for step in STEPS]
    assert [entry["count"] for entry in panel.ledger] == [3, 0, 2, 1, 3, 2, 2]


def test_maf_is_inclusive_and_zero_keeps_singletons(tmp_path: Path) -> None:
    counts = np.zeros((10, 2))
    counts[0, 0] = counts[0, 1] = counts[1, 1] = 1
    file = BedFile(write_bed(tmp_path / "a", counts))
    assert GenotypePanel([file]).variants.height == 2
    assert GenotypePanel([file], maf=0.05).variants.height == 2
    assert GenotypePanel([file], maf=0.051).variants.height == 1


def test_results_do_not_depend_on_the_chunks(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = BedFile(write_bed(tmp_path / "a", random_counts(rng, 12, 30)))
    whole = GenotypePanel([file], maf=0.2)
    index = rng.permutation(whole.variants.height)
    X = whole.standardised(index)
    monkeypatch.setattr(genotypes, "CHUNK_GENOTYPES", 36)
    parts = GenotypePanel([file], maf=0.2)
    assert parts.variants.equals(whole.variants)
    assert np.array_equal(parts.standardised(index), X)


def test_pickled_panel_reads_the_same(tmp_path: Path, rng: np.random.Generator) -> None:
    panel = GenotypePanel([BedFile(write_bed(tmp_path / "a", random_counts(rng, 8, 5)))])
    copy = pickle.loads(pickle.dumps(panel))
    assert copy.variants.equals(panel.variants)
    assert np.array_equal(copy.standardised(np.array([4, 1])), panel.standardised(np.array([4, 1])))
    assert isinstance(panel, GenotypeSource)
    assert not isinstance(panel, CorrelationSource)


class TestSeveralFiles:
    def test_equal_one_file_whatever_the_order_of_people(self, tmp_path: Path, rng: np.random.Generator) -> None:
        counts = random_counts(rng, 15, 12)
        chromosome = np.repeat(["1", "2"], 6)
        ids = {"fid": [f"F{i}" for i in range(15)], "iid": [f"I{i}" for i in range(15)]}
        whole = GenotypePanel([BedFile(write_bed(tmp_path / "all", counts, chromosome=chromosome, **ids))])
        shuffle = rng.permutation(15)
        one = write_bed(tmp_path / "one", counts[:, :6], chromosome=chromosome[:6])
        two = write_bed(
            tmp_path / "two",
            counts[shuffle, 6:],
            chromosome=chromosome[6:],
            bp_position=[1060 + 10 * j for j in range(6)],
            sid=[f"rs{j}" for j in range(6, 12)],
            **{key: [value[i] for i in shuffle] for key, value in ids.items()},
        )
        parts = GenotypePanel([BedFile(one), BedFile(two)])
        assert parts.variants.equals(whole.variants)
        index = rng.permutation(12)
        assert np.array_equal(parts.standardised(index), whole.standardised(index))
        assert parts.name.endswith("one.bed and 1 more")
        some = [GenotypePanel(p._files, keep=["I3", "I9", "I4", "I0", "I1"]) for p in (whole, parts)]
        assert np.array_equal(some[0].standardised(index[:3]), some[1].standardised(index[:3]))

    def test_copies_across_files_are_dropped(self, tmp_path: Path, rng: np.random.Generator) -> None:
        files = [BedFile(write_bed(tmp_path / name, random_counts(rng, 8, 4))) for name in ("a", "b")]
        panel = GenotypePanel(files)
        assert panel.variants.height == 4
        assert dropped(panel) == {"further copies of a variant": 4}
        assert np.array_equal(panel.standardised(np.arange(4)), GenotypePanel(files[:1]).standardised(np.arange(4)))

    @pytest.mark.parametrize("people", [7, 8, 9])
    def test_other_people_are_refused(self, tmp_path: Path, rng: np.random.Generator, people: int) -> None:
        a = BedFile(write_bed(tmp_path / "a", random_counts(rng, 8, 4)))
        b = BedFile(write_bed(tmp_path / "b", random_counts(rng, people, 4), iid=[f"I{i + 1}" for i in range(people)]))
        with pytest.raises(
            FormatError, match=rf"hold different individuals \({people} and 8, .* the same individuals\.$"
        ):
            GenotypePanel([a, b])


class TestKeep:
    @pytest.fixture
    def file(self, tmp_path: Path, rng: np.random.Generator) -> BedFile:
        return BedFile(write_bed(tmp_path / "a", random_counts(rng, 10, 6)))

    @pytest.mark.parametrize(
        ("text", "unknown"),
        [
            ("F1 I1\nF3\tI3\nF4 I4\n", 0),
            ("I1\nI3\nI4\n", 0),
            ("#FID IID\nF1 I1\nF3 I3\n\nF4 I4\nF3 I3\nF9 nobody\n", 1),
            ("#IID SID\nI4 0\nI1 0\nI3 0\nnobody 0\n", 1),
            ("F1 I1\nF3 I3\nF4 I4\nF7 I8\n", 1),
            ("\ufeffFID IID\r\nF1 I1\r\nF3 I3\r\nF4 I4\r\n", 0),
            ("iid,sex,fid\nI1,1,F1\n'I3',2,F3\nI4,2,F4\nI3,2,F3\n".replace("'", '"'), 0),
            ("fid\tsex\tiid\nF1\t1\tI1\nF3\t2\tI3\nF4\t2\tI4\nF9\t1\tnobody\n", 1),
        ],
    )
    def test_files_choose_people_and_unknown_ones_are_counted(
        self, tmp_path: Path, file: BedFile, text: str, unknown: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "keep.txt").write_text(text)
        panel = GenotypePanel([file], keep=tmp_path / "keep.txt")
        counts = file.read(np.arange(6), np.array([1, 3, 4])).astype(float)
        counts[counts < 0] = np.nan
        assert panel.num_people == 3
        assert panel.unknown_people == unknown
        assert ("individuals to keep are not in" in caplog.text) == bool(unknown)
        assert "nobody" not in caplog.text
        rows = [int(name.removeprefix("rs")) for name in panel.variants["variant_id"]]
        np.testing.assert_allclose(panel.variants["eaf"], np.nanmean(counts[rows], axis=1) / 2)

    def test_a_sequence_of_iids(self, file: BedFile) -> None:
        assert GenotypePanel([file], keep=["I2", "I5", "I2", "I7"]).num_people == 3

    @pytest.mark.parametrize(
        ("keep", "error", "match"),
        [
            (["x", "y"], DataError, r"none of the 2 individuals to keep is in it\. Give FID and IID, or IID\."),
            (["I1"], DataError, r"LD needs at least 2 individuals, but 1 are left\."),
            ("empty.txt", FormatError, r"empty\.txt` is empty: it should list individuals to keep"),
            ("absent.txt", FormatError, r"absent\.txt` cannot be read: No such file"),
        ],
    )
    def test_bad_lists(self, tmp_path: Path, file: BedFile, keep: Any, error: type[Exception], match: str) -> None:
        (tmp_path / "empty.txt").write_text("\n")
        with pytest.raises(error, match=match):
            GenotypePanel([file], keep=tmp_path / keep if isinstance(keep, str) else keep)


def test_people_who_share_their_name_are_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    prefix = write_bed(tmp_path / "a", random_counts(rng, 4, 3), fid=["0"] * 4, iid=["a", "b", "c", "b"])
    with pytest.raises(FormatError, match=r"2 of 4 individuals share their FID and IID, first in row 2\."):
        GenotypePanel([BedFile(prefix)])


@pytest.mark.parametrize("maf", [-0.01, 0.5, np.nan])
def test_maf_out_of_range(tmp_path: Path, rng: np.random.Generator, maf: float) -> None:
    file = BedFile(write_bed(tmp_path / "a", random_counts(rng, 4, 3)))
    with pytest.raises(ConfigError, match=r"`maf` must be at least 0 and below 0\.5"):
        GenotypePanel([file], maf=maf)


def test_nothing_left_says_why(tmp_path: Path) -> None:
    file = BedFile(write_bed(tmp_path / "a", np.full((5, 3), 2.0)))
    with pytest.raises(DataError, match=r"no variant passes the filters \(no variance: 3\)\. Lower --maf"):
        GenotypePanel([file])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), people=st.integers(2, 11), sites=st.integers(1, 9))
def test_swapping_the_alleles_turns_the_sign(tmp_path: Path, seed: int, people: int, sites: int) -> None:
    counts = random_counts(np.random.default_rng(seed), people, sites, missing=0.2)
    plain = GenotypePanel([BedFile(write_bed(tmp_path / "plain", counts))])
    swapped = GenotypePanel([BedFile(write_bed(tmp_path / "swap", 2 - counts))])
    index = np.arange(plain.variants.height)
    np.testing.assert_allclose(
        plain.standardised(index, np.float64), -swapped.standardised(index, np.float64), atol=1e-12
    )
    np.testing.assert_allclose(plain.variants["eaf"], 1 - swapped.variants["eaf"])


@pytest.mark.shared_data
def test_polypred_in_22_files(shared_data: Path) -> None:
    files = [BedFile(shared_data / "gwas" / "polypred" / f"1000G.subset.{chrom}") for chrom in range(1, 23)]
    panel = GenotypePanel(files, maf=0.01)
    assert panel.num_people == 489
    assert panel.variants.height + sum(entry["count"] for entry in panel.ledger) == 82_448
    assert panel.variants["chrom"].unique(maintain_order=True).to_list() == [str(chrom) for chrom in range(1, 23)]
    core, wide = panel.select("7", 20_000_000, 21_000_000, 1_000_000)
    assert np.array_equal(core, wide)
    X = panel.standardised(core[::50], np.float64)
    raw = files[6].read(
        np.flatnonzero(files[6].sites["variant_id"].is_in(panel.variants["variant_id"][core[::50]].implode())),
        np.arange(489),
    )
    assert not (raw < 0).any()
    np.testing.assert_allclose(X.T @ X / 489, np.corrcoef(raw), atol=1e-12)


def test_an_iid_of_several_families_is_not_enough(tmp_path: Path, rng: np.random.Generator) -> None:
    prefix = write_bed(
        tmp_path / "a", random_counts(rng, 5, 3), fid=["F", "F", "G", "G", "H"], iid=["1", "2", "1", "2", "9"]
    )
    (tmp_path / "keep.txt").write_text("1\n9\n")
    with pytest.raises(DataError, match=r"1 of 2 individuals to keep have the IID of several families, first '1'"):
        GenotypePanel([BedFile(prefix)], keep=tmp_path / "keep.txt")
    (tmp_path / "keep.txt").write_text("G 1\nH 9\n")
    assert GenotypePanel([BedFile(prefix)], keep=tmp_path / "keep.txt").num_people == 2
