"""Expression files: sample columns among others, ids, gaps, and one-line errors for what is wrong."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varfx.errors import FormatError
from varfx.expression.cohort.tables import (
    as_participants,
    read_covariates,
    read_expression_bed,
    read_gct,
)

PLACE = ["chr1", "999", "1000"]


def write(folder: Path, rows: list[list[str]], *, name: str = "file.txt", separator: str = "\t") -> Path:
    path = folder / name
    path.write_text("\n".join(separator.join(row) for row in rows) + "\n")
    return path


HEADERS = {
    "gtex": (["#chr", "start", "end", "gene_id"], []),
    "tensorqtl": (["#chr", "start", "end", "phenotype_id"], []),
    "geuvadis": (["#chr", "start", "end", "gene", "length", "strand"], ["1049", "+"]),
    "qtltools": (["#Chr", "start", "end", "pid", "gid", "strand"], ["ENSG00000000009", "-"]),
    "unknown text": (["#chr", "start", "end", "gene_id", "remark"], ["nothing"]),
}


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize("compressed", [False, True])
def test_sample_columns_are_found(tmp_path: Path, kind: str, compressed: bool) -> None:
    header, about = HEADERS[kind]
    rows = [
        [*header, "S1", "S2"],
        [*PLACE, "ENSG00000000001.4", *about, "1.5", "-2"],
        [*PLACE, "ENSG2.1", *about, "1e-3", "NA"],
    ]
    path = write(tmp_path, rows)
    if compressed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    read = read_expression_bed(path)
    assert read.people == ("S1", "S2")
    assert read.genes.rows() == [("ENSG00000000001", "1", 999, 1000), ("ENSG2", "1", 999, 1000)]
    np.testing.assert_array_equal(read.values, [[1.5, -2], [0.001, np.nan]])


@settings(max_examples=25)
@given(values=st.lists(st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=3), min_size=1, max_size=5))
def test_numbers_are_read_as_written(tmp_path_factory: pytest.TempPathFactory, values: list[list[float]]) -> None:
    rows = [["#chr", "start", "end", "gene_id", "A", "B", "C"]]
    rows += [[*PLACE, f"G{k}", *map(repr, line)] for k, line in enumerate(values)]
    read = read_expression_bed(write(tmp_path_factory.mktemp("bed"), rows))
    np.testing.assert_array_equal(read.values, values)


def test_second_copies_on_y_are_left_out(tmp_path: Path) -> None:
    rows = [
        ["#chr", "start", "end", "gene_id", "S1"],
        [*PLACE, "ENSG00000000002.3", "1"],
        [*PLACE, "ENSG00000000002.3_PAR_Y", "2"],
    ]
    read = read_expression_bed(write(tmp_path, rows))
    assert (read.second_copies, read.values.tolist()) == (1, [[1.0]])


HEAD = ["#chr", "start", "end", "gene_id", "S1", "S2"]
GENE = [*PLACE, "ENSG1.1", "1", "2"]
BAD_BED: dict[str, tuple[list[list[str]], str]] = {
    "empty": ([[""]], "is empty"),
    "no rows": ([HEAD], "lists no genes"),
    "another header": (
        [["gene", "S1", "S2", "S3", "S4"], ["G", "1", "2", "3", "4"]],
        "no expression BED.*begins with gene, S1",
    ),
    "gene twice by version": (
        [HEAD, GENE, [*PLACE, "ENSG1.2", "1", "2"]],
        r"1 genes \(by id without version\).*'ENSG1'",
    ),
    "individual twice": ([[*HEAD, "S1"], [*GENE, "3"]], "1 columns of the header are there twice, first 'S1'"),
    "text": (
        [HEAD, GENE, [*PLACE, "ENSG2", "1", "high"]],
        r"1 cells are no finite numbers, first of gene ENSG2 in S2 \('high'\)",
    ),
    "infinite": ([HEAD, [*PLACE, "ENSG1", "inf", "2"]], "1 cells are no finite numbers"),
    "short row": ([HEAD, GENE, GENE[:-1]], "6 columns are expected.*1 of 2 rows have another number, first row 2"),
    "long row": ([HEAD, GENE, [*GENE, "7"]], "another number, first row 2"),
    "no individuals": (
        [HEAD[:4] + ["strand"], [*PLACE, "ENSG1", "+"]],
        "no columns of individuals behind its 5 columns",
    ),
    "start": ([HEAD, ["chr1", "x", "9", "ENSG1", "1", "2"]], "1 of 1 genes have no whole numbers as start and end"),
}


@pytest.mark.parametrize("case", BAD_BED)
def test_bad_expression_is_one_line(tmp_path: Path, case: str) -> None:
    rows, message = BAD_BED[case]
    with pytest.raises(FormatError, match=message) as raised:
        read_expression_bed(write(tmp_path, rows))
    assert "\n" not in str(raised.value)


def gct(folder: Path, rows: list[list[str]], shape: str = "2\t2", version: str = "#1.2") -> Path:
    return write(folder, [[version], [shape], ["Name", "Description", "A-1", "A-2"], *rows], name="x.gct")


ROWS = [["ENSG1.5", "one", "0", "7"], ["ENSG2.5", "a gene", "3.25", "1"]]


def test_gct(tmp_path: Path) -> None:
    read = read_gct(gct(tmp_path, ROWS))
    assert read.genes["gene_id"].to_list() == ["ENSG1", "ENSG2"]
    assert read.people == ("A-1", "A-2")
    np.testing.assert_array_equal(read.values, [[0, 7], [3.25, 1]])


@pytest.mark.parametrize(
    ("rows", "shape", "version", "message"),
    [
        (ROWS, "2\t2", "Name", "must begin with #1.2"),
        (ROWS, "two", "#1.2", "a line of two numbers"),
        (ROWS, "3\t2", "#1.2", "says that it has 3 genes and 2 samples, but has 2 and 2"),
        ([ROWS[0], ["ENSG2.5", "x", "-1", "2"]], "2\t2", "#1.2", "1 values are negative, first of ENSG2 in A-1"),
        ([ROWS[0], ["ENSG1.6", "x", "1", "2"]], "2\t2", "#1.2", "1 genes .* are there twice"),
    ],
)
def test_bad_gct(tmp_path: Path, rows: list[list[str]], shape: str, version: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_gct(gct(tmp_path, rows, shape, version))


def test_gct_of_gtex_tissues_and_of_version_1_3(tmp_path: Path) -> None:
    plain = read_gct(gct(tmp_path, ROWS))
    rows = [[str(number), *row] for number, row in enumerate(ROWS)]
    tissue = [["#1.2"], ["2", "2"], ["id", "Name", "Description", "A-1", "A-2"], *rows]
    newer = [
        ["#1.3"], ["2", "2", "2", "1"], ["id", "name", "biotype", "A-1", "A-2"], ["batch", "na", "na", "x", "y"],
        *([row[0], row[1], "coding", *row[2:]] for row in ROWS),
    ]  # fmt: skip
    for table in (tissue, newer):
        read = read_gct(write(tmp_path, table, name="x.gct"))
        assert read.genes.equals(plain.genes)
        assert read.people == plain.people
        np.testing.assert_array_equal(read.values, plain.values)
    with pytest.raises(FormatError, match="says that it has 2 genes and 3 samples, but has 2 and 2"):
        read_gct(write(tmp_path, [["#1.3"], ["2", "3", "2", "1"], *newer[2:]], name="x.gct"))


def test_copies_on_x_and_y_with_one_id(tmp_path: Path) -> None:
    rows = [HEAD, ["chrY", "9", "10", "ENSG1.6", "1", "2"], ["chrX", "9", "10", "ENSG1.12_4", "3", "4"]]
    read = read_expression_bed(write(tmp_path, rows))
    assert read.genes.select("gene_id", "chrom").rows() == [("ENSG1", "X")]
    assert (read.values.tolist(), read.second_copies) == ([[3.0, 4.0]], 1)


@pytest.mark.parametrize("separator", [" ", "\t", "   "])
def test_covariates_by_tabs_or_blanks(tmp_path: Path, separator: str) -> None:
    rows = [["SampleID", "S1", "S2"], ["/a/path_PC1", "-1.5", "2"], ["sex", "1", "2"]]
    read = read_covariates(write(tmp_path, rows, separator=separator))
    assert (read.names, read.people) == (("/a/path_PC1", "sex"), ("S1", "S2"))
    np.testing.assert_array_equal(read.values, [[-1.5, 2], [1, 2]])


def test_covariate_lines_may_end_in_blanks(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_bytes(b"ID S1 S2 \r\nPC1 1 2 \r\n")
    assert read_covariates(tmp_path / "c.txt").values.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    "text",
    [
        "S1 S2\nPC1 0.5 -1\nsex 1 2\n",  # write.table(quote = FALSE)
        '"S1" "S2"\n"PC1" 0.5 -1\n"sex" 1 2\n',  # write.table
        "S1\tS2\nPC1\t0.5\t-1\nsex\t1\t2\n",
        '"","S1","S2"\n"PC1",0.5,-1\n"sex",1,2\n',  # write.csv
        "\tS1\tS2\nPC1\t0.5\t-1\nsex\t1\t2\n",  # write.table(col.names = NA)
    ],
)
def test_covariates_as_r_writes_them(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.txt").write_text(text)
    read = read_covariates(tmp_path / "c.txt")
    assert (read.names, read.people) == (("PC1", "sex"), ("S1", "S2"))
    assert read.values.tolist() == [[0.5, -1], [1, 2]]


def test_one_individual_of_r_s_covariates(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("S1\nPC1 0.5\nsex 1\n")
    read = read_covariates(tmp_path / "c.txt")
    assert (read.names, read.people, read.values.tolist()) == (("PC1", "sex"), ("S1",), [[0.5], [1]])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["ID", "S1"], ["PC1", "NA"]], "1 values are missing, first of PC1 in S1"),
        ([["ID", "S1"], ["sex", "M"]], r"first of covariate sex in S1 \('M'\)"),
        ([["ID", "S1"], ["PC1", "1"], ["PC1", "2"]], "1 covariates are there twice, first 'PC1'"),
        ([["ID"], ["PC1"]], "no columns of individuals"),
        ([["ID", "S1", "S2"], ["PC1", "1"]], "3 columns are expected"),
    ],
)
def test_bad_covariates(tmp_path: Path, rows: list[list[str]], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_covariates(write(tmp_path, rows, separator=" "))


TRANSPOSED = {
    "individuals by row": "id\tPC1\tPC2\nS1\t1\t2\nS2\t3\t4\nS3\t5\t6\n",
    "R's header": "PC1 PC2\nS1 1 2\nS2 3 4\nS3 5 6\n",
    "PLINK 2 .eigenvec": "#FID\tIID\tPC1\tPC2\n0\tS1\t1\t2\n0\tS2\t3\t4\n0\tS3\t5\t6\n",
    "PLINK .cov": "FID IID PC1 PC2\nS1 S1 1 2\nS2 S2 3 4\nS3 S3 5 6\n",
    "covariates by row": "id\tS1\tS2\tS3\nPC1\t1\t3\t5\nPC2\t2\t4\t6\n",
}


@pytest.mark.parametrize("kind", TRANSPOSED)
def test_covariates_by_either_side(tmp_path: Path, kind: str) -> None:
    (tmp_path / "c.txt").write_text(TRANSPOSED[kind])
    read = read_covariates(tmp_path / "c.txt", ["S3", "S2", "S1", "S9"])
    assert (read.names, read.people) == (("PC1", "PC2"), ("S1", "S2", "S3"))
    assert read.values.tolist() == [[1, 3, 5], [2, 4, 6]]


def test_numbers_as_names_of_covariates_and_individuals(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("id 1 2 3\n1 .1 .2 .3\n2 .4 .5 .6\n")
    read = read_covariates(tmp_path / "c.txt", list("12345"))
    assert (read.names, read.people, read.values[1, 2]) == (("1", "2"), ("1", "2", "3"), 0.6)
    (tmp_path / "c.txt").write_text("id 1 2\n1 .1 .2\n2 .4 .5\n3 .7 .8\n")
    read = read_covariates(tmp_path / "c.txt", list("12345"))
    assert (read.names, read.people, read.values[1, 2]) == (("1", "2"), ("1", "2", "3"), 0.8)
    (tmp_path / "c.txt").write_text("id 1 2\n1 .1 .2\n2 .4 .5\n")
    with pytest.raises(
        FormatError, match=r"two ways: 2 names of individuals stand in its header and as many in its first"
    ):
        read_covariates(tmp_path / "c.txt", list("12345"))


@pytest.mark.parametrize("before", [["gene_name"], ["strand"], ["pid", "info"]])
def test_the_column_called_gene_id_holds_the_ids(tmp_path: Path, before: list[str]) -> None:
    rows = [[*PLACE, *(f"{k}" for _ in before), f"ENSG{k}.4", f"{k}.5"] for k in (1, 2)]
    read = read_expression_bed(write(tmp_path, [["#chr", "start", "end", *before, "gene_id", "S1"], *rows]))
    assert (read.genes["gene_id"].to_list(), read.people) == (["ENSG1", "ENSG2"], ("S1",))
    assert read.values.tolist() == [[1.5], [2.5]]


def test_individuals_without_any_value_have_no_expression(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [
        ["#chr", "start", "end", "gene_id", "S1", "S2", "S3"],
        [*PLACE, "ENSG1", "1", "NA", "3"],
        [*PLACE, "ENSG2", "NA", "", "6"],
    ]
    read = read_expression_bed(write(tmp_path, rows))
    assert read.people == ("S1", "S3")
    np.testing.assert_array_equal(read.values, [[1, 3], [np.nan, 6]])
    assert "1 of 3 individuals have no value of any gene, first S2" in caplog.text


def test_samples_become_participants(tmp_path: Path) -> None:
    read = read_gct(gct(tmp_path, ROWS))
    renamed = as_participants(read, {"A-2": "B", "other": "C"})
    assert (renamed.people, renamed.values.tolist()) == (("B",), [[7.0], [1.0]])
    with pytest.raises(FormatError, match=r"none of its 2 samples \(first A-1\) is in the map of samples \(first x\)"):
        as_participants(read, {"x": "y"})
    with pytest.raises(FormatError, match=r"several samples of one individual.*'B'"):
        as_participants(read, {"A-1": "B", "A-2": "B"})


@pytest.mark.shared_data
def test_geuvadis(shared_data: Path) -> None:
    read = read_expression_bed(shared_data / "expression/genes.50percent.chr22.bed.gz")
    covariates = read_covariates(shared_data / "expression/genes.covariates.pc50.txt.gz")
    assert read.values.shape == (608, 358)
    assert np.isfinite(read.values).all()
    assert covariates.values.shape == (53, 358)
    assert covariates.people == read.people
    assert read.values[0, 0] == 0.7878783927


@pytest.mark.parametrize("name", ["^x$", "*"])
def test_a_corner_that_polars_would_take_for_a_pattern(tmp_path: Path, name: str) -> None:
    (tmp_path / "c.txt").write_text(f"{name}\ta\tb\nage\t1\t2\n")
    read = read_covariates(tmp_path / "c.txt")
    assert (read.names, read.people, read.values.tolist()) == (("age",), ("a", "b"), [[1.0, 2.0]])
    (tmp_path / "alone.txt").write_text(f"{name}\n{name}\n")
    with pytest.raises(FormatError, match="has no columns of individuals"):
        read_covariates(tmp_path / "alone.txt")
