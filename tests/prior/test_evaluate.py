"""Held-out evaluation against an independent computation in numpy, and the laws of its numbers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import safetensors.numpy
import torch
import zarr

from cases.simulated_panel import CORE, Simulated
from varfx.annotations import Annotations, build_annotations
from varfx.errors import ConfigError, DataError, HarmonisationError, StoreError
from varfx.genotypes.open_ld import open_source
from varfx.gwas.sumstats import SumStats
from varfx.ld import PanelConfig, build_panel
from varfx.models import ModelConfig
from varfx.prior import SplitConfig, evaluate, evaluate_variances, fit, predict, write_prediction
from varfx.prior.run import open_run
from varfx.prior.score import null_sigma2
from varfx.training import TrainConfig, TraitData, WindowData

KEYS = {
    "name",
    "log_p",
    "log_p_null",
    "gain",
    "gain_ci95",
    "gain_same_sigma2",
    "sigma2",
    "sigma2_null",
    "n_windows",
    "n_variants",
    "rank",
}


def whitened(simulated: Simulated, sumstats: Path, chroms: set[str]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """`B`, `w` and panel rows of each window of some chromosomes, from the files by numpy alone."""
    variants = pl.read_parquet(simulated.panel / "variants.parquet").with_row_index("row")
    table = pl.read_parquet(sumstats).join(variants.select("row", "variant_id"), on="variant_id")
    z, n = np.full((2, variants.height), np.nan)
    z[table["row"]], n[table["row"]] = table["z"], table["n"]
    n_ref = np.median(table["n"])
    windows = []
    for name in pl.read_parquet(simulated.panel / "windows.parquet").filter(pl.col("chrom").is_in(chroms))["name"]:
        group = zarr.open_group(simulated.panel / "windows" / name, mode="r")
        lam, V, B, core, panel = (np.asarray(group[key]) for key in ("lam", "V", "B", "core", "panel"))
        seen = np.isfinite(z[core])
        if not seen.any():
            continue
        R_cross = (V[seen] * np.sqrt(lam)) @ B.astype(np.float64)
        R_core = (V[seen] * lam) @ V[seen].T
        values, vectors = np.linalg.eigh(R_core)
        kept = values > 1e-8 * values.max()
        P = (vectors[:, kept] / np.sqrt(values[kept])).T
        windows.append((P @ (np.sqrt(n[core][seen] / n_ref)[:, None] * R_cross), P @ z[core][seen], panel))
    return windows


def log_normal(w: np.ndarray, C: np.ndarray) -> float:
    return -0.5 * float(np.linalg.slogdet(C)[1] + w @ np.linalg.solve(C, w) + w.size * np.log(2 * np.pi))


def linear_F(run: Path, simulated: Simulated, trait: int) -> np.ndarray:
    """F of the linear model from its files, by numpy alone."""
    record = json.loads((run / "run.json").read_text())
    weights = safetensors.numpy.load_file(run / "model.safetensors")
    table = pl.read_parquet(simulated.annot)
    eaf = pl.read_parquet(simulated.panel / "variants.parquet")["eaf"].to_numpy()
    columns = []
    stored = record["features"]
    for name, mean, sd in zip(stored["channels"], stored["mean"], stored["sd"], strict=True):
        columns.append(np.nan_to_num((table[name].to_numpy().astype(float) - mean) / sd, nan=0.0))
    for name, indicated in zip(stored["channels"], stored["indicated"], strict=True):
        if indicated:
            columns.append(table[name].is_null().to_numpy().astype(float))
    score = np.column_stack(columns) @ weights["network.weights.weight"][trait]
    link = np.log1p(np.exp(score) * (np.e - 1))
    return np.exp(weights["scale"][trait]) * (4 * eaf * (1 - eaf)) ** weights["alpha"][trait] * link


@pytest.mark.parametrize("trait", [0, 1])
def test_numbers_are_those_of_numpy(linear_run: Path, simulated: Simulated, trait: int) -> None:
    entry = evaluate(linear_run).traits[trait]
    sumstats = [simulated.height, simulated.weight][trait]
    F = linear_F(linear_run, simulated, trait)
    held = whitened(simulated, sumstats, {"3"})
    sigma2 = float(np.exp(safetensors.numpy.load_file(linear_run / "model.safetensors")["log_sigma2"][trait]))
    per_window = [log_normal(w, (B * F[rows]) @ B.T + sigma2 * np.eye(w.size)) for B, w, rows in held]
    assert entry["log_p"] == pytest.approx(sum(per_window), rel=1e-6)
    assert entry["sigma2"] == pytest.approx(sigma2, rel=1e-6)

    names = json.loads((linear_run / "run.json").read_text())["split"]["train"]
    listed = pl.read_parquet(simulated.panel / "windows.parquet")
    table = whitened(simulated, sumstats, set("123"))
    with_data = [name for name in listed["name"] if trait == 0 or name != "chr2_0_100000"]
    training = [w for name, (_, w, _) in zip(with_data, table, strict=True) if name in names]
    null = sum(float(w @ w) for w in training) / sum(w.size for w in training)
    assert entry["sigma2_null"] == pytest.approx(null, rel=1e-5)
    log_null, log_same = (sum(log_normal(w, s * np.eye(w.size)) for _, w, _ in held) for s in (null, sigma2))
    assert entry["log_p_null"] == pytest.approx(log_null, rel=1e-6)
    assert entry["gain"] == pytest.approx(entry["log_p"] - log_null, abs=1e-4)
    assert entry["gain_same_sigma2"] == pytest.approx(entry["log_p"] - log_same, abs=1e-4)
    assert entry["rank"] == sum(w.size for _, w, _ in held)
    assert entry["n_windows"] == len(held) == 4


def test_keys_and_windows(linear_run: Path) -> None:
    result = evaluate(linear_run)
    assert [entry["name"] for entry in result.traits] == ["height", "weight"]
    for entry in result.traits:
        assert set(entry) >= KEYS
        low, high = entry["gain_ci95"]
        assert low < entry["gain"] < high
    stored = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert set(stored) == {"traits", "windows", "notes"}
    for entry in stored["traits"]:
        mine = [window for window in stored["windows"] if window["trait"] == entry["name"]]
        for key in ("log_p", "log_p_null", "gain", "rank"):
            assert sum(window[key] for window in mine) == pytest.approx(entry[key])
    assert stored["notes"] == open_run(linear_run).record["warnings"]


def test_a_comparison_is_paired_and_antisymmetric(mlp_run: Path, constant_run: Path) -> None:
    (one,) = evaluate(mlp_run, compare_with=constant_run).traits
    (other,) = evaluate(constant_run, compare_with=mlp_run).traits
    assert one["difference"] == pytest.approx(one["log_p"] - other["log_p"], abs=1e-9)
    assert one["difference"] == pytest.approx(-other["difference"], abs=1e-9)
    low, high = one["difference_ci95"]
    assert other["difference_ci95"] == pytest.approx([-high, -low], abs=1e-6)
    assert low < one["difference"] < high
    # paired: far narrower than the interval of either gain
    assert high - low < 0.8 * (one["gain_ci95"][1] - one["gain_ci95"][0])
    (same,) = evaluate(mlp_run, compare_with=mlp_run).traits
    assert same["difference"] == 0
    assert same["difference_ci95"] == [0, 0]


@pytest.mark.parametrize("name", ["f.parquet", "f.tsv", "f.tsv.gz", "f.snpvar.gz", "f.snpvar"])
def test_a_prediction_scored_as_anybodys_prior(mlp_run: Path, simulated: Simulated, tmp_path: Path, name: str) -> None:
    (expected,) = evaluate(mlp_run).traits
    write_prediction(predict(mlp_run), tmp_path / name, run=mlp_run)
    result = evaluate_variances(
        tmp_path / name, panel=simulated.panel, sumstats=simulated.height, sigma2=expected["sigma2"], chrom=("chr3",)
    )
    (entry,) = result.traits
    assert entry["log_p"] == pytest.approx(expected["log_p"], abs=1e-4 * abs(expected["log_p"]))
    assert set(entry) >= KEYS
    assert result.notes == ["the null's sigma2 and the constant prior were fitted on 8 other windows"]


def test_variances_by_identifier_and_missing_ones(simulated: Simulated, tmp_path: Path) -> None:
    variants = pl.read_parquet(simulated.panel / "variants.parquet")
    f = simulated.F / 1e4
    whole = tmp_path / "whole.tsv"
    variants.select(variant="variant_id", f=pl.Series(f)).write_csv(whole, separator="\t")
    part = tmp_path / "part.tsv"
    variants.select(variant="variant_id", f=pl.Series(f))[40:].write_csv(part, separator=" ")
    zero = tmp_path / "zero.tsv"
    key = pl.concat_str("chrom", "position", "other_allele", "effect_allele", separator=":")  # the alleles turned round
    variants.select(variant=key, f=pl.Series(np.where(np.arange(f.size) < 40, 0.0, f))).write_csv(zero, separator="\t")
    results = [
        evaluate_variances(path, panel=simulated.panel, sumstats=simulated.height) for path in (whole, part, zero)
    ]
    assert results[1].traits == results[2].traits
    assert results[0].traits[0]["log_p"] != results[1].traits[0]["log_p"]
    assert f"40 of 480 panel variants are not in {part}: their f is 0" in results[1].notes
    assert results[0].notes == [
        "the null's sigma2 and the constant prior were fitted on the scored windows: there are no others",
        "sigma2 = 1 is assumed: the file has none. Give --sigma2 NUMBER, or --sigma2 fit",
    ]
    assert results[0].traits[0]["sigma2_null"] == pytest.approx(
        np.mean(np.concatenate([w for _, w, _ in whitened(simulated, simulated.height, set("123"))]) ** 2)
    )


def test_the_truth_beats_the_null_and_a_shuffled_prior(simulated: Simulated, tmp_path: Path) -> None:
    variants = pl.read_parquet(simulated.panel / "variants.parquet")
    scores = []
    for F in (simulated.F, np.random.default_rng(0).permutation(simulated.F), 20 * simulated.F):
        variants.select(variant="variant_id", f=pl.Series(F / 1e4)).write_csv(tmp_path / "f.tsv", separator="\t")
        (entry,) = evaluate_variances(tmp_path / "f.tsv", panel=simulated.panel, sumstats=simulated.height).traits
        scores.append(entry["log_p"])
        assert entry["gain"] == pytest.approx(entry["log_p"] - entry["log_p_null"])
    assert scores[0] > max(scores[1:])
    assert scores[0] > entry["log_p_null"]


def test_excluded_chromosomes_say_nothing_about_the_null(simulated: Simulated, tmp_path: Path) -> None:
    variants = pl.read_parquet(simulated.panel / "variants.parquet")
    variants.select(variant="variant_id", f=pl.lit(1e-4)).write_csv(tmp_path / "f.tsv", separator="\t")
    result = evaluate_variances(
        tmp_path / "f.tsv", panel=simulated.panel, sumstats=simulated.height, chrom=("3",), exclude_chrom=("1",)
    )
    training = np.concatenate([w for _, w, _ in whitened(simulated, simulated.height, {"2"})])
    assert result.traits[0]["sigma2_null"] == pytest.approx(np.mean(training**2))


def test_windows_that_were_fitted_on_are_noted(linear_run: Path, constant_run: Path) -> None:
    everywhere = evaluate(linear_run, chrom=("1", "2", "3"))
    used = len(json.loads((linear_run / "run.json").read_text())["split"]["train"]) + 1
    assert everywhere.notes[0].endswith("windows were used in the fit: this is no held-out evaluation")
    assert everywhere.notes[0].startswith(f"{used} of the 12")
    compared = evaluate(constant_run, chrom=("1",), compare_with=constant_run)
    assert "the comparison favours it" in compared.notes[1]
    assert evaluate(linear_run, chrom=("3",)).traits[0]["log_p"] == evaluate(linear_run).traits[0]["log_p"]


def test_other_summary_statistics_keep_f_not_F(constant_run: Path, simulated: Simulated, tmp_path: Path) -> None:
    """With all N four times as large, z twice as large has the same likelihood under the same f but for 4 F and sigma2."""
    table = pl.read_parquet(simulated.height)
    SumStats(table=table.with_columns(pl.col("n") * 4), trait="other").write(tmp_path / "S.parquet")
    result = evaluate(constant_run, sumstats=[tmp_path / "S.parquet"])
    f = predict(constant_run)["f"].to_numpy()
    (entry,) = result.traits
    expected = [
        log_normal(w, (B * (4e4 * f[rows])) @ B.T + entry["sigma2"] * np.eye(w.size))
        for B, w, rows in whitened(simulated, simulated.height, {"3"})
    ]
    assert entry["log_p"] == pytest.approx(sum(expected), rel=1e-6)
    assert entry["n_ref"] == 4e4
    assert result.notes == [
        f"{tmp_path / 'S.parquet'} is not the summary statistics of the fit",
        "the null's sigma2 was refitted on the run's training windows of the given data",
    ]
    assert entry["sigma2_null"] == pytest.approx(evaluate(constant_run).traits[0]["sigma2_null"], rel=1e-5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"chrom": ("21",)},
            ConfigError,
            "`chrom` names 1 chromosomes that the panel does not have, first 21. It has 1, 2, 3",
        ),
        ({"exclude_chrom": ("21",)}, ConfigError, "`exclude-chrom` names 1 chromosomes"),
        ({"exclude_chrom": ("3",)}, ConfigError, "the run held out no windows"),
        ({"chrom": ("3",), "exclude_chrom": ("chr3",)}, ConfigError, "no windows are left to score"),
        (
            {"sumstats": ["x", "y", "z"]},
            ConfigError,
            "`sumstats` must name one file for each of the run's 2 traits, got 3",
        ),
        ({"panel": "/nonexistent"}, StoreError, "`/nonexistent` does not exist"),
    ],
)
def test_wrong_options(linear_run: Path, options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        evaluate(linear_run, **options)  # type: ignore[arg-type]


def test_runs_of_different_traits_are_not_compared(linear_run: Path, mlp_run: Path) -> None:
    with pytest.raises(ConfigError, match="`compare` needs runs of the same traits"):
        evaluate(linear_run, compare_with=mlp_run)


def test_a_panel_with_other_windows_is_refused(linear_run: Path, simulated: Simulated, tmp_path: Path) -> None:
    source = open_source([simulated.bed], maf=0.0)
    build_panel(source, tmp_path / "P.ld.zarr", PanelConfig(core=200_000, flank=100_000, rank_variance=1.0), workers=1)
    with pytest.raises(DataError, match=r"lacks .* of the run's windows, first chr1_0_100000"):
        evaluate(linear_run, panel=tmp_path / "P.ld.zarr")
    held_out = evaluate(linear_run, panel=tmp_path / "P.ld.zarr", chrom=["3"])
    assert held_out.traits[0]["sigma2_null"] == open_run(linear_run).record["traits"][0]["sigma2_null"]
    assert not any("used in the fit" in note for note in held_out.notes)
    assert any(
        "used in the fit" in note for note in evaluate(linear_run, panel=tmp_path / "P.ld.zarr", chrom=["1"]).notes
    )


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", DataError, "is empty"),
        ("CHR\tBP\tF\n1\t2\t3\n", DataError, r"needs the columns CHR SNP BP A1 A2 SNPVAR \(PolyFun\), or `variant, f`"),
        ("variant\tf\nrs1\t-1\nrs2\t1\n", DataError, "the variance is missing, negative or not finite in 1 of 2 rows"),
        ("variant\tf\nrs1\tx\n", DataError, "the variance is missing, negative or not finite in 1 of 1 rows"),
        ("variant\tf\nzz1\t1\nzz2\t1\n", DataError, "only 0 of 2 variants are in the panel by their rsID"),
        (
            "CHR\tSNP\tBP\tA1\tA2\tSNPVAR\n"
            + "".join(f"1\trs{i}\t{1249 + 2500 * i + 7000}\tA\tG\t1\n" for i in range(160)),
            HarmonisationError,
            "build",
        ),
    ],
)
def test_wrong_variances(simulated: Simulated, tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    (tmp_path / "f.tsv").write_text(text)
    with pytest.raises(error, match=message):
        evaluate_variances(tmp_path / "f.tsv", panel=simulated.panel, sumstats=simulated.height)


@pytest.mark.parametrize("sigma2", [0.0, -1.0, float("nan")])
def test_wrong_sigma2(simulated: Simulated, tmp_path: Path, sigma2: float) -> None:
    with pytest.raises(ConfigError, match="`sigma2` must be positive"):
        evaluate_variances(tmp_path, panel=simulated.panel, sumstats=simulated.height, sigma2=sigma2)


def test_validation_windows_hold_associations_where_a_gwas_lacks_chromosomes(
    simulated: Simulated, tmp_path: Path
) -> None:
    """Case gwas/18: the default validation stretch used to fall into a chromosome without data, and validated nothing."""
    table = pl.read_parquet(simulated.height).filter(pl.col("chrom") != "3")
    SumStats(table=table, trait="part").write(tmp_path / "part.sumstats.parquet")
    for seed in range(3):
        run = fit(
            simulated.panel,
            [tmp_path / "part.sumstats.parquet"],
            tmp_path / f"RUN{seed}",
            model=ModelConfig(kind="constant"),
            training=TrainConfig(max_steps=2, check_every=1, seed=seed),
            split=SplitConfig(seed=seed),
        )
        split = run.record["split"]
        assert len(split["validation"]) == 1
        assert not any(name.startswith("chr3_") for part in split.values() for name in part)


def test_neither_f_nor_gain_depends_on_which_allele_a_panel_counts(simulated: Simulated, tmp_path: Path) -> None:
    """A panel from the same genotypes with the alleles of half the variants exchanged, and its own annotations."""
    (tmp_path / "ref.fam").write_text(simulated.bed.with_suffix(".fam").read_text())
    rows = [line.split("\t") for line in simulated.bed.with_suffix(".bim").read_text().splitlines()]
    swapped = np.random.default_rng(0).random(len(rows)) < 0.5
    lines = [[*row[:4], *(row[:3:-1] if swap else row[4:])] for row, swap in zip(rows, swapped, strict=True)]
    (tmp_path / "ref.bim").write_text("".join("\t".join(row) + "\n" for row in lines))
    content = np.frombuffer(simulated.bed.read_bytes(), dtype=np.uint8).copy()
    codes = content[3:].reshape(len(rows), -1)
    exchanged = np.array([3, 1, 2, 0], dtype=np.uint8)  # PLINK's codes of two, missing, one and no copies
    packed = sum(exchanged[codes >> shift & 3] << shift for shift in (0, 2, 4, 6))
    codes[swapped] = np.asarray(packed, dtype=np.uint8)[swapped]
    (tmp_path / "ref.bed").write_bytes(content.tobytes())
    turned = build_panel(
        open_source([tmp_path / "ref.bed"], maf=0.0),
        tmp_path / "P.ld.zarr",
        PanelConfig(core=CORE, flank=CORE, rank_variance=1.0),
        workers=1,
    )
    assert (turned.variants["effect_allele"] == "G").sum() == swapped.sum() > 200

    found = []
    for number, panel in enumerate((simulated.open(), turned)):
        active = pl.Series("active", simulated.active, dtype=pl.Float32)
        table = build_annotations(panel.variants).table.with_columns(active)
        Annotations(table=table).write(tmp_path / f"{number}.annot.parquet")
        run = tmp_path / f"RUN{number}"
        fit(
            panel.path,
            [simulated.height],
            run,
            annotations=tmp_path / f"{number}.annot.parquet",
            model=ModelConfig(kind="mlp", hidden=(4,)),
            training=TrainConfig(max_steps=40, check_every=20, precision="float64"),
            split=SplitConfig(holdout_chrom=("3",)),
        )
        found.append((predict(run)["f"].to_numpy(), evaluate(run).traits[0]["gain"]))
    (f, gain), (f_turned, gain_turned) = found
    assert np.ptp(np.log(f)) > 0.1
    assert f_turned == pytest.approx(f, rel=1e-4)
    assert gain_turned == pytest.approx(gain, rel=1e-3)


def test_the_constant_prior_stands_beside_every_other(mlp_run: Path, simulated: Simulated) -> None:
    """Its gain by numpy from the record, and the paired difference."""
    (entry,) = evaluate(mlp_run).traits
    record = open_run(mlp_run).record["traits"][0]
    start = record["constant"]
    eaf = pl.read_parquet(simulated.panel / "variants.parquet")["eaf"].to_numpy()
    F = np.exp(start["scale"]) * (4 * eaf * (1 - eaf)) ** start["alpha"]
    sigma2 = np.exp(start["log_sigma2"])
    held = whitened(simulated, simulated.height, {"3"})
    log_p = sum(log_normal(w, (B * F[rows]) @ B.T + sigma2 * np.eye(w.size)) for B, w, rows in held)
    constant = entry["constant"]
    assert constant["sigma2"] == pytest.approx(sigma2)
    assert constant["gain"] == pytest.approx(log_p - entry["log_p_null"], abs=1e-4)
    assert constant["difference"] == pytest.approx(entry["log_p"] - log_p, abs=1e-4)
    low, high = constant["difference_ci95"]
    assert low < constant["difference"] < high


def test_a_run_that_kept_no_constant_prior_gets_one(mlp_run: Path) -> None:
    run = open_run(mlp_run)
    before = evaluate(run).traits[0]["constant"]
    traits = [{key: value for key, value in trait.items() if key != "constant"} for trait in run.record["traits"]]
    older = evaluate(dataclasses.replace(run, record={**run.record, "traits": traits}))
    assert older.traits[0]["constant"]["gain"] == pytest.approx(before["gain"], abs=0.05)
    assert "the constant prior was fitted for this evaluation, on up to 24 training windows" in older.notes


@pytest.mark.parametrize("name", ["p.parquet", "p.tsv", "p.snpvar.gz"])
def test_a_run_s_own_prediction_has_the_run_s_gain(mlp_run: Path, tmp_path: Path, name: str) -> None:
    """The same windows, null, sigma2 and constant prior, whatever the format."""
    own = evaluate(mlp_run)
    write_prediction(predict(mlp_run), tmp_path / name, run=mlp_run)
    foreign = evaluate_variances(tmp_path / name, like=mlp_run)
    tolerance = 1e-4 if "snpvar" in name else 1e-9
    for key in ("gain", "log_p", "log_p_null", "sigma2", "rank"):
        assert foreign.traits[0][key] == pytest.approx(own.traits[0][key], rel=tolerance), (key, foreign.notes)
    assert foreign.traits[0]["constant"]["gain"] == pytest.approx(own.traits[0]["constant"]["gain"], rel=1e-9)
    assert any(
        note.startswith("sigma2 = ") and note.endswith(f"is that of {tmp_path / name}") for note in foreign.notes
    )


def test_sigma2_is_fitted_on_windows_that_are_not_scored(simulated: Simulated, mlp_run: Path, tmp_path: Path) -> None:
    variants = pl.read_parquet(simulated.panel / "variants.parquet")
    variants.select(variant="variant_id", f=pl.Series(simulated.F / 1e4)).write_csv(tmp_path / "f.tsv", separator="\t")
    fitted = evaluate_variances(tmp_path / "f.tsv", like=mlp_run, sigma2="fit").traits[0]
    train = set(open_run(mlp_run).record["split"]["train"])
    listed = pl.read_parquet(simulated.panel / "windows.parquet")["name"].to_list()
    windows = [
        each
        for name, each in zip(listed, whitened(simulated, simulated.height, set("123")), strict=True)
        if name in train
    ]

    def log_p(sigma2: float) -> float:
        F = simulated.F
        return sum(log_normal(w, (B * F[rows]) @ B.T + sigma2 * np.eye(w.size)) for B, w, rows in windows)

    best = fitted["sigma2"]
    assert log_p(best) > max(log_p(best * 1.01), log_p(best / 1.01))
    assumed = evaluate_variances(tmp_path / "f.tsv", like=mlp_run)
    assert assumed.traits[0]["sigma2"] == 1.0
    assert "sigma2 = 1 is assumed: the file has none. Give --sigma2 NUMBER, or --sigma2 fit" in assumed.notes


def test_a_foreign_prior_needs_one_trait(linear_run: Path, simulated: Simulated, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="those of one trait: name one file with --sumstats, or --like RUN"):
        evaluate_variances(tmp_path, panel=simulated.panel)
    with pytest.raises(ConfigError, match="`sumstats` must name one file for each of the run's 2 traits"):
        evaluate_variances(tmp_path, like=linear_run, sumstats=simulated.height)


def test_the_null_of_replicates_is_the_mean_over_all_of_them(simulated: Simulated, rng: np.random.Generator) -> None:
    z = rng.standard_normal((480, 3)) * np.array([1.0, 2.0, 3.0])
    one = TraitData(name="t", z=z, n=np.full(480, 1e4), n_ref=1e4)
    data = WindowData(simulated.open(), [one], np.zeros((480, 0)), np.full(480, 0.25), dtype=torch.float64)
    parts = [
        WindowData(
            simulated.open(),
            [TraitData(name="t", z=column, n=one.n, n_ref=1e4)],
            np.zeros((480, 0)),
            np.full(480, 0.25),
            dtype=torch.float64,
        )
        for column in z.T
    ]
    windows = [0, 5, 9]
    (together,) = null_sigma2(data, windows)
    assert together == pytest.approx(np.mean([null_sigma2(part, windows)[0] for part in parts]))
