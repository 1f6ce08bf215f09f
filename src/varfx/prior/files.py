"""The files that a prior is fitted or applied to, as one object: paths, opened when needed."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from varfx.errors import ConfigError, DataError
from varfx.genome.matching import Matching, Palindromes
from varfx.io import sealed
from varfx.io.frames import Source, is_frame, was_frame
from varfx.prior.frames import annotations_file, sumstats_file

if TYPE_CHECKING:
    from varfx.annotations.file import AnyAnnotations
    from varfx.gwas.sumstats import SumStats
    from varfx.ld import LDPanel
    from varfx.models import ModelConfig
    from varfx.prior.run import Run
    from varfx.tracks.inputs import TrackInputs

PathLike = str | os.PathLike[str]
Paths = Source | Sequence[Source] | Mapping[str, Source]
WORDS = {
    "panel": "LD panel",
    "sumstats": "summary statistics",
    "annotations": "annotations",
    "tracks": "tracks",
    "chain": "chain file",
}


class FeaturePaths(TypedDict, total=False):
    """The inputs that are features of variants, as keyword arguments of a function."""

    annotations: Source | None
    tracks: PathLike | None
    chain: PathLike | None


class FitPaths(FeaturePaths, total=False):
    """Further inputs of a fit beside panel and summary statistics, as keyword arguments."""

    palindromes: Palindromes | None
    min_overlap: float | None


class InputPaths(FitPaths, total=False):
    """`PriorInputs` as keyword arguments of a function."""

    panel: PathLike | None
    sumstats: Paths | None


@dataclass(frozen=True, kw_only=True)
class PriorInputs:
    """The files of a prior, and how summary statistics are matched to its panel."""

    panel: Path | None = None
    """LD panel (`varfx ld build`)."""
    sumstats: tuple[Path, ...] = ()
    """Cleaned summary statistics (`varfx sumstats clean`), one file per trait; several traits share one network."""
    annotations: Path | None = None
    """Annotations (`varfx annot build`); without, the features are minor-allele frequency and LD score."""
    tracks: Path | None = None
    """Signals along the genome (`varfx tracks build`): read base by base by enformer, averaged for linear and mlp."""
    chain: Path | None = None
    """UCSC chain file from the panel's genome build to the tracks', where they differ (hg19ToHg38.over.chain.gz)."""
    palindromes: Palindromes | None = None
    """A/T and C/G variants of summary statistics: infer (by frequencies, where other variants confirm these; else dropped; the
    default), drop, or keep (both files are on one strand)."""
    min_overlap: float | None = None
    """Smallest share of variants of summary statistics and panel found in each other, where both have variants; by default 0.2."""

    @classmethod
    def of(
        cls,
        *,
        panel: PathLike | None = None,
        sumstats: Paths | None = None,
        annotations: Source | None = None,
        tracks: PathLike | None = None,
        chain: PathLike | None = None,
        palindromes: Palindromes | None = None,
        min_overlap: float | None = None,
    ) -> PriorInputs:
        """The object of paths in any form, or DataFrames; one path of summary statistics stands for a list of one.

        DataFrames of summary statistics are traits called `trait`, or `trait1`, `trait2`, ...; a mapping names them.

        Raises:
            VarfxError: a DataFrame that the commands would refuse as a file.
        """
        return cls(
            panel=_path(panel),
            sumstats=tuple(sumstats_file(each, trait) for trait, each in _traits(sumstats)),
            annotations=None if annotations is None else annotations_file(annotations, _path(panel)),
            tracks=_path(tracks),
            chain=_path(chain),
            palindromes=palindromes,
            min_overlap=min_overlap,
        )

    @property
    def matching(self) -> Matching:
        """Rules for matching summary statistics to the panel."""
        given = {"palindromes": self.palindromes, "min_overlap": self.min_overlap}
        return Matching(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]

    def or_those_of(self, run: Run) -> PriorInputs:
        """These files, and in place of those not given the run's own."""
        tracks = run.record.get("tracks") or {}
        own = PriorInputs.of(
            panel=run.record["panel"],
            sumstats=run.record["sumstats"],
            annotations=run.record["annotations"],
            tracks=tracks.get("path"),
            chain=tracks.get("chain"),
            **run.record["config"].get("matching", {}),
        )
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        return replace(own, **{name: value for name, value in given.items() if value not in (None, ())})

    def named(self) -> dict[str, Path]:
        """Each file that is given, by the name that a run's provenance has for it."""
        single = {name: getattr(self, name) for name in ("panel", "annotations", "tracks", "chain")}
        several = {f"sumstats.{number}": path for number, path in enumerate(self.sumstats)}
        return {name: path for name, path in (single | several).items() if path is not None}

    def open_panel(self) -> LDPanel:
        """The LD panel.

        Raises:
            ConfigError: none is given.
            StoreError: it is no panel, or damaged.
        """
        from varfx.ld import open_panel

        if self.panel is None:
            raise ConfigError("no LD panel is given. Name one with --panel.")
        return open_panel(self.panel)

    def read_sumstats(self) -> list[SumStats]:
        """The summary statistics, one per trait.

        Raises:
            ConfigError: none are given, or two are of one trait.
            StoreError: a file is no summary statistics of ours, or damaged.
        """
        from varfx.gwas.sumstats import read_sumstats

        if not self.sumstats:
            raise ConfigError("no summary statistics are given. Name at least one file with --sumstats.")
        return [read_sumstats(path) for path in self.sumstats]

    def read_annotations(self) -> AnyAnnotations | None:
        """The annotations, if any are given; large tables stay in their file."""
        from varfx.annotations.file import open_annotations

        return None if self.annotations is None else open_annotations(self.annotations)

    def tracks_for_fit(self, model: ModelConfig) -> TrackInputs | None:
        """The tracks as `model` reads them, if any are given and it does."""
        from varfx.tracks.inputs import tracks_for_fit

        return tracks_for_fit(self.tracks, self.chain, kind=model.kind, window=model.enformer.window)

    def tracks_of_run(self, run: Run) -> TrackInputs | None:
        """The run's tracks, by name; from the store and chain given here, if any."""
        from varfx.tracks.inputs import tracks_of_run

        return tracks_of_run(run.record.get("tracks"), self.tracks, self.chain)


