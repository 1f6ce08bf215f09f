"""The table of genetic correlations that `ldsc --rg` prints, tab-separated."""

from __future__ import annotations

from varfx.prior.correlation.estimate import GeneticCorrelation
from varfx.prior.heritability.files import table

COLUMNS = (
    "p1", "p2", "rg", "se", "z", "p", "h2_obs", "h2_obs_se", "h2_int", "h2_int_se", "gcov_int", "gcov_int_se",
)  # fmt: skip


def correlation_table(found: GeneticCorrelation) -> str:
    """One row; `h2_obs` and `h2_int` are those of the second trait, as in ldsc."""
    whole, record = found.whole, found.record
    row = [
        record["p1"], record["p2"], whole.rg, whole.se, whole.z, whole.p, *found.h2[1], *found.intercepts[1],
        *found.gcov_intercept,
    ]  # fmt: skip
    return table(COLUMNS, [row])
