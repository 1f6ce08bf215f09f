"""`varfx expr prepare` on what public issue trackers show: each file gives the right cohort, or one line that says why not.

Inputs and names of the cases are those of `tests/golden/cases`.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cases.command_line import Result, varfx
from cases.published import CASES, STUDY, cohort_dosages, copy_case, expected_dosages, options
from varfx.expression.cohort.store import Cohort, open_cohort
from varfx.genotypes import donors
from varfx.io.ledger import counts_of, notes_of

Capture = pytest.CaptureFixture[str]


def prepared(folder: Path, capsys: Capture, **changes: object) -> tuple[Cohort, Result]:
    result = varfx(capsys, *options(folder, **changes))
    assert result.code == 0, result.err
    # the log wraps its lines
    return open_cohort(folder / str(changes.get("out", "cohort"))), replace(result, err=" ".join(result.err.split()))


def notes(cohort: Cohort) -> str:
    return " ".join(text for what in ("people", "genes") for text in notes_of(cohort.metadata["ledger"][what]))


def assert_genotypes(cohort: Cohort, vcf: Path, *, variants: int = 144) -> None:
    expected, found = expected_dosages(vcf), cohort_dosages(cohort)
    assert len(found) == variants
    assert set(found) == set(expected)
    assert all(np.array_equal(found[key], expected[key]) for key in expected)


def split_pairs(cohort: Cohort) -> int:
    count = 0
    for number in range(cohort.num_folds):
        fold = cohort.fold(number)
        part = {int(row): which for which in ("train", "tune", "test") for row in getattr(fold, which)}
        row = {name: place for place, name in enumerate(cohort.people)}
        pairs = [(f"S{k:03}", f"S{k + 1:03}") for k in range(0, 40, 2)]
        count += sum(part[row[one]] != part[row[two]] for one, two in pairs if one in row and two in row)
    return count


F01 = "F01_relatives_kin0_with_fid"


@pytest.mark.parametrize("name", ["plink2.kin0", "king.kin0", "plink1.genome"])
def test_relatives_of_king_and_plink(tmp_path: Path, capsys: Capture, name: str) -> None:
    folder = copy_case(F01, tmp_path)
    cohort, _ = prepared(folder, capsys, relatives=name, relatives_rule="together")
    assert len(cohort.people) == 40
    assert split_pairs(cohort) == 0
    cohort, _ = prepared(folder, capsys, relatives=name, relatives_rule="exclude", out="apart")
    assert len(cohort.people) == 20


def test_relatives_that_nobody_knows_are_counted(tmp_path: Path, capsys: Capture) -> None:
    cohort, result = prepared(copy_case(F01, tmp_path), capsys, relatives="mostly_unknown.txt")
    assert "19 of 20 pairs name someone without genotypes, first XS002 XS003; 1 pairs are used" in result.err
    assert "19 of 20 pairs" in notes(cohort)


@pytest.mark.parametrize("name", ["remove.txt", "remove0.txt", "withdrawn.csv"])
def test_whoever_is_excluded_is_not_in_the_cohort(tmp_path: Path, capsys: Capture, name: str) -> None:
    folder = copy_case("F02_exclude_people_plink_remove", tmp_path)
    cohort, _ = prepared(folder, capsys, exclude_people=name)
    assert set(cohort.people) == {f"S{number:03}" for number in range(5, 40)}
    assert counts_of(cohort.metadata["ledger"]["people"])["excluded"] == 5


def test_an_exclusion_list_of_unknown_names_is_an_error(tmp_path: Path, capsys: Capture) -> None:
    folder = copy_case("F02_exclude_people_plink_remove", tmp_path)
    error = varfx(capsys, *options(folder, exclude_people="lower.txt")).error
    assert "none of its 5 individuals is known (first s000; known are 40 (S000, ...)" in error
    assert "s000 and S000 differ in upper and lower case" in error
    (folder / "some.txt").write_text("S000\nS999\n")
    cohort, result = prepared(folder, capsys, exclude_people="some.txt")
    assert "--exclude-people: 1 of 2 names are in no file, first 'S999'; 1 are used" in result.err
    assert "S000" not in cohort.people


def test_an_index_of_a_shorter_vcf(tmp_path: Path, capsys: Capture) -> None:
    folder = copy_case("F04_stale_vcf_index", tmp_path)
    error = varfx(capsys, *options(folder)).error
    assert "geno.vcf.gz.tbi` does not belong to" in error
    assert "tabix -f -p vcf geno.vcf.gz" in error
    assert not (folder / "cohort").exists()


F05 = "F05_phased_in_some_files_only"
PHASED, UNPHASED = "chr21.phased.vcf.gz", "chr22.unphased.vcf.gz"


@pytest.mark.parametrize("order", [[PHASED, UNPHASED], [UNPHASED, PHASED]])
def test_phase_is_judged_by_all_files(tmp_path: Path, capsys: Capture, order: list[str]) -> None:
    folder = copy_case(F05, tmp_path)
    cohort, result = prepared(folder, capsys, genotypes=order)
    assert not cohort.phased
    assert "the genotypes of chromosome 22 are not phased, so that no haplotypes are kept" in result.err
    assert "chr22.unphased.vcf.gz`: the genotypes of chromosome 22 are not phased" in notes(cohort)
    error = varfx(capsys, *options(folder, genotypes=order, phased="yes", out="yes")).error
    assert "`--phased yes`, but" in error
    assert "chr22.unphased.vcf.gz" in error


@pytest.mark.parametrize("probed", [1000, 100])  # heterozygous genotypes looked at first: chromosome 22 begins phased
def test_phase_is_judged_within_a_file(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, probed: int
) -> None:
    monkeypatch.setattr(donors, "PROBED_CALLS", probed)
    folder = copy_case(F05, tmp_path)
    cohort, _ = prepared(folder, capsys, genotypes="first_part_phased.vcf.gz")
    assert not cohort.phased
    assert re.search(r"(chromosome 22|\d+ of \d+ heterozygous genotypes in 22:\S+) are not phased", notes(cohort))
    assert not (folder / "cohort" / "genotypes.zarr" / "haplotypes").exists()
    assert_genotypes(cohort, CASES / STUDY / "geno.vcf.gz")
    error = varfx(capsys, *options(folder, genotypes="first_part_phased.vcf.gz", phased="yes", out="yes")).error
    assert "are not phased. Use --phased auto" in error
    assert not (folder / "yes").exists()
    phased, _ = prepared(folder, capsys, genotypes=PHASED, out="phased")
    assert phased.phased
    assert notes(phased) == ""


F07 = "F07_gencode_lift37_ids"


@pytest.mark.parametrize("gtf", ["lift37.gtf.gz", "lift37_mixed.gtf.gz"])
@pytest.mark.parametrize("expression", ["expr.bed.gz", "expr_lift37.bed.gz"])
def test_ids_of_lift37(tmp_path: Path, capsys: Capture, gtf: str, expression: str) -> None:
    folder = copy_case(F07, tmp_path)
    cohort, _ = prepared(folder, capsys, gtf=gtf, expression=expression, heldout_genes="heldout.txt")
    assert cohort.genes.height == 24
    assert len(cohort.genes_heldout) == 4
    assert cohort.gene("ENSG00000000001.12_4").gene_id == "ENSG00000000001"


def test_a_gene_on_two_chromosomes_lies_where_expression_has_it(tmp_path: Path, capsys: Capture) -> None:
    cohort, _ = prepared(copy_case(F07, tmp_path), capsys, gtf="lift37_par.gtf.gz")
    gene = cohort.gene("ENSG00000000001")
    assert (gene.chrom, gene.tss) == ("21", 3000)
    assert cohort.genes.height == 24


def test_records_of_vt_decompose(tmp_path: Path, capsys: Capture) -> None:
    """Every known genotype: half calls whose dots are the other row's alleles, and `./.` where both are."""
    folder = copy_case("F10_half_calls_of_split_records", tmp_path)
    cohort, _ = prepared(folder, capsys)
    ledger = counts_of(cohort.metadata["ledger"]["genotypes"])
    assert (ledger["completed calls"], ledger["missing calls"], ledger["half calls"]) == (203, 0, 0)
    rows = [line.split("\t") for line in gzip.decompress((folder / "geno.vcf.gz").read_bytes()).decode().splitlines()]
    copies = {
        (row[0].removeprefix("chr"), int(row[1]), row[4]): np.array([cell.count("1") for cell in row[9:]])
        for row in rows
        if not row[0].startswith("#")
    }
    found = cohort_dosages(cohort)
    assert len(found) == 150
    assert all(np.array_equal(found[key], copies[key]) for key in copies)


