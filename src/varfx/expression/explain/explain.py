"""`explain_variants`: motifs, states and eQTLs of a run's variant scores, and their files."""

from __future__ import annotations

import gzip
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool
from numpy import ndarray

from varfx.errors import ConfigError, DataError, StoreError
from varfx.expression.cohort.store import Cohort, open_cohort
from varfx.expression.evaluate import cohort_of
from varfx.expression.explain.config import ExplainConfig
from varfx.expression.explain.disruption import Sites, disruptions, site
from varfx.expression.explain.enrichment import enrichment
from varfx.expression.explain.eqtl import EqtlEvaluation, evaluate_eqtls, read_fine_mapping
from varfx.expression.explain.motifs import Motif, read_meme
from varfx.expression.explain.states import states_of
from varfx.expression.run import ExpressionRun, open_run
from varfx.expression.variants.config import VariantConfig
from varfx.expression.variants.score import score_variants
from varfx.expression.variants.table import LONG_KIND
from varfx.genome.variants import KEY
from varfx.io import sealed
from varfx.progress import Progress, silent

_DEFAULT = ExplainConfig()
MOTIFS, ENRICHMENT, EQTL, CONTROLS, SUMMARY = (
    ".motifs.tsv.gz",
    ".enrichment.tsv",
    ".eqtl.json",
    ".controls.tsv",
    ".json",
)
ANY_MOTIF = "motif"  # state of variants that disrupt any motif strongly


@dataclass(frozen=True, kw_only=True, eq=False)
class Explained:
    """What was found.

    Attributes:
        motifs: a row per high-scoring variant or driver and motif: the variant's columns, then those of `disruption.SCHEMA`; None
            without motifs.
        enrichment: columns of `enrichment.SCHEMA`; None without states and motifs.
        eqtl: None without fine-mapped eQTLs.
        scores: of all variants, columns of `varfx.expression.variants.table.LONG_SCHEMA`.
        run: that they come from.
        model: whose scores.
        genes: how many.
        variants: scored pairs of gene and variant.
        notes: what the user should know.
    """

    motifs: pl.DataFrame | None
    enrichment: pl.DataFrame | None
    eqtl: EqtlEvaluation | None
    scores: pl.DataFrame
    run: Path
    model: str
    genes: int
    variants: int
    notes: list[str]


