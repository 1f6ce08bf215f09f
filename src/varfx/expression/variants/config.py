"""Configuration of variant scores: models and methods; free of numpy, for help pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from varfx.device import check_device
from varfx.errors import ConfigError

Rule = Literal["sasse", "variformer", "rastogi"]
RULES: tuple[Rule, ...] = get_args(Rule)
Gradients = Literal["none", "reference", "people"]
VARIANTS_PER_PASS = 16


@dataclass(frozen=True, kw_only=True)
class VariantConfig:
    """Configuration of variant scores."""

    genes: tuple[str, ...] = ()
    """Ensembl ids, or files with one per line; all genes of the run if empty, or for `all`."""
    fold: int = 0
    """Fold of the models; the paper scores variants with those of the first."""
    model: str | None = None
    """Of a run with several models; by default elastic-net, or the first with weights."""
    rule: Rule = "variformer"
    """Rule of the channel `driver`: sasse, variformer or rastogi. The long table has all three."""
    top: int = 20
    """High-scoring variants of a gene for which no elastic net says how many."""
    gradients: Gradients = "reference"
    """Input gradients of networks: none, on the reference, or on test individuals too (a pass for each of them)."""
    variants_per_pass: int = VARIANTS_PER_PASS
    """Bounds the memory of mutagenesis."""
    genes_per_pass: int | None = None
    """Genes of one network whose variants fill passes together; by default 16 on a GPU, 1 elsewhere. Networks of single genes and of coverage take 1."""
    indels: bool = False
    """Score the insertions and deletions too, of a run fitted with --indels; they get rows of their own, and are neither high-scoring nor drivers."""
    float64: bool = False
    """Mutagenesis in float64: for effects below a millionth of the prediction."""
    device: str = "auto"
    """Where networks compute: auto (a GPU if there is one, else the CPU), cpu, cuda, cuda:N or mps."""

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ConfigError(f"`rule` must be one of {', '.join(RULES)}, got {self.rule!r}.")
        if self.gradients not in get_args(Gradients):
            raise ConfigError(f"`gradients` must be none, reference or people, got {self.gradients!r}.")
        check_device(self.device)
        for name in ("top", "variants_per_pass", "genes_per_pass"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"`{name.replace('_', '-')}` must be at least 1, got {value}.")
