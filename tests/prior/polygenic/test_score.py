"""Scores of individuals against a dense product, in every format, with swapped alleles, other strands and missing genotypes."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pgenlib
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy import ndarray
from scipy.stats import pearsonr
from sklearn.metrics import roc_auc_score

from cases.donors import write_vcf
from varfx.errors import ConfigError, DataError, FormatError, HarmonisationError
from varfx.prior.polygenic.config import ScoreConfig
from varfx.prior.polygenic.score import Scores, score, write_scores
from varfx.prior.polygenic.worth import auc_of, read_columns, read_phenotype, worth

PEOPLE, VARIANTS, FIRST = 40, 180, 120  # FIRST of them on chromosome 1
PAIRS = ["AG", "CT", "AC", "GT", "AT", "CG"]  # the last two are palindromes
FLIP = str.maketrans("ACGT", "TGCA")


def counts_of(seed: int = 0, missing: float = 0.05) -> ndarray:
    """Copies of each variant's first allele; -1 missing. Frequencies stay away from one half."""
    rng = np.random.default_rng(seed)
    p = np.where(rng.random(VARIANTS) < 0.5, 0.2, 0.8)
    counts = rng.binomial(2, p[:, None], (VARIANTS, PEOPLE)).astype(np.int8)
    counts[rng.random(counts.shape) < missing] = -1
    return counts


def sites() -> pl.DataFrame:
    pairs = [PAIRS[i % len(PAIRS)] for i in range(VARIANTS)]
    return pl.DataFrame(
        {
            "chrom": ["1"] * FIRST + ["22"] * (VARIANTS - FIRST),
            "position": [1000 * (i + 1) for i in range(VARIANTS)],
            "id": [f"rs{i}" for i in range(VARIANTS)],
            "first": [pair[0] for pair in pairs],
            "second": [pair[1] for pair in pairs],
        }
    )


