"""Small files on which foreign exceptions, panics and aborts were seen: each is refused in our words, or read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from torture.readers import _donors_read, _variances
from varfx.annotations.foreign import read_annotation_table
from varfx.annotations.ld_scores import read_ld_scores
from varfx.errors import VarfxError
from varfx.expression.cohort.tables import read_covariates
from varfx.expression.gene_list import gene_ids, read_genes
from varfx.genome.gtf import read_gtf
from varfx.genome.liftover import read_chain
from varfx.genotypes.ldgm import Ldgm
from varfx.genotypes.open_ld import open_source
from varfx.report.training import read_history

CASES = Path(__file__).parents[1] / "golden" / "cases" / "fuzz-foreign"


def _correlate(path: Path) -> None:
    source = open_source(path)
    source.correlation(*source.select(source.variants["chrom"][0], 0, 1_000_000, 1_000_000))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "read", "match"),
    [
        ("psam/x.pgen", open_source, r"x.psam`.*(missing|is empty|lists no)"),
        ("psam_empty/x.pgen", open_source, r"x.psam` lists no individuals"),
        ("chain/a.over.chain", read_chain, "the chain of line 1 cannot be read"),
        ("snpvar/a.txt", _variances(""), "SNPVAR"),
        ("snpvar/chr.txt", _variances(""), "(?i)chr"),
        ("snpvar_panic.parquet", _variances(""), "Parquet"),
        ("snpvar_abort.parquet", _variances(""), "Parquet"),
        ("annot_abort.parquet", read_annotation_table, "Parquet"),
        ("vcf_latin1/a.vcf.gz", _donors_read(""), "a name of an individual is no UTF-8 text"),
        ("gtf/genes.gtf", read_gtf, "is no GTF row with start, end and strand"),
        ("npz", _correlate, "`shape` claims 8,796,093,022,208 bytes"),
        ("history.csv", read_history, "is missing or is no training history"),
        ("ldgm0/metadata.csv", _correlate, "leads to no correlations|not positive definite"),
        ("ldgm/metadata.csv", _correlate, "leads to no correlations"),
    ],
)
def test_refused(name: str, read: Callable[[Path], object], match: str) -> None:
    with pytest.raises(VarfxError, match=match) as caught:
        read(CASES / name)
    assert len(str(caught.value)) < 1000


def test_a_person_called_star_is_a_person() -> None:
    with pytest.raises(VarfxError, match=r"2 cells are no finite numbers, first of covariate PC0 in \* \('\*'\)"):
        read_covariates(CASES / "cov2357.txt")


@pytest.mark.parametrize("name", ["*", "^x$", "^.*$", "a*b", "[red]", "$x", "%s", "{0}"])
def test_names_that_polars_takes_for_patterns(tmp_path: Path, name: str) -> None:
    path = tmp_path / "c.txt"
    path.write_text(f"ID\tS1\t{name}\tS2\nage\t1\t2\t3\nsex\t0\t1\t1\n")
    covariates = read_covariates(path)
    assert covariates.people == ("S1", name, "S2")
    assert covariates.values[0].tolist() == [1, 2, 3] or covariates.values[:, 0].tolist() == [1, 2, 3]
    table = tmp_path / "a.txt"
    table.write_text(f"CHR\tBP\tSNP\tA1\tA2\tbase\t{name}\n22\t5\trs1\tA\tG\t1\t7\n22\t9\trs2\tA\tG\t0\t8\n")
    read = read_annotation_table(table)
    assert read.values.columns == ["base", name]
    assert read.values[name].to_list() == [7, 8]


def test_columns_equal_but_for_case(tmp_path: Path) -> None:
    table = tmp_path / "a.txt"
    table.write_text("CHR\tBP\tSNP\tA1\tA2\tScore\tscore\n22\t5\trs1\tA\tG\t1\t7\n22\t9\trs2\tA\tG\t0\t8\n")
    read = read_annotation_table(table)
    assert (read.values["Score"].to_list(), read.values["score"].to_list()) == ([1, 0], [7, 8])


def test_ld_scores_that_panicked(tmp_path: Path) -> None:
    shutil.copy(CASES / "panic.l2.ldscore.parquet", tmp_path)
    (tmp_path / "panic.l2.M_5_50").write_text("100 20\n")
    with pytest.raises(VarfxError):
        read_ld_scores(tmp_path / "panic.l2.ldscore.parquet")


def test_a_variant_id_in_latin1_is_read_or_refused() -> None:
    try:
        _donors_read("a.vcf.gz")(CASES / "vcf_latin1_id")
    except VarfxError as error:
        assert "a.vcf.gz" in str(error)  # noqa: PT017


def test_gene_lists(tmp_path: Path) -> None:
    """Latin-1 is read as such where the names are only compared; a list of thousands of letters is no file."""
    for read in (read_genes, lambda path: gene_ids([str(path)])):
        assert read(CASES / "genes.txt")[0] == "ENSG00000000000"
    assert len(gene_ids([",".join(f"ENSG{k:011d}" for k in range(500))])) == 1


def test_ldgm_with_a_name_of_5000_letters(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text(
        f"chrom,chromStart,chromEnd,name,snplistName,population\n22,0,9,{'a' * 5000},b.snplist,EUR\n"
    )
    with pytest.raises(VarfxError, match="none of its 1 blocks is there") as caught:
        Ldgm(tmp_path)
    assert len(str(caught.value)) < 1000
