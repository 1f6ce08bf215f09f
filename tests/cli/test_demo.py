"""`varfx demo prior` from end to end on genotypes and associations that are made here."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from bed_reader import open_bed
from matplotlib.image import imread

from varfx.cli.app import run
from varfx.demos import prior as demo_module
from varfx.demos.download import DemoData
from varfx.errors import DataError
from varfx.io.sealed import read_table
from varfx.prior import open_run
from varfx.training import TrainConfig

SmallStudy = Callable[..., tuple[Path, Path]]
WINDOWS = 16
STEPS = 30


@pytest.fixture
def source(small_study: SmallStudy, tmp_path: Path) -> DemoData:
    return DemoData(*small_study(tmp_path, chroms=("22",), windows=WINDOWS))


@pytest.fixture
def quick(source: DemoData, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo on that data, with few training steps, away from the user's environment."""
    monkeypatch.setattr("varfx.demos.download.fetch_demo_data", lambda archive=None: source)
    monkeypatch.setattr(demo_module, "TrainConfig", functools.partial(TrainConfig, max_steps=STEPS, check_every=10))
    monkeypatch.delenv("VARFX_DATA", raising=False)


@pytest.mark.usefixtures("quick")
def test_demo_prior_fits_evaluates_draws_and_says_where_things_are(
    tmp_path: Path, source: DemoData, capsys: pytest.CaptureFixture[str]
) -> None:
    beds = tmp_path / "data" / "annotations"
    beds.mkdir(parents=True)
    (beds / "peaks.bed").write_text("chr22\t20000000\t25000000\n")
    (beds / "nowhere.bed").write_text("chr22\t1\t2\nchr1\t20000000\t25000000\n")
    out = tmp_path / "out"
    assert run(["demo", "prior", "--out", str(out), "--data", str(tmp_path / "data"), "--workers", "1"]) == 0

    numbers = json.loads((out / "results.json").read_text())
    assert list(numbers["models"]) == ["constant", "linear", "mlp"]
    assert numbers["channels"] == ["eaf", "maf", "ld_score", "peaks"]  # nowhere.bed covers no variant
    assert sum(numbers["windows"].values()) == WINDOWS
    assert numbers["windows"]["holdout"] == round(demo_module.HOLDOUT_FRACTION * WINDOWS)
    for name, model in numbers["models"].items():
        (trait,) = model["traits"]
        gains = [row["gain"] for row in model["windows"]]
        assert len(gains) == numbers["windows"]["holdout"]
        np.testing.assert_allclose(sum(gains), trait["gain"])
        low, high = trait["gain_ci95"]
        assert low < trait["gain"] < high
        assert ("difference" in trait) == (name != "constant")
        if name != "constant":
            constant = numbers["models"]["constant"]["traits"][0]
            np.testing.assert_allclose(trait["difference"], trait["log_p"] - constant["log_p"])
        assert model["outcome"]["steps"] <= STEPS

    for name in ("training.png", "manhattan.png", "gain_by_window.png", "gain.png"):
        assert imread(out / name).shape[2] == 4
    prior, _ = read_table(out / "prior.parquet", kind="prior")
    assert prior.height == numbers["n_variants"]
    assert (prior["f"] > 0).all()
    assert open_run(out / "mlp").standardiser is not None

    bed = open_bed(source.genotypes)
    weights = pl.read_csv(out / "weights.tsv", separator="\t", schema_overrides={"CHROM": pl.String})
    column = {name: number for number, name in enumerate(bed.sid)}
    copies = bed.read(np.array([column[name] for name in weights["ID"]]))  # of A1, which the panel counts too
    assert weights["A1"].to_list() == [bed.allele_1[column[name]] for name in weights["ID"]]
    scores = pl.read_csv(out / "scores.tsv", separator="\t")
    np.testing.assert_allclose(scores["SCORE_SUM"], copies @ weights["WEIGHT"].to_numpy(), rtol=1e-6, atol=1e-9)
    assert scores["IID"].cast(str).to_list() == list(bed.iid)
    answers = numbers["answers"]["scores"]
    assert answers == {"n_individuals": scores.height, "n_variants": weights.height, "sd": pytest.approx(answers["sd"])}
    assert answers["sd"] == pytest.approx(scores["SCORE_SUM"].std(ddof=0))

    shown = capsys.readouterr().out
    for name, model in numbers["models"].items():
        (row,) = [line for line in shown.splitlines() if line.startswith(f"│ {name} ")]
        assert f" {model['traits'][0]['gain']:.2f} " in row
    assert f"written to {out}:" in shown
    assert "gain_by_window.png" in shown
    assert f"polygenic scores of {scores.height} individuals by {weights.height:,} variants" in shown


@pytest.mark.usefixtures("quick")
def test_demo_prior_runs_again_into_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, kept = demo_module.answers_of, []

    def once(*arguments: Any, **options: Any) -> Any:  # the second time the first time's: these steps take longest
        if not kept:
            kept.append(real(*arguments, **options))
        return kept[0]

    monkeypatch.setattr(demo_module, "answers_of", once)
    out = tmp_path / "out"
    answers = []
    for _ in range(2):
        assert run(["demo", "prior", "--out", str(out), "--workers", "1"]) == 0
        numbers = json.loads((out / "results.json").read_text())
        answers.append({name: model["traits"] for name, model in numbers["models"].items()})
    assert numbers["channels"] == ["eaf", "maf", "ld_score"]
    for first, second in zip(*(each.values() for each in answers), strict=True):
        assert first[0]["log_p"] == second[0]["log_p"]
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]


@pytest.mark.usefixtures("quick")
def test_beds_come_from_the_environment_only_where_there_are_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def stop(*_: object, beds: list[Path], **__: object) -> None:
        seen.append(beds)
        raise DataError("far enough")

    monkeypatch.setattr(demo_module, "run_demo", stop)
    monkeypatch.setenv("VARFX_DATA", str(tmp_path))
    assert run(["demo", "prior", "--out", str(tmp_path / "out")]) == 2
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "peaks.bed.gz").write_bytes(b"")
    assert run(["demo", "prior", "--out", str(tmp_path / "out")]) == 2
    assert seen == [[], [tmp_path / "annotations" / "peaks.bed.gz"]]


@pytest.mark.usefixtures("quick")
def test_mistakes_are_one_line_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run(["demo", "prior", "--out", str(out), "--data", str(empty)]) == 2
    shown = capsys.readouterr().err
    assert "holds no BED files (*.bed, *.bed.gz), nor does its folder `annotations`" in " ".join(shown.split())
    assert not out.exists()
    (tmp_path / "file").write_text("")
    assert run(["demo", "prior", "--out", str(tmp_path / "file" / "out")]) == 2
    assert "file` is no folder. Choose another --out." in " ".join(capsys.readouterr().err.split())


def test_without_network_the_command_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VARFX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VARFX_DATA", raising=False)
    monkeypatch.setattr("varfx.demos.download._pip", lambda: None)
    assert run(["demo", "prior", "--out", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "there is no pip here" in shown
    assert "--archive" in shown
    assert not (tmp_path / "out").exists()
