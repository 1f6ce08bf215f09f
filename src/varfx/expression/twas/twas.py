"""`twas`: association of genes' predicted expression with a trait, from weights, summary statistics and an LD panel.

Beside each test stands what a reader should look at before taking the gene for a cause: the trait's best variant near by, its
correlation with predicted expression, and what is left of it given the gene.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float64, Int64
from numpy import ndarray

from varfx.errors import DataError, FormatError
from varfx.expression.twas.associate import associate, given, neg_log10_p
from varfx.expression.twas.config import TwasConfig
from varfx.expression.twas.fusion import read_fusion
from varfx.expression.twas.models import GeneModels
from varfx.expression.twas.predictdb import is_predictdb, read_predictdb
from varfx.finemap.locus_ld import locus_ld
from varfx.genome.builds import require_same_build
from varfx.genome.chromosomes import CHROMOSOMES
from varfx.genome.harmonise import harmonise
from varfx.genome.per_chromosome import files_of, is_split
from varfx.genome.variants import SCHEMA, chrom_rank
from varfx.gwas.sumstats import SumStats, read_sumstats
from varfx.io.ledger import Ledger, LedgerRow
from varfx.ld import LDPanel, open_panel
from varfx.prior.inputs import align_trait, panel_variants
from varfx.progress import Progress, silent

_DEFAULT = TwasConfig()
GENOME_WIDE = 5.4513  # |z| at p = 5e-8
UNPREDICTED_P = 0.05  # of held-out predictions with expression
APART, NEAR = 0.1, 0.5  # r2 between the model's main variant and the trait's best
MHC = {"hg19": ("6", 28_477_797, 33_448_354), "hg38": ("6", 28_510_120, 33_480_577)}
RESULT: dict[str, pl.DataType] = {
    "gene": pl.String(),
    "gene_name": pl.String(),
    "model": pl.String(),
    "chrom": pl.String(),
    "start": pl.Int64(),  # 1-based, first variant used
    "end": pl.Int64(),  # last variant used
    "z": pl.Float64(),
    "p": pl.Float64(),
    "neg_log10_p": pl.Float64(),
    "effect": pl.Float64(),  # sd of the trait per unit of predicted expression
    "var_g": pl.Float64(),  # of predicted expression, in the panel
    "n_snps_in_model": pl.Int64(),
    "n_snps_in_panel": pl.Int64(),
    "n_snps_used": pl.Int64(),
    "weight_used": pl.Float64(),  # share of the sum of |weight|
    "pred_perf_r2": pl.Float64(),
    "pred_perf_p": pl.Float64(),
    "top_variant": pl.String(),  # largest |weight| per standard deviation
    "top_z": pl.Float64(),
    "best_variant": pl.String(),  # largest |z| within the flank
    "best_z": pl.Float64(),
    "r2_top_best": pl.Float64(),
    "r_gene_best": pl.Float64(),  # of predicted expression with the best variant
    "best_z_given_gene": pl.Float64(),
    "gene_z_given_best": pl.Float64(),
    "caution": pl.String(),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class TwasResult:
    """The tests of all genes.

    Attributes:
        table: columns of `RESULT`, by place.
        untested: genes without a test, and why.
        ledgers: of weights and of the trait on each panel.
        notes: what the user should know.
        trait: its name.
    """

    table: pl.DataFrame
    untested: dict[str, str]
    ledgers: dict[str, list[LedgerRow]]
    notes: list[str]
    trait: str


def read_models(path: str | os.PathLike[str], model: str | None = None) -> GeneModels:
    """Weights of genes: PredictDB, or a POS file of FUSION.

    Raises:
        FormatError: neither, or damaged.
    """
    if not Path(path).is_file():
        raise FormatError(f"`{path}` does not exist. Give a PredictDB database, or a POS file of FUSION.")
    return read_predictdb(path) if is_predictdb(path) else read_fusion(path, model)


def twas(
    weights: str | os.PathLike[str],
    sumstats: str | os.PathLike[str],
    panel: str | os.PathLike[str],
    config: TwasConfig = _DEFAULT,
    *,
    progress: Progress = silent,
) -> TwasResult:
    """Tests all genes of some weights against a trait.

    Args:
        weights: PredictDB, or a POS file of FUSION.
        sumstats: of `varfx sumstats clean`.
        panel: of `varfx ld build`; `@` in its name stands for the chromosome.
        config: rules for matching, and for the cautions.
        progress: told about each gene.

    Raises:
        HarmonisationError: another genome build, or too little overlap.
        DataError: no gene could be tested.
        VarfxError: a file that is not what it should be.
    """
    models, trait = read_models(weights, config.model), read_sumstats(sumstats)
    if trait.replicates > 1:
        raise DataError(f"`{trait.trait}` holds {trait.replicates} replicates. Give one trait.")
    require_same_build(models.source, models.build, trait.trait, trait.build)
    rows, ledgers, notes = [], {}, list(models.notes)
    untested = dict.fromkeys(models.genes["gene"], "no variant of the model in the panel has an association")
    total = len(untested)
    for place, (opened, part) in enumerate(_panels(Path(panel), models, trait), start=1):
        study = _study(models, part, opened, config)
        ledgers[f"{opened.path}: weights"], ledgers[f"{opened.path}: {trait.trait}"] = study.ledgers
        for row in _tests(study, config):
            rows.append(row)
            untested.pop(str(row["gene"]), None)
            progress(len(rows), total, f"genes (panel {place})")
    if not rows:
        raise DataError(f"none of {total} genes of `{models.source}` could be tested: {next(iter(untested.values()))}.")
    table = pl.DataFrame(rows, schema=RESULT).sort(chrom_rank(), "start", "gene")
    return TwasResult(table=table, untested=untested, ledgers=ledgers, notes=notes, trait=trait.trait)


def _panels(panel: Path, models: GeneModels, trait: SumStats) -> Iterator[tuple[LDPanel, SumStats]]:
    """Each panel with the trait on its chromosomes."""
    if not is_split(panel):
        yield open_panel(panel), trait
        return
    chroms = models.weights["chrom"].drop_nulls().unique().to_list()
    wanted = [chrom for chrom in CHROMOSOMES if chrom in chroms] or CHROMOSOMES[:22]
    for path in files_of(panel, wanted).values():
        opened = open_panel(path)
        there = opened.windows["chrom"].unique().to_list()
        mine = trait.table.filter(pl.col("chrom").is_in(there) | pl.col("chrom").is_null())
        if mine.height:
            yield opened, replace(trait, table=mine)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Study:
    """Weights and a trait on the rows of one panel."""

    models: GeneModels
    panel: LDPanel
    weights: pl.DataFrame  # gene, row of the panel (null where it has none), weight for the panel's effect allele
    z: Float64[ndarray, " variant"]
    n: Float64[ndarray, " variant"]
    sd: Float64[ndarray, " variant"]  # of dosages
    ledgers: tuple[list[LedgerRow], list[LedgerRow]]


def _study(models: GeneModels, trait: SumStats, panel: LDPanel, config: TwasConfig) -> _Study:
    require_same_build(models.source, models.build, str(panel.path), panel.build)
    aligned = align_trait(trait, panel, config.matching)
    eaf = panel_variants(panel, [aligned])["eaf"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    oriented = models.oriented()
    there = panel.windows["chrom"].unique().to_list()
    oriented = oriented.filter(pl.col("chrom").is_in(there) | pl.col("chrom").is_null())
    site = pl.when(pl.col("position").is_null()).then("variant_id").otherwise(pl.format("{}:{}", "chrom", "position"))
    oriented = oriented.with_columns(site=site)
    key = ["site", "effect_allele", "other_allele"]
    places = oriented.unique(key, keep="first", maintain_order=True)
    ledger = Ledger()
    if places.height:
        match = harmonise(
            places.select(*SCHEMA),
            panel.variants,
            source=models.source,
            reference_name=str(panel.path),
            matching=config.matching,
        )
        ledger = match.ledger
        found = (
            places[match.table_row]
            .select(*key)
            .with_columns(row=pl.Series(match.reference_row), sign=pl.Series(match.sign))
        )
        joined = oriented.join(found, on=key, how="left", maintain_order="left")
    else:
        joined = oriented.with_columns(row=pl.lit(None, pl.Int64), sign=pl.lit(None, pl.Int64))
    return _Study(
        models=models,
        panel=panel,
        weights=joined.select("gene", "row", weight=pl.col("weight") * pl.col("sign").fill_null(1)),
        z=np.asarray(aligned.data.z, dtype=np.float64),
        n=aligned.data.n,
        sd=np.sqrt(2 * eaf * (1 - eaf)),
        ledgers=(ledger.rows(), aligned.ledger),
    )


@dataclass(frozen=True, eq=False)
class _Gene:
    """A gene's used variants as panel rows, and the cores around them."""

    row: dict[str, object]
    rows: Int64[ndarray, " used"]
    scaled: Float64[ndarray, " used"]
    around: Int64[ndarray, " near"]  # rows with an association within the flank
    cores: tuple[int, ...]


