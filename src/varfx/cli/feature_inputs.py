"""The files of a run for commands whose `--annot` names annotations that are asked about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from varfx.cli.options import as_options
from varfx.errors import ConfigError
from varfx.genome.matching import Palindromes  # noqa: F401  inherited annotations are evaluated here
from varfx.prior.files import PriorInputs
from varfx.prior.heritability.config import WindowChoice
from varfx.prior.run_options import PriorChoice

if TYPE_CHECKING:
    from varfx.prior.heritability.source import PriorSource


@dataclass(frozen=True, kw_only=True)
class OtherFeatures(PriorInputs):
    """The files of a run, its features by another name."""

    annotations: Path | None = None
    """Annotations that are the run's features, where its own file has moved."""


FeatureInputs = Annotated[
    OtherFeatures, as_options(OtherFeatures, group="Inputs", annotations=Parameter(name="--features"))
]
Choice = Annotated[PriorChoice, as_options(PriorChoice)]


def check_choice(run: Path | None, choice: PriorChoice) -> None:
    """Checks that one prior is given.

    Raises:
        ConfigError: none, or a run and variances from elsewhere.
    """
    if (run is None) == (choice.snpvar is None):
        raise ConfigError("give either a RUN or --snpvar FILE, one of the two.")


def chosen_source(
    run: Path | None, choice: PriorChoice, inputs: PriorInputs, windows: WindowChoice, device: str
) -> PriorSource:
    """The prior with its associations: of a run, or of variances from elsewhere."""
    from varfx.prior.heritability import source_of_run, source_of_variances

    if choice.snpvar is not None:
        return source_of_variances(choice.snpvar, inputs=inputs, exclude_chrom=choice.exclude_chrom)
    assert run is not None
    return source_of_run(
        run, inputs=inputs, trait=choice.trait, windows=windows, exclude_chrom=choice.exclude_chrom, device=device
    )
