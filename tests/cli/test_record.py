"""What every command leaves in the folder that it makes: options that can be given again, and a log; and `info` on all of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cases.command_line import varfx
from cases.simulated_panel import Simulated
from varfx.cli.command_line import spread_lists
from varfx.cli.record import typed_options, with_positionals
from varfx.cli.tree import build_app
from varfx.ld import open_panel

Capsys = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("ld build a.bed b.bed --out P --maf 0.1 --overwrite", {"sources": ["a.bed", "b.bed"], "out": "P", "maf": "0.1", "overwrite": True}),
        ("expr baseline C --out=R --no-weights --models blup ridge", {"cohort": "C", "out": "R", "keep-weights": False, "models": ["blup", "ridge"]}),
        ("prior fit --hidden 8 8 --panel P --sumstats S -o R --holdout-chrom 20-22", {"hidden": ["8", "8"], "panel": ["P"], "sumstats": ["S"], "out": "R", "holdout-chrom": ["20-22"]}),
        ("experiment e.yaml --out X", {"file": "e.yaml", "out": "X"}),
    ],
)  # fmt: skip
def test_options_are_recorded_by_their_names(line: str, options: dict[str, object]) -> None:
    app = build_app()
    assert typed_options(app, spread_lists(app, line.split())) == options


def test_what_is_typed_wins_over_the_file() -> None:
    app = build_app()
    words, left = with_positionals(app, ["ld", "build", "--out", "X"], {"sources": ["a", "b"], "maf": 0.1})
    assert (words, left) == (["ld", "build", "a", "b", "--out", "X"], {"maf": 0.1})
    words, left = with_positionals(app, ["ld", "build", "c", "--out", "X"], {"sources": ["a", "b"]})
    assert (words, left) == (["ld", "build", "c", "--out", "X"], {})


def test_a_panel_is_built_again_from_its_options(capsys: Capsys, simulated: Simulated, tmp_path: Path) -> None:
    first, again = tmp_path / "P.ld.zarr", tmp_path / "Q.ld.zarr"
    options = ("--core", 100000, "--flank", 0, "--maf", 0.05, "--workers", 1)
    assert varfx(capsys, "ld", "build", simulated.bed, *options, "--out", first).code == 0
    assert yaml.safe_load((first / "options.yaml").read_text()) == {
        "sources": [str(simulated.bed)], "core": "100000", "flank": "0", "maf": "0.05", "workers": "1",
    }  # fmt: skip
    result = varfx(capsys, "ld", "build", "--config", first / "options.yaml", "--out", again)
    assert (result.code, result.err) == (0, "")
    assert open_panel(again).variants.equals(open_panel(first).variants)
    log = (again / "log.txt").read_text()
    assert log.startswith("command: varfx ld build\nvarfx ")
    assert "python 3." in log
    assert "finished: 20" in log
    assert "warnings: 0" in log
    assert "I0" not in log.replace(str(tmp_path), "")  # no names of individuals
    assert "whole: every checksum is right" in varfx(capsys, "info", again).out


def test_warnings_stand_in_the_log(capsys: Capsys, simulated: Simulated, tmp_path: Path) -> None:
    keep = tmp_path / "keep.txt"
    names = [line.split()[:2] for line in simulated.bed.with_suffix(".fam").read_text().splitlines()]
    keep.write_text("".join(f"{fid} {iid}\n" for fid, iid in [*names[:50], ("no", "body")]))
    out = tmp_path / "P.ld.zarr"
    options = ("--core", 100000, "--flank", 0, "--keep", keep, "--workers", 1)
    assert varfx(capsys, "ld", "build", simulated.bed, *options, "--out", out).code == 0
    log = (out / "log.txt").read_text()
    assert "warnings: 1" in log
    assert "warning: 1 of 51" in log


def test_info_on_files_without_checksums(capsys: Capsys, tmp_path: Path) -> None:
    (tmp_path / "f.snpvar").write_text("CHR\tSNP\tBP\tA1\tA2\tSNPVAR\n1\trs1\t5\tA\tC\t1e-6\n")
    (tmp_path / "w.tsv").write_text("ID\tA1\tWEIGHT\nrs1\tA\t0.1\nrs2\tC\t0.2\n")
    (tmp_path / "e.json").write_text(
        '{"traits": [{"name": "h", "gain": 3.5, "n_windows": 9}], "windows": [], "notes": []}'
    )
    (tmp_path / "EXP" / "cells" / "a").mkdir(parents=True)
    (tmp_path / "EXP" / "experiment.json").write_text("{}")
    (tmp_path / "EXP" / "cells" / "a" / "result.json").write_text("{}")
    (tmp_path / "foreign.tsv").write_text("a\tb\n1\t2\n")
    for name, words in {
        "f.snpvar": ("PolyFun's layout", "rows"),
        "w.tsv": ("plink2 --score", "2"),
        "e.json": ("evaluation of a prior", "gain 3.50 nats in 9 windows"),
        "EXP": ("experiment", "unfinished: --resume goes on"),
    }.items():
        result = varfx(capsys, "info", tmp_path / name)
        assert result.code == 0
        assert all(word in result.out for word in (*words, "this kind carries no checksums"))
    assert "was not written by varfx" in varfx(capsys, "info", tmp_path / "foreign.tsv").error


def test_no_output_replaces_an_input(capsys: Capsys, simulated: Simulated, tmp_path: Path) -> None:
    """Neither a file that the command reads, nor a table of another kind."""
    height = tmp_path / "height.sumstats.parquet"
    height.write_bytes(simulated.height.read_bytes())
    held = height.read_bytes()
    fit = ("prior", "fit", "--panel", simulated.panel, "--sumstats", height, "--max-steps", 3, "--model", "constant")
    assert varfx(capsys, *fit, "--holdout-chrom", 3, "--out", tmp_path / "RUN").code == 0
    result = varfx(capsys, "prior", "predict", tmp_path / "RUN", "--out", height)
    assert (result.code, "holds sumstats, which would be lost. Give another name" in result.error) == (2, True)
    assert varfx(capsys, "prior", "weights", tmp_path / "RUN", "--effects", "normal", "--out", height).code == 2
    assert height.read_bytes() == held
    gwas = tmp_path / "g.fastGWA"
    gwas.write_text("CHR SNP POS A1 A2 N AF1 BETA SE P\n22 rs1 100 A G 1000 0.25 -0.02 0.01 0.0455\n")
    for words in (
        ("sumstats", "clean", gwas, "--out", tmp_path / "." / "g.fastGWA"),
        ("sumstats", "clean", f"--file={gwas}", "-o", gwas),
    ):
        result = varfx(capsys, *words)
        assert (result.code, "is the input FILE too, which would be replaced. Give another name" in result.error) == (
            2,
            True,
        )
    config = tmp_path / "c.yaml"
    config.write_text(f"out: {gwas}\n")
    assert varfx(capsys, "sumstats", "clean", gwas, "--config", config).code == 2
    assert gwas.read_text().startswith("CHR SNP")
    f = tmp_path / "f.tsv"
    assert varfx(capsys, "prior", "predict", tmp_path / "RUN", "--out", f).code == 0
    evaluate = ("prior", "evaluate", "--snpvar", f, "--like", tmp_path / "RUN", "--json", f)
    assert "is the input SNPVAR too" in varfx(capsys, *evaluate).error
    assert varfx(capsys, "prior", "predict", tmp_path / "RUN", "--out", f).code == 0  # its own kind is made anew
