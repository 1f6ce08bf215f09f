"""The individuals of a cohort as another cohort: in another order, under other names, with alleles exchanged and variants lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from cases.cohort import Block
from cases.donors import write_vcf
from varfx.expression.cohort.splits import SplitConfig, split_people
from varfx.expression.cohort.store import Cohort
from varfx.expression.cohort.write import CohortTables, writing_cohort


@dataclasses.dataclass(frozen=True)
class Told:
    """The other cohort, and what was done: row in the first cohort of each individual, and variants by what became of them."""

    path: Path
    rows: np.ndarray
    exchanged: np.ndarray
    lost: np.ndarray


def as_other_cohort(
    home: Cohort,
    out: Path,
    *,
    prefix: str = "",
    exchanged: Sequence[int] = (),
    lost: Sequence[int] = (),
    genes: int | None = None,
    seed: int = 4,
) -> Told:
    """Writes the cohort's individuals, in another order, as another cohort.

    Args:
        prefix: before each name.
        exchanged: rows of the variants whose alleles stand in the other order.
        lost: rows of the variants left out.
        genes: only so many.
    """
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(home.people))
    names = [f"{prefix}{home.people[row]}" for row in rows]
    keep = np.setdiff1d(np.arange(home.variants.height), list(lost))
    dosages, haplotypes = home.genotypes(slice(0, home.variants.height))
    turned = np.isin(np.arange(home.variants.height), list(exchanged))
    dosages = np.where(turned[:, None] & (dosages >= 0), 2 - dosages, dosages)[keep][:, rows]
    if haplotypes is not None:
        haplotypes = np.where(turned[:, None, None] & (haplotypes >= 0), 1 - haplotypes, haplotypes)[keep][:, rows]
    flag = pl.Series(turned)
    effect, other = home.variants["effect_allele"], home.variants["other_allele"]
    variants = home.variants.with_columns(
        effect_allele=other.zip_with(flag, effect), other_allele=effect.zip_with(flag, other)
    )[keep]
    table = home.genes.drop("first_variant", "num_variants").head(genes or home.genes.height)
    ids = tuple(table["gene_id"])
    tables = CohortTables(
        genes=table,
        expression=home.expression()[: len(ids)][:, rows],
        folds=split_people(names, SplitConfig(folds=2, seed=seed)),
        genes_train=ids,
        genes_heldout=(),
    )
    codes = {gene: home.reference(gene) for gene in ids}
    places = {(r["chrom"], r["start"], r["end"]): r["gene_id"] for r in table.iter_rows(named=True)}
    with writing_cohort(out, names, phased=haplotypes is not None) as writer:
        writer.add(Block(variants, dosages.astype(np.int8), haplotypes))
        writer.finish(
            tables, lambda *place: codes[places[place]], window=home.window, options={}, ledger={}, provenance={}
        )
    return Told(out, rows, np.array(list(exchanged)), np.array(list(lost)))


def as_vcf(home: Cohort, path: Path, extra: Sequence[str] = ()) -> Path:
    """The cohort's individuals as a VCF, with further records (`CHROM POS ID REF ALT GT genotype...`)."""
    dosages, _ = home.genotypes(slice(0, home.variants.height))
    words = {-1: "./.", 0: "0/0", 1: "0/1", 2: "1/1"}
    records = [
        (chrom, position, f"{chrom} {position} {name} {ref} {alt} GT " + " ".join(words[int(d)] for d in row))
        for (chrom, position, name, alt, ref), row in zip(home.variants.iter_rows(), dosages, strict=True)
    ]
    records += [(line.split()[0], int(line.split()[1]), line) for line in extra]
    lines = [line for *_, line in sorted(records, key=lambda record: record[:2])]
    return write_vcf(path, lines, home.people, contigs=("21", "22"))
