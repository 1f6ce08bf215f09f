"""Configuration of a panel's windows, whitening and storage; free of numpy, for help pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from varfx.errors import ConfigError

Dtype = Literal["auto", "float16", "float32", "float64"]
Storage = Literal["full", "shared", "int8"]
ExportFormat = Literal["npz", "plink", "prscs", "sbayesrc"]
SMALL_REFERENCE = 5_000  # individuals below which fewer directions of LD are trusted


@dataclass(frozen=True, kw_only=True)
class PanelConfig:
    """Configuration of a panel: windows, rank rule, storage."""

    core: int = 1_000_000
    """Bases of a core: the variants whose associations a window explains."""
    flank: int = 1_000_000
    """Bases on each side of the core whose variants may carry effects on it."""
    rank_variance: float | None = None
    """Share of each core's LD variance to keep; 1 keeps every direction. By default 0.95 for references of fewer than 5,000
    individuals, else 0.99: see docs/ld.md."""
    dtype: Dtype = "auto"
    """Precision of the stored correlations: float16, float32, float64; auto is float32, and float16 above 8 GiB."""
    storage: Storage = "full"
    """What is stored: full (eigenvectors and correlations), shared (eigenvectors are taken from the correlations among the core), or
    int8 (likewise, and correlations with the flank in 8 bits). Of half precision that is 100, 60 and 40 of a hundred bytes: docs/ld.md."""

    def __post_init__(self) -> None:
        if self.storage not in get_args(Storage):
            raise ConfigError(f"`storage` must be full, shared or int8, got {self.storage!r}.")
        if self.core <= 0 or self.flank < 0:
            raise ConfigError(f"`core` must be positive and `flank` not negative, got {self.core} and {self.flank}.")
        if self.rank_variance is not None and not 0 < self.rank_variance <= 1:
            raise ConfigError(f"`rank-variance` must be above 0 and at most 1, got {self.rank_variance}.")
        if self.dtype not in get_args(Dtype):
            raise ConfigError(f"`dtype` must be auto, float16, float32 or float64, got {self.dtype!r}.")

    def share(self, num_people: int) -> float:
        """The share of LD variance that is kept, from the sample size of the reference where none was chosen."""
        if self.rank_variance is not None:
            return self.rank_variance
        return 0.95 if num_people < SMALL_REFERENCE else 0.99
