"""Genes that a user names: ids, or files of ids."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from varfx.errors import FormatError
from varfx.genotypes.name_lists import read_name_table
from varfx.io.stream import is_file

GENE_IDS = ("gene_id", "geneid", "ensembl_gene_id", "ensembl_id", "ensembl", "phenotype_id", "gene", "name")
_BETWEEN = re.compile(r"""[\s,;"']+""")


def gene_ids(words: Sequence[str]) -> tuple[str, ...]:
    """Gene ids of these words: a file stands for the ids in it, and `all` alone for none, which is every gene.

    Raises:
        FormatError: see `read_genes`.
    """
    if tuple(words) == ("all",):
        return ()
    return tuple(gene for word in words for gene in (read_genes(word) if _names_file(word) else (word,)))


def _names_file(word: str) -> bool:
    """Whether a word is a file, or was meant for one that is not there: ids have no slash, and no such ending."""
    return is_file(Path(word)) or "/" in word or word.lower().endswith((".txt", ".tsv", ".csv", ".list", ".gz"))


def read_genes(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Gene ids in a file, each once: the column that a header calls `gene_id` or the like; else all words of a line that begin
    with ENS, or its first word where none does. What follows a `#` does not count.

    Raises:
        FormatError: it cannot be read, or names no gene.
    """
    table = read_name_table(path, "genes, one Ensembl id per line", words=GENE_IDS)
    column = table.found(GENE_IDS)
    genes = table.column(column) if column is not None else [gene for line in table.lines for gene in _ids(line)]
    named = tuple(dict.fromkeys(gene for gene in genes if gene))
    if not named:
        raise FormatError(f"`{path}` names no gene. Give Ensembl ids, one a line.")
    return named


def _ids(line: str) -> list[str]:
    words = [word for word in _BETWEEN.split(line.partition("#")[0]) if word]
    return [word for word in words if word.startswith("ENS")] or words[:1]
