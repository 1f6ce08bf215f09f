"""Lists of genes in the forms of spreadsheets, R and BED files name the same genes."""

from __future__ import annotations

from pathlib import Path

import pytest

from varfx.errors import FormatError
from varfx.expression.gene_list import gene_ids, read_genes

LISTS = {
    "ids": "ENSG1.2\nENSG2\n",
    "header": "gene_id\tname\nENSG1.2\tA\nENSG2\tB\n",
    "header behind": "name,gene_id\nA,ENSG1.2\nB,ENSG2\n",
    "header far right": "chr\tstart\tend\tgene_id\n1\t5\t6\tENSG1.2\n1\t7\t8\tENSG2\n",
    "one line": "ENSG1.2,ENSG2\n",
    "blanks": "ENSG1.2 ENSG2\n",
    "symbols before": "BRCA1\tENSG1.2\nTP53\tENSG2\n",
    "symbols behind": "ENSG1.2,BRCA1\nENSG2,TP53\n",
    "BED": "chr1\t5\t6\tENSG1.2\nchr1\t7\t8\tENSG2\n",
    "remarks": "ENSG1.2  # strong, as ENSG7\n# weak\nENSG2\n",
    "R": '"x"\n"1" "ENSG1.2"\n"2" "ENSG2"\n',
    "quoted": '"ENSG1.2"\n"ENSG2"\n',
    "Windows": "\ufeffENSG1.2\r\nENSG2\r\n",
}


@pytest.mark.parametrize("kind", LISTS)
def test_lists_of_genes(tmp_path: Path, kind: str) -> None:
    (tmp_path / "genes.txt").write_text(LISTS[kind])
    assert read_genes(tmp_path / "genes.txt") == ("ENSG1.2", "ENSG2")
    assert gene_ids([str(tmp_path / "genes.txt"), "ENSG3"]) == ("ENSG1.2", "ENSG2", "ENSG3")


def test_ids_that_are_not_of_ensembl(tmp_path: Path) -> None:
    (tmp_path / "genes.txt").write_text("DDX11L1\tpseudogene\nWASH7P x\n")
    assert read_genes(tmp_path / "genes.txt") == ("DDX11L1", "WASH7P")
    (tmp_path / "genes.txt").write_text("gene_id,name\n,A\n")
    with pytest.raises(FormatError, match="names no gene"):
        read_genes(tmp_path / "genes.txt")
