"""Likelihood engines: same inputs, same result type, same unit (total nats of the window).

Start with `exact` (value and gradient by dense factorisation), then `stochastic` and `auto` (which engine is fastest). The
objectives for comparison are `ldsr` and `composite`. Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.likelihood.auto import evaluate
    from varfx.likelihood.config import Engine
    from varfx.likelihood.exact import exact
    from varfx.likelihood.result import LikelihoodResult
    from varfx.likelihood.stochastic import stochastic

__all__ = ["Engine", "LikelihoodResult", "evaluate", "exact", "stochastic"]

export(
    __name__,
    {
        "auto": "evaluate",
        "config": "Engine",
        "exact": "exact",
        "result": "LikelihoodResult",
        "stochastic": "stochastic",
    },
)
