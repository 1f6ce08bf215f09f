"""The record of a fit, and where its checkpoint lies."""

from __future__ import annotations

from dataclasses import dataclass

LAST = "last"  # the checkpoint's name in a fit's folder


@dataclass(frozen=True)
class History:
    """One check of a fit.

    Attributes:
        step: optimiser steps done (priors), or passes done (expression).
        train: training score since the last check, as it was met: for priors the mean log p per independent association (or another
            objective's score per association), NaN at step 0; for expression the mean loss of the batches.
        validation: on the validation windows in the same unit; for expression the mean R2 of the tuning individuals.
    """

    step: int
    train: float
    validation: float
