"""The choice of genes by R2: bins from the top, shortfalls, held-out genes, and the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cases.cohort import small_cohort
from varfx.cli.app import run as command
from varfx.errors import ConfigError, DataError
from varfx.expression.cohort.gene_data import gene_data
from varfx.expression.cohort.store import open_cohort
from varfx.expression.linear.config import BaselineConfig
from varfx.expression.linear.run import fit_baselines
from varfx.expression.selection import bins_of, draw_from_top, select_genes
from varfx.expression.selection_config import SelectionConfig


@pytest.fixture(scope="module")
def baselines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("selection")
    cohort = small_cohort(folder, people=60, genes=12, heritability=0.6, folds=1, heldout_fraction=0.35)
    return fit_baselines(cohort, folder / "RUN", BaselineConfig(models=("blup", "top1")), workers=1).path


def test_what_a_bin_lacks_is_drawn_from_the_next(rng: np.random.Generator) -> None:
    place = np.repeat([0, 1, 2, 3], [50, 10, 3, 1])
    counts = np.bincount(place[draw_from_top(place, 4, 5, rng)], minlength=4)
    assert counts.tolist() == [6, 10, 3, 1]  # 4 + 2 genes are owed to bin 1, which has 10 of 11
    everything = draw_from_top(place, 4, 50, rng)
    np.testing.assert_array_equal(everything, np.arange(place.size))


def test_bins_have_equal_width_and_hold_both_ends() -> None:
    place, edges = bins_of(np.array([-0.1, 0.0, 0.149, 0.15, 0.4]), 2)
    np.testing.assert_allclose(edges, [-0.1, 0.15, 0.4])
    assert place.tolist() == [0, 0, 0, 1, 1]
    assert bins_of(np.array([0.2, 0.2]), 3)[0].tolist() == [2, 2]


def test_the_r2_is_that_of_tuning_individuals(baselines: Path) -> None:
    selected = select_genes(baselines, SelectionConfig(model="blup", bins=2, per_bin=2, heldout=1, heldout_min_r2=-9))
    cohort = open_cohort(baselines.parent / "cohort")
    table = pl.read_parquet(baselines / "predictions.parquet").filter(
        (pl.col("model") == "blup") & (pl.col("part") == "tune")
    )
    for gene, r2 in selected.table.select("gene_id", "r2").iter_rows():
        data = gene_data(cohort, gene, 0)
        mine = table.filter(pl.col("gene_id") == gene)
        y = data.y[[cohort.people.index(name) for name in mine["person"]]]
        assert r2 == pytest.approx(1 - ((y - mine["prediction"].to_numpy()) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    assert selected.table.height == 12
    train = selected.table.filter(pl.col("chosen") == "train")
    heldout = selected.table.filter(pl.col("chosen") == "held-out")
    assert (train.height, heldout.height) == (4, 1)
    assert set(train["gene_id"]) <= set(cohort.genes_train)
    assert heldout["r2"][0] == selected.table.filter(pl.col("gene_set") == "held-out")["r2"].max()
    assert selected.genes[-1] == heldout["gene_id"][0]
    assert len(selected.genes) == 5


def test_the_command_writes_a_list_for_other_commands(
    baselines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["expr", "select", str(baselines), "--model", "blup", "--bins", "2", "--per-bin", "3"]
    assert command([*words, "--out", str(tmp_path / "genes.txt"), "--tsv", str(tmp_path / "genes.tsv")]) == 0
    genes = (tmp_path / "genes.txt").read_text().split()
    table = pl.read_csv(tmp_path / "genes.tsv", separator="\t")
    assert set(genes) == set(table.filter(pl.col("chosen").is_not_null())["gene_id"])
    assert "6 genes to train on" in capsys.readouterr().out
    again = fit_baselines(
        baselines.parent / "cohort",
        tmp_path / "RUN",
        BaselineConfig(models=("top1",), genes=(str(tmp_path / "genes.txt"),)),
        workers=1,
    )
    assert set(again.record["genes"]) == set(genes)


def test_other_models_and_folds_are_refused(baselines: Path) -> None:
    with pytest.raises(DataError, match=r"has models blup, top1 in folds 0, but not elastic-net in fold 0"):
        select_genes(baselines)
    with pytest.raises(DataError, match=r"but not blup in fold 3"):
        select_genes(baselines, SelectionConfig(model="blup", fold=3))
    with pytest.raises(ConfigError, match="`per_bin` must be at least 1"):
        SelectionConfig(per_bin=0)
