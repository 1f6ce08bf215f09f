"""Annotation tables: what a row is recognised by, and every fault of a file."""

from __future__ import annotations

import contextlib
import gzip
import logging
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varfx.annotations.align import AlignedTable, align
from varfx.annotations.foreign import read_annotation_table
from varfx.errors import ConfigError, DataError, FormatError, HarmonisationError, VarfxError
from varfx.genome.variants import SCHEMA

PANEL = pl.DataFrame(
    [
        ("1", 100, "rs1", "A", "G", 0.1),
        ("1", 200, "rs2", "C", "A", 0.2),
        ("1", 200, "rs3", "C", "T", 0.3),
        ("2", 100, "rs4", "A", "T", None),
        ("X", 300, "rs5", "G", "GTA", 0.4),
    ],
    schema=SCHEMA,
    orient="row",
)


def write(folder: Path, text: str | bytes, name: str = "scores.tsv") -> Path:
    path = folder / name
    content = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def aligned(path: Path, *columns: str) -> AlignedTable:
    return align(read_annotation_table(path, columns=columns or None), PANEL, panel_name="panel")


def test_alleles_match_in_any_order_and_on_either_strand(tmp_path: Path) -> None:
    text = (
        "CHR\tBP\tSNP\tA1\tA2\tscore\tblood\n"
        "chr1\t100\tx\tG\tA\t1.5\t1\n"  # other order
        "1\t200\tx\tg\tt\t2.5\t\n"  # C/A on the other strand; no value for blood
        "1\t200\tx\tC\tT\t3.5\t3\n"  # the same position, other alleles
        "2\t100\tx\tT\tA\t4.5\t4\n"  # palindromic: one annotation whatever the strand
        "23\t300\tx\tG\tGTT\t5.5\t5\n"  # another insertion
        "7\t1\tx\tG\tC\t6.5\t6\n"
    )
    for name in ("scores.tsv", "scores.tsv.gz"):
        result = aligned(write(tmp_path, text, name))
        assert result.channels == ("score", "blood")
        assert result.values.dtype == np.float32
        np.testing.assert_array_equal(result.values[:, 0], [1.5, 2.5, 3.5, 4.5, np.nan])
        np.testing.assert_array_equal(result.values[:, 1], [1, np.nan, 3, 4, np.nan])
        assert result.counts["variants with a row"] == 4


@pytest.mark.parametrize(
    "header",
    [
        "chrom,pos,effect_allele,other_allele,score",
        "#CHROM,POS,ALT,REF,score",
        "chromosome,base_pair_location,a1,a2,score",
        "Chr,position,Allele1,Allele0,score",
        "hm_chrom,hm_pos,EA,NEA,score",
        "chr,pos(1-based),alt,ref,score",
    ],
)
def test_synonyms_of_the_key_columns(tmp_path: Path, header: str) -> None:
    result = aligned(write(tmp_path, header + "\n1,100,A,G,2\n1,200,T,C,3\n", "scores.csv"))
    assert result.channels == ("score",)
    np.testing.assert_array_equal(result.values[:, 0], [2, np.nan, 3, np.nan, np.nan])


def test_positions_alone_give_all_alleles_one_value(tmp_path: Path) -> None:
    result = aligned(write(tmp_path, "chrom pos   phyloP\n1 200 -1.5\nX  300 2e0\n", "scores.txt"))
    np.testing.assert_array_equal(result.values[:, 0], [np.nan, -1.5, -1.5, np.nan, 2])


def test_ldsc_annot_tells_variants_at_one_position_apart_by_rs_id(tmp_path: Path) -> None:
    text = "CHR\tBP\tSNP\tCM\tbase\tcoding\n1\t100\trs1\t0.1\t1\t0\n1\t200\trs2\t0.2\t1\t0\n1\t200\trs3\t0.2\t1\t1\n"
    result = aligned(write(tmp_path, text, "base.1.annot.gz"))
    assert result.channels == ("base", "coding")
    np.testing.assert_array_equal(result.values[:, 1], [0, 0, 1, np.nan, np.nan])
    with pytest.raises(DataError, match="the same variant stands more than once in 2 of 3 rows, first row 2"):
        aligned(write(tmp_path, text.replace("rs3", "rs2"), "base.1.annot"))


