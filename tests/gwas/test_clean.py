"""Bad input gives one line that names the offender, and no output; filters and repairs are counted."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import zstandard
from scipy import stats

from varfx.errors import ConfigError, DataError, FormatError, StoreError, VarfxError
from varfx.gwas import CleanOptions, clean
from varfx.gwas.summary import summarise

HEADER = "SNP\tCHR\tPOS\tA1\tA2\tREF\tEAF\tBeta\tse\tP\tN\tINFO"
ROWS = [
    "rs1\t1\t1000\tA\tG\tG\t0.25\t-0.02\t0.01\t0.0455\t1000\t0.9",
    "rs2\t2\t2000\tC\tT\tT\t0.75\t0.03\t0.01\t0.0027\t900\t0.8",
    "rs3\t6\t30000000\tC\tT\tT\t0.005\t0.03\t0.01\t0.0027\t500\t0.7",
]


def write(folder: Path, rows: list[str], header: str = HEADER, name: str = "g.tsv") -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def edited(row: int, column: str, value: str) -> list[str]:
    rows = [line.split("\t") for line in ROWS]
    rows[row][HEADER.split("\t").index(column)] = value
    return ["\t".join(fields) for fields in rows]


BAD_VALUES = {
    "text": ("Beta", "high", r"column Beta holds text where a number belongs in 1 rows, first row 2 \('high'\)"),
    "undeclared word": ("N", "unknown", r"column N holds text .* first row 2 \('unknown'\).* name it with --na"),
    "half a position": ("POS", "10.5", r"column POS holds text where a number belongs in 1 rows, first row 2"),
    "NaN": (
        "Beta",
        "nan",
        r"z cannot be computed in 1 of 3 rows \(the effect is not finite .* in 1\), first row 2 \(rs2 2:2000 C/T\)",
    ),
    "infinite": ("Beta", "inf", r"the effect is not finite .* first row 2"),
    "huge": ("Beta", "1e298", r"\|z\| is above 10000 in 1 of 3 rows, first row 2 \(rs2 2:2000 C/T, z=1e\+300\)"),
    "negative N": ("N", "-900", r"n is not positive in 1 of 3 rows, first row 2 \(rs2 2:2000 C/T, n=-900\)"),
    "frequency": ("EAF", "1.5", r"eaf is outside 0 to 1 in 1 of 3 rows, first row 2 .*eaf=1.5"),
    "NaN frequency": ("EAF", "nan", r"eaf is outside 0 to 1"),
    "info": ("INFO", "nan", r"INFO is not finite"),
    "position": ("POS", "0", r"position is not positive"),
    "letters": ("A1", "R", r"letters other than ACGT in 1 of 3 rows, first row 2 \(rs2 2:2000 R/T\)"),
    "symbolic": ("A1", "<DEL>", r"letters other than ACGT"),
    "equal": ("A1", "T", r"alleles are missing, equal"),
}


@pytest.mark.parametrize("fault", BAD_VALUES)
def test_a_bad_value_is_an_error_or_dropped_and_counted(fault: str, tmp_path: Path) -> None:
    column, value, message = BAD_VALUES[fault]
    path, out = write(tmp_path, edited(1, column, value)), tmp_path / "out.sumstats.parquet"
    with pytest.raises(DataError, match=message) as caught:
        clean(path, out=out)
    assert "\n" not in str(caught.value)
    assert "--drop-invalid" in str(caught.value)
    assert not out.exists()
    assert [file.name for file in tmp_path.iterdir()] == ["g.tsv"]
    kept = clean(path, out=out, filters=CleanOptions(drop_invalid=True))
    assert kept.table["variant_id"].to_list() == ["rs1", "rs3"]
    drops = [entry for entry in kept.metadata["ledger"] if entry["step"] == "dropped"]
    assert [entry["count"] for entry in drops] == [1]
    assert str(drops[0]["note"]).startswith("invalid: ")


@pytest.mark.parametrize("se", ["0", "-0.01", "inf"])
def test_an_impossible_se_leaves_the_row_to_its_p_value(se: str, tmp_path: Path) -> None:
    found = clean(write(tmp_path, edited(1, "se", se)))
    assert found.table["z"].to_list() == pytest.approx([-2, 3, 3], abs=1e-3)
    served = [entry["count"] for entry in found.metadata["ledger"] if entry["step"] == "z"]
    assert served == [2, 1]  # effect / SE, and p
    rows = [line.replace("0.0027", "nan") for line in edited(1, "se", se)]
    with pytest.raises(
        DataError, match=r"z cannot be computed in 1 of 3 rows \(SE is 0, negative or not finite in 1\)"
    ):
        clean(write(tmp_path, rows))


def test_duplicates_are_an_error_or_all_copies_dropped(tmp_path: Path) -> None:
    swapped = "rs9\t1\t1000\tG\tA\tG\t0.75\t0.02\t0.01\t0.0455\t1000\t0.9"
    path = write(tmp_path, [*ROWS, swapped])
    with pytest.raises(DataError, match=r"stands more than once in 2 of 4 rows, first row 1 \(rs1 1:1000 A/G\)"):
        clean(path)
    assert clean(path, filters=CleanOptions(drop_invalid=True)).table["variant_id"].to_list() == ["rs2", "rs3"]


def test_declared_missing_values_are_dropped_and_counted(tmp_path: Path) -> None:
    header = "CHR SNP POS A1 A2 N AF1 BETA SE P".replace(" ", "\t")
    rows = ["1 rs1 10 A G 100 0.2 0.1 0.1 0.3", "1 rs2 20 A G 100 NA 0.1 0.1 0.3", "1 rs3 30 A G 100 0.2 NA NA NA"]
    rows += ["1 rs4 40 A G NA 0.2 0.1 0.1 0.3", "0 rs5 50 A G 100 0.2 0.1 0.1 0.3", "1 rs6 NA A G 100 0.2 0.1 0.1 0.3"]
    found = clean(write(tmp_path, [row.replace(" ", "\t") for row in rows], header))
    assert found.table["variant_id"].to_list() == ["rs1", "rs2"]
    assert found.table["eaf"].to_list() == [0.2, None]
    notes = {entry["note"]: entry["count"] for entry in found.metadata["ledger"]}
    assert [notes[f"missing {name}"] for name in ("z", "n", "chrom", "position")] == [1, 1, 1, 1]


def test_extra_missing_markers(tmp_path: Path) -> None:
    path = write(tmp_path, edited(1, "Beta", "NR"))
    assert clean(path, na=["NR"]).table.height == 2
    with pytest.raises(ConfigError, match=r"`--na`: `-9` is a number"):
        clean(path, na=["-9"])


def test_filters_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, ROWS)
    cases = [
        (CleanOptions(min_info=0.8), ["rs1", "rs2"], "info below 0.8 or unknown"),
        (CleanOptions(min_maf=0.01), ["rs1", "rs2"], "maf below 0.01 or unknown"),
        (CleanOptions(min_n=900), ["rs1", "rs2"], "n below 900"),
        (CleanOptions(max_missing=0.05), ["rs1"], "n below 0.95 of the largest (950)"),
        (CleanOptions(drop_mhc=True), ["rs1", "rs2"], "in the MHC, chr6:25000000-34000000"),
    ]
    for options, kept, note in cases:
        found = clean(path, filters=options)
        assert found.table["variant_id"].to_list() == kept
        entry = {"step": "dropped", "count": 3 - len(kept), "note": note}
        assert entry in found.metadata["ledger"]
        total = {"read": 3, "kept": len(kept)}
        assert {e["step"]: e["count"] for e in found.metadata["ledger"] if e["step"] in total} == total
    with pytest.raises(DataError, match=r"no variant is left; 3 were dropped: n below 1e\+06"):
        clean(path, filters=CleanOptions(min_n=1e6))


def test_both_ends_of_the_mhc_are_dropped(tmp_path: Path) -> None:
    places = (24_999_999, 25_000_000, 34_000_000, 34_000_001)
    rows = [
        ROWS[2].replace("30000000", str(place)).replace("rs3", f"rs{number}") for number, place in enumerate(places)
    ]
    kept = clean(write(tmp_path, rows), filters=CleanOptions(drop_mhc=True))
    assert kept.table["position"].to_list() == [24_999_999, 34_000_001]


def test_filters_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"`--min-maf` is 0.7; it must lie between 0 and 0.5"):
        CleanOptions(min_maf=0.7)
    with pytest.raises(ConfigError, match=r"`--min-info` is nan"):
        CleanOptions(min_info=float("nan"))
    ldsc = write(tmp_path, ["rs1\tA\tG\t100\t2"], "SNP\tA1\tA2\tN\tZ")
    with pytest.raises(ConfigError, match=r"`--min-info` needs the imputation quality, of which .* has none"):
        clean(ldsc, filters=CleanOptions(min_info=0.5))
    with pytest.raises(ConfigError, match=r"`--min-maf` needs the frequency"):
        clean(ldsc, filters=CleanOptions(min_maf=0.01))
    with pytest.raises(ConfigError, match=r"`--drop-mhc` needs positions"):
        clean(ldsc, filters=CleanOptions(drop_mhc=True))
    for text in ("abc", "-5", "0", "1,2,3", "nan", "inf", ""):
        with pytest.raises(ConfigError, match=r"must be a positive number N, or two: CASES,CONTROLS"):
            clean(ldsc, n=text)


def test_sorting_and_capitals_are_counted(tmp_path: Path) -> None:
    rows = [ROWS[1], ROWS[2], ROWS[0].replace("A\tG", "a\tg").replace("\t1\t", "\tchrX\t")]
    found = clean(write(tmp_path, rows))
    assert found.table["chrom"].to_list() == ["2", "6", "X"]
    assert found.table["effect_allele"].to_list() == ["C", "C", "A"]
    assert {"step": "repaired", "count": 1, "note": "alleles put in capitals"} in found.metadata["ledger"]
    assert not any(entry["step"] == "sorted" for entry in found.metadata["ledger"])
    found = clean(write(tmp_path, ROWS[::-1]))
    assert found.table["variant_id"].to_list() == ["rs1", "rs2", "rs3"]
    assert {"step": "sorted", "count": 3, "note": "into genome order"} in found.metadata["ledger"]


def test_unreadable_files(tmp_path: Path) -> None:
    whole = ("\n".join([HEADER, *ROWS * 50]) + "\n").encode()
    cases: list[tuple[bytes, str]] = [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (HEADER.encode(), "has a header but no rows"),
        (HEADER.encode() + b"\n\n", "has a header but no rows"),
        (b"##only\n", "is empty below its 1 comment lines"),
        (b"\0\1\2" * 40, "is a binary file"),
        (b"\xff\xfe" * 40, "text in UTF-16"),
        (b"\x80\xfe" * 40, "control characters"),
        (gzip.compress(whole)[:-20], "is damaged or truncated"),
        (zstandard.compress(whole)[:-5], "is damaged or truncated"),
        (gzip.compress(whole) + b"garbage", "is damaged or truncated: it cannot be decompressed"),
        (b"\x1f\x8bgarbage", "is damaged"),
        (b"PAR1garbage", "is not a whole Parquet file"),
        (
            whole + b"rs9\t1\t5\n",
            "12 columns are expected, but 1 of 151 rows have another number, first row 151 with 3",
        ),
        (
            whole + ROWS[0].encode() + b"\t7\n",
            "12 columns are expected, but 1 of 151 rows have another number, first row 151 with 13",
        ),
        (HEADER.encode() + b"\n\n" + ROWS[0].encode(), "first row 1 with 1"),
        (whole + ROWS[0].replace("rs1", "rs\xff").encode("latin1"), "row 151 is not UTF-8"),
        (b"A,B,C\n1,2,3\n", "the header fits no known format. Its 3 columns are A, B, C; nearest is "),
    ]
    path, out = tmp_path / "g.tsv", tmp_path / "o.parquet"
    for content, message in cases:
        path.write_bytes(content)
        with pytest.raises(FormatError, match=message) as caught:
            clean(path, out=out)
        assert "\n" not in str(caught.value)
        assert not out.exists()
    with pytest.raises(FormatError, match=r"is a folder \(it seems to be a folder of another program\)"):
        clean(tmp_path)
    with pytest.raises(FormatError, match=r"absent` cannot be read: No such file"):
        clean(tmp_path / "absent")
    path.write_bytes(whole[: whole.index(b"\n", 1) + 1] + "\n".join(ROWS).encode())
    with pytest.raises(StoreError, match=r"folder .* does not exist"):
        clean(path, out=tmp_path / "no" / "o.parquet")


def test_a_disagreement_of_effect_and_p_is_counted_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "varfx"):
        assert not any(entry["step"] == "warning" for entry in clean(write(tmp_path, ROWS)).metadata["ledger"])
        assert not caplog.records
        found = clean(write(tmp_path, edited(1, "P", "1e-30")))
    assert "disagrees with `P`" in caplog.text
    assert [entry["count"] for entry in found.metadata["ledger"] if entry["step"] == "warning"] == [1]
    assert found.table["z"][1] == pytest.approx(3)


def bolt(rows: int, rng: np.random.Generator, gain: float) -> pl.DataFrame:
    linreg = rng.uniform(1, 100, rows)
    return pl.DataFrame(
        {
            "SNP": [f"rs{i}" for i in range(rows)],
            "CHR": 1,
            "BP": np.arange(rows) + 1,
            "ALLELE1": "A",
            "ALLELE0": "C",
            "A1FREQ": 0.3,
            "BETA": np.sqrt(linreg) * rng.choice([-1, 1], rows),  # of the infinitesimal model, as BOLT writes it
            "SE": 1.0,
            "CHISQ_LINREG": linreg,
            "CHISQ_BOLT_LMM_INF": linreg,
            "CHISQ_BOLT_LMM": linreg * gain * rng.uniform(0.9, 1.1, rows),
            "P_BOLT_LMM": 2 * stats.norm.sf(np.sqrt(linreg)),
        },
        strict=False,
    )


def test_bolt_gain_scales_n(tmp_path: Path, rng: np.random.Generator) -> None:
    frame = bolt(401, rng, 1.4)
    path = tmp_path / "b.tsv"
    frame.write_csv(path, separator="\t")
    large = frame.filter(pl.col("CHISQ_LINREG") > 30)
    gain = float(np.median(large["CHISQ_BOLT_LMM"].to_numpy() / large["CHISQ_LINREG"].to_numpy()))
    found = clean(path, n=1000)
    assert found.table["n"].to_list() == pytest.approx([1000 * gain] * 401)
    notes = [str(entry["note"]) for entry in found.metadata["ledger"] if entry["count"] == large.height]
    assert any(f"scaled by BOLT's gain {gain:.4f}" in note for note in notes)
    z = frame["BETA"].sign().to_numpy() * np.sqrt(frame["CHISQ_BOLT_LMM"].to_numpy())
    np.testing.assert_allclose(found.table["z"].to_numpy(), z, rtol=1e-12)
    assert clean(path, n=1000, filters=CleanOptions(bolt_neff=False)).table["n"].unique().to_list() == [1000]
    frame.head(40).write_csv(path, separator="\t")
    few = clean(path, n=1000)
    assert few.table["n"].unique().to_list() == [1000]
    assert any("fewer than 50" in str(entry["note"]) for entry in few.metadata["ledger"])
    with pytest.raises(DataError, match=r"no sample size"):
        clean(path)


def test_an_effect_of_zero_has_no_sign_for_a_large_statistic(tmp_path: Path, rng: np.random.Generator) -> None:
    frame = bolt(3, rng, 1.0).with_columns(BETA=pl.Series([0.0, 2, 3]), CHISQ_BOLT_LMM=pl.Series([0.0, 4, 9]))
    p = pl.Series(2 * stats.norm.sf([0, 2, 3]))
    frame = frame.with_columns(CHISQ_BOLT_LMM_INF="CHISQ_BOLT_LMM", P_BOLT_LMM=p)
    frame.write_csv(tmp_path / "b.tsv", separator="\t")
    assert clean(tmp_path / "b.tsv", n=10).table["z"].to_list() == [0, 2, 3]
    frame.with_columns(CHISQ_BOLT_LMM=pl.Series([4.0, 4, 9])).write_csv(tmp_path / "b.tsv", separator="\t")
    with pytest.raises(DataError, match=r"an effect of 0"):
        clean(tmp_path / "b.tsv", n=10)


def test_summary(tmp_path: Path) -> None:
    summary = summarise(clean(write(tmp_path, ROWS[:2])).table)
    assert (summary.n_min, summary.n_max, summary.lead_z) == (900, 1000, pytest.approx(3))
    assert summary.lead == "rs2 2:2000 C/T"
    assert summary.mean_chisq == pytest.approx(6.5)
    assert summary.lambda_gc == pytest.approx(6.5 / 0.4549364, rel=1e-6)


def test_all_our_errors_are_one_tree() -> None:
    assert issubclass(FormatError, VarfxError)


@pytest.mark.parametrize("word", ["", ".", "NA", "#NA", "N/A", "null", "None"])
def test_missing_values_have_the_same_words_in_every_format(tmp_path: Path, word: str) -> None:
    """Here a format whose program writes none: the row lacks n, is dropped, and is counted."""
    kept = clean(write(tmp_path, edited(1, "N", word)))
    assert kept.table["variant_id"].to_list() == ["rs1", "rs3"]
    assert [entry["count"] for entry in kept.metadata["ledger"] if entry["step"] == "dropped"] == [1]
