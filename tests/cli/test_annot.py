"""`varfx annot build` on a small panel, as typed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import zarr

from varfx.annotations import read_annotations
from varfx.cli.tree import build_app
from varfx.errors import ConfigError, FormatError
from varfx.gwas.sumstats import SCHEMA as SUMSTATS_SCHEMA
from varfx.gwas.sumstats import SumStats
from varfx.io.ledger import counts_of
from varfx.ld.store import PANEL, VARIANTS_SCHEMA, WINDOWS_SCHEMA

ROWS = [
    ("1", 100, "rs1", "A", "G", None, 1.5),
    ("1", 200, "rs2", "C", "A", None, 2.5),
    ("2", 100, "rs3", "A", "C", None, 3.5),
    ("2", 150, "rs4", "G", "T", None, None),
]


@pytest.fixture
def panel(tmp_path: Path) -> Path:
    path = tmp_path / "P.ld.zarr"
    zarr.open_group(path, mode="w")
    variants = pl.DataFrame(ROWS, schema=VARIANTS_SCHEMA, orient="row")
    PANEL.finish(path, variants, pl.DataFrame(schema=WINDOWS_SCHEMA), {"num_people": 10, "config": {"flank": 0}})
    return path


@pytest.fixture
def peaks(tmp_path: Path) -> Path:
    path = tmp_path / "peaks.bed"
    path.write_text("track name=x\nchr1\t99\t100\tp\t7\nchr2\t100\t150\tp\t9\n")
    return path


def annot(*words: object) -> None:
    command, bound, _ = build_app().parse_args(
        ["annot", "build", *map(str, words)], exit_on_error=False, print_error=False
    )
    command(*bound.args, **bound.kwargs)


def test_files_of_every_kind_in_one_command(
    tmp_path: Path, panel: Path, peaks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, ldsc, out = tmp_path / "scores.tsv", tmp_path / "base.annot", tmp_path / "A.annot.parquet"
    table.write_text("CHR\tBP\tA1\tA2\tcadd\tother\n1\t200\tA\tC\t12.5\t1\n")
    ldsc.write_text("CHR\tBP\tSNP\tCM\tcoding\n" + "".join(f"{c}\t{p}\t{s}\t0\t1\n" for c, p, s, *_ in ROWS))
    words = ["--bed", peaks, "--bed", f"TSS={peaks}", "--bed-score", f"height={peaks}:5", "--table", table]
    annot("--panel", panel, *words, "--annot", ldsc, "--out", out)
    built = read_annotations(out)
    assert built.channels == ("ld_score", "peaks", "TSS", "height", "cadd", "other", "coding")
    values, _ = built.select(built.table)
    nan = np.nan
    np.testing.assert_array_equal(
        values,
        [
            [1.5, 1, 1, 7, nan, nan, 1],
            [2.5, 0, 0, nan, 12.5, 1, 1],
            [3.5, 0, 0, nan, nan, nan, 1],
            [nan, 1, 1, 9, nan, nan, 1],
        ],
    )
    inputs = built.metadata["provenance"]["inputs"]
    assert set(inputs) == {"panel", str(peaks), str(table), str(ldsc)}
    assert len(inputs[str(peaks)]["sha256"]) == 64
    shown = capsys.readouterr().out
    assert re.search(r"height\W+8\W+100.00%\W+50.00%", shown)
    assert re.search(r"peaks\W+0\.5\W+50.00%\W+0.00%", shown)


def test_columns_fill_and_combine(tmp_path: Path, panel: Path, peaks: Path) -> None:
    table, out = tmp_path / "scores.tsv", tmp_path / "A.annot.parquet"
    table.write_text("CHR\tBP\tA1\tA2\ta\tb\tc\n1\t200\tA\tC\t1\t2\t3\n")
    peaks.write_text("1\t0\t150\t.\t4\n1\t50\t150\t.\t8\n")
    score = ["--bed-score", f"{peaks}:5", "--combine", "mean", "--fill", "0"]
    annot("--panel", panel, "--table", table, "--columns", "c,a", *score, "--out", out)
    built = read_annotations(out)
    assert built.channels == ("ld_score", "peaks", "c", "a")
    assert built.table["peaks"].to_list() == [6, 0, 0, 0]
    assert built.table["c"].to_list() == [None, 3, None, None]


def test_frequencies_come_from_a_gwas(tmp_path: Path, panel: Path) -> None:
    rows = [(*row[:3], row[4], row[3], 0.1 * (k + 1), 1.0, 100.0, None) for k, row in enumerate(ROWS)]
    gwas, out = tmp_path / "S.sumstats.parquet", tmp_path / "A.annot.parquet"
    SumStats(table=pl.DataFrame(rows, schema=SUMSTATS_SCHEMA, orient="row"), trait="height").write(gwas)
    annot("--panel", panel, "--frequency-from", gwas, "--out", out)
    built = read_annotations(out)
    assert built.channels == ("eaf", "maf", "ld_score")
    np.testing.assert_allclose(built.table["eaf"].to_numpy(), [0.9, 0.8, 0.7, 0.6], rtol=1e-6)
    np.testing.assert_allclose(built.table["maf"].to_numpy(), [0.1, 0.2, 0.3, 0.4], rtol=1e-6)
    assert counts_of(built.metadata["frequency_ledger"])["swapped"] == 4


def test_mistakes_leave_no_file(tmp_path: Path, panel: Path, peaks: Path) -> None:
    out = tmp_path / "A.annot.parquet"
    cases: list[tuple[list[object], type[Exception], str]] = [
        (["--bed-score", peaks], ConfigError, r"does not end in a column number. Give NAME=FILE:COLUMN"),
        (["--bed-score", ":5"], ConfigError, "does not end in a column number"),
        (["--bed", peaks, "--columns", "a"], ConfigError, "`--columns` chooses columns of tables, but there is no"),
        (["--bed", peaks, "--fill", "1"], ConfigError, "`--fill` is for scores, but there is no --bed-score"),
        (["--bed", tmp_path / "none.bed"], FormatError, r"none.bed` cannot be read: No such file"),
        (["--bed", peaks, "--bed", peaks], ConfigError, "channel name `peaks`"),
    ]
    for words, error, message in cases:
        with pytest.raises(error, match=message):
            annot("--panel", panel, *words, "--out", out)
    assert not list(tmp_path.glob("*annot*"))
