"""Configuration of the explanation of variants; free of numpy, for help pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from varfx.errors import ConfigError

Background = Literal["uniform", "file"]


@dataclass(frozen=True, kw_only=True)
class ExplainConfig:
    """Thresholds of motifs, controls and fine-mapped eQTLs."""

    fold: int = 0
    """Fold of the models."""
    model: str | None = None
    """Of a run with several; by default elastic-net, or the first with weights."""
    top: int = 20
    """High-scoring variants of a gene for which no elastic net says how many."""
    motif_p: float = 1e-4
    """A motif counts where one allele's match has a smaller p."""
    strong_p: float = 5e-5
    """A disruption is strong where one allele's match has a smaller p, and the scores differ by strong_delta."""
    strong_delta: float = 1.0
    """Least difference of the alleles' scores of a strong disruption, in log2 units: 1 doubles or halves the odds of the motif."""
    background: Background = "uniform"
    """Frequencies of the bases that matches are compared with: uniform, or those of the motif file."""
    permutations: int = 10_000
    """Random choices of variants within strata, for p-values of enrichment."""
    samples: int = 1_000
    """Bootstrap samples of genes."""
    min_hits: int = 5
    """Variants that a single motif must disrupt for its enrichment to be tested."""
    min_pip: float = 0.9
    """Fine-mapped variants: a larger inclusion probability."""
    max_pip: float = 0.01
    """Their controls: a smaller one, or none."""
    seed: int = 0
    """Of permutations, bootstraps and controls."""

    def __post_init__(self) -> None:
        for name in ("motif_p", "strong_p"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"`{name}` must be in (0, 1], got {getattr(self, name)}.")
        if not self.strong_delta >= 0:
            raise ConfigError(f"`strong_delta` must not be negative, got {self.strong_delta}.")
        if self.background not in get_args(Background):
            raise ConfigError(f"`background` must be uniform or file, got {self.background!r}.")
        for name, least in (("permutations", 1), ("samples", 1), ("min_hits", 1), ("top", 1), ("seed", 0), ("fold", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"`{name}` must be at least {least}, got {getattr(self, name)}.")
        if not 0 <= self.max_pip < self.min_pip < 1:
            raise ConfigError(
                f"`max_pip` must be below `min_pip`, both in [0, 1): got {self.max_pip} and {self.min_pip}."
            )