F11 = "F11_dosages_without_gt"


@pytest.mark.parametrize("genotypes", ["ds.vcf.gz", "gt_missing.vcf.gz", ["c21.vcf.gz", "c22.ds.vcf.gz"]])
def test_dosages_without_calls(tmp_path: Path, capsys: Capture, genotypes: object) -> None:
    cohort, _ = prepared(copy_case(F11, tmp_path), capsys, genotypes=genotypes)
    assert cohort.genes.height == 24
    assert_genotypes(cohort, CASES / STUDY / "geno.vcf.gz")
    assert counts_of(cohort.metadata["ledger"]["genotypes"])["rounded dosages"] > 0


def test_calls_count_where_dosages_are_there_too(tmp_path: Path, capsys: Capture) -> None:
    folder = copy_case(F11, tmp_path)
    cohort, _ = prepared(folder, capsys, genotypes="gt_and_ds.vcf.gz")
    expected = {key: copies for key, copies in expected_dosages(folder / "gt_and_ds.vcf.gz").items() if copies.any()}
    found = cohort_dosages(cohort)
    assert set(found) == set(expected)
    assert all(np.array_equal(found[key], expected[key]) for key in expected)
    assert counts_of(cohort.metadata["ledger"]["genotypes"])["rounded dosages"] == 0


