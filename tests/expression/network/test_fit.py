"""Networks on a cohort: what is trained and predicted, the run that is left, resume, and a motif that is found."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from cases.cohort import small_cohort
from cases.motif import MotifCase
from varfx.errors import ConfigError, DataError, FormatError, StoreError
from varfx.expression.cohort.gene_data import gene_data
from varfx.expression.cohort.store import Cohort, open_cohort
from varfx.expression.gene_list import read_genes
from varfx.expression.network import fit as fit_module
from varfx.expression.network.batches import CohortBatches, gene_sequences
from varfx.expression.network.config import FitConfig, NetworkChoice, fold_numbers
from varfx.expression.network.fit import fit_network
from varfx.expression.network.opened import open_network
from varfx.expression.network.tasks import NetworkTask
from varfx.expression.run import ExpressionRun, open_run, run_folder, training_fold
from varfx.models.expression import ExpressionNetworkConfig
from varfx.training.people import fit as training_module
from varfx.training.people.config import ExpressionTrainConfig

CPU = torch.device("cpu")
NETWORK = ExpressionNetworkConfig(
    window=256, width=24, depth=1, num_downsamples=5, dropout=0, attention_dropout=0, position_dropout=0, norm="running"
)
TRAINING = ExpressionTrainConfig(epochs=2, learning_rate=1e-3)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_cohort(tmp_path_factory.mktemp("cohort"), window=256, phased=True, missing=0.05, covariates=1)


def config(**changes: Any) -> FitConfig:
    return FitConfig(**{"network": NETWORK, "training": TRAINING, **changes})


@pytest.fixture(scope="module")
def finished(cohort: Path) -> ExpressionRun:
    """A network of all folds, which several tests look at; do not change it."""
    return fit_network(cohort, cohort.parent / "RUN", config(folds=()))


# --- sequences and targets


@pytest.mark.parametrize("gene", [0, 1])  # one a strand
def test_a_shorter_window_is_the_middle_of_the_longer(cohort: Path, gene: int) -> None:
    opened = open_cohort(cohort)
    gene_id = opened.genes["gene_id"][gene]
    for haplotypes in (False, True):
        whole = gene_sequences(opened, gene_id, haplotypes=haplotypes, missing="mean").encode()
        for window in (256, 100, 31):
            cut = gene_sequences(opened, gene_id, window=window, haplotypes=haplotypes).encode()
            first = 128 - window // 2
            assert torch.equal(cut, whole[..., first : first + window, :])


def test_targets_and_missing_genotypes_are_those_of_the_linear_models(cohort: Path) -> None:
    opened = open_cohort(cohort)
    gene_id = opened.genes_train[1]
    expected = gene_data(opened, gene_id, 1)
    batches = CohortBatches(opened, (opened.genes_train[0], gene_id), 1)
    rows = np.array([3, 0, 7])
    np.testing.assert_allclose(batches.targets(1, rows), expected.y[rows], rtol=1e-6)
    assert np.array_equal(batches.people(1, "train"), expected.fold.train)
    assert np.array_equal(batches.people(1, "tune"), expected.fold.tune)
    window = gene_sequences(opened, gene_id, mean_of=expected.fold.train.tolist())
    x = batches.encode(1, rows, CPU)
    share = x[:, window.offsets, window.alt_code]
    np.testing.assert_allclose(2 * share, expected.X[rows], atol=1e-6)
    turned = batches.encode(1, rows, CPU, reverse_complement=True, shift=3)
    assert torch.equal(turned, window.encode(torch.from_numpy(rows), reverse_complement=True, shift=3))


def test_kept_windows_are_few(cohort: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from varfx.expression.network import batches as module

    monkeypatch.setattr(module, "KEPT_GENES", 1)
    opened = open_cohort(cohort)
    batches = CohortBatches(opened, opened.genes_train, 0)
    first = batches.encode(0, np.arange(3), CPU)
    batches.encode(1, np.arange(3), CPU)
    assert len(batches._kept) == 1
    assert torch.equal(batches.encode(0, np.arange(3), CPU), first)


# --- the run


def test_a_network_of_fewer_individuals(cohort: Path, tmp_path: Path) -> None:
    opened = open_cohort(cohort)
    run = fit_network(cohort, tmp_path / "RUN", config(train_size=8, genes=opened.genes_train[:1]))
    assert run.record["models"] == ["enformer@8"]
    assert set(run.predictions["model"]) == {"enformer@8"}
    fold, thinned = opened.fold(0), training_fold(run, opened, 0, "enformer@8")
    assert set(thinned.train) < set(fold.train)
    batches = CohortBatches(opened, opened.genes_train, 0, train_size=8, seed=TRAINING.seed)
    np.testing.assert_array_equal(batches.people(0, "train"), thinned.train)
    np.testing.assert_array_equal(batches.people(0, "tune"), fold.tune)
    data = gene_data(opened, opened.genes_train[0], 0, train_size=8, seed=TRAINING.seed)
    np.testing.assert_allclose(batches.targets(0, np.arange(20)), data.y[:20], rtol=1e-6)
    with pytest.raises(DataError, match="`train_size` 99 is above the"):
        fit_network(cohort, tmp_path / "OTHER", config(train_size=99))
    with pytest.raises(ConfigError, match="`train_size` must be at least 2"):
        config(train_size=1)


def test_windows_stay_on_the_current_gpu(cohort: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tensor of device `cuda` says that it lies on `cuda:0`, which is another device to torch."""
    opened = open_cohort(cohort)
    made: list[str] = []

    class OnGpu:
        device = torch.device("cuda:0")

        def encode(self, *args: Any, **options: Any) -> torch.Tensor:
            return torch.zeros(1)

    def make(cohort: Cohort, gene: str, *args: Any, **options: Any) -> OnGpu:
        made.append(gene)
        return OnGpu()

    monkeypatch.setattr("varfx.expression.network.batches.gene_sequences", make)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    data = CohortBatches(opened, opened.genes_train[:2], 0)
    for gene in (0, 1, 0, 1):
        data.encode(gene, np.arange(2), torch.device("cuda"))
    data.encode(0, np.arange(2), torch.device("cuda:0"))
    assert made == list(opened.genes_train[:2])
    data.encode(0, np.arange(2), torch.device("cpu"))
    assert len(made) == 3


