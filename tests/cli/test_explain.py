"""`varfx prior explain`: a folder that says what a run looks at, for features and for tracks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from cases.command_line import varfx
from cases.simulated_panel import Simulated
from cases.simulated_tracks import simulate_tracks
from varfx.cli.app import run as run_command
from varfx.io import sealed
from varfx.prior.explain.explain import explanation_folder

FAST = ["--max-steps", "60", "--check-every", "20", "--holdout-chrom", "3"]


@pytest.fixture(scope="module")
def linear(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A linear prior of two traits on annotations."""
    out = tmp_path_factory.mktemp("explain") / "RUN"
    words = [
        *simulated.fit_options(),
        "--sumstats",
        str(simulated.weight),
        "--model",
        "linear",
        *FAST,
        "--out",
        str(out),
    ]
    assert run_command(["prior", "fit", *words]) == 0
    return out


@pytest.fixture(scope="module")
def enformer(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small network on three tracks, one of which masks what it does not know; hardly trained."""
    folder = tmp_path_factory.mktemp("explain")
    out = folder / "RUN"
    network = [
        "--model",
        "enformer",
        "--window",
        "16",
        "--width",
        "24",
        "--heads",
        "2",
        "--depth",
        "1",
        "--downsamples",
        "2",
        "--learning-rate",
        "0.01",
    ]
    data = ["--panel", str(simulated.panel), "--sumstats", str(simulated.height)]
    steps = ["--max-steps", "8", "--check-every", "4", "--holdout-chrom", "3"]
    for tracks in simulate_tracks(folder):
        words = [*data, "--tracks", str(tracks.store), *network, *steps, "--out", str(out)]
        assert run_command(["prior", "fit", *words]) == 0
        yield out


def test_a_folder_of_tables_and_pictures(linear: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "WHY"
    result = varfx(capsys, "prior", "explain", linear, "--out", out, "--repeats", 2, "--detail", 3)
    assert result.code == 0, result.err
    assert "contributions to log f of height" in result.out
    assert "held-out nats lost when permuted" in result.out
    assert {path.name for path in out.iterdir()} == {
        "attribution.parquet", "channels.parquet", "channels.tsv", "importance.tsv", "importance.json",
        "channels.png", "importance.png", "variants.png", "identity.json", "manifest.json", "log.txt", "options.yaml",
    }  # fmt: skip
    assert "every checksum is right" in varfx(capsys, "info", out).out
    table, metadata = sealed.read_table(out / "attribution.parquet", kind="attribution")
    assert table.height == 160  # all variants of the held-out chromosome
    assert set(table["chrom"]) == {"3"}
    assert metadata["trait"] == "height"
    assert {"channel.active", "channel.noise.missing", "log_f", "unexplained"} <= set(table.columns)
    record = json.loads((out / "importance.json").read_text())
    assert [entry["group"] for entry in record["importance"]] == ["ld_score", "active", "noise"] * 2
    assert {entry["trait"] for entry in record["importance"]} == {"height", "weight"}
    tsv = pl.read_csv(out / "importance.tsv", separator="\t")
    assert tsv.filter(pl.col("trait") == "height")["importance"].is_sorted(descending=True)
    assert tsv.filter(pl.col("group") == "noise")["channels"][0] == "noise,noise.missing"


def test_contributions_of_a_linear_run_are_its_weights(
    linear: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With softplus: in proportion to weight times feature, and together log f less its baseline."""
    from varfx.prior import open_run

    out = tmp_path / "WHY"
    words = ["--out", out, "--repeats", 0, "--tolerance", "1e-8", "--trait", "weight"]
    assert varfx(capsys, "prior", "explain", linear, *words).code == 0
    assert not (out / "importance.tsv").exists()
    table, metadata = sealed.read_table(out / "attribution.parquet", kind="attribution")
    assert metadata["trait"] == "weight"
    columns = [name for name in table.columns if name.startswith("channel.")]
    total = table["log_f"] - table["log_f_baseline"]
    np.testing.assert_allclose(table.select(columns).sum_horizontal(), total, atol=1e-7)
    fitted = open_run(linear)
    assert fitted.standardiser is not None
    weight = dict(zip(fitted.standardiser.feature_names, fitted.model.network.weights.weight[1].tolist(), strict=True))  # type: ignore[union-attr, operator, index]
    annotations = sealed.read_table(fitted.record["annotations"], kind="annotations")[0]
    active = annotations.filter(pl.col("chrom") == "3")["active"].to_numpy()
    number = fitted.standardiser.channels.index("active")
    x = (active - fitted.standardiser.mean[number]) / fitted.standardiser.sd[number]
    ratio = table["channel.active"].to_numpy() / (weight["active"] * x)
    assert 0 < ratio.min() <= ratio.max() < 2  # the slope of log softplus
    assert table["channel.active"].std() > 0  # type: ignore[operator]


def test_a_finished_explanation_is_replaced_only_when_told(
    linear: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "WHY"
    words = ["--out", out, "--repeats", 1, "--sample", 5, "--groups", "prefix"]
    tables = []
    for more in ([], ["--overwrite"]):
        assert varfx(capsys, "prior", "explain", linear, *words, *more).code == 0
        tables.append(sealed.read_table(out / "attribution.parquet", kind="attribution")[0])
    assert tables[0].equals(tables[1])
    assert tables[0].height == 5
    again = varfx(capsys, "prior", "explain", linear, *words)
    assert again.code == 2
    assert "holds a finished explanation. Choose another --out, or replace it with --overwrite." in again.error


def test_what_a_kill_left_is_made_anew(linear: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = explanation_folder(tmp_path / "WHY")
    folder.begin({"config": {}, "inputs": {}})
    (folder.result / "channels.tsv").write_text("half")
    assert varfx(capsys, "prior", "explain", linear, "--out", tmp_path / "WHY", "--repeats", 0).code == 0
    assert "every checksum is right" in varfx(capsys, "info", tmp_path / "WHY").out
    assert not folder.building.exists()


def test_highest_and_named_variants(linear: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everything, highest = tmp_path / "ALL", tmp_path / "TOP"
    varfx(capsys, "prior", "explain", linear, "--out", everything, "--repeats", 0)
    assert varfx(capsys, "prior", "explain", linear, "--out", highest, "--repeats", 0, "--top", 7).code == 0
    tables = [
        sealed.read_table(folder / "attribution.parquet", kind="attribution")[0] for folder in (everything, highest)
    ]
    expected = tables[0].sort("log_f", descending=True).head(7)
    assert set(tables[1]["variant_id"]) == set(expected["variant_id"])

    names = tmp_path / "names.txt"
    place = tables[0].row(3, named=True)
    names.write_text(f"# mine\nrs1\nchr{place['chrom']}:{place['position']}\n1:99:A:G\n{place['variant_id']} again\n")
    out = tmp_path / "NAMED"
    result = varfx(capsys, "prior", "explain", linear, "--out", out, "--repeats", 0, "--variants", names)
    assert "1 of 4 named variants are not in the panel, first 1:99:A:G" in result.out
    named = sealed.read_table(out / "attribution.parquet", kind="attribution")[0]
    assert named["variant_id"].to_list() == ["rs1", place["variant_id"]]  # one on a training chromosome


def test_tracks_have_profiles(enformer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "WHY"
    options = ["--sample", 12, "--detail", 2, "--repeats", 1, "--max-steps", 16]
    for scope in ("window", "all"):
        result = varfx(capsys, "prior", "explain", enformer, "--out", out, "--overwrite", "--scope", scope, *options)
        assert result.code == 0, result.err
    profile = sealed.read_table(out / "profile.parquet", kind="attribution")[0]
    assert profile["offset"].to_list() == [*range(-8, 8)] * 4
    assert profile["channel"].unique(maintain_order=True).to_list() == ["a", "b", "c", "c.missing"]
    bases = sealed.read_table(out / "bases.parquet", kind="attribution")[0]
    assert bases.height == 2 * 4 * 16
    table = sealed.read_table(out / "attribution.parquet", kind="attribution")[0]
    assert {"channel.a", "channel.c.missing", "channel.maf"} <= set(table.columns)
    columns = [name for name in table.columns if name.startswith("channel.")]
    explained = table.select(columns).sum_horizontal() + table["unexplained"]
    np.testing.assert_allclose(explained, table["log_f"] - table["log_f_baseline"], atol=1e-5)
    entries = json.loads((out / "importance.json").read_text())["importance"]
    assert [entry["channels"] for entry in entries[:3]] == [["a"], ["b"], ["c", "c.missing"]]
    assert (out / "profile.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trait", "BMI"], "`trait` = BMI is none of the run's: height, weight"),
        (["--top", "5", "--variants", "x"], "either --variants or --top"),
        (["--variants", "absent.txt"], "cannot be read"),
        (["--groups", "absent.yaml"], "cannot be read"),
        (["--chrom", "9"], "9"),
        (["--sample", "0"], "`sample` must be at least 1"),
        (["--tracks", "T.tracks.zarr"], "fitted without tracks"),
    ],
)
def test_what_cannot_be_explained(
    words: list[Any], message: str, linear: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "WHY"
    assert message in varfx(capsys, "prior", "explain", linear, "--out", out, *words).error
    assert not out.exists()


def test_a_constant_prior_looks_at_nothing(
    simulated: Simulated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--panel", simulated.panel, "--sumstats", simulated.height]
    options = ["--model", "constant", "--max-steps", 5, "--check-every", 5, "--holdout-chrom", 3]
    assert varfx(capsys, "prior", "fit", *data, *options, "--out", tmp_path / "RUN").code == 0
    error = varfx(capsys, "prior", "explain", tmp_path / "RUN", "--out", tmp_path / "WHY").error
    assert "is a constant model" in error
