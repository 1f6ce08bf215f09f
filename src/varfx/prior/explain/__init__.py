"""Explanation of a fitted prior: attribution of the score to channels and bases, and permutation importance.

Start with `explain` (the command), then `attribution` (integrated gradients) and `importance` (held-out likelihood lost by
permutation). Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.prior.explain.attribution import Attributions, attribute_variants
    from varfx.prior.explain.channels import ChannelGroup, channel_groups
    from varfx.prior.explain.config import ExplainConfig
    from varfx.prior.explain.explain import Explanation, explain, write_explanation
    from varfx.prior.explain.importance import Importance, permutation_importance

__all__ = [
    "Attributions",
    "ChannelGroup",
    "ExplainConfig",
    "Explanation",
    "Importance",
    "attribute_variants",
    "channel_groups",
    "explain",
    "permutation_importance",
    "write_explanation",
]

export(
    __name__,
    {
        "attribution": "Attributions attribute_variants",
        "channels": "ChannelGroup channel_groups",
        "config": "ExplainConfig",
        "explain": "Explanation explain write_explanation",
        "importance": "Importance permutation_importance",
    },
)
