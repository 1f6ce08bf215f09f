"""`varfx demo expression` from end to end on tiny studies: simulated upon genotypes made here, and from a folder of files."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.image import imread

from cases.demo import KINDS, WINDOW, data_folder, dense_panel
from varfx.cli.app import run
from varfx.demos import expression as demo_module
from varfx.demos import study as demo_study
from varfx.demos.download import DemoData
from varfx.demos.expression import DemoConfig

Capture = pytest.CaptureFixture[str]
PICTURES = ("models.png", "genes.png", "network.png", "variants.png")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small demo, away from the user's environment and the network."""
    network = replace(demo_module.NETWORK, window=256, width=12)
    training = replace(demo_module.TRAINING, epochs=1, batch=16, micro_batch=16)
    tiny = functools.partial(DemoConfig, window=WINDOW, network_genes=2, network=network, training=training)
    monkeypatch.setattr(demo_module, "DemoConfig", tiny)
    monkeypatch.setattr(demo_study, "KINDS", KINDS)
    monkeypatch.setattr(demo_study, "simulate_study", functools.partial(demo_study.simulate_study, num_genes=6))
    monkeypatch.setattr("varfx.demos.download._pip", lambda: None)
    monkeypatch.delenv("VARFX_DATA", raising=False)


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_without_data_expression_is_simulated_and_the_demo_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    panel = dense_panel(tmp_path)
    source = DemoData(genotypes=panel, gwas=tmp_path / "none")
    monkeypatch.setattr("varfx.demos.download.fetch_demo_data", lambda archive=None: source)
    monkeypatch.setenv("VARFX_DATA", str(tmp_path))  # which has no genotypes/, expression/, ...
    out = tmp_path / "out"
    assert run(["demo", "expression", "--out", str(out), "--workers", "1"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("SIMULATED: individuals and genotypes are real")
    assert "near: heritability 0.6, causal variant 10 to 60 bases from the TSS" in shown
    assert "none: no causal variant" in shown
    numbers = json.loads((out / "results.json").read_text())
    assert numbers["simulated"] is True
    assert f"60 individuals, 6 genes ({numbers['n_genes_held_out']} held out) of chromosome 22" in shown
    for record in numbers["side_by_side"]:
        row = [line for line in shown.splitlines() if line.startswith(f"│ {record['model']} ")][
            -1
        ]  # of the second table
        cells = [cell.strip() for cell in row.strip("│").split("│")]
        assert cells[1:3] == [f"{entry['r2']:.3f}" for entry in record["genes"]]
        assert cells[3:] == [f"{record['r2']:.3f}", f"{record['pcc']:.3f}"]
    linear, network = (
        next(record for record in numbers["side_by_side"] if record["model"] == model)
        for model in ("elastic-net", "enformer")
    )
    gap = linear["r2"] - network["r2"]
    word = "as good as" if abs(gap) < 0.005 else "worse than" if gap > 0 else "better than"
    assert f"The networks are {word} elastic-net: mean R2 {network['r2']:.3f} against {linear['r2']:.3f}" in shown
    ranks = numbers["causal_ranks"]["elastic-net"]
    first = sum(each["rank"] == 1 for each in ranks)
    assert f"the causal variant has the largest effect by elastic-net in {first} of 4 genes, which have " in shown
    for name in PICTURES:
        assert imread(out / name).shape[2] == 4
        assert name in shown
    assert (out / "study" / "truth.tsv").is_file()
    assert f"written to {out}:" in shown


def test_a_folder_of_data_is_used_and_the_demo_runs_again_into_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    data_folder(tmp_path, people=44)
    out = tmp_path / "out"
    answers = []
    for words in (["--data", str(tmp_path / "data")], []):
        assert run(["demo", "expression", "--out", str(out), "--workers", "1", *words]) == 0
        shown = capsys.readouterr().out
        assert "SIMULATED" not in shown
        assert "causal" not in shown
        assert "41 individuals, " in shown
        numbers = json.loads((out / "results.json").read_text())
        assert numbers["simulated"] is False
        assert numbers["phased"] is True
        assert numbers["causal_ranks"] == {}
        answers.append(numbers["side_by_side"])
        monkeypatch.setenv("VARFX_DATA", str(tmp_path / "data"))  # the second time it is found there
    assert answers[0] == answers[1]
    assert not (out / "study").exists()


def test_mistakes_are_one_line_and_nothing_is_written(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    assert run(["demo", "expression", "--out", str(out), "--data", str(tmp_path)]) == 2
    shown = capsys.readouterr().err
    assert "holds 0 files genotypes/*.vcf.gz, where the demo needs one (genotypes)" in one_line(shown)
    assert run(["demo", "expression", "--out", str(out)]) == 2
    assert "there is no pip here" in one_line(capsys.readouterr().err)
    assert not out.exists()
