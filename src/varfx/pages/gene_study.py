"""What the pages of genes are made from: scores, the cohort, effects, motifs, eQTLs and gene models, read once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from varfx.errors import DataError, StoreError
from varfx.expression.cohort.store import Cohort
from varfx.expression.evaluate import cohort_of
from varfx.expression.explain.explain import CONTROLS, MOTIFS
from varfx.expression.explain.states import States, inside_states, read_states
from varfx.expression.gene_list import gene_ids
from varfx.expression.run import ExpressionRun
from varfx.expression.variants.config import VariantConfig
from varfx.expression.variants.score import score_variants
from varfx.expression.variants.table import LONG_KIND, LONG_SCHEMA
from varfx.genome.gene_models import GeneModel, read_gene_models
from varfx.io import sealed
from varfx.pages.config import ReportConfig
from varfx.pages.explained import read_explained
from varfx.pages.gene_effects import marked, with_states
from varfx.progress import Progress

logger = logging.getLogger(__name__)
MOST_PAGES = 500  # without --genes
MOST_MODELS = 4  # whose effects are drawn together
Record = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class GeneStudy:
    """What the pages of genes are made from.

    Attributes:
        run: the run.
        cohort: the run's; None where it is not there, or the report goes without.
        means: scores per gene, means over folds, by gene.
        folds: scores per gene and fold, by gene.
        genes: that get a page as far as there is room, the best predicted first.
        others: that get none.
        chosen: whether the user named the genes, which then all get a page.
        effects: columns of `LONG_SCHEMA`, `kind`, `states`, `tss`, `strand`; None for a network without a table.
        motifs: rows of `varfx expr explain`; None without.
        pairs: fine-mapped eQTLs with their controls, of `varfx expr explain`; None without.
        models: genes and exons of a GTF file.
        states: intervals of BED files; overlapping and adjoining ones of a state are one.
    """

    run: ExpressionRun
    cohort: Cohort | None
    means: Mapping[str, list[Record]]
    folds: Mapping[str, list[Record]]
    genes: tuple[str, ...]
    others: tuple[str, ...]
    chosen: bool
    effects: pl.DataFrame | None
    motifs: pl.DataFrame | None
    pairs: pl.DataFrame | None
    models: Sequence[GeneModel]
    states: States

    def name(self, gene_id: str) -> str:
        """A gene's symbol, or its id where it has none of its own."""
        return self._names.get(gene_id, gene_id)

    @property
    def _names(self) -> dict[str, str]:
        return symbols(self.cohort)

    def anchor(self, gene_id: str) -> str:
        """Where a gene's page is."""
        return f"gene={self.name(gene_id)}"


def symbols(cohort: Cohort | None) -> dict[str, str]:
    """Symbols of genes by id; without those that are empty or of several genes."""
    if cohort is None:
        return {}
    table = cohort.genes.select("gene_id", "name").filter(pl.col("name").is_unique() & (pl.col("name") != ""))
    taken = set(cohort.genes["gene_id"])
    return {gene: name for gene, name in table.iter_rows() if name == gene or name not in taken}


def gene_study(
    run: ExpressionRun, scores: Record, config: ReportConfig, progress: Progress, cohort: Cohort | None
) -> GeneStudy:
    """Reads what the pages of genes need.

    Raises:
        DataError: genes that the run does not have, or a table of other genes.
        VarfxError: files that are not what they should be.
    """
    means, folds = _by_gene(scores["gene_means"]), _by_gene(scores.get("genes", []))
    ordered = sorted(means, key=lambda gene: -max((e["r2"] for e in means[gene] if e["r2"] is not None), default=-1e9))
    named = _named_genes(config.genes, ordered, cohort)
    most = MOST_PAGES if config.loci is None else config.loci
    genes = named or ordered[:most]
    fine = read_explained(config, CONTROLS, ("gene_id", "chrom", "position", "effect_allele", "other_allele", "pip"))
    effects = _effects(run, config, genes, cohort, progress)
    states: States = {}
    if effects is not None:
        states = _unions(read_states(config.states, effects["chrom"])) if config.states else {}
        effects = _completed(effects, states, fine, cohort)
    return GeneStudy(
        run=run,
        cohort=cohort,
        means=means,
        folds=folds,
        genes=tuple(genes),
        others=tuple(gene for gene in ordered if gene not in set(genes)),
        chosen=bool(named),
        effects=effects,
        motifs=read_explained(config, MOTIFS, ("gene_id", "variant", "motif", "delta", "strong")),
        pairs=fine,
        models=_models(config.gtf, genes, cohort, effects),
        states=states,
    )


