"""What linear models of real expression are good for: motifs, states, fine-mapped eQTLs, height, and another population.

    python benchmarks/expr_real.py --data ../shared/data --work build/expr_real --out benchmarks/results/expr_real.json

GEUVADIS (lymphoblastoid cells) on chromosome 22, two cohorts: `thinned`, 330 individuals with a thinned VCF and windows of 49,152 bases;
`dense`, 344 individuals with PLINK files of 20 to 21 Mb and windows of 131,072 bases. Each part is kept in the working folder, so that
an interrupted run goes on (`--parts` names some). The eQTL leads were found in these very individuals, with whom the models share
their noise: their evaluation says how well scores find the leads, not how well they find causes.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from _measure import machine
from varfx.demos.download import fetch_demo_data
from varfx.errors import HarmonisationError
from varfx.expression.cohort.config import PrepareConfig, PrepareFiles, SplitConfig
from varfx.expression.cohort.prepare import prepare
from varfx.expression.cohort.store import open_cohort
from varfx.expression.evaluate import evaluate
from varfx.expression.evaluation_config import EvaluationConfig
from varfx.expression.explain.config import ExplainConfig
from varfx.expression.explain.explain import explain_variants, write_explained
from varfx.expression.linear.config import BaselineConfig
from varfx.expression.linear.run import fit_baselines
from varfx.expression.twas.config import ExportConfig, TwasConfig
from varfx.expression.twas.export import export_weights
from varfx.expression.twas.twas import twas
from varfx.genotypes.open_ld import open_source
from varfx.gwas.clean import clean
from varfx.ld import PanelConfig, build_panel

MODELS = ("elastic-net", "blup", "informed-blup")
DENSE_MODELS = ("blup", "informed-blup")  # an elastic net takes a minute a gene and fold there
DENSE = {"window": 131_072, "gene_types": ("protein_coding", "lincRNA", "antisense", "pseudogene")}
STATES = {
    "blood ATAC": "annotations/hemePeaks.bed.gz",
    "neuron H3K27ac": "annotations/derived_neu_H3K27ac_hg19.bed.gz",
    "astrocyte H3K27ac": "annotations/derived_astro_H3K27ac_hg19.bed.gz",
    "oligodendrocyte H3K27ac": "annotations/derived_olig_H3K27ac_hg19.bed.gz",
    "microglia H3K27ac": "annotations/derived_mgl_H3K27ac_hg19.bed.gz",
    "transcription factors": "annotations/TFs.encode.bed.gz",
    "CTCF motif": "annotations/derived_CTCF_motifs_hg19.bed.gz",
    "CpG island": "annotations/CpGIsland.hg19.bed.gz",
    "TSS 2 kb": "annotations/RefSeqTSS2kb.hg19.bed.gz",
}
PRIOR_BEDS = ("blood ATAC", "microglia H3K27ac")
LEAD_P = 0.05  # adjusted, of leads that are taken for fine-mapped
HELD_OUT = "TSI"


def models_of(name: str) -> tuple[str, ...]:
    """Models fitted in a cohort."""
    return DENSE_MODELS if name == "dense" else MODELS


class Study:
    """Inputs, and the working folder."""

    def __init__(self, data: Path, work: Path) -> None:
        self.data, self.work = data, work
        work.mkdir(parents=True, exist_ok=True)

    def files(self, genotypes: str, **more: Path) -> PrepareFiles:
        """Inputs of a cohort."""
        return PrepareFiles(
            genotypes=(self.data / genotypes,),
            reference=self.data / "reference/derived_GRCh37_chr22_1-22000000.fa.gz",
            gtf=self.data / "genes/gencode.v19.annotation.chr22.gtf.gz",
            expression=self.data / "expression/genes.50percent.chr22.bed.gz",
            covariates=self.data / "expression/genes.covariates.pc50.txt.gz",
            **more,
        )

    def cohort(self, name: str) -> Path:
        """A cohort, made if it is not there."""
        path = self.work / name
        if path.is_dir():
            return path
        if name == "dense":
            split = SplitConfig(heldout_fraction=0.0)
            prepare(
                self.files("gwas/polypred/1000G.subset.22.bed"),
                path,
                PrepareConfig(**DENSE, split=split, on_mismatch="drop"),
            )
        else:
            more = {} if name == "thinned" else {"people": self._people(name)}
            prepare(self.files("genotypes/1KG_phase1_release_v3_chr22.1092.vcf.gz", **more), path, PrepareConfig())
        return path

    def run(self, name: str) -> Path:
        """Linear models of a cohort, fitted if they are not there."""
        path = self.work / f"{name}.run"
        if not (path / "manifest.json").is_file():
            beds = [f"{each.replace(' ', '_')}={self.data / STATES[each]}" for each in PRIOR_BEDS]
            fit_baselines(
                self.cohort(name), path, BaselineConfig(models=models_of(name)), beds=beds, workers=1, resume=True
            )
        return path

    def _people(self, name: str) -> Path:
        """A list of the individuals with (`target`) or without the held-out population."""
        table = pl.read_csv(self.data / "genotypes/populations.tsv", separator="\t")
        inside = pl.col("population") == HELD_OUT
        path = self.work / f"{name}.people.txt"
        path.write_text(
            "".join(f"{person}\n" for person in table.filter(inside if name == "target" else ~inside)["individual"])
        )
        return path


def leads(study: Study, cohort: Path) -> Path:
    """Lead eQTLs as a table of fine-mapped variants: pip 1; alleles are those of the cohort at the position."""
    names = "gene chrom start end strand variants distance lead lead_chrom lead_start lead_end df dummy shape1 shape2 p slope empirical adjusted"
    with gzip.open(study.data / "expression/results.genes.full.txt.gz", "rt") as file:
        rows = [line.split() for line in file]
    table = pl.DataFrame(rows, schema=names.split(), orient="row").filter(pl.col("chrom") == "22")
    known = open_cohort(cohort).variants.unique("position", keep="none")
    joined = (
        table.select(
            gene_id=pl.col("gene").str.split(".").list.first(),
            position=pl.col("lead_start").cast(pl.Int64),
            beta=pl.col("slope").cast(pl.Float64),
            adjusted=pl.col("adjusted").cast(pl.Float64, strict=False),
        )
        .filter(pl.col("adjusted") < LEAD_P)
        .join(known, on="position", how="inner")
    )
    path = study.work / f"{cohort.name}.leads.tsv"
    joined.select(
        "gene_id", "chrom", "position", pl.col("other_allele").alias("ref"), pl.col("effect_allele").alias("alt"), "beta",
        pip=pl.lit(1.0),
    ).write_csv(path, separator="\t")  # fmt: skip
    return path


def scores(study: Study, name: str) -> dict[str, Any]:
    """Means of the models' scores on test individuals."""
    found = evaluate([study.run(name)], EvaluationConfig(heritability=False))
    return {
        "models": found.models,
        "differences": found.differences,
        "genes": len({entry["gene"] for entry in found.genes}),
    }


