"""Files found by fuzzing that once let a foreign exception out, or ended the process: each is one line of ours now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from varfx.annotations.foreign import read_annotation_table
from varfx.annotations.ld_scores import read_ld_scores
from varfx.annotations.snpvar import read_variances
from varfx.errors import FormatError, StoreError, VarfxError
from varfx.expression.cohort.tables import read_covariates
from varfx.expression.gene_list import read_genes
from varfx.genome.gtf import read_gtf
from varfx.genome.liftover import read_chain
from varfx.genome.variants import SCHEMA
from varfx.genotypes.plink2 import PgenFile
from varfx.report.training import read_history

FOLDER = Path(__file__).parents[1] / "golden/cases/fuzz-foreign"
PANEL = pl.DataFrame([("1", 1000, "rs1", "A", "G", 0.3)], schema=SCHEMA, orient="row")


def variances(path: Path) -> object:
    return read_variances(path, PANEL)


@pytest.mark.parametrize(
    ("name", "read", "message"),
    [
        ("a.over.chain", read_chain, r"the chain of line 1 cannot be read"),
        ("cov2357.txt", read_covariates, r"2 cells are no finite numbers, first of covariate PC0 in \* \('\*'\)"),
        ("a.txt", variances, r"the columns `SNPVAR` and `snpvar` may both be the f\. Keep one"),
        ("chr.txt", variances, r"the columns `CHR` and `chr` may both be the chrom\. Keep one"),
        ("snpvar_panic.parquet", variances, r"is a damaged Parquet file"),
        ("snpvar_abort.parquet", variances, r"is not a whole Parquet file"),
        ("annot_abort.parquet", read_annotation_table, r"is a damaged Parquet file"),
        ("panic.l2.ldscore.parquet", read_ld_scores, r"is a damaged Parquet file"),
        ("history.csv", read_history, r"is missing or is no training history"),
    ],
)
def test_a_damaged_file_is_one_line(name: str, read: Callable[[Path], object], message: str) -> None:
    with pytest.raises(VarfxError, match=message) as caught:
        read(FOLDER / name)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, FormatError | StoreError)


def test_a_gene_list_in_latin_1_is_a_list() -> None:
    assert read_genes(FOLDER / "genes.txt") == ("ENSG00000000000", "ENSG\xff")


@pytest.mark.parametrize("place", ["18446744073709551616", "0", "-5", "1.5", "1e400", "nan"])
def test_impossible_positions_of_genes(tmp_path: Path, place: str) -> None:
    (tmp_path / "g.gtf").write_text(f'chr1\tx\tgene\t{place}\t9000\t.\t+\t.\tgene_id "A";\n')
    with pytest.raises(FormatError, match=r"line 1 is no GTF row with start, end and strand"):
        read_gtf(tmp_path / "g.gtf")
    (tmp_path / "g.gtf").write_text('chr1\tx\tgene\t1e+05\t2e+05\t.\t-\t.\tgene_id "A";\r\n')
    assert read_gtf(tmp_path / "g.gtf")["tss"].to_list() == [200_000]


@pytest.mark.parametrize(("psam", "message"), [("#\nf1 i1\n", "first `IID`"), ("#FID\tIID\n", "lists no individuals")])
def test_people_of_plink_2_without_header_or_rows(tmp_path: Path, psam: str, message: str) -> None:
    (tmp_path / "x.psam").write_text(psam)
    (tmp_path / "x.pvar").write_text("#CHROM\tPOS\tID\tREF\tALT\n1\t5\trs1\tA\tC\n")
    (tmp_path / "x.pgen").write_bytes(b"")
    with pytest.raises(FormatError, match=message):
        PgenFile(tmp_path / "x")


def test_the_headerless_pvar_and_the_bim_of_plink(tmp_path: Path) -> None:
    """Case 52: five columns without cM, blank last lines; case 21: positions as R writes them."""
    case = Path(__file__).parents[1] / "golden/cases/52_pvar_bim_forms/pvar"
    file = PgenFile(case / "nohdr5")
    assert file.sites["position"].to_list() == list(range(1000, 20_001, 1000))
    assert file.sites.row(0) == ("1", 1000, "rs0", "A", "G")
    from varfx.genotypes.plink1 import read_bim, read_fam

    (tmp_path / "p.bim").write_text("1\trs1\t0\t1e+05\tA\tG\n1 rs2  0 200000 C T\n\n\n")
    assert read_bim(tmp_path / "p.bim")["position"].to_list() == [100_000, 200_000]
    (tmp_path / "p.fam").write_text("\nF1 I1 0 0 1\r\nF2\tI2\t0\t0\t2\r\n")
    assert read_fam(tmp_path / "p.fam").rows() == [("F1", "I1"), ("F2", "I2")]
    assert np.asarray(file.sites["position"]).dtype == np.int64
