"""The named inputs of a prior, and groups of them: what attribution and importance are told by."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from varfx.annotations.store import INDICATOR
from varfx.errors import ConfigError
from varfx.io.yaml_text import read_yaml

PathLike = str | os.PathLike[str]
EACH, PREFIX = "each", "prefix"
_SEPARATOR = re.compile(r"[._:/ -]")


@dataclass(frozen=True)
class Channels:
    """Names of a network's inputs, in its order.

    Attributes:
        features: of the per-variant features (predictors, where there are tracks).
        tracks: of the tracks; none where the network has no tracks.
    """

    features: tuple[str, ...]
    tracks: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, tracks first."""
        return (*self.tracks, *self.features)


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that are permuted together.

    Attributes:
        name: of the group.
        channels: names, with their indicators of missing values.
        tracks: their columns among the tracks.
        features: their columns among the features.
    """

    name: str
    channels: tuple[str, ...]
    tracks: tuple[int, ...]
    features: tuple[int, ...]


def channel_groups(channels: Channels, groups: PathLike | Mapping[str, Sequence[str]] = EACH) -> list[ChannelGroup]:
    """Groups of a network's channels; the indicator `NAME.missing` always goes with its channel.

    Args:
        channels: the network's.
        groups: `each` channel alone; `prefix`, the name up to the first of . _ : / - or a blank; a mapping from group to
            channel names or patterns with * and ?; or a YAML file that holds one.

    Raises:
        ConfigError: no channels, a file that is no such mapping, or a pattern that fits no channel.
    """
    known = [name for name in channels.names if not name.endswith(INDICATOR)]
    if not known:
        raise ConfigError("the model has no channels to permute: it is the constant model. Fit another with --model.")
    if groups == EACH:
        chosen: Mapping[str, Sequence[str]] = {name: [name] for name in known}
    elif groups == PREFIX:
        chosen = {}
        for name in known:
            chosen.setdefault(_SEPARATOR.split(name, maxsplit=1)[0] or name, []).append(name)  # type: ignore[attr-defined]
    else:
        chosen = _matched(groups if isinstance(groups, Mapping) else _read(groups), known)
    return [_group(name, members, channels) for name, members in chosen.items()]


def _group(name: str, members: Sequence[str], channels: Channels) -> ChannelGroup:
    wanted = {*members, *(member + INDICATOR for member in members)}
    columns = [
        tuple(column for column, each in enumerate(part) if each in wanted)
        for part in (channels.tracks, channels.features)
    ]
    inside = tuple(each for each in channels.names if each in wanted)
    return ChannelGroup(name=name, channels=inside, tracks=columns[0], features=columns[1])


def _matched(groups: Mapping[str, Sequence[str]], known: Sequence[str]) -> dict[str, list[str]]:
    """Patterns replaced by the channels they fit."""
    chosen: dict[str, list[str]] = {}
    unknown = []
    for name, patterns in groups.items():
        chosen[name] = []
        for pattern in patterns:
            fitting = [each for each in known if each == pattern] or fnmatch.filter(known, pattern)
            unknown += [] if fitting else [f"`{pattern}` of group `{name}`"]
            chosen[name] += [each for each in fitting if each not in chosen[name]]
    if unknown:
        raise ConfigError(
            f"`groups`: {len(unknown)} names fit no channel, first {unknown[0]}. The model has {', '.join(known[:20])}"
            f"{', ...' if len(known) > 20 else ''}."
        )
    return chosen


def _read(path: PathLike) -> dict[str, list[str]]:
    try:
        content = read_yaml(path, f"`groups` = {path}")
    except ConfigError as error:
        raise ConfigError(f"{error} Give `each`, `prefix`, or a YAML file.") from error
    lists = isinstance(content, dict) and all(
        isinstance(names, list) and names and all(isinstance(each, str) for each in names) for names in content.values()
    )
    if not lists or not content:
        raise ConfigError(
            f"`groups` = {path} must map each group to a list of channels, as in `coding: [CADD, REVEL*]`."
        )
    return {str(name): names for name, names in content.items()}
