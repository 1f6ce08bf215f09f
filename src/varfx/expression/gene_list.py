"""Genes that a user names: ids, or files of ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from varfx.errors import ConfigError
from varfx.io.stream import is_file
from varfx.io.text_lines import read_fields


def gene_ids(words: Sequence[str]) -> tuple[str, ...]:
    """Gene ids of these words: a file stands for the ids in it, and `all` alone for none, which is every gene.

    Raises:
        ConfigError: a file holds none.
    """
    if tuple(words) == ("all",):
        return ()
    found: list[str] = []
    for word in words:
        if not is_file(Path(word)):
            found.append(word)
            continue
        listed = [field for _, fields in read_fields(word, "genes") for field in fields]
        if not listed:
            raise ConfigError(f"`genes`: `{word}` names no gene. Give one Ensembl id per line.")
        found += listed
    return tuple(found)