def test_thin_annot_has_the_rows_of_a_bim_in_its_order(tmp_path: Path) -> None:
    """The .bim is in another order than the panel, has variants that it lacks, and one without alleles."""
    sites = PANEL.sort("variant_id", descending=True).select(
        "chrom", "variant_id", "position", "effect_allele", "other_allele"
    )
    lines = ["\t".join((chrom, name, "0", str(place), one, two)) for chrom, name, place, one, two in sites.rows()]
    lines[2:2] = ["7\trs70\t0\t5\tA\tC", "7\trs71\t0\t6\t0\tC"]
    bim = write(tmp_path, "\n".join(lines) + "\n", "P.bim")
    values = ["5", "4", "70", "71", "3", "2", "1"]  # the number of each variant's name
    thin = write(tmp_path, "enhancer\tflag\n" + "".join(f"{value}\tTRUE\n" for value in values), "thin.annot")
    result = align(read_annotation_table(thin, rows_of=bim), PANEL, panel_name="panel")
    np.testing.assert_array_equal(result.values[:, 0], [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(result.values[:, 1], 1)
    with pytest.raises(
        ConfigError, match=r"no key columns: .* only from the \.bim .* Give both, as .*thin\.annot:FILE\.bim"
    ):
        aligned(thin)
    with pytest.raises(DataError, match=r"has 6 rows, but `.*P\.bim` lists 7 variants\. Give the \.bim that"):
        read_annotation_table(write(tmp_path, "e\n" + "1\n" * 6, "short.annot"), rows_of=bim)
    keyed = write(tmp_path, "CHR\tBP\ts\n1\t100\t1\n", "keyed.annot")
    with pytest.raises(ConfigError, match=r"has the key columns CHR, BP, so that `.*P\.bim` is not needed"):
        read_annotation_table(keyed, rows_of=bim)


def test_keys_in_one_column(tmp_path: Path) -> None:
    text = "variant\tscore\n1:100:G:A\t1\nchr1_200_C_A_b37\t2\n1-200-C-T\t3\n2:100_A/T\t4\nrs5\t9\n"
    with pytest.raises(DataError, match=r"position is not a whole number in 1 of 5 rows, first row 5 \(rs5"):
        aligned(write(tmp_path, text))
    result = aligned(write(tmp_path, text.removesuffix("rs5\t9\n")))
    np.testing.assert_array_equal(result.values[:, 0], [1, 2, 3, 4, np.nan])
    result = aligned(write(tmp_path, "SNP\tscore\n1:200\t2\nchrX:300\t5\n"))  # positions alone
    np.testing.assert_array_equal(result.values[:, 0], [np.nan, 2, 2, np.nan, 5])
    result = aligned(write(tmp_path, "SNP\ta1\ta2\tscore\n1:200\tC\tT\t2\n"))  # alleles in columns of their own
    np.testing.assert_array_equal(result.values[:, 0], [np.nan, np.nan, 2, np.nan, np.nan])


def test_flags_are_numbers_and_text_columns_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "CHR\tBP\tcoding\tgene\tclass\ts\n1\t100\tTRUE\tG1\tx\t1\n2\t100\tFALSE\t.\ty\tNA\n"
    with caplog.at_level(logging.WARNING, "varfx"):
        result = aligned(write(tmp_path, text))
    assert result.channels == ("coding", "s")
    np.testing.assert_array_equal(result.values[:, 0], [1, np.nan, np.nan, 0, np.nan])
    assert "2 columns hold text and become no channels: gene, class." in caplog.text
    caplog.clear()
    assert aligned(tmp_path / "scores.tsv", "s").channels == ("s",)
    assert not caplog.records  # who chooses columns knows


def test_rows_on_chromosomes_of_unknown_names_are_counted(tmp_path: Path) -> None:
    rows = "1\t100\t1\n1p\t200\t1\nchr1p\t210\t1\nGL000191.1\t5\t1\n"
    result = aligned(write(tmp_path, "CHR\tBP\ts\n" + rows))
    assert [note for note in result.notes if "unknown names" in note] == [
        f"2 of 4 rows of `{tmp_path / 'scores.tsv'}` are on chromosomes of unknown names, first '1P': they are lost. Use "
        "the names 1 to 22, X, Y, MT."
    ]


def test_names_that_polars_takes_for_patterns_are_channels(tmp_path: Path) -> None:
    result = aligned(write(tmp_path, "CHR\tBP\t*\t^s$\ts\n1\t100\t1\t2\tNA\n"))
    assert result.channels == ("*", "^s$", "s")
    np.testing.assert_array_equal(result.values[0], [1, 2, np.nan])


def test_rs_ids_alone_and_with_alleles(tmp_path: Path) -> None:
    result = aligned(write(tmp_path, "rsID\tscore\nrs4\t4\nrs1\t1\nrs99\t9\n"))
    np.testing.assert_array_equal(result.values[:, 0], [1, np.nan, np.nan, 4, np.nan])
    result = aligned(write(tmp_path, "SNP\tA1\tA2\tscore\nrs1\tC\tT\t1\nrs2\tC\tG\t2\nrs4\tA\tT\t4\n"))
    np.testing.assert_array_equal(result.values[:, 0], [1, np.nan, np.nan, 4, np.nan])


def test_parquet_with_flags_and_gaps(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "CHR": [1, 1, 23],
            "BP": [100, 200, 300],
            "A1": ["A", "C", "G"],
            "A2": ["G", "A", "GTA"],
            "bin": [True, False, True],
            "score": [1.0, None, float("inf")],
            "gene": ["a", "b", "c"],
        }
    )
    frame.write_parquet(tmp_path / "scores.parquet")
    result = aligned(tmp_path / "scores.parquet")
    assert result.channels == ("bin", "score")
    np.testing.assert_array_equal(result.values[[0, 1, 4], 0], [1, 0, 1])
    np.testing.assert_array_equal(result.values[:, 1], [1, np.nan, np.nan, np.nan, np.nan])
    assert result.counts["values not finite, taken as missing"] == 1
    with pytest.raises(ConfigError, match=r"has no annotation column `BP`. It has bin, score, gene"):
        aligned(tmp_path / "scores.parquet", "BP")
    with pytest.raises(FormatError, match=r"`gene` is not a number in 3 of 3 rows, first row 1 \('a'\)\. Leave it out"):
        aligned(tmp_path / "scores.parquet", "score", "gene")
    whole = (tmp_path / "scores.parquet").read_bytes()
    with pytest.raises(FormatError, match="is not a whole Parquet file"):
        aligned(write(tmp_path, whole[:-10], "cut.parquet"))


def test_chosen_columns_and_values_that_are_none(tmp_path: Path) -> None:
    text = "CHR\tBP\tname\ta\tb\tc\n1\t100\tx\t.\tNA\tnan\n1\t200\ty\t1e39\t-inf\t3\n"
    result = aligned(write(tmp_path, text), "c", "a")
    assert result.channels == ("c", "a")
    np.testing.assert_array_equal(result.values[:, 0], [np.nan, 3, 3, np.nan, np.nan])
    assert np.isnan(result.values[:, 1]).all()  # 1e39 is no float32
    assert aligned(write(tmp_path, text)).channels == ("a", "b", "c")


def grid(count: int) -> pl.DataFrame:
    return pl.DataFrame(
        [("1", 1000 + 100 * k, f"rs{k}", "A", "C" if k % 2 else "G", 0.3) for k in range(count)],
        schema=SCHEMA,
        orient="row",
    )


def test_a_sparse_table_is_welcome_and_another_build_is_not(tmp_path: Path) -> None:
    panel = grid(1000)
    few = write(tmp_path, "CHR\tBP\tSNP\tA1\tA2\ts\n1\t1300\trs3\tA\tC\t1\n")
    assert align(read_annotation_table(few), panel, panel_name="panel").counts["variants with a row"] == 1
    for columns in (["chrom", "position", "variant_id"], ["chrom", "position", "variant_id", *("effect_allele",)]):
        names = [*columns, *(["other_allele"] if "effect_allele" in columns else [])]
        moved = panel.select(names).with_columns(pl.col("position") + 100, s=pl.lit(1.0))
        moved.write_csv(tmp_path / "moved.tsv", separator="\t")
        with pytest.raises(
            HarmonisationError, match=r"1000 of 1000 shared rsIDs have other positions \(median .*\+100"
        ):
            align(read_annotation_table(tmp_path / "moved.tsv"), panel, panel_name="panel")


@pytest.mark.parametrize("alleles", [False, True])
@pytest.mark.parametrize(("shift", "message"), [(-1, "count from 0: add 1"), (1, "are one too large: subtract 1")])
def test_positions_one_base_off_are_refused_where_some_match(
    shift: int, message: str, alleles: bool, tmp_path: Path
) -> None:
    panel = grid(100)
    names = ["chrom", "position", *(("effect_allele", "other_allele") if alleles else ())]
    moved = panel.select(names).with_columns(pl.col("position") + shift, s=pl.lit(1.0))
    path = tmp_path / "moved.csv"
    pl.concat([moved, panel[:20].select(names).with_columns(s=pl.lit(1.0))]).write_csv(path)
    with pytest.raises(
        HarmonisationError, match=rf"100 of its 120 positions are one base beside .* and 20 are .* seem to {message}"
    ):
        align(read_annotation_table(path), panel, panel_name="panel")
    pl.concat([moved[:20], panel.select(names).with_columns(s=pl.lit(1.0))]).write_csv(path)
    assert align(read_annotation_table(path), panel, panel_name="panel").counts["variants with a row"] == 100


def test_positions_may_have_their_build_in_their_name_and_are_no_channels(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    header = "chr\tpos_hg19\tsnp\tscore\tstart\tEAF"
    path = write(tmp_path, f"{header}\n1\t100\trs9\t7\t99\t0.2\n")
    with caplog.at_level(logging.WARNING, "varfx"):
        result = aligned(path)
    assert (result.channels, result.values[0].tolist()) == (("score",), [7.0])
    assert "columns of places or of an effect allele's frequency become no channels: start, EAF" in caplog.text
    assert aligned(path, "EAF").channels == ("EAF",)
    two = write(tmp_path, "chr\tpos_hg19\tpos_b38\tsnp\tscore\n1\t100\t900\trs1\t7\n")
    with pytest.raises(
        FormatError, match=r"has positions of several builds \(pos_hg19, pos_b38\). Call that of the panel's"
    ):
        aligned(two)
    placed = write(tmp_path, "chr\tpos\tBP_b38\tsnp\tscore\n1\t100\t900\trs1\t7\n")
    assert aligned(placed).channels == ("score",)


def test_results_of_a_gwas_as_channels_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, "CHR\tBP\tBETA\tP\tcoding\n1\t100\t0.1\t0.5\t1\n")
    with caplog.at_level(logging.WARNING, "varfx"):
        assert aligned(path).channels == ("BETA", "P", "coding")
    assert (
        "BETA, P look like the results of a GWAS. As channels they would let f be learned from associations"
        in caplog.text
    )
    caplog.clear()
    assert aligned(path, "coding").channels == ("coding",)
    assert not caplog.text


def test_positions_that_lost_their_last_digits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        FormatError, match=r"`BP` has lost its last digits in 1 of 1 rows, first row 1 \('1.23457e\+08'\)"
    ):
        aligned(write(tmp_path, "CHR\tBP\ts\n1\t1.23457e+08\t1\n"))


