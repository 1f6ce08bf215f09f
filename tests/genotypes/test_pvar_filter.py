"""FILTER of a .pvar: counted where every variant is kept, and a reason to leave variants out where that is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cases.plink2 import COUNTS_OF_ALT, write_pgen
from varfx.errors import ConfigError
from varfx.genotypes.config import Filters, ReferenceConfig
from varfx.genotypes.donors import open_donors
from varfx.genotypes.open_ld import open_source
from varfx.genotypes.plink2 import PgenFile

PVAR = (
    "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\n"
    "22\t100\trs1\tG\tA\t.\tPASS\n22\t200\trs2\tC\tT\t.\tlowqual;q10\n22\t300\trs3\tA\tC\t.\t.\n"
)


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    return write_pgen(tmp_path / "x", COUNTS_OF_ALT, pvar=PVAR)


def test_a_site_passes_by_pass_or_a_point(prefix: Path, tmp_path: Path) -> None:
    passed = PgenFile(prefix).passed
    assert passed is not None
    assert passed.tolist() == [True, False, True]
    assert PgenFile(write_pgen(tmp_path / "none", COUNTS_OF_ALT)).passed is None


@pytest.mark.parametrize(
    ("filters", "left", "row"),
    [
        ("all", ["rs1", "rs2", "rs3"], {"step": "FILTER is not PASS, kept (--filter all)", "count": 1}),
        ("pass", ["rs1", "rs3"], {"step": "FILTER is not PASS", "count": 1}),
    ],
)
def test_the_ledger_of_an_ld_reference_says_what_became_of_them(
    prefix: Path, filters: Filters, left: list[str], row: dict[str, object]
) -> None:
    source = open_source(f"{prefix}.pgen", maf=0, filters=filters)
    assert source.variants["variant_id"].to_list() == left
    assert {name: source.ledger[0][name] for name in ("step", "count")} == row


def test_a_file_without_filters_has_no_such_step(tmp_path: Path) -> None:
    prefix = write_pgen(tmp_path / "x", COUNTS_OF_ALT)
    assert not any("FILTER" in step["step"] for step in open_source(f"{prefix}.pgen", maf=0).ledger)
    asked = open_source(f"{prefix}.pgen", maf=0, filters="pass").ledger[0]
    assert (asked["step"], asked["count"]) == ("FILTER is not PASS", 0)


@pytest.mark.parametrize(("filters", "positions"), [("all", [100, 200, 300]), ("pass", [100, 300])])
def test_individuals_genotypes_follow_the_same_rule(prefix: Path, filters: Filters, positions: list[int]) -> None:
    found = open_donors(f"{prefix}.pgen").read("22", 0, 1000, filters=filters)
    assert found.variants["position"].to_list() == positions
    assert found.ledger["FILTER is not PASS"] == 1
    assert np.array_equal(found.dosages[0] < 0, COUNTS_OF_ALT[0] < 0)


def test_correlations_have_no_filters_and_other_words_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ld").mkdir()
    with pytest.raises(ConfigError, match=r"`filter` is for genotypes, but `.*ld` holds correlations"):
        open_source(tmp_path / "ld", filters="pass")
    with pytest.raises(ConfigError, match="`filters` must be one of all, pass, but is 'some'"):
        ReferenceConfig(filters="some")  # type: ignore[arg-type]
