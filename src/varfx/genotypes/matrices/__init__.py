"""LD that others published as matrices: squares of correlations, eigen-decompositions, HDF5, Zarr and R files, all in blocks.

Imports `io`, `genome` and the interface `genotypes.ld_source`. Start with `blocks` (what every such source shares); `open` finds
the layout of a path, and each other file reads one. Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.genotypes.matrices.blocks import BlockSource, Correlations
    from varfx.genotypes.matrices.open import open_matrices

__all__ = ["BlockSource", "Correlations", "open_matrices"]

export(__name__, {"blocks": "BlockSource Correlations", "open": "open_matrices"})
