"""The genome build of a study's files: stated, stored, compared, and said to be unknown where it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cases.command_line import varfx
from cases.plink2 import COUNTS_OF_ALT, write_pgen
from cases.simulated_panel import Simulated
from varfx.annotations import read_annotations
from varfx.errors import ConfigError, DataError, HarmonisationError
from varfx.genotypes.open_ld import open_source
from varfx.gwas import clean
from varfx.gwas.sumstats import SumStats, read_sumstats
from varfx.ld import LDPanel, open_panel
from varfx.prior.inputs import align_trait, require_builds

Capsys = pytest.CaptureFixture[str]
GWAS = "CHR SNP POS A1 A2 N AF1 BETA SE P\n22 rs1 {} A G 1000 0.25 -0.02 0.01 0.0455\n"


def of_build(stats: SumStats, build: str | None) -> SumStats:
    return replace(stats, metadata={**stats.metadata, "build": build})


def panel_of(simulated: Simulated, build: str | None) -> LDPanel:
    panel = simulated.open()
    return replace(panel, metadata={**panel.metadata, "build": build})


def test_two_known_builds_must_be_one(simulated: Simulated) -> None:
    stats = read_sumstats(simulated.height)
    message = rf"`height` is of GRCh38 \(hg38\), `{simulated.panel}` of GRCh37 \(hg19\)\. Lift one of them over"
    with pytest.raises(HarmonisationError, match=message):
        align_trait(of_build(stats, "hg38"), panel_of(simulated, "hg19"))
    annotations = read_annotations(simulated.annot)
    other = replace(annotations, metadata={"build": "hg38"})
    with pytest.raises(HarmonisationError, match=r"`annotations` is of GRCh38 \(hg38\), .* of GRCh37 \(hg19\)"):
        require_builds(panel_of(simulated, "hg19"), other, None)
    require_builds(panel_of(simulated, "hg19"), annotations, None)  # an earlier file, which does not say


@pytest.mark.parametrize(
    ("gwas", "panel", "note"),
    [
        ("hg19", "hg19", "genome build: GRCh37 (hg19)"),
        (None, "hg38", "genome build: GRCh38 (hg38); of `height` by its matching positions alone"),
        (None, None, "genome build: unknown of both, but their positions match"),
    ],
)
def test_what_is_known_of_the_build_stands_in_the_ledger(
    simulated: Simulated, gwas: str | None, panel: str | None, note: str
) -> None:
    aligned = align_trait(of_build(read_sumstats(simulated.height), gwas), panel_of(simulated, panel))
    assert [row["note"] for row in aligned.ledger if note in row["note"]]


def test_clean_stores_the_build_and_says_that_it_is_unknown(capsys: Capsys, tmp_path: Path) -> None:
    (tmp_path / "g.fastGWA").write_text(GWAS.format(1000))
    out = tmp_path / "g.sumstats.parquet"
    result = varfx(capsys, "sumstats", "clean", tmp_path / "g.fastGWA", "--out", out)
    assert "build        unknown (say it with --build)" in result.out
    assert read_sumstats(out).build is None
    result = varfx(capsys, "sumstats", "clean", tmp_path / "g.fastGWA", "--out", out, "--build", "GRCh37")
    assert "build        GRCh37 (hg19)" in result.out
    assert read_sumstats(out).build == "hg19"
    with pytest.raises(ConfigError, match=r"`build` must be hg19 \(GRCh37\) or hg38"):
        clean(tmp_path / "g.fastGWA", build="hg18")


def test_a_position_beyond_the_end_contradicts_a_build(tmp_path: Path) -> None:
    (tmp_path / "g.fastGWA").write_text(GWAS.format(51_000_000))  # chromosome 22 ends at 50,818,468 in GRCh38
    assert clean(tmp_path / "g.fastGWA", build="hg19").build == "hg19"
    with pytest.raises(
        DataError, match=r"said to be of GRCh38 \(hg38\), but has a variant at 22:51000000, where .* 50818468 b"
    ):
        clean(tmp_path / "g.fastGWA", build="hg38")


@pytest.mark.parametrize(("length", "build"), [(51_304_566, "hg19"), (50_818_468, "hg38"), (12_345, None)])
def test_contigs_of_a_pvar_tell_the_build(tmp_path: Path, length: int, build: str | None) -> None:
    pvar = f"##contig=<ID=chr22,length={length}>\n#CHROM\tPOS\tID\tREF\tALT\n" + "".join(
        f"22\t{place}\trs{place}\tA\tG\n" for place in (100, 200, 300)
    )
    source = open_source(f"{write_pgen(tmp_path / 'x', np.abs(COUNTS_OF_ALT) % 3, pvar)}.pgen", maf=0)
    assert getattr(source, "build", "") == build


def test_panel_and_annotations_store_it(capsys: Capsys, simulated: Simulated, tmp_path: Path) -> None:
    panel, bed = tmp_path / "P.ld.zarr", tmp_path / "peaks.bed"
    result = varfx(
        capsys,
        "ld",
        "build",
        simulated.bed,
        "--core",
        100000,
        "--flank",
        0,
        "--maf",
        0,
        "--build",
        "hg38",
        "--workers",
        1,
        "--out",
        panel,
    )
    assert "genome build: GRCh38 (hg38)" in result.out
    assert open_panel(panel).build == "hg38"
    bed.write_text("chr1\t0\t5000000\nchr2\t0\t5000000\n")
    wrong = varfx(
        capsys,
        "annot",
        "build",
        "--panel",
        panel,
        "--bed",
        bed,
        "--build",
        "GRCh37",
        "--out",
        tmp_path / "A.annot.parquet",
    )
    assert wrong.code == 2
    assert f"`--build` is of GRCh37 (hg19), `{panel}` of GRCh38 (hg38)" in wrong.error
    varfx(capsys, "annot", "build", "--panel", panel, "--bed", bed, "--out", tmp_path / "A.annot.parquet")
    assert read_annotations(tmp_path / "A.annot.parquet").build == "hg38"
    assert "GRCh38 (hg38)" in varfx(capsys, "info", tmp_path / "A.annot.parquet").out
    assert "GRCh38 (hg38)" in varfx(capsys, "info", panel).out