def bed(prefix: Path, counts: ndarray, rows: slice = slice(None), order: list[int] | None = None) -> Path:
    """PLINK 1 files whose A1 is the counted allele."""
    chosen = list(range(PEOPLE)) if order is None else order
    code = np.where(counts < 0, 1, np.array([3, 2, 0], dtype=np.uint8)[counts.clip(0)])[rows][:, chosen]
    padded = np.zeros((len(code), -(-PEOPLE // 4) * 4), dtype=np.uint8)
    padded[:, :PEOPLE] = code
    four = padded.reshape(len(code), -1, 4)
    packed = four[:, :, 0] | four[:, :, 1] << 2 | four[:, :, 2] << 4 | four[:, :, 3] << 6
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + packed.astype(np.uint8).tobytes())
    table = sites()[rows]
    lines = [f"{c}\t{name}\t0\t{p}\t{a}\t{b}\n" for c, p, name, a, b in table.iter_rows()]
    prefix.with_suffix(".bim").write_text("".join(lines))
    prefix.with_suffix(".fam").write_text("".join(f"f{i} i{i} 0 0 0 -9\n" for i in chosen))
    return prefix.with_suffix(".bed")


def weights_table(seed: int = 1, scores: int = 1) -> pl.DataFrame:
    """Weights of every site's first allele, with frequencies."""
    rng = np.random.default_rng(seed)
    counts = counts_of(missing=0)
    table = sites().select(
        ID="id", A1="first", CHROM="chrom", POS="position", A2="second", A1_FREQ=pl.Series(counts.mean(1) / 2)
    )
    names = ["WEIGHT"] if scores == 1 else [f"WEIGHT.t{k}" for k in range(scores)]
    return table.with_columns(pl.Series(name, rng.standard_normal(VARIANTS)) for name in names)


def write(table: pl.DataFrame, path: Path) -> Path:
    table.write_csv(path, separator="\t")
    return path


def dense(counts: ndarray, weights: ndarray) -> ndarray:
    """The score as a plain product, missing genotypes at the mean."""
    known = counts >= 0
    mean = np.where(known, counts, 0).sum(1) / known.sum(1)
    return np.asarray(weights @ np.where(known, counts, mean[:, None]))


@pytest.mark.parametrize("form", ["bed", "pgen", "vcf", "several"])
def test_scores_are_the_dense_product_in_every_format(tmp_path: Path, form: str) -> None:
    counts, table = counts_of(), weights_table()
    paths: list[Path] = []
    if form == "bed":
        paths = [bed(tmp_path / "x", counts)]
    elif form == "several":  # a file per chromosome, by pattern, the second with its individuals in another order
        bed(tmp_path / "chr1", counts, slice(0, FIRST))
        bed(tmp_path / "chr22", counts, slice(FIRST, None), order=list(range(PEOPLE))[::-1])
        paths = [tmp_path / "chr@.bed"]
    elif form == "pgen":
        with pgenlib.PgenWriter(
            str(tmp_path / "x.pgen").encode(), PEOPLE, variant_ct=VARIANTS, nonref_flags=False
        ) as out:
            for row in np.where(counts < 0, -9, counts).astype(np.int8):
                out.append_biallelic(np.ascontiguousarray(row))
        lines = [f"{c}\t{p}\t{name}\t{b}\t{a}\n" for c, p, name, a, b in sites().iter_rows()]
        (tmp_path / "x.pvar").write_text("#CHROM\tPOS\tID\tREF\tALT\n" + "".join(lines))
        (tmp_path / "x.psam").write_text("#FID\tIID\n" + "".join(f"f{i}\ti{i}\n" for i in range(PEOPLE)))
        paths = [tmp_path / "x.pgen"]
    else:
        calls = {-1: "./.", 0: "0/0", 1: "0/1", 2: "1/1"}
        rows = [
            f"{c} {p} {name} {b} {a} GT " + " ".join(calls[int(k)] for k in row)
            for (c, p, name, a, b), row in zip(sites().iter_rows(), counts, strict=True)
        ]
        paths = [write_vcf(tmp_path / "x.vcf.gz", rows, [f"i{i}" for i in range(PEOPLE)], ("1", "22"))]
    found = score(write(table, tmp_path / "w.tsv"), paths)
    expected = dense(counts, table["WEIGHT"].to_numpy())
    np.testing.assert_allclose(found.total[0], expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.total[0], found.sums[0].sum(0), rtol=1e-12)
    assert (found.num_variants, found.chroms) == (VARIANTS, ("1", "22"))
    np.testing.assert_array_equal(found.called, (counts >= 0).sum(0))
    assert found.people["iid"].to_list() == [f"i{i}" for i in range(PEOPLE)]
    first = dense(counts[:FIRST], table["WEIGHT"].to_numpy()[:FIRST])
    np.testing.assert_allclose(found.sums[0, 0], first, rtol=1e-6, atol=1e-6)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.sampled_from(["as is", "swapped", "other strand", "both"]), min_size=VARIANTS, max_size=VARIANTS))
def test_another_spelling_of_a_variant_changes_the_score_by_a_constant(spellings: list[str]) -> None:
    """Swapping effect and other allele turns w x into -w (2 - x): the same up to a constant; strands change nothing."""
    table = weights_table()
    rows = []
    for row, how in zip(table.iter_rows(named=True), spellings, strict=True):
        if how in ("swapped", "both"):
            row |= {"A1": row["A2"], "A2": row["A1"], "A1_FREQ": 1 - row["A1_FREQ"], "WEIGHT": -row["WEIGHT"]}
        if how in ("other strand", "both"):
            row |= {"A1": row["A1"].translate(FLIP), "A2": row["A2"].translate(FLIP)}
        rows.append(row)
    plain, spelled = _SCORED(table), _SCORED(pl.DataFrame(rows))
    assert spelled.num_variants == plain.num_variants == VARIANTS
    difference = spelled.total[0] - plain.total[0]
    assert np.ptp(difference) < 1e-9


