"""The folder of a run: whole or not at all, nobody's work destroyed, only its own cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from varfx.errors import DataError, StoreError
from varfx.expression.run import BASELINES, begin_run, check_out, cohort_identity, open_run, run_folder, write_run
from varfx.io import sealed, sealed_folder

PREDICTIONS = pl.DataFrame(
    {
        "gene_id": ["ENSG1", "ENSG1"],
        "model": ["ridge", "ridge"],
        "fold": [0, 0],
        "split": ["hop", "hop"],
        "part": ["tune", "test"],
        "person": ["a", "b"],
        "prediction": [0.5, float("nan")],
    }
)
WEIGHTS = pl.DataFrame(
    {
        "gene_id": ["ENSG1"],
        "model": ["ridge"],
        "fold": [0],
        "chrom": ["22"],
        "position": [17],
        "effect_allele": ["A"],
        "other_allele": ["C"],
        "weight": [0.25],
    }
)
INTERCEPTS = pl.DataFrame(
    {"gene_id": ["ENSG1"], "model": ["ridge"], "fold": [0], "intercept": [1.0], "h2": [0.5], "alpha": [0.1]}
)


def provenance(**config: Any) -> dict[str, Any]:
    return {"config": config, "inputs": {"cohort": {"path": "x", "sha256": "0"}}}


def record(**more: Any) -> dict[str, Any]:
    base = {"kind": BASELINES, "cohort": "x", "cohort_seal": "0", "models": ["ridge"], "folds": [0], "genes": ["ENSG1"]}
    return {**base, "config": {}, "provenance": {}, **more}


def finished(out: Path) -> Path:
    begin_run(out, provenance(seed=0))
    write_run(out, record=record(), predictions=PREDICTIONS, weights=WEIGHTS, intercepts=INTERCEPTS)
    return out


def test_a_run_comes_back_as_it_was_written(tmp_path: Path) -> None:
    run = open_run(finished(tmp_path / "RUN"))
    assert run.kind == BASELINES
    assert run.record["models"] == ["ridge"]
    assert run.record["format_version"] == 1
    assert run.predictions["prediction"].dtype == pl.Float32
    assert run.predictions.drop("prediction").equals(PREDICTIONS.drop("prediction"))
    assert run.predictions["prediction"].is_nan().to_list() == [False, True]
    assert run.weights is not None
    assert run.weights.equals(WEIGHTS)
    assert run.intercepts is not None
    assert run.intercepts.equals(INTERCEPTS)
    assert not run_folder(run.path).building.exists()


def test_a_network_has_no_weights_of_variants_but_files_of_its_own(tmp_path: Path) -> None:
    out = tmp_path / "RUN"
    begin_run(out, provenance())
    models = run_folder(out).result / "models"
    models.mkdir()
    (models / "fold0.safetensors").write_bytes(b"weights")
    write_run(out, record=record(kind="expression network"), predictions=PREDICTIONS)
    run = open_run(out)
    assert run.weights is None
    assert run.intercepts is None
    (out / "models" / "fold0.safetensors").write_bytes(b"weightz")
    with pytest.raises(StoreError, match=r"models/fold0\.safetensors. is not as it was written"):
        open_run(out)


@pytest.mark.parametrize("name", ["predictions.parquet", "weights.parquet", "run.json", "manifest.json"])
def test_any_byte_changed_is_noticed(tmp_path: Path, name: str) -> None:
    out = finished(tmp_path / "RUN")
    content = bytearray((out / name).read_bytes())
    content[len(content) // 2] ^= 1
    (out / name).write_bytes(content)
    with pytest.raises(StoreError, match="damaged"):
        open_run(out)


def test_a_finished_run_is_replaced_only_when_told(tmp_path: Path) -> None:
    out = finished(tmp_path / "RUN")
    for resume in (False, True):
        with pytest.raises(StoreError, match=r"finished run\. Choose another --out, or replace it with --overwrite"):
            begin_run(out, provenance(seed=0), resume=resume)
    open_run(out)
    assert not begin_run(out, provenance(seed=1), overwrite=True)
    open_run(out)  # until the next one is whole
    write_run(out, record=record(), predictions=PREDICTIONS)
    assert open_run(out).weights is None
    assert [each.name for each in tmp_path.iterdir()] == ["RUN"]


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for name in ("thesis", "file"):
        with pytest.raises(StoreError, match="exists and is no run"):
            begin_run(tmp_path / name, provenance(), overwrite=True)
    with pytest.raises(StoreError, match=r"does not exist\. Create it first"):
        check_out(tmp_path / "none" / "RUN")
    check_out(tmp_path / "empty")
    with pytest.raises(StoreError, match=r"file` seems to be .*, but a run is a folder"):
        open_run(tmp_path / "file")
    with pytest.raises(StoreError, match="unfinished, or not written by varfx"):
        open_run(tmp_path / "thesis")


def test_an_unfinished_run_goes_on_with_the_same_options_only(tmp_path: Path) -> None:
    out = tmp_path / "RUN"
    assert not begin_run(out, provenance(seed=0))
    parts = run_folder(out).building / "parts"
    parts.mkdir()
    (parts / "ENSG1.json").write_text("{}")
    with pytest.raises(StoreError, match=r"unfinished run\. Finish it with the same command and --resume"):
        open_run(out)
    with pytest.raises(StoreError, match=r"unfinished run\. Go on with --resume, or start anew"):
        begin_run(out, provenance(seed=0))
    with pytest.raises(StoreError, match=r"other options or inputs \(seed was 0, now 1\)"):
        begin_run(out, provenance(seed=1), resume=True)
    changed = provenance(seed=0)
    changed["inputs"]["cohort"]["sha256"] = "1"
    with pytest.raises(StoreError, match=r"other options or inputs \(input cohort\)"):
        begin_run(out, changed, resume=True)
    assert begin_run(out, provenance(seed=0), resume=True)
    assert parts.is_dir()
    assert not begin_run(out, provenance(seed=1), overwrite=True)
    assert not parts.exists()


def test_resuming_where_nothing_is_begins(tmp_path: Path) -> None:
    assert not begin_run(tmp_path / "RUN", provenance(), resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pl.lit("test").alias("split"), "column `split` holds 'test'; it must be hogp or hop"),
        (pl.lit("train").alias("part"), "column `part` holds 'train'; it must be test or tune"),
        (pl.lit("a").alias("person"), "1 rows stand twice, first of gene ENSG1, model ridge, fold 0"),
        (pl.lit(None, pl.Float32).alias("prediction"), "2 empty values in column `prediction`"),
    ],
)
def test_predictions_are_checked(tmp_path: Path, change: pl.Expr, message: str) -> None:
    begin_run(tmp_path / "RUN", provenance())
    with pytest.raises(DataError, match=message):
        write_run(tmp_path / "RUN", record=record(), predictions=PREDICTIONS.with_columns(change))
    with pytest.raises(StoreError, match="unfinished"):
        open_run(tmp_path / "RUN")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    begin_run(tmp_path / "RUN", provenance())
    with pytest.raises(DataError, match="`predictions` lacks 1 of 7 columns, first `fold`"):
        write_run(tmp_path / "RUN", record=record(), predictions=PREDICTIONS.drop("fold"))
    short = record()
    del short["cohort_seal"]
    with pytest.raises(DataError, match="`record` lacks 1 of 8 keys, first `cohort_seal`"):
        write_run(tmp_path / "RUN", record=short, predictions=PREDICTIONS)


def test_another_sealed_folder_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "COHORT").mkdir()
    (tmp_path / "COHORT" / "cohort.json").write_text("{}")
    sealed_folder.seal_directory(tmp_path / "COHORT")
    with pytest.raises(
        StoreError, match=r"COHORT` is no run: it has no run\.json, and seems to be an expression cohort\. Give a run"
    ):
        open_run(tmp_path / "COHORT")
    identity = cohort_identity(tmp_path / "COHORT")
    assert identity["cohort"] == str((tmp_path / "COHORT").resolve())
    assert identity["cohort_seal"] == sealed.sha256(tmp_path / "COHORT" / "manifest.json")
