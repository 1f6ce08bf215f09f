"""From files to arrays on the panel's rows: associations of each trait, features, frequencies."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import psutil
import torch
from jaxtyping import Float
from numpy import ndarray

from varfx.annotations import Standardiser, build_annotations
from varfx.annotations.channels import Channels, JoinedChannels
from varfx.annotations.features import Features, no_features
from varfx.annotations.file import AnyAnnotations
from varfx.annotations.places import EFFECT_FREQUENCY
from varfx.errors import DataError, HarmonisationError
from varfx.genome.builds import require_same_build, said
from varfx.genome.harmonise import harmonise
from varfx.genome.matching import Matching
from varfx.gwas.sumstats import SumStats
from varfx.io import sealed
from varfx.io.ledger import LedgerRow
from varfx.ld import LDPanel
from varfx.tracks.average import average_tracks
from varfx.tracks.inputs import TrackInputs
from varfx.tracks.panel import PanelTracks
from varfx.training import TraitData, WindowData

logger = logging.getLogger(__name__)
_DEFAULT = Matching()
FEW_WINDOWS_BYTES = 3 << 30


@dataclass(frozen=True, eq=False)
class AlignedTrait:
    """A trait on the panel's rows.

    Attributes:
        data: z and n per panel variant, NaN where the GWAS has none.
        eaf: frequency of the panel's effect allele in the GWAS; NaN where unknown.
        ledger: what harmonisation did.
    """

    data: TraitData
    eaf: Float[ndarray, " variant"]
    ledger: list[LedgerRow]


def simulated_on(sumstats: SumStats, panel: LDPanel) -> bool:
    """Whether `varfx prior simulate` drew the associations from this very panel: its LD is then theirs, not an estimate."""
    panel_of = sumstats.metadata.get("simulated", {}).get("panel")
    return bool(panel_of is not None and panel_of == sealed.sha256(panel.path / sealed.MANIFEST))


def align_trait(sumstats: SumStats, panel: LDPanel, matching: Matching = _DEFAULT) -> AlignedTrait:
    """The associations of a trait with the panel's variants and effect alleles.

    Args:
        sumstats: the associations.
        panel: the LD panel.
        matching: how variants are matched; associations simulated on this panel keep their palindromes.

    Raises:
        HarmonisationError: another genome build, or too little overlap.
    """
    require_same_build(sumstats.trait, sumstats.build, str(panel.path), panel.build)
    match = harmonise(
        sumstats.table,
        panel.variants,
        source=sumstats.trait,
        reference_name=str(panel.path),
        matching=replace(matching, palindromes="keep") if simulated_on(sumstats, panel) else matching,
    )
    match.ledger.note(_about_build(sumstats, panel))
    n, eaf = (np.full(panel.variants.height, np.nan) for _ in range(2))
    given = sumstats.z
    z = np.full((panel.variants.height, *given.shape[1:]), np.nan)
    z[match.reference_row] = (given[match.table_row].T * match.sign).T
    n[match.reference_row] = sumstats.table["n"].to_numpy()[match.table_row]
    frequency = sumstats.table["eaf"].to_numpy()[match.table_row]
    eaf[match.reference_row] = np.where(match.sign > 0, frequency, 1 - frequency)
    data = TraitData(name=sumstats.trait, z=z, n=n, n_ref=float(np.median(n[match.reference_row])))
    return AlignedTrait(data=data, eaf=eaf, ledger=match.ledger.rows())


def _about_build(sumstats: SumStats, panel: LDPanel) -> str:
    """A sentence on the genome build of associations whose positions were found in the panel."""
    known = sumstats.build or panel.build
    if known is None:
        return "genome build: unknown of both, but their positions match (--build says it when the files are made)"
    lacking = [
        name for name, build in ((sumstats.trait, sumstats.build), (str(panel.path), panel.build)) if build is None
    ]
    return f"genome build: {said(known)}" + (f"; of `{lacking[0]}` by its matching positions alone" if lacking else "")


def require_builds(panel: LDPanel, annotations: AnyAnnotations | None, tracks: TrackInputs | None) -> None:
    """Refuses annotations of another genome build than the panel's, tracks of another one without a chain file, and a chain file between equal builds.

    Raises:
        HarmonisationError: naming the builds.
    """
    if annotations is not None:
        require_same_build("annotations", annotations.build, str(panel.path), panel.build)
    if tracks is not None:
        require_track_build(str(panel.path), panel.build, tracks)


def require_track_build(source: str, build: str | None, tracks: TrackInputs) -> None:
    """Refuses tracks of another genome build than the variants' without a chain file, and a chain file between equal builds.

    Args:
        source: file of the variants.
        build: theirs; None where it is not known.
        tracks: with or without a chain file.

    Raises:
        HarmonisationError: naming the builds.
    """
    if tracks.chain is None:
        require_same_build(str(tracks.store.path), tracks.store.build, source, build)
    elif build == tracks.store.build:
        raise HarmonisationError(
            f"`{source}` and `{tracks.store.path}` are both of {said(build)}, so that the chain file `{tracks.chain.path}` would "
            "move variants off their places. Leave --chain out."
        )


def panel_variants(panel: LDPanel, traits: Sequence[AlignedTrait]) -> pl.DataFrame:
    """The panel's variants, frequencies that it does not know taken from the first GWAS that does."""
    eaf = panel.variants["eaf"].cast(pl.Float64).to_numpy().copy()
    for trait in traits:
        eaf = np.where(np.isfinite(eaf), eaf, trait.eaf)
    return panel.variants.with_columns(eaf=pl.Series(eaf).fill_nan(None))


