"""dbNSFP rows reduced to one number per variant: transcripts, directions, builds, missing values."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from varfx.annotations import DbnsfpSpec, TableSpec, build_annotations
from varfx.annotations.dbnsfp import DIRECTIONS, read_dbnsfp
from varfx.errors import ConfigError, DataError, FormatError
from varfx.genome.variants import SCHEMA
from varfx.io import text_lines

Spec38 = partial(DbnsfpSpec, build="hg38")

HEADER = (
    "#chr\tpos(1-based)\tref\talt\thg19_chr\thg19_pos(1-based)\tEnsembl_transcriptid\tVEP_canonical\tSIFT_score\tSIFT_pred\t"
    "ESM1b_score\tEVE_score\tGERP++_RS\tNew_score"
)
ROWS = [
    # two transcripts, the second canonical; 101 in hg19
    "1\t201\tA\tG\t1\t101\tT1;T2\t.;YES\t0.02;0.5\tD;T\t-9.5;-2\t0.1;0.9\t-3.5\t7",
    "1\t201\tA\tC\t1\t101\tT1;T2\tYES;.\t.;.\t.;.\t.;-1.5\t.\t5.25\t.",
    # no place in hg19
    "1\t205\tC\tT\t.\t.\tT1\tYES\t0.3\tT\t1\t0.2\t0\t1",
    # a variant of two genes, in two rows
    "1\t210\tG\tA\t1\t110\tT1\tYES\t0.25\tT\t-1\t0.5\t1\t2",
    "1\t210\tG\tA\t1\t110\tT5;T6;T7\t.;YES;.\t0.75;0;.\t.;.;.\t-3;-4;.\t.;0.75;.\t1\t4",
    # one value for three transcripts
    "2\t50\tT\tC\t2\t40\tT1;T2;T3\t.;.;YES\t0.125\tD\t2;3\t0.5\t2\t1",
    "3\t50\tT\tC\t3\t40\tT1\tYES\t0.9\tT\t0\t0.5\t2\t1",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "dbNSFP.gz"
    file.write_bytes(gzip.compress("\n".join([HEADER, *ROWS, ""]).encode()))
    return file


def panel(*rows: tuple[str, int, str, str]) -> pl.DataFrame:
    listed = [
        (chrom, position, f"v{row}", effect, other, 0.25) for row, (chrom, position, effect, other) in enumerate(rows)
    ]
    return pl.DataFrame(listed, schema=SCHEMA, orient="row")


HG38 = panel(
    ("1", 201, "G", "A"),
    ("1", 201, "A", "C"),
    ("1", 205, "C", "T"),
    ("1", 210, "A", "G"),
    ("2", 50, "C", "T"),
    ("2", 51, "C", "T"),
)
SCORES = ("SIFT_score", "ESM1b_score", "EVE_score", "GERP++_RS")
nan = np.nan


def values(spec: DbnsfpSpec, frame: pl.DataFrame) -> np.ndarray:
    built = build_annotations(frame, dbnsfp=spec)
    assert built.channels[-len(spec.columns) :] == tuple(spec.columns)
    return built.table.select(list(spec.columns)).fill_null(nan).to_numpy()


@pytest.mark.parametrize(
    ("reduce", "expected"),
    [
        (
            "damaging",
            [
                [-0.02, 9.5, 0.9, -3.5],
                [nan, 1.5, nan, 5.25],
                [-0.3, -1, 0.2, 0],
                [0, 4, 0.75, 1],
                [-0.125, -2, 0.5, 2],
                [nan] * 4,
            ],
        ),
        (
            "canonical",
            [
                [-0.5, 2, 0.9, -3.5],
                [nan, nan, nan, 5.25],
                [-0.3, -1, 0.2, 0],
                [0, 4, 0.75, 1],
                [-0.125, nan, 0.5, 2],
                [nan] * 4,
            ],
        ),
        (
            "mean",
            [
                [-0.26, 5.75, 0.5, -3.5],
                [nan, 1.5, nan, 5.25],
                [-0.3, -1, 0.2, 0],
                [(-0.25 - 0.375) / 2, (1 + 3.5) / 2, (0.5 + 0.75) / 2, 1],
                [-0.125, -2.5, 0.5, 2],
                [nan] * 4,
            ],
        ),
    ],
)
def test_one_number_per_variant(path: Path, reduce: str, expected: list[list[float]]) -> None:
    got = values(DbnsfpSpec(path, SCORES, reduce, "hg38"), HG38)  # type: ignore[arg-type]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_positions_of_the_other_build(path: Path) -> None:
    frame = panel(
        ("1", 101, "G", "A"), ("1", 205, "C", "T"), ("1", 110, "G", "A"), ("2", 40, "T", "C"), ("1", 201, "G", "A")
    )
    got = values(DbnsfpSpec(path, ("EVE_score",), build="GRCh37"), frame)
    np.testing.assert_allclose(got[:, 0], [0.9, nan, 0.75, 0.5, nan], rtol=1e-6)


def test_a_given_direction_counts(path: Path) -> None:
    high, low = (values(Spec38(path, (f"New_score:{word}",)), HG38)[:, 0] for word in ("high", "low"))
    np.testing.assert_allclose(high, [7, nan, 1, 4, 1, nan])
    np.testing.assert_allclose(low, [-7, nan, -1, -2, -1, nan])


def test_known_directions() -> None:
    low = {"SIFT_score", "SIFT4G_score", "FATHMM_score", "PROVEAN_score", "ESM1b_score", "LRT_score"}
    assert {DIRECTIONS[name] for name in low} == {"low"}
    high = {"EVE_score", "GERP++_RS", "AlphaMissense_score", "CADD_phred", "REVEL_score", "phyloP100way_vertebrate"}
    assert {DIRECTIONS[name] for name in high} == {"high"}
    assert Spec38(Path("x"), ("SIFT_converted_rankscore",)).columns == {"SIFT_converted_rankscore": "high"}


@pytest.mark.parametrize("size", [180, 240, 320])
def test_blocks_of_any_size_give_the_same(path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    spec = Spec38(path, SCORES)
    whole = read_dbnsfp(spec, HG38)

    def in_sips(path: Path) -> Iterator[bytes]:
        text = gzip.decompress(Path(path).read_bytes())
        yield from (text[start : start + 7] for start in range(0, len(text), 7))

    monkeypatch.setattr(text_lines, "stream_bytes", in_sips)
    monkeypatch.setattr(text_lines, "BLOCK_BYTES", size)
    assert len(list(text_lines.line_blocks(path))) > 1
    parts = read_dbnsfp(spec, HG38)
    assert parts.values.equals(whole.values)
    assert parts.keys.equals(whole.keys)
    assert whole.keys.height == 5


def test_a_quote_is_a_letter(tmp_path: Path) -> None:
    """dbNSFP quotes nothing: `5"` in a field of words neither hides a tab nor joins lines."""
    words = ('"5', "x", '3"', "y", '"', "z", "w")
    text = [f"{HEADER}\twords", *(f"{row}\t{word}" for row, word in zip(ROWS, words, strict=True)), ""]
    (tmp_path / "quoted").write_text("\n".join(text))
    (tmp_path / "plain").write_text("\n".join([HEADER, *ROWS, ""]))
    quoted, plain = (read_dbnsfp(Spec38(tmp_path / name, SCORES), HG38) for name in ("quoted", "plain"))
    assert quoted.values.equals(plain.values)
    assert quoted.keys.equals(plain.keys)
    (tmp_path / "short").write_text("\n".join([*text[:-1], '1\t"300\tA', ""]))
    with pytest.raises(
        FormatError, match="15 columns are expected, but 1 of 8 rows have another number, first row 8 with 3"
    ):
        read_dbnsfp(Spec38(tmp_path / "short", SCORES), HG38)


def test_a_file_per_chromosome(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "db_chr1.tsv").write_text("\n".join([HEADER, *ROWS[:5]]))
    got = values(Spec38(tmp_path / "db_chr@.tsv", ("EVE_score",)), HG38)
    np.testing.assert_allclose(got[:, 0], [0.9, nan, 0.2, 0.75, nan, nan], rtol=1e-6)
    assert "has no file for 1 chromosomes (2)" in caplog.text
    with pytest.raises(FormatError, match=r"none of its 2 files exists"):
        read_dbnsfp(Spec38(tmp_path / "x@", ("EVE_score",)), HG38)


def test_provenance_says_what_was_done(path: Path) -> None:
    built = build_annotations(HG38, dbnsfp=Spec38(path, ("SIFT_score",), "mean"))
    (entry,) = built.metadata["annotation_inputs"]
    assert (entry["reduce"], entry["build"], entry["directions"]) == ("mean", "hg38", {"SIFT_score": "low"})
    assert entry["counts"]["variants with a row"] == 5


def test_mistakes(path: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"It is not known which end of `New_score` is damaging. Say it: New_score:high"
    ):
        Spec38(path, ("New_score",))
    with pytest.raises(ConfigError, match="the word behind the colon must be high or low"):
        Spec38(path, ("New_score:up",))
    with pytest.raises(ConfigError, match="no scores are chosen"):
        Spec38(path, ())
    with pytest.raises(ConfigError, match="a score is chosen twice"):
        Spec38(path, ("EVE_score", "EVE_score:high"))
    with pytest.raises(ConfigError, match="`reduce` must be one of damaging, canonical, mean, but is 'worst'"):
        Spec38(path, ("EVE_score",), "worst")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="`build` must be hg19"):
        DbnsfpSpec(path, ("EVE_score",), build="hg18")
    with pytest.raises(
        FormatError, match=r"has no column `SIFT4G_score` \(1 of 5 needed are missing; similar: SIFT_score"
    ):
        read_dbnsfp(Spec38(tmp_path / "dbNSFP.gz", ("SIFT4G_score",)), HG38)
    with pytest.raises(FormatError, match=r"`SIFT_pred` is no number in 4 of 6 rows, first 'D;T' at 1:201"):
        read_dbnsfp(Spec38(path, ("SIFT_pred:high",)), HG38)
    with pytest.raises(DataError, match="no row is at a position of the panel's 1 variants, by hg38 positions"):
        read_dbnsfp(Spec38(path, ("EVE_score",)), panel(("1", 202, "A", "G")))
    with pytest.raises(FormatError, match="cannot be read"):
        read_dbnsfp(Spec38(tmp_path / "absent", ("EVE_score",)), HG38)
    (tmp_path / "short").write_text(f"{HEADER}\n{ROWS[0]}\n1\t201\tA\n")
    with pytest.raises(FormatError, match="14 columns are expected, but 1 of 2 rows have another number, first row 2"):
        read_dbnsfp(Spec38(tmp_path / "short", ("EVE_score",)), HG38)
    table = tmp_path / "t.tsv"
    table.write_text("CHR\tBP\tEVE_score\n1\t201\t5\n")
    with pytest.raises(ConfigError, match=r"The channel name `EVE_score` of `.*` is taken by"):
        build_annotations(HG38, tables=[TableSpec(table)], dbnsfp=Spec38(path, ("EVE_score",)))


@pytest.mark.parametrize(
    ("field", "marks", "canonical"),
    [
        ("0.2;", "YES", -0.2),
        ("0.2; ", "YES", -0.2),
        ("0.2", "YES;", -0.2),
        ("0.2;", "YES;", -0.2),
        ("0.2;0.4;", "NO;YES", -0.4),
        ("0.2;0.4", "NO;YES;", -0.4),
        (".;0.4;", "NO;YES;", -0.4),
        ("0.2;.", "NO;YES", None),
        ("0.2;0.4;0.6", "NO;YES", None),  # cannot be assigned
    ],
)
def test_an_empty_last_field_is_no_transcript(tmp_path: Path, field: str, marks: str, canonical: float | None) -> None:
    path = tmp_path / "d.tsv"
    path.write_text(f"#chr\tpos(1-based)\tref\talt\tVEP_canonical\tSIFT_score\n22\t100\tA\tC\t{marks}\t{field}\n")
    panel = pl.DataFrame({"chrom": ["22"], "position": [100]})
    found = read_dbnsfp(DbnsfpSpec(path, ("SIFT_score",), "canonical", "hg38"), panel).values["SIFT_score"]
    assert found.to_list() == ([None] if canonical is None else [pytest.approx(canonical)])


def test_published_case_of_a_trailing_separator() -> None:
    path = Path(__file__).parents[1] / "golden" / "cases" / "F22_dbnsfp_trailing_semicolon" / "d.tsv"
    panel = pl.DataFrame({"chrom": ["22"] * 3, "position": [100, 200, 300]})
    for reduce, expected in (("canonical", [-0.2, -0.3, -0.3]), ("damaging", [-0.2, -0.1, -0.1])):
        table = read_dbnsfp(DbnsfpSpec(path, ("SIFT_score",), reduce, "hg38"), panel)  # type: ignore[arg-type]
        assert table.values["SIFT_score"].to_list() == pytest.approx(expected)