def test_a_run(cohort: Path, finished: ExpressionRun) -> None:
    run, opened = finished, open_cohort(cohort)
    assert run.kind == "expression network"
    assert run.record["cohort_seal"] == opened.seal
    assert run.record["folds"] == [0, 1, 2]
    assert run.record["genes"] == list(opened.genes_train)
    assert run.record["heldout_genes"] == list(opened.genes_heldout)
    assert open_run(run.path).predictions.equals(run.predictions)
    table = run.predictions
    for number in range(3):
        fold = opened.fold(number)
        for genes, split in ((opened.genes_train, "hop"), (opened.genes_heldout, "hogp")):
            for gene in genes:
                mine = table.filter(fold=number, gene_id=gene)
                assert set(mine["split"]) == {split}
                for part in ("tune", "test"):
                    names = [opened.people[row] for row in getattr(fold, part)]
                    assert mine.filter(part=part)["person"].to_list() == names
    trained = {opened.people[row] for row in opened.fold(0).train}
    assert not trained & set(table.filter(fold=0)["person"])
    with open(run.path / "history.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["fold"], row["epoch"]) for row in rows] == [
        (str(fold), str(epoch)) for fold in range(3) for epoch in (1, 2)
    ]
    assert sorted(file.name for file in run.path.rglob("*")) == [
        "fold0.safetensors", "fold1.safetensors", "fold2.safetensors", "history.csv", "identity.json",
        "manifest.json", "models", "predictions.parquet", "run.json",
    ]  # fmt: skip


def predicted_again(run: ExpressionRun, opened: Cohort, gene: str, *, phased: bool = False) -> np.ndarray:
    network = open_network(run, 0, gene)
    fold = opened.fold(0)
    rows = torch.from_numpy(np.concatenate([fold.tune, fold.test]))
    window = gene_sequences(opened, gene, window=network.config.window, haplotypes=phased, mean_of=fold.train.tolist())
    with torch.no_grad():
        return np.asarray(network(window.encode(rows)))