class _Scored:
    """Scores of one set of genotypes, made once."""

    folder: Path

    def __call__(self, table: pl.DataFrame, **options: object) -> Scores:
        return score(write(table, self.folder / "w.tsv"), self.folder / "x.bed", config=ScoreConfig(**options))  # type: ignore[arg-type]


_SCORED = _Scored()


@pytest.fixture(autouse=True, scope="module")
def genotypes(tmp_path_factory: pytest.TempPathFactory) -> None:
    _SCORED.folder = tmp_path_factory.mktemp("score")
    bed(_SCORED.folder / "x", counts_of())


def test_palindromes_follow_the_rule_of_harmonisation_and_every_variant_is_counted() -> None:
    table = weights_table()
    palindromes = sum(pair in ("AT", "CG") for pair in (PAIRS[i % 6] for i in range(VARIANTS)))
    dropped = _SCORED(table, palindromes="drop")
    assert dropped.num_variants == VARIANTS - palindromes
    assert dropped.ledger.counts["palindromic, dropped"] == palindromes
    without = table.drop("A1_FREQ")
    assert _SCORED(without).num_variants == VARIANTS - palindromes
    assert _SCORED(without, palindromes="keep").num_variants == VARIANTS
    other = table.with_columns(
        A1=pl.when(pl.int_range(pl.len()) < 5).then(pl.lit("ACGT")).otherwise("A1"),
        POS=pl.when(pl.int_range(pl.len()) == 7).then(pl.lit(999_999)).otherwise("POS"),
    )
    counts = _SCORED(other).ledger.counts
    assert counts["alleles do not match"] == 5
    assert counts["not in reference"] == 1
    assert counts["matched"] == VARIANTS - 6


def test_missing_genotypes_count_as_asked() -> None:
    counts, table = counts_of(), weights_table()
    w, known = table["WEIGHT"].to_numpy(), counts >= 0
    filled = np.where(known, counts, 2 * table["A1_FREQ"].to_numpy()[:, None])
    np.testing.assert_allclose(_SCORED(table, missing="weights").total[0], w @ filled, rtol=1e-10)
    np.testing.assert_allclose(_SCORED(table, missing="zero").total[0], w @ np.where(known, counts, 0), rtol=1e-10)
    missing = _SCORED(table).ledger.rows()[-1]
    assert missing["count"] == (~known).sum()
    assert missing["note"] == f"counted as the mean of the {PEOPLE} individuals"
    with pytest.raises(
        DataError, match=r"has no frequency \(A1_FREQ\) of 120 of 120 scored variants. Use --missing sample"
    ):
        _SCORED(table.drop("A1_FREQ"), missing="weights")
    with pytest.raises(ConfigError, match="`--missing` must be sample, weights or zero"):
        ScoreConfig(missing="mean")  # type: ignore[arg-type]


def test_by_identifier_without_positions_and_several_scores(tmp_path: Path) -> None:
    table = weights_table(scores=2)
    found = _SCORED(table)
    assert found.names == ("SCORE.t0", "SCORE.t1")
    for k in range(2):
        np.testing.assert_allclose(found.total[k], dense(counts_of(), table[f"WEIGHT.t{k}"].to_numpy()), rtol=1e-10)
    np.testing.assert_allclose(_SCORED(table.drop("POS", "CHROM")).total, found.total, rtol=1e-10)