def explained(study: Study, name: str) -> dict[str, Any]:
    """Enrichment of motifs and states, and the leads, by the scores of each model; high-scoring as many as the elastic net has, or 20."""
    cohort, run = study.cohort(name), study.run(name)
    states = [f"{label}={study.data / path}" for label, path in STATES.items()]
    motifs, eqtl = study.data / "genes/HOCOMOCO_H12CORE.meme", leads(study, cohort)
    scored = pl.read_csv(eqtl, separator="\t").height
    result = {}
    for model in models_of(name):
        config = ExplainConfig(model=model)
        found = explain_variants(
            run,
            config,
            motifs=motifs,
            states=states,
            eqtl=eqtl if scored else None,
            baseline=None if name == "dense" else run,
        )
        write_explained(found, study.work / f"{name}.{model}", config=config, inputs={"run": run, "motifs": motifs})
        assert found.enrichment is not None
        assert found.motifs is not None
        whole = found.enrichment.filter(~pl.col("state").str.starts_with("motif:"))
        single = found.enrichment.filter(pl.col("state").str.starts_with("motif:"))
        result[model] = {
            "variants": found.variants,
            "genes": found.genes,
            "enrichment": whole.to_dicts(),
            "motifs_tested": single.height,
            "motifs_with_q_below_0.05": single.filter(pl.col("q") < 0.05)["state"].to_list(),
            "strong_disruptions": found.motifs.filter("strong").height,
            "leads_in_the_windows": scored,
            "eqtl": None if found.eqtl is None else found.eqtl.record,
            "notes": found.notes,
        }
    return result


