"""`varfx prior` with several ancestries as typed."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from cases.ancestries import SecondAncestry, second_ancestry
from cases.command_line import varfx
from cases.simulated_panel import Simulated

Capsys = pytest.CaptureFixture[str]
FAST = ("--model", "linear", "--max-steps", 20, "--check-every", 10, "--holdout-chrom", "3")


@pytest.fixture(scope="module")
def second(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> SecondAncestry:
    return second_ancestry(simulated, tmp_path_factory.mktemp("second"))


def options(simulated: Simulated, second: SecondAncestry) -> list[str]:
    first = [
        "--panel",
        f"EUR={simulated.panel}",
        "--sumstats",
        f"EUR={simulated.height}",
        "--annot",
        f"EUR={simulated.annot}",
    ]
    return [
        *first,
        "--panel",
        f"AFR={second.panel}",
        f"--sumstats=AFR={second.sumstats}",
        "--annot",
        f"AFR={second.annot}",
    ]


def test_fit_evaluate_predict_info(
    capsys: Capsys, simulated: Simulated, second: SecondAncestry, tmp_path: Path
) -> None:
    out = tmp_path / "RUN"
    done = varfx(capsys, "prior", "fit", *options(simulated, second), *FAST, "--out", out)
    assert done.code == 0
    assert "windows of AFR: 2 training, 1 validation, 2 held out, 1 in gaps" in done.out
    assert "windows of EUR: " in done.out
    again = varfx(capsys, "prior", "fit", *options(simulated, second), *FAST, "--out", out)
    assert (again.code, "holds a finished run" in again.err) == (2, True)
    other = varfx(capsys, "prior", "fit", "--config", out / "options.yaml", "--out", out)
    assert "It has the same options and inputs." in other.err
    scored = varfx(capsys, "prior", "evaluate", out)
    assert (scored.code, "AFR" in scored.out, "EUR" in scored.out) == (0, True, True)
    predicted = varfx(capsys, "prior", "predict", out, "--out", tmp_path / "f.parquet")
    assert (predicted.code, "f of 528 variants" in predicted.out) == (0, True)
    assert {"f.AFR", "f.EUR", "sigma2.AFR"} <= set(pl.read_parquet(tmp_path / "f.parquet").columns)
    one = varfx(capsys, "prior", "predict", out / "AFR", "--out", tmp_path / "afr.snpvar.gz")
    assert (one.code, "f of 432 variants" in one.out) == (0, True)
    weighted = varfx(capsys, "prior", "weights", out, "--out", tmp_path / "w.tsv")
    assert (weighted.code, "effects of AFR and EUR: correlation" in weighted.out) == (0, True)
    table = pl.read_csv(tmp_path / "w.tsv", separator="\t", schema_overrides={"CHROM": pl.String})
    assert table.columns[:5] == ["ID", "A1", "WEIGHT.AFR", "WEIGHT.EUR", "WEIGHT.META"]
    assert (table.height, table["WEIGHT.AFR"].null_count()) == (528, 0)
    target = simulated.bed
    scored = varfx(capsys, "score", "--weights", tmp_path / "w.tsv", "--genotypes", target, "--out", tmp_path / "s.tsv")
    assert scored.code == 0, scored.err
    assert "META" in (tmp_path / "s.tsv").read_text().splitlines()[0]
    mixture = varfx(capsys, "prior", "weights", out, "--effects", "mixture", "--out", tmp_path / "m.tsv")
    assert (mixture.code, "`--effects mixture` is for one panel" in mixture.err) == (2, True)
    alone = varfx(capsys, "prior", "weights", out / "AFR", "--rho", "0.5", "--out", tmp_path / "a.tsv")
    assert (alone.code, "`--rho` is for runs of several ancestries" in alone.err) == (2, True)
    shown = varfx(capsys, "info", out)
    assert (shown.code, "run of 2 ancestries: AFR, EUR" in shown.out) == (0, True)
    assert varfx(capsys, "info", out / "EUR").code == 0
    refused = varfx(capsys, "prior", "explain", out, "--out", tmp_path / "E")
    assert (refused.code, "holds the priors of 2 ancestries, AFR, EUR" in refused.err) == (2, True)


def test_finemap_over_ancestries(capsys: Capsys, simulated: Simulated, second: SecondAncestry, tmp_path: Path) -> None:
    fast = ("--model", "constant", "--max-steps", 1)
    assert varfx(capsys, "prior", "fit", *options(simulated, second), *fast, "--out", tmp_path / "RUN").code == 0
    (tmp_path / "L.bed").write_text("1\t0\t200000\n2\t0\t150000\n")
    words = ("finemap", "--run", tmp_path / "RUN", "--loci", tmp_path / "L.bed", "--out", tmp_path / "F", "-L", "3")
    done = varfx(capsys, *words, "--min-purity", 0, "--no-quality")
    assert (done.code, "AFR, EUR: 2 loci" in done.out) == (0, True), done.err
    variants = pl.read_csv(tmp_path / "F.pip.tsv.gz", separator="\t", null_values="NA")
    panels = [pl.read_parquet(panel / "variants.parquet") for panel in (simulated.panel, second.panel)]
    inside = [
        table.filter(
            ((pl.col("chrom") == "1") & (pl.col("position") <= 200_000))
            | ((pl.col("chrom") == "2") & (pl.col("position") <= 150_000))
        )
        for table in panels
    ]
    places = pl.concat([table.select("chrom", "position") for table in inside]).unique().height
    assert variants.height == places
    assert variants["z.EUR"].null_count() == places - inside[0].height
    sets = pl.read_csv(tmp_path / "F.cs.tsv", separator="\t", null_values="NA")
    assert {"P.AFR", "P.EUR", "purity.AFR", "lead"} <= set(sets.columns)
    refused = varfx(capsys, *words, "--format", "finngen")
    assert (refused.code, "`--format` is for one panel" in refused.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--panel", "EUR=P", "--sumstats", "S"), "`--panel` names EUR, but `--sumstats` does not"),
        (("--panel", "EUR=P", "--panel", "EUR=Q", "--sumstats", "EUR=S"), "`--panel` is given twice for EUR"),
        (("--panel", "EUR=P", "--sumstats", "EUR=S", "EUR=T"), "`--sumstats` is given twice for EUR"),
        (("--panel", "EUR=P", "Q", "--sumstats", "EUR=S"), "1 of 2 have no ancestry's name, first `Q`"),
        (("--panel", "P", "Q", "--sumstats", "S"), "`--panel` is given 2 times"),
        (("--panel", "P", "--sumstats", "S", "--annot", "EUR=A"), "`--annot` names EUR, but `--panel` does not"),
        (("--panel", "EUR=", "--sumstats", "EUR=S"), "has no file behind its name"),
    ],
)
def test_names_are_checked_first(capsys: Capsys, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    refused = varfx(capsys, "prior", "fit", *words, "--out", tmp_path / "RUN")
    assert refused.code == 2
    assert message in refused.err
    assert len(refused.err.strip().splitlines()) == 1


def test_a_path_with_an_equals_sign_is_a_path(capsys: Capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "EUR=P").mkdir()
    words = ("--panel", "EUR=P", "--sumstats", "S", "--out", "RUN")
    assert "`EUR=P`" in varfx(capsys, "prior", "fit", *words).err
    (tmp_path / "P").mkdir()
    assert "both `EUR=P` and `P` exist" in varfx(capsys, "prior", "fit", *words).err
