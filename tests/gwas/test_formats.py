"""Every format: recognised, and read with the right effect allele, frequency, z and n (worked out by hand below)."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
import zstandard
from scipy import stats

from cases.gwas import (
    ALKES,
    BOLT,
    BOLT_F_MISS,
    CASES,
    COJO,
    FASTGWA_GLMM,
    HTP_BINARY,
    PLINK2,
    PLINK2_LOGISTIC,
    REGENIE,
    REGENIE_BINARY,
    SAIGE_BINARY,
    SSF,
    VCF,
)
from varfx.errors import ConfigError, DataError, FormatError
from varfx.gwas import FORMATS, CleanOptions, clean, read_gwas
from varfx.gwas.sumstats import read_sumstats


def write(folder: Path, content: str | bytes, name: str = "gwas.txt") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("name", CASES)
def test_each_format_gives_the_same_variants(name: str, tmp_path: Path) -> None:
    content, n = CASES[name]
    path = write(tmp_path, content)
    stats_ = clean(path, n=n)
    first, second = stats_.table.head(2).rows(named=True)
    assert name.startswith(stats_.metadata["format"])
    assert (first["effect_allele"], first["other_allele"]) == ("A", "G")
    assert (second["effect_allele"], second["other_allele"]) == ("CT", "C")
    if "position" in read_gwas(path).table.columns:
        assert (first["chrom"], first["position"]) == ("1", 1000)
        assert (second["chrom"], second["position"]) == ("2", 2000)
    else:
        assert (first["chrom"], first["position"]) == (None, None)
        assert (first["variant_id"], second["variant_id"]) == ("rs1", "rs2")
    # z: BOLT, REGENIE from chi-square 4.41 and 9.61; PLINK2 linear from T_STAT; the others -2 and 3.
    larger = name in ("BOLT-LMM", "REGENIE", "PLINK2 .glm")
    assert first["z"] == pytest.approx(-2.1 if larger else -2.0, abs=2e-3)
    assert second["z"] == pytest.approx(3.1 if larger else 3.0, abs=2e-3)
    assert (first["n"], second["n"]) == ((1000, 900) if n is None else (1000, 1000))
    if name not in ("LDSC .sumstats", "PLINK2 .glm logistic", "PGC 2014", "PolyFun", "PLINK1 .meta"):
        assert first["eaf"] == pytest.approx(0.25)
    with_info = ("BOLT-LMM", "alkesgroup UKBB", "REGENIE", "SAIGE", "PLINK2 .glm", "PGC", "SNPTEST")
    if name.startswith(with_info) and name != "PLINK2 .glm logistic":
        assert (first["info"], second["info"]) == (0.9, 0.8)
    else:
        assert first["info"] is None


def test_a_polyfun_parquet_and_parquet_of_text_formats(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"SNP": ["rs1", "rs2"], "CHR": [1, 2], "BP": [1000, 2000], "A1": ["A", "CT"], "A2": ["G", "C"]}
    ).with_columns(Z=pl.Series([-2.0, 3.0]), N=pl.Series([1000, 900]), MAF=pl.Series([0.25, 0.001]))
    path = tmp_path / "sumstats.parquet"
    frame.write_parquet(path)
    found = clean(path)
    assert found.metadata["format"] == "PolyFun"
    assert found.table["z"].to_list() == [-2.0, 3.0]
    assert found.table["eaf"].to_list() == [None, None]  # MAF does not say of which allele
    assert clean(path, filters=CleanOptions(min_maf=0.01)).table["variant_id"].to_list() == ["rs1"]
    for text in (REGENIE, PLINK2, ALKES):
        plain = write(tmp_path, text)
        separator = "\t" if "\t" in text.splitlines()[0] else " "
        table = pl.read_csv(plain, separator=separator, null_values=["NA"])
        table.write_parquet(path)
        assert clean(path).table.equals(clean(plain).table)


@pytest.mark.parametrize("kind", ["gz", "bgz", "zst", "crlf", "no last line end", "blank last lines", "quoted header"])
def test_containers_and_line_ends_do_not_matter(kind: str, tmp_path: Path) -> None:
    plain = clean(write(tmp_path, REGENIE)).table
    raw = REGENIE.encode()
    content = {
        "gz": gzip.compress(raw),
        "bgz": gzip.compress(raw[:100]) + gzip.compress(raw[100:]) + gzip.compress(b"") + b"\0" * 8,
        "zst": zstandard.compress(raw[:100]) + zstandard.compress(raw[100:]),
        "crlf": raw.replace(b"\n", b"\r\n"),
        "no last line end": raw.rstrip(b"\n"),
        "blank last lines": raw + b"\n\n\n",
        "quoted header": b'"' + raw.replace(b" ", b'" "').replace(b"\n", b'"\n"') + b'"',
    }[kind]
    assert clean(write(tmp_path, content, "gwas.any")).table.equals(plain)


def test_small_blocks_do_not_change_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {name: clean(write(tmp_path, text), n=n).table for name, (text, n) in CASES.items()}
    monkeypatch.setattr("varfx.io.text_lines.BLOCK_BYTES", 64)
    monkeypatch.setattr("varfx.io.stream._READ_BYTES", 50)
    for name, (text, n) in CASES.items():
        text = text.replace(BOLT.splitlines()[0], BOLT.splitlines()[0])
        if max(map(len, text.splitlines())) >= 64:
            monkeypatch.setattr("varfx.io.text_lines.BLOCK_BYTES", max(map(len, text.splitlines())) + 1)
        assert clean(write(tmp_path, text), n=n).table.equals(whole[name]), name


def test_bolt_on_genotypes_has_n_less_the_missing(tmp_path: Path) -> None:
    found = clean(write(tmp_path, BOLT_F_MISS), n=1000).table
    assert found["n"].to_list() == pytest.approx([900, 1000])
    assert found["z"].to_list() == pytest.approx([-2, 3])


@pytest.mark.parametrize("text", [REGENIE_BINARY, HTP_BINARY, SAIGE_BINARY])
def test_case_control_files_have_the_effective_n(text: str, tmp_path: Path) -> None:
    found = clean(write(tmp_path, text)).table
    assert found["n"].to_list() == pytest.approx([4 / (1 / 200 + 1 / 800), 4 / (1 / 100 + 1 / 800)])
    assert found["z"].to_list() == pytest.approx([-2, 3], abs=1e-3)


def test_given_cases_and_controls_scale_the_n_of_each_variant(tmp_path: Path) -> None:
    path = write(tmp_path, FASTGWA_GLMM)
    assert clean(path, n="200,800").table["n"].to_list() == pytest.approx([1000 * 0.64, 900 * 0.64])
    assert clean(path, n="5e5").table["n"].to_list() == [5e5, 5e5]
    assert clean(write(tmp_path, BOLT), n="200,800").table["n"].to_list() == pytest.approx([640, 640])


def test_plink2_rows_left_out_are_counted(tmp_path: Path) -> None:
    ledger = clean(write(tmp_path, PLINK2)).metadata["ledger"]
    assert ledger[0] == {"step": "read", "count": 4, "note": "rows of PLINK2 .glm"}
    assert {"step": "dropped", "count": 1, "note": "another test than ADD"} in ledger
    assert {"step": "dropped", "count": 1, "note": "ERRCODE is not '.'"} in ledger
    logistic = clean(write(tmp_path, PLINK2_LOGISTIC))
    # Without OMITTED: T against T,G has the other allele REF; C against T,G has none.
    assert logistic.table["variant_id"].to_list() == ["rs1", "rs2", "rs3"]
    assert {
        "step": "dropped",
        "count": 1,
        "note": "multi-allelic: the other allele is not one",
    } in logistic.metadata["ledger"]


def test_regenie_failed_tests_are_counted(tmp_path: Path) -> None:
    ledger = clean(write(tmp_path, REGENIE)).metadata["ledger"]
    assert {"step": "dropped", "count": 1, "note": "another test than ADD"} in ledger
    assert {"step": "dropped", "count": 1, "note": "EXTRA is TEST_FAIL"} in ledger


def test_ssf_codes_of_chromosomes_are_those_of_its_standard(tmp_path: Path) -> None:
    for code, name in (("23", "X"), ("24", "Y"), ("25", "MT")):
        table = clean(write(tmp_path, SSF.replace("\n23\t", f"\n{code}\t"), "GCST1.tsv")).table
        assert table["chrom"].to_list() == ["1", "2", name]


def test_ssf_codes_and_sidecar(tmp_path: Path) -> None:
    path = write(tmp_path, SSF, "GCST1.tsv")
    assert clean(path).table["chrom"].to_list() == ["1", "2", "X"]
    assert clean(path).table["eaf"].to_list() == [0.25, None, 0.2]
    assert clean(path).table["variant_id"].to_list() == ["rs1", None, "rs9"]
    without_n = SSF.replace("\tn\n", "\n").replace("\t1000\n", "\n").replace("\t900", "")
    without_n = "\n".join(
        line.rsplit("\t", 1)[0] if i and line.count("\t") == 9 else line
        for i, line in enumerate(without_n.splitlines())
    )
    path = write(tmp_path, without_n, "GCST2.tsv")
    with pytest.raises(DataError, match=r"no sample size. Give it with --n N, or --n CASES,CONTROLS"):
        clean(path)
    sidecar = write(
        tmp_path,
        "trait_description: [Height]\ngenome_assembly: GRCh38\ncoordinate_system: 0-based\n"
        "data_file_md5sum: 00\nsamples:\n  - sample_size: 600\n  - sample_size: 400\n",
        "GCST2.tsv-meta.yaml",
    )
    found = clean(path)
    assert found.table["n"].to_list() == [1000.0] * 3
    assert found.table["position"].to_list() == [1001, 2001, 2001]
    assert (found.trait, found.metadata["genome_build"]) == ("Height", "GRCh38")
    assert any("MD5" in entry["note"] for entry in found.metadata["ledger"])
    sidecar.write_text("samples:\n  - sample_size: 1000\n    case_count: 200\n    control_count: 800\n")
    assert clean(path).table["n"].to_list() == pytest.approx([640.0] * 3)
    sidecar.write_text("samples:\n  - sample_size: many\n")
    with pytest.raises(FormatError, match=r"sample_size is 'many', not a number of individuals"):
        clean(path)
    sidecar.write_text("a: [")
    with pytest.raises(FormatError, match=r"is no YAML"):
        clean(path)
    sidecar.write_text("just words")
    with pytest.raises(FormatError, match=r"holds no `key: value` lines"):
        clean(path)


def test_vcf_several_alleles_caps_cases_and_study(tmp_path: Path) -> None:
    header = VCF.splitlines()[:4]
    rows = [
        "1 1000 rs1 G A,T . PASS . ES:SE:LP:AF:SS:NC 0.1,-0.2:0.05,0.05:1.342,4.2:0.25,0.5:1000,900:200,100",
        "1 2000 rs2 G A,T . PASS . ES:SE:LP:AF:SS 0.1:0.05,0.05:1.342,4.2:0.25,0.5:1000,900",
        "1 3000 rs3 G A . PASS . ES:SE:LP:AF:SS:NC 5:0.1:999:.:1000:500",
        "1 4000 rs4 G A . PASS . ES:SE:LP:AF:SS 0.1:0.05:1.342:.:1000",
    ]
    found = clean(write(tmp_path, "\n".join([*header, *(row.replace(" ", "\t") for row in rows)])))
    table = found.table
    assert table["effect_allele"].to_list() == ["A", "T", "A"]
    assert table["other_allele"].to_list() == ["G", "G", "G"]
    assert table["eaf"].to_list() == [0.25, 0.5, None]
    assert table["z"].to_list() == pytest.approx([2, -stats.norm.isf(0.5 * 10**-4.2), 50], abs=1e-3)
    assert table["n"].to_list() == pytest.approx([4 / (1 / 200 + 1 / 800), 4 / (1 / 100 + 1 / 800), 1000])
    assert (found.trait, found.metadata["genome_build"]) == ("ieu-a-2", "HG19/GRCh37")
    notes = {entry["note"]: entry["count"] for entry in found.metadata["ledger"]}
    assert notes["missing n"] == 1  # rs4 has no cases: total and effective sizes are not mixed in one file
    assert notes["multi-allelic: as many values as ALT alleles are needed"] == 1
    assert notes["LP at its cap (999): p was 0, so z comes from ES/SE"] == 1
    # The study's counts serve where SS is missing.
    rows = ["1 1000 rs1 G A . PASS . ES:SE:LP 0.1:0.05:1.342".replace(" ", "\t")]
    assert clean(write(tmp_path, "\n".join([*header, *rows]))).table["n"].to_list() == [1000]
    case_control = [line.replace("Continuous", "CaseControl") for line in header]
    assert clean(write(tmp_path, "\n".join([*case_control, *rows]))).table["n"].to_list() == pytest.approx([640])
    two = [*header[:3], header[3] + "\tother", rows[0] + "\t" + rows[0].split("\t")[-1]]
    with pytest.raises(FormatError, match=r"holds 2 samples \(studies\): ieu-a-2, other; one is needed"):
        clean(write(tmp_path, "\n".join(two)))


def test_names_may_differ_in_case_but_not_be_ambiguous(tmp_path: Path) -> None:
    header, rest = ALKES.split("\n", 1)
    assert clean(write(tmp_path, header.upper() + "\n" + rest)).metadata["format"] == "alkesgroup UKBB"
    twice = header.replace("INFO", "SNP") + "\n" + rest
    with pytest.raises(FormatError, match=r"has 2 columns named `SNP`. Keep one"):
        clean(write(tmp_path, twice))


def test_generic_headers_need_explicit_alleles(tmp_path: Path) -> None:
    rows = "\n1 1000 rs1 A G 0.25 -0.02 0.01 1000\n2 2000 rs2 CT C 0.75 0.03 0.01 900"
    explicit = write(tmp_path, "chr bp rsid effect_allele other_allele eaf beta se n" + rows)
    assert clean(explicit).metadata["format"] == "generic"
    assert clean(explicit).table["z"].to_list() == pytest.approx([-2, 3])
    header = "chr bp rsid allele_x allele_y eaf beta se n"
    unknown = write(tmp_path, header + rows)
    with pytest.raises(
        FormatError, match=r"9 columns are chr, bp, rsid, allele_x, .* nearest is .*, which needs also "
    ):
        clean(unknown)
    columns = {"effect_allele": "allele_y", "other_allele": "allele_x"}
    flipped = clean(unknown, columns=columns)
    assert flipped.table["effect_allele"].to_list() == ["G", "C"]
    assert flipped.table["z"].to_list() == pytest.approx([-2, 3])
    with pytest.raises(FormatError, match=r"no column is surely `other_allele`"):
        clean(unknown, columns={"effect_allele": "allele_y"})
    with pytest.raises(ConfigError, match=r"`zz` is no role. Roles are chrom, "):
        clean(unknown, columns={"zz": "beta"})
    with pytest.raises(ConfigError, match=r"has no column `BETA2`; it has chr, bp"):
        clean(unknown, columns={"beta": "BETA2"})
    ambiguous = write(tmp_path, "chr bp rsid effect_allele other_allele effect beta se n" + rows)
    with pytest.raises(
        FormatError, match=r"columns effect, beta may all be `beta`. Say which with --columns beta=NAME"
    ):
        clean(ambiguous)
    assert clean(ambiguous, columns={"z": "effect"}).table["z"].to_list() == [0.25, 0.75]  # a named statistic is alone
    commas = write(tmp_path, ("chr bp rsid effect_allele other_allele eaf beta se n" + rows).replace(" ", ","))
    assert clean(commas).table["z"].to_list() == pytest.approx([-2, 3])


def test_ldsc_without_alleles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"no allele columns A1 and A2"):
        clean(write(tmp_path, "SNP N Z\nrs1 1000 2\n"))


def test_every_format_is_tested_here_and_recognised_alone() -> None:
    tested = {form.name for form in FORMATS for name in CASES if name.startswith(form.name)}
    assert tested == {form.name for form in FORMATS}


def test_plink2_alleles_in_small_letters_and_no_omitted(tmp_path: Path) -> None:
    text = "#CHROM POS ID REF ALT A1 TEST OBS_CT BETA SE P\n1 1000 rs1 A G a ADD 1000 -2 1 0.0455\n1 2000 rs2 A G g ADD 1000 2 1 0.0455"
    assert clean(write(tmp_path, text)).table.select("effect_allele", "other_allele").rows() == [("A", "G"), ("G", "A")]


def test_positions_for_files_without(tmp_path: Path) -> None:
    path = write(tmp_path, COJO + "\nrs3 A C 0.5 0.1 0.05 0.0455 1000\nrs4 A C 0.5 0.1 0.05 0.0455 1000")
    bim = "1\trs1\t0\t1000\tT\tC\n2\trs2\t0\t2000\tCT\tC\n3\trs3\t0\t3000\tA\tG\n4\trs4\t0\t4000\tA\tC\n4\trs4\t0\t4001\tA\tC\n"
    found = clean(path, positions_from=write(tmp_path, bim, "ref.bim"))
    # rs1 stands on the other strand; rs3 has other alleles; rs4 stands at two positions.
    assert found.table.select("variant_id", "chrom", "position").rows() == [("rs1", "1", 1000), ("rs2", "2", 2000)]
    notes = {entry["note"]: entry["count"] for entry in found.metadata["ledger"]}
    assert notes["no position: rsID and alleles are not in the file of positions"] == 2
    pvar = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\n1\t1000\trs1\tG\tA\n2\t2000\trs2\tC\tCT\n"
    assert clean(path, positions_from=write(tmp_path, pvar, "ref.pvar")).table["position"].to_list() == [1000, 2000]
    table = pl.DataFrame({"SNP": ["rs2"], "CHR": [2], "BP": [2000], "A1": ["C"], "A2": ["CT"]})
    table.write_parquet(tmp_path / "ref.parquet")
    assert clean(path, positions_from=tmp_path / "ref.parquet").table["position"].to_list() == [2000]
    with pytest.raises(FormatError, match=r"None of the 4 rsIDs stands, with its alleles"):
        clean(path, positions_from=write(tmp_path, "1\trs9\t0\t1000\tT\tC\n", "other.bim"))
    with pytest.raises(FormatError, match=r"6 columns are expected, but 1 of 1 rows have another number"):
        clean(path, positions_from=write(tmp_path, "1\t2\n", "bad.bim"))
    with pytest.raises(FormatError, match=r"1 positions are not numbers, first row 1 \('x'\)"):
        clean(path, positions_from=write(tmp_path, "1\trs9\t0\tx\tT\tC\n", "bad.bim"))
    with pytest.raises(FormatError, match=r"has no column chrom, position"):
        clean(path, positions_from=write(tmp_path, "SNP A1 A2\nrs1 A C\n", "bad.txt"))
    with pytest.raises(ConfigError, match=r"is for files without positions"):
        clean(write(tmp_path, ALKES), positions_from=tmp_path / "ref.bim")


def test_positions_as_r_writes_them(tmp_path: Path) -> None:
    assert clean(write(tmp_path, ALKES.replace("2000", "1e+05"))).table["position"].to_list() == [1000, 100000]


def test_what_is_written_is_what_is_returned(tmp_path: Path) -> None:
    path = write(tmp_path, ALKES, "height.sumstats.gz")
    stats_ = clean(path, out=tmp_path / "h.sumstats.parquet")
    again = read_sumstats(tmp_path / "h.sumstats.parquet")
    assert again.table.equals(stats_.table)
    assert (again.trait, again.metadata) == ("height", stats_.metadata)
    assert again.metadata["provenance"]["inputs"]["gwas"]["sha256"]
    assert np.isfinite(again.table["z"].to_numpy()).all()


def test_parquet_that_is_no_table_of_statistics(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame({"SNP": [["a"]], "N": [1.0], "Z": [1.0], "A1": ["A"], "A2": ["C"]}).write_parquet(path)
    with pytest.raises(FormatError, match=r"column `SNP` is of type .*; text or numbers are needed"):
        clean(path)
    columns = [pa.array(["rs1"]), pa.array(["rs1"]), pa.array([1.0]), pa.array([1.0])]
    pa.parquet.write_table(pa.Table.from_arrays(columns, ["SNP", "SNP", "N", "Z"]), path)
    with pytest.raises(FormatError, match=r"has 2 columns named `SNP`"):
        clean(path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(FormatError, match=r"not a whole Parquet file"):
        clean(path)
