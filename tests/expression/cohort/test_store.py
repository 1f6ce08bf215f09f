"""The cohort on disk: what is written is read, placement of windows, and any damage is noticed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cases.cohort import Block, causal_variant, small_cohort
from varfx.errors import ConfigError, DataError, StoreError
from varfx.expression.cohort import write as cohort_write
from varfx.expression.cohort.splits import PeopleSplit
from varfx.expression.cohort.store import VARIANTS_SCHEMA, Cohort, open_cohort, window_start
from varfx.expression.cohort.write import CohortTables, with_variant_rows, writing_cohort
from varfx.io import sealed_folder


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_cohort(tmp_path_factory.mktemp("cohort"), phased=True, covariates=2, missing=0.1)


@pytest.fixture(scope="module")
def cohort(path: Path) -> Cohort:
    return open_cohort(path)


@pytest.mark.parametrize("window", [10, 11, 1024, 49_152])
def test_the_tss_is_the_middle_base_of_the_strand_oriented_window(window: int) -> None:
    tss = 100_000
    for strand in "+-":
        start = window_start(tss, strand, window)
        bases = np.arange(start, start + window) + 1  # 1-based positions
        oriented = bases if strand == "+" else bases[::-1]
        assert oriented[window // 2] == tss


def test_reference_alleles_are_those_of_the_window(cohort: Cohort) -> None:
    for gene_id in cohort.genes["gene_id"]:
        gene, (variants, _) = cohort.gene(gene_id), cohort.window_variants(gene_id)
        codes = cohort.reference(gene_id)[variants["position"].to_numpy() - 1 - gene.start]
        assert ["ACGT"[code] for code in codes] == variants["other_allele"].to_list()
        assert codes.dtype == np.uint8


def test_arrays_of_a_gene_agree(cohort: Cohort) -> None:
    gene = cohort.genes["gene_id"][2]
    dosages, haplotypes = cohort.dosages(gene), cohort.haplotypes(gene)
    variants, rows = cohort.window_variants(gene)
    assert dosages.shape == (variants.height, 40) == (rows.stop - rows.start, len(cohort.people))
    assert dosages.dtype == haplotypes.dtype == np.int8
    np.testing.assert_array_equal(dosages, np.where((haplotypes < 0).any(axis=2), -1, haplotypes.sum(axis=2)))
    assert cohort.expression().shape == (4, 40)
    assert cohort.covariates is not None
    assert cohort.covariates.shape == (2, 40)
    assert variants.schema == pl.Schema(VARIANTS_SCHEMA)
    assert 0 <= causal_variant(cohort, gene) < variants.height


def test_genes_by_name(cohort: Cohort) -> None:
    assert cohort.gene("ENSG00000000003.17") == cohort.gene("ENSG00000000003")
    assert cohort.gene_row("ENSG00000000003") == 3
    with pytest.raises(DataError, match=r"has no gene BRCA1; it has 4, first ENSG00000000000\. Give Ensembl ids"):
        cohort.gene("BRCA1")
    for number in (-1, 3):
        with pytest.raises(ConfigError, match="`fold` must be from 0 to 2"):
            cohort.fold(number)


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    first, second, other = (
        open_cohort(small_cohort(tmp_path, seed=seed, name=name)) for seed, name in ((1, "a"), (1, "b"), (2, "c"))
    )
    assert first.seal == second.seal
    assert first.seal != other.seal


def test_odd_names_of_individuals_are_names(tmp_path: Path, cohort: Cohort) -> None:
    """Patterns of polars, names of our own columns, ends of lines for Python, and names equal but for case."""
    odd = ["*", "^x$", "^.*$", "gene_id", "gene_id_", "covariate", "a\x85b", "c\u2028d", "007", "A", "a", " s p "]
    opened = open_cohort(small_cohort(tmp_path, phased=True, covariates=2, missing=0.1, odd_names=odd))
    assert opened.people[: len(odd)] == tuple(odd)
    np.testing.assert_array_equal(opened.expression(), cohort.expression())
    assert opened.covariates is not None
    assert cohort.covariates is not None
    np.testing.assert_array_equal(opened.covariates, cohort.covariates)
    assert opened.covariate_names == cohort.covariate_names == ("C0", "C1")
    for number in range(3):
        fold = opened.fold(number)
        assert sorted([*fold.train, *fold.tune, *fold.test]) == list(range(40))


def damaged(path: Path, folder: Path, name: str, how: str) -> Path:
    shutil.copytree(path, folder / "copy")
    file = folder / "copy" / name
    if how == "missing":
        file.unlink()
    else:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(content if how == "changed" else content[:-1])
    return folder / "copy"


def read_everything(path: Path) -> None:
    cohort = open_cohort(path)
    cohort.expression()
    for number in range(cohort.num_folds):
        cohort.fold(number)
    for gene in cohort.genes["gene_id"]:
        cohort.dosages(gene)
        cohort.haplotypes(gene)
        cohort.reference(gene)


@pytest.mark.parametrize("how", ["missing", "changed", "cut"])
@pytest.mark.parametrize(
    "name",
    [
        "cohort.json",
        "manifest.json",
        "genes.parquet",
        "variants.parquet",
        "expression.parquet",
        "covariates.parquet",
        "splits/people-tune-fold1.txt",
        "splits/genes-train.txt",
        "genotypes.zarr/dosages/zarr.json",
        "genotypes.zarr/dosages/c/0/0",
        "genotypes.zarr/haplotypes/c/0/0/0",
        "reference.zarr/codes/c/0/0",
    ],
)
def test_any_damage_is_noticed(path: Path, tmp_path: Path, name: str, how: str) -> None:
    copy = damaged(path, tmp_path, name, how)
    with pytest.raises(StoreError) as raised:
        read_everything(copy)
    assert "\n" not in str(raised.value)


def test_other_folders_are_no_cohort(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"absent` does not exist\. Give a cohort"):
        open_cohort(tmp_path / "absent")
    (tmp_path / "other").mkdir()
    with pytest.raises(StoreError, match=r"has no manifest\.json"):
        open_cohort(tmp_path / "other")
    sealed_folder.seal_directory(tmp_path / "other")
    with pytest.raises(StoreError, match="is no cohort"):
        open_cohort(tmp_path / "other")


def block(chrom: str, positions: list[int], people: int, rng: np.random.Generator) -> Block:
    size = len(positions)
    frame = {"chrom": chrom, "position": positions, "variant_id": None, "effect_allele": "A", "other_allele": "C"}
    haplotypes = rng.integers(0, 2, (size, people, 2)).astype(np.int8)
    variants = pl.DataFrame(frame, schema=VARIANTS_SCHEMA) if size else pl.DataFrame(schema=VARIANTS_SCHEMA)
    return Block(variants, haplotypes.sum(axis=2).astype(np.int8), haplotypes)


@pytest.mark.parametrize("sizes", [[0], [3, 0, 4], [5, 8, 16, 1], [17], [4, 4, 4, 4]])
def test_blocks_of_any_size_are_stored_row_by_row(
    sizes: list[int], tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cohort_write, "VARIANTS_PER_CHUNK", 8)
    monkeypatch.setattr(cohort_write, "GENES_PER_SHARD", 2)
    ends = np.cumsum(sizes)
    blocks = [
        block("1", list(range(int(end - size) + 1, int(end) + 1)), 10, rng)
        for end, size in zip(ends, sizes, strict=True)
    ]
    columns = ["gene_id", "name", "gene_type", "chrom", "strand", "tss", "start", "end", "masked_bases"]
    rows = [(f"ENSG{k}", f"N{k}", "x", "1", "+", 1, start, start + 6, 0) for k, start in enumerate((9, 0, 3))]
    genes = pl.DataFrame(rows, schema=columns, orient="row")
    names = [f"P{k}" for k in range(10)]
    tables = CohortTables(
        genes=genes,
        expression=np.arange(30, dtype=np.float32).reshape(3, 10),
        folds=(PeopleSplit(tuple(names[:6]), tuple(names[6:8]), tuple(names[8:])),),
        genes_train=("ENSG0", "ENSG1"),
        genes_heldout=("ENSG2",),
    )
    genome = rng.integers(0, 5, 100).astype(np.uint8)
    with writing_cohort(tmp_path / "cohort", names, phased=True) as writer:
        for part in blocks:
            writer.add(part)
        writer.finish(tables, lambda _, start, end: genome[start:end], window=6, options={}, ledger={}, provenance={})
    cohort = open_cohort(tmp_path / "cohort")
    assert cohort.genes["gene_id"].to_list() == ["ENSG1", "ENSG2", "ENSG0"]  # genome order
    np.testing.assert_array_equal(cohort.expression()[:, 0], [10, 20, 0])
    everything = np.concatenate([part.haplotypes for part in blocks])
    for gene_id, start in (("ENSG0", 9), ("ENSG1", 0), ("ENSG2", 3)):
        expected = everything[start : start + 6]
        np.testing.assert_array_equal(cohort.haplotypes(gene_id), expected)
        np.testing.assert_array_equal(cohort.dosages(gene_id), expected.sum(axis=2))
        np.testing.assert_array_equal(cohort.reference(gene_id), genome[start : start + 6])


def test_variant_rows_by_chromosome() -> None:
    variants = pl.DataFrame({"chrom": ["1", "1", "2", "2", "2"], "position": [10, 20, 5, 10, 11]})
    genes = pl.DataFrame({"chrom": ["2", "1", "2", "3"], "start": [9, 0, 0, 0], "end": [10, 19, 100, 100]})
    counted = with_variant_rows(genes, variants).select("first_variant", "num_variants").rows()
    assert counted == [(3, 1), (0, 1), (2, 3), (0, 0)]


def test_an_error_or_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(error: type[BaseException]) -> None:
        with writing_cohort(tmp_path / "cohort", ["a"], phased=False):
            raise error("no")

    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error):
            interrupted(error)
    assert list(tmp_path.iterdir()) == []


def test_haplotypes_of_every_block_are_needed(tmp_path: Path, rng: np.random.Generator) -> None:
    part = block("1", [1], 3, rng)

    def write() -> None:
        with writing_cohort(tmp_path / "cohort", ["a", "b", "c"], phased=True) as writer:
            writer.add(Block(part.variants, part.dosages, None))

    with pytest.raises(DataError, match="Use --phased no"):
        write()
