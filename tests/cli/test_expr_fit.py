"""`varfx expr fit` as typed: the run, what is shown, and one line for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch

from cases.cohort import small_cohort
from cases.command_line import varfx
from varfx.expression.cohort.store import open_cohort
from varfx.expression.run import open_run
from varfx.io import sealed
from varfx.models.enformer import Enformer
from varfx.models.expression import ExpressionNetworkConfig

SMALL = ("--width", 24, "--depth", 1, "--epochs", 1)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_cohort(tmp_path_factory.mktemp("cohort"), window=256, people=20)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    trunk = ExpressionNetworkConfig(width=24, depth=1).trunk()
    tensors = Enformer(trunk, generator=torch.Generator().manual_seed(3)).state_dict()
    safetensors.torch.save_file(tensors, tmp_path / "enformer.safetensors")
    return tmp_path / "enformer.safetensors"


def test_fit_with_random_weights(cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = varfx(capsys, "expr", "fit", cohort, "--genes", "all", *SMALL, "--fold", "0,1", "--out", tmp_path / "RUN")
    assert result.code == 0, result.err
    assert "fold 1" in result.out
    assert "3 training genes, 1 held-out genes" in result.out
    run = open_run(tmp_path / "RUN")
    assert run.record["folds"] == [0, 1]
    network, training = run.record["config"]["network"], run.record["config"]["training"]
    assert (network["norm"], network["dropout"], network["window"]) == (
        "running",
        0,
        256,
    )
    assert (training["learning_rate"], training["batch"]) == (1e-3, 128)
    on_gpu = torch.cuda.is_available()
    assert (network["precision"], training["micro_batch"]) == (("bfloat16", 32) if on_gpu else ("float32", 4))
    assert (training["max_gradient_norm"], training["patience"]) == (0.05, 20)


def test_fit_from_a_checkpoint(
    cohort: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "genes.txt"
    file.write_text(open_cohort(cohort).genes_train[0] + "\n")
    words = ("--genes", file, "--single-gene", "--checkpoint", checkpoint, "--window", 128)
    result = varfx(capsys, "expr", "fit", cohort, *words, *SMALL, "--out", tmp_path / "RUN")
    assert result.code == 0, result.err
    assert f"checkpoint sha256 {sealed.sha256(checkpoint)}" in result.out
    record = open_run(tmp_path / "RUN").record
    network, training = record["config"]["network"], record["config"]["training"]
    assert (network["norm"], network["dropout"], network["attention_dropout"], network["position_dropout"]) == (
        "frozen",
        0.4,
        0.05,
        0.01,
    )
    assert (training["learning_rate"], network["window"]) == (5e-6, 128)
    assert record["checkpoint_sha256"] == sealed.sha256(checkpoint)


def test_a_head_alone_learns_faster(
    cohort: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in (("--freeze-trunk",), ("--lora-rank", 2)):
        out = tmp_path / option[0].strip("-")
        result = varfx(capsys, "expr", "fit", cohort, "--checkpoint", checkpoint, *SMALL, *option, "--out", out)
        assert result.code == 0, result.err
        assert open_run(out).record["config"]["training"]["learning_rate"] == 1e-3


def test_a_borzoi_as_typed(cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--model", "borzoi", "--readout", "attention", "--readout-bins", 3, "--locon-rank", 2, "--loss", "mse")
    result = varfx(capsys, "expr", "fit", cohort, *SMALL, *words, "--out", tmp_path / "RUN")
    assert result.code == 0, result.err
    record = open_run(tmp_path / "RUN").record
    network = record["config"]["network"]
    assert record["models"] == ["borzoi"]
    assert (network["model"], network["pooling"], network["pooled_bins"], network["locon_rank"]) == (
        "borzoi",
        "attention",
        3,
        2,
    )
    assert record["config"]["training"]["loss"] == "mse"


def test_published_sizes_are_the_default_of_a_checkpoint(
    cohort: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = varfx(capsys, "expr", "fit", cohort, "--checkpoint", checkpoint, "--depth", 0, "--out", tmp_path / "RUN")
    assert "has unexpected" in result.error or "other shapes" in result.error
    assert not (tmp_path / "RUN").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--checkpoint", "none.bin"), "the checkpoint `none.bin` does not exist. Download"),
        (("--genes", "none.txt"), "`none.txt` cannot be read: No such file"),
        (("--fold", "7"), "`fold` must be from 0 to 2, got 7"),
        (("--fold", "one"), "`fold` must be numbers from 0, or all, got 'one'"),
        (("--width", "50"), "`width` must be a multiple of 12"),
        (("--window", "512"), "`window` must be from 1 to the cohort's 256 bases"),
        (("--window", "0"), "`window` must be at least 1, got 0"),
        (("--learning-rate", "0"), "`learning-rate` must be positive, got 0"),
        (("--epochs", "0"), "`epochs` must be at least 1"),
        (("--phased",), "`phased` needs haplotypes"),
        (("--freeze-trunk", "--lora-rank", "2"), "exclude each other"),
        (
            ("--model", "borzoi", "--window", "200"),
            "`window` must be a multiple of 128 bases for borzoi, got 200. Take 128",
        ),
        (("--indels", "none.vcf.gz"), "`indels` needs `reference`"),
        (("--indels", "none.vcf.gz", "--reference", "none.fa"), "none.vcf.gz"),
        (("--target", "coverage"), "`--target coverage` needs `--coverage`"),
        (("--target", "coverage", "--coverage", "none.tsv"), "`none.tsv` cannot be read"),
        (("--model", "flashzoi", "--checkpoint", "none"), "`none` does not exist. Download `model.safetensors`"),
        (("--learning-rate", "1e30", "--max-gradient-norm", "1e30", "--epochs", "4"), "the fit diverged"),
    ],
)
def test_mistakes_are_one_line(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    defaults = {"--width": "24", "--depth": "1", "--epochs": "1"}
    small = [word for name, value in defaults.items() if name not in words for word in (name, value)]
    result = varfx(capsys, "expr", "fit", cohort, *small, *words, "--out", tmp_path / "RUN")
    assert message in result.error
    assert not (tmp_path / "RUN" / "run.json").exists()


def test_genes_that_are_not_there(cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "genes.txt"
    file.write_text(f"{open_cohort(cohort).genes_train[0]}\nBRCA2\nTP53\n")
    result = varfx(capsys, "expr", "fit", cohort, "--genes", file, *SMALL, "--out", tmp_path / "RUN")
    assert "2 of 3 genes are not in" in result.error
    assert "first BRCA2" in result.error
    assert "Ensembl ids" in result.error
    assert not (tmp_path / "RUN").exists()


def test_a_checkpoint_that_lacks_tensors(
    cohort: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = safetensors.torch.load_file(checkpoint)
    del tensors["stem.0.weight"]
    safetensors.torch.save_file(tensors, checkpoint)
    result = varfx(capsys, "expr", "fit", cohort, "--checkpoint", checkpoint, *SMALL, "--out", tmp_path / "RUN")
    assert "lacks 1 of" in result.error
    assert "`stem.0.weight`" in result.error
    checkpoint.write_bytes(checkpoint.read_bytes()[:2000])
    result = varfx(capsys, "expr", "fit", cohort, "--checkpoint", checkpoint, *SMALL, "--out", tmp_path / "RUN")
    assert "cannot be read as tensors" in result.error
    assert not (tmp_path / "RUN").exists()


def test_no_cohort(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = varfx(capsys, "expr", "fit", tmp_path, "--out", tmp_path / "RUN")
    assert "has no manifest.json" in result.error
    assert not (tmp_path / "RUN").exists()
