"""The inputs of a prior as one object: any form of paths, the run's own by default, and verified by checksum."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cases.simulated_panel import Simulated
from varfx.annotations import read_annotations
from varfx.errors import ConfigError, DataError
from varfx.gwas.sumstats import read_sumstats
from varfx.prior import Run, SplitConfig, evaluate, fit, open_run, predict, weights, write_prediction
from varfx.prior.explain.config import ExplainConfig
from varfx.prior.explain.explain import explain
from varfx.prior.files import PriorInputs, inputs_of_run, other_than_at_fit
from varfx.training import TrainConfig

QUICK = TrainConfig(max_steps=2, check_every=1, warmup_steps=0)


@pytest.fixture(scope="module")
def folder(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fit whose inputs may be changed: copies."""
    root = tmp_path_factory.mktemp("own")
    shutil.copy(simulated.height, root / "S.parquet")
    shutil.copy(simulated.annot, root / "A.annot.parquet")
    shutil.copytree(simulated.panel, root / "P.ld.zarr")
    fit(
        root / "P.ld.zarr",
        root / "S.parquet",
        root / "RUN",
        annotations=root / "A.annot.parquet",
        model="linear",
        training=QUICK,
        split=SplitConfig(holdout_chrom=("3",)),
    )
    return root


def louder(path: Path) -> None:
    """Rewrites summary statistics with another z."""
    stats = read_sumstats(path)
    replace(stats, table=stats.table.with_columns(z=pl.col("z") * 1.5)).write(path)


def other_channel(path: Path) -> None:
    table = read_annotations(path)
    replace(table, table=table.table.with_columns(noise=pl.col("noise") * 2)).write(path)


def other_panel(path: Path) -> None:
    (path / "manifest.json").write_text((path / "manifest.json").read_text() + "\n")


CHANGES: dict[str, tuple[str, str, Callable[[Path], None]]] = {
    "sumstats": ("S.parquet", "summary statistics", louder),
    "annotations": ("A.annot.parquet", "annotations", other_channel),
    "panel": ("P.ld.zarr", "LD panel", other_panel),
}


def why(run: Path | Run, **paths: Any) -> object:
    return explain(run, config=ExplainConfig(sample=3, repeats=0), **paths)


COMMANDS: dict[str, tuple[Callable[..., object], set[str]]] = {
    "evaluate": (evaluate, {"panel", "sumstats", "annotations"}),
    "predict": (predict, {"panel", "annotations"}),  # the panel's frequencies are known: no summary statistics are read
    "weights": (weights, {"panel", "sumstats", "annotations"}),
    "explain": (why, {"panel", "sumstats", "annotations"}),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("gone", [False, True], ids=["changed", "gone"])
def test_a_run_s_own_input_must_be_that_of_the_fit(folder: Path, command: str, name: str, gone: bool) -> None:
    function, read = COMMANDS[command]
    file, words, change = CHANGES[name]
    kept = folder / "kept"
    path = folder / file
    copy: Callable[[Path, Path], object] = shutil.copytree if path.is_dir() else shutil.copy
    copy(path, kept)
    try:
        if gone:
            path.rename(folder / "elsewhere")
        else:
            change(path)
        message = f"the {words} of the fit of .*RUN`, is gone. Give its place with --{name}"
        message = message if gone else f"{file}` is no longer the {words} of the fit of .*checksum differs.*--{name}"
        if name in read:
            with pytest.raises(DataError, match=message):
                function(folder / "RUN")
        else:
            function(folder / "RUN")
    finally:
        for leftover in (path, folder / "elsewhere"):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)
        kept.rename(path)


def test_given_files_are_taken_and_others_than_those_of_the_fit_are_noted(folder: Path, tmp_path: Path) -> None:
    moved, louder_ones = tmp_path / "MOVED.parquet", tmp_path / "LOUD.parquet"
    shutil.copy(folder / "S.parquet", moved)
    shutil.copy(folder / "S.parquet", louder_ones)
    louder(louder_ones)
    same = evaluate(folder / "RUN", sumstats=moved)
    assert not [note for note in same.notes if "of the fit" in note and "null" not in note]
    other = evaluate(folder / "RUN", sumstats=louder_ones)
    assert f"{louder_ones} is not the summary statistics of the fit" in other.notes
    assert other.traits[0]["log_p"] != same.traits[0]["log_p"]
    run = open_run(folder / "RUN")
    assert other_than_at_fit(run, PriorInputs.of(sumstats=moved)) == []
    assert other_than_at_fit(run, PriorInputs.of(annotations=louder_ones)) == [
        f"{louder_ones} is not the annotations of the fit"
    ]


def test_the_run_that_fit_returns_is_taken_everywhere(simulated: Simulated, tmp_path: Path) -> None:
    split = SplitConfig(holdout_chrom=("3",))
    run = fit(simulated.panel, str(simulated.height), tmp_path / "RUN", model="constant", training=QUICK, split=split)
    assert evaluate(run).to_dict() == evaluate(tmp_path / "RUN").to_dict()
    assert evaluate(run, compare_with=run).traits[0]["difference"] == 0
    assert predict(run).equals(predict(tmp_path / "RUN"))
    assert weights(run).equals(weights(tmp_path / "RUN"))
    write_prediction(predict(run), tmp_path / "f.parquet", run=run)
    assert repr(run) == f"Run({str(tmp_path / 'RUN')!r}: constant of height; 4 windows held out)"


def test_paths_in_any_form() -> None:
    one = PriorInputs.of(panel="P", sumstats="S")
    assert one == PriorInputs.of(panel=Path("P"), sumstats=[Path("S")])
    assert one.named() == {"panel": Path("P"), "sumstats.0": Path("S")}
    both = PriorInputs.of(sumstats=["A", "B"], annotations="N", tracks="T", chain="C")
    assert list(both.named()) == ["annotations", "tracks", "chain", "sumstats.0", "sumstats.1"]


def test_inputs_that_are_not_there(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"no LD panel is given. Name one with --panel"):
        PriorInputs().open_panel()
    with pytest.raises(ConfigError, match=r"no summary statistics are given. Name at least one file with --sumstats"):
        PriorInputs().read_sumstats()
    assert PriorInputs().read_annotations() is None
    with pytest.raises(ConfigError, match="`sumstats` must name one file for each of the run's 1 traits, got 2"):
        inputs_of_run(open_run(folder / "RUN"), PriorInputs.of(sumstats=["A", "B"]))
