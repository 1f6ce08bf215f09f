"""How genetic correlation is estimated; without numpy, so that help pages can show it."""

from __future__ import annotations

from dataclasses import dataclass

from varfx.device import check_device
from varfx.errors import ConfigError
from varfx.prior.heritability.config import ErrorMethod, WindowChoice


@dataclass(frozen=True, kw_only=True)
class CorrelationConfig:
    """How genetic correlation is estimated."""

    windows: WindowChoice = "auto"
    """Windows whose associations are used: held-out (by both runs), all, or auto (see `varfx prior h2`)."""
    se: ErrorMethod = "jackknife"
    """Standard errors by one-step block jackknife, or by the sandwich over windows."""
    blocks: int = 100
    """Largest number of contiguous blocks of windows of the jackknife."""
    channels: tuple[str, ...] = ()
    """Annotations of --annot whose correlation is asked, by name; by default all."""
    device: str = "auto"
    """Where windows are computed: auto, cpu, cuda or cuda:N."""

    def __post_init__(self) -> None:
        check_device(self.device)
        if self.device == "mps":
            raise ConfigError("`device` must be auto, cpu or cuda here: Apple's GPU has no float64.")
        if self.blocks < 2:
            raise ConfigError(f"`blocks` must be at least 2, got {self.blocks}.")
