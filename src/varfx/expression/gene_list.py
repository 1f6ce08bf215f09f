"""Genes that a user names: ids, or files of ids."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from varfx.errors import DataError
from varfx.io.stream import is_file
from varfx.io.text_lines import read_fields


def gene_ids(words: Sequence[str]) -> tuple[str, ...]:
    """Gene ids of these words: a file stands for the ids in it, and `all` alone for none, which is every gene.

    Raises:
        DataError: see `read_genes`.
    """
    if tuple(words) == ("all",):
        return ()
    return tuple(gene for word in words for gene in (read_genes(word) if _names_file(word) else (word,)))


def _names_file(word: str) -> bool:
    """Whether a word is a file, or was meant for one that is not there: ids have no slash, and no such ending."""
    return is_file(Path(word)) or "/" in word or word.lower().endswith((".txt", ".tsv", ".csv", ".list", ".gz"))


def read_genes(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Ensembl ids in a file: the first word of each line, and further ones that begin with ENS. What follows a `#` does not count.

    Raises:
        DataError: it cannot be read, or names no gene.
    """
    genes: dict[str, None] = {}
    for _, fields in read_fields(path, "genes, one Ensembl id per line"):
        words = " ".join(fields).partition("#")[0].split()
        genes |= dict.fromkeys([*words[:1], *(word for word in words[1:] if word.startswith("ENS"))])
    if not genes:
        raise DataError(f"`{path}` names no gene. Give Ensembl ids, one a line.")
    return tuple(genes)