def explain_variants(
    source: str | os.PathLike[str],
    config: ExplainConfig = _DEFAULT,
    *,
    motifs: str | os.PathLike[str] | None = None,
    states: Sequence[str] = (),
    eqtl: str | os.PathLike[str] | None = None,
    baseline: str | os.PathLike[str] | None = None,
    cohort: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> Explained:
    """Explains variant scores by motifs, states and fine-mapped eQTLs, whichever are given.

    Args:
        source: a run, whose variants are scored, or the table that `varfx expr variants --long` wrote.
        config: thresholds.
        motifs: a MEME file.
        states: BED files, `PATH` or `NAME=PATH`.
        eqtl: fine-mapped eQTLs, see `varfx.expression.explain.eqtl.read_fine_mapping`.
        baseline: with a run, one whose elastic nets say how many variants are high-scoring.
        cohort: where the run's cohort lies, if it moved.
        progress: told about genes and motifs.

    Raises:
        ConfigError: none of the three is given, or options that do not belong to the source.
        DataError: nothing is scored.
        VarfxError: files that are not what they should be.
    """
    if motifs is None and not states and eqtl is None:
        raise ConfigError("nothing to explain by: give --motifs, --states or --eqtl.")
    library = [] if motifs is None else read_meme(motifs, background=config.background == "file")
    fine = None if eqtl is None else read_fine_mapping(eqtl)
    table, run = _scores(source, config, baseline, cohort, progress)
    notes: list[str] = []
    inside: list[Bool[ndarray, "variant state"]] = []
    names: list[str] = []
    disrupted = None
    if library:
        disrupted, distinct, place = _disruptions(table, _cohort(run, cohort), library, config, notes)
        hits, labels = _motif_states(disrupted, distinct.height, library, config)
        inside, names = [hits[place]], labels
    if states:
        found, columns = states_of(states, table)
        names, inside = [*names, *found], [*inside, columns]
    enriched = None
    if names:
        enriched = enrichment(
            table, np.concatenate(inside, axis=1), names, model=table["model"][0], permutations=config.permutations,
            samples=config.samples, seed=config.seed,
        )  # fmt: skip
        if enriched["n_unmatched"][0]:
            notes.append(
                f"{enriched['n_unmatched'][0]} high-scoring variants have no other variant of their gene, distance and frequency, and do not count"
            )
    return Explained(
        motifs=None if disrupted is None else _shown(table, disrupted, distinct, place),
        enrichment=enriched,
        eqtl=None if fine is None else evaluate_eqtls(table, fine, config),
        scores=table,
        run=_folder(run),
        model=table["model"][0],
        genes=table["gene_id"].n_unique(),
        variants=table.height,
        notes=notes,
    )


def _scores(
    source: str | os.PathLike[str],
    config: ExplainConfig,
    baseline: str | os.PathLike[str] | None,
    cohort: str | os.PathLike[str] | None,
    progress: Progress,
) -> tuple[pl.DataFrame, str | os.PathLike[str]]:
    """Scored variants, columns of `varfx.expression.variants.table.LONG_SCHEMA`, and the run they come from."""
    path = Path(source)
    if path.is_dir():
        chosen = VariantConfig(fold=config.fold, model=config.model, top=config.top, gradients="none")
        table, run = score_variants(path, chosen, baseline=baseline, cohort=cohort, progress=progress).table, source
    else:
        if baseline is not None or config.model is not None:
            raise ConfigError("`--baseline` and `--model` belong to a run; a table of scores has its model already.")
        if not path.is_file():
            raise StoreError(f"`{path}` does not exist. Give a run, or a table of `varfx expr variants --long`.")
        table, metadata = sealed.read_table(path, kind=LONG_KIND)
        run = metadata["provenance"]["inputs"]["run"]["path"]
    table = table.filter(pl.col("weight").is_not_null())
    if not table.height:
        raise DataError(f"`{source}`: no variant has a score.")
    return table, run


def _folder(run: str | os.PathLike[str]) -> Path:
    """Of a run; provenance names its manifest."""
    return Path(run) if Path(run).is_dir() else Path(run).parent


def _cohort(run: str | os.PathLike[str], moved: str | os.PathLike[str] | None) -> Cohort:
    """The cohort whose windows hold the reference's bases."""
    root = _folder(run)
    if moved is not None and not root.is_dir():
        return open_cohort(moved)
    opened: ExpressionRun = open_run(root)
    return cohort_of([opened], moved)


def _disruptions(
    table: pl.DataFrame, cohort: Cohort, library: Sequence[Motif], config: ExplainConfig, notes: list[str]
) -> tuple[pl.DataFrame, pl.DataFrame, ndarray]:
    """Disruptions of each distinct variant, these variants, and which of them each row of the table is."""
    distinct = table.unique(KEY, keep="first", maintain_order=True)
    numbered = distinct.select(KEY).with_row_index("number")
    place = table.select(KEY).join(numbered, on=KEY, how="left", maintain_order="left")["number"].to_numpy()
    flank = max(motif.width for motif in library) - 1
    built = []
    for (gene_id,), part in distinct.partition_by("gene_id", as_dict=True, maintain_order=True).items():
        gene, reference = cohort.gene(str(gene_id)), cohort.reference(str(gene_id))
        for position, alt, ref in part.select("position", "effect_allele", "other_allele").iter_rows():
            built.append(site(reference, position - 1 - gene.start, ref, alt, flank))
    # `partition_by` keeps the order of genes but not of rows between them: number the sites as they were built.
    order = np.concatenate([part.to_numpy() for part in _rows_by_gene(distinct)])
    left, right, ref, alt = zip(*built, strict=True)
    sites = Sites(np.array(left), np.array(right), tuple(ref), tuple(alt))
    found = disruptions(sites, library, config)
    found = found.with_columns(row=pl.Series(order)[found["row"]]).sort("row", "motif")
    edge = sum((side == 4).any() for side in (*left, *right))
    if edge:
        notes.append(
            f"{edge} flanks of variants reach over their gene's window or unknown bases: motifs there are not seen"
        )
    return found, distinct, place


def _rows_by_gene(distinct: pl.DataFrame) -> list[pl.Series]:
    numbered = distinct.select("gene_id").with_row_index("number")
    return [part["number"] for part in numbered.partition_by("gene_id", maintain_order=True)]


def _motif_states(
    found: pl.DataFrame, count: int, library: Sequence[Motif], config: ExplainConfig
) -> tuple[Bool[ndarray, "variant state"], list[str]]:
    """Variants that strongly disrupt any motif, and each motif with enough of them."""
    strong = found.filter("strong")
    every = np.zeros((count, 1), dtype=bool)
    every[strong["row"].to_numpy()] = True
    columns, names = [every], [ANY_MOTIF]
    by_motif = {
        str(name): part["row"].to_numpy() for (name,), part in strong.partition_by("motif", as_dict=True).items()
    }
    for motif in library:
        rows = by_motif.get(motif.name)
        if rows is not None and np.unique(rows).size >= config.min_hits:
            column = np.zeros((count, 1), dtype=bool)
            column[rows] = True
            columns.append(column)
            names.append(f"{ANY_MOTIF}:{motif.name}")
    return np.concatenate(columns, axis=1), names


def _shown(table: pl.DataFrame, found: pl.DataFrame, distinct: pl.DataFrame, place: ndarray) -> pl.DataFrame:
    """The disruptions by high-scoring variants and drivers, with their genes."""
    drivers = [name for name in table.columns if name.startswith("driver_")]
    wanted = table.select(pl.any_horizontal("high_scoring", *drivers).fill_null(False)).to_series()
    rows = table.with_columns(row=pl.Series(place).cast(pl.Int64)).filter(wanted)
    variant = pl.format("{}:{}:{}:{}", "chrom", "position", "other_allele", "effect_allele")
    named = rows.select("row", "gene_id", variant.alias("variant"), "variant_id", "weight", "high_scoring", *drivers)
    return named.join(found, on="row", how="inner", maintain_order="left").drop("row")


def check_explained(out: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Checks that no file of an earlier explanation would be replaced, or stay beside files of another one.

    Raises:
        StoreError: with the first of them.
    """
    there = [path for path in _paths(out).values() if path.exists()]
    if there and not overwrite:
        raise StoreError(
            f"`{there[0]}` is there already ({len(there)} files of an explanation). Choose another --out, or replace them with --overwrite."
        )


def _paths(out: str | os.PathLike[str]) -> dict[str, Path]:
    """The files of an explanation by their endings."""
    return {name: Path(f"{os.fspath(out)}{name}") for name in (MOTIFS, ENRICHMENT, EQTL, CONTROLS, SUMMARY)}


def write_explained(
    found: Explained,
    out: str | os.PathLike[str],
    *,
    config: ExplainConfig,
    inputs: Mapping[str, str | os.PathLike[str]],
) -> list[Path]:
    """Writes OUT.motifs.tsv.gz, OUT.enrichment.tsv, OUT.eqtl.json, OUT.controls.tsv and OUT.json; those that there are.

    Files of an earlier explanation are replaced, or removed where this one has none.

    Raises:
        StoreError: a file cannot be written.
    """
    paths = _paths(out)
    written: list[Path] = []
    if found.motifs is not None:
        text = found.motifs.write_csv(separator="\t", null_value="NA").encode()
        with sealed.atomic_path(paths[MOTIFS]) as partial:
            partial.write_bytes(gzip.compress(text, mtime=0))
        written.append(paths[MOTIFS])
    tables = {ENRICHMENT: found.enrichment, CONTROLS: None if found.eqtl is None else found.eqtl.pairs}
    for name, table in tables.items():
        if table is not None:
            with sealed.atomic_path(paths[name]) as partial:
                table.write_csv(partial, separator="\t", null_value="NA")
            written.append(paths[name])
    if found.eqtl is not None:
        sealed.write_json(paths[EQTL], {"model": found.model, **found.eqtl.record})
        written.append(paths[EQTL])
    summary: dict[str, Any] = {
        "model": found.model,
        "explained_genes": found.genes,
        "variants": found.variants,
        "notes": found.notes,
    }
    for path in paths.values():
        if path not in written and path.is_file():
            path.unlink()
    sealed.write_json(paths[SUMMARY], summary | {"provenance": sealed.provenance(asdict(config), inputs)})
    return [*written, paths[SUMMARY]]
