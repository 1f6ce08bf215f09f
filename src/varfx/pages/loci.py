"""The loci of a fine-mapping, from its three tables: F.pip.tsv.gz, F.cs.tsv, F.loci.tsv."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from numpy import ndarray

from varfx.errors import DataError
from varfx.pages.config import ReportConfig
from varfx.pages.study import Study, neg_log10_p, panel_rows
from varfx.pages.tables import read_columns

MADE_BY = "varfx finemap"
PIP_TEXT = ("CHR", "SNP", "A1", "A2", "LOCUS", "QC")
PIP_REAL = ("Z", "PIP", "PIP_UNIFORM", "BETA_MEAN", "BETA_SD")
LOCI_TEXT = ("locus", "chrom", "lead", "converged", "qc", "qc_cause", "method")
LOCI_REAL = ("L_used", "sigma2", "kappa", "s_rss", "energy_z", "energy_p", "Q_art", "lambda_mismatch")


@dataclass(frozen=True, kw_only=True, eq=False)
class Locus:
    """One fine-mapped locus.

    Attributes:
        anchor: in the page.
        row: of F.loci.tsv.
        sets: rows of F.cs.tsv.
        variants: rows of F.pip.tsv.gz in genome order: `chrom, position, variant_id, effect_allele, other_allele, z, pip, uniform,
            set`, null where unknown.
        y: -log10 p of each.
        panel_row: of each on the panel, -1 for none.
        lead: row of the strongest association.
    """

    anchor: str
    row: dict[str, Any]
    sets: pl.DataFrame
    variants: pl.DataFrame
    y: Float[ndarray, " variant"]
    panel_row: Int[ndarray, " variant"]
    lead: int

    @property
    def chrom(self) -> str:
        """Its chromosome."""
        return str(self.row["chrom"])

    @property
    def position(self) -> int:
        """Of the lead."""
        return int(self.variants["position"][self.lead])

    @property
    def name(self) -> str:
        """Identifier of the lead."""
        return str(self.variants["variant_id"][self.lead])

    @property
    def best(self) -> tuple[str, float]:
        """Identifier and PIP of the variant of largest PIP."""
        row = int(np.nanargmax(self.variants["pip"].to_numpy()))
        return str(self.variants["variant_id"][row]), float(self.variants["pip"][row])


def read_loci(study: Study, config: ReportConfig) -> list[Locus] | None:
    """The loci, the strongest first; None where no fine-mapping is given.

    Raises:
        FormatError: a table is missing or damaged.
        DataError: the tables are of another study.
    """
    pips, sets, loci = (config.file("finemap", ending) for ending in (".pip.tsv.gz", ".cs.tsv", ".loci.tsv"))
    if pips is None or sets is None or loci is None:
        return None
    variants = _read_variants(pips)
    summary = read_columns(
        loci,
        text=LOCI_TEXT,
        whole=("start", "end", "n_variants"),
        real=LOCI_REAL,
        optional=(*LOCI_REAL, "qc_cause", "method"),
        made_by=MADE_BY,
    )
    groups = _read_sets(sets)
    rows = panel_rows(study, variants)
    _check_study(study, variants, rows, pips)
    found = []
    for row in summary.iter_rows(named=True):
        here = np.flatnonzero((variants["locus"] == row["locus"]).to_numpy())
        if not here.size:
            continue
        mine = variants[here]
        y = neg_log10_p(mine["z"].to_numpy())
        found.append((float(y.max()), row, mine, y, rows[here]))
    found.sort(key=lambda each: -each[0])
    return [
        Locus(
            anchor=f"locus-{number}",
            row=row,
            sets=groups.filter(pl.col("locus") == row["locus"]),
            variants=mine,
            y=y,
            panel_row=at,
            lead=int(y.argmax()),
        )
        for number, (_, row, mine, y, at) in enumerate(found, start=1)
    ]


def _read_variants(path: Path) -> pl.DataFrame:
    table = read_columns(
        path,
        text=PIP_TEXT,
        whole=("BP", "CREDIBLE_SET"),
        real=PIP_REAL,
        optional=("PIP_UNIFORM", "QC", "BETA_MEAN", "BETA_SD"),
        made_by=MADE_BY,
    )
    for name in ("CHR", "SNP", "A1", "A2", "LOCUS", "Z", "PIP"):
        if table[name].null_count():
            raise DataError(
                f"`{path}`: {table[name].null_count()} values of `{name}` are missing. Give the --out of `{MADE_BY}`."
            )
    outside = table.filter(~pl.col("PIP").is_between(0, 1.000001))
    if outside.height:
        raise DataError(
            f"`{path}`: {outside.height} PIPs are outside 0 to 1, first {outside['PIP'][0]:g}. Check the file."
        )
    absent = [name for name in ("PIP_UNIFORM", "BETA_MEAN", "BETA_SD") if name not in table.columns]
    table = table.with_columns(pl.lit(None, pl.Float64).alias(name) for name in absent)
    return table.select(
        chrom="CHR",
        position="BP",
        variant_id="SNP",
        effect_allele="A1",
        other_allele="A2",
        z="Z",
        pip="PIP",
        uniform="PIP_UNIFORM",
        mean="BETA_MEAN",
        sd="BETA_SD",
        set="CREDIBLE_SET",
        locus="LOCUS",
    ).sort("chrom", "position", maintain_order=True)


def _read_sets(path: Path) -> pl.DataFrame:
    return read_columns(
        path,
        text=("locus", "lead"),
        whole=("cs", "n"),
        real=("log10bf", "coverage", "purity_min", "lead_pip"),
        made_by=MADE_BY,
    )


def _check_study(study: Study, variants: pl.DataFrame, rows: ndarray, path: Path) -> None:
    """Refuses a fine-mapping of other associations: variants or z that are not the study's."""
    there = rows >= 0
    if not there.any():
        raise DataError(
            f"`{path}` has none of the {study.panel.variants.height:,} variants of the run's panel: it is of another study or build."
        )
    z = study.aligned.data.z
    mine = (z if z.ndim == 1 else z[:, 0])[rows[there]]
    differ = ~np.isclose(np.abs(variants["z"].to_numpy()[there]), np.abs(mine), rtol=1e-3, atol=5e-3)
    if differ.any():
        first = np.flatnonzero(there)[differ][0]
        raise DataError(
            f"`{path}`: z of {differ.sum():,} of {there.sum():,} variants is not that of the run's summary statistics, first "
            f"{variants['variant_id'][int(first)]}. Give the fine-mapping of this trait."
        )