def test_many_matches_on_the_other_strand_are_noted(tmp_path: Path) -> None:
    panel = grid(100)
    flipped = panel.with_columns(
        pl.col("effect_allele", "other_allele").replace({"A": "T", "C": "G", "G": "C"}), s=pl.lit(1.0)
    ).drop("eaf", "variant_id")
    flipped.write_csv(tmp_path / "flipped.csv")
    result = align(read_annotation_table(tmp_path / "flipped.csv"), panel, panel_name="panel")
    assert result.counts["variants with a row"] == 100
    assert "100 of 100 variants" in result.notes[0]
    assert "on the other strand: check that it has the panel's genome build" in result.notes[0]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", FormatError, r"scores.tsv` is empty\. Check"),
        ("CHR\tBP\tscore\n", FormatError, "has a header and no rows"),
        (
            "CHR\tBP\tscore\n1\t5\n1\t6\t2\n",
            FormatError,
            r"3 columns are expected, but 1 of 2 rows have another number, first row 1 with 2",
        ),
        ("CHR\tBP\tscore\n1\t5\t1\n\n1\t6\t2\t3\n", FormatError, r"2 of 3 rows .*first row 2 with 1"),
        ("CHR\tBP\tBP\n1\t5\t1\n", FormatError, "a repeated name"),
        ("CHR\tBP\t\n1\t5\t1\n", FormatError, "without or with a repeated name"),
        ("CHR\tBP\tname\n1\t5\tx\n", DataError, "has no numeric column besides its key"),
        ("CHR\tBP\tA1\tA2\n1\t5\tA\tC\n", DataError, "has no numeric column besides its key"),
        (
            "CHR\tBP\ts\n1\t5\t1\n1\t6\t2\n1\t7\tx\n",
            FormatError,
            r"column `s` is not a number in 1 of 3 rows, first row 3",
        ),
        ("CHR\tBP\ts\n1\t5.5\t1\n", DataError, "position is not a whole number in 1 of 1 rows"),
        ("CHR\tBP\ts\n1\t0\t1\n", DataError, "position is below 1"),
        ("CHR\tBP\ts\n1\t5\t1\n1\t5\t2\n", DataError, "same variant stands more than once in 2 of 2 rows"),
        (
            "CHR\tBP\tA1\tA2\ts\n1\t5\tA\tC\t1\n1\t5\tG\tT\t2\n",
            DataError,
            "same variant stands more than once in 2 of 2",
        ),
        ("CHR\tBP\tA1\tA2\ts\n1\t5\tA\tN\t1\n", DataError, "alleles are missing, equal, or hold letters other"),
        ("SNP\ts\nrs1\t1\nrs1\t2\n", DataError, "same variant stands more than once in 2 of 2"),
        (
            "SNP\ts\nrs7\t1\n",
            HarmonisationError,
            r"none of its 1 rows shares a rsID with `panel` \(first here rs7, there rs1",
        ),
        (
            "CHR\tBP\ts\n1\t7\t1\n",
            HarmonisationError,
            r"shares a position with `panel` \(first here 1:7, there 1:100\)",
        ),
        ("CHR\tBP\tA1\tA2\ts\n1\t7\tA\tC\t1\n", HarmonisationError, "No position is shared"),
        (b"\x89PNG\n\0\0", FormatError, "is a binary file, not text"),
        (b"CHR\tBP\ts\n1\t5\t\xff\xfe\n", FormatError, "UTF-8 text"),
        (b"\x1f\x8b\x08\0\0", FormatError, "damaged or truncated"),
    ],
)
def test_faults_of_a_table(tmp_path: Path, text: str | bytes, error: type[VarfxError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        aligned(write(tmp_path, text))
    assert "\n" not in str(caught.value)


fields = st.sampled_from(
    ["CHR", "BP", "SNP", "A1", "A2", "score", "1", "100", "rs1", "A", "G", "0.5", "x", "", "é", '"']
)
lines = st.lists(st.lists(fields, min_size=1, max_size=5), max_size=5)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.tuples(lines, st.sampled_from(["\t", ",", " "])).map(
            lambda drawn: "\n".join(drawn[1].join(line) for line in drawn[0]).encode()
        ),
        lines.map(lambda rows: ("CHR\tBP\tscore\n" + "\n".join("\t".join(row) for row in rows)).encode()),
        st.binary(max_size=30).map(lambda tail: b"PAR1" + tail),
    )
)
def test_no_foreign_exception_leaves_the_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = write(tmp_path_factory.mktemp("fuzz"), content)
    with contextlib.suppress(VarfxError):
        result = aligned(path)
        assert result.values.shape == (PANEL.height, len(result.channels))


@pytest.mark.shared_data
def test_a_real_baseline_annot(shared_data: Path) -> None:
    path = shared_data / "ldgm" / "baselineLD.subset.1.annot"
    table = read_annotation_table(path)
    plain = pl.read_csv(path, separator="\t", infer_schema_length=None)
    assert table.kind == "position"
    assert table.values.columns == plain.columns[4:]
    rng = np.random.default_rng(1)
    panel = plain.select(
        chrom=pl.col("CHR").cast(pl.String),
        position="BP",
        variant_id="SNP",
        effect_allele=pl.lit("A"),
        other_allele=pl.lit("C"),
        eaf=pl.lit(None, pl.Float64),
    )
    order = rng.permutation(panel.height)
    result = align(table, panel[order], panel_name="panel")
    np.testing.assert_array_equal(
        result.values, plain[order].drop("CHR", "BP", "SNP", "CM").to_numpy().astype(np.float32)
    )
