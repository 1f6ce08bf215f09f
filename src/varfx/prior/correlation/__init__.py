"""Genetic correlation of two traits with a prior each, from the likelihood of both on one LD panel.

Start with `estimate` (the command); `pairs` puts two traits on the same variants and windows, `model` computes their likelihood and sums,
`files` writes. Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.prior.correlation.config import CorrelationConfig
    from varfx.prior.correlation.estimate import GeneticCorrelation, genetic_correlation
    from varfx.prior.correlation.files import correlation_table
    from varfx.prior.correlation.pairs import PairedTraits, paired

__all__ = [
    "CorrelationConfig",
    "GeneticCorrelation",
    "PairedTraits",
    "correlation_table",
    "genetic_correlation",
    "paired",
]

export(
    __name__,
    {
        "config": "CorrelationConfig",
        "estimate": "GeneticCorrelation genetic_correlation",
        "files": "correlation_table",
        "pairs": "PairedTraits paired",
    },
)
