"""Likelihood engines: same inputs, same result type, same unit (total nats of the window)."""

from varfx.likelihood.exact import exact
from varfx.likelihood.result import LikelihoodResult

__all__ = ["LikelihoodResult", "exact"]
