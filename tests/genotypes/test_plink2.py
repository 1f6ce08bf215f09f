from __future__ import annotations

from pathlib import Path

import numpy as np
import pgenlib
import pytest
import zstandard

from cases.plink2 import COUNTS_OF_ALT, PSAM, PVAR, write_pgen
from varfx.errors import FormatError
from varfx.genotypes.panel import GenotypePanel
from varfx.genotypes.plink1 import BedFile
from varfx.genotypes.plink2 import PgenFile


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    return write_pgen(tmp_path / "x.y", COUNTS_OF_ALT)


def test_counts_of_alt_and_the_tables_beside(prefix: Path) -> None:
    file = PgenFile(prefix)
    counts = file.read(np.arange(3), np.arange(5))
    assert np.array_equal(counts < 0, COUNTS_OF_ALT < 0)
    assert np.array_equal(counts.clip(min=0), COUNTS_OF_ALT.clip(min=0))
    assert file.sites.to_dicts() == [
        {"chrom": "22", "position": 100, "variant_id": "rs1", "effect_allele": "A", "other_allele": "G"},
        {"chrom": "22", "position": 200, "variant_id": "rs2", "effect_allele": "T", "other_allele": "C"},
        {"chrom": "22", "position": 300, "variant_id": "rs3", "effect_allele": "AT", "other_allele": "A"},
    ]
    assert file.people.rows() == [(f"f{i}", f"i{i}") for i in range(1, 6)]


def test_rows_and_people_come_in_the_order_asked_for(prefix: Path) -> None:
    counts = PgenFile(prefix).read(np.array([2, 0]), np.array([4, 0, 3]))
    assert counts.tolist() == [[2, 1, 1], [1, 2, 0]]


