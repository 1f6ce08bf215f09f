"""Gene ids that are paths: a cohort from a stranger does not choose where a command writes."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from cases.command_line import varfx
from cases.prepare import gene_id, make_study
from varfx.expression.cohort.store import open_cohort
from varfx.expression.network.tasks import network_stem
from varfx.expression.run import open_run

PATHS = {gene_id("PLUS"): "../../../escaped/G1", gene_id("MINUS"): "./escaped/G2", gene_id("LAST"): "/tmp/escaped/G3"}


def study_with_paths(folder: Path) -> Path:
    """A study three of whose genes have paths as ids."""
    study = make_study(folder)
    for name in ("genes.gtf.gz", "expression.bed.gz"):
        text = gzip.decompress((folder / name).read_bytes()).decode()
        for gene, path in PATHS.items():
            for version in (".3", ".1"):
                text = text.replace(f"{gene}{version}", path)
        (folder / name).write_bytes(gzip.compress(text.encode()))
    words = [word for name, value in study.options().items() for word in (f"--{name}", str(value))]
    (folder / "words").write_text("\n".join(words))
    return folder


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_a_run_writes_within_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inner = tmp_path / "a" / "b" / "c"
    inner.mkdir(parents=True)
    (inner / "study").mkdir()
    study = study_with_paths(inner / "study")
    words = (study / "words").read_text().splitlines()
    assert varfx(capsys, "expr", "prepare", *words, "--out", inner / "cohort").code == 0
    cohort = open_cohort(inner / "cohort")
    assert set(PATHS.values()) <= set(cohort.genes["gene_id"])
    before = files(tmp_path)
    out = inner / "run"
    shown = varfx(capsys, "expr", "baseline", cohort.path, "--models", "top1", "--workers", 1, "--out", out)
    assert shown.code == 0, shown.err
    assert all(path.is_relative_to(out) for path in files(tmp_path) - before)
    assert not Path("/tmp/escaped").exists()
    assert set(open_run(out).predictions["gene_id"]) >= set(PATHS.values())
    before = files(tmp_path)
    drawn = inner / "figures"
    shown = varfx(
        capsys, "expr", "variants", out, "--model", "top1", "--figures", drawn, "--out", inner / "v.annot.parquet"
    )
    assert shown.code == 0, shown.err
    assert all(path.is_relative_to(drawn) or path == inner / "v.annot.parquet" for path in files(tmp_path) - before)
    assert any("escaped%2FG1" in path.name for path in drawn.iterdir())


@pytest.mark.parametrize("gene", PATHS.values())
def test_a_network_of_one_gene_is_a_file_of_its_folder(gene: str) -> None:
    assert "/" not in network_stem(0, gene)
    assert network_stem(2, "ENSG00000000001") == "ENSG00000000001.fold2"


def test_ids_with_line_ends_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = make_study(tmp_path)
    text = gzip.decompress((tmp_path / "expression.bed.gz").read_bytes()).decode()
    (tmp_path / "expression.bed.gz").write_bytes(
        gzip.compress(text.replace(f"{gene_id('PLUS')}.1", "G\x1b[31m1").encode())
    )
    words = [word for name, value in study.options().items() for word in (f"--{name}", str(value))]
    error = varfx(capsys, "expr", "prepare", *words, "--out", tmp_path / "cohort").error
    assert "1 of 16 gene ids hold control characters, first row 1" in error
