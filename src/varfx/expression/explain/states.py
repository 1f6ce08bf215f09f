"""Intervals of chromatin states or peaks, and which scored variants lie in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool
from numpy import ndarray

from varfx.annotations import parse_named_path
from varfx.errors import ConfigError
from varfx.genome.intervals import Intervals, read_bed
from varfx.genome.variants import chrom_expr
from varfx.io.text_lines import as_text, numbered_lines
from varfx.io.text_numbers import whole_of

MOST_NAMES = 200  # names of intervals that are states; more are names of single peaks


States = dict[str, dict[str, Intervals]]  # intervals by name of the state and chromosome


def states_of(paths: Sequence[str], variants: pl.DataFrame) -> tuple[list[str], Bool[ndarray, "variant state"]]:
    """Names of the states of BED files, and which variants lie in each; arguments and errors as of `read_states`.

    Args:
        paths: `PATH` or `NAME=PATH`.
        variants: `chrom, position`.
    """
    states = read_states(paths, variants["chrom"])
    return list(states), inside_states(states, variants)


def read_states(paths: Sequence[str], chroms: Iterable[str]) -> States:
    """Intervals of the states of BED files.

    A file whose fourth column has a few names (15_Quies, pELS, ...) is a state per name, called FILE:NAME if several
    files are given; any other is one state, called by its file.

    Args:
        paths: `PATH` or `NAME=PATH`.
        chroms: chromosomes of the variants, of which each file must have one.

    Raises:
        FormatError: a file is missing or no BED.
        ConfigError: two states have one name, or no variant lies on a chromosome of a file.
    """
    found: States = {}
    ours = set(chroms)
    for text in paths:
        label, path = parse_named_path(text)
        label = label or Path(path).name.partition(".")[0]
        held = _named(Path(path))
        if not {chrom for intervals in held.values() for chrom in intervals} & ours:
            raise ConfigError(f"`{path}` has no interval on the variants' chromosomes ({', '.join(sorted(ours)[:5])}).")
        for state, intervals in held.items():
            name = label if state is None else state if len(paths) == 1 else f"{label}:{state}"
            if name in found:
                raise ConfigError(f"two states are called `{name}`. Name files as NAME=PATH.")
            found[name] = intervals
    return found


def inside_states(states: States, variants: pl.DataFrame) -> Bool[ndarray, "variant state"]:
    """Mask of the variants within each state.

    Args:
        states: of `read_states`.
        variants: `chrom, position`.
    """
    columns = [_inside(intervals, variants) for intervals in states.values()]
    return np.column_stack(columns) if columns else np.zeros((variants.height, 0), dtype=bool)


def _named(path: Path) -> dict[str | None, dict[str, Intervals]]:
    """Intervals by state and chromosome; one state without a name if the names are those of single peaks."""
    whole = read_bed(path)
    rows = []
    for _, line in numbered_lines(path):
        text = as_text(line).strip()
        words = [word.strip().strip('"') for word in (text.split("\t") if text.count("\t") > 1 else text.split())]
        start, end = map(whole_of, words[1:3]) if len(words) > 2 else (None, None)
        if start is None or end is None:
            continue  # a header: read_bed has checked the rest
        if len(words) < 4:
            return {None: whole}
        rows.append((words[0], start, end, words[3]))
    table = pl.DataFrame(rows, schema=["chrom", "start", "end", "name"], orient="row").with_columns(chrom_expr("chrom"))
    distinct = table["name"].n_unique()
    if distinct > min(MOST_NAMES, max(1, table.height // 2)) or distinct == 1:
        return {None: whole}
    found: dict[str | None, dict[str, Intervals]] = {}
    for (name, chrom), part in (
        table.sort("start", "end").partition_by("name", "chrom", as_dict=True, maintain_order=True).items()
    ):
        found.setdefault(str(name), {})[str(chrom)] = Intervals(part["start"].to_numpy(), part["end"].to_numpy())
    return dict(sorted(found.items(), key=lambda item: str(item[0])))


def _inside(intervals: dict[str, Intervals], variants: pl.DataFrame) -> Bool[ndarray, " variant"]:
    result = np.zeros(variants.height, dtype=bool)
    chroms, position = variants["chrom"].to_numpy(), variants["position"].to_numpy()
    for chrom, held in intervals.items():
        mine = chroms == chrom
        if mine.any():
            result[mine] = held.cover(position[mine])
    return result