def cohort_or_none(run: ExpressionRun, config: ReportConfig) -> Cohort | None:
    """The run's cohort; None, with a warning, where an evaluation is given and the cohort has moved.

    Raises:
        StoreError: the folder given by `cohort` is not the run's.
    """
    try:
        return cohort_of([run], config.cohort)
    except StoreError as error:
        if config.cohort is not None or config.evaluation is None or Path(run.record["cohort"]).is_dir():
            raise
        logger.warning("%s Without it pages of genes show no predictions and no positions from the TSS.", error)
        return None


def _unions(states: States) -> States:
    """The states with overlapping and adjoining intervals as one."""
    return {name: {chrom: each.union() for chrom, each in held.items()} for name, held in states.items()}


def _by_gene(rows: Sequence[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for each in rows:
        found.setdefault(str(each["gene"]), []).append(each)
    return found


def _named_genes(words: Sequence[str], known: Sequence[str], cohort: Cohort | None) -> list[str]:
    """Ids of the genes that are named by id or symbol, in the order of `known`."""
    of_symbol = {name: gene for gene, name in symbols(cohort).items()}
    wanted = [of_symbol.get(word, word.partition(".")[0] if word not in known else word) for word in gene_ids(words)]
    absent = [word for word in wanted if word not in set(known)]
    if absent:
        raise DataError(
            f"`genes`: {len(absent)} of {len(wanted)} genes are not in the run's evaluation, first {absent[0]}. It has {len(known)} genes, first {known[0]}."
        )
    return [gene for gene in known if gene in set(wanted)]


def _effects(
    run: ExpressionRun, config: ReportConfig, genes: Sequence[str], cohort: Cohort | None, progress: Progress
) -> pl.DataFrame | None:
    """Variant effects that are not 0: of the given table, or of the run's linear models; None for a network without a table."""
    if config.variants is not None:
        table, _ = sealed.read_table(config.variants, kind=LONG_KIND)
        unknown = set(table["gene_id"]) - set(run.record["genes"]) - set(run.predictions["gene_id"])
        if unknown:
            raise DataError(
                f"`{config.variants}` has effects on {len(unknown)} genes that the run does not have, first {min(unknown)}. Score this run."
            )
        table = table.select(list(LONG_SCHEMA))
    elif run.weights is None or not run.weights.height:
        return None
    elif cohort is None:
        table = _bare_weights(run.weights)
    else:
        fold = int(run.weights["fold"].min())  # type: ignore[arg-type]
        held = [name for name in run.record["models"] if name in set(run.weights["model"])][:MOST_MODELS]
        known = {*run.record["genes"], *run.record.get("heldout_genes", [])}
        wanted = tuple(gene for gene in genes if gene in known)
        if not wanted:
            return None
        configs = (VariantConfig(genes=wanted, fold=fold, model=name, gradients="none") for name in held)
        parts = [score_variants(run.path, each, cohort=cohort.path, progress=progress).table for each in configs]
        table = pl.concat(parts)
    return table.filter((pl.col("weight") != 0).fill_null(False) & pl.col("weight").is_finite())


def _bare_weights(weights: pl.DataFrame) -> pl.DataFrame:
    """Weights of linear models in the first fold, without what the cohort would add."""
    first = weights.filter(pl.col("fold") == pl.col("fold").min())
    absent = {name: kind for name, kind in LONG_SCHEMA.items() if name not in first.columns}
    return first.with_columns(pl.lit(None, kind).alias(name) for name, kind in absent.items()).select(list(LONG_SCHEMA))


def _completed(table: pl.DataFrame, states: States, fine: pl.DataFrame | None, cohort: Cohort | None) -> pl.DataFrame:
    """Adds what each variant is marked as, its states, and its gene's TSS and strand."""
    if fine is not None:
        fine = fine.with_columns(pl.col("chrom").cast(pl.String()))
    table = with_states(marked(table, fine), list(states), inside_states(states, table))
    if cohort is None:
        return table.with_columns(tss=pl.lit(None, pl.Int64()), strand=pl.lit(None, pl.String()))
    return table.join(
        cohort.genes.select("gene_id", "tss", "strand"), on="gene_id", how="left", maintain_order="left"
    )  # fmt: skip


def _models(
    path: Path | None, genes: Sequence[str], cohort: Cohort | None, effects: pl.DataFrame | None
) -> list[GeneModel]:
    """Genes of the GTF file that touch a window."""
    if path is None:
        return []
    if cohort is None:
        logger.warning("`%s` (--gtf) is not used: where genes lie is not known without the cohort", path)
        return []
    windows = cohort.genes.filter(pl.col("gene_id").is_in(list(genes))).select("chrom", "start", "end")
    found = read_gene_models(path, [(chrom, start + 1, end) for chrom, start, end in windows.iter_rows()])
    if not found:
        logger.warning("`%s` (--gtf) has no gene within the windows: is it of another genome build?", path)
    return found