@pytest.mark.parametrize("phased", [False, True])
def test_saved_networks_make_the_predictions(
    cohort: Path, finished: ExpressionRun, tmp_path: Path, phased: bool
) -> None:
    run = fit_network(cohort, tmp_path / "RUN", config(phased=True)) if phased else finished
    opened = open_cohort(cohort)
    for gene in (opened.genes_train[0], opened.genes_heldout[0]):
        table = run.predictions.filter(gene_id=gene, fold=0)["prediction"].to_numpy()
        np.testing.assert_allclose(predicted_again(run, opened, gene, phased=phased), table, rtol=1e-5, atol=1e-6)
        assert table.std() > 0


def test_bfloat16_training_predicts_in_float32(cohort: Path, tmp_path: Path) -> None:
    run = fit_network(cohort, tmp_path / "RUN", config(network=replace(NETWORK, precision="bfloat16")))
    gene = open_cohort(cohort).genes_train[0]
    network = open_network(run, 0)
    network.trunk.config = replace(network.trunk.config, precision="float32")
    fold = open_cohort(cohort).fold(0)
    window = gene_sequences(open_cohort(cohort), gene, mean_of=fold.train.tolist())
    with torch.no_grad():
        expected = network(window.encode(torch.from_numpy(np.concatenate([fold.tune, fold.test]))))
    np.testing.assert_allclose(run.predictions.filter(gene_id=gene)["prediction"], expected, rtol=1e-5, atol=1e-6)


def test_a_network_for_each_gene(cohort: Path, tmp_path: Path) -> None:
    opened = open_cohort(cohort)
    chosen = (opened.genes_heldout[0], opened.genes_train[0] + ".7")
    run = fit_network(cohort, tmp_path / "RUN", config(single_gene=True, genes=chosen, folds=(0, 1)))
    genes = {opened.genes_heldout[0], opened.genes_train[0]}
    assert set(run.predictions["gene_id"]) == genes
    assert set(run.predictions["split"]) == {"hop"}
    assert {each["gene"] for each in run.record["outcomes"]} == genes
    for gene in genes:
        table = run.predictions.filter(gene_id=gene, fold=0)["prediction"].to_numpy()
        np.testing.assert_allclose(predicted_again(run, opened, gene), table, rtol=1e-5, atol=1e-6)
    with pytest.raises(DataError, match=rf"has no network {opened.genes_train[1]}.fold0; it has 4"):
        open_network(run, 0, opened.genes_train[1])


def test_chosen_genes_and_the_table_of_the_contract(cohort: Path, tmp_path: Path) -> None:
    opened = open_cohort(cohort)
    one = fit_network(cohort, tmp_path / "one", config(genes=opened.genes_train[:1], name="small"))
    assert one.record["genes"] == [opened.genes_train[0]]
    assert one.record["heldout_genes"] == list(opened.genes_heldout)  # none is named: all
    assert one.predictions.schema["prediction"] == pl.Float32
    assert set(one.predictions["model"]) == {"small"}


# --- interruption


class Stop(Exception):
    pass


