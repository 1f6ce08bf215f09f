"""Scores of coding variants from dbNSFP (4 and 5): one row per hg38 position and pair of alleles, tab-separated.

A field may hold a value per transcript, `;`-separated in the order of `Ensembl_transcriptid`, "." where missing. Every
score comes out so that larger is more damaging (or more conserved): those that count the other way are negated. A
missing value stays missing, and never is 0.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from varfx.annotations.config import Reduce
from varfx.annotations.foreign import AnnotationTable
from varfx.errors import ConfigError, DataError, FormatError
from varfx.genome.builds import build_name
from varfx.genome.per_chromosome import files_of, is_split
from varfx.genome.variants import SCHEMA, chrom_expr
from varfx.io.text_table import open_table

logger = logging.getLogger(__name__)
Direction = Literal["high", "low"]
_PLACE = {"hg38": ("chr", "pos(1-based)"), "hg19": ("hg19_chr", "hg19_pos(1-based)")}
_CANONICAL = "VEP_canonical"
# Which end of a score's range means damaging, as the authors of each score define it (dbNSFP's description of columns).
_LOW = (
    *("SIFT_score", "SIFT4G_score", "LRT_score", "FATHMM_score", "PROVEAN_score", "ESM1b_score", "popEVE_score"),
    *("GPN_MSA_score", "bStatistic"),
)
_HIGH = (
    *("Polyphen2_HDIV_score", "Polyphen2_HVAR_score", "MutationAssessor_score", "VEST4_score", "MetaSVM_score"),
    *("MetaLR_score", "MetaRNN_score", "M-CAP_score", "REVEL_score", "MutPred_score", "MutPred2_score", "MVP_score"),
    *("gMVP_score", "MPC_score", "PrimateAI_score", "DEOGEN2_score", "BayesDel_addAF_score", "BayesDel_noAF_score"),
    *("ClinPred_score", "LIST-S2_score", "VARITY_R_score", "VARITY_ER_score", "VARITY_R_LOO_score"),
    *("VARITY_ER_LOO_score", "EVE_score", "AlphaMissense_score", "PHACTboost_score", "MutFormer_score"),
    *("MutScore_score", "CADD_raw", "CADD_phred", "CADD_raw_hg19", "CADD_phred_hg19", "DANN_score"),
    *("fathmm-MKL_coding_score", "fathmm-XF_coding_score", "Eigen-raw_coding", "Eigen-phred_coding"),
    *("Eigen-PC-raw_coding", "Eigen-PC-phred_coding", "GenoCanyon_score", "integrated_fitCons_score", "LINSIGHT"),
    *("GERP++_RS", "GERP_91_mammals", "phyloP100way_vertebrate", "phyloP470way_mammalian", "phyloP17way_primate"),
    *("phyloP30way_mammalian", "phastCons100way_vertebrate", "phastCons470way_mammalian"),
    *("phastCons17way_primate", "phastCons30way_mammalian", "SiPhy_29way_logOdds"),
)
DIRECTIONS: dict[str, Direction] = {**dict.fromkeys(_LOW, "low"), **dict.fromkeys(_HIGH, "high")}


@dataclass(frozen=True)
class DbnsfpSpec:
    """One file (or "@" in its name for the chromosome: one each) and the scores to take from it.

    Attributes:
        path: plain, gzip, bgzip or zstd.
        scores: names of columns; NAME:high or NAME:low says which end is damaging where it is not known here.
        reduce: over transcripts: the most "damaging", the "canonical" transcript's (VEP), or their "mean".
        build: whose positions to use: hg19 or hg38.
    """

    path: Path
    scores: tuple[str, ...]
    reduce: Reduce = "damaging"
    build: str = "hg19"

    def __post_init__(self) -> None:
        if self.reduce not in get_args(Reduce):
            raise ConfigError(f"`reduce` must be one of {', '.join(get_args(Reduce))}, but is {self.reduce!r}.")
        if not self.scores:
            raise ConfigError(f"`{self.path}`: no scores are chosen. Name some, as in --scores SIFT_score,EVE_score.")
        repeated = [name for name in self.columns if list(self.columns).count(name) > 1]
        if repeated or len(self.columns) < len(self.scores):
            raise ConfigError(f"`{self.path}`: a score is chosen twice. Name each once.")
        build_name(self.build)

    @property
    def columns(self) -> dict[str, Direction]:
        """The columns to take, and which end of each is damaging.

        Raises:
            ConfigError: a column whose direction is not known and not given, or another word than high and low.
        """
        return dict(map(_direction, self.scores))


def read_dbnsfp(spec: DbnsfpSpec, panel: pl.DataFrame) -> AnnotationTable:
    """The scores of a panel's variants, as a table that `varfx.annotations.align.align` takes.

    Rows away from the panel's positions are passed over while reading, so that the whole of dbNSFP fits. Where a
    variant has several rows (two genes), they are reduced like transcripts.

    Args:
        spec: file, scores, and rule.
        panel: columns `chrom, position`.

    Raises:
        FormatError: no such file, damaged, without a needed column, rows that are too short, or text in a score.
        DataError: no row at any position of the panel.
    """
    columns = spec.columns
    build = build_name(spec.build)
    place = panel.select("chrom", "position").unique()
    parts = []
    for path in _paths(spec.path, panel):
        parts += [
            _reduced(frame, columns, spec.reduce, path)
            for frame in _rows(path, tuple(columns), _PLACE[build], place, canonical=spec.reduce == "canonical")
        ]
    found = pl.concat(parts) if parts else pl.DataFrame()
    if not found.height:
        raise DataError(
            f"`{spec.path}`: no row is at a position of the panel's {panel.height} variants, by {build} positions. Check "
            "--build and the chromosomes."
        )
    join = pl.all().mean() if spec.reduce == "mean" else pl.all().max()
    key = ["chrom", "position", "effect_allele", "other_allele"]
    merged = found.group_by(key, maintain_order=True).agg(join)
    absent = [pl.lit(None, SCHEMA[name]).alias(name) for name in SCHEMA if name not in key]
    return AnnotationTable(
        source=str(spec.path),
        kind="alleles",
        keys=merged.select(*key, *absent).select(SCHEMA.keys()),
        values=merged.select(pl.col(list(columns)).cast(pl.Float32)),
        num_not_finite=0,
    )


def _direction(score: str) -> tuple[str, Direction]:
    name, _, word = score.partition(":")
    if word in ("high", "low"):
        return name, "high" if word == "high" else "low"
    if word:
        raise ConfigError(f"`{score}`: the word behind the colon must be high or low: which end is damaging.")
    if name.endswith("_rankscore"):
        return name, "high"  # dbNSFP ranks so that the most damaging is 1
    if name not in DIRECTIONS:
        raise ConfigError(
            f"It is not known which end of `{name}` is damaging. Say it: {name}:high or {name}:low. Known are "
            f"{', '.join(list(DIRECTIONS)[:6])}, ..., and all rankscores."
        )
    return name, DIRECTIONS[name]


def _paths(path: Path, panel: pl.DataFrame) -> list[Path]:
    return (
        list(files_of(path, panel["chrom"].unique(maintain_order=True).to_list()).values())
        if is_split(path)
        else [path]
    )


def _rows(
    path: Path, scores: Sequence[str], place: tuple[str, str], wanted: pl.DataFrame, *, canonical: bool
) -> Iterator[pl.DataFrame]:
    """The rows at wanted positions, block by block: key columns, scores as text, and the canonical marks if needed."""
    table = open_table(path, quotes=False)
    needed = list(dict.fromkeys([*place, "ref", "alt", *scores, *([_CANONICAL] if canonical else [])]))
    lacking = [name for name in needed if name not in table.names]
    if lacking:
        similar = difflib.get_close_matches(lacking[0], table.names, n=3)
        raise FormatError(
            f"`{path}` has no column `{lacking[0]}` ({len(lacking)} of {len(needed)} needed are missing"
            f"{'; similar: ' + ', '.join(similar) if similar else ''}). Give a dbNSFP file that has it."
        )
    numbers = [table.names.index(name) for name in needed]
    for frame in table.frames(numbers, frozenset()):
        rows = frame.drop("row").rename(dict(zip(map(str, numbers), needed, strict=True))).cast(pl.String())
        yield rows.select(
            chrom_expr(place[0]),
            pl.col(place[1]).cast(pl.Int64, strict=False).alias("position"),
            pl.col("alt").str.to_uppercase().alias("effect_allele"),
            pl.col("ref").str.to_uppercase().alias("other_allele"),
            *needed[4:],
        ).join(wanted, on=["chrom", "position"], how="semi", maintain_order="left")


def _reduced(frame: pl.DataFrame, columns: dict[str, Direction], reduce: Reduce, path: Path) -> pl.DataFrame:
    """One number per row and score; larger is more damaging."""
    out = frame.select("chrom", "position", "effect_allele", "other_allele")
    for name, direction in columns.items():
        texts = frame[name].str.split(";").list.eval(pl.element().str.strip_chars().replace([".", ""], None))
        numbers = texts.list.eval(pl.element().cast(pl.Float64, strict=False))
        wrong = frame.select(
            (numbers.list.eval(pl.element().is_null()).list.sum() > texts.list.eval(pl.element().is_null()).list.sum())
            .fill_null(False)
            .alias("wrong")
        )["wrong"]
        if wrong.any():
            row = int(wrong.arg_max() or 0)
            raise FormatError(
                f"`{path}`: `{name}` is no number in {wrong.sum()} of {frame.height} rows, first {frame[name][row][:40]!r} at "
                f"{frame['chrom'][row]}:{frame['position'][row]}. Choose a score, not a prediction."
            )
        if direction == "low":
            numbers = numbers.list.eval(-pl.element())
        if reduce == "canonical":
            numbers = _canonical(frame, numbers, name)
        reduced = numbers.list.mean() if reduce == "mean" else numbers.list.max()
        out = out.with_columns(reduced.cast(pl.Float64).alias(name))
    return out


def _canonical(frame: pl.DataFrame, numbers: pl.Series, name: str) -> pl.Series:
    """The values of canonical transcripts; a field with one value has it for all transcripts.

    Where the two lists differ in length, separators at the end of either are taken off: an empty last field is no
    transcript. A field with neither one value nor one per transcript cannot be assigned: it becomes missing, and is
    logged.
    """
    rows = pl.DataFrame(
        {
            "row": range(frame.height),
            "numbers": numbers,
            "values": frame[name].str.strip_chars_end("; ").str.count_matches(";", literal=True) + 1,
            "marks": frame[_CANONICAL].str.split(";"),
            "bare_marks": frame[_CANONICAL].str.strip_chars_end("; ").str.split(";"),
        }
    )
    differ = pl.col("numbers").list.len() != pl.col("marks").list.len()
    rows = rows.with_columns(
        numbers=pl.when(differ).then(pl.col("numbers").list.head("values")).otherwise("numbers"),
        marks=pl.when(differ).then("bare_marks").otherwise("marks"),
    )
    fits = (pl.col("numbers").list.len() == pl.col("marks").list.len()) & (pl.col("numbers").list.len() > 1)
    single = pl.col("numbers").list.len() == 1
    lost = int(rows.select((~fits & ~single).sum()).item())
    if lost:
        logger.warning("`%s`: %d rows do not have one value per transcript: missing", name, lost)
    chosen = (
        rows.filter(fits)
        .explode("numbers", "marks")
        .filter(pl.col("marks").str.strip_chars() == "YES")
        .group_by("row")
        .agg("numbers")
    )
    joined = rows.with_columns(single=single).join(
        chosen, on="row", how="left", maintain_order="left", suffix="_chosen"
    )
    return joined.select(pl.when("single").then("numbers").otherwise("numbers_chosen").alias(name))[name]
