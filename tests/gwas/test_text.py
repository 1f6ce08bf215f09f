"""The text of summary statistics: public cases of separators, comments, quotes, keys, chromosome names, several files.

The inputs are those of `tests/golden/cases/<case>`, worked out by hand: rs1 1:1000 A/G with z = -2 and n = 1000, and rs2 2:2000
with z = 3 and n = 900.
"""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import polars as pl
import pytest

from cases.command_line import varfx
from varfx.errors import ConfigError, DataError, FormatError
from varfx.gwas import CleanOptions, clean
from varfx.gwas.sumstats import read_sumstats

CASES = Path(__file__).parents[1] / "golden" / "cases"
METAL = {"effect_allele": "Allele1", "other_allele": "Allele2", "eaf": "Freq1"}
ILAE = {**METAL, "n_eff": "Effective_N", "z": "Z-score"}
KEY = [("1", 1000, "A", "G"), ("2", 2000, "C", "T")]


@pytest.mark.parametrize(
    ("file", "columns", "alleles", "n"),
    [
        ("19_mixed_separators/ilae.tbl", ILAE, ("T", "C"), (4800, 4400)),
        ("19_mixed_separators/rows_blank.txt", {}, ("C", "T"), (1000, 900)),
        ("19_mixed_separators/trailing_tab.txt", {}, ("C", "T"), (1000, 900)),
        ("19_mixed_separators/padded.txt", {}, ("C", "T"), (1000, 900)),
        ("19_mixed_separators/header_blank_rows_tab.txt", {}, ("C", "T"), (1000, 900)),
        ("31_quoted_csv/a.csv", {}, ("CT", "C"), (1000, 900)),
        ("31_quoted_csv/b.csv", {}, ("CT", "C"), (1000, 900)),
        ("25_key_in_one_column/neale.tsv", {}, ("CT", "C"), (10_000, 9000)),
        ("25_key_in_one_column/metal.tbl", METAL, ("T", "C"), (1000, 900)),
        ("25_key_in_one_column/enigma.tbl", {}, ("C", "T"), (1000, 900)),
    ],
)
def test_two_variants_in_every_form(
    file: str, columns: dict[str, str], alleles: tuple[str, str], n: tuple[float, float]
) -> None:
    table = clean(CASES / file, columns=columns).table
    places = table.select("chrom", "position", "effect_allele", "other_allele").rows()
    assert places == [("1", 1000, "A", "G"), ("2", 2000, *alleles)]
    assert table["z"].to_list() == pytest.approx([-2, 3], abs=1e-3)
    assert table["n"].to_list() == list(n)
    names = {
        "25_key_in_one_column/neale.tsv": [None, None],
        "25_key_in_one_column/metal.tbl": ["1:1000:A:G", "2:2000:C:T"],
    }
    assert table["variant_id"].to_list() == names.get(file, ["rs1", "rs2"])


@pytest.mark.parametrize(
    "file", ["28_comment_lines/above.tsv", "28_comment_lines/double.tsv", "28_comment_lines/footer.tsv"]
    + ["44_leading_blank_bom_crlf/bom.tsv", "44_leading_blank_bom_crlf/l.tsv"],
)  # fmt: skip
def test_one_variant_beside_comments_and_marks(file: str) -> None:
    row = clean(CASES / file).table.row(0, named=True)
    assert (row["chrom"], row["position"], row["variant_id"], row["z"], row["n"]) == ("1", 1000, "rs1", -2, 1000)


def test_neales_frequencies_and_low_confidence() -> None:
    stats = clean(CASES / "25_key_in_one_column/neale.tsv")
    assert stats.table["eaf"].to_list() == [0.25, 0.75]
    notes = {entry["note"]: entry["count"] for entry in stats.metadata["ledger"]}
    assert (notes["missing z"], notes["rows of low confidence by the file itself"]) == (1, 1)


