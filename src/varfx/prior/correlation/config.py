"""How genetic correlation is estimated; without numpy, so that help pages can show it."""

from __future__ import annotations

from dataclasses import dataclass

from varfx.prior.heritability.config import ErrorMethod, WindowChoice, check_computing


@dataclass(frozen=True, kw_only=True)
class CorrelationConfig:
    """How genetic correlation is estimated."""

    windows: WindowChoice = "auto"
    """Windows whose associations are used: held-out (by both runs), all, or auto (see `varfx prior h2`)."""
    se: ErrorMethod = "jackknife"
    """Standard errors by one-step block jackknife, or by the sandwich over the same blocks."""
    blocks: int = 100
    """Largest number of blocks of neighbouring windows behind standard errors; dependent windows may need fewer."""
    channels: tuple[str, ...] = ()
    """Annotations of --annot whose correlation is asked, by name; by default all."""
    device: str = "auto"
    """Where windows are computed: auto, cpu, cuda or cuda:N."""

    def __post_init__(self) -> None:
        check_computing(self.device, self.blocks)


@dataclass(frozen=True, kw_only=True)
class PairChoice:
    """The two traits, and where their correlation is estimated."""

    trait1: str | None = None
    """Trait of the first run; by default its first."""
    trait2: str | None = None
    """Trait of the second run; by default its first."""
    exclude_chrom: tuple[str, ...] = ()
    """Chromosomes to leave out."""
