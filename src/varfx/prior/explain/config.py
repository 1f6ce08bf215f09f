"""Configuration of explained variants and permuted channels; free of numpy, for help pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from varfx.errors import ConfigError

Scope = Literal["window", "all"]


@dataclass(frozen=True, kw_only=True)
class ExplainConfig:
    """Configuration of explained variants and permuted channels."""

    top: int | None = None
    """Explain the variants of highest f on the windows, so many."""
    sample: int = 1000
    """Otherwise explain a random sample of the windows' variants."""
    detail: int = 6
    """Variants of highest f among them for which every base's contribution is kept."""
    repeats: int = 5
    """Permutations of each group; 0 leaves importance out."""
    scope: Scope = "window"
    """Source of permuted channels: variants of the same window, or of all scored windows."""
    seed: int = 0
    """Of the sample, the permutations and the intervals."""

    def __post_init__(self) -> None:
        for name, least in (("sample", 1), ("detail", 0), ("repeats", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"`{name}` must be at least {least}, got {getattr(self, name)}.")
        if self.top is not None and self.top < 1:
            raise ConfigError(f"`top` must be at least 1, got {self.top}.")
