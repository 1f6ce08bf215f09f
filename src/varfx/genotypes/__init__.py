"""Genotypes of individuals and published LD: PLINK 1 and 2, VCF, and the LD sources behind `varfx ld build`.

Imports `io` and `genome`. Start with `donors` (individuals, for expression) and `open_ld` (which reader serves a path, for LD);
`ld_source` is the interface of LD references. Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.genotypes.donors import Donors, DonorVariants, open_donors
    from varfx.genotypes.ld_source import LDSource
    from varfx.genotypes.name_lists import read_individuals
    from varfx.genotypes.open_ld import open_source
    from varfx.genotypes.panel import GenotypePanel

__all__ = [
    "DonorVariants",
    "Donors",
    "GenotypePanel",
    "LDSource",
    "open_donors",
    "open_source",
    "read_individuals",
]

export(
    __name__,
    {
        "donors": "DonorVariants Donors open_donors",
        "ld_source": "LDSource",
        "name_lists": "read_individuals",
        "open_ld": "open_source",
        "panel": "GenotypePanel",
    },
)
