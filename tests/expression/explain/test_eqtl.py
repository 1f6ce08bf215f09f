"""Fine-mapped eQTLs: accuracies are scikit-learn's and half for scores without meaning; files of the eQTL Catalogue are read."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from cases.scored import scored_variants
from varfx.errors import DataError, FormatError
from varfx.expression.explain.config import ExplainConfig
from varfx.expression.explain.eqtl import _areas, evaluate_eqtls, read_fine_mapping

CONFIG = ExplainConfig(samples=50)


def fine_mapped(table: pl.DataFrame, causal: np.ndarray, beta: np.ndarray, *, swap: bool = False) -> pl.DataFrame:
    """Causal variants with pip 0.95, the next one of each gene with 0.5."""
    second = np.roll(causal, 1) & ~causal
    pip = np.where(causal, 0.95, np.where(second, 0.5, 0.001))
    made = table.select(
        gene="gene_id", chrom="chrom", position="position", effect_allele="effect_allele", other_allele="other_allele"
    ).with_columns(pip=pl.Series(pip), beta=pl.Series(beta))
    made = made.filter(pl.Series(causal | second | (np.arange(table.height) % 3 == 0)))
    if swap:
        made = made.with_columns(effect_allele="other_allele", other_allele="effect_allele", beta=-pl.col("beta"))
    return made


def causal_of(table: pl.DataFrame, rng: np.random.Generator) -> np.ndarray:
    rows = [rng.choice(part) for part in np.array_split(np.arange(table.height), table["gene_id"].n_unique())]
    return np.isin(np.arange(table.height), rows)


@pytest.mark.parametrize("swap", [False, True])
def test_scores_that_mean_something(swap: bool) -> None:
    rng = np.random.default_rng(0)
    table = scored_variants(rng, genes=80, near=False)
    causal = causal_of(table, rng)
    beta = rng.standard_normal(table.height)
    weight = np.where(causal, 0.7 * beta + 0.5 * rng.standard_normal(table.height), table["weight"] * 0.5)
    table = table.with_columns(weight=pl.Series(weight))
    found = evaluate_eqtls(table, fine_mapped(table, causal, beta, swap=swap), CONFIG)
    record, pairs = found.record, found.pairs
    assert record["positives_in_file"] == record["positives_scored"] == 80
    assert pairs.height == record["pairs"] == 80 - record["positives_without_control"]
    case, control = np.abs(pairs["weight"].to_numpy()), np.abs(pairs["control_weight"].to_numpy())
    assert record["pairwise_accuracy"] == pytest.approx((case > control).mean())
    assert record["pairwise_accuracy"] > 0.6
    assert record["pairwise_se"] == pytest.approx((case > control).std(ddof=1) / pairs.height**0.5)
    label, value = np.repeat([1, 0], pairs.height), np.concatenate([case, control])
    assert record["auroc"] == pytest.approx(roc_auc_score(label, value))
    assert record["auprc"] == pytest.approx(average_precision_score(label, value))
    assert record["auroc_ci95"][0] < record["auroc"] < record["auroc_ci95"][1]
    known = causal & (weight != 0)
    assert record["sign_accuracy"] == pytest.approx((np.sign(weight[known]) == np.sign(beta[known])).mean())
    assert record["sign_accuracy"] > 0.7
    assert pairs["pip"].min() > 0.9
    assert (pairs["control_pip"].fill_null(0) < 0.01).all()
    assert record["prevalence_unmatched"] < 0.05
    assert record["balance"]["distance_ks_p"] > 0.05


def test_scores_that_mean_nothing() -> None:
    """Also where scores are larger near the TSS: pairs stand at like distances. Over 40 sets of eQTLs."""
    rng = np.random.default_rng(1)
    z, signs = [], []
    for _ in range(40):
        table = scored_variants(rng, genes=40)
        causal = rng.random(table.height) < 0.02 * np.exp(-np.abs(table["tss_distance"].to_numpy()) / 5_000)
        found = evaluate_eqtls(table, fine_mapped(table, causal, rng.standard_normal(table.height)), CONFIG).record
        z.append((found["pairwise_accuracy"] - 0.5) / found["pairwise_se"])
        signs.append(found["sign_accuracy"])
    assert abs(np.mean(z)) < 4 / 40**0.5
    assert 0.6 < np.std(z) < 1.5
    assert abs(np.mean(signs) - 0.5) < 4 * np.std(signs) / 40**0.5


def test_files_of_the_eqtl_catalogue(tmp_path: Path) -> None:
    header = "molecular_trait_id\tgene_id\tcs_id\tvariant\trsid\tcs_size\tpip\tpvalue\tbeta\tse\tz\tcs_min_r2\tregion"
    rows = ["ENSG1_probe\tENSG00000000001.5\tL1\tchr22_1000_A_G\trs1\t1\t0.99\t1e-9\t-0.5\t0.1\t-5\t1\tx"]
    path = tmp_path / "cs.tsv.gz"
    path.write_bytes(gzip.compress("\n".join([header, *rows, ""]).encode()))
    row = read_fine_mapping(path).row(0, named=True)
    assert row == {
        "gene": "ENSG00000000001", "chrom": "22", "position": 1000, "effect_allele": "G", "other_allele": "A", "pip": 0.99,
        "beta": -0.5,
    }  # fmt: skip
    plain = tmp_path / "plain.tsv"
    plain.write_text("gene_id chrom position ref alt pip\nENSG2 chr1 5 c T 1\n")
    assert read_fine_mapping(plain).row(0)[:6] == ("ENSG2", "1", 5, "T", "C", 1.0)
    for text, message in (
        ("gene_id variant\nENSG2 1_5_A_C\n", "lacks the column pip"),
        ("gene_id variant pip\nENSG2 1_5_A_C 2\n", "pip is no probability"),
        ("gene_id variant pip\nENSG2 rs1 0.5\n", "is not chrom_position_ref_alt"),
    ):
        plain.write_text(text)
        with pytest.raises((FormatError, DataError), match=message):
            read_fine_mapping(plain)


def test_nothing_scored() -> None:
    table = scored_variants(np.random.default_rng(0), genes=3)
    fine = fine_mapped(table, np.arange(table.height) == 5, np.ones(table.height)).with_columns(gene=pl.lit("other"))
    with pytest.raises(DataError, match=r"none of the 1 variants with pip above 0.9 is scored"):
        evaluate_eqtls(table, fine, CONFIG)


def test_areas_of_resampled_pairs(rng: np.random.Generator) -> None:
    case, control = rng.standard_normal(30).round(1) + 0.5, rng.standard_normal(30).round(1)
    counts = rng.integers(0, 3, (4, 30)).astype(float)
    for area, weight in zip(_areas(case, control, counts), counts, strict=True):
        label, value = np.repeat([1, 0], 30), np.concatenate([case, control])
        assert area == pytest.approx(roc_auc_score(label, value, sample_weight=np.tile(weight, 2)))


def test_places_beside_packed_variants_are_those_of_the_variants(tmp_path: Path) -> None:
    path = tmp_path / "lbf.tsv"
    path.write_text("gene_id\tvariant\tchromosome\tposition\tpip\nENSG1.2\tchr1_100_A_G\t1\t100\t0.9\n")
    assert read_fine_mapping(path).rows() == [("ENSG1", "1", 100, "G", "A", 0.9, None)]
