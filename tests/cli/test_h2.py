"""`varfx prior h2` and `score-test` as typed, on runs of the simulated study."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cases.simulated_panel import Simulated
from varfx.annotations import Annotations, read_annotations
from varfx.cli.app import run
from varfx.models import ModelConfig
from varfx.prior import SplitConfig, fit, predict, write_prediction
from varfx.training import TrainConfig


@pytest.fixture(scope="module")
def study(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A linear and a network run, and a new annotation."""
    folder = tmp_path_factory.mktemp("h2")
    runs = {}
    for kind in ("linear", "mlp"):
        runs[kind] = folder / kind
        fit(
            simulated.panel,
            [simulated.height, simulated.weight] if kind == "linear" else [simulated.height],
            runs[kind],
            annotations=simulated.annot,
            model=ModelConfig(kind=kind, hidden=(4,)),  # type: ignore[arg-type]
            training=TrainConfig(max_steps=60, check_every=20),
            split=SplitConfig(holdout_chrom=("3",)),
        )
    table = read_annotations(simulated.annot).table
    gene = (np.arange(table.height) // 13 % 2).astype(np.float32)
    new = Annotations(table=table.select(*table.columns[:5], pl.Series("gene", gene), "active"))
    new.write(folder / "new.annot.parquet")
    write_prediction(predict(runs["mlp"]), folder / "mlp.snpvar.gz", run=runs["mlp"])
    return {**runs, "new": folder / "new.annot.parquet", "snpvar": folder / "mlp.snpvar.gz"}


def test_all_files_and_the_keys_of_the_json(
    study: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run(
            [
                "prior",
                "h2",
                str(study["linear"]),
                "--annot",
                str(study["new"]),
                "--out",
                str(tmp_path / "H"),
                "--scores",
            ]
        )
        == 0
    )
    printed = capsys.readouterr().out
    assert "the trait is height, of height, weight" in printed.replace("\n", " ")
    names = ("results", "tall.csv", "convergence.csv", "cell_type_results.txt", "json", "png", "scores.parquet")
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")} == {
        f"H.{name}" for name in names
    }
    found = json.loads((tmp_path / "H.json").read_text())
    assert {"h2", "h2_se", "sigma2", "annotations", "plug_in", "top", "coefficients", "provenance"} <= found.keys()
    keys = {
        "name", "prop_snps", "prop_h2", "prop_h2_se", "enrichment", "enrichment_se", "enrichment_p", "tau_star", "tau_star_se",
    }  # fmt: skip
    assert [each["name"] for each in found["annotations"]] == ["gene", "active"]
    assert keys <= found["annotations"][0].keys()
    assert found["h2_se"] is None  # 12 windows
    assert found["annotations"][1]["enrichment"] > 1
    assert [row["name"] for row in found["coefficients"]][:2] == ["log scale", "alpha"]
    again = ["prior", "h2", str(study["linear"]), "--trait", "weight", "--out", str(tmp_path / "W")]
    assert run(again) == 0
    assert json.loads((tmp_path / "W.json").read_text())["h2"] != found["h2"]


def test_the_run_and_its_file_of_variances_agree(study: dict[str, Path], simulated: Simulated, tmp_path: Path) -> None:
    annot = ["--annot", str(study["new"]), "--windows", "all"]
    assert run(["prior", "h2", str(study["mlp"]), *annot, "--out", str(tmp_path / "A")]) == 0
    files = ["--panel", str(simulated.panel), "--sumstats", str(simulated.height)]
    assert run(["prior", "h2", "--snpvar", str(study["snpvar"]), *files, *annot, "--out", str(tmp_path / "B")]) == 0
    a, b = (json.loads((tmp_path / f"{name}.json").read_text()) for name in "AB")
    assert a["h2"] == pytest.approx(b["h2"], rel=1e-3)
    assert a["annotations"][0]["enrichment"] == pytest.approx(b["annotations"][0]["enrichment"], rel=1e-2)
    assert any("used twice" in note for note in a["notes"])


def test_cross_fit_uses_all_windows(study: dict[str, Path], tmp_path: Path) -> None:
    words = [
        "prior",
        "h2",
        str(study["mlp"]),
        "--annot",
        str(study["new"]),
        "--cross-fit",
        "3",
        "--out",
        str(tmp_path / "C"),
    ]
    assert run(words) == 0
    found = json.loads((tmp_path / "C.json").read_text())
    assert found["n_windows"] == 12
    assert any("cross-fitted in 3 folds" in note for note in found["notes"])
    assert not any("twice" in note for note in found["notes"])


def test_score_test_writes_a_list_and_knows_what_the_model_holds(study: dict[str, Path], tmp_path: Path) -> None:
    words = [
        "prior",
        "score-test",
        str(study["linear"]),
        "--annot",
        str(study["new"]),
        "--json",
        str(tmp_path / "T.json"),
    ]
    assert run([*words, "--random-annotations", "20", "--random-fraction", "0.1"]) == 0
    gene, active = json.loads((tmp_path / "T.json").read_text())
    assert (active["name"], active["z"], active["p"]) == ("active", 0.0, 1.0)
    assert {"name", "z", "p"} <= gene.keys()
    assert 0 < gene["p"] < 1


def test_mistakes_are_one_line(study: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "H")]
    for words, message in (
        ([*out], "give either a RUN or --snpvar FILE"),
        (
            [str(study["mlp"]), "--windows", "held-out", "--trait", "nothing", *out],
            "'nothing' is not one of the run's: height",
        ),
        ([str(study["mlp"]), "--channels", "nothing", *out], "are not in"),
        (["--snpvar", str(study["snpvar"]), *out], "needs --panel and one --sumstats"),
        ([str(study["mlp"]), "--exclude-chrom", "9", *out], "chromosomes that the panel does not have"),
    ):
        assert run(["prior", "h2", *words]) == 2
        assert message in capsys.readouterr().err.replace("\n", " ")
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]


def test_genetic_correlation_of_two_traits_of_a_run(
    study: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "prior",
        "rg",
        str(study["linear"]),
        str(study["linear"]),
        "--trait2",
        "weight",
        "--annot",
        str(study["new"]),
    ]
    assert run([*words, "--json", str(tmp_path / "RG.json"), "--out", str(tmp_path / "RG.tsv")]) == 0
    found = json.loads((tmp_path / "RG.json").read_text())
    assert {"rg", "rg_se", "p", "gcov_int", "h2_1", "h2_2", "provenance"} <= found.keys()
    assert (found["p1"], found["p2"]) == ("height", "weight")
    assert found["rg"] > 0.2  # half of weight's effects are height's
    assert [each["name"] for each in found["annotations"]] == ["gene", "active"]
    assert (tmp_path / "RG.tsv").read_text().startswith("p1\tp2\trg\tse\tz\tp\th2_obs")
    assert run(["prior", "rg", str(study["linear"]), str(study["mlp"]), "--sumstats", "x"]) == 2
    assert "each run's own --sumstats" in capsys.readouterr().err.replace("\n", " ")
