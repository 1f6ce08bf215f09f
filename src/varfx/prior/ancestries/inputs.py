"""The files of one trait in several ancestries: for each its own panel, summary statistics and, where given, annotations."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from varfx.errors import ConfigError
from varfx.genome.matching import Matching, Palindromes
from varfx.io.frames import Source
from varfx.prior.files import PriorInputs

if TYPE_CHECKING:
    from varfx.models import ModelConfig
    from varfx.tracks.inputs import TrackInputs

PathLike = str | os.PathLike[str]
META = "META"  # the column of weights over all ancestries
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


class CommonPaths(TypedDict, total=False):
    """The inputs that all ancestries share, as keyword arguments of a function."""

    tracks: PathLike | None
    chain: PathLike | None
    palindromes: Palindromes | None
    min_overlap: float | None


@dataclass(frozen=True)
class AncestryInputs:
    """The files of a fit to several ancestries.

    Attributes:
        members: each ancestry's files, by its name, in the order of names, so that no number depends on the order given. Tracks,
            chain file and rules of matching are the same for all.
    """

    members: dict[str, PriorInputs]

    @classmethod
    def of(
        cls,
        panels: Mapping[str, PathLike],
        sumstats: Mapping[str, Source],
        annotations: Mapping[str, Source] | Source | None = None,
        **common: Unpack[CommonPaths],
    ) -> AncestryInputs:
        """The object of paths or DataFrames by ancestry.

        Args:
            panels: LD panel of each ancestry.
            sumstats: summary statistics of the trait in each.
            annotations: of each panel's variants; or one table that has the variants of all panels.
            **common: tracks, chain, palindromes, min_overlap.

        Raises:
            ConfigError: other names in one than in the others, or a name that cannot be a folder's.
        """
        given: dict[str, Mapping[str, object]] = {"panel": panels, "sumstats": sumstats}
        if isinstance(annotations, Mapping):
            given["annot"] = annotations
        _check_names(given)
        members = {
            name: PriorInputs.of(
                panel=panels[name],
                sumstats=sumstats[name],
                annotations=annotations[name] if isinstance(annotations, Mapping) else annotations,
                **common,
            )
            for name in sorted(panels)
        }
        return cls(members)

    @property
    def first(self) -> PriorInputs:
        """The files of one of them, for what is the same in all."""
        return next(iter(self.members.values()))

    @property
    def matching(self) -> Matching:
        """Rules for matching summary statistics to panels."""
        return self.first.matching

    def named(self) -> dict[str, Path]:
        """Each file, by the name that the run's provenance has for it, e.g. `panel.EUR`; tracks and chain file once."""
        found = {}
        for name, files in self.members.items():
            for role, path in files.named().items():
                kind = role.partition(".")[0]
                found[kind if kind in ("tracks", "chain") else f"{kind}.{name}"] = path
        return found

    def tracks_for_fit(self, model: ModelConfig) -> TrackInputs | None:
        """The tracks as `model` reads them."""
        return self.first.tracks_for_fit(model)


def by_ancestry(values: Iterable[Path], *, option: str) -> dict[str, Path] | None:
    """Paths by the names before their "=", as in `EUR=P.ld.zarr`; None if none has a name.

    A path that exists as it is, or with a "/" before its "=", has no name.

    Raises:
        ConfigError: some have a name, or two the same; or a text that is both a path and a named path.
    """
    found: dict[str, Path] = {}
    plain: list[Path] = []
    for value in values:
        name, equals, rest = str(value).partition("=")
        if not equals or "/" in name:
            plain.append(value)
            continue
        if value.exists():
            if Path(rest).exists():
                raise ConfigError(
                    f"`--{option} {value}`: both `{value}` and `{rest}` exist. Give ./{value} for the first, or rename it."
                )
            plain.append(value)
            continue
        if name in found:
            raise ConfigError(f"`--{option}` is given twice for {name}: give one file per ancestry.")
        if not rest:
            raise ConfigError(f"`--{option} {value}` has no file behind its name. Give NAME=FILE.")
        found[name] = Path(rest)
    if found and plain:
        raise ConfigError(
            f"`--{option}`: {len(plain)} of {len(plain) + len(found)} have no ancestry's name, first `{plain[0]}`. Give all as "
            "NAME=FILE, or none."
        )
    return found or None


def _check_names(given: Mapping[str, Mapping[str, object]]) -> None:
    """Checks the ancestries' names.

    Raises:
        ConfigError: a name that cannot be a folder's, or that is not in all.
    """
    names = sorted({name for each in given.values() for name in each})
    for name in names:
        if not _NAME.fullmatch(name) or name == META:
            raise ConfigError(
                f"`{name}` cannot name an ancestry: it takes up to 32 letters, digits, _ and -, and {META} is the column over all."
            )
        lacking = [option for option, each in given.items() if name not in each]
        if lacking:
            having = next(option for option, each in given.items() if name in each)
            raise ConfigError(
                f"`--{having}` names {name}, but `--{lacking[0]}` does not (it has {', '.join(given[lacking[0]]) or 'none'}). Give "
                f"--{lacking[0]} {name}=FILE too."
            )