def test_the_file_has_the_columns_of_plink(tmp_path: Path) -> None:
    found = _SCORED(weights_table())
    write_scores(found, tmp_path / "s.tsv")
    write_scores(found, tmp_path / "s.tsv.gz")
    assert gzip.decompress((tmp_path / "s.tsv.gz").read_bytes()) == (tmp_path / "s.tsv").read_bytes()
    stored = pl.read_csv(tmp_path / "s.tsv", separator="\t")
    columns = "#FID IID ALLELE_CT NAMED_ALLELE_DOSAGE_SUM SCORE_AVG SCORE_SUM SCORE_SUM_CHR1 SCORE_SUM_CHR22"
    assert stored.columns == columns.split()
    np.testing.assert_allclose(stored["SCORE_SUM_CHR1"] + stored["SCORE_SUM_CHR22"], stored["SCORE_SUM"])
    np.testing.assert_allclose(stored["SCORE_AVG"] * 2 * VARIANTS, stored["SCORE_SUM"])
    assert stored["ALLELE_CT"].to_list() == (2 * (counts_of() >= 0).sum(0)).tolist()


def test_a_pgs_catalog_file_is_read(tmp_path: Path) -> None:
    table = weights_table()
    names = {"ID": "rsID", "CHROM": "chr_name", "POS": "chr_position", "A1": "effect_allele", "A2": "other_allele"}
    body = table.rename({**names, "WEIGHT": "effect_weight", "A1_FREQ": "allelefrequency_effect"})
    (tmp_path / "p.txt").write_text(
        "###PGS CATALOG SCORING FILE\n#format_version=2.0\n" + body.write_csv(separator="\t")
    )
    found = score(tmp_path / "p.txt", _SCORED.folder / "x.bed")
    np.testing.assert_allclose(found.total[0], _SCORED(table).total[0], rtol=1e-12)


def test_dosages_of_a_vcf_count_before_calls_and_haploid_calls_twice(tmp_path: Path) -> None:
    table = weights_table()[:2]
    (a, b), (c, d) = (row[3:5] for row in sites()[:2].iter_rows())
    people = [f"i{i}" for i in range(4)]
    rows = [
        f"1 1000 rs0 {b} {a} GT:DS 0/1:0.7 0/0:. ./.:1.5 1/1:2",
        f"1 2000 rs1 {d} {c} GT 0/1 1 ./. 0",
    ]
    found = score(
        write(table, tmp_path / "w.tsv"),
        write_vcf(tmp_path / "x.vcf.gz", rows, people, ("1",)),
        config=ScoreConfig(palindromes="keep", missing="zero"),
    )
    w = table["WEIGHT"].to_numpy()
    np.testing.assert_allclose(found.total[0], w @ np.array([[0.7, 0, 1.5, 2], [1, 2, 0, 0]]), rtol=1e-6)
    assert found.called.tolist() == [2, 2, 1, 2]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda t: t.with_columns(POS=pl.col("POS") + 500, ID=pl.lit("x")), DataError, "none of the 180 variants of the weights is among the 180"),
        (lambda t: t.drop("A2"), FormatError, "needs the columns WEIGHT, A1, A2, and CHROM with POS, or ID"),
        (lambda t: t.with_columns(WEIGHT=pl.lit("x")), DataError, "the weight `SCORE` is no number in 180 of 180 rows"),
        (lambda t: t.with_columns(A1_FREQ=1 - pl.col("A1_FREQ")), HarmonisationError, "effect and other allele, or the allele that eaf"),
        (lambda t: t.with_columns(A1=pl.lit("-")), DataError, "alleles are missing or outside ACGT in 180 of 180 rows"),
        (lambda t: t.with_columns(BP="POS"), FormatError, "may both be the position"),
    ],
)  # fmt: skip
def test_wrong_weights(change: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        _SCORED(change(weights_table()))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no genotypes are given"),
        (["x.bed", "x.bed"], "is given twice"),
        (["x.txt"], "is no file of genotypes that varfx knows"),
    ],
)
def test_wrong_genotypes(names: list[str], message: str) -> None:
    weights = write(weights_table(), _SCORED.folder / "w.tsv")
    with pytest.raises(ConfigError, match=message):
        score(weights, [_SCORED.folder / name for name in names])


# ---- worth ---------------------------------------------------------------------------------------------------------


