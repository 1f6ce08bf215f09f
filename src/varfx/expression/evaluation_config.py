"""Configuration of `varfx expr evaluate`."""

from __future__ import annotations

from dataclasses import dataclass

from varfx.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What is computed beside the scores of models on test individuals, and how."""

    heritability: bool = True
    """Estimate each gene's cis-heritability by REML too."""
    num_samples: int = 1000
    """Bootstrap samples of individuals."""
    seed: int = 0
    """Of the bootstraps."""

    def __post_init__(self) -> None:
        for name, least in (("num_samples", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"`{name}` must be at least {least}, got {getattr(self, name)}.")
