"""`varfx experiment` and `varfx prior simulate` as typed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cases.command_line import varfx
from cases.simulated_panel import Simulated

TRAINING = ["--max-steps", 10, "--check-every", 5, "--holdout-chrom", 3]


def test_an_experiment_leaves_figure_table_and_results(
    simulated: Simulated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {
        "kind": "fig3",
        "title": "tiny",
        "panel": {"path": "P.ld.zarr"},
        "truth": {"seeds": [1], "signal": {"replicates": 2}},
        "split": {"holdout_chrom": [3]},
        "models": [{"name": "line", "kind": "linear", "link": "exp"}],
        "training": {"max_steps": 5, "check_every": 5},
    }
    (tmp_path / "P.ld.zarr").symlink_to(simulated.panel)  # paths are relative to the YAML
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(content))
    result = varfx(capsys, "experiment", tmp_path / "tiny.yaml", "--out", tmp_path / "OUT", "--workers", 1)
    assert result.code == 0, result.err
    assert "truth 1: a linear function explains" in result.out
    assert (tmp_path / "OUT" / "figure.png").read_bytes().startswith(b"\x89PNG")
    for name in ("table.tsv", "results.json"):
        assert (tmp_path / "OUT" / name).is_file()
    again = varfx(capsys, "experiment", tmp_path / "tiny.yaml", "--out", tmp_path / "OUT")
    assert "holds an experiment" in again.error


def test_simulate_fit_evaluate(simulated: Simulated, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = varfx(
        capsys, "prior", "simulate", "--panel", simulated.panel, "--annot", simulated.annot, "--replicates", 2,
        "--out", tmp_path / "SIM",
    )  # fmt: skip
    assert made.code == 0, made.err
    assert "480 variants, 2 replicates; mean N f 0.017, h2" in made.out
    shown = varfx(capsys, "info", tmp_path / "SIM").out
    assert "simulation" in shown
    assert "linear R2 of log f" in shown
    sumstats = tmp_path / "SIM" / "replicates.sumstats.parquet"
    fitted = varfx(
        capsys, "prior", "fit", "--panel", simulated.panel, "--sumstats", sumstats, "--model", "linear",
        "--out", tmp_path / "RUN", *TRAINING,
    )  # fmt: skip
    assert fitted.code == 0, fitted.err
    truth = tmp_path / "SIM" / "truth.parquet"
    scored = varfx(capsys, "prior", "evaluate", tmp_path / "RUN", "--truth", truth, "--plot", tmp_path / "truth.png")
    assert scored.code == 0, scored.err
    assert "RMSE of log f" in scored.out
    assert "observed / expected" in scored.out
    assert (tmp_path / "truth.png").read_bytes().startswith(b"\x89PNG")
    assert "give --truth too" in varfx(capsys, "prior", "evaluate", tmp_path / "RUN", "--plot", "x.png").error


def test_a_run_brings_its_own_inputs(simulated: Simulated, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = varfx(
        capsys, "prior", "simulate", "--panel", simulated.panel, "--truth-run", "RUN", "--truth", "mlp", "--out", "SIM"
    )  # fmt: skip
    assert "`truth-run` brings its own network: leave out --truth" in result.error
