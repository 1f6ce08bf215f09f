"""LD score regression against the digits that the `ldsc` program prints (tests/golden/ldsc), and its own laws."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest

from varfx.annotations.ld_scores import LDScores, join_sumstats, read_ld_scores
from varfx.annotations.ldsc_overlap import AnnotationOverlap, read_overlap
from varfx.errors import ConfigError, DataError
from varfx.gwas import sumstats as sumstats_module
from varfx.gwas.sumstats import SumStats
from varfx.prior.ldsc import LDSCResult, ld_score_regression, regress_chi2
from varfx.prior.ldsc_config import LDSCConfig
from varfx.prior.ldsc_rg import ldsc_correlation

GOLDEN = Path(__file__).parents[1] / "golden" / "ldsc"


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ldsc_make_golden", GOLDEN / "make_golden.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks itself up there
    spec.loader.exec_module(module)
    return module


make_golden = load_generator()


def read_ldsc_sumstats(path: Path) -> SumStats:
    raw = pl.read_csv(path, separator="\t", schema_overrides={"N": pl.Float64})
    names = {"SNP": "variant_id", "A1": "effect_allele", "A2": "other_allele", "Z": "z", "N": "n"}
    unknown = {name: dtype for name, dtype in sumstats_module.SCHEMA.items() if name not in names.values()}
    table = raw.rename(names).with_columns([pl.lit(None, dtype).alias(name) for name, dtype in unknown.items()])
    return SumStats(table=table.select(*sumstats_module.SCHEMA), trait=path.stem)


def options_of(command: str) -> tuple[dict[str, Any], bool, float | None]:
    """Our arguments, whether M counts all frequencies, and M where given, of a command line of `ldsc`."""
    words = command.split()
    value = {word: words[place + 1] for place, word in enumerate(words[:-1]) if word.startswith("--")}
    options: dict[str, Any] = {}
    for flag, name in (("--two-step", "two_step"), ("--intercept-h2", "intercept"), ("--chisq-max", "chi2_max")):
        if flag in value:
            options[name] = float(value[flag])
    if "--no-intercept" in words:
        options["intercept"] = 1.0
    if "--n-blocks" in value:
        options["num_blocks"] = int(value["--n-blocks"])
    return options, "--not-M-5-50" in words, float(value["--M"]) if "--M" in value else None


def printed(value: float, pattern: str = "%.4f") -> float:
    return float(pattern % value)


def check_digits(result: LDSCResult, golden: dict[str, Any], num_variants: np.ndarray) -> None:
    for key in ("h2", "h2_se", "lambda_gc", "mean_chi2"):
        assert printed(getattr(result, key)) == float(golden[key]), key
    if golden["intercept"].startswith("constrained to"):
        assert result.intercept == float(golden["intercept"].split()[-1])
        assert result.intercept_se is None
        assert result.ratio is None
    else:
        assert printed(result.intercept) == float(golden["intercept"])
        assert result.intercept_se is not None
        assert printed(result.intercept_se) == float(golden["intercept_se"])
        check_ratio(result, golden)
    assert result.n_variants == int(golden["merged"]) - int(golden.get("filtered", 0))
    assert result.two_step == (float(golden["two_step"]) if "two_step" in golden else None)
    deleted = result.jackknife.delete_values[:, : num_variants.size] @ num_variants
    assert deleted.size == result.num_blocks == golden["delete_values"]["blocks"]
    np.testing.assert_allclose(deleted[0], float(golden["delete_values"]["first"]), rtol=1e-10)
    np.testing.assert_allclose(deleted[-1], float(golden["delete_values"]["last"]), rtol=1e-10)


def check_ratio(result: LDSCResult, golden: dict[str, Any]) -> None:
    if golden["ratio"] == "NA":  # a mean chi2 below 1
        assert result.ratio is None
        assert result.ratio_se is None
    elif golden["ratio"] == "< 0":
        assert result.ratio is not None
        assert result.ratio < 0
    else:
        assert result.ratio is not None
        assert result.ratio_se is not None
        assert printed(result.ratio) == float(golden["ratio"])
        assert printed(result.ratio_se) == float(golden["ratio_se"])


@pytest.fixture(scope="session")
def panel_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ldsc")
    make_golden.write_panel(folder)
    for name, trait in make_golden.TRAITS.items():
        make_golden.write_sumstats(trait, folder / f"{name}.sumstats")
    return folder


SIMULATED = json.loads((GOLDEN / "simulated.json").read_text())


def run_simulated(case: str, folder: Path, **changes: Any) -> tuple[LDSCResult, np.ndarray]:
    trait, size, _ = make_golden.CASES[case]
    options, all_frequencies, num_variants = options_of(SIMULATED[case]["command"])
    reference = read_ld_scores(folder / ("one" if size == 1 else "three"), all_frequencies=all_frequencies)
    assert reference.counts is not None
    counts = reference.counts if num_variants is None else np.array([num_variants])
    if "--overlap-annot" in SIMULATED[case]["command"]:
        frequencies = None if all_frequencies else folder / "three"
        changes["overlap"] = read_overlap(folder / "three", reference, frequencies=frequencies)
    result = ld_score_regression(
        read_ldsc_sumstats(folder / f"{trait}.sumstats"),
        reference,
        read_ld_scores(folder / "w"),
        counts,
        config=LDSCConfig(**options),
        **changes,
    )
    return result, counts


def test_golden_cases_are_those_of_the_generator() -> None:
    assert list(SIMULATED) == list(make_golden.CASES)


@pytest.mark.parametrize("case", [name for name in SIMULATED if name != "fewer_than_blocks"])
def test_digits_of_ldsc(case: str, panel_folder: Path) -> None:
    result, counts = run_simulated(case, panel_folder)
    check_digits(result, SIMULATED[case], counts)


@pytest.mark.parametrize("case", [name for name in SIMULATED if "Categories" in SIMULATED[name]])
def test_digits_of_ldsc_per_annotation(case: str, panel_folder: Path) -> None:
    result, _ = run_simulated(case, panel_folder)
    columns = {
        "Observed scale h2": ("h2", "%.4f"),
        "Observed scale h2 SE": ("h2_se", "%.4f"),
        "Proportion of SNPs": ("proportion_variants", "%.4f"),
        "Proportion of h2g": ("proportion_h2", "%.4f"),
        "Enrichment": ("enrichment", "%.4f"),
        "Coefficients": ("coefficient", "%.4e"),
        "Coefficient SE": ("coefficient_se", "%.4e"),
    }
    compared = 0
    for label, (attribute, pattern) in columns.items():
        if label in SIMULATED[case]:
            ours = [printed(getattr(annotation, attribute), pattern) for annotation in result.annotations]
            assert ours == [float(text) for text in SIMULATED[case][label]], label
            compared += 1
    assert compared == (0 if "overlap" in case else 7)


@pytest.mark.parametrize("case", ["three_overlap", "three_overlap_all"])
def test_full_precision_of_ldsc_with_overlapping_annotations(case: str, panel_folder: Path) -> None:
    result, _ = run_simulated(case, panel_folder)
    columns = {
        "Prop._SNPs": "proportion_variants",
        "Prop._h2": "proportion_h2",
        "Prop._h2_std_error": "proportion_h2_se",
        "Enrichment": "enrichment",
        "Enrichment_std_error": "enrichment_se",
        "Enrichment_p": "enrichment_p",
        "Coefficient": "coefficient",
        "Coefficient_std_error": "coefficient_se",
    }
    rows = SIMULATED[case]["results"]
    assert [row["Category"] for row in rows] == [f"{each.name}L2_0" for each in result.annotations]
    for row, annotation in zip(rows, result.annotations, strict=True):
        for theirs, ours in columns.items():
            np.testing.assert_allclose(getattr(annotation, ours), float(row[theirs]), rtol=1e-8, err_msg=theirs)


def test_fewer_variants_than_blocks(panel_folder: Path) -> None:
    with pytest.raises(DataError, match=r"only 147 of 170 variants of `fewer_than_blocks` .* \(by rsID\), where 200"):
        run_simulated("fewer_than_blocks", panel_folder)


def test_digits_of_ldsc_with_as_many_blocks_as_variants(panel_folder: Path) -> None:
    one, weights = read_ld_scores(panel_folder / "one"), read_ld_scores(panel_folder / "w")
    joined = join_sumstats(read_ldsc_sumstats(panel_folder / "fewer_than_blocks.sumstats"), one, weights)
    assert one.counts is not None
    arrays = (joined.chi2, joined.n, joined.ref_ld, joined.weight_ld, one.counts)
    result = regress_chi2(*arrays, names=one.names, config=LDSCConfig(num_blocks=147))
    check_digits(result, SIMULATED["fewer_than_blocks"], one.counts)


@pytest.fixture(scope="session")
def european_scores(shared_data: Path) -> LDScores:
    return read_ld_scores(shared_data / "ldscores" / "eur_w_ld_chr")


@pytest.mark.shared_data
def test_digits_of_ldsc_on_height(shared_data: Path, tmp_path: Path, european_scores: LDScores) -> None:
    make_golden.write_bolt(shared_data / "gwas" / "polypred" / "bolt.sumstats.txt.gz", tmp_path / "height.sumstats")
    trait = read_ldsc_sumstats(tmp_path / "height.sumstats")
    scores = european_scores
    assert scores.counts is not None
    golden = json.loads((GOLDEN / "height.json").read_text())
    assert len(golden) == 3
    for case in golden.values():
        options, _, _ = options_of(case["command"])
        check_digits(ld_score_regression(trait, scores, scores, config=LDSCConfig(**options)), case, scores.counts)


@pytest.mark.shared_data
@pytest.mark.parametrize("case", list(make_golden.EUR_CASES))
def test_digits_of_ldsc_on_european_ld_scores(tmp_path: Path, european_scores: LDScores, case: str) -> None:
    scores = european_scores
    make_golden.write_eur_sumstats(
        make_golden.EUR_CASES[case][0],
        scores.table["variant_id"].to_numpy(),
        scores.table["L2"].to_numpy(),
        tmp_path / "eur.sumstats",
    )
    assert scores.counts is not None
    golden = json.loads((GOLDEN / "eur_simulated.json").read_text())[case]
    options, _, _ = options_of(golden["command"])
    result = ld_score_regression(
        read_ldsc_sumstats(tmp_path / "eur.sumstats"), scores, scores, config=LDSCConfig(**options)
    )
    check_digits(result, golden, scores.counts)
    assert any("variants are few" in note for note in result.notes) == (case == "few")


def simulate(rng: np.random.Generator, size: int = 6000) -> dict[str, Any]:
    ld_score = np.exp(rng.standard_normal(size) + 2.5)
    n = np.full(size, 20_000.0)
    chi2 = (1.05 + n * 0.4 * ld_score / 50_000) * rng.chisquare(1, size)
    arrays = {"chi2": chi2, "n": n, "ref_ld": ld_score[:, None], "weight_ld": ld_score}
    return {**arrays, "num_variants": np.array([50_000.0]), "names": ("L2",)}


def test_errors_are_calibrated_and_estimates_unbiased(rng: np.random.Generator) -> None:
    runs = [regress_chi2(**simulate(rng, 3000), config=LDSCConfig(num_blocks=100)) for _ in range(300)]
    h2 = np.array([(run.h2 - 0.4) / run.h2_se for run in runs])
    intercept = np.array([(run.intercept - 1.05) / run.intercept_se for run in runs if run.intercept_se is not None])
    assert intercept.size == 300
    for scores in (h2, intercept):
        assert 0.85 < scores.std() < 1.2
    fixed = [regress_chi2(**simulate(rng, 3000), config=LDSCConfig(intercept=1.05, num_blocks=100)) for _ in range(300)]
    scores = np.array([(run.h2 - 0.4) / run.h2_se for run in fixed])
    assert abs(scores.mean()) < 0.35  # the weights depend on the data: a slight bias downwards, as in LDSC
    assert 0.85 < scores.std() < 1.15


def test_one_step_is_the_two_step_intercept_when_all_chi2_are_small(rng: np.random.Generator) -> None:
    data = simulate(rng)
    assert regress_chi2(**data, config=LDSCConfig(two_step=0)).intercept == pytest.approx(
        regress_chi2(**data, config=LDSCConfig(two_step=1e9)).intercept, rel=1e-12
    )
    assert regress_chi2(**data, config=LDSCConfig(two_step=0)).two_step is None


def test_scaling_m_scales_h2_alone(rng: np.random.Generator) -> None:
    data = simulate(rng)
    data["chi2"] = data["chi2"].clip(max=25)
    single = regress_chi2(**data)
    half = regress_chi2(**{**data, "num_variants": data["num_variants"] / 2})
    assert half.h2 == pytest.approx(single.h2 / 2, rel=1e-9)
    assert half.h2_se == pytest.approx(single.h2_se / 2, rel=1e-9)
    assert half.intercept == pytest.approx(single.intercept, rel=1e-9)


def test_constants_of_the_data(rng: np.random.Generator) -> None:
    data = simulate(rng)
    result = regress_chi2(**data)
    assert result.mean_chi2 == pytest.approx(data["chi2"].mean())
    assert result.lambda_gc == pytest.approx(np.median(data["chi2"]) / 0.4549)
    assert result.n_variants == 6000


def test_result_as_dict_is_json(rng: np.random.Generator) -> None:
    values = json.loads(json.dumps(regress_chi2(**simulate(rng)).as_dict(), allow_nan=False))
    assert {"h2", "h2_se", "intercept", "intercept_se", "n_variants", "mean_chi2", "lambda_gc"} <= set(values)
    assert values["annotations"][0]["name"] == "L2"
    assert np.shape(values["covariance"]) == (2, 2)
    assert values["covariance"][1][1] == pytest.approx(values["intercept_se"] ** 2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("two_step", "intercept", "chi2_max") for value in (-1.0, np.nan, np.inf)),
        ("intercept", 0.0),
        ("chi2_max", 0.0),
    ],
)
def test_options_out_of_range(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"`{name}` must be a positive number"):
        LDSCConfig(**{name: value})


def test_wrong_counts_and_overlap(rng: np.random.Generator) -> None:
    data = simulate(rng)
    with pytest.raises(DataError, match=r"a positive M for each of 1 annotations, but is \[1.0, 2.0\]"):
        regress_chi2(**{**data, "num_variants": np.array([1.0, 2.0])})
    with pytest.raises(DataError, match=r"but is \[0.0\]"):
        regress_chi2(**{**data, "num_variants": np.array([0.0])})
    with pytest.raises(DataError, match=r"each of 1 annotations, but has shape \(2, 2\)"):
        regress_chi2(**data, overlap=AnnotationOverlap(matrix=np.eye(2), num_variants=9))
    with pytest.raises(DataError, match="`num_blocks` must be from 2 to the number of variants"):
        regress_chi2(**data, config=LDSCConfig(num_blocks=6001))


def test_scores_without_counts_and_weights_of_several_columns(panel_folder: Path) -> None:
    trait = read_ldsc_sumstats(panel_folder / "plain.sumstats")
    one, three, weights = (read_ld_scores(panel_folder / name) for name in ("one", "three", "w"))
    with pytest.raises(DataError, match=r"no `.l2.M_5_50` or `.l2.M` file beside them. Give .* with --m"):
        ld_score_regression(trait, weights, weights)
    with pytest.raises(DataError, match="one column of LD scores to weight with, but has 3: base, coding, promoter"):
        ld_score_regression(trait, one, three)


RG = json.loads((GOLDEN / "rg.json").read_text())


@pytest.fixture(scope="session")
def pair_folder(panel_folder: Path) -> Path:
    for name, pair in make_golden.PAIRS.items():
        make_golden.write_pair(pair, panel_folder, name)
    return panel_folder


def pair_of(folder: Path, name: str) -> list[SumStats]:
    return [read_ldsc_sumstats(folder / f"{name}_{number}.sumstats") for number in (1, 2)]


@pytest.mark.parametrize("case", sorted(make_golden.RG_CASES))
def test_every_digit_of_a_genetic_correlation(case: str, pair_folder: Path) -> None:
    golden = RG[case]
    words = golden["command"].split()
    value = {word: words[place + 1] for place, word in enumerate(words[:-1]) if word.startswith("--")}
    options: dict[str, Any] = {"num_blocks": int(value.get("--n-blocks", 200))}
    options |= {"two_step": float(value["--two-step"])} if "--two-step" in value else {}
    cross = float(value["--intercept-gencov"].split(",")[1]) if "--intercept-gencov" in value else None
    if "--no-intercept" in words:
        options, cross = {**options, "intercept": 1.0}, 0.0
    traits = pair_of(pair_folder, make_golden.RG_CASES[case][0])
    scores = [read_ld_scores(pair_folder / name) for name in ("one", "w")]
    found = ldsc_correlation(*traits, *scores, config=LDSCConfig(**options), cross_intercept=cross)
    for name, ours in (
        ("rg", found.rg), ("se", found.rg_se), ("z", found.z), ("h2_obs", found.second.h2), ("h2_obs_se", found.second.h2_se),
        ("h2_int", found.second.intercept), ("h2_int_se", found.second.intercept_se), ("gcov_int", found.gcov_int),
        ("gcov_int_se", found.gcov_int_se), ("gcov", found.gcov), ("gcov_se", found.gcov_se), ("mean_z1z2", found.mean_z1z2),
    ):  # fmt: skip
        if golden[name] == "NA":
            assert ours is None, name
        else:
            assert ours is not None, name
            assert printed(ours) == float(golden[name]), name
    assert found.p is not None
    assert printed(found.p, "%.4e") == pytest.approx(float(golden["p"]), rel=2e-4)


def test_alleles_of_a_pair(pair_folder: Path) -> None:
    first, second = pair_of(pair_folder, "equal")
    scores = [read_ld_scores(pair_folder / name) for name in ("one", "w")]
    whole = ldsc_correlation(first, second, *scores)
    assert "0 have other or palindromic alleles" in whole.notes[0]
    turned = second.table.with_columns(
        effect_allele=pl.col("other_allele"), other_allele=pl.col("effect_allele"), z=-pl.col("z")
    )
    assert ldsc_correlation(first, SumStats(table=turned, trait="x"), *scores).rg == pytest.approx(whole.rg)
    negative = second.table.with_columns(z=-pl.col("z"))
    assert ldsc_correlation(first, SumStats(table=negative, trait="x"), *scores).rg == pytest.approx(-(whole.rg or 0))
    wrong = second.table.with_columns(
        effect_allele=pl.when(pl.int_range(pl.len()) < 30).then(pl.lit("T")).otherwise("effect_allele"),
        other_allele=pl.when(pl.int_range(pl.len()) < 30).then(pl.lit("A")).otherwise("other_allele"),
    )
    fewer = ldsc_correlation(first, SumStats(table=wrong, trait="x"), *scores)
    assert "30 have other or palindromic alleles" in fewer.notes[0]
    assert fewer.n_variants <= whole.n_variants - 29


def test_a_pair_that_cannot_be_correlated(pair_folder: Path) -> None:
    first, second = pair_of(pair_folder, "equal")
    one, three, weights = (read_ld_scores(pair_folder / name) for name in ("one", "three", "w"))
    with pytest.raises(DataError, match="needs LD scores of one annotation"):
        ldsc_correlation(first, second, three, weights)
    strangers = SumStats(table=second.table.with_columns(variant_id="x" + pl.col("variant_id")), trait="x")
    with pytest.raises(DataError, match="share no rsID"):
        ldsc_correlation(first, strangers, one, weights)
    few = SumStats(table=second.table[:50], trait="x")
    with pytest.raises(DataError, match="where 200 are needed"):
        ldsc_correlation(first, few, one, weights)
    null = SumStats(table=second.table.with_columns(z=0.1 * pl.col("z")), trait="x")
    found = ldsc_correlation(first, null, one, weights)
    assert found.rg is None or found.second.h2 > 0
