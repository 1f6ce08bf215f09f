"""Overlap of annotations, against sums written out."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from varfx.annotations.ld_scores import LDScores
from varfx.annotations.ldsc_overlap import read_overlap
from varfx.errors import DataError, FormatError

PANEL = LDScores(table=pl.DataFrame(), names=("base", "coding"), counts=None, source="panel", files=())


def write(folder: Path, chrom: int, rng: np.random.Generator, *, thin: bool = False) -> tuple[np.ndarray, np.ndarray]:
    values = np.column_stack([np.ones(40), rng.random(40).round(2)])
    maf = (0.5 * rng.random(40)).round(3)
    table = pl.DataFrame(values, schema=["base", "coding"])
    if not thin:
        place = {"CHR": chrom, "BP": 5, "SNP": "rs1", "CM": 0.0}
        table = table.select(*(pl.lit(value).alias(name) for name, value in place.items()), pl.all())
    (folder / f"m.{chrom}.annot.gz").write_bytes(gzip.compress(table.write_csv(separator="\t").encode()))
    rows = "".join(f"   {chrom}  rs1  A  G  {value}  100\n" for value in maf)
    (folder / f"m.{chrom}.frq").write_text(" CHR SNP A1 A2 MAF NCHROBS\n" + rows)
    return values, maf


@pytest.mark.parametrize("thin", [False, True])
def test_overlap_is_summed_over_chromosomes(tmp_path: Path, rng: np.random.Generator, thin: bool) -> None:
    parts = [write(tmp_path, chrom, rng, thin=thin) for chrom in (1, 2, 22)]
    everything = read_overlap(tmp_path / "m.", PANEL)
    np.testing.assert_allclose(everything.matrix, sum(values.T @ values for values, _ in parts))
    assert everything.num_variants == 120
    common = read_overlap(tmp_path / "m.@", PANEL, frequencies=tmp_path / "m.@")
    kept = [values[maf > 0.05] for values, maf in parts]
    np.testing.assert_allclose(common.matrix, sum(values.T @ values for values in kept))
    assert common.num_variants == sum(len(values) for values in kept) < 120


def test_errors(tmp_path: Path, rng: np.random.Generator) -> None:
    for chrom in (1, 2):
        write(tmp_path, chrom, rng)
    with pytest.raises(FormatError, match="leads to no file"):
        read_overlap(tmp_path / "none", PANEL)
    with pytest.raises(FormatError, match=r"leads to 1 files, .* to 2: give both for the same chromosomes"):
        read_overlap(tmp_path / "m.", PANEL, frequencies=tmp_path / "m.1")
    one = LDScores(table=pl.DataFrame(), names=("base",), counts=None, source="other", files=())
    with pytest.raises(DataError, match="has 2 annotations, but `other` has 1 columns of LD scores"):
        read_overlap(tmp_path / "m.", one)
    (tmp_path / "m.1.frq").write_text("SNP MAF\nrs1 0.2\n")
    with pytest.raises(DataError, match=r"m.1.frq` has 1 variants, but .* has 40: they must hold the same variants"):
        read_overlap(tmp_path / "m.1", PANEL, frequencies=tmp_path / "m.1")
    (tmp_path / "m.1.frq").write_text("SNP FRQ\nrs1 0.2\n")
    with pytest.raises(FormatError, match="has no column MAF"):
        read_overlap(tmp_path / "m.1", PANEL, frequencies=tmp_path / "m.1")
    (tmp_path / "bad.annot").write_text("base\tcoding\n1\t0\n1\tx\n1\t\n")
    with pytest.raises(DataError, match="2 of 3 rows have a value that is missing or not finite, first row 2"):
        read_overlap(tmp_path / "bad", PANEL)