def test_gct_files_of_gtex_tissues(tmp_path: Path, capsys: Capture) -> None:
    folder = copy_case("F12_gtex_gct_with_id_column", tmp_path)
    cohort, _ = prepared(folder, capsys, expression=None, counts="counts.gct.gz", tpm="tpm.gct.gz")
    assert cohort.genes.height == 24
    assert len(cohort.people) == 40


F15 = "F15_expression_bed_from_r"


@pytest.mark.parametrize("name", ["sci.bed", "quoted.bed", "blank_end.bed"])
def test_expression_beds_of_r(tmp_path: Path, capsys: Capture, name: str) -> None:
    folder = copy_case(F15, tmp_path)
    plain, _ = prepared(folder, capsys)
    cohort, _ = prepared(folder, capsys, expression=name, out="r")
    assert cohort.genes.equals(plain.genes)
    np.testing.assert_array_equal(cohort.expression(), plain.expression())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("comma.bed", r"decimal commas, first '5,71309' .*in S000.*Write numbers with a point"),
        ("rownames.bed", r"44 columns are expected, .*but the rows have 45.*`row\.names = FALSE`"),
    ],
)
def test_expression_beds_of_r_that_need_another_export(
    tmp_path: Path, capsys: Capture, name: str, message: str
) -> None:
    assert re.search(message, varfx(capsys, *options(copy_case(F15, tmp_path), expression=name)).error)


def test_accessions_of_refseq(tmp_path: Path, capsys: Capture) -> None:
    cohort, _ = prepared(copy_case("F16_refseq_contig_names", tmp_path), capsys)
    assert cohort.genes.height == 24


def test_unknown_contigs_are_named_on_both_sides(tmp_path: Path, capsys: Capture) -> None:
    folder = copy_case("F16_refseq_contig_names", tmp_path)
    text = (
        gzip.decompress((CASES / STUDY / "genes.gtf.gz").read_bytes())
        .replace(b"chr21", b"chr3")
        .replace(b"chr22", b"chr4")
    )
    (folder / "genes.gtf.gz").write_bytes(gzip.compress(text))
    text = (
        gzip.decompress((CASES / STUDY / "expr.bed.gz").read_bytes())
        .replace(b"chr21", b"chr3")
        .replace(b"chr22", b"chr4")
    )
    (folder / "expr.bed.gz").write_bytes(gzip.compress(text))
    error = varfx(capsys, *options(folder)).error
    assert (
        "`no genotypes of the chromosome` left out 24 of 24: genes are on 3, 4, genotypes on NC_000021.9, NC_000022.11"
        in error
    )