def test_positions_as_r_writes_them_in_every_file(tmp_path: Path) -> None:
    case = CASES / "21_scientific_positions"
    assert clean(case / "saige.txt").table["position"].to_list() == [100_000, 99_000_000]
    assert clean(case / "c.ma", positions_from=case / "r.bim").table["position"].to_list() == [100_000]
    (tmp_path / "r.pvar").write_text("1 rs1 1e+05 A G\n")  # PLINK 2 without header and without cM
    assert clean(case / "c.ma", positions_from=tmp_path / "r.pvar").table["position"].to_list() == [100_000]
    (tmp_path / "r.bim.gz").write_bytes(gzip.compress((case / "r.bim").read_bytes()))
    assert clean(case / "c.ma", positions_from=tmp_path / "r.bim.gz").table["position"].to_list() == [100_000]


HEADER = "SNP\tCHR\tBP\tA1\tA2\tZ\tN\n"


def gwas(folder: Path, rows: list[tuple[str, str]], name: str = "g.tsv", number: int = 0) -> Path:
    path = folder / name
    lines = [f"{rs}\t{chrom}\t{1000 * (k + 1 + number)}\tA\tG\t{k - 1}\t1000\n" for k, (rs, chrom) in enumerate(rows)]
    path.write_text(HEADER + "".join(lines))
    return path


@pytest.mark.parametrize("name", ["1.0", "01", "chr1", "CHR_1", "NC_000001.10", '"1"'])
def test_names_of_chromosomes_are_understood(tmp_path: Path, name: str) -> None:
    rows = [("rs1", name), ("rs2", "23"), ("rs3", "PAR"), ("rs4", "MT"), ("rs5", "26")]
    assert clean(gwas(tmp_path, rows)).table["chrom"].to_list() == ["1", "X", "X", "MT", "MT"]


def test_other_names_are_refused_by_name_and_contigs_counted(tmp_path: Path) -> None:
    path = gwas(tmp_path, [("rs1", "1"), ("rs2", "1p"), ("rs3", "GL000191.1"), ("rs4", "chr6_apd_hap1"), ("rs5", "27")])
    with pytest.raises(
        DataError,
        match=r"chromosome is none of 1 to 22, X, Y, MT \(1P, 27\) in 2 of 3 rows, first row 2 \(rs2 1P:2000 A/G\)",
    ):
        clean(path)
    stats = clean(path, filters=CleanOptions(drop_invalid=True))
    assert stats.table["variant_id"].to_list() == ["rs1"]
    notes = {entry["note"]: entry["count"] for entry in stats.metadata["ledger"] if entry["step"] == "dropped"}
    assert notes == {
        "on contigs that are no chromosome (6_APD_HAP1, GL000191.1)": 2,
        "invalid: chromosome is none of 1 to 22, X, Y, MT (1P, 27)": 2,
    }


@pytest.mark.parametrize(
    "key",
    [
        "1:1000:G:A",
        "chr1_1000_G_A",
        "1-1000-G-A",
        "chr1:1000_G/A",
        "01:1000:g:a:b37",
        "1:1000[b37]G,A",
        "1:1000|G|A",
        "1:1000:G>A",
        "1:1000:G:A:imp:v1",
    ],
)
def test_a_named_key_has_the_reference_first(tmp_path: Path, key: str) -> None:
    path = tmp_path / "g.tsv"
    path.write_text(f"name\tbeta\tse\tn\n{key}\t-0.02\t0.01\t1000\n")
    row = clean(path, columns={"key": "name"}).table.row(0, named=True)
    assert (row["chrom"], row["position"], row["effect_allele"], row["other_allele"]) == KEY[0]
    assert row["z"] == pytest.approx(-2)
    path.write_text(f"name\tminor\tbeta\tse\tn\n{key}\tG\t-0.02\t0.01\t1000\n")
    row = clean(path, columns={"key": "name", "effect_allele": "minor"}).table.row(0, named=True)
    assert (row["effect_allele"], row["other_allele"], row["z"]) == ("G", "A", pytest.approx(-2))
    path.write_text("name\tbeta\tse\tn\nrs1\t-0.02\t0.01\t1000\n")
    with pytest.raises(FormatError, match=r"holds no CHROMOSOME:POSITION:REF:ALT, but 'rs1'"):
        clean(path, columns={"key": "name"})


