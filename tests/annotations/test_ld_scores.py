"""Readers of LD scores: every layout gives the same table, every fault a message."""

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from varfx.annotations.ld_scores import LDScores, find_files, join_sumstats, read_ld_scores
from varfx.errors import DataError, FormatError, VarfxError
from varfx.gwas import sumstats as sumstats_module
from varfx.gwas.sumstats import SumStats

TABLE = pl.DataFrame(
    {
        "CHR": [2, 1, 1, 10, 1],
        "SNP": ["rs5", "rs2", "rs1", "rs4", "rs3"],
        "BP": [7, 200, 100, 50, 300],
        "CM": [0.0, 0.1, 0.2, 0.3, 0.4],
        "MAF": [0.1, 0.2, 0.3, 0.4, 0.5],
        "baseL2": [1.5, 2.5, 3.5, -0.5, 5.5],
        "Coding_UCSCL2": [0.1, 0.2, 0.3, 0.4, 0.5],
    }
)
ORDER = ["rs1", "rs2", "rs3", "rs5", "rs4"]


def write(table: pl.DataFrame, path: Path, separator: str = "\t", counts: str | None = "100.5\t7\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    stem = path.name.split(".l2.ldscore")[0]
    if path.name.endswith(".parquet"):
        table.write_parquet(path)
    else:
        text = table.write_csv(separator="\t").replace("\t", separator).encode()
        path.write_bytes(gzip.compress(text) if path.name.endswith(".gz") else text)
    if counts is not None:
        path.with_name(f"{stem}.l2.M_5_50").write_text(counts)
        path.with_name(f"{stem}.l2.M").write_text("2000 300\n")


def check(scores: LDScores, copies: int = 1) -> None:
    assert scores.names == ("base", "Coding_UCSC")
    assert scores.table["variant_id"].to_list() == ORDER
    assert scores.table["chrom"].to_list() == ["1", "1", "1", "2", "10"]
    assert scores.table["position"].to_list() == [100, 200, 300, 7, 50]
    assert scores.table["base"].to_list() == [3.5, 2.5, 5.5, 1.5, -0.5]
    assert scores.table["Coding_UCSC"].to_list() == [0.3, 0.2, 0.5, 0.1, 0.4]
    assert scores.counts is not None
    assert scores.counts.tolist() == [100.5 * copies, 7 * copies]


@pytest.mark.parametrize("separator", ["\t", " ", "   "])
@pytest.mark.parametrize("ending", ["gz", ""])
def test_one_file_by_name_or_prefix(tmp_path: Path, ending: str, separator: str) -> None:
    file = tmp_path / f"all.l2.ldscore{'.' * bool(ending)}{ending}"
    write(TABLE, file, separator)
    check(read_ld_scores(file))
    check(read_ld_scores(tmp_path / "all"))
    check(read_ld_scores(tmp_path))


def test_windows_line_ends_and_blanks_at_both_ends(tmp_path: Path) -> None:
    text = TABLE.write_csv(separator=" ").replace("\n", " \r\n  ")
    (tmp_path / "all.l2.ldscore").write_bytes(text.rstrip().encode())
    (tmp_path / "all.l2.M_5_50").write_text("100.5 7")
    check(read_ld_scores(tmp_path / "all"))


@pytest.mark.parametrize(
    "name", ["{}.l2.ldscore.gz", "base.{}.l2.ldscore", "chr{}.l2.ldscore.gz", "a-{}.l2.ldscore.parquet"]
)
def test_a_file_per_chromosome(tmp_path: Path, name: str) -> None:
    for chrom in (1, 2, 10):
        write(TABLE.filter(pl.col("CHR") == chrom), tmp_path / name.format(chrom))
    check(read_ld_scores(tmp_path), copies=3)
    stem = name.split(".l2")[0]
    check(read_ld_scores(tmp_path / stem.format("@")), copies=3)
    check(read_ld_scores(tmp_path / name.format("@")), copies=3)
    check(read_ld_scores(f"{tmp_path}/{stem.format('')}"), copies=3)


def test_polyfun_parquet_has_names_without_suffix(tmp_path: Path) -> None:
    table = TABLE.drop("CM", "MAF").rename({"baseL2": "base", "Coding_UCSCL2": "Coding_UCSC"})
    table = table.with_columns(A1=pl.lit("A"), A2=pl.lit("G"), __index_level_0__=pl.lit(3))
    write(table, tmp_path / "x.l2.ldscore.parquet")
    check(read_ld_scores(tmp_path / "x"))


def test_a_single_column_stays_l2_and_counts_may_be_absent(tmp_path: Path) -> None:
    write(TABLE.select("CHR", "SNP", "BP", L2="baseL2"), tmp_path / "w.l2.ldscore.gz", counts=None)
    scores = read_ld_scores(tmp_path / "w")
    assert scores.names == ("L2",)
    assert scores.counts is None


def test_names_that_would_clash_are_kept(tmp_path: Path) -> None:
    write(TABLE.rename({"Coding_UCSCL2": "base"}), tmp_path / "w.l2.ldscore")
    assert read_ld_scores(tmp_path / "w").names == ("baseL2", "base")


def test_counts_of_all_frequencies(tmp_path: Path) -> None:
    write(TABLE, tmp_path / "x.l2.ldscore.gz")
    counts = read_ld_scores(tmp_path / "x", all_frequencies=True).counts
    assert counts is not None
    assert counts.tolist() == [2000, 300]


def test_repeated_variants_keep_their_first_row(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    again = TABLE.filter(pl.col("SNP") == "rs2").with_columns(BP=pl.lit(900, pl.Int64), baseL2=pl.lit(9.0))
    write(pl.concat([again, TABLE]), tmp_path / "x.l2.ldscore.gz")
    check(read_ld_scores(tmp_path / "x"))
    assert "1 variants stand more than once" in caplog.text


def test_a_folder_with_several_sets_is_refused(tmp_path: Path) -> None:
    for chrom in (1, 2):
        write(TABLE, tmp_path / f"base.{chrom}.l2.ldscore.gz")
        write(TABLE, tmp_path / f"weights.hm3.{chrom}.l2.ldscore.gz")
    message = r"holds 2 sets of LD scores: base.@.l2.ldscore.gz, weights.hm3.@.l2.ldscore.gz. Give one as a pattern"
    with pytest.raises(FormatError, match=message):
        find_files(tmp_path)
    assert [file.name for file in find_files(tmp_path / "base.@")] == [f"base.{c}.l2.ldscore.gz" for c in (1, 2)]


@pytest.mark.parametrize("name", ["", "nothing", "nothing.@.x"])
def test_nothing_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(FormatError, match="leads to no LD scores"):
        read_ld_scores(tmp_path / name)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (TABLE.drop("BP"), "it lacks the column BP"),
        (TABLE.select("CHR", "SNP", "BP", "CM", "MAF"), "it holds none"),
        (TABLE.clear(), r"it holds none \(0 rows"),
        (
            TABLE.with_columns(pl.col("baseL2").cast(pl.String).replace({"2.5": "x", "3.5": "."})),
            r"`baseL2` is missing or not a finite number in 2 of 5 rows, first row 2 \(rs2\)",
        ),
        (TABLE.with_columns(baseL2=pl.lit(np.inf)), r"in 5 of 5 rows, first row 1 \(rs5\)"),
        (TABLE.with_columns(BP=pl.lit("x")), "`position` is missing"),
    ],
)
def test_wrong_tables(tmp_path: Path, table: pl.DataFrame, message: str) -> None:
    write(table, tmp_path / "x.l2.ldscore.gz")
    with pytest.raises(DataError, match=message):
        read_ld_scores(tmp_path / "x")