def heterozygosity(variants: pl.DataFrame) -> Float[ndarray, " variant"]:
    """`p (1 - p)`, the mean of the others where the frequency is unknown, 1/4 where all are."""
    eaf = variants["eaf"].cast(pl.Float64).to_numpy()
    value = eaf * (1 - eaf)
    known = np.isfinite(value)
    if not known.all():
        logger.warning("the frequency of %d of %d variants is unknown: the mean is used", (~known).sum(), known.size)
    return np.asarray(np.where(known, value, value[known].mean() if known.any() else 0.25))


def raw_features(
    variants: pl.DataFrame, annotations: AnyAnnotations | None, tracks: TrackInputs | None = None
) -> Channels:
    """The channels on the variants' rows.

    Without annotations the channels are those of the panel itself: frequency, minor-allele frequency, LD score. Tracks
    that are read as averages are channels too.

    Raises:
        DataError: variants without annotations, or a track and an annotation of one name.
    """
    table = annotations if annotations is not None else build_annotations(variants)
    channels = table.on(variants)
    if tracks is None or tracks.read_as == "bases":
        return channels
    twice = [name for name in tracks.store.names if name in channels.names]
    if twice:
        raise DataError(
            f"{len(twice)} tracks have the name of an annotation, first `{twice[0]}`. Rename them in the tracks' manifest, or leave "
            "that annotation out."
        )
    averages = average_tracks(tracks.store, variants, width=tracks.window, chain=tracks.chain)
    return JoinedChannels([channels, averages.on(variants)])


def symmetric_channels(channels: Channels) -> Channels:
    """The channels that a new fit may use: all but `eaf`.

    A variance has no sign, so f must not depend on which allele a panel happens to call A1. Alpha takes `eaf` as
    `p (1 - p)`, which is symmetric.
    """
    return channels.take([name for name in channels.names if name != EFFECT_FREQUENCY])


