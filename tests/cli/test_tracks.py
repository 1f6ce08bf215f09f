"""`varfx tracks` as typed."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import zarr

from cases.tracks import RUNS, SMALL, use_small_genome, write_bedgraph, write_bigwig
from varfx.annotations import read_annotations
from varfx.cli.app import run
from varfx.ld.store import PANEL, VARIANTS_SCHEMA, WINDOWS_SCHEMA
from varfx.tracks.store import open_tracks


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_genome(monkeypatch)


def varfx(*words: object) -> int:
    return run([str(word) for word in words])


def build(out: Path, *words: object) -> int:
    return varfx("tracks", "build", *words, "--workers", 1, "--out", out)


def test_manifest_first_then_options_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wig, graph = write_bigwig(tmp_path / "a.bw", RUNS), write_bedgraph(tmp_path / "b.bedGraph", RUNS)
    bed = tmp_path / "peaks.bed.gz"
    bed.write_bytes(gzip.compress(b"chr1\t5\t9\n"))
    (tmp_path / "tracks.yaml").write_text("tracks:\n  - {name: z, file: a.bw, transform: asinh, store: float16}\n")
    words = ["--bed", bed, "--bigwig", f"y={wig}", "--bigwig", f"x={wig}", "--bedgraph", graph, "--missing", "mask"]
    assert build(tmp_path / "T", *words, "--manifest", tmp_path / "tracks.yaml", "--build", "GRCh37") == 0
    store = open_tracks(tmp_path / "T")
    assert store.names == ("z", "y", "x", "b", "peaks")
    assert store.tracks["missing"].to_list() == ["zero", *["mask"] * 4]
    assert "5 tracks, hg19, chromosomes 1, 2" in capsys.readouterr().out
    assert varfx("tracks", "show", tmp_path / "T") == 0
    assert "asinh" in capsys.readouterr().out
    assert varfx("info", tmp_path / "T") == 0
    shown = capsys.readouterr().out
    assert "5: z, y, x, b, peaks" in shown
    assert "whole: every checksum is right" in shown


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wig = write_bigwig(tmp_path / "a.bw", RUNS)
    other = write_bigwig(tmp_path / "o.bw", RUNS, lengths=SMALL["hg38"])
    (tmp_path / "empty.bed").write_text("")
    (tmp_path / "bad.yaml").write_text("tracks: [{name: a, file: a.bw, color: red}]")
    cases = {
        "stands twice": ["--bigwig", wig, "--bigwig", wig],
        "All tracks (1) are of hg38": ["--bigwig", other],
        "wrong genome build": ["--bigwig", wig, "--bigwig", other],
        "is empty": ["--bed", tmp_path / "empty.bed"],
        "is no bigWig file": ["--bigwig", tmp_path / "bad.yaml"],
        "unknown key `color`": ["--manifest", tmp_path / "bad.yaml"],
        "There is no track to build": [],
        "`transform` must be": ["--bigwig", wig, "--transform", "log"],
    }
    for message, words in cases.items():
        assert build(tmp_path / "T", *words, "--build", "hg19") == 2
        printed = capsys.readouterr().err
        assert message in printed
        assert printed.count("\n") == 1
    assert not (tmp_path / "T").exists()


def test_averages_on_a_panel_of_the_other_build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(tmp_path / "T", "--bigwig", f"a={write_bigwig(tmp_path / 'a.bw', [('1', 100, 110, 4.0)])}", "--build", "hg19")
    panel = tmp_path / "P.ld.zarr"
    zarr.open_group(panel, mode="w")
    rows = [("1", 206, "v1", "A", "G", 0.5, 1.0), ("1", 500, "v2", "A", "G", 0.5, 1.0)]
    variants = pl.DataFrame(rows, schema=VARIANTS_SCHEMA, orient="row")
    PANEL.finish(panel, variants, pl.DataFrame(schema=WINDOWS_SCHEMA), {"num_people": 10, "config": {"flank": 0}})
    chain = tmp_path / "hg38ToHg19.over.chain"
    chain.write_text("chain 9 chr1 2100 + 200 220 chr1 2011 + 100 120 1\n20\n")
    out = tmp_path / "A.annot.parquet"
    words = ["--tracks", tmp_path / "T", "--panel", panel, "--width", 10, "--out", out]
    assert varfx("tracks", "average", *words, "--chain", chain) == 0
    values = read_annotations(out).table["a"]
    # hg38 206 is hg19 106 (base 105): bases 100 to 109 are all 4
    assert values.to_list() == [4.0, None]
    assert "50.00% missing" in capsys.readouterr().out
    assert varfx("tracks", "average", *words) == 0
    np.testing.assert_allclose(read_annotations(out).table["a"].to_numpy(), 0, atol=1e-12)


def test_dbnsfp_in_annot_build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    panel = tmp_path / "P.ld.zarr"
    zarr.open_group(panel, mode="w")
    rows = [("1", 206, "v1", "A", "G", 0.5, 1.0), ("1", 500, "v2", "A", "G", 0.5, 1.0)]
    variants = pl.DataFrame(rows, schema=VARIANTS_SCHEMA, orient="row")
    PANEL.finish(panel, variants, pl.DataFrame(schema=WINDOWS_SCHEMA), {"num_people": 10, "config": {"flank": 0}})
    table = tmp_path / "d.tsv"
    table.write_text(
        "#chr\tpos(1-based)\tref\talt\thg19_chr\thg19_pos(1-based)\tSIFT_score\n1\t300\tG\tA\t1\t206\t0.25;0.5\n"
    )
    out = tmp_path / "A.annot.parquet"
    words = ["annot", "build", "--panel", panel, "--out", out, "--dbnsfp", table]
    assert varfx(*words, "--scores", "SIFT_score", "--build", "hg19") == 0
    assert read_annotations(out).table["SIFT_score"].to_list() == [-0.25, None]
    assert varfx(*words) == 2
    assert "`--dbnsfp` and `--scores` belong together" in capsys.readouterr().err