def test_a_key_beside_columns_of_places_gives_the_alleles(tmp_path: Path) -> None:
    path = tmp_path / "g.tsv"
    path.write_text("chromosome\tposition\tvariantId\tbeta\tse\tn\n1\t1000\t1_1007_G_A\t-0.02\t0.01\t1000\n")
    row = clean(path, columns={"key": "variantId"}).table.row(0, named=True)
    assert (row["chrom"], row["position"], row["effect_allele"], row["other_allele"]) == KEY[0]
    assert row["z"] == pytest.approx(-2)


@pytest.mark.parametrize(
    "name",
    ["1:1000:SNP", "chr1:1000:D", "1:1000:rs1", "chr1:1000-1000", "1:1000:A:<DEL>", "1:1000[b37]A,AT", "1:1000;x"],
)
def test_a_place_in_an_identifier_is_taken_whatever_stands_behind_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / "g.tsv"
    header = "ID\teffect_allele\tother_allele\tbeta\tse\tn\n"
    path.write_text(f"{header}{name}\tA\tG\t-0.02\t0.01\t1000\n")
    found = clean(path)
    assert found.table.select("chrom", "position").rows() == [("1", 1000)]
    path.write_text(f"{header}rs1\tA\tG\t-0.02\t0.01\t1000\n")
    said = [entry["note"] for entry in clean(path).metadata["ledger"] if entry["step"] == "note"]
    assert said == ["no positions: variants are known by identifier only, or give --positions-from"]


def test_positions_that_lost_their_last_digits_are_refused(tmp_path: Path) -> None:
    """R writes 1e+05 and 1.2e+07, which are exact; awk and Excel print a few digits of every position."""
    path = tmp_path / "g.tsv"
    header = "ID\tchrom\tpos\teffect_allele\tother_allele\tbeta\tse\tn\n"

    def read(*places: str) -> list[int]:
        path.write_text(header + "".join(f"rs{k}\t1\t{x}\tA\tG\t{(-1) ** k}\t1\t1000\n" for k, x in enumerate(places)))
        return clean(path).table["position"].to_list()

    assert read("100007", "1e+05", "1.2e+07", "1.23e+08") == [100_000, 100_007, 12_000_000, 123_000_000]
    assert len(read(*(f"{k / 10:g}e+07" for k in range(10, 39)))) == 29  # R on a grid
    assert read("1.00000700000000000e+06") == [1_000_007]  # numpy.savetxt
    with pytest.raises(
        FormatError, match=r"`pos` has lost its last digits in 1 of 2 rows, first row 2 \('1.23457e\+08'\)"
    ):
        read("100007", "1.23457e+08")
    with pytest.raises(FormatError, match=r"`pos` has lost its last digits in 40 of 40 rows"):
        read(*(f"{k / 100:.2f}E+06" for k in range(100, 140)))
    with pytest.raises(FormatError, match=r"lost its last digits"):
        clean(CASES / "21_scientific_positions/c.ma", positions_from=_sites(tmp_path, "1.00123e+06"))


def _sites(folder: Path, place: str) -> Path:
    path = folder / "r.pvar"
    path.write_text(f"1 rs1 {place} A G\n")
    return path


