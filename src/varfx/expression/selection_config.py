"""Configuration of `varfx expr select`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from varfx.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class SelectionConfig:
    """Configuration of a choice of genes."""

    model: str = "elastic-net"
    """Linear model whose R2 counts."""
    fold: int = 0
    """Fold whose individuals it is measured in."""
    part: Literal["tune", "test"] = "tune"
    """Individuals of the fold: those to tune on, so that genes are not chosen by what they are judged on; the paper takes test."""
    bins: int = 10
    """Bins of R2, of equal width."""
    per_bin: int = 30
    """Training genes from each bin."""
    heldout: int = 100
    """Held-out genes at most."""
    heldout_min_r2: float = 0.1
    """Smallest R2 of a held-out gene."""
    seed: int = 0
    """Of the draw within a bin."""

    def __post_init__(self) -> None:
        for name, least in (("fold", 0), ("bins", 1), ("per_bin", 1), ("heldout", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"`{name}` must be at least {least}, got {getattr(self, name)}.")
        if self.part not in ("tune", "test"):
            raise ConfigError(f"`part` must be tune or test, got {self.part!r}.")
