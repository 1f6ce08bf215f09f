"""Heritability, enrichment, score tests and genetic correlation on simulated traits with known truth, and on real height.

    python benchmarks/heritability.py --data ../shared/data --part constant
    python benchmarks/heritability.py --data ../shared/data --part linear
    python benchmarks/heritability.py --data ../shared/data --part network
    python benchmarks/heritability.py --data ../shared/data --part strong-constant
    python benchmarks/heritability.py --data ../shared/data --part strong-linear
    python benchmarks/heritability.py --data ../shared/data --part strong-network
    python benchmarks/heritability.py --data ../shared/data --part enrichment
    python benchmarks/heritability.py --data ../shared/data --part score
    python benchmarks/heritability.py --data ../shared/data --part strong-score
    python benchmarks/heritability.py --data ../shared/data --part rg
    python benchmarks/heritability.py --demo varfx-demo --part height

LD is that of `polypred` (489 Europeans, 1 Mb of each autosome): --per-window variants of minor-allele frequency above 5 % per 250 kb. Traits are
drawn from the genotypes themselves, window by window with mean N f near 0.1; in `strong-` parts chromosome by chromosome with mean N f of 0.38,
so that neighbouring windows share effects and noise as they do in a GWAS, in windows with flanks of 1 Mb. Per replicate:

- constant, linear, network: coverage of 95 % intervals of h2 and of enrichment; the network is a black box of a wrong level that knows no
  annotation;
- enrichment: root mean square error for three overlapping annotations beside stratified LD score regression on the same associations,
  and beside the Fisher information at the truth;
- score: z and p of annotations without effect;
- rg: coverage of the genetic correlation's interval.

Each part adds its key to the output file. Finished replicates are kept in --scratch: an interrupted part, or one with --seconds, goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import torch
from bed_reader import open_bed, to_bed
from numpy import ndarray

from _measure import machine
from varfx.annotations import Annotations
from varfx.annotations.ldsc_overlap import AnnotationOverlap
from varfx.genotypes.open_ld import open_source
from varfx.ld import LDPanel, PanelConfig, build_panel, open_panel
from varfx.prior.correlation import genetic_correlation, paired
from varfx.prior.heritability import HeritabilityConfig, PriorSource, heritability, score_test
from varfx.prior.heritability.calibrate import pieces_at
from varfx.prior.heritability.source import OwnDirections
from varfx.prior.ldsc import regress_chi2
from varfx.prior.ldsc_config import LDSCConfig
from varfx.training import TraitData, WindowData

N, CORE = 100_000.0, 250_000
COVERAGE = ("constant", "linear", "network")
STRONG, STRONG_LEVEL, STRONG_FLANK = "strong-", 0.38, 1_000_000
LEVELS = (0.017, 0.05, 0.2)  # mean N f


@dataclass(frozen=True, eq=False)
class Study:
    """Thinned genotypes and their panel.

    Attributes:
        panel: the LD.
        X: standardised genotypes per window (per chromosome with flanks), and the panel rows of their variants.
        clustered: 0/1 annotations in stretches: 15, 10 and 25 % of variants.
        x: a continuous annotation.
    """

    panel: LDPanel
    X: list[tuple[ndarray, ndarray]]
    clustered: ndarray
    x: ndarray


def study(data: Path, scratch: Path, flank: int = 0, per_window: int = 60) -> Study:
    """Thinned genotypes of all autosomes and their panel, built once in `scratch`; without flanks windows are independent."""
    folder = scratch / f"flank{flank}-{per_window}"
    made = folder / "study.npz"
    if not made.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        arrays = build(data, folder, flank, per_window)
        with TemporaryDirectory(dir=folder) as partial:
            np.savez(Path(partial) / made.name, **arrays)
            (Path(partial) / made.name).rename(made)
    panel = open_panel(folder / "P.ld.zarr")
    for name in ("window", "rows"):  # read once for all replicates
        object.__setattr__(panel, name, cache(getattr(panel, name)))
    chrom = panel.variants["chrom"].to_numpy()
    groups = [np.flatnonzero(chrom == str(c)) for c in range(1, 23)]
    if not flank:
        groups = [panel.rows(index)[0] for index in range(len(panel.cores))]
    with np.load(made) as kept:
        X = kept["X"]
        return Study(panel, [(X[:, rows], rows) for rows in groups], kept["clustered"], kept["x"])


def build(data: Path, folder: Path, flank: int, per_window: int) -> dict[str, ndarray]:
    """Writes the genotypes and their panel; standardised genotypes in the panel's order, and annotations."""
    rng = np.random.default_rng(0)
    kept, ids = [], {"chromosome": [], "sid": [], "bp_position": [], "allele_1": [], "allele_2": []}  # type: ignore[var-annotated]
    for chrom in range(1, 23):
        bed = open_bed(data / "gwas" / "polypred" / f"1000G.subset.{chrom}.bed", num_threads=1)
        G = bed.read(dtype="float32")
        G = np.where(np.isnan(G), np.nanmean(G, 0), G).round()
        p = G.mean(0) / 2
        common = np.flatnonzero((np.minimum(p, 1 - p) >= 0.05) & (G.std(0) > 0))
        cell = bed.bp_position[common] // CORE
        chosen = np.sort(
            np.concatenate([
                rng.choice(common[cell == c], min(per_window, int((cell == c).sum())), replace=False)
                for c in np.unique(cell) if (cell == c).sum() >= 50
            ])
        )  # fmt: skip
        kept.append(G[:, chosen])
        ids["chromosome"] += [str(chrom)] * chosen.size
        for name in ("sid", "bp_position", "allele_1", "allele_2"):
            ids[name] += list(getattr(bed, name)[chosen])
    to_bed(folder / "thin.bed", np.hstack(kept), properties=ids)
    source = open_source([folder / "thin.bed"], maf=0.0)
    config = PanelConfig(core=CORE, flank=flank, rank_variance=1.0)
    panel = build_panel(source, folder / "P.ld.zarr", config, workers=1, overwrite=True, inputs=[folder / "thin.bed"])
    by_id = {sid: column for column, sid in enumerate(ids["sid"])}
    order = [by_id[sid] for sid in panel.variants["variant_id"]]
    G = np.hstack(kept)[:, order]
    counted = np.array(ids["allele_1"])[order] == panel.variants["effect_allele"].to_numpy()
    size = panel.variants.height
    clustered = np.column_stack(
        [np.repeat(rng.random(size // 10 + 1) < share, 10)[:size] for share in (0.15, 0.1, 0.25)]
    )
    return {
        "X": np.where(counted, 1, -1) * (G - G.mean(0)) / G.std(0),
        "clustered": clustered.astype(float),
        "x": rng.standard_normal(size),
    }


def associations(of: Study, rng: np.random.Generator, beta: ndarray, noise: ndarray | None = None) -> ndarray:
    """z for effects in units of 1 / sqrt(N); `noise` per chromosome and individual, by default new."""
    z = np.zeros(beta.size)
    for number, (X, rows) in enumerate(of.X):
        people = X.shape[0]
        e = rng.standard_normal(people) if noise is None else noise[number]
        z[rows] = X.T @ (X @ beta[rows] / people) + X.T @ (e - e.mean()) / np.sqrt(people)
    return z


def source(of: Study, z: ndarray, F: ndarray, own: OwnDirections | None = None) -> PriorSource:
    """A prior of these N f on the panel."""
    size = z.size
    trait = TraitData(name="trait", z=z, n=np.full(size, N), n_ref=N)
    data = WindowData(of.panel, [trait], np.zeros((size, 0)), np.full(size, 0.25), dtype=torch.float64)
    every = tuple(range(len(of.panel.cores)))
    return PriorSource(
        name="prior", trait="trait", panel=of.panel, data=data, variants=of.panel.variants, f=F / N, sigma2=1.0, own=own,
        windows=every, counted=np.ones(size, dtype=bool), notes=(),
    )  # fmt: skip


def annotations(of: Study, columns: dict[str, ndarray]) -> Annotations:
    """Annotations of the panel's variants."""
    keys = of.panel.variants.select("chrom", "position", "variant_id", "effect_allele", "other_allele")
    return Annotations(
        table=keys.with_columns(pl.Series(name, each.astype(np.float32)) for name, each in columns.items())
    )


def drawn(rng: np.random.Generator, F: ndarray) -> ndarray:
    """Effects of these variances."""
    return np.asarray(rng.standard_normal(F.size) * np.sqrt(F))


def enrichment_of(F: ndarray, a: ndarray) -> float:
    """True enrichment."""
    return float((F * a).sum() / F.sum() / a.mean())


def covered(of: Study, seed: int, kind: str, strong: bool) -> list[list[Any]]:
    """Per quantity its estimate, standard error, whether the interval holds the truth, the truth, and degrees of freedom."""
    a, x = of.clustered[:, 0], of.x
    eaf = of.panel.variants["eaf"].to_numpy()
    log_p = np.log(4 * eaf * (1 - eaf))[:, None]
    standard = np.column_stack([(a - a.mean()) / a.std(), x])
    none = np.ones(a.size)
    own: OwnDirections | None = None
    if kind == "constant":
        truth, prior, own = none * 0.1, none * 0.08, _own(("alpha",), log_p, none)
    elif kind == "linear":
        truth = 0.06 * np.exp(0.7 * standard[:, 0] + 0.4 * x)
        prior = 0.1 * np.exp(0.3 * standard[:, 0] + 0.2 * x)
        own = _own(("alpha", "a", "x"), np.hstack([log_p, standard]), none)
    else:
        truth, prior = 0.06 * np.exp(0.8 * x + 1.2 * a + 0.5 * a * x), 0.05 * np.exp(0.5 * x + 0.3 * np.tanh(x))
    if strong:
        truth, prior = (STRONG_LEVEL / truth.mean() * each for each in (truth, prior))
    rng = np.random.default_rng([seed, 21])
    start = source(of, associations(of, rng, drawn(rng, truth)), prior, own)
    config = HeritabilityConfig(top=(0.1,) if kind == "network" and not strong else ())
    result = heritability(start, annotations(of, {"a": a}), config)
    assert result.annotations[0].enrichment is not None
    rows = []
    for what, estimate, true in (
        ("h2", result.h2, truth.sum() / N),
        ("enrichment", result.annotations[0].enrichment, enrichment_of(truth, a)),
        *(("enrichment of the top 10 %", each.enrichment, _top(truth, prior)) for each in result.top),
    ):
        assert estimate.ci95 is not None
        low, high = estimate.ci95
        rows.append([what, estimate.value, estimate.se, bool(low <= true <= high), float(true), estimate.df])
    return rows


def _own(names: tuple[str, ...], values: ndarray, slope: ndarray) -> OwnDirections:
    return OwnDirections(names=names, values=values, coefficients=np.zeros(len(names)), slope=slope)


def _top(truth: ndarray, prior: ndarray) -> float:
    order = np.argsort(-prior, kind="stable")[: int(np.ceil(0.1 * truth.size))]
    return float(truth[order].sum() / truth.sum() * truth.size / order.size)


def coverage(found: list[Any]) -> list[dict[str, Any]]:
    """Coverage and errors per quantity."""
    rows = [row for each in found for row in each]
    entries = []
    for what in dict.fromkeys(row[0] for row in rows):
        chosen = [row for row in rows if row[0] == what]
        values, errors = (np.array([row[place] for row in chosen], dtype=np.float64) for place in (1, 2))
        truth = chosen[0][4]
        entries.append(
            {
                "what": what, "replicates": len(chosen), "truth": truth, "mean": float(values.mean()),
                "sd": float(values.std(ddof=1)), "mean_se": float(errors.mean()),
                "covered": float(np.mean([row[3] for row in chosen])),
                "mean_df": float(np.mean([row[5] for row in chosen])),
                "z_rms": float(np.sqrt(np.mean(((values - truth) / errors) ** 2))),
            }
        )  # fmt: skip
    return entries


def additive(of: Study, level: float) -> ndarray:
    """N f that is additive in three annotations, as S-LDSC assumes."""
    truth = 1 + of.clustered @ [3.0, 1.5, 0.5]
    return np.asarray(truth * level / truth.mean())


def enrichment(of: Study, seed: int) -> list[Any]:
    """Per level of N f three enrichments, ours, their errors, and those of stratified LD score regression."""
    A = of.clustered
    columns, ld = _ld_scores(of)
    overlap = AnnotationOverlap(matrix=columns.T @ columns, num_variants=float(len(A)))
    annotation = annotations(of, {f"a{k}": A[:, k] for k in range(3)})
    found = []
    for level in LEVELS:
        truth = additive(of, level)
        rng = np.random.default_rng([seed, int(level * 1000)])
        z = associations(of, rng, drawn(rng, truth))
        result = heritability(source(of, z, np.full(len(A), level)), annotation, HeritabilityConfig(top=()))
        ours = [each.enrichment for each in result.annotations if each.enrichment is not None]
        sldsc = regress_chi2(
            z**2, np.full(len(A), N), ld, ld[:, 0], columns.sum(0), names=("base", "a0", "a1", "a2"),
            config=LDSCConfig(num_blocks=len(of.panel.cores)), overlap=overlap,
        )  # fmt: skip
        found.append(
            [
                [each.value for each in ours],
                [each.se for each in ours],
                [each.enrichment for each in sldsc.annotations[1:]],
            ]
        )
    return found


def errors_of_enrichment(of: Study, found: list[Any]) -> list[dict[str, Any]]:
    """RMSE of three enrichments, ours and of stratified LD score regression, at three levels of N f."""
    entries = []
    for place, level in enumerate(LEVELS):
        truth = additive(of, level)
        true = np.array([enrichment_of(truth, a) for a in of.clustered.T])
        ours, errors, theirs = (np.array([each[place][kind] for each in found], dtype=float) for kind in range(3))
        bound = _fisher(of, truth, annotations(of, {f"a{k}": of.clustered[:, k] for k in range(3)}))
        rmse, other = (np.sqrt(np.mean((each - true) ** 2, axis=0)) for each in (ours, theirs))
        entries.append(
            {
                "mean_Nf": level, "replicates": len(found), "truth": true.tolist(), "rmse": rmse.tolist(),
                "rmse_sldsc": other.tolist(), "ratio": float(np.sqrt((rmse**2).sum() / (other**2).sum())),
                "median_error": np.median(np.abs(ours - true), axis=0).tolist(),
                "median_error_sldsc": np.median(np.abs(theirs - true), axis=0).tolist(),
                "fisher": bound.tolist(), "rmse_over_fisher": float(np.sqrt((rmse**2).sum() / (bound**2).sum())),
                "mean_se": np.nanmean(errors, axis=0).tolist(), "without_se": int(np.isnan(errors).any(1).sum()), "bias": (ours.mean(0) - true).tolist(),
            }
        )  # fmt: skip
    return entries


@cache
def _ld_scores(of: Study) -> tuple[ndarray, ndarray]:
    """1 and the annotations, and their LD scores: the same for all traits."""
    columns = np.column_stack([np.ones(len(of.clustered)), of.clustered])
    scores = np.zeros(columns.shape)
    for X, rows in of.X:
        R = X.T @ X / X.shape[0]
        scores[rows] = R**2 @ columns[rows]
    return columns, scores


def _fisher(of: Study, truth: ndarray, annotation: Annotations, draws: int = 10) -> ndarray:
    """Standard errors of enrichment from the mean information at the truth, by the delta method on draws."""
    A = np.column_stack([np.ones(truth.size), *[annotation.table[f"a{k}"].to_numpy() for k in range(3)]])
    total = 0.0
    for seed in range(draws):
        rng = np.random.default_rng([seed, 77])
        z = associations(of, rng, drawn(rng, truth))
        # directions of the additive model: d log F / d tau_k = a_k / F
        found = information_at(source(of, z, truth), A / truth[:, None])
        total = total + found
    covariance = np.linalg.inv(total / draws)[:-1, :-1]
    sums, M = A.T @ truth, A.sum(0)
    moved = A.T @ A  # d sums / d tau
    gradient = [(moved[k] / sums[0] - sums[k] * moved[0] / sums[0] ** 2) * M[0] / M[k] for k in range(1, 4)]
    return np.array([float(np.sqrt(g @ covariance @ g)) for g in gradient])


def information_at(start: PriorSource, directions: ndarray) -> ndarray:
    """Information at the prior itself."""
    pieces = pieces_at(start, np.ascontiguousarray(directions), np.zeros(directions.shape[1] + 1))
    assert pieces is not None
    return np.asarray(pieces.information.sum(0))


def score(of: Study, seed: int, strong: bool, count: int = 20) -> list[list[float]]:
    """z, model-based z and p of annotations without effect, in stretches or not, under a prior of the truth's shape."""
    size = of.x.size
    truth = 0.08 * np.exp(0.7 * of.x + 0.8 * of.clustered[:, 0])
    if strong:
        truth *= STRONG_LEVEL / truth.mean()
    rng = np.random.default_rng([seed, 5])
    start = source(of, associations(of, rng, drawn(rng, truth)), 0.6 * truth)
    null = {
        f"null{k}": (np.repeat(rng.random(size // 10 + 1) < 0.1, 10)[:size] if k % 2 else rng.random(size) < 0.05)
        for k in range(count)
    }
    tests = score_test(start, annotations(of, null)).tests
    return [[test.z for test in tests], [test.z_model for test in tests], [test.p for test in tests]]


def null_z(found: list[Any]) -> dict[str, Any]:
    """Root mean square of null z with its error over replicates, and the shares of p below 0.05 and of z beyond 1.96 on either side."""
    z, z_model, p = np.array(found).transpose(1, 0, 2)
    entry: dict[str, Any] = {"replicates": len(found), "tests": int(z.size)}
    for name, each, small in (("robust", z, p < 0.05), ("model", z_model, np.abs(z_model) > 1.96)):
        squares = (each**2).mean(1)  # of a replicate's tests, which share its associations
        rms = float(np.sqrt(squares.mean()))
        entry[name] = {
            "rms": rms, "rms_se": float(squares.std(ddof=1) / np.sqrt(len(squares)) / (2 * rms)), "below_0.05": float(small.mean()),
            "above_1.96": float((each > 1.96).mean()), "below_-1.96": float((each < -1.96).mean()),
        }  # fmt: skip
    return entry


PAIRS = {"rg 0.45, overlap 0.15": (0.45, 0.15), "rg 0, overlap 0.3": (0.0, 0.3)}


def correlation(of: Study, seed: int) -> list[list[Any]]:
    """Per pair of traits rg, its error, whether the interval holds the truth, residual covariance, significance, truth."""
    F1, F2 = 0.12 * np.exp(0.6 * of.x), 0.08 * np.exp(0.4 * of.x)
    rows = []
    for rho, overlap in PAIRS.values():
        true = rho * np.sqrt(F1 * F2).sum() / np.sqrt(F1.sum() * F2.sum())
        rng = np.random.default_rng([seed, 45])
        one, other = rng.standard_normal((2, F1.size))
        people = of.X[0][0].shape[0]
        shared, first, second = rng.standard_normal((3, len(of.X), people))
        noise = [np.sqrt(overlap) * shared + np.sqrt(1 - overlap) * own for own in (first, second)]
        effects = [np.sqrt(F1) * one, np.sqrt(F2) * (rho * one + np.sqrt(1 - rho**2) * other)]
        z = [associations(of, rng, b, e) for b, e in zip(effects, noise, strict=True)]
        result = genetic_correlation(paired(source(of, z[0], 0.5 * F1), source(of, z[1], 2 * F2)))
        whole = result.whole
        assert whole.ci95 is not None
        within = bool(whole.ci95[0] <= true <= whole.ci95[1])
        significant = whole.p is not None and whole.p < 0.05
        rows.append([whole.rg, whole.se, within, result.gcov_intercept[0], significant, float(true)])
    return rows


def covered_correlation(found: list[Any]) -> dict[str, Any]:
    """Coverage of rg."""
    entries = {}
    for place, name in enumerate(PAIRS):
        rows = [each[place] for each in found]
        values, errors = (np.array([row[k] for row in rows], dtype=np.float64) for k in (0, 1))
        truth = rows[0][5]
        entries[name] = {
            "replicates": len(rows), "truth": truth, "mean": float(values.mean()), "sd": float(values.std(ddof=1)),
            "mean_se": float(errors.mean()), "covered": float(np.mean([row[2] for row in rows])),
            "z_rms": float(np.sqrt(np.mean(((values - truth) / errors) ** 2))),
            "residual_covariance": float(np.mean([row[3] for row in rows])),
            "significant": float(np.mean([row[4] for row in rows])),
        }  # fmt: skip
    return entries


def height(demo: Path) -> dict[str, Any]:
    """The table of the demo's linear run on real height, chromosome 22."""
    from varfx.annotations import read_annotations
    from varfx.prior.heritability import source_of_run

    annotation = read_annotations(demo / "chr22.annot.parquet")
    result = heritability(source_of_run(demo / "linear"), annotation)
    kept = result.to_dict()
    names = (
        "name",
        "prop_snps",
        "h2",
        "h2_se",
        "enrichment",
        "enrichment_se",
        "enrichment_p",
        "tau_star",
        "tau_star_se",
    )
    kept["annotations"] = [{name: each[name] for name in names} for each in kept["annotations"]]
    return {
        name: kept[name] for name in ("h2", "h2_se", "sigma2", "sigma2_se", "n_windows", "annotations", "top", "notes")
    }


def replicate(of: Study, part: str, seed: int) -> list[Any]:
    """The rows of one replicate."""
    kind, strong = part.removeprefix(STRONG), part.startswith(STRONG)
    if kind in COVERAGE:
        return covered(of, seed, kind, strong)
    if kind == "score":
        return score(of, seed, strong)
    return {"enrichment": enrichment, "rg": correlation}[part](of, seed)


def summary(of: Study, part: str, rows: list[Any]) -> Any:
    """What the replicates say together."""
    kind = part.removeprefix(STRONG)
    if kind in COVERAGE:
        return coverage(rows)
    if part == "enrichment":
        return errors_of_enrichment(of, rows)
    return null_z(rows) if kind == "score" else covered_correlation(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--demo", type=Path, default=Path("varfx-demo"))
    parts = (*COVERAGE, "score", *(f"{STRONG}{kind}" for kind in (*COVERAGE, "score")), "enrichment", "rg", "height")
    parser.add_argument("--part", choices=parts, required=True)
    parser.add_argument("--replicates", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=1e9, help="processor time after which to stop; rows are kept")
    parser.add_argument("--per-window", type=int, default=60, help="variants per 250 kb")
    parser.add_argument("--scratch", type=Path, default=Path("build/heritability"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/heritability.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.part == "height":
        found: Any = height(options.demo)
    else:
        flank = STRONG_FLANK if options.part.startswith(STRONG) else 0
        of = study(options.data, options.scratch, flank, options.per_window)
        kept = options.scratch / f"{options.part}-{options.per_window}.json"
        rows = json.loads(kept.read_text()) if kept.is_file() else []
        while len(rows) < options.replicates and time.process_time() < options.seconds:
            rows.append(replicate(of, options.part, len(rows)))
            kept.write_text(json.dumps(rows))
        print(options.part, len(rows), f"{time.process_time():.0f} s", flush=True)
        found = summary(of, options.part, rows)
    record = json.loads(options.out.read_text()) if options.out.is_file() else {"machine": machine()}
    record[options.part] = found
    options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