@pytest.mark.parametrize("separator", [";", "|"])
def test_rare_separators(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "g.csv"
    text = HEADER + "rs1\t1\t1000\tA\tG\t-2\t1000\n"
    path.write_text(text.replace("\t", separator))
    assert clean(path).table["z"].to_list() == [-2]
    path.write_text(text.replace("-2", "-2,5").replace("\t", separator))
    with pytest.raises(DataError, match=r"column Z holds text .* \('-2,5'\): a comma is neither a decimal point"):
        clean(path)
    path.write_text(text.replace("\t", "~"))
    with pytest.raises(
        FormatError, match=r"the header is one column, 'SNP~CHR~BP.*Separate columns by tabs, commas or blanks"
    ):
        clean(path)


def test_positions_of_identifiers_are_taken_only_where_most_are_such(tmp_path: Path) -> None:
    path = tmp_path / "g.tsv"
    for names, places in (
        (["1:1000:G:A", "rs2", "chr2:3000"], [("1", 1000), ("2", 3000), (None, None)]),
        (["1:1000", "rs2", "rs3"], [(None, None)] * 3),
    ):
        rows = "".join(f"{name}\tA\tG\t-0.02\t0.01\t1000\n" for name in names)
        path.write_text("ID\teffect_allele\tother_allele\tbeta\tse\tn\n" + rows)
        table = clean(path).table
        assert sorted(table.select("chrom", "position").rows(), key=str) == sorted(places, key=str)


def test_a_file_per_chromosome_is_one_gwas(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    parts = {"01": ("rs1", "1"), "chr2": ("rs2", "2"), "X": ("rs3", "23")}
    for number, (name, row) in enumerate(parts.items()):
        gwas(tmp_path, [row, (f"{row[0]}b", row[1])], f"height.{name}.txt", 10 * number)
    with caplog.at_level(logging.WARNING, "varfx"):
        stats = clean(tmp_path / "height.@.txt")
    assert "has no file for 20 chromosomes (3, 4, 5" in caplog.text
    assert stats.trait == "height"
    assert stats.table["variant_id"].to_list() == ["rs1", "rs1b", "rs2", "rs2b", "rs3", "rs3b"]
    assert stats.table["chrom"].to_list() == ["1", "1", "2", "2", "X", "X"]
    assert {"step": "files", "count": 3, "note": "read as one GWAS"} in stats.metadata["ledger"]
    assert {"step": "read", "count": 6, "note": "rows of PolyFun"} in stats.metadata["ledger"]
    assert set(stats.metadata["provenance"]["inputs"]) == {"gwas", "gwas.2", "gwas.3"}
    paths = [tmp_path / f"height.{name}.txt" for name in parts]
    assert clean(paths).table.equals(stats.table)
    with pytest.raises(ConfigError, match=r"height\.01\.txt` is named twice"):
        clean([*paths, paths[0]])
    with pytest.raises(FormatError, match=r"other\.@\.txt`: none of its 22 files exists, first `.*other\.1\.txt`"):
        clean(tmp_path / "other.@.txt")
    with pytest.raises(DataError, match=r"stands more than once in 2 of 7 rows"):
        clean([*paths, gwas(tmp_path, [("rs1", "1")], "again.txt")])
    paths[1].write_text(paths[1].read_text().replace("\tN\n", "\tNEFF\n").replace("\tZ\t", "\tBETA\t"))
    with pytest.raises(FormatError, match=r"chr2\.txt|no known format"):
        clean(paths)


def test_several_files_in_one_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [gwas(tmp_path, [(f"rs{chrom}", chrom)], f"h{chrom}.txt") for chrom in "12"]
    result = varfx(capsys, "sumstats", "clean", *paths, "--out", tmp_path / "h.sumstats.parquet")
    assert result.code == 0
    assert read_sumstats(tmp_path / "h.sumstats.parquet").table["chrom"].to_list() == ["1", "2"]
    result = varfx(capsys, "sumstats", "clean", tmp_path / "h@.txt", "--out", tmp_path / "at.sumstats.parquet")
    assert read_sumstats(tmp_path / "at.sumstats.parquet").table.equals(
        read_sumstats(tmp_path / "h.sumstats.parquet").table
    )


def test_latin_1_in_columns_that_are_not_used(tmp_path: Path) -> None:
    (tmp_path / "g.tsv").write_bytes((HEADER[:-1] + "\tlabor\nrs1\t1\t5\tA\tG\t1\t9\tKöln\n").encode("latin-1"))
    assert clean(tmp_path / "g.tsv").table.height == 1
    (tmp_path / "g.tsv").write_bytes((HEADER + "rsé\t1\t5\tA\tG\t1\t9\n").encode("latin-1"))
    with pytest.raises(FormatError, match=r"row 1 is not UTF-8 text\. Convert the file"):
        clean(tmp_path / "g.tsv")


def test_columns_whose_names_polars_takes_for_patterns(tmp_path: Path) -> None:
    text = "^SNP$\t*\tBP\t^a$\tA2\tZ\tN\nrs1\t1\t5\tA\tG\t1\t9\n"
    (tmp_path / "g.tsv").write_text(text)
    columns = {"effect_allele": "^a$", "other_allele": "A2", "variant_id": "^SNP$", "chrom": "*"}
    table = clean(tmp_path / "g.tsv", columns=columns).table
    assert table.select("variant_id", "chrom", "position").row(0) == ("rs1", "1", 5)
    assert isinstance(table, pl.DataFrame)
