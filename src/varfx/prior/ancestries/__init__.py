"""Priors of one trait in several ancestries: one network, and for each ancestry its own panel, scale, alpha and sigma2.

Start with `inputs` (whose files are whose), `run` (a folder with a run per ancestry) and `fit`; `split` holds out the same regions in
all, `union` brings tables of several panels together. `weights` are posterior effects, which `posterior` lets be correlated across
ancestries as `correlation` finds. Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.prior.ancestries.fit import fit_ancestries
    from varfx.prior.ancestries.inputs import AncestryInputs
    from varfx.prior.ancestries.run import AncestryRun, has_ancestries, open_ancestries
    from varfx.prior.ancestries.weights import AncestryWeights, ancestry_weights

__all__ = [
    "AncestryInputs",
    "AncestryRun",
    "AncestryWeights",
    "ancestry_weights",
    "fit_ancestries",
    "has_ancestries",
    "open_ancestries",
]

export(
    __name__,
    {
        "fit": "fit_ancestries",
        "inputs": "AncestryInputs",
        "run": "AncestryRun has_ancestries open_ancestries",
        "weights": "AncestryWeights ancestry_weights",
    },
)
