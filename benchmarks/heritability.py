"""Heritability, enrichment, score tests and genetic correlation on simulated traits with known truth, and on real height.

    python benchmarks/heritability.py --data ../shared/data --part coverage
    python benchmarks/heritability.py --data ../shared/data --part neighbours
    python benchmarks/heritability.py --data ../shared/data --part enrichment
    python benchmarks/heritability.py --data ../shared/data --part score
    python benchmarks/heritability.py --data ../shared/data --part rg
    python benchmarks/heritability.py --demo varfx-demo --part height

LD is that of `polypred` (489 Europeans, 1 Mb of each autosome): 60 variants of minor-allele frequency above 5 % per 250 kb. Traits are
drawn from the genotypes themselves, window by window; in `neighbours` chromosome by chromosome, so that neighbouring windows share effects
and noise as they do in a GWAS, in windows with flanks of 1 Mb. Per replicate:

- coverage: of 95 % intervals of h2 and of enrichment, for a constant, a linear and a black-box prior (which has a wrong level and knows
  no annotation);
- enrichment: root mean square error for three overlapping annotations beside stratified LD score regression on the same associations,
  and beside the Fisher information at the truth;
- score: z of annotations without effect;
- rg: coverage of the genetic correlation's interval.

Each part adds its key to the output file.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
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
from varfx.ld import LDPanel, PanelConfig, build_panel
from varfx.prior.correlation import genetic_correlation, paired
from varfx.prior.heritability import HeritabilityConfig, PriorSource, heritability, score_test
from varfx.prior.heritability.calibrate import pieces_at
from varfx.prior.heritability.source import OwnDirections
from varfx.prior.ldsc import regress_chi2
from varfx.prior.ldsc_config import LDSCConfig
from varfx.training import TraitData, WindowData

N, CORE, PER_WINDOW = 100_000.0, 250_000, 60
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


def study(data: Path, folder: Path, flank: int = 0) -> Study:
    """Writes thinned genotypes of all autosomes, and builds their panel; without flanks windows are independent."""
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
                rng.choice(common[cell == c], min(PER_WINDOW, int((cell == c).sum())), replace=False)
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
    panel = build_panel(source, folder / "P.ld.zarr", config, workers=1, inputs=[folder / "thin.bed"])
    for name in ("window", "rows"):  # read once for all replicates
        object.__setattr__(panel, name, cache(getattr(panel, name)))
    chrom = panel.variants["chrom"].to_numpy()
    by_id = {sid: column for column, sid in enumerate(ids["sid"])}
    order = [by_id[sid] for sid in panel.variants["variant_id"]]
    G = np.hstack(kept)[:, order]
    counted = np.array(ids["allele_1"])[order] == panel.variants["effect_allele"].to_numpy()
    X = np.where(counted, 1, -1) * (G - G.mean(0)) / G.std(0)
    groups = [np.flatnonzero(chrom == str(c)) for c in range(1, 23)]
    if not flank:
        groups = [panel.rows(index)[0] for index in range(len(panel.cores))]
    size = panel.variants.height
    clustered = np.column_stack(
        [np.repeat(rng.random(size // 10 + 1) < share, 10)[:size] for share in (0.15, 0.1, 0.25)]
    )
    return Study(panel, [(X[:, rows], rows) for rows in groups], clustered.astype(float), rng.standard_normal(size))


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


def neighbours(of: Study, replicates: int) -> dict[str, Any]:
    """Coverage where neighbouring windows depend on each other."""
    return coverage(of, replicates, kinds=("network",))


def coverage(of: Study, replicates: int, kinds: Sequence[str] = ("constant", "linear", "network")) -> dict[str, Any]:
    """Coverage of h2 and enrichment per kind of prior."""
    a, x = of.clustered[:, 0], of.x
    eaf = of.panel.variants["eaf"].to_numpy()
    log_p = np.log(4 * eaf * (1 - eaf))[:, None]
    standard = np.column_stack([(a - a.mean()) / a.std(), x])
    none = np.ones(a.size)
    shape = np.exp(0.8 * x + 1.2 * a + 0.5 * a * x)
    cases: dict[str, tuple[ndarray, ndarray, OwnDirections | None]] = {
        "constant": (none * 0.1, none * 0.08, _own(("alpha",), log_p, none)),
        "linear": (
            0.06 * np.exp(0.7 * standard[:, 0] + 0.4 * x), 0.1 * np.exp(0.3 * standard[:, 0] + 0.2 * x),
            _own(("alpha", "a", "x"), np.hstack([log_p, standard]), none),
        ),
        "network": (0.06 * shape, 0.05 * np.exp(0.5 * x + 0.3 * np.tanh(x)), None),
    }  # fmt: skip
    annotation = annotations(of, {"a": a})
    found = {}
    for name in kinds:
        truth, prior, own = cases[name]
        rows = []
        for seed in range(replicates):
            rng = np.random.default_rng([seed, 21])
            start = source(of, associations(of, rng, drawn(rng, truth)), prior, own)
            for se in ("jackknife", "sandwich"):
                top = (0.1,) if se == "jackknife" else ()
                result = heritability(start, annotation, HeritabilityConfig(se=se, top=top))  # type: ignore[arg-type]
                assert result.annotations[0].enrichment is not None
                for what, estimate, true in (
                    ("h2", result.h2, truth.sum() / N),
                    ("enrichment", result.annotations[0].enrichment, enrichment_of(truth, a)),
                    *(("top 10 %", each.enrichment, _top(truth, prior)) for each in result.top),
                ):
                    assert estimate.ci95 is not None
                    low, high = estimate.ci95
                    rows.append((se, what, estimate.value, estimate.se, low <= true <= high, true))
        found[name] = _summary(rows)
        print(name, found[name], flush=True)
    return found


def _own(names: tuple[str, ...], values: ndarray, slope: ndarray) -> OwnDirections:
    return OwnDirections(names=names, values=values, coefficients=np.zeros(len(names)), slope=slope)


def _top(truth: ndarray, prior: ndarray) -> float:
    order = np.argsort(-prior, kind="stable")[: int(np.ceil(0.1 * truth.size))]
    return float(truth[order].sum() / truth.sum() * truth.size / order.size)


def _summary(rows: list[tuple[str, str, float, float, bool, float]]) -> list[dict[str, Any]]:
    entries = []
    for se, what in dict.fromkeys((row[0], row[1]) for row in rows):
        chosen = [row for row in rows if row[:2] == (se, what)]
        values, errors, truth = np.array([row[2] for row in chosen]), np.array([row[3] for row in chosen]), chosen[0][5]
        entries.append(
            {
                "se": se, "what": what, "replicates": len(chosen), "truth": truth, "mean": float(values.mean()),
                "sd": float(values.std(ddof=1)), "mean_se": float(errors.mean()),
                "covered": float(np.mean([row[4] for row in chosen])),
                "z_rms": float(np.sqrt(np.mean(((values - truth) / errors) ** 2))),
            }
        )  # fmt: skip
    return entries


def enrichment(of: Study, replicates: int) -> list[dict[str, Any]]:
    """RMSE of three enrichments, ours and of stratified LD score regression, at three levels of N f."""
    A = of.clustered
    size = A.shape[0]
    columns = np.column_stack([np.ones(size), A])
    ld = _ld_scores(of, columns)
    overlap = AnnotationOverlap(matrix=columns.T @ columns, num_variants=float(size))
    annotation = annotations(of, {f"a{k}": A[:, k] for k in range(3)})
    entries = []
    for level in LEVELS:
        truth = 1 + A @ [3.0, 1.5, 0.5]  # additive, as S-LDSC assumes
        truth *= level / truth.mean()
        true = np.array([enrichment_of(truth, a) for a in A.T])
        ours, theirs, errors = [], [], []
        for seed in range(replicates):
            rng = np.random.default_rng([seed, int(level * 1000)])
            z = associations(of, rng, drawn(rng, truth))
            result = heritability(source(of, z, np.full(size, level)), annotation, HeritabilityConfig(top=()))
            ours.append([each.enrichment.value for each in result.annotations if each.enrichment])
            errors.append([each.enrichment.se for each in result.annotations if each.enrichment])
            sldsc = regress_chi2(
                z**2, np.full(size, N), ld, ld[:, 0], columns.sum(0), names=("base", "a0", "a1", "a2"),
                config=LDSCConfig(num_blocks=len(of.panel.cores)), overlap=overlap,
            )  # fmt: skip
            theirs.append([each.enrichment for each in sldsc.annotations[1:]])
        bound = _fisher(of, truth, annotation)
        rmse, other = (np.sqrt(np.mean((np.array(each) - true) ** 2, axis=0)) for each in (ours, theirs))
        entry = {
            "mean_Nf": level, "replicates": replicates, "truth": true.tolist(), "rmse": rmse.tolist(),
            "rmse_sldsc": other.tolist(), "median_error_sldsc": np.median(np.abs(np.array(theirs) - true), axis=0).tolist(),
            "median_error": np.median(np.abs(np.array(ours) - true), axis=0).tolist(),
            "ratio": float(np.sqrt((rmse**2).sum() / (other**2).sum())),
            "fisher": bound.tolist(), "rmse_over_fisher": float(np.sqrt((rmse**2).sum() / (bound**2).sum())),
            "mean_se": np.mean(np.array(errors), axis=0).tolist(), "bias": (np.mean(ours, axis=0) - true).tolist(),
        }  # fmt: skip
        entries.append(entry)
        print(entry, flush=True)
    return entries


def _ld_scores(of: Study, columns: ndarray) -> ndarray:
    scores = np.zeros(columns.shape)
    for X, rows in of.X:
        R = X.T @ X / X.shape[0]
        scores[rows] = R**2 @ columns[rows]
    return scores


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


def score(of: Study, replicates: int, count: int = 20) -> dict[str, Any]:
    """z of annotations without effect, in stretches or not, under a prior that holds the truth's shape."""
    size = of.x.size
    truth = 0.08 * np.exp(0.7 * of.x + 0.8 * of.clustered[:, 0])
    z: list[list[float]] = []
    model: list[list[float]] = []
    for seed in range(replicates):
        rng = np.random.default_rng([seed, 5])
        start = source(of, associations(of, rng, drawn(rng, truth)), 0.6 * truth)
        null = {
            f"null{k}": (np.repeat(rng.random(size // 10 + 1) < 0.1, 10)[:size] if k % 2 else rng.random(size) < 0.05)
            for k in range(count)
        }
        tests = score_test(start, annotations(of, null)).tests
        z.append([test.z for test in tests])
        model.append([test.z_model for test in tests])
    found = {
        name: {
            "rms": float(np.sqrt(np.mean(np.square(values)))),
            "beyond_1.96": float(np.mean(np.abs(values) > 1.96)),
            "tests": int(np.size(values)),
        }
        for name, values in (("robust", z), ("model", model))
    }
    print(found, flush=True)
    return found


def correlation(of: Study, replicates: int) -> dict[str, Any]:
    """Coverage of rg with shared individuals, and with none but the noise."""
    found = {}
    for name, rho, overlap in (("rg 0.45, overlap 0.15", 0.45, 0.15), ("rg 0, overlap 0.3", 0.0, 0.3)):
        rows = []
        F1, F2 = 0.12 * np.exp(0.6 * of.x), 0.08 * np.exp(0.4 * of.x)
        true = rho * np.sqrt(F1 * F2).sum() / np.sqrt(F1.sum() * F2.sum())
        for seed in range(replicates):
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
            rows.append(
                (
                    whole.rg,
                    whole.se,
                    whole.ci95[0] <= true <= whole.ci95[1],
                    result.gcov_intercept[0],
                    abs(whole.z or 0) > 1.96,
                )
            )
        values, errors = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
        found[name] = {
            "replicates": replicates, "truth": float(true), "mean": float(values.mean()), "sd": float(values.std(ddof=1)),
            "mean_se": float(errors.mean()), "covered": float(np.mean([row[2] for row in rows])),
            "z_rms": float(np.sqrt(np.mean(((values - true) / errors) ** 2))),
            "residual_covariance": float(np.mean([row[3] for row in rows])),
            "significant": float(np.mean([row[4] for row in rows])),
        }  # fmt: skip
        print(name, found[name], flush=True)
    return found


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--demo", type=Path, default=Path("varfx-demo"))
    parser.add_argument(
        "--part", choices=("coverage", "neighbours", "enrichment", "score", "rg", "height"), required=True
    )
    parser.add_argument("--replicates", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/heritability.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.process_time()
    parts: dict[str, Callable[[Study, int], Any]] = {
        "coverage": coverage, "neighbours": neighbours, "enrichment": enrichment, "score": score, "rg": correlation,
    }  # fmt: skip
    if options.part == "height":
        found: Any = height(options.demo)
    else:
        with tempfile.TemporaryDirectory() as folder:
            of = study(options.data, Path(folder), flank=1_000_000 if options.part == "neighbours" else 0)
            found = parts[options.part](of, options.replicates)
    record = json.loads(options.out.read_text()) if options.out.is_file() else {"machine": machine()}
    record[options.part] = found
    record.setdefault("processor_seconds", {})[options.part] = round(time.process_time() - started)
    options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