def test_zstandard_variants_are_the_same(prefix: Path) -> None:
    expected = PgenFile(prefix).sites
    half = len(PVAR) // 2
    frames = [zstandard.compress(part.encode()) for part in (PVAR[:half], PVAR[half:])]
    Path(f"{prefix}.pvar").unlink()
    Path(f"{prefix}.pvar.zst").write_bytes(b"".join(frames))
    assert PgenFile(prefix).sites.equals(expected)
    for cut in (len(frames[0]) // 2, len(frames[0]) + 5):
        Path(f"{prefix}.pvar.zst").write_bytes(b"".join(frames)[:cut])
        with pytest.raises(FormatError, match=r"x\.y\.pvar\.zst` is damaged or truncated: it cannot be decompressed\."):
            PgenFile(prefix)


@pytest.mark.parametrize(
    ("psam", "people"),
    [
        ("#IID\na\nb\nc\nd\ne\n", [("0", name) for name in "abcde"]),
        ("##x\n#IID\tSID\n" + "".join(f"{n}\t1\n" for n in "abcde"), [("0", name) for name in "abcde"]),
        ("".join(f"f {n} 0 0 1 -9\n" for n in "abcde"), [("f", name) for name in "abcde"]),
    ],
)
def test_every_kind_of_psam(prefix: Path, psam: str, people: list[tuple[str, str]]) -> None:
    Path(f"{prefix}.psam").write_text(psam)
    file = PgenFile(prefix)
    assert file.people.rows() == people
    keep = prefix.with_name("keep.txt")
    keep.write_text(f"{people[1][1]} {people[1][1]}\n{people[2][0]} {people[2][1]}\n{people[3][0]} {people[3][1]}\n")
    # A file without families matches by IID alone, so that "b b" of a PLINK 1 list is found.
    assert GenotypePanel([file], keep=keep).num_people == (3 if people[0][0] == "0" else 2)


def test_a_bim_and_fam_beside_a_pgen_are_read(prefix: Path) -> None:
    expected = PgenFile(prefix)
    Path(f"{prefix}.pvar").unlink()
    Path(f"{prefix}.psam").unlink()
    Path(f"{prefix}.bim").write_text("22\trs1\t0\t100\tA\tG\n22\trs2\t0\t200\tT\tC\n22\trs3\t0\t300\tAT\tA\n")
    Path(f"{prefix}.fam").write_text("".join(f"f{i} i{i} 0 0 0 -9\n" for i in range(1, 6)))
    file = PgenFile(prefix)
    assert file.sites.equals(expected.sites)
    assert file.people.equals(expected.people)


def test_the_same_genotypes_as_bed_and_pgen_are_the_same_panel(tmp_path: Path, rng: np.random.Generator) -> None:
    from bed_reader import to_bed

    counts = rng.integers(-1, 3, (40, 23))
    counts[:, 0], counts[:, 1] = 0, 1
    position = rng.permutation(40) + 1
    people = {"fid": [f"F{i}" for i in range(23)], "iid": [f"I{i}" for i in range(23)]}
    sites = {"chromosome": ["3"] * 40, "sid": [f"rs{j}" for j in range(40)], "bp_position": position}
    alleles = {"allele_1": ["A"] * 40, "allele_2": ["C"] * 40}
    floats = np.where(counts < 0, np.nan, counts).T.astype(np.float32)
    to_bed(tmp_path / "a.bed", floats, properties={**people, **sites, **alleles})
    pvar = "#CHROM\tPOS\tID\tREF\tALT\n" + "".join(f"3\t{p}\trs{j}\tC\tA\n" for j, p in enumerate(position))
    psam = "#FID\tIID\n" + "".join(f"F{i}\tI{i}\n" for i in range(23))
    pgen = PgenFile(write_pgen(tmp_path / "a", np.where(counts < 0, -9, counts), pvar, psam))
    bed = BedFile(tmp_path / "a")
    for keep in (None, ["I4", "I9", "I1", "I20", "I0"]):
        one, two = (GenotypePanel([file], maf=0.05, keep=keep) for file in (bed, pgen))
        assert one.variants.equals(two.variants)
        assert one.ledger == two.ledger
        index = rng.permutation(one.variants.height)
        np.testing.assert_array_equal(one.standardised(index), two.standardised(index))


def test_dosages_are_used_where_there_are_any(tmp_path: Path, rng: np.random.Generator) -> None:
    dosages = np.round(rng.uniform(0, 2, (3, 5)) * 2**14) / 2**14
    dosages[1, 2] = -9
    dosages[2] = 0.3125
    with pgenlib.PgenWriter(
        str(tmp_path / "d.pgen").encode(), 5, variant_ct=3, nonref_flags=False, dosage_present=True
    ) as writer:
        for row in dosages.astype(np.float32):
            writer.append_dosages(row)
    (tmp_path / "d.pvar").write_text(PVAR)
    (tmp_path / "d.psam").write_text(PSAM)
    panel = GenotypePanel([PgenFile(tmp_path / "d")])
    assert panel.variants["variant_id"].to_list() == ["rs1", "rs2"]  # the third has no variance
    known = np.where(dosages < 0, np.nan, dosages)[:2]
    np.testing.assert_allclose(panel.variants["eaf"], np.nanmean(known, axis=1) / 2, rtol=1e-6)
    known[1, 2] = np.nanmean(known[1])
    X = panel.standardised(np.arange(2), np.float64)
    np.testing.assert_allclose(X.T @ X / 5, np.corrcoef(known), atol=1e-6)


def test_multi_allelic_sites_are_dropped_and_do_not_shift_the_others(tmp_path: Path) -> None:
    genotypes = {  # two allele codes per individual
        "rs1": [0, 0, 0, 1, 1, 1, 0, 0, 0, 1],
        "rs2": [0, 2, 1, 1, 0, 0, 2, 2, 0, 1],
        "rs3": [1, 1, 1, 1, 0, 1, 0, 0, 0, 0],
    }
    with pgenlib.PgenWriter(
        str(tmp_path / "m.pgen").encode(), 5, variant_ct=3, nonref_flags=False, allele_ct_limit=3
    ) as writer:
        for codes in genotypes.values():
            writer.append_alleles(np.array(codes, dtype=np.int32), allele_ct=max(codes) + 1)
    (tmp_path / "m.pvar").write_text(PVAR.replace("\tt\t", "\tT,G\t"))
    (tmp_path / "m.psam").write_text(PSAM)
    panel = GenotypePanel([PgenFile(tmp_path / "m")])
    assert panel.variants["variant_id"].to_list() == ["rs1", "rs3"]
    assert {e["step"]: e["count"] for e in panel.ledger if e["count"]} == {"multi-allelic": 1}
    counts = np.array([np.array(genotypes[name]).reshape(5, 2).sum(axis=1) for name in ("rs1", "rs3")])
    X = panel.standardised(np.arange(2), np.float64)
    np.testing.assert_allclose(X.T @ X / 5, np.corrcoef(counts), atol=1e-12)
    np.testing.assert_allclose(panel.variants["eaf"], counts.mean(axis=1) / 2)


@pytest.mark.parametrize(
    ("ending", "content", "match"),
    [
        ("pgen", b"PK\x03\x04", r"is not a PLINK \.pgen file: it begins with the bytes 50 4b, not 6c 1b\."),
        ("pgen", b"", r"is not a PLINK \.pgen file: it begins with the bytes \(none\)"),
        ("pgen", b"\x6c\x1b\x01" + bytes(20), r"is a PLINK 1 \.bed file inside: rename it to end in \.bed\."),
        ("pgen", b"\x6c\x1b\x20" + bytes(20), r"needs a \.pgen\.pgi index\. Rewrite it"),
        ("pgen", b"\x6c\x1b\x10\x03", r"is truncated: it has only 4 bytes\."),
        ("pgen", None, r"x\.y\.pgen` cannot be read: No such file or directory\."),
        ("pvar", None, r"has no variants beside it: `.*x\.y\.pvar` \(or \.pvar\.zst, \.bim\) is missing\."),
        ("psam", None, r"has no individuals beside it: `.*x\.y\.psam` \(or \.fam\) is missing\."),
        ("pvar", PVAR[:-18].encode(), r"holds 3 variants of 5 individuals, .* list 2 variants and 5 individuals\."),
        (
            "psam",
            PSAM.encode() + b"f6\ti6\tNA\n",
            r"holds 3 variants of 5 individuals, .* list 3 variants and 6 individuals\.",
        ),
        ("pvar", b"##only comments\n", r"is empty: it should list variants"),
        (
            "pvar",
            b"#CHROM\tPOS\tID\tREF\n",
            r"1 columns are missing from its header, first `ALT`\. It needs CHROM, POS",
        ),
        ("pvar", b"#CHROM\tPOS\tID\tREF\tALT\n", r"lists no variants: there is nothing after its header\."),
        ("pvar", PVAR.replace("200", "x").encode(), r"`position` is not a whole number in 1 of 3 rows, first row 2"),
        ("pvar", PVAR.replace("\tT\t.", "").encode() + b"22\n", r"6 columns are expected, but 1 of 4 rows"),
        ("psam", b"#FID\tSEX\na\t1\n", r"1 columns are missing from its header, first `IID`\."),
    ],
)
def test_damaged_files_are_one_line_errors(prefix: Path, ending: str, content: bytes | None, match: str) -> None:
    path = Path(f"{prefix}.{ending}")
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(FormatError, match=match) as caught:
        PgenFile(prefix)
    assert "\n" not in str(caught.value)


def test_truncated_genotypes_are_found_when_the_panel_is_made(tmp_path: Path, rng: np.random.Generator) -> None:
    pvar = "#CHROM\tPOS\tID\tREF\tALT\n" + "".join(f"3\t{j + 1}\trs{j}\tC\tA\n" for j in range(500))
    prefix = write_pgen(tmp_path / "a", rng.integers(0, 3, (500, 5)), pvar)
    whole = Path(f"{prefix}.pgen").read_bytes()
    Path(f"{prefix}.pgen").write_bytes(whole[: 3 * len(whole) // 4])
    with pytest.raises(
        FormatError, match=r"a\.pgen` cannot be read \(.*\): it is truncated or damaged\. Copy it again\."
    ):
        GenotypePanel([PgenFile(prefix)])
