"""The files of a run for commands whose `--annot` names annotations that are asked about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from varfx.cli.options import as_options
from varfx.genome.matching import Palindromes  # noqa: F401  inherited annotations are evaluated here
from varfx.prior.files import PriorInputs


@dataclass(frozen=True, kw_only=True)
class OtherFeatures(PriorInputs):
    """The files of a run, its features by another name."""

    annotations: Path | None = None
    """Annotations that are the run's features, where its own file has moved."""


FeatureInputs = Annotated[
    OtherFeatures, as_options(OtherFeatures, group="Inputs", annotations=Parameter(name="--features"))
]