def test_resumed_runs_are_the_same(cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = config(folds=(0, 1), training=replace(TRAINING, checkpoint_minutes=0, epochs=3))
    whole = fit_network(cohort, tmp_path / "whole", options)
    steps = 0

    def interrupt(done: int, total: int, what: str) -> None:
        nonlocal steps
        steps += what.startswith("steps")
        if steps == 9 + 4:  # in the second fold's second pass
            raise Stop

    with pytest.raises(Stop):
        fit_network(cohort, tmp_path / "part", options, progress=interrupt)
    with pytest.raises(StoreError, match=r"unfinished run\. Go on with --resume"):
        fit_network(cohort, tmp_path / "part", options)
    with pytest.raises(StoreError, match="begun with other options"):
        fit_network(cohort, tmp_path / "part", replace(options, folds=(0,)), resume=True)
    trained: list[int] = []
    train: Callable[..., Any] = training_module.train_expression

    def count(*args: Any, **options: Any) -> Any:
        trained.append(1)
        return train(*args, **options)

    monkeypatch.setattr(training_module, "train_expression", count)
    part = fit_network(cohort, tmp_path / "part", options, resume=True)
    assert len(trained) == 1  # the first fold was finished
    assert part.predictions.equals(whole.predictions)
    for name in ("history.csv", "models/fold0.safetensors", "models/fold1.safetensors"):
        assert (part.path / name).read_bytes() == (whole.path / name).read_bytes()
    with pytest.raises(StoreError, match="finished run"):
        fit_network(cohort, tmp_path / "part", options)
    other = config(genes=open_cohort(cohort).genes_train[:1], training=replace(TRAINING, epochs=1))
    assert fit_network(cohort, tmp_path / "part", other, overwrite=True).record["genes"] == list(other.genes)


@pytest.mark.usefixtures("forked_workers")
def test_networks_of_single_genes_on_processes(cohort: Path, tmp_path: Path) -> None:
    """Two processes train the same networks as one, and finished ones are kept."""
    options = config(single_gene=True, genes=tuple(open_cohort(cohort).genes_train[:2]), folds=(0,))
    here = fit_network(cohort, tmp_path / "here", options)
    seen: list[tuple[int, int, str]] = []
    there = fit_network(cohort, tmp_path / "there", options, workers=2, progress=lambda *done: seen.append(done))
    assert seen == [(1, 2, "networks"), (2, 2, "networks")]
    assert there.predictions.drop("prediction").equals(here.predictions.drop("prediction"))
    np.testing.assert_allclose(there.predictions["prediction"], here.predictions["prediction"], rtol=1e-6, atol=1e-6)
    with pytest.raises(ConfigError, match=r"`devices` and `num-nodes` one on many devices\. Give one of the two"):
        fit_network(cohort, tmp_path / "no", config(training=replace(TRAINING, devices=2)), workers=2)


def test_networks_take_several_gpus_in_turn(monkeypatch: pytest.MonkeyPatch, cohort: Path, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    used: list[tuple[str, str]] = []
    monkeypatch.setattr(
        fit_module,
        "fit_one",
        lambda cohort, task, config, network, folder, device, progress: used.append(
            (str(device), config.training.device)
        ),
    )
    opened, folder = open_cohort(cohort), run_folder(tmp_path / "RUN")
    task = NetworkTask(0, opened.genes_train[:1], (), True)
    for device in ("auto", "cuda:1", "cpu"):
        options = config(training=replace(TRAINING, device=device))
        for number in range(3):
            fit_module._fit_piece((opened, options, folder), (number, task))
    names = ["cuda:0", "cuda:1", "cuda:0", *["cuda:1"] * 3, *["cpu"] * 3]
    assert used == [(name, name) for name in names]


def test_no_names_or_values_of_people_while_training(cohort: Path, tmp_path: Path) -> None:
    def interrupt(done: int, total: int, what: str) -> None:
        if done == 7:
            raise Stop

    options = config(training=replace(TRAINING, checkpoint_minutes=0, epochs=3))
    with pytest.raises(Stop):
        fit_network(cohort, tmp_path / "RUN", options, progress=interrupt)
    opened = open_cohort(cohort)
    content = b"".join(file.read_bytes() for file in (tmp_path / "RUN.building").rglob("*") if file.is_file())
    assert len(content) > 10_000
    for name in opened.people:
        assert name.encode() not in content
    for gene in opened.genes["gene_id"]:
        y = gene_data(opened, gene, 0).y
        for value in (*y, *opened.expression()[opened.gene_row(gene)]):
            assert np.float32(value).tobytes() not in content
            assert np.float64(value).tobytes() not in content
            assert f"{value:.6f}".encode() not in content


def test_finished_runs_name_held_out_people_only(cohort: Path, finished: ExpressionRun) -> None:
    text = (finished.path / "run.json").read_text() + (finished.path / "history.csv").read_text()
    assert not [name for name in open_cohort(cohort).people if name in text]


# --- learning


def r2(case: MotifCase, run: ExpressionRun) -> tuple[float, float]:
    """R2 in the test individuals, of the network and of the causal variant's own regression."""
    data = gene_data(open_cohort(case.path), case.gene_id, 0)
    rows = data.fold.test
    y = data.y[rows]
    prediction = run.predictions.filter(part="test")["prediction"].to_numpy()
    x = data.X[:, case.causal]
    slope, intercept = np.polyfit(x[data.fold.train], data.y[data.fold.train], 1)
    spread = ((y - y.mean()) ** 2).sum()
    return 1 - ((y - prediction) ** 2).sum() / spread, 1 - ((y - intercept - slope * x[rows]) ** 2).sum() / spread


def test_a_broken_motif_is_found(motif_fit: tuple[MotifCase, ExpressionRun]) -> None:
    found, best = r2(*motif_fit)
    assert best > 0.4
    assert found >= 0.35


# --- errors


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"genes": ("ENSG99",)}, DataError, r"1 of 1 genes are not in .*, first ENSG99"),
        ({"folds": (3,)}, ConfigError, "`fold` must be from 0 to 2, got 3"),
        (
            {"network": replace(NETWORK, window=512)},
            ConfigError,
            "`window` must be from 1 to the cohort's 256 bases, got 512",
        ),
        ({"checkpoint": Path("none.safetensors")}, DataError, "checkpoint `none.safetensors` does not exist"),
        ({"genes": ("ENSG00000000003",)}, DataError, "no gene to train on: all 1 are held out"),
    ],
)
def test_errors_leave_nothing(
    cohort: Path, tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    assert open_cohort(cohort).genes_heldout == ("ENSG00000000003",)
    with pytest.raises(error, match=message) as caught:
        fit_network(cohort, tmp_path / "RUN", config(**changes))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "RUN").exists()


