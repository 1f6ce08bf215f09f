"""Real files: golden counts and values, recomputed here by plain Python from the text."""

from __future__ import annotations

import csv
import gzip
import math
from pathlib import Path

import numpy as np
import pytest

from varfx.gwas import CleanOptions, clean


@pytest.mark.shared_data
def test_bolt_of_uk_biobank(shared_data: Path) -> None:
    path = shared_data / "gwas" / "polypred" / "bolt.sumstats.txt.gz"
    found = clean(path, n=450_000)
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    table = found.table
    assert table.height == len(rows) == 82_448
    by_key = {(row["CHR"], int(row["BP"]), row["ALLELE1"], row["ALLELE0"]): row for row in rows}
    source = [by_key[key] for key in table.select("chrom", "position", "effect_allele", "other_allele").iter_rows()]
    z = [math.copysign(math.sqrt(float(row["CHISQ_BOLT_LMM"])), float(row["BETA"])) for row in source]
    np.testing.assert_allclose(table["z"].to_numpy(), z, rtol=1e-12)
    np.testing.assert_array_equal(table["eaf"].to_numpy(), [float(row["A1FREQ"]) for row in source])
    np.testing.assert_array_equal(table["info"].to_numpy(), [float(row["INFO"]) for row in source])
    gains = [
        float(row["CHISQ_BOLT_LMM"]) / float(row["CHISQ_LINREG"]) for row in rows if float(row["CHISQ_LINREG"]) > 30
    ]
    assert len(gains) == 1101
    assert table["n"].to_numpy() == pytest.approx(450_000 * float(np.median(gains)), rel=1e-12)
    assert clean(path, n=450_000, filters=CleanOptions(bolt_neff=False)).table["n"].unique().to_list() == [450_000]
    assert table["chrom"].unique(maintain_order=True).to_list() == [str(chrom) for chrom in range(1, 23)]
    lead = table.row(int(np.abs(table["z"].to_numpy()).argmax()), named=True)
    assert (lead["variant_id"], lead["chrom"]) == ("rs4239436", "18")
    # BETA / SE is the infinitesimal model's statistic in every row, as the reader's check assumes.
    assert not [entry for entry in found.metadata["ledger"] if entry["step"] in ("warning", "dropped")]


@pytest.mark.shared_data
def test_alkesgroup_of_uk_biobank(shared_data: Path) -> None:
    path = shared_data / "ldgm" / "example.sumstats"
    found = clean(path)
    with open(path) as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert found.metadata["format"] == "alkesgroup UKBB"
    assert found.table.height == len(rows) == 999
    z = {row["SNP"]: float(row["Beta"]) / float(row["se"]) for row in rows}
    np.testing.assert_allclose(found.table["z"].to_numpy(), [z[name] for name in found.table["variant_id"]], rtol=1e-12)
    assert found.table["n"].unique().to_list() == [458_303]
    # These files give BOLT's infinitesimal BETA and SE beside the p of its full model: that must be said.
    assert [entry["count"] for entry in found.metadata["ledger"] if entry["step"] == "warning"] == [485]
