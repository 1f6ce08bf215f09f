"""`varfx finemap` and `varfx qc` as typed."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cases.command_line import varfx
from cases.simulated_panel import CORE, Simulated, associations, haplotypes, standardise, sumstats, write_bed
from cases.sparse_trait import CAUSAL, OTHER, write_sparse_trait
from varfx.cli.app import run as run_words
from varfx.genotypes.open_ld import open_source
from varfx.io import sealed, sealed_folder
from varfx.ld import PanelConfig, build_panel

Capsys = pytest.CaptureFixture[str]
LOCI = ("--flank", 60_000, "--longest", 400_000)


@pytest.fixture(scope="module")
def sparse(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sparse_trait(simulated, tmp_path_factory.mktemp("sparse") / "S.parquet")


@pytest.fixture(scope="module")
def run(simulated: Simulated, sparse: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prior that was not fitted on chromosome 2."""
    out = tmp_path_factory.mktemp("runs") / "RUN"
    words = [
        "prior",
        "fit",
        "--panel",
        simulated.panel,
        "--sumstats",
        sparse,
        "--annot",
        simulated.annot,
        "--model",
        "linear",
    ]
    words += ["--max-steps", 20, "--check-every", 10, "--holdout-chrom", 2, "--out", out]
    assert run_words([str(word) for word in words]) == 0
    return out


def tables(out: Path) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    return tuple(  # type: ignore[return-value]
        pl.read_csv(f"{out}.{name}", separator="\t", null_values="NA") for name in ("pip.tsv.gz", "cs.tsv", "loci.tsv")
    )


def test_uniform_with_loci_from_a_file(capsys: Capsys, simulated: Simulated, sparse: Path, tmp_path: Path) -> None:
    (tmp_path / "L.bed").write_text("chr1\t0\t200000\nchr2\t100000\t300000\nchr3\t399999\t400000\n")
    result = varfx(
        capsys,
        "finemap",
        "--uniform",
        "--panel",
        simulated.panel,
        "--sumstats",
        sparse,
        "--loci",
        tmp_path / "L.bed",
        "--out",
        tmp_path / "F",
    )
    assert result.code == 0, result.err
    pip, sets, loci = tables(tmp_path / "F")
    assert loci["locus"].to_list() == ["chr1_0_200000", "chr2_100000_300000"]
    assert loci["method"].to_list() == ["SuSiE", "SuSiE"]
    found = {name for row in sets["variants"] for name in row.split(",")}
    assert {f"rs{row}" for row in (*CAUSAL, OTHER)} <= found
    assert pip["SNPVAR"].null_count() == pip.height
    assert "prior: uniform" in result.out
    assert "ledger: dropped: 1" in result.out
    assert json.loads((tmp_path / "F.json").read_text())["prior"] == "uniform"


def test_a_run_says_where_f_was_learned(capsys: Capsys, run: Path, tmp_path: Path) -> None:
    result = varfx(capsys, "finemap", "--run", run, *LOCI, "--out", tmp_path / "F", "--format", "finngen,opentargets")
    assert result.code == 0, result.err
    assert "f was learned from the associations of 1 of 2 loci, first chr1_" in result.out
    pip, _, loci = tables(tmp_path / "F")
    assert (pip["SNPVAR"] > 0).all()
    assert (loci["kappa"] >= 0).all()
    assert (tmp_path / "F.SUSIE.snp").is_file()
    assert (tmp_path / "F.study_locus.parquet").is_file()
    chosen = (tmp_path / "two.bed").write_text("2\t100000\t400000\n")
    assert chosen
    again = varfx(capsys, "finemap", "--run", run, "--loci", tmp_path / "two.bed", "--out", tmp_path / "G")
    assert "f was learned without the associations of these loci" in again.out


def test_variances_from_a_file_give_the_runs_result(
    capsys: Capsys, run: Path, simulated: Simulated, sparse: Path, tmp_path: Path
) -> None:
    assert varfx(capsys, "prior", "predict", run, "--out", tmp_path / "f.parquet").code == 0
    options = ("--panel", simulated.panel, "--sumstats", sparse, *LOCI)
    result = varfx(capsys, "finemap", "--snpvar", tmp_path / "f.parquet", *options, "--out", tmp_path / "F")
    assert result.code == 0, result.err
    varfx(capsys, "finemap", "--run", run, *LOCI, "--out", tmp_path / "G")
    np.testing.assert_allclose(tables(tmp_path / "F")[0]["PIP"], tables(tmp_path / "G")[0]["PIP"], rtol=1e-3)


@pytest.mark.usefixtures("forked_workers")
def test_several_processes_give_the_same_files(
    capsys: Capsys, simulated: Simulated, sparse: Path, tmp_path: Path
) -> None:
    options = ("--uniform", "--panel", simulated.panel, "--sumstats", sparse, *LOCI)
    for name, workers in (("F", 1), ("G", 2)):
        assert varfx(capsys, "finemap", *options, "--workers", workers, "--out", tmp_path / name).code == 0
    for each in tables(tmp_path / "F")[:2]:
        assert each.height
    for one, two in zip(tables(tmp_path / "F"), tables(tmp_path / "G"), strict=True):
        assert one.equals(two)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give one of --run RUN, --snpvar FILE and --uniform"),
        (("--uniform", "--run", "RUN"), "give one of --run"),
        (("--uniform",), "`--uniform` needs --panel and one --sumstats"),
        (("--uniform", "--trait", "x"), "belong to --run RUN"),
        (("--uniform", "--effects", 0), "`effects` must be at least 1"),
        (("--uniform", "--coverage", 1), "`coverage` must lie between 0 and 1"),
        (("--uniform", "--residual-variance", "free", "--background", 0.5), "are then learned together"),
        (("--uniform", "--format", "vcf"), "`format` vcf is unknown"),
        (("--run", "nowhere"), "nowhere"),
    ],
)
def test_wrong_options(capsys: Capsys, tmp_path: Path, words: tuple[object, ...], message: str) -> None:
    assert message in varfx(capsys, "finemap", *words, "--out", tmp_path / "F").error
    assert not list(tmp_path.iterdir())