def height(study: Study, name: str) -> dict[str, Any]:
    """TWAS of height by the exported weights of each model."""
    if name == "dense":
        genotypes, source = (
            study.data / "gwas/polypred/1000G.subset.22.bed",
            study.data / "gwas/polypred/bolt.sumstats.txt.gz",
        )
        options: dict[str, Any] = {"n": 450_000.0}
    else:
        data = fetch_demo_data()
        genotypes, source, options = data.genotypes, data.gwas, {}
    trait, panel = study.work / f"{name}.height.parquet", study.work / f"{name}.ld.zarr"
    if not trait.is_file():
        clean(source, **options).write(trait)
    if not panel.is_dir():
        build_panel(open_source([genotypes]), panel, PanelConfig(), workers=1, inputs=[genotypes])
    result = {}
    for model in models_of(name):
        weights = study.work / f"{name}.{model}.db"
        done = export_weights(study.run(name), weights, ExportConfig(model=model, build="hg19"))
        try:
            found = twas(weights, trait, panel, TwasConfig())
        except HarmonisationError as error:
            result[model] = {"refused": str(error).partition("`: ")[2].replace(f"{study.work}/", "")}
            continue
        table = found.table
        table.write_csv(study.work / f"{name}.{model}.twas.tsv", separator="\t")
        best = table.sort("neg_log10_p", descending=True).head(5)
        columns = (
            "gene_name",
            "z",
            "p",
            "n_snps_used",
            "n_snps_in_model",
            "pred_perf_r2",
            "pred_perf_p",
            "best_variant",
            "best_z",
            "r2_top_best",
            "best_z_given_gene",
            "caution",
        )
        result[model] = {
            "genes_exported": done.genes,
            "genes_tested": table.height,
            "untested": len(found.untested),
            "variants_used": int(table["n_snps_used"].sum()),
            "variants_in_models": int(table["n_snps_in_model"].sum()),
            "bonferroni": table.filter(pl.col("p") < 0.05 / table.height).height,
            "mean_z2": float((table["z"] ** 2).mean() or 0),  # type: ignore[arg-type]
            "cautions": table["caution"].str.split(",").explode().value_counts(sort=True).rows(),
            "best": best.select(columns).to_dicts(),
        }
    return result


def elsewhere(study: Study) -> dict[str, Any]:
    """Models taught without one population, judged at home and in it."""
    run, target = study.run("without"), study.cohort("target")
    home = evaluate([run], EvaluationConfig(heritability=False))
    found = evaluate([run], EvaluationConfig(heritability=False), cohort=target)
    return {
        "population": HELD_OUT,
        "home": home.models,
        "elsewhere": found.models,
        "matching": found.matching,
        "notes": len(found.notes),
    }


PARTS: dict[str, Callable[[Study], Any]] = {
    "scores thinned": lambda study: scores(study, "thinned"),
    "scores dense": lambda study: scores(study, "dense"),
    "explain thinned": lambda study: explained(study, "thinned"),
    "explain dense": lambda study: explained(study, "dense"),
    "height dense": lambda study: height(study, "dense"),
    "height thinned": lambda study: height(study, "thinned"),
    "elsewhere": elsewhere,
}


def main() -> None:
    """Runs the parts that are not done, and joins all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("build/expr_real"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/output/expr_real.json"))
    parser.add_argument("--parts", nargs="*", default=list(PARTS))
    given = parser.parse_args()
    study = Study(given.data, given.work)
    for name in given.parts:
        kept = given.work / f"{name.replace(' ', '-')}.json"
        if kept.is_file():
            continue
        started = time.process_time()
        found = PARTS[name](study)
        kept.write_text(
            json.dumps({"result": found, "processor_seconds": round(time.process_time() - started, 1)}, indent=1)
        )
        print(f"{name}: {time.process_time() - started:.0f} s", flush=True)
    parts = {
        name: json.loads(path.read_text())
        for name in PARTS
        if (path := given.work / f"{name.replace(' ', '-')}.json").is_file()
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps({"machine": machine(), **parts}, indent=1) + "\n")


if __name__ == "__main__":
    main()
