"""Experiments end to end on a small simulated panel, what is kept on resuming, and what a YAML may not say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from cases.simulated_panel import Simulated
from varfx.errors import ConfigError, StoreError, VarfxError
from varfx.ld import open_panel
from varfx.prior.experiment import cells, read_experiment, run_experiment
from varfx.prior.experiment import run as run_module
from varfx.prior.experiment.cells import cells_of, identity, run_cell
from varfx.prior.experiment.materials import prepare, simulated_signal
from varfx.prior.run import open_run

TRAINING = {"engine": "exact", "max_steps": 12, "check_every": 6, "warmup_steps": 2, "learning_rate": 0.01}


def fig3(simulated: Simulated) -> dict[str, object]:
    return {
        "kind": "fig3",
        "title": "tiny",
        "panel": {"path": str(simulated.panel)},
        "annotations": {"path": str(simulated.annot)},
        "truth": {"seeds": [4, 5], "signal": {"mean_signal": 0.1, "replicates": 8}},
        "split": {"validation_chrom": [2], "holdout_chrom": [3]},
        "models": [
            {"name": "constant", "kind": "constant", "objectives": ["likelihood"]},
            {"name": "network", "kind": "mlp", "hidden": [6], "link": "exp"},
        ],
        "training": TRAINING,
        "reference": "constant",
    }


def written(folder: Path, content: object) -> Path:
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def done(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("experiment")
    path = written(folder, fig3(simulated))
    run_experiment(read_experiment(path), folder / "OUT", workers=1)
    return path, folder / "OUT"


def test_fig3_reports_every_model_objective_and_truth(done: tuple[Path, Path]) -> None:
    results = json.loads((done[1] / "results.json").read_text())
    assert [(each["model"], each["objective"], each["truth"]) for each in results] == [
        (model, objective, truth)
        for truth in (4, 5)
        for model, objective in (("constant", "likelihood"), ("network", "ldsr"), ("network", "likelihood"))
    ]
    for each in results:
        assert {"seed", "corr_log_f", "gain", "gain_ci95", "linear_r2_of_truth"} <= each.keys()
        assert 0 < each["rmse_log_f"] < 20  # a dozen steps on 300 variants
        low, high = each["gain_ci95"]
        assert low <= each["gain"] <= high
        assert 0 < each["linear_r2_of_truth"] < 1
    table = pl.read_csv(done[1] / "table.tsv", separator="\t")
    assert table["model"].to_list() == ["constant", "network", "network"]
    network = [
        each["rmse_log_f"] for each in results if (each["model"], each["objective"]) == ("network", "likelihood")
    ]
    assert table["rmse_log_f"][2] == pytest.approx(np.mean(network), abs=1e-3)
    assert table["difference"][0] == 0


def test_resuming_keeps_finished_cells_and_remakes_others(
    done: tuple[Path, Path], simulated: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = done
    before = (out / "results.json").read_text()
    ran = []
    real = run_module.run_cell
    monkeypatch.setattr(run_module, "run_cell", lambda cell, place: ran.append(cell.name) or real(cell, place))
    with pytest.raises(StoreError, match=r"holds an experiment, finished\. Go on with --resume.*--overwrite\."):
        run_experiment(read_experiment(path), out, workers=1)
    run_experiment(read_experiment(path), out, workers=1, resume=True)
    assert ran == []
    assert (out / "results.json").read_text() == before
    other = fig3(simulated)
    other["truth"] = {"seeds": [4, 5], "signal": {"mean_signal": 0.2, "replicates": 8}}
    with pytest.raises(StoreError, match="was begun with another `truth`"):
        run_experiment(read_experiment(written(tmp_path, other)), out, workers=1, resume=True)
    longer = fig3(simulated)
    longer["per_objective"] = {"ldsr": {"max_steps": 13}}
    (tmp_path / "new").mkdir()
    run_experiment(read_experiment(written(tmp_path / "new", longer)), out, workers=1, resume=True)
    assert sorted(ran) == ["truth-4_network_ldsr_0", "truth-5_network_ldsr_0"]


def test_real_traits_are_compared_in_pairs_of_windows(simulated: Simulated, tmp_path: Path) -> None:
    content = fig3(simulated)
    del content["truth"]
    content |= {
        "kind": "ablation",
        "sumstats": [str(simulated.height)],
        "objectives": ["likelihood"],
        "panel": {"reference": str(simulated.bed), "core": 100_000, "flank": 100_000, "maf": 0.0},
        "models": [
            {"name": "all", "kind": "linear"},
            {"name": "without active", "kind": "linear", "without": ["active"]},
            {"name": "no flank", "kind": "linear", "flank": 0},
        ],
        "reference": "all",
        "split": {"holdout_chrom": [3]},
        "palindromes": "drop",
        "min_overlap": 0.1,
    }
    outcome = run_experiment(read_experiment(written(tmp_path, content)), tmp_path / "OUT", workers=1)
    for run in sorted((tmp_path / "OUT" / "cells").glob("*/run")):
        assert open_run(run).record["config"]["matching"] == {"palindromes": "drop", "min_overlap": 0.1}
    every, without, flank = outcome.summary
    assert every["difference"] == 0
    assert without["difference"] == pytest.approx(without["gain"] - every["gain"])
    low, high = without["difference_ci95"]
    assert low < without["difference"] < high
    assert without["num_weights"] == every["num_weights"] - 1
    assert flank["difference"] is not None
    assert open_panel(tmp_path / "OUT" / "data" / "panel.flank0.ld.zarr").flank == 0
    assert all(each["rmse_log_f"] is None for each in outcome.results)


@pytest.mark.usefixtures("forked_workers")
def test_processes_do_not_change_results(done: tuple[Path, Path], simulated: Simulated, tmp_path: Path) -> None:
    content = fig3(simulated)
    content["models"] = content["models"][:1]  # type: ignore[index]
    outcome = run_experiment(read_experiment(written(tmp_path, content)), tmp_path / "OUT", workers=2)
    alone = [each for each in json.loads((done[1] / "results.json").read_text()) if each["model"] == "constant"]
    assert [each["rmse_log_f"] for each in outcome.results] == [each["rmse_log_f"] for each in alone]


def change(**options: object) -> Callable[[dict[str, object]], None]:
    return lambda content: content.update(options)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (change(kind="fig4"), "`kind` must be fig3, table1, table2, ablation, but is 'fig4'"),
        (change(colour="red"), "has the unknown key `colour`"),
        (change(models=[]), "`models` is empty"),
        (change(models=[{"name": "x", "kind": "mlp", "depht": 3}]), r"`models`\[0\] has the unknown key `depht`"),
        (change(models=[{"kind": "mlp"}]), r"`models`\[0\] has no `name`"),
        (change(models=[{"name": "x", "kind": "mlp"}] * 2), "the model `x` stands 2 times"),
        (change(palindromes="some"), "`palindromes` must be infer, drop, keep, but is 'some'"),
        (change(min_overlap=20), "`--min-overlap` must be between 0 and 1, but is 20"),
        (change(reference="y"), "`reference` is 'y', which is none of the models"),
        (change(truth=None), "either `sumstats` .* or `truth`"),
        (change(panel={}), "either `path` .* or `reference`"),
        (change(panel={"path": "$NOWHERE_SET/p"}), "the environment variable NOWHERE_SET, which is not set"),
        (change(seeds=["a"]), r"`seeds`\[0\] must be a whole number, but is 'a'"),
        (change(training={"max_stesp": 3}), "`training` has the unknown key `max_stesp`"),
        (change(training={"max_steps": 0}), "`max-steps` must be at least 1"),
        (change(truth={"signal": {"h2": 2}}), "`h2` must be between 0 and 1"),
        (change(truth={"tracks": True}), "`truth` reads tracks, but there are no `tracks`"),
        (change(annotations={"bed": "nothing/*.bed"}), "matches no file"),
    ],
)
def test_what_a_yaml_may_not_say(
    simulated: Simulated, tmp_path: Path, edit: Callable[[dict[str, object]], None], message: str
) -> None:
    content = fig3(simulated)
    edit(content)
    with pytest.raises(VarfxError, match=message):
        run_experiment(read_experiment(written(tmp_path, content)), tmp_path / "OUT", workers=1)


def test_no_yaml_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("kind: [")
    with pytest.raises(ConfigError, match="is no YAML"):
        read_experiment(tmp_path / "broken.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_experiment(tmp_path / "absent.yaml")


def test_another_folder_is_left_alone(done: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    for options in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(StoreError, match="exists and is no experiment"):
            run_experiment(read_experiment(done[0]), tmp_path, **options)
    with pytest.raises(StoreError, match=r"none` does not exist\. Create it first"):
        run_experiment(read_experiment(done[0]), tmp_path / "none" / "OUT")


def test_an_experiment_is_started_anew_only_when_told(
    done: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "OUT" / "cells").mkdir(parents=True)
    for name in ("experiment.json", "cells/old"):
        (tmp_path / "OUT" / name).write_text("{}")

    class Enough(Exception):
        pass

    def stop(*arguments: object, **options: object) -> None:
        raise Enough

    monkeypatch.setattr(run_module, "prepare", stop)
    with pytest.raises(Enough):
        run_experiment(read_experiment(done[0]), tmp_path / "OUT", overwrite=True)
    assert [path.name for path in (tmp_path / "OUT").iterdir()] == ["experiment.json"]


def test_examples_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VARFX_DATA", "data")
    monkeypatch.setenv("UKBB", "ukbb")
    folder = Path(__file__).resolve().parents[3] / "examples"
    found = [path for path in sorted(folder.glob("*.yaml")) if "kind:" in path.read_text()]
    assert "fig3.yaml" in [path.name for path in found]
    for path in found:
        read_experiment(path)


def test_simulated_signals_lie_on_the_cores(simulated: Simulated) -> None:
    panel = simulated.open()
    rows = [line.split("\t") for line in simulated_signal(panel, "hg19", 3).splitlines()]
    assert {row[0] for row in rows} == {"chr1", "chr2", "chr3"}
    values = np.array([float(row[3]) for row in rows])
    assert (values >= 0).all()
    assert values.max() > 5 * values.mean() > 0


def test_the_device_of_the_command_is_that_of_every_cell(
    simulated: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = {"kind": "table1", "title": "t", "panel": {"path": str(simulated.panel)}}
    source |= {"sumstats": [str(simulated.height)], "models": [{"name": "constant", "kind": "constant"}]}
    source |= {"training": {"device": "cuda:7", "max_steps": 1}, "objectives": ["likelihood"]}
    described = read_experiment(written(tmp_path, source))
    materials = prepare(described, tmp_path)
    (own,), (given,) = (cells_of(described, materials, device=device) for device in ("auto", "cpu"))
    assert (own.training.device, given.training.device) == ("cuda:7", "cpu")
    assert identity(own) == identity(given)  # a resumed experiment keeps cells of another device
    asked: list[object] = []

    def evaluated(run: Path, **options: object) -> None:
        asked.append(options["device"])
        raise KeyboardInterrupt

    monkeypatch.setattr(cells, "evaluate", evaluated)
    with pytest.raises(KeyboardInterrupt):
        run_cell(given, tmp_path / "cells")
    assert asked == ["cpu"]
    with pytest.raises(ConfigError, match="`device` is cuda:7, but torch finds"):
        run_experiment(described, tmp_path / "out", device="cuda:7")