def test_r2_is_that_of_a_regression_and_its_interval_covers() -> None:
    rng = np.random.default_rng(0)
    covers = 0
    for _ in range(300):
        x = rng.standard_normal(200)
        y = 0.3 * x + np.sqrt(1 - 0.09) * rng.standard_normal(200)
        found = worth("SCORE", x, "y", y)
        covers += found.r2_ci95[0] <= 0.09 <= found.r2_ci95[1]
    assert found.r2 == pytest.approx(pearsonr(x, y)[0] ** 2)
    assert found.auc is None
    assert 0.91 < covers / 300 < 0.985


def test_covariates_are_taken_out() -> None:
    rng = np.random.default_rng(1)
    n = 500
    Z = rng.standard_normal((n, 2))
    x = rng.standard_normal(n) + Z[:, 0]
    y = 0.4 * x + Z @ [1.0, 2.0] + rng.standard_normal(n)
    y[3], Z[7, 1] = np.nan, np.nan
    known = np.isfinite(y) & np.isfinite(Z).all(1)
    found = worth("SCORE", x, "y", y, Z)

    def explained(*columns: ndarray) -> float:
        design = np.column_stack([np.ones(known.sum()), *(each[known] for each in columns)])
        rest = y[known] - design @ np.linalg.lstsq(design, y[known], rcond=None)[0]
        return float(1 - rest.var() / y[known].var())

    assert (found.n, found.r2_covariates) == (n - 2, pytest.approx(explained(Z)))
    assert found.r2 == pytest.approx(explained(Z, x) - explained(Z), rel=1e-9)


def test_auc_is_that_of_scikit_learn_and_its_interval_covers() -> None:
    rng = np.random.default_rng(2)
    case = rng.random(400) < 0.3
    x = np.round(rng.standard_normal(400) + 0.8 * case, 1)  # ties
    auc, (low, high) = auc_of(x, case)
    assert auc == pytest.approx(roc_auc_score(case, x))
    assert low < auc < high
    covers = 0
    for _ in range(300):
        x = rng.standard_normal(400) + 0.8 * case
        _, (low, high) = auc_of(x, case)
        covers += low <= 0.7141962 <= high  # Phi(0.8 / sqrt 2)
    assert 0.91 < covers / 300 < 0.985


def phenotype(folder: Path, values: list[object], name: str = "y") -> Path:
    path = folder / "p.tsv"
    path.write_text(f"FID\tIID\t{name}\n" + "".join(f"f{i}\ti{i}\t{value}\n" for i, value in enumerate(values)))
    return path


def test_phenotypes_are_read_by_individual(tmp_path: Path) -> None:
    people = pl.DataFrame({"fid": ["f"] * 4, "iid": ["i2", "i0", "i9", "i1"]})
    name, y = read_phenotype(phenotype(tmp_path, [1.5, "NA", 2.5]), people)
    assert name == "y"
    np.testing.assert_array_equal(y, [1.0, 0.0, np.nan, np.nan])  # two values: controls and cases
    _, y = read_phenotype(phenotype(tmp_path, [1, 2, 2]), people)
    np.testing.assert_array_equal(y, [1.0, 0.0, np.nan, 1.0])
    _, y = read_phenotype(phenotype(tmp_path, [1.5, 3, 2.5]), people)
    np.testing.assert_array_equal(y, [2.5, 1.5, np.nan, 3.0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, 2, -9], "is -9 in . of .* rows, which PLINK takes for missing. Write NA"),
        ([0, 1, 2], "of which 0 may mean missing"),
        ([1, 1, 1], "has 1 different values"),
        ([1, "high", 2], "is no number in 1 of 3 rows, first row 2"),
    ],
)
def test_phenotypes_that_can_be_read_in_two_ways_are_refused(
    tmp_path: Path, values: list[object], message: str
) -> None:
    people = pl.DataFrame({"fid": ["f"] * 3, "iid": ["i0", "i1", "i2"]})
    with pytest.raises(DataError, match=message):
        read_phenotype(phenotype(tmp_path, values), people)


