"""`varfx prior` as typed: fit, evaluate, predict, weights, and what bad input leaves."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from cases.command_line import varfx
from cases.forked import run_forked
from cases.simulated_panel import Simulated
from cases.simulated_tracks import SimulatedTracks, simulate_tracks
from varfx.cli import main
from varfx.gwas.sumstats import SumStats, read_sumstats

Capsys = pytest.CaptureFixture[str]
FAST = ("--model", "linear", "--max-steps", 20, "--check-every", 10, "--holdout-chrom", "3")


@pytest.fixture(scope="module")
def run(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from varfx.cli.app import run as run_words

    out = tmp_path_factory.mktemp("runs") / "RUN"
    assert run_words(["prior", "fit", *simulated.fit_options(), *map(str, FAST), "--out", str(out)]) == 0
    return out


def test_fit_says_what_it_did(capsys: Capsys, simulated: Simulated, tmp_path: Path) -> None:
    result = varfx(capsys, "prior", "fit", *simulated.fit_options(), *FAST, "-o", tmp_path / "RUN")
    assert result.code == 0
    assert "height" in result.out
    assert "10,000" in result.out
    assert "linear, 20 steps (all done), best at step" in result.out
    assert "5 training, 1 validation, 4 held out, 2 in gaps" in result.out


def test_evaluate_prints_and_writes_json(capsys: Capsys, run: Path, tmp_path: Path) -> None:
    result = varfx(capsys, "prior", "evaluate", run, "--compare", run, "--json", tmp_path / "E.json")
    assert result.code == 0
    stored = json.loads((tmp_path / "E.json").read_text())
    (entry,) = stored["traits"]
    assert entry["difference"] == 0
    assert "height" in result.out
    assert "constant prior" in result.out
    assert entry["alpha_per_allele"] == entry["alpha"] - 1
    for key in ("gain_ci95", "gain_same_sigma2", "sigma2_null", "n_windows", "n_variants", "rank", "log_p_null"):
        assert key in entry


def test_chain_from_run_to_snpvar_and_back(capsys: Capsys, run: Path, simulated: Simulated, tmp_path: Path) -> None:
    assert varfx(capsys, "prior", "predict", run, "--out", tmp_path / "c.snpvar.gz").code == 0
    assert varfx(capsys, "prior", "evaluate", run, "--json", tmp_path / "run.json").code == 0
    (own,) = json.loads((tmp_path / "run.json").read_text())["traits"]
    scored = varfx(
        capsys, "prior", "evaluate", "--snpvar", tmp_path / "c.snpvar.gz", "--sigma2", own["sigma2"], "--panel", simulated.panel,
        "--sumstats", simulated.height, "--chrom", "3", "--json", tmp_path / "snpvar.json",
    )  # fmt: skip
    assert scored.code == 0
    assert "note: the null's sigma2 and the constant prior were fitted on 8 other windows" in scored.out
    (theirs,) = json.loads((tmp_path / "snpvar.json").read_text())["traits"]
    assert theirs["log_p"] == pytest.approx(own["log_p"], rel=1e-5)
    alike = varfx(
        capsys,
        "prior",
        "evaluate",
        "--snpvar",
        tmp_path / "c.snpvar.gz",
        "--like",
        run,
        "--json",
        tmp_path / "like.json",
    )
    assert alike.code == 0
    (entry,) = json.loads((tmp_path / "like.json").read_text())["traits"]
    assert entry["gain"] == pytest.approx(own["gain"], rel=1e-4)
    assert (
        varfx(capsys, "prior", "evaluate", "--snpvar", tmp_path / "c.snpvar.gz", "--like", run, "--sigma2", "fit").code
        == 0
    )


def test_predict_cross_fits(capsys: Capsys, run: Path, tmp_path: Path) -> None:
    result = varfx(capsys, "prior", "predict", run, "--out", tmp_path / "p.parquet", "--cross-fit", "2", "--cap", "10")
    assert result.code == 0
    assert (
        "note: cross-fitted in 2 folds: the f of each chromosome comes from a network that has not seen it"
        in result.out
    )
    f = pl.read_parquet(tmp_path / "p.parquet")["f"]
    assert f.max() / f.min() < 10.001  # type: ignore[operator]
    assert sorted(path.name for path in (tmp_path / "p.parquet.folds").iterdir()) == ["fold1", "fold2"]


def test_predict_and_weights(capsys: Capsys, run: Path, simulated: Simulated, tmp_path: Path) -> None:
    result = varfx(capsys, "prior", "predict", run, "--out", tmp_path / "prior.parquet", "--annot", simulated.annot)
    assert (result.code, "f of 480 variants" in result.out) == (0, True)
    assert pl.read_parquet(tmp_path / "prior.parquet").height == 480
    normal = ("--effects", "normal")
    result = varfx(capsys, "prior", "weights", run, *normal, "--out", tmp_path / "w.tsv")
    assert (result.code, "weights of 480 variants" in result.out) == (0, True)
    assert (tmp_path / "w.tsv").read_text().startswith("ID\tA1\tWEIGHT\t")
    assert not (tmp_path / "w.tsv.effects.json").exists()
    sparse = ("--effects", "mixture", "--chains", 2, "--sweeps", 10)
    result = varfx(capsys, "prior", "weights", run, *sparse, "--out", tmp_path / "m.tsv")
    assert (result.code, "mixture" in result.out) == (0, True)
    columns = pl.read_csv(tmp_path / "m.tsv", separator="\t").columns
    assert columns == [*pl.read_csv(tmp_path / "w.tsv", separator="\t").columns, "PIP", "BETA_SD"]
    record = json.loads((tmp_path / "m.tsv.effects.json").read_text())["traits"][0]
    assert (record["effects"], list(record["evidence"])) == ("mixture", ["normal", "mixture"])
    result = varfx(capsys, "prior", "weights", run, "--out", tmp_path / "a.tsv")
    record = json.loads((tmp_path / "a.tsv.effects.json").read_text())["traits"][0]
    assert (result.code, f"{record['name']}: {record['effects']}, as {record['reason']}" in result.out) == (0, True)
    catalog = ("--out", tmp_path / "p.txt", "--format", "pgs-catalog")
    assert varfx(capsys, "prior", "weights", run, *normal, *catalog).code == 0
    assert (tmp_path / "p.txt").read_text().startswith("###PGS CATALOG SCORING FILE")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"--panel": "annot"},
            "seems to be annotations, but a panel is a folder. Give a panel made by `varfx ld build`",
        ),
        (
            {"--panel": "bed"},
            "seems to be PLINK genotypes, but a panel is a folder. Give a panel made by `varfx ld build`",
        ),
        (
            {"--holdout-chrom": "1,chrQ"},
            "`--holdout-chrom` names 'chrQ', which is no chromosome. Give 1 to 22, X, Y or MT",
        ),
        ({"--sumstats": "annot"}, "holds annotations, where sumstats is needed"),
        ({"--annot": "height"}, "holds sumstats, where annotations is needed"),
        ({"--sumstats": "bed"}, "Make it anew with `varfx sumstats clean`"),
        (
            {"--holdout-chrom": "21"},
            "`holdout-chrom` names 1 chromosomes that the panel does not have, first 21. It has 1, 2, 3",
        ),
        ({"--holdout-chrom": "1,2,3"}, "Give fewer chromosomes with --holdout-chrom, or build the panel"),
        (
            {"--holdout-chrom": "1", "--validation-chrom": "chr1"},
            "chromosome 1 is named both for holdout and for validation",
        ),
        ({"--holdout-fraction": "1.5"}, "`holdout-fraction` must be at least 0 and below 1"),
        ({"--learning-rate": "-1"}, "`learning-rate` must be positive"),
        ({"--hidden": "0", "--model": "mlp"}, "`hidden` must be one or more positive widths"),
        ({"--out": "missing/RUN"}, "does not exist. Create it first"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    capsys: Capsys, simulated: Simulated, tmp_path: Path, change: dict[str, str], message: str
) -> None:
    options: dict[str, object] = {
        "--panel": simulated.panel,
        "--sumstats": simulated.height,
        "--annot": simulated.annot,
        "--holdout-chrom": "3",
        "--out": tmp_path / "RUN",
        "--max-steps": 5,
    }
    for name, value in change.items():
        options[name] = tmp_path / value if name == "--out" else getattr(simulated, value, value)
    result = varfx(capsys, "prior", "fit", *[word for pair in options.items() for word in pair])
    assert message in result.error
    assert list(tmp_path.iterdir()) == []


def changed(simulated: Simulated, path: Path, trait: str, *expressions: pl.Expr) -> Path:
    table = read_sumstats(simulated.height).table.with_columns(*expressions)
    SumStats(table=table, trait=trait).write(path)
    return path


def test_another_build_is_named(capsys: Capsys, simulated: Simulated, tmp_path: Path) -> None:
    moved = changed(simulated, tmp_path / "S.parquet", "moved", pl.col("position") + 777)
    result = varfx(
        capsys,
        "prior",
        "fit",
        "--panel",
        simulated.panel,
        "--sumstats",
        moved,
        "--model",
        "constant",
        "--out",
        tmp_path / "RUN",
    )
    assert "build" in result.error
    assert not (tmp_path / "RUN").exists()


def test_two_traits_of_one_name(capsys: Capsys, simulated: Simulated, tmp_path: Path) -> None:
    result = varfx(
        capsys, "prior", "fit", *simulated.fit_options(), "--sumstats", simulated.height, "--out", tmp_path / "RUN"
    )
    assert "2 of 2 summary statistics are of a trait called `height`" in result.error


def test_training_windows_without_associations(capsys: Capsys, simulated: Simulated, tmp_path: Path) -> None:
    table = read_sumstats(simulated.height).table.filter(pl.col("chrom") == "3")
    SumStats(table=table, trait="one").write(tmp_path / "S.parquet")
    result = varfx(
        capsys, "prior", "fit", "--panel", simulated.panel, "--sumstats", tmp_path / "S.parquet", "--holdout-chrom", "3",
        "--model", "constant", "--out", tmp_path / "RUN",
    )  # fmt: skip
    assert result.code == 2
    assert "training windows holds an association" in result.err.replace("\n", " ")
    assert not (tmp_path / "RUN").exists()


def test_a_finished_run_is_not_overwritten_unasked(capsys: Capsys, run: Path, simulated: Simulated) -> None:
    before = (run / "manifest.json").read_bytes()
    for more in ([], ["--resume"]):
        result = varfx(capsys, "prior", "fit", *simulated.fit_options(), *FAST, "--out", run, *more)
        assert "holds a finished run. Choose another --out, or replace it with --overwrite" in result.error
    # a mistake in a command that may overwrite destroys nothing either
    result = varfx(
        capsys, "prior", "fit", *simulated.fit_options(), "--holdout-chrom", "9", "--overwrite", "--out", run
    )
    assert result.code == 2
    assert (run / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_something_else_is_never_overwritten(capsys: Capsys, simulated: Simulated, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "RUN"
    if kind == "file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "mine").write_text("mine")
    result = varfx(capsys, "prior", "fit", *simulated.fit_options(), *FAST, "--out", out, "--overwrite")
    assert "exists and is no run. Choose another --out" in result.error
    assert (out if kind == "file" else out / "mine").read_text() == "mine"


def test_interrupt_then_resume_with_other_and_with_the_same_options(
    capsys: Capsys, simulated: Simulated, tmp_path: Path
) -> None:
    """Ctrl-C in a child process: exit code 130, no traceback; then --resume."""
    out = tmp_path / "RUN"
    words = [
        "prior",
        "fit",
        *simulated.fit_options(),
        "--holdout-chrom",
        "3",
        "--check-every",
        "5",
        "--patience",
        "1000",
    ]
    steps = ["--max-steps", "20000", "--out", str(out)]
    child = run_forked(main, [*words, *steps], folder=tmp_path / "screen")
    last = tmp_path / "RUN.building" / "checkpoints" / "last" / "manifest.json"
    for _ in range(600):
        if last.is_file():
            break
        time.sleep(0.1)
    os.kill(child.pid, signal.SIGINT)
    _, errors = child.communicate()
    assert child.poll() == 130, errors
    # Lines of progress may stand before it, on a slow machine.
    assert errors.splitlines()[-1] == "interrupted; `varfx prior fit` continues with the same command and --resume"
    assert "is an unfinished run" in varfx(capsys, "prior", "evaluate", out).error
    assert (
        "holds an unfinished run. Go on with --resume, or start anew with --overwrite"
        in varfx(capsys, *words, *steps).error
    )
    other = varfx(capsys, *words, *steps, "--resume", "--seed", 1)
    assert "was begun with other options or inputs (seed was 0, now 1)" in other.error
    fewer = ["--max-steps", "20", "--out", str(out)]
    assert "max-steps was 20000, now 20" in varfx(capsys, *words, *fewer, "--resume").error
    assert varfx(capsys, *words, *fewer, "--overwrite").code == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "history.csv", "identity.json", "log.txt", "manifest.json", "model.safetensors", "options.yaml", "run.json"
    ]  # fmt: skip
    assert not list(tmp_path.glob("*.building")) + list(tmp_path.glob(".*"))


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedTracks]:
    yield from simulate_tracks(tmp_path_factory.mktemp("tracks"))


def test_an_enformer_on_tracks(capsys: Capsys, simulated: Simulated, tracks: SimulatedTracks, tmp_path: Path) -> None:
    run, sizes = tmp_path / "RUN", ("--window", 16, "--width", 24, "--depth", 1, "--heads", 2, "--downsamples", 2)
    words = ("--tracks", tracks.store, "--max-steps", 2, "--engine", "exact", "--holdout-chrom", "3", "--out", run)
    result = varfx(capsys, "prior", "fit", *simulated.fit_options(), "--model", "enformer", *sizes, *words)
    assert result.code == 0, result.err
    assert "enformer, 2 steps (all done)" in result.out
    turned = ("--tracks", tracks.turned)
    assert varfx(capsys, "prior", "evaluate", run, *turned).code == 0
    assert varfx(capsys, "prior", "predict", run, *turned, "--out", tmp_path / "p.parquet").code == 0
    assert varfx(capsys, "prior", "weights", run, *turned, "--effects", "normal", "--out", tmp_path / "w.tsv").code == 0
    lacking = varfx(capsys, "prior", "evaluate", run, "--tracks", tracks.lacking)
    assert "lacks 1 of 3 tracks, first `c`. It has a, b." in lacking.error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "enformer"], "`model` enformer reads tracks. Give them with --tracks"),
        (["--model", "enformer", "--tracks", "/nonexistent"], "Give a track store made by `varfx tracks build`"),
        (["--chain", "x"], "`chain` lifts variants to the tracks' build, but there are no --tracks"),
        (
            ["--model", "enformer", "--width", "50"],
            "`width` must be a multiple of 6 x heads = 24, got 50. Take width 48",
        ),
        (
            ["--devices", "2", "--windows-per-step", "3"],
            "`windows-per-step` must be a multiple of `devices` = 2, got 3",
        ),
        (["--compile"], "`compile` is for enformer; mlp would gain nothing"),
    ],
)
def test_wrong_options_of_networks_on_tracks(
    capsys: Capsys, simulated: Simulated, tmp_path: Path, words: list[str], message: str
) -> None:
    result = varfx(capsys, "prior", "fit", *simulated.fit_options(), *words, "--out", tmp_path / "RUN")
    assert message in result.error
    assert not (tmp_path / "RUN").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--snpvar", "x", "--panel", "P"], "`--snpvar` needs --like RUN, or --panel and one --sumstats"),
        (["RUN", "--snpvar", "x"], "give either a RUN or --snpvar FILE"),
        (["RUN", "--like", "RUN"], "`--like` and `--sigma2` belong to --snpvar FILE"),
        (["/nonexistent"], "Give a run made by `varfx prior fit`"),
    ],
)
def test_wrong_evaluations(capsys: Capsys, words: list[str], message: str) -> None:
    assert message in varfx(capsys, "prior", "evaluate", *words).error