def inputs_of_run(
    run: Run, given: PriorInputs, *, used: Collection[str] = tuple(WORDS)
) -> tuple[PriorInputs, list[str]]:
    """The files that a run is applied to, and notes on given files that are not those of the fit.

    Files not given are the run's own, and must still be those of the fit: their checksums are compared.

    Args:
        run: the fitted prior.
        given: files in place of the run's own.
        used: names of the inputs that will be read.

    Raises:
        ConfigError: the number of summary statistics is not that of the run's traits.
        DataError: a file of the run's own has changed or is gone.
    """
    files = given.or_those_of(run)
    if len(files.sumstats) != len(run.trait_names):
        raise ConfigError(
            f"`sumstats` must name one file for each of the run's {len(run.trait_names)} traits, got {len(files.sumstats)}."
        )
    at_fit, chosen = _checksums_at_fit(run), given.named()
    for name, path in files.named().items():
        option = name.partition(".")[0]
        if name in chosen or option not in used or at_fit.get(name) is None:
            continue
        found = sealed.checksum(path)
        if found is None and was_frame(path):
            raise DataError(
                f"the {WORDS[option]} of the fit of `{run.path}` were a DataFrame. Give it again as `{option}`."
            )
        if found is None:
            raise DataError(
                f"`{path}`, the {WORDS[option]} of the fit of `{run.path}`, is gone. Give its place with --{option}."
            )
        if found != at_fit[name]:
            raise DataError(
                f"`{path}` is no longer the {WORDS[option]} of the fit of `{run.path}`: its checksum differs. Restore the file, or "
                f"name one with --{option} to use it all the same."
            )
    return files, other_than_at_fit(run, given)


def other_than_at_fit(run: Run, given: PriorInputs) -> list[str]:
    """A note on each given file that the run was not fitted to."""
    at_fit = _checksums_at_fit(run)
    return [
        f"{path} is not the {WORDS[name.partition('.')[0]]} of the fit"
        for name, path in given.named().items()
        if at_fit.get(name) is not None and sealed.checksum(path) != at_fit[name]
    ]


def _checksums_at_fit(run: Run) -> dict[str, str | None]:
    return {name: entry["sha256"] for name, entry in run.record["provenance"]["inputs"].items()}


def _path(path: PathLike | None) -> Path | None:
    return None if path is None else Path(path)


def _traits(sumstats: Paths | None) -> list[tuple[str, Source]]:
    """Each trait's name, should its source be a DataFrame, and the source."""
    if sumstats is None:
        return []
    if isinstance(sumstats, Mapping):
        return list(sumstats.items())
    if isinstance(sumstats, str | os.PathLike) or is_frame(sumstats):
        return [("trait", sumstats)]
    assert isinstance(sumstats, Sequence)
    return [(f"trait{number}", each) for number, each in enumerate(sumstats, start=1)]
