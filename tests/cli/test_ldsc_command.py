"""`varfx prior ldsc`: its options, its JSON, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from cyclopts import App

from varfx.cli.ldsc import ldsc
from varfx.errors import ConfigError, DataError
from varfx.gwas import sumstats as sumstats_module
from varfx.gwas.sumstats import SumStats

SIZE = 1500


@pytest.fixture
def app() -> App:
    app = App(result_action="return_value")
    app.command(ldsc)
    return app


@pytest.fixture
def inputs(tmp_path: Path, rng: np.random.Generator) -> Path:
    base, coding = np.exp(rng.standard_normal((2, SIZE)) + [[3], [1]])
    z = np.sqrt(1 + 20_000 * (0.1 * base / 5e4 + 0.02 * coding / 2e3)) * rng.standard_normal(SIZE)
    place = pl.DataFrame({"CHR": 1, "SNP": [f"rs{row}" for row in range(SIZE)], "BP": np.arange(SIZE) + 1})
    for folder, columns, counts in (
        ("single", {"L2": base}, "50000"),
        ("double", {"baseL2": base, "codingL2": coding}, "50000 2000"),
    ):
        (tmp_path / folder).mkdir()
        place.with_columns(**columns).write_csv(tmp_path / folder / "1.l2.ldscore", separator="\t")
        (tmp_path / folder / "1.l2.M_5_50").write_text(counts)
    annotations = {"base": np.ones(4000, dtype=int), "coding": np.arange(4000) % 25 == 0}
    pl.DataFrame(annotations).cast(pl.Int8).write_csv(tmp_path / "double" / "a.1.annot", separator="\t")
    known = {"variant_id": place["SNP"], "z": z, "n": np.full(SIZE, 2e4), "effect_allele": "A", "other_allele": "G"}
    blank = {name: None for name in sumstats_module.SCHEMA if name not in known}
    frame = pl.DataFrame(known).with_columns(**{name: pl.lit(value) for name, value in blank.items()})
    columns = [pl.col(name).cast(dtype) for name, dtype in sumstats_module.SCHEMA.items()]
    SumStats(table=frame.select(columns), trait="simulated").write(tmp_path / "s.sumstats.parquet")
    return tmp_path


def run(app: App, inputs: Path, *words: str) -> dict[str, object]:
    arguments = ["ldsc", "--sumstats", str(inputs / "s.sumstats.parquet"), "--json", str(inputs / "out.json"), *words]
    app(arguments, exit_on_error=False, print_error=False)
    values = json.loads((inputs / "out.json").read_text())
    assert isinstance(values, dict)
    return values


def test_one_annotation(app: App, inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(inputs / "single")
    values = run(app, inputs, "--ref-ld", folder, "--w-ld", folder)
    assert {"h2", "h2_se", "intercept", "intercept_se", "n_variants", "mean_chi2", "lambda_gc", "ratio"} <= set(values)
    assert values["n_variants"] == SIZE
    assert values["two_step"] == 30
    printed = capsys.readouterr().out
    assert f"h2 (observed scale)  {values['h2']:.4f} ({values['h2_se']:.4f})" in printed
    assert f"intercept            {values['intercept']:.4f} ({values['intercept_se']:.4f})" in printed
    assert "note: 1500 of 1500 variants of `simulated` have LD scores" in printed
    provenance = values["provenance"]
    assert isinstance(provenance, dict)
    assert provenance["config"]["ref_ld"] == folder
    assert all(entry["sha256"] for entry in provenance["inputs"].values())


def test_weights_default_to_the_scores(app: App, inputs: Path) -> None:
    folder = str(inputs / "single")
    given = run(app, inputs, "--ref-ld", folder, "--w-ld", folder)
    assert run(app, inputs, "--ref-ld", folder)["h2_se"] == given["h2_se"]


def test_options_reach_the_regression(app: App, inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--ref-ld", str(inputs / "single"), "--intercept", "1.02", "--num-blocks", "50", "--m", "100000"]
    values = run(app, inputs, *options, "--chi2-max", "40")
    assert values["intercept"] == 1.02
    assert values["intercept_se"] is None
    assert values["num_blocks"] == 50
    assert values["chi2_max"] == 40
    assert "1.0200 (given)" in capsys.readouterr().out
    single = run(app, inputs, *options[:-1], "50000", "--chi2-max", "40")
    assert values["h2"] == pytest.approx(2 * single["h2"])  # type: ignore[operator]
    one_step = run(app, inputs, "--ref-ld", str(inputs / "single"), "--two-step", "0")
    assert one_step["two_step"] is None


def test_a_given_n_replaces_that_of_the_file(app: App, inputs: Path) -> None:
    options = ["--ref-ld", str(inputs / "single"), "--intercept", "1"]
    same, double = (run(app, inputs, *options, "--n", n) for n in ("20000", "40000"))
    assert same["h2"] == run(app, inputs, *options)["h2"]
    assert double["h2"] == pytest.approx(same["h2"] / 2)  # type: ignore[operator]
    with pytest.raises(DataError, match="n is missing or not positive in 1500 of 1500 rows"):
        run(app, inputs, *options, "--n", "-5")


def test_bolts_effective_size_is_brought_back_to_people(
    app: App, inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(inputs / "single")
    plain = run(app, inputs, "--ref-ld", folder, "--w-ld", folder)
    stats = sumstats_module.read_sumstats(inputs / "s.sumstats.parquet")
    scaled = stats.table.with_columns(pl.col("n") * 1.4)
    SumStats(table=scaled, trait="simulated", metadata={"n_gain": 1.4}).write(inputs / "s.sumstats.parquet")
    nominal = run(app, inputs, "--ref-ld", folder, "--w-ld", folder)
    assert nominal["h2"] == pytest.approx(plain["h2"], rel=1e-12)
    assert "1.4000 times the number of individuals" in capsys.readouterr().out
    effective = run(app, inputs, "--ref-ld", folder, "--w-ld", folder, "--effective-n")
    assert effective["h2"] == pytest.approx(plain["h2"] / 1.4, rel=1e-9)  # type: ignore[operator]


def test_several_annotations(app: App, inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--ref-ld", str(inputs / "double"), "--w-ld", str(inputs / "single")]
    disjoint = run(app, inputs, *options)
    assert [row["name"] for row in disjoint["annotations"]] == ["base", "coding"]  # type: ignore[attr-defined]
    assert "coding" in capsys.readouterr().out
    overlap = run(app, inputs, *options, "--annot", str(inputs / "double" / "a."))
    rows = overlap["annotations"]
    assert isinstance(rows, list)
    assert rows[0]["h2"] == pytest.approx(4000 * rows[0]["coefficient"] + 160 * rows[1]["coefficient"])
    assert rows[1]["proportion_variants"] == 2000 / 4000


def test_a_wrong_option_is_one_line(app: App, inputs: Path) -> None:
    with pytest.raises(ConfigError, match="`intercept` must be a positive number, but is -1"):
        run(app, inputs, "--ref-ld", str(inputs / "single"), "--intercept", "-1")
    assert not (inputs / "out.json").exists()


def test_correlation_of_a_trait_with_itself(app: App, inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = inputs / "s.sumstats.parquet"
    words = ["ldsc", "--rg", f"{one},{one}", "--ref-ld", str(inputs / "single"), "--m", "50000"]
    app(
        [*words, "--json", str(inputs / "rg.json"), "--out", str(inputs / "rg.tsv")],
        exit_on_error=False,
        print_error=False,
    )
    found = json.loads((inputs / "rg.json").read_text())
    assert found["rg"] == pytest.approx(1, abs=0.1)
    assert len(found["pairs"]) == 1
    header, row = (inputs / "rg.tsv").read_text().splitlines()
    assert header.split("\t") == [
        "p1", "p2", "rg", "se", "z", "p", "h2_obs", "h2_obs_se", "h2_int", "h2_int_se", "gcov_int", "gcov_int_se",
    ]  # fmt: skip
    assert float(row.split("\t")[2]) == pytest.approx(found["rg"], rel=1e-8)
    assert "simulated" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "either --sumstats FILE or --rg"),
        (["--rg", "a.parquet"], "needs at least two files"),
        (["--sumstats", "a.parquet", "--out", "x"], "belong to --rg"),
        (["--rg", "a.parquet,b.parquet", "--annot", "x"], "takes no --annot"),
    ],
)
def test_options_that_do_not_go_together(app: App, inputs: Path, words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        app(["ldsc", *words, "--ref-ld", str(inputs / "single")], exit_on_error=False, print_error=False)