def _tests(study: _Study, config: TwasConfig) -> Iterator[dict[str, object]]:
    """A row of `RESULT` per gene that can be tested; genes of the same cores share the reading of LD."""
    groups: dict[tuple[int, ...], list[_Gene]] = {}
    about = {row["gene"]: row for row in study.models.genes.iter_rows(named=True)}
    for (gene,), part in study.weights.partition_by("gene", as_dict=True, maintain_order=True).items():
        prepared = _prepare(study, about.get(str(gene), {"gene": gene}), part, config)
        if prepared is not None:
            groups.setdefault(prepared.cores, []).append(prepared)
    for cores, genes in sorted(groups.items()):
        rows = np.unique(np.concatenate([np.concatenate([gene.rows, gene.around]) for gene in genes]))
        ld = locus_ld(study.panel, list(cores), rows)
        for gene in genes:
            found = _test(study, gene, ld.U, ld.D, rows)
            if found is not None:
                yield found | {"caution": _caution(found, study.panel.build, config)}


def _prepare(study: _Study, about: dict[str, object], part: pl.DataFrame, config: TwasConfig) -> _Gene | None:
    known = part.drop_nulls("row")
    rows, weight = known["row"].to_numpy(), known["weight"].to_numpy()
    scaled = weight * (study.sd[rows] if study.models.scale == "allele" else 1.0)
    used = np.isfinite(study.z[rows]) & np.isfinite(scaled) & (scaled != 0)
    if not used.any():
        return None
    order = np.argsort(rows[used], kind="stable")
    rows, scaled, weight = rows[used][order], scaled[used][order], weight[used][order]
    variants = study.panel.variants
    position = variants["position"].to_numpy()
    chroms = variants["chrom"][rows].unique().to_list()
    if len(chroms) > 1 or np.unique(rows).size < rows.size:
        raise DataError(
            f"`{study.models.source}`: gene {about['gene']} has a variant twice, or variants on several chromosomes ({', '.join(chroms)})."
        )
    low, high = int(position[rows].min()) - config.flank, int(position[rows].max()) + config.flank
    near = (variants["chrom"] == chroms[0]).to_numpy() & (position >= low) & (position <= high)
    cores = tuple(
        number
        for number, core in enumerate(study.panel.cores)
        if core.chrom == chroms[0] and core.start < high and core.end >= low
    )
    row = {
        "gene": about["gene"],
        "gene_name": about.get("name"),
        "model": about.get("model"),
        "chrom": chroms[0],
        "start": int(position[rows].min()),
        "end": int(position[rows].max()),
        "n_snps_in_model": part.height,
        "n_snps_in_panel": known.height,
        "n_snps_used": int(rows.size),
        "weight_used": float(np.abs(weight).sum() / part["weight"].abs().sum()),
        "pred_perf_r2": about.get("r2"),
        "pred_perf_p": about.get("p"),
    }
    return _Gene(row, rows, scaled, np.flatnonzero(near & np.isfinite(study.z)), cores)