@dataclass(frozen=True, eq=False)
class Gathered:
    """What one panel's inputs hold, on its rows, before features are standardised.

    Attributes:
        panel: the LD panel.
        aligned: the traits.
        variants: the panel's, with frequencies where the panel or a GWAS knows them.
        channels: in memory or read from a file; None for a model without features.
        tracks: read base by base, or averaged among the channels.
        exact_ld: all traits were simulated on this panel.
    """

    panel: LDPanel
    aligned: list[AlignedTrait]
    variants: pl.DataFrame
    channels: Channels | None
    tracks: TrackInputs | None
    exact_ld: bool

    def data(
        self,
        standardiser: Standardiser | None,
        *,
        dtype: torch.dtype = torch.float32,
        scratch: Path | None = None,
        shares: int = 1,
    ) -> WindowData:
        """The windows with traits and standardised features.

        Args:
            standardiser: of the channels, where there are any.
            dtype: precision of the windows.
            scratch: see `WindowData`.
            shares: how many such objects, of all processes, share this machine's memory.
        """
        features: Features = no_features(self.variants.height)
        if self.channels is not None:
            assert standardiser is not None
            features = standardiser.features(self.channels)
        tracks, panel = self.tracks, self.panel
        return WindowData(
            panel,
            [trait.data for trait in self.aligned],
            features,
            heterozygosity(self.variants),
            dtype=dtype,
            cache_bytes=cache_bytes(panel, psutil.virtual_memory().available // shares),
            scratch=scratch,
            exact_ld=self.exact_ld,
            tracks=None
            if tracks is None or tracks.read_as == "averages"
            else PanelTracks(tracks.store, panel.variants, width=tracks.window, chain=tracks.chain),
        )


def cache_bytes(panel: LDPanel, free: int) -> int:
    """Memory for windows: a third of what is free if that holds half of them, else at most 3 GiB, as most would be read anew anyway.

    Args:
        panel: the LD panel.
        free: bytes.
    """
    windows = panel.windows
    whole = 4 * int((windows["rank"] * windows["num_panel"]).sum())  # float32
    return free // 3 if 2 * free // 3 >= whole else min(free // 3, FEW_WINDOWS_BYTES)


def gather(
    panel: LDPanel,
    associations: Sequence[SumStats],
    annotations: AnyAnnotations | None,
    *,
    kind: str,
    tracks: TrackInputs | None = None,
    matching: Matching = _DEFAULT,
) -> Gathered:
    """Traits and channels on a panel's rows.

    Args:
        panel: the LD panel.
        associations: the traits.
        annotations: their channels; None for the panel's minor-allele frequency and LD score.
        kind: of the model; "constant" has no features.
        tracks: read base by base, or as averages that join the annotations.
        matching: how the traits are matched to the panel.
    """
    require_builds(panel, annotations, tracks)
    aligned = [align_trait(each, panel, matching) for each in associations]
    variants = panel_variants(panel, aligned)
    channels = None if kind == "constant" else raw_features(variants, annotations, tracks)
    exact_ld = all(simulated_on(each, panel) for each in associations)
    return Gathered(panel, aligned, variants, channels, tracks, exact_ld)


def pooled_standardiser(gathered: Sequence[Gathered]) -> Standardiser | None:
    """The standardiser of the variants of all panels, one that is in several counted in each; None without features.

    Raises:
        DataError: the panels' annotations have other channels.
    """
    parts = [symmetric_channels(each.channels) for each in gathered if each.channels is not None]
    if not parts:
        return None
    for each, part in zip(gathered[1:], parts[1:], strict=True):
        apart = sorted({*parts[0].names} ^ {*part.names})
        if apart:
            raise DataError(
                f"the channels of `{each.panel.path}` are not those of `{gathered[0].panel.path}`: {len(apart)} are of one alone, first "
                f"`{apart[0]}`. Build all annotations from the same files, with the same names."
            )
    return Standardiser.of(parts)


def assemble(
    panel: LDPanel,
    associations: Sequence[SumStats],
    annotations: AnyAnnotations | None,
    *,
    kind: str,
    standardiser: Standardiser | None = None,
    dtype: torch.dtype = torch.float32,
    tracks: TrackInputs | None = None,
    matching: Matching = _DEFAULT,
) -> WindowData:
    """The windows with traits and features, the latter standardised as in an earlier fit; arguments as those of `gather`."""
    found = gather(panel, associations, annotations, kind=kind, tracks=tracks, matching=matching)
    return found.data(standardiser, dtype=dtype)