@pytest.mark.parametrize("counts", ["5", "5 6 7", "5 six", "nan 3", ""])
def test_wrong_counts(tmp_path: Path, counts: str) -> None:
    write(TABLE, tmp_path / "x.l2.ldscore.gz", counts=counts)
    with pytest.raises(FormatError, match=r"x.l2.M_5_50` must hold 2 numbers, one for each column of"):
        read_ld_scores(tmp_path / "x")


def test_chromosomes_must_have_the_same_columns(tmp_path: Path) -> None:
    write(TABLE, tmp_path / "1.l2.ldscore.gz")
    write(TABLE.rename({"baseL2": "otherL2"}), tmp_path / "2.l2.ldscore.gz")
    with pytest.raises(FormatError, match="the chromosomes' files must have the same columns"):
        read_ld_scores(tmp_path)


@pytest.mark.parametrize("name", ["x.l2.ldscore.gz", "x.l2.ldscore.parquet"])
def test_truncated_files(tmp_path: Path, name: str) -> None:
    write(TABLE, tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(FormatError, match=r"damaged or truncated|not a whole Parquet"):
        read_ld_scores(tmp_path / "x")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=200),
        st.text("CHRSNPBL2 \t\n\r.0123456789-eNa\"'", max_size=200).map(lambda text: text.encode()),
        st.text(' \t\n.09ex"', max_size=80).map(lambda text: b"CHR SNP BP L2\n" + text.encode()),
    ),
    ending=st.sampled_from(["", ".gz", ".parquet"]),
)
def test_no_other_error_leaves_the_reader(tmp_path: Path, content: bytes, ending: str) -> None:
    file = tmp_path / f"x.l2.ldscore{ending}"
    file.write_bytes(content)
    with contextlib.suppress(VarfxError):
        assert read_ld_scores(file).table.height > 0


