"""Networks of sequences with indels predict another cohort's individuals as they do their own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cases.cohort import small_cohort
from cases.indels import files
from cases.transfer import as_other_cohort
from cases.variants import network_run, random_network
from varfx.errors import ConfigError, DataError
from varfx.expression.cohort.store import Cohort, open_cohort
from varfx.expression.evaluate import evaluate
from varfx.expression.run import open_run
from varfx.expression.transfer.config import TransferConfig
from varfx.expression.transfer.indels import joined
from varfx.expression.transfer.predict import predict_elsewhere, write_predictions
from varfx.genotypes.donors import DonorVariants


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("indels")
    return open_cohort(
        small_cohort(folder, window=128, people=24, genes=2, missing=0.1, heldout_fraction=0, phased=True)
    )


def a_run(home: Cohort, name: str, *, phased: bool, read_as: bool) -> Path:
    model = random_network(window=128)
    return network_run(
        home.path.parent / name, home, model, indels=files(home, indels=True, phased=read_as), phased=phased
    )


def assert_equal(run: Path, table: pl.DataFrame, prefix: str) -> None:
    own = open_run(run).predictions.with_columns(person=pl.lit(prefix) + pl.col("person"))
    both = own.join(table.select("gene_id", "person", other="prediction"), on=["gene_id", "person"], how="left")
    assert both.height
    assert both["other"].null_count() == 0
    np.testing.assert_allclose(both["other"], both["prediction"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("phased", "read_as"), [(False, False), (False, True), (True, True)])
def test_the_same_individuals_have_the_same_predictions(home: Cohort, phased: bool, read_as: bool) -> None:
    """Other names, another order, a part of the individuals, exchanged alleles of substitutions; files, and a cohort with files."""
    run = a_run(home, f"R{phased}{read_as}", phased=phased, read_as=read_as)
    rows = np.random.default_rng(1).permutation(24)
    prefix = f"X{phased}{read_as}"
    genotypes, _ = files(home, indels=True, rows=rows, prefix=prefix, phased=read_as, exchanged=True)
    found = predict_elsewhere(run, genotypes)
    assert_equal(run, found.table, prefix)
    assert found.people == tuple(f"{prefix}{home.people[row]}" for row in rows)
    counts = found.ledger.counts
    assert counts["indels found"] == 4
    assert counts["indels absent, counted as not carried"] == counts["indels only in the other genotypes"] == 0
    plain = network_run(home.path.parent / f"P{phased}{read_as}", home, random_network(window=128), phased=phased)
    difference = open_run(plain).predictions["prediction"] - open_run(run).predictions["prediction"]
    assert difference.abs().max() > 1e-3


def test_a_cohort_with_the_files_of_its_individuals(home: Cohort, tmp_path: Path) -> None:
    run = a_run(home, "C", phased=False, read_as=False)
    other = as_other_cohort(home, tmp_path / "O", prefix="O")
    genotypes, _ = files(home, indels=True, rows=range(24), prefix="O")
    config = TransferConfig(indels=genotypes)
    found = predict_elsewhere(run, [other.path], config)
    assert_equal(run, found.table, "O")
    write_predictions(found, tmp_path / "P.parquet", run=run, others=[other.path], config=config)
    judged = evaluate([run], cohort=other.path, transfer=config)
    assert judged.models[0]["genes"] == 2
    with pytest.raises(ConfigError, match=r"which the cohort `.*O` does not keep\. Name the genotype files"):
        predict_elsewhere(run, [other.path])
    lost = dataclasses.replace(config, reference=tmp_path / "no.fa")
    with pytest.raises(
        DataError, match=r"no\.fa`, the genome that `.*` was fitted with, is not there. Say .* --reference"
    ):
        predict_elsewhere(run, [other.path], lost)
    with pytest.raises(ConfigError, match="`indels` belongs to --cohort OTHER"):
        evaluate([run], transfer=config)
    plain = network_run(tmp_path / "PLAIN", home, random_network(window=128))
    with pytest.raises(ConfigError, match="`indels` is for networks of `varfx expr fit --indels`"):
        predict_elsewhere(plain, [other.path], config)


def test_phase_that_only_the_run_has(home: Cohort) -> None:
    run = a_run(home, "H", phased=False, read_as=True)
    genotypes, _ = files(home, indels=True, rows=range(24), prefix="U")
    found = predict_elsewhere(run, genotypes)
    assert "2 of 2 genes: the other genotypes are not phased" in " ".join(found.notes)
    both = a_run(home, "B", phased=True, read_as=True)
    with pytest.raises(DataError, match=r"the other genotypes around .* have no phase"):
        predict_elsewhere(both, genotypes)


def test_variants_of_either_side() -> None:
    """The union in genome order; what one side lacks is missing there, or no copy."""

    def read(rows: list[tuple[int, str, str]], calls: list[list[int]]) -> DonorVariants:
        variants = pl.DataFrame(rows, schema=["position", "other_allele", "effect_allele"], orient="row").select(
            pl.lit("1").alias("chrom"), "position", pl.lit("v").alias("variant_id"), "effect_allele", "other_allele"
        )
        return DonorVariants(variants=variants, dosages=np.array(calls, np.int8), haplotypes=None, ledger={})

    home = read([(5, "A", "C"), (9, "AT", "A")], [[0, 1, 2], [1, -1, 0]])
    others = read([(5, "A", "G"), (9, "AT", "A"), (9, "A", "AT")], [[2, 0], [1, 1], [0, 2]])
    for absent, gap in (("mean", -1), ("reference", 0)):
        found = joined(home, others, np.array([2, 0]), absent)
        assert found.variants.select("position", "effect_allele", "other_allele").rows() == [
            (5, "C", "A"), (5, "G", "A"), (9, "A", "AT"), (9, "AT", "A"),
        ]  # fmt: skip
        assert found.dosages.tolist() == [[2, 0, gap, gap], [-1, -1, 2, 0], [0, 1, 1, 1], [-1, -1, 0, 2]]
