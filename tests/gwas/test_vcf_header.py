"""The header of a GWAS-VCF: its facts, and lines made to take the square of their length."""

from __future__ import annotations

from varfx.gwas.study import read_vcf_header


def test_facts_stand_in_sample_and_contig_lines() -> None:
    study = read_vcf_header(
        [
            "##fileformat=VCFv4.2",
            '##contig=<ID=1,length=249250621,assembly="HG19/GRCh37">',
            "##note=ID=other,TotalCases=7",
            "##SAMPLE=<ID=other,TotalCases=9,TotalControls=8,StudyType=CaseControl>",
            '##SAMPLE=<ID=x,Description="a, b=c",TotalCases=120,TotalControls=340,StudyType=CaseControl>',
        ],
        "x",
    )
    assert (study.genome_build, study.trait) == ("HG19/GRCh37", "x")
    assert (study.n, study.n_case, study.n_control) == (460, 120, 340)


def test_long_lines_take_linear_time() -> None:
    """Tried by the square of its length, a megabyte would take hours."""
    long = "x" * 1_000_000
    lines = [f"##note={long}", f"##SAMPLE=<{long}>", f"##SAMPLE=<ID=x,TotalCases=5,{long}", f'##contig=<ID="{long}']
    lines += [f"##contig=<{'a=' * 500_000}>", f"##SAMPLE=<{',' * 1_000_000}>", f"##SAMPLE=<{'<' * 1_000_000}>"]
    assert read_vcf_header(lines, "x").n is None
