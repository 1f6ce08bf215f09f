"""One trait in several ancestries on the LD of three continents: joint fits beside single ones, with known truth.

    python benchmarks/ancestries.py --data ../shared/data --scratch scratch --replicates 4

Genotypes are chr22 of 1000 Genomes phase 1 (379 Europeans, 286 East Asians, 246 Africans; variants of minor-allele frequency above 5 % in the
continent, cores and flanks of 1 Mb). log f is a sum of annotations (intervals and numbers per position, half of them without effect), the same in all
continents, but for the level: h2 of --h2 on the chromosome in each. Effects of a variant that is in several panels have correlation --rho. z is drawn with each
continent's LD, core by core. Two designs:

- equal: N 100,000 in EUR, EAS and AFR: RMSE of log f and held-out gain, each ancestry alone and in the joint fit;
- small: EUR 400,000 and AFR 20,000: R2 of the African score with the African genetic values, by weights of the African GWAS alone, with the joint f,
  with effects correlated across ancestries, META, and the European weights.

Finished replicates are kept in --scratch: an interrupted run, or one with --seconds, goes on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from bed_reader import to_bed
from cyvcf2 import VCF
from numpy import ndarray

from _measure import machine
from varfx.annotations import Annotations
from varfx.genotypes.open_ld import open_source
from varfx.gwas.sumstats import SCHEMA, SumStats
from varfx.ld import LDPanel, PanelConfig, build_panel, open_panel
from varfx.prior import AncestryRun, Run, SplitConfig, evaluate, fit, fit_ancestries, predict, weights
from varfx.prior.ancestries import ancestry_weights
from varfx.prior.ancestries.union import Union, union_of
from varfx.prior.effects import EffectsConfig
from varfx.training import TrainConfig

CONTINENTS = ("AFR", "EAS", "EUR")
SLOPES = (1.5, 1.0, -1.2, 0.8, 0.5, 0.5, 0, 0, 0, 0, 0, 0)  # of log f by annotation
INTERVALS = (0, 1, 2, 3, 6, 7, 8, 9)  # annotations that are 0 or 1; the others are normal numbers
TRAINING = TrainConfig(max_steps=500, check_every=50, start_windows=8, learning_rate=0.01, warmup_steps=20)
DESIGNS = {"small": {"AFR": 20_000.0, "EUR": 400_000.0}, "equal": dict.fromkeys(CONTINENTS, 100_000.0)}
NORMAL = EffectsConfig(effects="normal")


@dataclass(frozen=True, eq=False)
class Continent:
    """A panel, its standardised genotypes and annotations."""

    panel: LDPanel
    X: ndarray
    channels: ndarray
    annotations: Path


def material(data: Path, scratch: Path) -> dict[str, Continent]:
    """The panels of all continents and annotations of their variants; built once."""
    population = pl.read_csv(data / "genotypes" / "populations.tsv", separator="\t")
    vcf = VCF(str(data / "genotypes" / "1KG_phase1_release_v3_chr22.1092.vcf.gz"), gts012=True)
    continent = dict(zip(population[population.columns[0]], population["superpopulation"], strict=True))
    of = np.array([continent.get(name, "") for name in vcf.samples])
    rows, counts = [], []
    for record in vcf:
        if (
            len(record.ALT) == 1
            and {*record.REF, *record.ALT[0]} <= set("ACGT")
            and len(record.REF) == len(record.ALT[0]) == 1
        ):
            rows.append((record.POS, record.REF, record.ALT[0]))
            counts.append(record.gt_types.astype(np.int8))
    dosage = np.array(counts, dtype=np.float32).T
    position = np.array([row[0] for row in rows])
    found = {}
    for name in CONTINENTS:
        own = dosage[of == name]
        p = own.mean(0) / 2
        kept = (np.minimum(p, 1 - p) > 0.05) & (own < 3).all(0)
        kept[1:] &= np.diff(position) > 0
        prefix = scratch / f"{name}.bed"
        if not (scratch / f"{name}.ld.zarr").exists():
            properties = {
                "chromosome": np.full(kept.sum(), "22"), "bp_position": position[kept],
                "sid": np.array([f"22:{row[0]}" for row, keep in zip(rows, kept, strict=True) if keep]),
                "allele_1": np.array([row[2] for row, keep in zip(rows, kept, strict=True) if keep]),
                "allele_2": np.array([row[1] for row, keep in zip(rows, kept, strict=True) if keep]),
            }  # fmt: skip
            to_bed(prefix, own[:, kept], properties=properties, num_threads=1)
            config = PanelConfig(rank_variance=0.99)
            build_panel(open_source([prefix], maf=0.0), scratch / f"{name}.ld.zarr", config, workers=1, inputs=[prefix])
        panel = open_panel(scratch / f"{name}.ld.zarr")
        X = own[:, kept]
        assert panel.variants.height == kept.sum()
        found[name] = Continent(
            panel, (X - X.mean(0)) / X.std(0), annotate(panel), annotation_file(panel, scratch, name)
        )
    return found


def annotate(panel: LDPanel) -> ndarray:
    """Annotations by position alone, so that they are the same in all panels: (variant, channel)."""
    rng = np.random.default_rng(1)
    position = panel.variants["position"].to_numpy()
    tiles = 52_000_000 // 5_000
    columns = []
    for number in range(len(SLOPES)):
        if number in INTERVALS:
            columns.append((rng.random(tiles) < 0.12)[position // 5_000].astype(float))
        else:
            columns.append(rng.standard_normal(tiles * 10)[position // 500])
    return np.array(columns).T


def annotation_file(panel: LDPanel, scratch: Path, name: str) -> Path:
    """The annotations of a panel as a file."""
    path = scratch / f"{name}.annot.parquet"
    key = ("chrom", "position", "variant_id", "effect_allele", "other_allele")
    channels = {f"channel{i}": pl.Series(column, dtype=pl.Float32) for i, column in enumerate(annotate(panel).T)}
    Annotations(table=panel.variants.select(key).with_columns(**channels)).write(path)
    return path


def product(continent: Continent, effects: ndarray) -> ndarray:
    """R times effects, core by core with the flanks alone."""
    result = np.zeros_like(effects)
    for index in range(len(continent.panel.cores)):
        core, rows = continent.panel.rows(index)
        X = continent.X
        result[core] = X[:, core].T @ (X[:, rows] @ effects[rows]) / len(X)
    return result


def draw(
    continents: Mapping[str, Continent], union: Union, rng: np.random.Generator, h2: float, rho: float
) -> dict[str, tuple[ndarray, ndarray]]:
    """f and effects per continent."""
    shared = rng.standard_normal(union.variants.height)
    found = {}
    for name, each in continents.items():
        f = np.exp(each.channels @ np.array(SLOPES))
        f *= h2 / f.sum()
        own = rng.standard_normal(f.size)
        place = np.full(f.size, -1)
        place[union.rows[name][union.rows[name] >= 0]] = np.flatnonzero(union.rows[name] >= 0)
        found[name] = f, np.sqrt(f) * (np.sqrt(rho) * shared[place] + np.sqrt(1 - rho) * own)
    return found


def gwas(continent: Continent, effects: ndarray, n: float, rng: np.random.Generator, path: Path) -> Path:
    """Summary statistics of a GWAS of n individuals with the panel's LD."""
    noise = continent.X.T @ rng.standard_normal(len(continent.X)) / np.sqrt(len(continent.X))
    table = continent.panel.variants.with_columns(
        z=pl.Series(np.sqrt(n) * product(continent, effects) + noise), n=pl.lit(n), info=pl.lit(None, pl.Float64)
    )
    SumStats(table=table.select(*SCHEMA), trait="trait").write(path)
    return path