def _test(study: _Study, gene: _Gene, U: ndarray, D: ndarray, rows: ndarray) -> dict[str, object] | None:
    """The test of one gene and the trait's best variant near by; None where predicted expression does not vary."""
    mine, best = np.searchsorted(rows, gene.rows), gene.around[np.argmax(np.abs(study.z[gene.around]))]
    own = U[mine]
    z, n = study.z[gene.rows], study.n[gene.rows]
    found = associate(gene.scaled, z, n, own @ own.T + np.diag(D[mine]))
    if found is None:
        return None
    there = int(np.searchsorted(rows, best))
    r = own @ U[there] + np.where(mine == there, D[there], 0.0)
    r_gene = float(np.clip(gene.scaled @ r / found.variance**0.5, -1, 1))
    top = int(np.argmax(np.abs(gene.scaled)))
    best_z = float(study.z[best])
    names = study.panel.variants["variant_id"]
    strength = neg_log10_p(found.z)
    return gene.row | {
        "z": found.z,
        "p": 10.0**-strength,
        "neg_log10_p": strength,
        "effect": found.effect,
        "var_g": found.variance,
        "top_variant": names[int(gene.rows[top])],
        "top_z": float(z[top]),
        "best_variant": names[int(best)],
        "best_z": best_z,
        "r2_top_best": float(min(r[top] ** 2, 1.0)),
        "r_gene_best": r_gene,
        "best_z_given_gene": given(best_z, found.z, r_gene),
        "gene_z_given_best": given(found.z, best_z, r_gene),
    }


def _caution(row: dict[str, object], build: str | None, config: TwasConfig) -> str:
    """Words on why the test may say less than it seems to."""
    number = {name: float(value) for name, value in row.items() if isinstance(value, int | float)}
    words = []
    if number["n_snps_used"] < config.min_used * number["n_snps_in_model"] or number["weight_used"] < config.min_used:
        words.append("few-variants")
    if number["n_snps_used"] == 1:
        words.append("one-variant")
    if number.get("pred_perf_p", 0.0) > UNPREDICTED_P:
        words.append("not-predicted")
    if abs(number["best_z"]) > GENOME_WIDE:
        if number["r2_top_best"] < APART:
            words.append("other-lead")
        elif number["r2_top_best"] < NEAR:
            words.append("partial-ld")
        if abs(number["best_z_given_gene"]) > GENOME_WIDE:
            words.append("unexplained-signal")
    if any(
        row["chrom"] == chrom and number["start"] <= high and number["end"] >= low
        for name, (chrom, low, high) in MHC.items()
        if build in (None, name)
    ):
        words.append("mhc")
    return ",".join(words)
