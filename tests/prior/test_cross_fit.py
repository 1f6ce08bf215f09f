"""Cross-fitting: no fold's network sees its own chromosomes, fits are used again, and others' are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases.simulated_panel import Simulated
from varfx.errors import ConfigError, StoreError
from varfx.gwas.sumstats import SumStats, read_sumstats
from varfx.models import ModelConfig
from varfx.prior import SplitConfig, fit, open_run, predict
from varfx.prior.cross_fit import cross_fit, deal
from varfx.training import TrainConfig

QUICK = TrainConfig(max_steps=10, check_every=5)


@pytest.fixture(scope="module")
def run(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cross") / "RUN"
    fit(
        simulated.panel,
        [simulated.height],
        out,
        annotations=simulated.annot,
        model=ModelConfig(kind="linear"),
        training=QUICK,
        split=SplitConfig(holdout_chrom=("3",)),
    )
    return out


def test_each_chromosome_has_the_f_of_a_fit_without_it(run: Path, tmp_path: Path) -> None:
    table = cross_fit(run, tmp_path / "folds", folds=3)
    assert table.columns == predict(run).columns
    for number, chrom in enumerate("123", start=1):
        fold = open_run(tmp_path / "folds" / f"fold{number}")
        split = fold.record["split"]
        assert all(name.startswith(f"chr{chrom}_") for name in split["holdout"])
        assert not any(name.startswith(f"chr{chrom}_") for name in (*split["train"], *split["validation"]))
        mine = pl.col("chrom") == chrom
        expected = predict(fold).filter(mine)
        assert np.allclose(table.filter(mine)["f"].to_numpy(), expected["f"].to_numpy(), rtol=1e-12)
        assert np.allclose(table.filter(mine)["sigma2"].to_numpy(), expected["sigma2"].to_numpy(), rtol=1e-12)


def test_f_of_a_chromosome_does_not_depend_on_its_associations(run: Path, simulated: Simulated, tmp_path: Path) -> None:
    sumstats = read_sumstats(simulated.height)
    changed = sumstats.table.with_columns(z=pl.when(pl.col("chrom") == "2").then(-3 * pl.col("z")).otherwise("z"))
    SumStats(table=changed, trait="height").write(tmp_path / "other.sumstats.parquet")
    fit(
        simulated.panel,
        [tmp_path / "other.sumstats.parquet"],
        tmp_path / "RUN",
        annotations=simulated.annot,
        model=ModelConfig(kind="linear"),
        training=QUICK,
        split=SplitConfig(holdout_chrom=("3",)),
    )
    one, other = cross_fit(run, tmp_path / "a", folds=3), cross_fit(tmp_path / "RUN", tmp_path / "b", folds=3)
    second = (one["chrom"] == "2").to_numpy()
    assert np.array_equal(one["f"].to_numpy()[second], other["f"].to_numpy()[second])
    assert not np.array_equal(one["f"].to_numpy()[~second], other["f"].to_numpy()[~second])


def test_finished_fits_are_used_again_and_others_refused(run: Path, tmp_path: Path) -> None:
    first = cross_fit(run, tmp_path / "folds", folds=2)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "folds").rglob("model.safetensors")}
    assert len(before) == 2
    assert cross_fit(run, tmp_path / "folds", folds=2).equals(first)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "folds").rglob("model.safetensors")}
    with pytest.raises(StoreError, match=r"holds a fit of another run, or of another number of folds\. Remove"):
        cross_fit(run, tmp_path / "folds", folds=3)


@given(st.lists(st.sampled_from([str(n) for n in range(1, 23)]), min_size=2, max_size=60), st.integers(2, 6))
def test_chromosomes_are_dealt_out_once_and_evenly(chroms: list[str], folds: int) -> None:
    chroms = sorted(chroms, key=int)
    names = list(dict.fromkeys(chroms))
    if len(names) < folds:
        with pytest.raises(ConfigError, match="`cross-fit` must be at least 2 and at most the number of the panel's"):
            deal(chroms, folds)
        return
    parts = deal(chroms, folds)
    assert len(parts) == folds
    assert sorted(name for part in parts for name in part) == sorted(names)
    sizes = [sum(chroms.count(name) for name in part) for part in parts]
    assert max(sizes) - min(sizes) <= max(chroms.count(name) for name in names)


def test_excluded_chromosomes_belong_to_no_fold() -> None:
    assert deal(["1", "1", "2", "3", "X"], 2, excluded=("X",)) == [("1",), ("2", "3")]
    with pytest.raises(ConfigError, match=r"the panel's chromosomes \(3\), got 1"):
        deal(["1", "2", "3"], 1)
