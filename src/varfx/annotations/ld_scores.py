"""LD scores of one or several annotations: LDSC's `.l2.ldscore[.gz]` and PolyFun's Parquet layout, with their M files.

An LD score is l_jc = sum_k r_jk^2 annot_c(k); M_c counts the variants (or sums the annotation) behind column c.
LDSC: whitespace-separated `CHR SNP BP [CM MAF]`, then one column per annotation named `<annotation>L2`. PolyFun:
Parquet with `CHR SNP BP A1 A2`, then one column per annotation. Counts stand in `<prefix>.l2.M_5_50` (variants of
minor-allele frequency above 5 %) and `<prefix>.l2.M` (all): one line with a number per annotation.
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float
from numpy import ndarray

from varfx.errors import DataError, FormatError
from varfx.genome.variants import chrom_expr, in_genome_order
from varfx.gwas.sumstats import SumStats
from varfx.io.text_layout import ROW_NAMES
from varfx.io.text_lines import as_text, numbered_lines
from varfx.io.text_numbers import MISSING, require_exact, whole
from varfx.io.text_table import open_table

logger = logging.getLogger(__name__)

SUFFIXES = (".l2.ldscore.gz", ".l2.ldscore", ".l2.ldscore.parquet")
CHROMOSOMES = (*map(str, range(1, 23)), "X")
PLACE = ("CHR", "SNP", "BP")
NOT_SCORES = (*PLACE, "CM", "MAF", "A1", "A2")


@dataclass(frozen=True, kw_only=True, eq=False)
class LDScores:
    """LD scores, one row per variant in genome order.

    Attributes:
        table: columns `chrom, position, variant_id`, and one column of scores for each of `names`.
        names: names of the annotations, without a final "L2"; a column named "L2" keeps it.
        counts: M of each annotation, in the order of `names`; None without a file of counts.
        source: the path, for messages and provenance.
        files: the files read.
    """

    table: pl.DataFrame
    names: tuple[str, ...]
    counts: Float[ndarray, " annotation"] | None
    source: str
    files: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class JoinedScores:
    """The variants that have associations, LD scores and weights, in genome order.

    Attributes:
        z: associations.
        n: sample size.
        ref_ld: LD scores of the annotations.
        weight_ld: LD scores to weight with.
        key: how variants were matched, "rsID" or "position".
        notes: number of variants lost per cause, in words.
    """

    z: Float[ndarray, " variant"]
    n: Float[ndarray, " variant"]
    ref_ld: Float[ndarray, "variant annotation"]
    weight_ld: Float[ndarray, " variant"]
    key: str
    notes: tuple[str, ...]

    @property
    def chi2(self) -> Float[ndarray, " variant"]:
        """Squared z."""
        return np.asarray(self.z**2)


def read_ld_scores(path: str | os.PathLike[str], *, all_frequencies: bool = False) -> LDScores:
    """The LD scores under `path`, of one file or of one per chromosome.

    Args:
        path: a file; a folder with one set of files; a prefix as LDSC takes it (`folder/baseline.`, to which
            chromosomes and suffixes are appended); or a pattern whose `@` stands for the chromosome.
        all_frequencies: counts from `.l2.M` rather than `.l2.M_5_50`.

    Raises:
        FormatError: no such files, files that are damaged or of another format, or whose columns disagree.
        DataError: scores that are missing or not finite.
    """
    files = find_files(path)
    parts = [_read_scores(file) for file in files]
    names = parts[0].columns[len(PLACE) :]
    for file, part in zip(files, parts, strict=True):
        if part.columns[len(PLACE) :] != names:
            raise FormatError(
                f"`{file}` has the LD scores {part.columns[3:6]}..., `{files[0]}` has {names[:3]}...: "
                "the chromosomes' files must have the same columns. Give files of one set."
            )
    table = in_genome_order(pl.concat(parts))
    unique = table.unique("variant_id", keep="first", maintain_order=True)
    if unique.height < table.height:
        logger.warning("%s: %d variants stand more than once; the first was kept.", path, table.height - unique.height)
    bare = [name.removesuffix("L2") or name for name in names]
    if len({*bare, *table.columns[: len(PLACE)]}) < table.width:  # e.g. both "x" and "xL2"
        bare = names
    unique = unique.rename(dict(zip(names, bare, strict=True)))
    counts = _read_counts(files, len(names), "M" if all_frequencies else "M_5_50")
    return LDScores(table=unique, names=tuple(bare), counts=counts, source=str(path), files=tuple(files))


def find_files(path: str | os.PathLike[str]) -> list[Path]:
    """The LD score files under `path`, in the order of chromosomes; see `read_ld_scores`.

    Raises:
        FormatError: there is none, or a folder holds several sets.
    """
    pattern = os.fspath(path)
    if Path(pattern).is_dir():
        pattern = _pattern_in(Path(pattern))
    found = [Path(pattern + ending) for ending in ("", *SUFFIXES) if Path(pattern + ending).is_file()][:1]
    if found:
        return found
    if "@" not in pattern:
        pattern += "@"
    for chrom in CHROMOSOMES:
        stems = (pattern.replace("@", chrom), pattern.replace("@", f"chr{chrom}"))
        candidates = [Path(stem + ending) for stem in stems for ending in ("", *SUFFIXES)]
        found += [file for file in candidates if file.is_file()][:1]
    if not found:
        raise FormatError(
            f"`{path}` leads to no LD scores (files *.l2.ldscore.gz, .l2.ldscore or .l2.ldscore.parquet). "
            "Give a file, a folder, a prefix, or a pattern with @ for the chromosome."
        )
    return found


def _pattern_in(folder: Path) -> str:
    """The path of a folder's only set of LD scores, with @ for the chromosome if it is split by chromosome."""
    chromosome = re.compile(r"(?<![0-9A-Za-z])(?:chr)?(?:\d{1,2}|X)(?=\.l2\.ldscore)")
    names = {file.name for file in folder.iterdir() if file.name.endswith(SUFFIXES)}
    patterns = sorted({chromosome.sub("@", name) for name in names})
    if len(patterns) > 1:
        raise FormatError(
            f"`{folder}` holds {len(patterns)} sets of LD scores: {', '.join(patterns[:3])}. "
            "Give one as a pattern, with @ for the chromosome."
        )
    return str(folder / patterns[0]) if patterns else str(folder / "@")


