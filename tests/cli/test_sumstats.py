"""`varfx sumstats clean` as a user calls it."""

from __future__ import annotations

from pathlib import Path

import pytest

from varfx.cli.tree import build_app
from varfx.errors import ConfigError, DataError
from varfx.gwas.sumstats import read_sumstats

TEXT = """CHR SNP POS A1 A2 N AF1 BETA SE P INFO
1 rs1 1000 A G 1000 0.25 -0.02 0.01 0.0455 0.9
2 rs2 2000 CT C 900 0.75 0.03 0.01 0.0027 0.8
6 rs3 30000000 T C 900 0.001 0.03 0.01 0.0027 0.5
""".replace(" ", "\t")


@pytest.fixture
def gwas(tmp_path: Path) -> Path:
    path = tmp_path / "height.fastGWA"
    path.write_text(TEXT)
    return path


def run(*arguments: str | Path) -> None:
    build_app()(["sumstats", *map(str, arguments)], exit_on_error=False, result_action="return_value")


def test_clean_writes_the_file_and_shows_what_it_did(gwas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = gwas.parent / "height.sumstats.parquet"
    run("clean", gwas, "--out", out, "--min-info", "0.6", "--trait", "Height")
    stats = read_sumstats(out)
    assert stats.trait == "Height"
    assert stats.table["variant_id"].to_list() == ["rs1", "rs2"]
    shown = capsys.readouterr().out
    for words in ("height.fastGWA: fastGWA", "info below 0.6 or unknown", "900 to 1,000", "mean chi2    6.5"):
        assert words in shown
    assert "lead variant rs2 2:2000 CT/C (z = 3)" in shown
    assert "lambda_GC    14.29" in shown


def test_every_filter_is_an_option(gwas: Path) -> None:
    out = gwas.parent / "o.parquet"
    options = {
        ("--min-maf", "0.01"): ["rs1", "rs2"],
        ("--min-n", "950"): ["rs1"],
        ("--max-missing", "0.05"): ["rs1"],
        ("--drop-mhc",): ["rs1", "rs2"],
        ("--drop-invalid", "--no-bolt-neff"): ["rs1", "rs2", "rs3"],
    }
    for option, kept in options.items():
        run("clean", gwas, "-o", out, *option)
        assert read_sumstats(out).table["variant_id"].to_list() == kept


def test_n_columns_and_na_are_parsed(gwas: Path) -> None:
    out = gwas.parent / "o.parquet"
    run("clean", gwas, "-o", out, "--n", "200,800")
    assert read_sumstats(out).table["n"].to_list() == pytest.approx([640, 576, 576])
    run("clean", gwas, "-o", out, "--columns", "effect_allele=A2,other_allele=A1,variant_id=SNP")
    assert read_sumstats(out).table["effect_allele"].to_list() == ["G", "C", "C"]
    gwas.write_text(TEXT.replace("0.03", "NR", 1))
    run("clean", gwas, "-o", out, "--na", "NR,--")
    assert read_sumstats(out).table["variant_id"].to_list() == ["rs1", "rs3"]
    with pytest.raises(ConfigError, match=r"`--columns` is 'z'; it must read ROLE=NAME,ROLE=NAME"):
        run("clean", gwas, "-o", out, "--columns", "z")


def test_a_fault_leaves_no_file(gwas: Path) -> None:
    gwas.write_text(TEXT.replace("1000\t0.25", "-1000\t0.25"))
    with pytest.raises(DataError, match="n is not positive in 1 of 3 rows"):
        run("clean", gwas, "-o", gwas.parent / "o.parquet")
    assert [path.name for path in gwas.parent.iterdir()] == ["height.fastGWA"]


def test_help_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    run("clean", "--help")
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for words in (
        "--min-info",
        "--drop-mhc",
        "chr6:25-34 Mb",
        "--bolt-neff",
        "CASES,CONTROLS",
        "height.sumstats.parquet",
    ):
        assert words in shown
