"""Coverage as a target: transform, loss, bins of files, the run that is left, and one line for each mistake."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from cases.cohort import small_cohort
from cases.coverage import exons_of, write_coverage, write_gtf
from cases.motif import motif_cohort
from cases.transfer import as_other_cohort
from varfx.errors import ConfigError, DataError, FormatError
from varfx.expression.cohort.store import open_cohort
from varfx.expression.network.batches import gene_sequences
from varfx.expression.network.config import FitConfig
from varfx.expression.network.coverage import exon_bins, variation
from varfx.expression.network.coverage_files import read_manifest
from varfx.expression.network.fit import fit_network
from varfx.expression.network.opened import open_network
from varfx.expression.network.target import TargetConfig
from varfx.expression.run import ExpressionRun, open_run
from varfx.expression.transfer.predict import predict_elsewhere
from varfx.expression.variants.score import VariantConfig, score_variants
from varfx.models.coverage import CoverageNetwork, GeneTotals, poisson_multinomial, squash, unsquash
from varfx.models.expression import ExpressionNetworkConfig
from varfx.tracks.bigwig import BigWig
from varfx.training.people.config import ExpressionTrainConfig
from varfx.training.people.coverage import CoverageLoss, CoverageModule

BORZOI = ExpressionNetworkConfig(
    model="borzoi", window=512, width=24, depth=1, num_downsamples=6, dropout=0, attention_dropout=0, position_dropout=0,
    norm="running",
)  # fmt: skip
TRAINING = ExpressionTrainConfig(epochs=2, learning_rate=1e-3)


# --- transform and loss


def test_the_transform_and_back() -> None:
    x = torch.logspace(-3, 6, 200, dtype=torch.float64)
    y = squash(x, 100.0)
    torch.testing.assert_close(unsquash(y, 100.0), x, rtol=1e-9, atol=1e-9)
    plain = (1 + x.numpy()) ** 0.75 - 1
    np.testing.assert_allclose(
        y.numpy(), np.where(plain > 100, 99 + np.sqrt(np.maximum(plain - 99, 0)), plain), rtol=1e-12
    )
    assert (y.diff() > 0).all()
    torch.testing.assert_close(unsquash(squash(x.float(), 100.0), 100.0), x.float(), rtol=1e-4, atol=1e-5)


def test_the_loss_by_its_definition_and_its_gradient_by_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    p, y = (torch.rand(2, 5, 3, dtype=torch.float64, generator=generator) + 0.1 for _ in range(2))
    p.requires_grad_()
    found = poisson_multinomial(p, y, 0.2)
    for person in range(2):
        value = 0.0
        for track in range(3):
            a, b = p[person, :, track].detach().numpy() + 1e-7, y[person, :, track].numpy() + 1e-7
            value += (-(b * np.log(a / a.sum())).sum() + 0.2 * (a.sum() - b.sum() * np.log(a.sum()))) / 5 / 3
        assert float(found[person].detach()) == pytest.approx(value, rel=1e-12)
    assert torch.autograd.gradcheck(lambda each: poisson_multinomial(each, y, 0.2), (p,))
    for other in (y * 1.3, y + 0.2, y.flip(1)):  # the truth is where the loss is least
        assert poisson_multinomial(y, y, 0.2).sum() < poisson_multinomial(other, y, 0.2).sum()


# --- files


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_cohort(tmp_path_factory.mktemp("cohort"), window=512, people=20, genes=3, heldout_fraction=0.34)


@pytest.fixture(scope="module")
def stranded(cohort: Path) -> Path:
    return write_coverage(cohort.parent / "stranded", cohort, stranded=True)


@pytest.fixture(scope="module")
def exons(cohort: Path) -> Path:
    return write_gtf(cohort.parent / "genes.gtf", open_cohort(cohort))


@pytest.mark.parametrize("number", [0, 1])  # one a strand
def test_bins_are_sums_along_the_genes_strand(cohort: Path, stranded: Path, number: int, tmp_path: Path) -> None:
    home = open_cohort(cohort)
    gene, name = home.gene(home.genes["gene_id"][number]), home.people[3]
    table = pl.read_csv(stranded, separator="\t").with_columns(library_size=pl.lit(2e6))
    scaled = stranded.with_name("scaled.tsv")
    table.write_csv(scaled, separator="\t")
    found = read_manifest(scaled, home.people).bins(name, gene, 256, 32)
    start = gene.tss - 1 - 128 if gene.strand == "+" else gene.tss - 1 - 127
    raw = [BigWig(stranded.parent / file).values(f"chr{gene.chrom}", start, start + 256) for file in ("3.bw", "3m.bw")]
    if gene.strand == "-":
        raw = [values[::-1] for values in raw[::-1]]
    expected = [[values[32 * b : 32 * (b + 1)].sum() / 2 for b in range(8)] for values in raw]
    np.testing.assert_allclose(found.T, expected, rtol=1e-6)
    spans = exons_of(gene)
    bins = exon_bins(gene, spans, 256, 32)
    for b in range(8):
        bases = np.arange(32 * b, 32 * (b + 1))
        positions = start + 1 + bases if gene.strand == "+" else start + 256 - bases
        assert bins[b] == any(first <= place <= last for place in positions for first, last in spans)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda t: t.with_columns(person=pl.lit("P000")), DataError, "rows share an individual, first P000"),
        (
            lambda t: t.with_columns(person=pl.col("person") + "x"),
            DataError,
            "names nobody of the cohort's 20 individuals",
        ),
        (
            lambda t: t.with_columns(bigwig_plus=pl.lit("no.bw")),
            FormatError,
            r"20 bigWig files do not exist, first `.*no\.bw`",
        ),
        (
            lambda t: t.with_columns(library_size=pl.lit(0)),
            FormatError,
            "20 values of `library_size` are no positive number",
        ),
        (
            lambda t: t.rename({"bigwig_plus": "plus"}),
            FormatError,
            "1 columns are missing from its header, first `bigwig_plus`",
        ),
    ],
)
def test_tables_that_cannot_be(cohort: Path, stranded: Path, change: Any, error: type[Exception], message: str) -> None:
    path = stranded.with_name("changed.tsv")
    change(pl.read_csv(stranded, separator="\t")).write_csv(path, separator="\t")
    with pytest.raises(error, match=message):
        read_manifest(path, open_cohort(cohort).people)


# --- runs


@pytest.fixture(scope="module")
def run(cohort: Path, stranded: Path, exons: Path) -> ExpressionRun:
    target = TargetConfig(target="coverage", coverage=stranded, exons=exons)
    return fit_network(cohort, cohort.parent / "RUN", FitConfig(network=BORZOI, training=TRAINING, target=target))


def test_the_run_knows_its_coverage_by_checksum(
    cohort: Path, stranded: Path, run: ExpressionRun, tmp_path: Path
) -> None:
    people = open_cohort(cohort).people
    table = pl.read_csv(stranded, separator="\t")
    named = {row[0]: row[1:] for row in table.select("person", "bigwig_plus", "bigwig_minus").iter_rows()}
    files = [stranded.parent / file for name in sorted(people) for file in named[name]]
    text = "\n".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    expected = hashlib.sha256(text.encode()).hexdigest()
    assert open_run(run.path).record["provenance"]["inputs"]["files of coverage"]["sha256"] == expected
    other = stranded.with_name("shuffled.tsv")
    table.reverse().write_csv(other, separator="\t")
    assert read_manifest(other, people).checksum() == expected
    swapped = table.with_columns(bigwig_plus="bigwig_minus", bigwig_minus="bigwig_plus")
    swapped.write_csv(other, separator="\t")
    assert read_manifest(other, people).checksum() != expected
    other.unlink()


def test_predictions_are_standardised_exon_totals(cohort: Path, run: ExpressionRun) -> None:
    home, opened = open_cohort(cohort), open_run(run.path)
    assert {each["split"] for each in opened.record["coverage"]} == {"hop", "hogp"}
    for each in opened.record["coverage"]:
        network = open_network(opened, 0, each["gene_id"])
        assert isinstance(network, GeneTotals)
        rows = opened.predictions.filter(opened.predictions["gene_id"] == each["gene_id"])
        places = [home.people.index(name) for name in rows["person"]]
        x = gene_sequences(home, each["gene_id"], missing="mean", mean_of=home.fold(0).train.tolist()).encode(places)
        with torch.no_grad():
            y = network.network(x).double().numpy()
        assert y.shape[2] == 2
        undone = (1 + y[:, each["bins"], 0]) ** (4 / 3) - 1  # no bin is clipped
        expected = (np.log2(1 + undone.sum(axis=1)) - each["mean"]) / each["spread"]
        np.testing.assert_allclose(rows["prediction"].to_numpy(), expected, rtol=1e-4, atol=1e-4)
        assert each["individuals"] == len(home.fold(0).test)


def test_variants_and_evaluation_take_the_run(cohort: Path, run: ExpressionRun) -> None:
    from varfx.expression.evaluate import evaluate

    gene = run.record["genes"][0]
    found = score_variants(run.path, VariantConfig(genes=(gene,)))
    assert np.isfinite(found.table["ism"].to_numpy()).all()
    names = {entry["model"] for entry in evaluate([run.path]).models}
    assert names == {"borzoi"}
    with pytest.raises(DataError, match="predicts coverage, and has none of gene ENSG1 in fold 0"):
        open_network(run, 0, "ENSG1")


def test_another_cohort_is_predicted_as_the_own(cohort: Path, run: ExpressionRun, tmp_path: Path) -> None:
    """The same individuals under other names, in another order, with every third variant's alleles exchanged."""
    home = open_cohort(cohort)
    other = as_other_cohort(home, tmp_path / "O", prefix="X", exchanged=range(0, home.variants.height, 3))
    found = predict_elsewhere(run.path, [other.path]).table.select("gene_id", "person", other="prediction")
    own = open_run(run.path).predictions.with_columns(person="X" + pl.col("person"))
    both = own.join(found, on=["gene_id", "person"], how="left")
    assert both["gene_id"].n_unique() == home.genes.height
    assert both["prediction"].std() > 1e-4
    np.testing.assert_allclose(both["other"], both["prediction"], rtol=1e-6, atol=1e-6)


