"""Prediction: channels by name, other variants, formats, several traits."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cases.simulated_panel import Simulated
from varfx.annotations import Annotations, read_annotations
from varfx.errors import ConfigError, DataError, StoreError
from varfx.io import sealed
from varfx.prior import open_run, predict, write_prediction
from varfx.prior.held_out import learned_note, learned_variants
from varfx.prior.predict import check_prediction, prediction_table
from varfx.prior.run_options import PredictConfig
from varfx.prior.weights import check_form


def test_the_run_s_own_variants(mlp_run: Path, simulated: Simulated) -> None:
    table = predict(mlp_run)
    assert table.columns == ["chrom", "position", "variant_id", "effect_allele", "other_allele", "eaf", "f", "sigma2"]
    assert table["sigma2"].unique().to_list() == pytest.approx(open_run(mlp_run).model.sigma2_values())
    assert table.height == 480
    f = table["f"].to_numpy()
    assert (f > 0).all()
    given = predict(mlp_run, annotations=simulated.annot)["f"].to_numpy()
    assert np.allclose(f, given, rtol=1e-5)


def test_channels_go_by_name_and_variants_by_row(mlp_run: Path, simulated: Simulated, tmp_path: Path) -> None:
    table = read_annotations(simulated.annot).table
    keys, channels = table.columns[:5], table.columns[5:]
    turned = table.select(*keys, pl.lit(7, pl.Float32).alias("unknown"), *reversed(channels))[::-1][:100]
    Annotations(table=turned).write(tmp_path / "B.annot.parquet")
    expected = predict(mlp_run)[::-1][:100]
    got = predict(mlp_run, annotations=tmp_path / "B.annot.parquet")
    assert got["variant_id"].to_list() == expected["variant_id"].to_list()
    assert np.allclose(got["f"].to_numpy(), expected["f"].to_numpy(), rtol=1e-5)


def test_missing_channels_are_an_error_that_lists_them(mlp_run: Path, simulated: Simulated, tmp_path: Path) -> None:
    table = read_annotations(simulated.annot).table.drop("active", "noise")
    Annotations(table=table).write(tmp_path / "B.annot.parquet")
    with pytest.raises(
        DataError, match="2 of 3 channels that the model was fitted with are not there: `active`, `noise`"
    ):
        predict(mlp_run, annotations=tmp_path / "B.annot.parquet")


def test_several_traits(linear_run: Path, tmp_path: Path) -> None:
    table = predict(linear_run)
    assert table.columns[-4:] == ["f.height", "f.weight", "sigma2.height", "sigma2.weight"]
    run = open_run(linear_run)
    assert run.trait_names == ["height", "weight"]
    with pytest.raises(ConfigError, match=r"the snpvar layout holds one trait. Write parquet or TSV for several"):
        write_prediction(table, tmp_path / "x.snpvar.gz", run=linear_run)
    write_prediction(table, tmp_path / "x.tsv", run=linear_run)
    assert pl.read_csv(tmp_path / "x.tsv", separator="\t")["f.weight"].to_list() == table["f.weight"].to_list()
    assert not (tmp_path / "x.snpvar.gz").exists()


@pytest.mark.parametrize("name", ["p.parquet", "p.tsv", "p.tsv.gz", "p.txt"])
def test_formats_keep_every_digit(mlp_run: Path, tmp_path: Path, name: str) -> None:
    table = predict(mlp_run)
    write_prediction(table, tmp_path / name, run=mlp_run)
    if name.endswith("parquet"):
        stored, metadata = sealed.read_table(tmp_path / name, kind="prior")
        assert metadata["provenance"]["inputs"]["run"]["sha256"] == sealed.sha256(mlp_run / "manifest.json")
    else:
        stored = pl.read_csv(tmp_path / name, separator="\t")
    assert stored["f"].to_list() == table["f"].to_list()


def test_polyfun_s_layout(mlp_run: Path, tmp_path: Path) -> None:
    table = predict(mlp_run).with_columns(
        variant_id=pl.when(pl.col("position") == 1250).then(None).otherwise("variant_id")
    )
    write_prediction(table, tmp_path / "c.snpvar.gz", run=mlp_run)
    write_prediction(table, tmp_path / "c.txt", run=mlp_run, form="snpvar")
    text = gzip.decompress((tmp_path / "c.snpvar.gz").read_bytes()).decode()
    assert text == (tmp_path / "c.txt").read_text()
    lines = text.splitlines()
    assert lines[0] == "CHR\tSNP\tBP\tA1\tA2\tSNPVAR\tSIGMA2"
    assert lines[1].split("\t")[:5] == ["1", "1:1250:A:G", "1250", "A", "G"]
    assert all(re.fullmatch(r"\d\.\d{6}e[-+]?\d+", line.split("\t")[5]) for line in lines[1:])
    stored = pl.read_csv(text.encode(), separator="\t")["SNPVAR"].to_numpy()
    assert np.allclose(stored, table["f"].to_numpy(), rtol=1e-6)


def test_a_damaged_or_unfinished_run_is_refused(mlp_run: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "RUN"
    shutil.copytree(mlp_run, copy)
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "model.safetensors").write_bytes(content)
    with pytest.raises(StoreError, match=r"`model.safetensors` is not as it was written"):
        predict(copy)
    building = tmp_path / "LATER.building"
    building.mkdir()
    (building / "identity.json").write_text('{"config": {}, "inputs": {}}')
    with pytest.raises(StoreError, match=r"LATER` is an unfinished run\. Finish it with the same command and --resume"):
        predict(tmp_path / "LATER")


def test_the_run_folder_holds_what_is_documented(mlp_run: Path, simulated: Simulated) -> None:
    assert sorted(path.name for path in mlp_run.iterdir()) == [
        "history.csv",
        "identity.json",
        "manifest.json",
        "model.safetensors",
        "options.yaml",
        "run.json",
    ]
    record = open_run(mlp_run).record
    assert record["config"]["split"]["holdout_chrom"] == ["3"]
    assert record["traits"][0]["matched"] == 480
    assert record["annotations"] == str(simulated.annot)
    assert set(record["provenance"]["inputs"]) == {"panel", "sumstats.0", "annotations"}
    assert len(record["split"]["holdout"]) == 4


def test_a_cap_on_ratios(mlp_run: Path, caplog: pytest.LogCaptureFixture) -> None:
    free, limited = predict(mlp_run)["f"].to_numpy(), predict(mlp_run, cap=1.5)["f"].to_numpy()
    assert free.max() / free.min() > 1.5
    assert limited.max() / limited.min() == pytest.approx(1.5)
    assert limited.sum() == pytest.approx(free.sum())
    assert caplog.messages == []
    with pytest.raises(ConfigError, match=r"`cap` is a ratio of variances and must be at least 1, got 0.5"):
        predict(mlp_run, cap=0.5)


def test_ratios_that_are_hard_to_believe_are_said(mlp_run: Path, caplog: pytest.LogCaptureFixture) -> None:
    variants = predict(mlp_run)
    f = np.where(np.arange(480) == 7, 1e-9, 1e-4)[:, None]
    prediction_table(variants, f, np.ones((480, 1)), ["height"])
    assert caplog.messages[0].startswith("`height`: f differs between variants by a factor of 1.0e+05.")
    caplog.clear()
    prediction_table(variants, f, np.ones((480, 1)), ["height"], cap=100)
    assert caplog.messages == []


def test_variants_that_taught_the_prior_are_counted(mlp_run: Path, tmp_path: Path) -> None:
    table = predict(mlp_run)
    split = open_run(mlp_run).record["split"]
    learned = 40 * (len(split["train"]) + len(split["validation"]))
    assert learned_variants(open_run(mlp_run), table).sum() == learned == 240
    assert learned_note(mlp_run, table).startswith("240 of 480 variants lie in windows that the prior was fitted on")
    held_out = table.filter(pl.col("chrom") == "3")
    assert learned_note(mlp_run, held_out).startswith("f comes from a network that has seen none of these")
    write_prediction(table, tmp_path / "p.parquet", run=mlp_run)
    assert sealed.read_table(tmp_path / "p.parquet", kind="prior")[1]["learned"] == learned_note(mlp_run, table)


def test_a_form_that_cannot_be_written_is_refused_before_the_work(linear_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="snpvar layout holds one trait"):
        check_prediction(linear_run, tmp_path / "p.snpvar.gz", PredictConfig())
    with pytest.raises(ConfigError, match=r"must be at least 1, got 0\.5"):
        check_prediction(linear_run, tmp_path / "p.tsv", PredictConfig(cap=0.5))
    with pytest.raises(StoreError, match=r"the folder .* does not exist"):
        check_prediction(linear_run, tmp_path / "no" / "p.tsv", PredictConfig())
    check_prediction(linear_run, tmp_path / "p.parquet", PredictConfig())
    with pytest.raises(ConfigError, match=r"would be text in columns, not Parquet: name it \.tsv"):
        check_form(linear_run, tmp_path / "w.parquet", "plink")
    with pytest.raises(ConfigError, match="PGS-Catalog format holds one trait"):
        check_form(linear_run, tmp_path / "w.tsv", "pgs-catalog")
    check_form(linear_run, tmp_path / "w.tsv.gz", "plink")