def trait(**columns: list[object]) -> SumStats:
    size = len(columns["z"])
    blank: dict[str, list[object]] = {name: [None] * size for name in sumstats_module.SCHEMA}
    blank |= {"effect_allele": ["A"] * size, "other_allele": ["C"] * size, "n": [100.0] * size}
    return SumStats(table=pl.DataFrame(blank | columns, schema=sumstats_module.SCHEMA), trait="height")


@pytest.fixture
def panel(tmp_path: Path) -> LDScores:
    write(TABLE, tmp_path / "panel.l2.ldscore.gz")
    return read_ld_scores(tmp_path / "panel")


@pytest.fixture
def weights(tmp_path: Path) -> LDScores:
    table = TABLE.select("CHR", "SNP", "BP", L2=pl.col("BP").cast(pl.Float64)).filter(pl.col("SNP") != "rs3")
    write(table, tmp_path / "weights.l2.ldscore.gz", counts=None)
    return read_ld_scores(tmp_path / "weights")


def test_join_by_id_in_the_order_of_the_scores(panel: LDScores, weights: LDScores) -> None:
    ids = ["rs5", "rs3", "rs77", "rs1", None, "rs1"]
    chroms, positions = ["2", "1", "1", "1", "1", "1"], [7, 300, 4, 100, 5, 101]
    joined = join_sumstats(
        trait(z=[5.0, 3.0, 7.0, -1.0, 8.0, 2.0], variant_id=ids, chrom=chroms, position=positions), panel, weights
    )
    assert joined.key == "rsID"
    assert joined.chi2.tolist() == [1.0, 25.0]
    assert joined.ref_ld.tolist() == [[3.5, 0.3], [1.5, 0.1]]
    assert joined.weight_ld.tolist() == [100.0, 7.0]
    assert joined.notes == (
        "2 of 6 variants of `height` have LD scores and weights (by rsID); 1 have no rsID, 1 repeat one, "
        "1 have no LD score, 1 no weight.",
    )


def test_join_by_position_where_ids_say_nothing(panel: LDScores, weights: LDScores) -> None:
    joined = join_sumstats(
        trait(z=[5.0, 1.0, 2.0], variant_id=["2:7:A:C", "x", None], chrom=["2", "1", "1"], position=[7, 100, 101]),
        panel,
        weights,
    )
    assert joined.key == "position"
    assert joined.chi2.tolist() == [1.0, 25.0]
    assert joined.weight_ld.tolist() == [100.0, 7.0]
    assert joined.n.tolist() == [100.0, 100.0]


def test_join_of_nothing_is_empty(panel: LDScores, weights: LDScores) -> None:
    joined = join_sumstats(trait(z=[5.0], variant_id=["y"]), panel, weights)
    assert joined.chi2.size == 0
    assert joined.key == "rsID"


@pytest.mark.shared_data
def test_european_ld_scores(shared_data: Path) -> None:
    scores = read_ld_scores(shared_data / "ldscores" / "eur_w_ld_chr")
    assert scores.table.height == 1_290_028  # as ldsc reports
    assert scores.counts is not None
    assert scores.counts.tolist() == [1_173_569.0]
    assert scores.names == ("L2",)
    assert len(scores.files) == 22


def test_a_long_word_is_not_repeated_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.l2.ldscore.gz"
    write(TABLE, path, counts="1\t" + "x" * 10_000)
    with pytest.raises(FormatError, match=r"but holds 2 words: 1 x{40}\. Give the file"):
        read_ld_scores(path)
