"""`varfx info` on every kind of file of ours, whole and damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cases.command_line import varfx
from cases.ld import CONFIG, haplotype_counts, positions_of, write_bed
from varfx.cli.ledgers import ledger_tables
from varfx.genotypes.open_ld import open_source
from varfx.gwas.sumstats import SCHEMA, SumStats
from varfx.io import sealed_folder
from varfx.ld import build_panel, open_panel


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("info"), np.random.default_rng(1)
    bed = write_bed(folder / "ref", haplotype_counts(rng, 20, 30), positions_of(rng, 30, ["7"], bases=2000))
    build_panel(open_source(bed), folder / "P.ld.zarr", CONFIG, workers=1)
    return folder / "P.ld.zarr"


def test_a_panel(panel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = varfx(capsys, "info", panel)
    assert result.code == 0
    for text in ("LD panel", "30 ", "20 ", "2 of 1,000 bases, flank 1,000", "float32", "keeping 1 of the LD variance"):
        assert text in result.out
    assert result.out.rstrip().endswith("whole: every checksum is right")


def test_summary_statistics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("1", 100 + k, f"rs{k}", "A", "G", 0.2, 2.0, 1000.0 + k, 0.9) for k in range(3)]
    path = tmp_path / "S[bold].sumstats.parquet"  # brackets are no markup
    SumStats(table=pl.DataFrame(rows, schema=SCHEMA, orient="row"), trait="height").write(path)
    result = varfx(capsys, "info", path)
    assert result.code == 0
    for text in ("S[bold].sumstats.parquet", "sumstats", "height", "1,000 to 1,002", "4.0000", "whole: every checksum"):
        assert text in result.out


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), mask=st.integers(1, 255))
def test_any_changed_byte_of_a_panel_is_one_line(
    panel: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject, mask: int
) -> None:
    path = data.draw(st.sampled_from(sorted(path for path in panel.rglob("*") if path.is_file())))
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    try:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :])
        error = varfx(capsys, "info", panel).error
    finally:
        path.write_bytes(whole)
    assert "damaged" in error or "newer" in error


def test_what_is_unfinished_or_not_ours(panel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    building = Path(shutil.copytree(panel, tmp_path / "P.ld.zarr.building"))
    assert "P.ld.zarr.building` is unfinished. Give the same `varfx ld build`" in varfx(capsys, "info", building).error
    assert "none` does not exist" in varfx(capsys, "info", tmp_path / "none").error
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    assert "notes.txt` was not written by varfx, or is damaged" in varfx(capsys, "info", text).error
    foreign = tmp_path / "x.parquet"
    pl.DataFrame({"a": [1]}).write_parquet(foreign)
    assert "x.parquet` was not written by varfx, or is damaged" in varfx(capsys, "info", foreign).error
    folder = tmp_path / "folder"
    folder.mkdir()
    assert "has no manifest.json: it is unfinished, or not written by varfx" in varfx(capsys, "info", folder).error
    sealed_folder.seal_directory(folder)
    assert "is no panel" in varfx(capsys, "info", folder).error


def test_ledgers_are_shown(panel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = varfx(capsys, "info", panel).out
    for step in open_panel(panel).metadata["ledger"]:
        assert step["step"] in shown
    rows = [("1", 100, "rs1", "A", "G", 0.2, 2.0, 1000.0, 0.9)]
    metadata = {
        "ledger": [{"step": "read", "variants": 1234, "note": "rows"}, {"step": "kept", "variants": 1, "note": ""}]
    }
    stats = SumStats(table=pl.DataFrame(rows, schema=SCHEMA, orient="row"), trait="height", metadata=metadata)
    stats.write(tmp_path / "S.sumstats.parquet")
    lines = varfx(capsys, "info", tmp_path / "S.sumstats.parquet").out.splitlines()
    assert any("read" in line and "1,234" in line and "rows" in line for line in lines)


def test_every_shape_of_a_ledger() -> None:
    metadata = {
        "ledger": {"people": [{"step": "read", "dropped": 0, "left": 9}], "genotypes": {"missing": 3}, "none": {}},
        "traits": [{"name": "height", "ledger": {"matched": 5, "palindromic": 2}}, {"name": "weight"}],
    }
    tables = list(ledger_tables(metadata))
    assert [table.title for table in tables] == ["ledger: people", "ledger: genotypes", "ledger of height"]
    assert [table.row_count for table in tables] == [1, 1, 2]
    assert list(ledger_tables({})) == []
