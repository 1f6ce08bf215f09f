"""The genome as coordinates: variants and their keys, builds, intervals, lift-over, FASTA, GTF, harmonisation.

Imports `io` only. Start with `variants` (the key of a variant), then `chromosomes` (spellings) and `harmonise` (one table of
variants against another). Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.genome.fasta import Fasta, open_fasta
    from varfx.genome.gtf import read_gtf
    from varfx.genome.harmonise import Harmonised, harmonise
    from varfx.genome.intervals import Intervals, read_bed
    from varfx.genome.liftover import ChainFile, read_chain
    from varfx.genome.matching import Matching

__all__ = [
    "ChainFile",
    "Fasta",
    "Harmonised",
    "Intervals",
    "Matching",
    "harmonise",
    "open_fasta",
    "read_bed",
    "read_chain",
    "read_gtf",
]

export(
    __name__,
    {
        "fasta": "Fasta open_fasta",
        "gtf": "read_gtf",
        "harmonise": "Harmonised harmonise",
        "intervals": "Intervals read_bed",
        "liftover": "ChainFile read_chain",
        "matching": "Matching",
    },
)
