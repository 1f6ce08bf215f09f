"""Case 51: oddities of .bim and .fam files that people report, counted rule by rule, and duplicate individuals named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bed_reader import to_bed

from varfx.errors import FormatError
from varfx.genotypes.open_ld import open_source

PEOPLE, VARIANTS = 120, 200


def write_reference(folder: Path, *, duplicated: bool = False) -> Path:
    """200 variants of 120 individuals, of which ten cannot be used: two unplaced, four alleles, one missing, three constant."""
    rng = np.random.default_rng(51)
    counts = rng.binomial(2, 0.3, (PEOPLE, VARIANTS)).astype(np.float32)
    counts[:, :60] = counts[:, [0]]  # a block in perfect LD
    counts[: PEOPLE // 2, 20] = np.nan
    positions = list(range(1000, 1000 * (VARIANTS + 1), 1000))
    positions[3], positions[5] = 0, -7
    first, second = ["A"] * VARIANTS, ["G"] * VARIANTS
    first[7], first[9], first[11], second[13] = "0", "I", "D", "N"
    second[9] = "D"
    second[11] = "I"
    counts[:, 60] = np.nan
    counts[:, 61], counts[:, 62], counts[:, 63] = 0, 1, 2
    name = "same" if duplicated else "I{}"
    properties = {
        "fid": [("F" if duplicated else f"F{i}") for i in range(PEOPLE)],
        "iid": [name.format(i) for i in range(PEOPLE)],
        "chromosome": ["chr1"] * VARIANTS,
        "sid": [f"rs{j}" for j in range(VARIANTS)],
        "bp_position": positions,
        "allele_1": first,
        "allele_2": second,
    }
    to_bed(folder / "p.bed", counts, properties=properties)
    return folder / "p.bed"


def test_every_rule_counts_what_it_leaves_out(tmp_path: Path) -> None:
    source = open_source(write_reference(tmp_path))
    assert {row["step"]: row["count"] for row in source.ledger} == {
        "unplaced": 2,
        "multi-allelic": 0,
        "alleles outside ACGT": 4,
        "no genotypes": 1,
        "no variance": 3,
        "minor-allele frequency below 0.01": 0,
        "further copies of a variant": 0,
    }
    assert source.variants.height == 190
    assert source.variants["chrom"].unique().to_list() == ["1"]
    assert source.num_people == PEOPLE


def test_duplicate_individuals_are_named(tmp_path: Path) -> None:
    path = write_reference(tmp_path, duplicated=True)
    with pytest.raises(
        FormatError, match=r"120 of 120 individuals share their FID and IID, first in row 1\. Make them unique"
    ):
        open_source(path)
