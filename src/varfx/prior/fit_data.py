"""Data of a fit: inputs of one panel, or of one per ancestry, brought to the panels' rows, with the use of their windows."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from varfx.annotations import Standardiser
from varfx.annotations.file import AnyAnnotations
from varfx.errors import ConfigError
from varfx.genome.builds import require_same_build
from varfx.genome.matching import Matching
from varfx.gwas.sumstats import SumStats
from varfx.io.ledger import LedgerRow
from varfx.ld import LDPanel
from varfx.prior.ancestries.inputs import AncestryInputs
from varfx.prior.ancestries.split import PanelWindows, split_together
from varfx.prior.files import PriorInputs
from varfx.prior.inputs import gather, pooled_standardiser
from varfx.prior.signs import check_signs
from varfx.prior.split import Split
from varfx.tracks.inputs import TrackInputs
from varfx.training import WindowData

if TYPE_CHECKING:
    from varfx.prior.fit import FitOptions

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class FitSources:
    """Contents of the inputs of one panel, of the ancestry `name` if that is given; the trait then has this name here, and `trait` in its file."""

    name: str | None
    trait: str
    files: PriorInputs
    panel: LDPanel
    sumstats: list[SumStats]
    annotations: AnyAnnotations | None


@dataclass(frozen=True, eq=False)
class FitMember:
    """Data of a fit on one panel's rows, and the use of its windows."""

    sources: FitSources
    data: WindowData
    ledgers: list[list[LedgerRow]]
    split: Split
    doubts: list[str]  # that a trait's alleles are those of the panel

    @property
    def record(self) -> dict[str, Any]:
        """Description of its inputs in the run's record."""
        panel, files = self.sources.panel, self.sources.files
        names = panel.windows["name"].to_list()
        return {
            "split": {part: [names[index] for index in windows] for part, windows in asdict(self.split).items()},
            "panel": str(panel.path.resolve()),
            "build": panel.build
            or next((each.build for each in self.sources.sumstats if each.build is not None), None),
            "sumstats": [str(path.resolve()) for path in files.sumstats],
            "annotations": None if files.annotations is None else str(files.annotations.resolve()),
            **({} if self.sources.name is None else {"trait": self.sources.trait}),
        }


@dataclass(frozen=True, eq=False)
class FitJob:
    """Data of a fit, of one panel or of one per ancestry."""

    members: list[FitMember]
    standardiser: Standardiser | None
    tracks: TrackInputs | None

    @property
    def ancestries(self) -> list[str]:
        """Names of the ancestries; empty for a fit to one panel that has no name."""
        return [each.sources.name for each in self.members if each.sources.name is not None]

    @property
    def num_traits(self) -> int:
        """Traits of all members."""
        return sum(len(each.data.traits) for each in self.members)


def open_sources(inputs: PriorInputs | AncestryInputs) -> list[FitSources]:
    """Inputs of each panel, as far as they are read at once; the trait of an ancestry takes its name."""
    members: Iterable[tuple[str | None, PriorInputs]]
    members = [(None, inputs)] if isinstance(inputs, PriorInputs) else inputs.members.items()
    found = []
    for name, files in members:
        panel, associations, channels = files.open_panel(), files.read_sumstats(), files.read_annotations()
        named = associations if name is None else [replace(each, trait=name) for each in associations]
        _check_names([each.trait for each in named])
        found.append(FitSources(name, associations[0].trait, files, panel, named, channels))
    for each in found[1:]:
        require_same_build(str(each.panel.path), each.panel.build, str(found[0].panel.path), found[0].panel.build)
    return found


def assemble_members(
    sources: Sequence[FitSources], tracks: TrackInputs | None, options: FitOptions, *, matching: Matching, scratch: Path
) -> FitJob:
    """The data on the panels' rows, and the split of their windows."""
    gathered = [
        gather(each.panel, each.sumstats, each.annotations, kind=options.model.kind, tracks=tracks, matching=matching)
        for each in sources
    ]
    standardiser = pooled_standardiser(gathered)
    shares = options.training.devices * len(sources)
    folders = [scratch if each.name is None else scratch / each.name for each in sources]
    data = [
        each.data(standardiser, scratch=folder, shares=shares) for each, folder in zip(gathered, folders, strict=True)
    ]
    parts = split_together(
        {
            each.name: PanelWindows(each.panel.windows, each.panel.flank, _has_data(each.panel, windows))
            for each, windows in zip(sources, data, strict=True)
        },
        options.split,
    )
    members = []
    for each, found, windows in zip(sources, gathered, data, strict=True):
        panel, split = each.panel, parts[each.name]
        if windows.tracks is not None:
            used = sorted(split.train + split.validation + split.holdout)
            windows.tracks.require([panel.rows(i)[1] for i in used], [panel.cores[i].name for i in used])
        doubts = [check_signs(panel, trait, split.train).warning(trait.name) for trait in windows.traits]
        ledgers = [trait.ledger for trait in found.aligned]
        members.append(FitMember(each, windows, ledgers, split, [doubt for doubt in doubts if doubt is not None]))
    return FitJob(members, standardiser, tracks)


def _check_names(names: Sequence[str]) -> None:
    """Raises unless the traits of one panel have different names."""
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"{names.count(name)} of {len(names)} summary statistics are of a trait called `{name}`. Name one otherwise with "
                "`varfx sumstats clean --trait`."
            )


def _has_data(panel: LDPanel, data: WindowData) -> Bool[ndarray, " window"]:
    """Windows in which a trait has an association; the number of the others is logged."""
    observed = np.any([trait.observed for trait in data.traits], axis=0)
    has_data = np.array([observed[panel.rows(index)[0]].any() for index in range(len(panel.cores))])
    if not has_data.all():
        logger.warning("%d of %d windows hold no association and are left out", (~has_data).sum(), has_data.size)
    return has_data