def test_haplotypes_of_a_cohort_without(tmp_path: Path) -> None:
    path = small_cohort(tmp_path, window=256, people=12)
    with pytest.raises(ConfigError, match="`phased` needs haplotypes"):
        fit_network(path, tmp_path / "RUN", config(phased=True))


def test_ten_people(tmp_path: Path) -> None:
    path = small_cohort(tmp_path, window=256, people=10)
    run = fit_network(path, tmp_path / "RUN", config())
    assert run.predictions["prediction"].is_finite().all()


def test_gene_lists(tmp_path: Path) -> None:
    file = tmp_path / "genes.txt"
    file.write_text("ENSG1\n\nENSG2.3  # strong\nENSG1\n")
    assert read_genes(file) == ("ENSG1", "ENSG2.3")
    file.write_text("# none\n")
    with pytest.raises(DataError, match="is empty: it should list genes"):
        read_genes(file)
    with pytest.raises(FormatError, match=r"is a folder \(it seems to be a folder of another program\)"):
        read_genes(tmp_path)


def test_fold_words() -> None:
    assert fold_numbers(("all",)) == ()
    assert fold_numbers(("0", "2", "0")) == (0, 2)
    with pytest.raises(ConfigError, match="`fold` must be numbers from 0, or all, got 'x'"):
        fold_numbers(("x",))


@pytest.mark.parametrize("gpu", [False, True])
def test_what_is_left_open_follows_checkpoint_and_device(gpu: bool) -> None:
    """The rules that once stood in the command line."""
    random = FitConfig().settled(window=1024, gpu=gpu)
    assert (random.sizes.width, random.sizes.depth, random.sizes.norm, random.sizes.window) == (96, 2, "running", 1024)
    assert (random.sizes.dropout, random.sizes.attention_dropout, random.sizes.position_dropout) == (0, 0, 0)
    assert (random.training.rate, random.training.people_at_once) == (1e-3, 32 if gpu else 4)
    published = FitConfig(checkpoint=Path("weights.bin")).settled(window=49_152, gpu=gpu)
    expected = ExpressionNetworkConfig(precision="bfloat16" if gpu else "float32")
    assert published.sizes == expected  # the published network, but for the precision of its training
    assert published.training.rate == 5e-6
    own = replace(published, network=NetworkChoice(gamma_scale="distance")).settled(window=49_152, gpu=gpu)
    assert own.sizes == replace(expected, gamma_scale="distance")
    assert own.sizes.trunk().gamma_scale == "distance"
    head = FitConfig(checkpoint=Path("weights.bin"), network=NetworkChoice(freeze_trunk=True, dropout=0.2))
    settled = head.settled(window=49_152, gpu=gpu)
    assert (settled.training.rate, settled.sizes.attention_dropout, settled.sizes.position_dropout) == (
        1e-3,
        0.025,
        0.005,
    )
    chosen = FitConfig(training=ExpressionTrainConfig(learning_rate=0.5, micro_batch=7), network=expected)
    assert chosen.settled(window=1, gpu=gpu) == chosen