def test_qc(capsys: Capsys, simulated: Simulated, sparse: Path, tmp_path: Path) -> None:
    result = varfx(capsys, "qc", "--panel", simulated.panel, "--sumstats", sparse, "--out", tmp_path / "Q")
    assert result.code == 0, result.err
    windows = pl.read_csv(tmp_path / "Q.windows.tsv", separator="\t", null_values="NA")
    assert windows.height == 12
    assert (windows["qc"] == "pass").all()
    assert json.loads((tmp_path / "Q.json").read_text())["qc"] == {"pass": 12, "warn": 0, "fail": 0}


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A panel of 12 cores in strong LD and a trait with one causal variant in the first, where two alleles are flipped."""
    folder, rng = tmp_path_factory.mktemp("dense"), np.random.default_rng(11)
    counts = haplotypes(rng, 300, 12 * 100, rho=0.985)
    step = CORE // 100
    write_bed(folder / "ref", counts, ["1"] * 1200, np.arange(1200) * step + step // 2)
    config = PanelConfig(core=CORE, flank=CORE, rank_variance=0.95)
    panel = build_panel(open_source([folder / "ref.bed"], maf=0.0), folder / "P.ld.zarr", config, workers=1)
    beta = np.zeros(1200)
    beta[50] = 20.0
    X = standardise(
        counts
    )  # core by core: correlations between distant variants are chance, and would carry the effect
    z = np.hstack([associations(rng, X[:, i : i + 100], beta[i : i + 100]) for i in range(0, 1200, 100)])
    z[[47, 54]] *= -1
    sumstats(panel, z, np.full(1200, 1e5), "flipped").write(folder / "flipped.parquet")
    return folder / "P.ld.zarr", folder / "flipped.parquet"


def test_qc_names_flipped_alleles(capsys: Capsys, dense: tuple[Path, Path], tmp_path: Path) -> None:
    panel, flipped = dense
    result = varfx(capsys, "qc", "--panel", panel, "--sumstats", flipped, "--out", tmp_path / "Q")
    assert "flipped alleles at 2 variants" in result.out
    assert "12 windows: 11 pass, 0 warn, 1 fail" in result.out
    variants = pl.read_csv(tmp_path / "Q.variants.tsv", separator="\t", null_values="NA")
    assert variants.filter(pl.col("mark") == "flipped")["variant_id"].to_list() == ["rs47", "rs54"]
    assert variants["window"].unique().to_list() == ["chr1_0_100000"]
    record = json.loads((tmp_path / "Q.json").read_text())
    assert record["causes"] == {"flipped alleles at 2 variants": 1}
    assert record["provenance"]["inputs"]["sumstats"]["sha256"]


def test_a_fit_and_a_fine_mapping_warn_of_it(capsys: Capsys, dense: tuple[Path, Path], tmp_path: Path) -> None:
    panel, flipped = dense
    files = ("--panel", panel, "--sumstats", flipped)
    fit = varfx(capsys, "prior", "fit", *files, "--model", "constant", "--max-steps", 5, "--out", tmp_path / "RUN")
    said = "the LD of 1 of 12 windows looked at does not fit the associations, first chr1_0_100000"
    assert said in " ".join(fit.err.split())
    result = varfx(capsys, "finemap", "--uniform", *files, *LOCI, "--out", tmp_path / "F")
    assert re.search(
        r"the LD of 1 of \d+ loci does not fit the associations: chr\d+_\d+_\d+ \([a-z].*\)\. They are fitted",
        result.out,
    )
    _, sets, loci = tables(tmp_path / "F")
    assert loci["method"].to_list() == ["one effect without LD"]
    assert loci["qc_cause"].to_list() == ["flipped alleles at 2 variants"]
    assert sets.height == 1
    anyway = varfx(capsys, "finemap", "--uniform", *files, *LOCI, "--no-quality", "--out", tmp_path / "G")
    assert anyway.code == 0, anyway.err
    assert tables(tmp_path / "G")[2]["method"].to_list() == ["SuSiE"]


def test_an_older_panel_says_what_it_lacks(capsys: Capsys, dense: tuple[Path, Path], tmp_path: Path) -> None:
    panel, flipped = dense
    older = tmp_path / "older.ld.zarr"
    shutil.copytree(panel, older)
    windows, _ = sealed.read_table(older / "windows.parquet", kind="ld-panel-windows")
    sealed.write_table(windows.drop("square_norm"), older / "windows.parquet", kind="ld-panel-windows", metadata={})
    (older / sealed.MANIFEST).unlink()
    sealed_folder.seal_directory(older)
    result = varfx(capsys, "qc", "--panel", older, "--sumstats", flipped, "--out", tmp_path / "Q")
    assert "the panel was built without |R|^2 per window" in " ".join(result.out.split())
    table = pl.read_csv(tmp_path / "Q.windows.tsv", separator="\t", null_values="NA")
    assert table["energy_p"].null_count() == 12
    assert table["energy_ratio"].null_count() == 0
    assert table["qc"][0] == "fail"
