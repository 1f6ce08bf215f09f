"""Selection of the variants to explain: named in a file, those of highest f, or a random sample."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import polars as pl
import torch
from jaxtyping import Int
from numpy import ndarray

from varfx.errors import DataError
from varfx.genome.chromosomes import spelled
from varfx.io.text_lines import read_fields
from varfx.ld import LDPanel
from varfx.models import VariancePrior
from varfx.progress import Progress, silent
from varfx.training.gwas.windows import WindowData

PathLike = str | os.PathLike[str]


def sampled_variants(panel: LDPanel, windows: Sequence[int], count: int, *, seed: int = 0) -> Int[ndarray, " row"]:
    """Rows of a random sample of the windows' core variants; of all, where there are no more."""
    every = np.concatenate([panel.rows(index)[0] for index in windows])
    return np.sort(np.random.default_rng(seed).choice(every, min(count, every.size), replace=False))


@torch.no_grad()
def highest_variants(
    model: VariancePrior,
    data: WindowData,
    windows: Sequence[int],
    count: int,
    *,
    trait: int = 0,
    progress: Progress = silent,
) -> Int[ndarray, " row"]:
    """Rows of the windows' core variants with the highest f.

    Args:
        model: in evaluation mode.
        data: windows with the model's features.
        windows: numbers of the panel's windows.
        count: how many.
        trait: whose f.
        progress: told about each window.
    """
    rows, f = [], []
    for number, index in enumerate(windows):
        core_rows, panel_rows = data.panel.rows(index)
        window = data[index].features_on(model.scale.device)
        F = model(window.features, window.heterozygosity)[:, trait].cpu().numpy()
        rows.append(core_rows)
        f.append(F[np.searchsorted(panel_rows, core_rows)])
        progress(number + 1, len(windows), "windows predicted")
    return np.concatenate(rows)[np.argsort(-np.concatenate(f), kind="stable")[:count]]


def named_variants(panel: LDPanel, path: PathLike) -> tuple[Int[ndarray, " row"], list[str]]:
    """Rows of the variants that a file names, and notes on those that the panel lacks.

    Args:
        panel: the panel.
        path: text, a variant a line: rsID, chrom:position, or chrom:position:A:B with the alleles in either order.

    Raises:
        DataError: it cannot be read, or names none of the panel's variants.
    """
    names = [_spelled(fields[0]) for _, fields in read_fields(path, "variants, one per line")]
    table = panel.variants.with_row_index("row")
    place = pl.concat_str("chrom", "position", separator=":")
    keys = (
        pl.col("variant_id"),
        place,
        pl.concat_str(place, "effect_allele", "other_allele", separator=":"),
        pl.concat_str(place, "other_allele", "effect_allele", separator=":"),
    )
    wanted = pl.DataFrame({"name": names}, schema={"name": pl.String()}).unique(maintain_order=True)
    hits = pl.concat([table.select("row", name=key).join(wanted, on="name", how="inner") for key in keys])
    missing = wanted.filter(~pl.col("name").is_in(hits["name"].implode()))["name"].to_list()
    if not hits.height:
        raise DataError(
            f"`{path}`: none of {wanted.height} variants is in the panel, first `{names[0] if names else ''}`. Name them by rsID, "
            "chrom:position or chrom:position:A:B."
        )
    note = (
        f"{len(missing)} of {wanted.height} named variants are not in the panel, first {missing[0]}" if missing else ""
    )
    return np.unique(hits["row"].to_numpy()).astype(np.int64), [note] if note else []


def _spelled(name: str) -> str:
    """The name with the chromosome of a `chrom:position` in our spelling."""
    chrom, colon, place = name.partition(":")
    return f"{spelled(chrom)}:{place}" if colon else name