def rmse(run: Run, f: ndarray) -> float:
    """Root mean square error of log f over the panel's variants."""
    return float(np.sqrt(np.mean((np.log(predict(run)["f"].to_numpy()) - np.log(f)) ** 2)))


def squared_correlation(continent: Continent, weights: ndarray, effects: ndarray) -> float:
    """R2 of a score with the genetic values, with the LD of the GWAS."""
    image = product(continent, weights)
    return float((image @ effects) ** 2 / ((image @ weights) * (product(continent, effects) @ effects)))


def fits(
    continents: Mapping[str, Continent],
    n: Mapping[str, float],
    drawn: Mapping[str, tuple[ndarray, ndarray]],
    seed: int,
    folder: Path,
) -> tuple[AncestryRun, dict[str, Run], dict[str, float]]:
    """The joint fit, the single ones, and seconds of each."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    sums = {
        name: gwas(continents[name], drawn[name][1], size, rng, folder / f"{name}.sumstats.parquet")
        for name, size in n.items()
    }
    split = SplitConfig(holdout_fraction=0.3, validation_fraction=0.15, seed=seed)
    options: dict[str, Any] = {"model": "linear", "training": TRAINING, "split": split}
    began, seconds, single = time.process_time(), {}, {}
    panels = {name: continents[name].panel.path for name in n}
    annotations = {name: continents[name].annotations for name in n}
    joint = fit_ancestries(panels, sums, folder / "JOINT", annotations=annotations, **options)
    seconds["joint"] = time.process_time() - began
    for name in n:
        began = time.process_time()
        single[name] = fit(panels[name], sums[name], folder / name, annotations=annotations[name], **options)
        seconds[name] = time.process_time() - began
    return joint, single, seconds


def compared(
    joint: AncestryRun, single: Mapping[str, Run], drawn: Mapping[str, tuple[ndarray, ndarray]]
) -> dict[str, Any]:
    """RMSE of log f and held-out gain per ancestry, joint and alone."""
    found = {}
    for name, alone in single.items():
        member = joint.members[name]
        held = set(member.record["split"]["holdout"])
        mine = evaluate(member, device="cpu")
        other = evaluate(alone, device="cpu")
        gains = [
            {row["window"]: row["gain"] for row in each.windows if row["window"] in held} for each in (mine, other)
        ]
        both = gains[0].keys() & gains[1].keys()
        found[name] = {
            "rmse_joint": rmse(member, drawn[name][0]), "rmse_alone": rmse(alone, drawn[name][0]),
            "gain_joint": sum(gains[0][window] for window in both), "gain_alone": sum(gains[1][window] for window in both),
            "gain_constant": mine.traits[0]["constant"]["gain"],
        }  # fmt: skip
    return found


def scores(
    continents: Mapping[str, Continent],
    joint: AncestryRun,
    single: Mapping[str, Run],
    drawn: Mapping[str, tuple[ndarray, ndarray]],
) -> dict[str, Any]:
    """R2 of African scores with African genetic values."""
    target, effects = continents["AFR"], drawn["AFR"][1]
    alone = weights(single["AFR"], effects=NORMAL, device="cpu")["beta"].to_numpy()
    found: dict[str, Any] = {"alone": squared_correlation(target, alone, effects)}
    best = ancestry_weights(joint, device="cpu")
    apart = ancestry_weights(joint, rho=0, device="cpu")
    order = union_of({name: continents[name].panel.variants for name in joint.members})
    rows = order.rows["AFR"]

    def on_panel(table: pl.DataFrame, column: str) -> ndarray:
        spread = np.sqrt(2 * table["eaf.AFR"] * (1 - table["eaf.AFR"]))
        values = (table[column] * spread if column.startswith("weight") else table[column]).fill_null(0.0).to_numpy()
        result = np.zeros(target.panel.variants.height)
        result[rows[rows >= 0]] = (values * order.signs["AFR"])[rows >= 0]
        return result

    for name, table, column in (
        ("joint_f", apart.table, "beta.AFR"), ("joint_f_meta", apart.table, "weight.META"), ("european_weights", apart.table, "weight.EUR"),
        ("rho", best.table, "beta.AFR"), ("rho_meta", best.table, "weight.META"),
    ):  # fmt: skip
        found[name] = squared_correlation(target, on_panel(table, column), effects)
    found["rho_estimate"], found["rho_se"] = best.correlations[0]["rho"], best.correlations[0]["se"]
    return found


def replicate(
    continents: Mapping[str, Continent], seed: int, design: str, options: argparse.Namespace
) -> dict[str, Any]:
    """One design once."""
    union = union_of({name: each.panel.variants for name, each in continents.items()})
    drawn = draw(continents, union, np.random.default_rng([seed, 1]), options.h2, options.rho)
    folder = options.scratch / f"replicate{seed}" / design
    shutil.rmtree(folder, ignore_errors=True)
    joint, single, seconds = fits(continents, DESIGNS[design], drawn, seed, folder)
    result: dict[str, Any] = {**compared(joint, single, drawn), "seconds": seconds}
    if design == "small":
        began = time.process_time()
        result["scores"] = scores(continents, joint, single, drawn)
        result["seconds"]["scores"] = time.process_time() - began
    shutil.rmtree(folder)
    return result


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard error of every number over replicates."""

    def leaves(value: Any, name: str = "") -> dict[str, float]:
        if isinstance(value, dict):
            return {
                key: number for part, each in value.items() for key, number in leaves(each, f"{name}.{part}").items()
            }
        return {} if value is None else {name.removeprefix("."): float(value)}

    flat = [leaves(each) for each in results]
    return {
        name: {
            "mean": float(np.mean([each[name] for each in flat if name in each])),
            "se": float(np.std([each[name] for each in flat if name in each], ddof=1) / np.sqrt(len(flat)))
            if len(flat) > 1
            else None,
        }
        for name in flat[0]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--replicates", type=int, default=4)
    parser.add_argument("--h2", type=float, default=0.05)
    parser.add_argument("--rho", type=float, default=0.8)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no replicate after so many")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "ancestries.json")
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    continents = material(options.data, options.scratch)
    results: dict[str, list[dict[str, Any]]] = {design: [] for design in DESIGNS}
    for seed in range(options.replicates):
        for design, found in results.items():
            kept = options.scratch / f"{design}{seed}.json"
            if not kept.exists() and time.monotonic() - began < options.seconds:
                kept.write_text(json.dumps(replicate(continents, seed, design, options)))
            if kept.exists():
                found.append(json.loads(kept.read_text()))
    panels = {
        name: {"variants": each.panel.variants.height, "individuals": len(each.X)} for name, each in continents.items()
    }
    record = {
        "machine": machine(), "h2": options.h2, "rho": options.rho, "panels": panels,
        "replicates": {design: len(found) for design, found in results.items()},
        "summary": {design: summary(found) for design, found in results.items() if found}, "results": results,
    }  # fmt: skip
    options.out.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record["summary"], indent=1))


if __name__ == "__main__":
    main()
