"""Fine-mapping: which variants of a locus carry its effects, with priors that were learned from the whole genome.

A locus's associations are a sum of single effects (SuSiE) on a learned polygenic background. Imports every room above. Start with
`susie` for plain arrays, `finemap` for files; `write_files` writes what it found. Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.finemap.config import FinemapConfig, LocusConfig, NoiseConfig, SusieConfig
    from varfx.finemap.files.write import write_files
    from varfx.finemap.fit import Noise, Susie
    from varfx.finemap.ld_matrix import DenseLD, LowRankLD
    from varfx.finemap.run import FineMapping, finemap
    from varfx.finemap.sets import CredibleSet
    from varfx.finemap.source import Study, study_of_run, study_of_variances, study_without_prior
    from varfx.finemap.susie import susie

__all__ = [
    "CredibleSet",
    "DenseLD",
    "FineMapping",
    "FinemapConfig",
    "LocusConfig",
    "LowRankLD",
    "Noise",
    "NoiseConfig",
    "Study",
    "Susie",
    "SusieConfig",
    "finemap",
    "study_of_run",
    "study_of_variances",
    "study_without_prior",
    "susie",
    "write_files",
]

export(
    __name__,
    {
        "config": "FinemapConfig LocusConfig NoiseConfig SusieConfig",
        "files.write": "write_files",
        "fit": "Noise Susie",
        "ld_matrix": "DenseLD LowRankLD",
        "run": "FineMapping finemap",
        "sets": "CredibleSet",
        "source": "Study study_of_run study_of_variances study_without_prior",
        "susie": "susie",
    },
)
