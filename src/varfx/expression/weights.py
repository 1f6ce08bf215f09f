"""Weights of a linear run brought to a table of variants."""

from __future__ import annotations

import polars as pl
from jaxtyping import Float64
from numpy import ndarray

from varfx.genome.variants import KEY


def aligned_weights(variants: pl.DataFrame, weights: pl.DataFrame) -> Float64[ndarray, " variant"]:
    """Weight per copy of each variant's effect allele; 0 where the model has none.

    Args:
        variants: columns of `varfx.genome.variants.KEY`.
        weights: the same and `weight`, of one gene, model and fold.
    """
    joined = variants.select(KEY).join(weights.select(*KEY, "weight"), on=KEY, how="left", maintain_order="left")
    return joined["weight"].fill_null(0.0).to_numpy()
