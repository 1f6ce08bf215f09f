"""Options of annotation files; free of numpy, for help pages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from varfx.errors import ConfigError

Combine = Literal["max", "mean"]
Reduce = Literal["damaging", "canonical", "mean"]


@dataclass(frozen=True, kw_only=True)
class AnnotationFiles:
    """The files of annotations, and what is taken from them."""

    bed: tuple[str, ...] = ()
    """BED files, each FILE or NAME=FILE: 1 where an interval covers the variant, else 0."""
    bed_score: tuple[str, ...] = ()
    """Scores of BED files, each FILE:COLUMN or NAME=FILE:COLUMN: the value in that column (counted from 1) of the covering
    interval, missing where none covers."""
    table: tuple[str, ...] = ()
    """Parquet, TSV or CSV files with position and alleles, position, or rsID; NAME=FILE puts NAME before its columns."""
    annot: tuple[str, ...] = ()
    """LDSC .annot(.gz) files, with or without their key columns; "@" stands for the chromosome. A thin one (without key columns)
    comes with the .bim or .pvar whose variants are its rows: FILE:REFERENCE.@.bim."""
    columns: tuple[str, ...] = ()
    """Columns to take from tables; all numeric ones by default."""
    combine: Combine = "max"
    """The score where several intervals cover a variant: the largest (max), or the mean."""
    fill: float | None = None
    """The score of variants that no interval covers, in place of missing."""
    frequency_from: Path | None = None
    """A S.sumstats.parquet whose frequencies are taken where the panel knows none."""
    dbnsfp: Path | None = None
    """dbNSFP file with scores of coding variants; "@" stands for the chromosome."""
    scores: tuple[str, ...] = ()
    """Columns to take from it. Larger is more damaging in all of them: scores that count the other way are negated. NAME:high or
    NAME:low says which end is damaging for scores that are not known."""
    reduce: Reduce = "damaging"
    """The score of a variant with several transcripts: the most damaging, the canonical one's, or the mean."""
    build: str | None = None
    """Genome build of the files, GRCh37 or GRCh38, which must be the panel's; by default it is taken to be. dbNSFP has both: the
    panel's is used, and GRCh37 where that is not known."""

    def __post_init__(self) -> None:
        if self.columns and not (self.table or self.annot):
            raise ConfigError(
                "`--columns` chooses columns of tables, but there is no --table and no --annot. Leave it out."
            )
        if self.fill is not None and not self.bed_score:
            raise ConfigError("`--fill` is for scores, but there is no --bed-score. Leave it out.")
        if (self.dbnsfp is None) != (not self.scores):
            raise ConfigError("`--dbnsfp` and `--scores` belong together: give a file and the columns to take from it.")
