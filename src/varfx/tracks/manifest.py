"""Manifest of a track store: files and their treatment, from `tracks.yaml` or from options.

tracks:
  - name: H3K27ac
    file: K562_H3K27ac.bigwig       # relative to the manifest
    assay: ChIP-seq                 # free text
    transform: log1p                # none, log1p, sqrt, asinh, clip:LOW:HIGH, or some joined by commas
    missing: zero                   # what a base without a value is: zero, or mask (unknown)
    store: uint8                    # or float16
    kind: bigwig                    # bigwig, bedgraph, bed; by default from the file
    column: 5                       # a BED file's score column; without it 1 in every interval
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

from varfx.annotations.build import parse_named_path
from varfx.annotations.places import EFFECT_FREQUENCY, KEY_SCHEMA
from varfx.annotations.store import INDICATOR
from varfx.errors import ConfigError
from varfx.io.visible import shown
from varfx.io.yaml_text import read_yaml
from varfx.tracks.config import Missing, StoredAs, TrackFiles
from varfx.tracks.quantise import Transform
from varfx.tracks.signals import COMPRESSED, EXTENSIONS, KINDS, Kind, kind_of


@dataclass(frozen=True, kw_only=True)
class TrackSpec:
    """One track: its file and how it is stored."""

    name: str
    """The channel's name."""
    file: Path
    """bigWig, bedGraph or BED."""
    kind: Kind
    """Which of these it is."""
    assay: str = ""
    """Measured signal, in free text."""
    transform: str = "none"
    """Steps of `varfx.tracks.quantise.Transform`."""
    missing: Missing = "zero"
    """Value of a base without data: 0 (before the transform), or masked as unknown."""
    store: StoredAs = "uint8"
    """The numbers it is stored in."""
    column: int | None = None
    """1-based score column of a BED file."""

    def __post_init__(self) -> None:
        if not self.name or not self.name.isprintable() or self.name != self.name.strip():
            raise ConfigError(f"`name` of `{self.file}` must be printable text, but is {self.name!r}.")
        if self.name in (*KEY_SCHEMA, EFFECT_FREQUENCY) or self.name.endswith(INDICATOR):
            raise ConfigError(f"The track name `{self.name}` has a meaning of its own in annotations. Choose another.")
        choices = (("kind", KINDS), ("missing", get_args(Missing)), ("store", get_args(StoredAs)))
        for key, allowed in choices:
            if getattr(self, key) not in allowed:
                raise ConfigError(
                    f"track `{self.name}`: `{key}` must be one of {', '.join(allowed)}, but is {getattr(self, key)!r}."
                )
        if self.column is not None and self.kind != "bed":
            raise ConfigError(f"track `{self.name}`: `column` is for BED files, and `{self.file}` is {self.kind}.")
        try:
            Transform(self.transform)
        except ConfigError as error:
            raise ConfigError(f"track `{self.name}`: {error}") from None


def tracks_of(files: TrackFiles) -> list[TrackSpec]:
    """The tracks that options name, in their order.

    Raises:
        ConfigError: see `read_manifest_yaml`; or a file without a name on one side of "=".
    """
    tracks = [] if files.manifest is None else read_manifest_yaml(files.manifest)
    given: tuple[tuple[Kind, tuple[str, ...]], ...] = (
        ("bigwig", files.bigwig),
        ("bedgraph", files.bedgraph),
        ("bed", files.bed),
    )
    for kind, texts in given:
        for name, path in map(parse_named_path, texts):
            spec = {"transform": files.transform, "missing": files.missing, "store": files.store}
            tracks.append(TrackSpec(name=name or stem(path), file=path, kind=kind, **spec))  # type: ignore[arg-type]
    return tracks


def read_manifest_yaml(path: str | Path) -> list[TrackSpec]:
    """The tracks of a manifest, in its order.

    Raises:
        ConfigError: no such file, no YAML, an unknown or missing key, or a value that cannot be.
        FormatError: a track's file does not exist.
    """
    path = Path(path)
    content = read_yaml(path)
    if not isinstance(content, dict) or set(content) != {"tracks"} or not isinstance(content["tracks"], list):
        raise ConfigError(f"`{path}` must hold one key, `tracks`, with a list of tracks.")
    return [_spec(entry, number, path) for number, entry in enumerate(content["tracks"], 1)]


def _spec(entry: Any, number: int, path: Path) -> TrackSpec:
    known = [field.name for field in fields(TrackSpec)]
    if not isinstance(entry, dict) or not all(isinstance(key, str) for key in entry):
        raise ConfigError(f"`{path}`: track {number} is not a list of `key: value`.")
    unknown = [key for key in entry if key not in known]
    if unknown:
        raise ConfigError(f"`{path}`: track {number} has the unknown key `{unknown[0]}`. Known are {', '.join(known)}.")
    lacking = [key for key in ("name", "file") if key not in entry]
    if lacking:
        raise ConfigError(f"`{path}`: track {number} has no `{lacking[0]}`.")
    wrong = [key for key, value in entry.items() if type(value) is not (int if key == "column" else str)]
    if wrong:
        kind = "a whole number" if wrong[0] == "column" else "text"
        raise ConfigError(f"`{path}`: track {number}: `{wrong[0]}` must be {kind}, but is {shown(entry[wrong[0]])}.")
    file = path.parent / entry["file"]
    return TrackSpec(**{"kind": entry.get("kind") or kind_of(file), **entry, "file": file})


def stem(path: Path) -> str:
    """A file's name without the extensions that say only its format and compression."""
    name = path.name
    while (dot := name.rfind(".")) > 0 and name[dot:].lower() in (*EXTENSIONS, *COMPRESSED):
        name = name[:dot]
    return name


def require_distinct(tracks: Sequence[TrackSpec]) -> None:
    """Refuses no tracks at all, and names that stand twice.

    Raises:
        ConfigError: with the first of them.
    """
    if not tracks:
        raise ConfigError("There is no track to build. Give --bigwig, --bedgraph, --bed or --manifest.")
    seen: dict[str, Path] = {}
    for track in tracks:
        if track.name in seen:
            raise ConfigError(
                f"The track name `{track.name}` stands twice (`{seen[track.name]}` and `{track.file}`). Give one of "
                "them another name, as in NAME=FILE."
            )
        seen[track.name] = track.file