def join_sumstats(sumstats: SumStats, ref_ld: LDScores, weight_ld: LDScores) -> JoinedScores:
    """Associations beside LD scores and weights, in the order of `ref_ld`.

    Variants match by rsID; where no more than 1 % of the smaller table does so, by position (one variant per position).
    A variant id or position that stands more than once in the associations is taken at its first row, as LDSC does
    for ids.
    """
    rows = sumstats.table.select("chrom", "position", "variant_id", "z", "n")
    smaller = min(rows.height, ref_ld.table.height)
    by_id = rows.join(ref_ld.table.select("variant_id"), on="variant_id", how="semi").height
    key, on = ("rsID", ["variant_id"]) if by_id > 0.01 * smaller else ("position", ["chrom", "position"])
    if key == "position":
        by_position = rows.drop_nulls(on).join(ref_ld.table.select(on), on=on, how="semi").height
        if by_position <= by_id:
            key, on = "rsID", ["variant_id"]
    usable = rows.drop_nulls(on)
    single = usable.unique(on, keep="first", maintain_order=True).select(*on, "z", "n")
    weights = weight_ld.table.select(*on, pl.col(weight_ld.names[0]).alias("weight")).unique(on, keep="first")
    reference = ref_ld.table.unique(on, keep="first", maintain_order=True)
    joined = reference.join(single, on=on, maintain_order="left")
    merged = joined.join(weights, on=on, maintain_order="left")
    note = (
        f"{merged.height} of {rows.height} variants of `{sumstats.trait}` have LD scores and weights (by {key}); "
        f"{rows.height - usable.height} have no {key}, {usable.height - single.height} repeat one, "
        f"{single.height - joined.height} have no LD score, {joined.height - merged.height} no weight."
    )
    return JoinedScores(
        z=merged["z"].to_numpy(),
        n=merged["n"].to_numpy(),
        ref_ld=merged.select(ref_ld.names).to_numpy(),
        weight_ld=merged["weight"].to_numpy(),
        key=key,
        notes=(note,),
    )


def _read_scores(file: Path) -> pl.DataFrame:
    """`chrom, position, variant_id` and the scores as Float64, checked."""
    raw = read_columns(file)
    missing = [name for name in PLACE if name not in raw.columns]
    scores = [name for name in raw.columns if name not in NOT_SCORES]
    if missing or not scores or raw.height == 0:
        raise FormatError(
            f"`{file}` is no file of LD scores: {'it lacks the column ' + missing[0] if missing else 'it holds none'} "
            f"({raw.height} rows, columns {raw.columns[:6]}). Its header must be CHR SNP BP, then a column of scores "
            "per annotation."
        )
    require_exact(raw["BP"], "BP", file)
    table = raw.select(
        chrom_expr("CHR"),
        whole(raw["BP"]).alias("position"),
        pl.col("SNP").cast(pl.String).alias("variant_id"),
        *(pl.col(name).cast(pl.Float64, strict=False) for name in scores),
    )
    for name in ("position", "variant_id", *scores):
        bad = ~pl.col(name).is_finite() if name in scores else pl.lit(value=False)
        rows = table.select((pl.col(name).is_null() | bad).alias("bad"))["bad"]
        if rows.any():
            first = int(rows.arg_max() or 0)
            raise DataError(
                f"`{file}`: `{name}` is missing or not a finite number in {rows.sum()} of {rows.len()} rows, first "
                f"row {first + 1} ({table['variant_id'][first]}). Remove these variants from the file."
            )
    return table


def read_columns(file: Path) -> pl.DataFrame:
    """The columns of a table of LDSC's or PolyFun's: Parquet, or text (also gzip) with a header, as strings.

    Raises:
        FormatError: the file is damaged, or no such table.
    """
    table = open_table(file)
    wanted = [
        number for number, name in enumerate(table.names) if not name.startswith("__index_level_") and name != ROW_NAMES
    ]
    return table.read(wanted, MISSING)


def _read_counts(files: list[Path], num_annotations: int, suffix: str) -> Float[ndarray, " annotation"] | None:
    """M of each annotation, summed over files; None where a file lacks its counts."""
    total = np.zeros(num_annotations)
    for file in files:
        stem = next((file.name.removesuffix(ending) for ending in SUFFIXES if file.name.endswith(ending)), file.name)
        path = file.with_name(f"{stem}.l2.{suffix}")
        if not path.is_file():
            logger.info("no counts of variants: `%s` does not exist", path)
            return None
        words = [word for _, line in numbered_lines(path) for word in as_text(line).split()]
        try:
            values = np.array([float(word) for word in words])
        except ValueError:
            values = np.array([])
        if values.size != num_annotations or not np.isfinite(values).all():
            raise FormatError(
                f"`{path}` must hold {num_annotations} numbers, one for each column of `{file.name}`, but holds "
                f"{len(words)} words: {' '.join(word[:40] for word in words[:3])}. Give the file that came with the LD scores."
            )
        total += values
    return total
