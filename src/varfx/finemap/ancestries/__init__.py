"""Fine-mapping in several ancestries: effects at the same variants, of sizes of their own, and where each exists.

Start with `fit` (one locus: the sum of the ancestries' Bayes factors in each single effect), then `run` (files and tables); `posthoc` is SuSiEx's
probability that an ancestry has a signal. Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.finemap.ancestries.fit import JointFit, SharedFit, SharedSet
    from varfx.finemap.ancestries.posthoc import posthoc_probabilities
    from varfx.finemap.ancestries.run import (
        SharedMapping,
        finemap_ancestries,
        set_table,
        variant_table,
        write_shared_files,
    )

__all__ = [
    "JointFit",
    "SharedFit",
    "SharedMapping",
    "SharedSet",
    "finemap_ancestries",
    "posthoc_probabilities",
    "set_table",
    "variant_table",
    "write_shared_files",
]

export(
    __name__,
    {
        "fit": "JointFit SharedFit SharedSet",
        "posthoc": "posthoc_probabilities",
        "run": "SharedMapping finemap_ancestries set_table variant_table write_shared_files",
    },
)
