"""A cohort: individuals' genotypes and expression in one file, how it is prepared, normalised, adjusted and split.

Start with `store` (the file), then `prepare` (the command `expr prepare`) and `splits` (folds and held-out genes). Names load
when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.expression.cohort.config import PrepareConfig, PrepareFiles, SplitConfig
    from varfx.expression.cohort.prepare import prepare
    from varfx.expression.cohort.splits import PeopleSplit
    from varfx.expression.cohort.store import Cohort, open_cohort

__all__ = [
    "Cohort",
    "PeopleSplit",
    "PrepareConfig",
    "PrepareFiles",
    "SplitConfig",
    "open_cohort",
    "prepare",
]

export(
    __name__,
    {
        "config": "PrepareConfig PrepareFiles SplitConfig",
        "prepare": "prepare",
        "splits": "PeopleSplit",
        "store": "Cohort open_cohort",
    },
)
