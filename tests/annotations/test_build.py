"""Annotations of a panel from several files: names, order, gaps."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from varfx.annotations import BedSpec, TableSpec, build_annotations, parse_named_path, parse_table, with_frequencies
from varfx.annotations.build import stem
from varfx.errors import ConfigError, FormatError
from varfx.genome.variants import SCHEMA
from varfx.genotypes.panel import GenotypePanel
from varfx.genotypes.plink1 import BedFile

GOLDEN = Path(__file__).parents[1] / "golden/cases"
PANEL = pl.DataFrame(
    [
        ("1", 100, "rs1", "A", "G", 0.1, 1.5),
        ("1", 200, "rs2", "C", "A", 0.8, 2.5),
        ("2", 100, "rs3", "A", "C", None, None),
    ],
    schema={**SCHEMA, "ld_score": pl.Float64()},
    orient="row",
)


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_channels_come_in_the_order_given_and_gaps_stay_gaps(tmp_path: Path) -> None:
    peaks = write(tmp_path / "blood.peaks.bed.gz", "chr1\t99\t100\t5\nchr1\t90\t150\t7\n")
    scores = write(tmp_path / "scores.tsv", "CHR\tBP\tz\ta\n2\t100\t4\t.\n1\t100\t3\t2\n")
    built = build_annotations(
        PANEL,
        [BedSpec(peaks), BedSpec(peaks, "height", column=4), BedSpec(peaks, "mean", column=4, combine="mean", fill=-1)],
        [TableSpec(scores), TableSpec(scores, "two"), TableSpec(scores, "only", ("z",))],
        metadata={"provenance": {}},
    )
    assert built.channels == (
        "eaf", "maf", "ld_score", "blood.peaks", "height", "mean", "z", "a", "two.z", "two.a", "only"
    )  # fmt: skip
    values, missing = built.select(PANEL)
    nan = np.nan
    expected = [
        [0.1, 0.1, 1.5, 1, 7, 6, 3, 2, 3, 2, 3],
        [0.8, 0.2, 2.5, 0, nan, -1, nan, nan, nan, nan, nan],
        [nan, nan, nan, 0, nan, -1, 4, nan, 4, nan, 4],
    ]
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    np.testing.assert_array_equal(missing, np.isnan(expected))
    inputs = built.metadata["annotation_inputs"]
    assert [entry["channels"] for entry in inputs] == [
        ["blood.peaks"], ["height"], ["mean"], ["z", "a"], ["two.z", "two.a"], ["only"]
    ]  # fmt: skip
    assert inputs[3]["counts"]["variants with a row"] == 2


def test_a_panel_alone_gives_what_it_knows() -> None:
    assert build_annotations(PANEL).channels == ("eaf", "maf", "ld_score")
    assert build_annotations(PANEL.drop("ld_score")).channels == ("eaf", "maf")
    unknown = PANEL.with_columns(eaf=pl.lit(None, pl.Float64))
    assert build_annotations(unknown).channels == ("ld_score",)


def test_names_that_stand_twice_are_refused(tmp_path: Path) -> None:
    peaks = write(tmp_path / "peaks.bed", "1\t99\t100\n")
    with pytest.raises(ConfigError, match=r"channel name `peaks` of `.*peaks.bed` is taken by `.*peaks.bed`.*NAME="):
        build_annotations(PANEL, [BedSpec(peaks), BedSpec(peaks)])
    with pytest.raises(ConfigError, match=r"channel name `maf` of .* is taken by `panel`"):
        build_annotations(PANEL, [BedSpec(peaks, "maf")])
    with pytest.raises(ConfigError, match=r"channel name `position` of .* is taken by `the variant key`"):
        build_annotations(PANEL, [BedSpec(peaks, "position")])
    scores = write(tmp_path / "scores.tsv", "CHR\tBP\tld_score\n1\t100\t3\n")
    with pytest.raises(ConfigError, match=r"channel name `ld_score` of `.*scores.tsv` is taken by `panel`"):
        build_annotations(PANEL, tables=[TableSpec(scores)])


def test_a_file_per_chromosome(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "base.1.annot.gz", "CHR\tBP\tSNP\tCM\tcoding\n1\t100\trs1\t0\t1\n1\t200\trs2\t0\t0\n")
    spec = TableSpec(tmp_path / "base.@.annot.gz")
    with caplog.at_level(logging.WARNING, logger="varfx"):
        built = build_annotations(PANEL, tables=[spec])
    assert "has no file for 1 chromosomes (2): missing there" in caplog.text
    assert built.table["coding"].to_list() == [1, 0, None]
    write(tmp_path / "base.2.annot.gz", "CHR\tBP\tSNP\tCM\tcoding\n2\t100\trs3\t0\t1\n")
    built = build_annotations(PANEL, tables=[spec])
    assert built.table["coding"].to_list() == [1, 0, 1]
    assert built.metadata["annotation_inputs"][0]["counts"]["rows in table"] == 3
    write(tmp_path / "base.2.annot.gz", "CHR\tBP\tSNP\tCM\tnoncoding\n2\t100\trs3\t0\t1\n")
    with pytest.raises(
        FormatError, match=r"base.2.annot.gz` has other columns than the files before it, first `coding`"
    ):
        build_annotations(PANEL, tables=[spec])
    with pytest.raises(FormatError, match=r"none of its 2 files exists, first `.*other.1.annot`"):
        build_annotations(PANEL, tables=[TableSpec(tmp_path / "other.@.annot")])


def test_a_thin_table_and_its_bim(tmp_path: Path) -> None:
    for chrom, bim, thin in (("1", "1 rs2 0 200 A C\n1 rs1 0 100 G A\n", "2 1"), ("2", "2 rs3 0 100 C A\n", "3")):
        write(tmp_path / f"ref.{chrom}.bim", bim)
        write(tmp_path / f"thin.{chrom}.annot.gz", "v\n" + thin.replace(" ", "\n") + "\n")
    spec = parse_table(f"V={tmp_path}/thin.@.annot.gz:{tmp_path}/ref.@.bim")
    assert (spec.name, spec.rows_of) == ("V", tmp_path / "ref.@.bim")
    assert build_annotations(PANEL, tables=[spec]).table["V"].to_list() == [1, 2, 3]
    assert parse_table("a:b.tsv") == TableSpec(Path("a:b.tsv"))


def test_the_order_of_a_real_bim_is_not_the_panels() -> None:
    """Case 22: chromosomes in the order 1, 10, 2, and two variants at one position."""
    panel = GenotypePanel([BedFile(GOLDEN / "22_thin_annot_order/p")], maf=0.0).variants
    thin = TableSpec(GOLDEN / "22_thin_annot_order/thin.annot", rows_of=GOLDEN / "22_thin_annot_order/p.bim")
    built = build_annotations(panel, tables=[thin]).table
    lines = (GOLDEN / "22_thin_annot_order/p.bim").read_text().splitlines()
    expected = {line.split()[1]: number for number, line in enumerate(lines)}
    assert built["VAL"].to_list() == [expected[name] for name in panel["variant_id"]]
    assert panel["variant_id"].to_list() != list(expected)


def test_intervals_that_cover_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(
        FormatError, match=r"snps\.bed`: 7 of 7 intervals have length 0 and cover nothing\. If start and"
    ):
        build_annotations(PANEL, [BedSpec(GOLDEN / "24_zero_length_bed/snps.bed")])
    with caplog.at_level(logging.WARNING, "varfx"):
        build_annotations(PANEL, [BedSpec(write(tmp_path / "most.bed", "1\t5\t5\n1\t7\t7\n1\t99\t100\n"))])
        assert "2 of 3 intervals have length 0 and cover nothing" in caplog.text
        caplog.clear()
        build_annotations(PANEL, [BedSpec(GOLDEN / "24_zero_length_bed/all_off.bed")])
        assert "Channel `all_off` of " in caplog.text
        assert "is 0 for every variant" in caplog.text
        caplog.clear()
        build_annotations(PANEL, [BedSpec(write(tmp_path / "odd.bed", "1\t99\t100\n1p\t7\t9\nchrUn\t1\t2\n"))])
        assert "1 of 3 intervals are on chromosomes of unknown names, first '1P'" in caplog.text
        caplog.clear()
        zero = write(tmp_path / "zero.tsv", "CHR\tBP\tz\n1\t100\t0\n1\t200\t0\n")
        build_annotations(PANEL, tables=[TableSpec(zero)])
        assert "Channel `z` of " in caplog.text


def test_intervals_of_one_base_whose_starts_count_from_1(tmp_path: Path) -> None:
    panel = pl.DataFrame(
        [("1", 1000 + 100 * k, f"rs{k}", "A", "G", 0.1) for k in range(50)], schema=SCHEMA, orient="row"
    )
    places = panel["position"].to_list()

    def bed(shift: int) -> Path:
        moved = [place + (shift if k >= 10 else 0) for k, place in enumerate(places)]
        return write(tmp_path / "snps.bed", "".join(f"chr1\t{place - 1}\t{place}\n" for place in moved))

    assert build_annotations(panel, [BedSpec(bed(0))]).table["snps"].to_list() == [1] * 50
    with pytest.raises(
        FormatError, match=r"snps.bed`: 40 intervals of one base start at a variant's position, and 10 end there"
    ):
        build_annotations(panel, [BedSpec(bed(1))])


def test_a_channel_without_any_value_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = write(tmp_path / "t.tsv", "CHR\tBP\tv\tw\n1\t100\t1\tNA\n1\t200\t2\tNaN\n")
    with caplog.at_level(logging.WARNING, "varfx"):
        build_annotations(PANEL, tables=[TableSpec(table)])
    assert "Channel `w` of `" in caplog.text
    assert "has no value for any variant: it can teach nothing" in caplog.text
    assert "Channel `v`" not in caplog.text


def test_names_from_paths_and_before_them() -> None:
    assert stem(Path("a/hemePeaks.bed.gz")) == "hemePeaks"
    assert stem(Path("CpG.hg19.bed")) == "CpG.hg19"
    assert stem(Path(".bed")) == ".bed"
    assert parse_named_path("a.bed") == (None, Path("a.bed"))
    assert parse_named_path("TSS=x/a.bed") == ("TSS", Path("x/a.bed"))
    assert parse_named_path("x=y/a=b.bed") == ("x", Path("y/a=b.bed"))
    assert parse_named_path("x/y=1/a.bed") == (None, Path("x/y=1/a.bed"))
    for text in ("=a.bed", "TSS="):
        with pytest.raises(ConfigError, match="is neither PATH nor NAME=PATH"):
            parse_named_path(text)
    with pytest.raises(ConfigError, match="An annotation input is empty"):
        parse_named_path("")


def test_options_of_a_bed_file_are_checked() -> None:
    with pytest.raises(ConfigError, match='`combine` must be "max" or "mean", but is "sum"'):
        BedSpec(Path("a.bed"), combine="sum")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="`fill` must be a finite number and needs a score column, but is 0"):
        BedSpec(Path("a.bed"), fill=0)


def test_frequencies_are_taken_from_a_gwas_where_the_panel_has_none() -> None:
    gwas = pl.DataFrame(
        [
            ("1", 100, "rs1", "A", "G", 0.4, 1.0),
            ("1", 200, "rs2", "A", "C", 0.3, 1.0),
            ("2", 100, "rs3", "G", "T", 0.7, 1.0),  # the other strand, other order
        ],
        schema={**SCHEMA, "z": pl.Float64()},
        orient="row",
    )
    panel, ledger = with_frequencies(PANEL, gwas, source="gwas", panel_name="panel")
    assert panel["eaf"].round(12).to_list() == [0.1, 0.8, 0.3]
    assert ledger.counts["strand-flipped and swapped"] == 1