def test_columns_of_others_are_refused(tmp_path: Path) -> None:
    people = pl.DataFrame({"fid": ["f"], "iid": ["nobody"]})
    with pytest.raises(DataError, match="none of its 2 individuals has genotypes"):
        read_columns(phenotype(tmp_path, [1, 2]), people)
    with pytest.raises(DataError, match="has no column `z`"):
        read_columns(phenotype(tmp_path, [1, 2]), people, "z")
    with pytest.raises(DataError, match="at least 10 are needed"):
        worth("s", np.arange(5.0), "y", np.arange(5.0) ** 2)
    with pytest.raises(DataError, match=r"score `s` does not vary between the 50 individuals\. Check"):
        worth("s", np.ones(50), "y", np.arange(50.0))


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        ([-9, 0.3, 1.2, -9, 0.4], True),  # twice the same number of a quantitative phenotype
        ([-9, 0.3, 1.2, 0.1, 0.4], True),  # below all others
        ([-9, -12.5, 1.2, 0.1, 0.4], False),  # within the range of the others
    ],
)
def test_minus_nine_among_numbers_is_asked_about(tmp_path: Path, values: list[float], refused: bool) -> None:
    """PLINK takes it for missing, in phenotypes and covariates."""
    people = pl.DataFrame({"fid": ["f"] * 5, "iid": [f"i{i}" for i in range(5)]})
    path = phenotype(tmp_path, list(values))
    if refused:
        for read in (read_phenotype, read_columns):
            with pytest.raises(DataError, match=r"`y` is -9 in . of 5 rows, which PLINK takes for missing. Write NA"):
                read(path, people)
    else:
        assert read_phenotype(path, people)[1].tolist() == values


def test_a_covariate_that_is_the_phenotype_is_named() -> None:
    y = np.random.default_rng(1).standard_normal(50)
    with pytest.raises(DataError, match="phenotype `y` does not vary between the 50 individuals beside the covariates"):
        worth("s", np.arange(50.0), "y", y, y[:, None])


def test_individuals_of_one_name_are_refused(tmp_path: Path) -> None:
    path = bed(tmp_path / "x", counts_of())
    fam = path.with_suffix(".fam")
    lines = fam.read_text().splitlines()
    fam.write_text("\n".join([lines[1], *lines[1:]]) + "\n")
    weights = write(weights_table(), tmp_path / "w.tsv")
    with pytest.raises(DataError, match=rf"1 of {PEOPLE} individuals have the name \(FID and IID\) of another one"):
        score(weights, path)
    fam.write_text("\n".join([lines[1].replace("f1", "other"), *lines[1:]]) + "\n")
    people = score(weights, path).people
    with pytest.raises(DataError, match="1 individuals with genotypes have the IID of another one"):
        read_columns(phenotype(tmp_path, list(range(PEOPLE))), people)


def test_weights_of_another_build_are_refused_though_some_positions_match(tmp_path: Path) -> None:
    """The overlap is judged by all sites of the genotypes, not only by those at places of the weights."""
    path = bed(tmp_path / "x", counts_of())
    moved = weights_table().with_columns(
        POS=pl.when(pl.int_range(pl.len()) % 10 == 0).then("POS").otherwise(pl.col("POS") + 7),
        ID=pl.lit("x") + pl.col("ID"),
    )
    with pytest.raises(
        HarmonisationError, match=r"only \d+ of the .* variants .* at least 20% is needed, --min-overlap"
    ):
        score(write(moved, tmp_path / "w.tsv"), path)


def test_a_score_of_few_of_its_weights_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = bed(tmp_path / "x", counts_of(), slice(0, 12))
    score(write(weights_table(), tmp_path / "w.tsv"), path)
    assert "the score lacks the others" in caplog.text