def test_the_head_trains_first_and_then_everything(cohort: Path, stranded: Path) -> None:
    from varfx.expression.network.coverage import CohortCoverage, read_coverage

    home = open_cohort(cohort)
    genes = home.genes_train
    store = read_coverage(
        home, read_manifest(stranded, home.people), genes, window=512, bin_size=16, train=home.fold(0).train, exons=None,
        scale=None, clip=384.0,
    )  # fmt: skip
    data = CohortCoverage(home, genes, 0, store=store, window=512)
    network = CoverageNetwork(ExpressionNetworkConfig(**{**BORZOI.to_json(), "coverage_tracks": 2}))
    network.start_at(data.mean_target())
    x = data.encode(0, data.people(0, "train")[:2], torch.device("cpu"))
    torch.testing.assert_close(network(x)[0, 5], data.mean_target(), rtol=1e-5, atol=1e-5)
    assert float(
        np.mean([store.genes[g].values[home.fold(0).train].mean() for g in genes])
    ) * store.scale == pytest.approx(1)
    module = CoverageModule(network, data, TRAINING, CoverageLoss(frozen_epochs=1))
    first, later = module.order.epoch(0)[0], module.order.epoch(1)[0]
    module.gradients(first)
    assert all(parameter.grad is None for parameter in network.trunk.parameters())
    assert network.head.weight.grad is not None
    frozen = network.head.weight.grad.clone()
    assert frozen.abs().max() > 0
    with torch.no_grad():
        network.head.weight.normal_(generator=torch.Generator().manual_seed(0))
    network.zero_grad()
    loss = module.gradients(later)
    assert all(parameter.grad is not None for parameter in network.trunk.parameters())
    y = data.coverage(later.gene, later.rows)
    with torch.no_grad():
        whole = poisson_multinomial(network(data.encode(later.gene, later.rows, torch.device("cpu"))), y, 0.2)
    assert loss == pytest.approx(float(whole.mean()), rel=1e-4)
    weighted = CoverageModule(network, data, TRAINING, CoverageLoss(difference_weight=3.0)).gradients(later)
    totals = data.totals(later.gene, network)
    with torch.no_grad():
        error = totals(data.encode(later.gene, later.rows, torch.device("cpu"))) - totals.of_coverage(y)
    assert weighted - loss == pytest.approx(1.5 * float(error.square().mean()), rel=1e-3)
    rates = [group["lr"] for group in module.configure_optimizers().param_groups]
    assert rates == [1e-3, 1e-3]
    assert np.allclose(variation(np.array([[1.0, 0.0], [3.0, 0.0]])), [0.5, 0.0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: TargetConfig(target="coverage"), "`--target coverage` needs `--coverage`"),
        (lambda p: TargetConfig(exons=p), "`exons` is for `--target coverage`"),
        (
            lambda p: TargetConfig(target="coverage", coverage=p, clip_soft=0.5),
            "`clip-soft` must be at least 1, got 0.5",
        ),
        (lambda p: TargetConfig(target="counts"), "`target` must be scalar or coverage"),
        (
            lambda p: TargetConfig(target="coverage", coverage=p, difference_weight=-1.0),
            "`difference-weight` must not be negative, got -1.0",
        ),
        (
            lambda p: FitConfig(
                target=TargetConfig(target="coverage", coverage=p), training=ExpressionTrainConfig(max_shift=3)
            ),
            "`max-shift` is not for `--target coverage`",
        ),
    ],
)
def test_mistakes(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(Path("x"))


def test_exon_totals_of_new_individuals_are_recovered(tmp_path: Path) -> None:
    """One SNV explains half of a gene's coverage; `benchmarks/expr_borzoi.py` has the larger case."""
    case = motif_cohort(tmp_path, window=256, seed=1, people=200, num_variants=4, distance=-60, heritability=0.5)
    target = TargetConfig(
        target="coverage",
        coverage=write_coverage(tmp_path / "coverage", case.path, effect=0.5),
        exons=write_gtf(tmp_path / "genes.gtf", open_cohort(case.path)),
        total_weight=1.0,
    )
    sizes = ExpressionNetworkConfig(**{**BORZOI.to_json(), "window": 256, "num_downsamples": 5})
    training = ExpressionTrainConfig(epochs=14, learning_rate=3e-3, batch=8, micro_batch=8, max_gradient_norm=1.0)
    run = fit_network(case.path, tmp_path / "RUN", FitConfig(network=sizes, training=training, target=target))
    (scores,) = run.record["coverage"]
    assert scores["total_pcc"] > 0.5, scores