def test_test_sets_of_few_people(tmp_path: Path, capsys: Capture) -> None:
    folder = copy_case("F17_few_people_no_scores", tmp_path)
    cohort, result = prepared(folder, capsys)
    assert {cohort.fold(number).test.size for number in range(3)} == {3}
    assert "test sets of 3 individuals" in result.err
    assert "test sets of 3 individuals" in notes(cohort)


def test_filter_is_counted(tmp_path: Path, capsys: Capture) -> None:
    folder = copy_case("F19_filter_column_ignored", tmp_path)
    cohort, result = prepared(folder, capsys)
    assert_genotypes(cohort, CASES / STUDY / "geno.vcf.gz")
    assert counts_of(cohort.metadata["ledger"]["genotypes"])["FILTER is not PASS"] == 72
    assert "FILTER is not PASS" in result.out
    passed, _ = prepared(folder, capsys, filter="pass", out="passed")
    assert passed.variants.height == 72


def test_ambiguity_codes_of_the_reference(tmp_path: Path, capsys: Capture) -> None:
    folder = copy_case("F21_iupac_reference_base", tmp_path)
    cohort, _ = prepared(folder, capsys)
    assert cohort.genes.height == 24
    assert_genotypes(cohort, CASES / STUDY / "geno.vcf.gz")
    assert counts_of(cohort.metadata["ledger"]["genotypes"])["IUPAC reference"] == 1
    for gene in cohort.genes["gene_id"]:  # each REF stands in its window
        variants, _ = cohort.window_variants(gene)
        codes = cohort.reference(gene)[variants["position"].to_numpy() - 1 - cohort.gene(gene).start]
        assert ["ACGTN"[code] for code in codes] == variants["other_allele"].to_list()


@pytest.mark.parametrize("name", ["bare.vcf.gz", "nolength.vcf.gz", "gt_second.vcf.gz"])
def test_headers_of_vcf(tmp_path: Path, capsys: Capture, name: str) -> None:
    cohort, _ = prepared(copy_case("P02_vcf_headers", tmp_path), capsys, genotypes=name)
    assert_genotypes(cohort, CASES / STUDY / "geno.vcf.gz")


def test_ref_and_alt_exchanged(tmp_path: Path, capsys: Capture) -> None:
    folder = copy_case("P03_major_minor_coded", tmp_path)
    error = varfx(capsys, *options(folder)).error
    assert "ALT is that base in 1 of them: --on-mismatch flip exchanges the two" in error
    cohort, _ = prepared(folder, capsys, on_mismatch="flip")
    assert_genotypes(cohort, CASES / STUDY / "geno.vcf.gz")


@pytest.mark.parametrize("genes", [12, 2])
def test_genes_of_another_build_in_a_small_run(tmp_path: Path, capsys: Capture, genes: int) -> None:
    folder = copy_case("F16_refseq_contig_names", tmp_path)
    (folder / "geno.vcf.gz").write_bytes((CASES / STUDY / "geno.vcf.gz").read_bytes())
    (folder / "geno.vcf.gz.tbi").write_bytes((CASES / STUDY / "geno.vcf.gz.tbi").read_bytes())
    header, *rows = gzip.decompress((folder / "expr.bed.gz").read_bytes()).decode().splitlines()
    moved = []
    for row in rows[:genes]:
        chrom, start, end, *rest = row.split("\t")
        moved.append("\t".join([chrom, str(int(start) + 200_000), str(int(end) + 200_000), *rest]))
    (folder / "expr.bed.gz").write_bytes(gzip.compress("\n".join([header, *moved, ""]).encode()))
    if genes > 2:
        assert "12 of 12 genes lie elsewhere in the GTF" in varfx(capsys, *options(folder)).error
    else:
        cohort, result = prepared(folder, capsys)
        assert "2 of 2 genes lie elsewhere in the GTF" in result.err
        assert "2 of 2 genes lie elsewhere in the GTF" in notes(cohort)
