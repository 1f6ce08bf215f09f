"""Likelihood engines: same inputs, same result type, same unit (total nats of the window)."""

from varfx.likelihood.auto import Engine, evaluate
from varfx.likelihood.exact import exact
from varfx.likelihood.result import LikelihoodResult
from varfx.likelihood.stochastic import stochastic

__all__ = ["Engine", "LikelihoodResult", "evaluate", "exact", "stochastic"]
