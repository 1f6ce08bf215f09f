"""Builds a track store: tracks times chromosomes in parallel, on this machine or a cluster, resumable after a kill.

Each chromosome of a track is read twice, piece by piece: for its range, mean and variance, then to write its codes. A
finished array has its place in `OUT.building` and a note beside it, so that nothing is done twice.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import zarr
from jaxtyping import Float32
from numpy import ndarray
from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec

from varfx.errors import DataError, StoreError
from varfx.genome.builds import LENGTHS, build_name
from varfx.io import sealed
from varfx.io.output_lock import one_writer
from varfx.io.run_folder import RESULT
from varfx.io.workers import Job, Workers, map_pieces
from varfx.progress import Progress, silent
from varfx.tracks.manifest import TrackSpec, require_distinct
from varfx.tracks.quantise import AT_ONCE, Transform, choose_code
from varfx.tracks.signals import Contradiction, Signal, open_signal
from varfx.tracks.store import CHUNK, SHARD, STORE, TrackStore, array_name, open_tracks

logger = logging.getLogger(__name__)
NOTES = "notes"  # of an unfinished build: what each finished task did
COARSE = 0.1  # an error above this share of a track's sd is worth a warning
_ARRAY_KEYS = ("chrom", "offset", "scale", "max_error", "covered")


@dataclass(frozen=True)
class Unit:
    """One task: some chromosomes of a track, or the checksum of its file if it names none."""

    number: int
    track: TrackSpec
    chroms: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """Folder and genome build of a store in the making."""

    building: Path
    build: str

    @property
    def result(self) -> Path:
        """The part that becomes the store."""
        return self.building / RESULT


@one_writer
def build_tracks(
    tracks: Sequence[TrackSpec],
    out: str | os.PathLike[str],
    *,
    build: str,
    workers: int | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> TrackStore:
    """Writes the store of some tracks and opens it.

    Args:
        tracks: in the order that the store keeps.
        out: the folder to make, by convention `*.tracks.zarr`.
        build: the genome build of all files: hg19 or hg38.
        workers: processes on this machine; by default one per core. 1 works in this process.
        scheduler: address of a `dask.distributed` scheduler whose workers see the same files; in place of `workers`.
        overwrite: replace a finished store in `out`, when the new one is whole.
        progress: told about each finished task.

    Raises:
        ConfigError: no tracks, a name twice, an unknown build, or no scheduler at the address.
        WorkerError: workers or the scheduler were lost; finished tasks are kept.
        FormatError: a file that cannot be read, or is of another build.
        DataError: a transform or storage that does not fit the values.
        StoreError: the disk is full, `out` is finished or something else, or `OUT.building` was begun with other inputs.
    """
    where = Workers(workers=workers, scheduler=scheduler)
    build = build_name(build)
    require_distinct(tracks)
    folder = STORE.at(out)
    config = _options(tracks, build)
    folder.check(resume=True, overwrite=overwrite, identity={"config": config})
    units = _units(tracks, build)
    folder.begin({"config": config, "inputs": _files(tracks)}, resume=True, overwrite=overwrite)
    folder.below(NOTES)
    folder.below(RESULT, "signal")
    place = Place(folder.building.absolute(), build)
    todo = [unit for unit in units if not all(note.is_file() for note in _notes(folder.building, unit))]
    finished = len(units) - len(todo)
    if finished:
        logger.info("resuming: %d of %d tasks are done", finished, len(units))
    job = Job(
        function=build_unit,
        start=Place,
        arguments=(place.building, place.build),
        what="tracks x chromosomes",
        finished=finished,
        again="Give the same command again: what is finished is kept.",
        folder=folder.building,
    )
    with folder.starting():
        for unit in map_pieces(job, todo, where):
            finished += 1
            progress(finished, len(units), "tracks x chromosomes")
            logger.debug("%s, %s: done", unit.track.name, ", ".join(unit.chroms) or "checksum")
        _write_tables(place, tracks, units)
    folder.finish()
    return open_tracks(out)


def _units(tracks: Sequence[TrackSpec], build: str) -> list[Unit]:
    """The tasks, after every file was opened and its build checked: a bigWig's chromosomes are tasks of their own."""
    units: list[Unit] = []
    wrong: list[tuple[TrackSpec, Contradiction, bool]] = []
    other = next(name for name in LENGTHS if name != build)
    for number, track in enumerate(tracks):
        signal = open_signal(track.file, track.kind, track.column)
        contradiction = signal.contradiction(build)
        if contradiction is not None:
            fits_other = contradiction.decisive and signal.contradiction(other) is None
            wrong.append((track, contradiction, fits_other))
        elif (over := signal.overhang(build)) is not None:
            logger.warning(
                "track `%s`: intervals end behind the last base of their chromosome and are clipped there: %s",
                *(track.name, over),
            )
        placed = replace(track, file=track.file.absolute())  # a cluster's workers run in other folders
        units.append(Unit(number, placed, ()))
        chroms = [(chrom,) for chrom in signal.chroms] if track.kind == "bigwig" else [signal.chroms]
        units += [Unit(number, placed, part) for part in chroms]
    if wrong:
        first, contradiction, _ = wrong[0]
        where = f"`{first.file}` (track {first.name}): {contradiction.text}"
        if len(wrong) == len(tracks) and all(fits for _, _, fits in wrong):
            raise DataError(
                f"All tracks ({len(tracks)}) are of {other}, not {build}. First {where}. Give --build {other}."
            )
        if not any(found.decisive for _, found, _ in wrong):
            raise DataError(
                f"{where}: too far behind it for an extended read. {len(wrong)} of {len(tracks)} tracks contradict "
                f"{build}. Check their genome build; if it is {build}, remove these intervals (UCSC bedClip)."
            )
        raise DataError(
            f"{where}: wrong genome build. {len(wrong)} of {len(tracks)} tracks contradict {build}. Leave them out, or "
            f"bring them to {build} (UCSC liftOver, CrossMap)."
        )
    return units


def _options(tracks: Sequence[TrackSpec], build: str) -> dict[str, Any]:
    """Options that an interrupted build must have been begun with to go on."""
    specs = {track.name: {**asdict(track), "file": str(track.file.absolute())} for track in tracks}
    return {"build": build, "tracks": specs, "order": list(specs)}


def _files(tracks: Sequence[TrackSpec]) -> dict[str, list[int]]:
    """Size and time of change of each track's file; checksums of all would take as long as the build."""
    files = {track.name: track.file.stat() for track in tracks}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in files.items()}


def build_unit(place: Place, unit: Unit) -> Unit:
    """Does one task in whatever process it is called; returns the task.

    Raises:
        FormatError: the file is damaged.
        DataError: values that the transform or the storage cannot take.
        StoreError: the disk is full.
    """
    track = unit.track
    try:
        if not unit.chroms:
            (note,) = _notes(place.building, unit)
            sealed.write_json(note, {"path": str(track.file), "sha256": sealed.sha256(track.file)})
            return unit
        signal = open_signal(track.file, track.kind, track.column)
        for chrom, note in zip(unit.chroms, _notes(place.building, unit), strict=True):
            if not note.is_file():
                sealed.write_json(note, _write_array(place, unit, signal, chrom))
    except DataError as error:
        raise type(error)(f"track `{track.name}`: {error}") from error
    except OSError as error:
        raise error if isinstance(error, StoreError) else sealed.write_error(place.building, error) from error
    return unit


def _write_array(place: Place, unit: Unit, signal: Signal, chrom: str) -> dict[str, Any]:
    """Writes one track's array of one chromosome, unless the file says nothing there; returns its note."""
    track, length = unit.track, LENGTHS[place.build][chrom]
    transform = Transform(track.transform)
    fill = np.float32(0) if track.missing == "zero" else np.float32(np.nan)

    def pieces() -> Iterator[tuple[int, int, Float32[ndarray, " base"]]]:
        """First base, how many bases have a value, and the transformed signal of each shard."""
        for start in range(0, length, SHARD):
            raw = signal.values(chrom, start, min(start + SHARD, length))
            empty = np.isnan(raw)
            raw[empty] = fill
            yield start, raw.size - int(empty.sum()), transform(raw)

    moments = _Moments()
    for _, covered, t in pieces():
        moments.add(t, covered)
    if not moments.covered:
        return {"chrom": chrom, "covered": 0}
    code = choose_code(track.store, moments.low, moments.high, whole=moments.whole)
    empty = code.encode(transform(np.full(1, fill)))[0]
    with sealed.atomic_path(_folder(place.result / array_name(unit.number, chrom))) as partial:
        array = zarr.create_array(
            partial,
            shape=(length,),
            chunks=(CHUNK,),
            shards=(SHARD,),
            dtype=np.dtype(track.store),
            fill_value=empty,
            serializer=BytesCodec(),
            compressors=(ZstdCodec(level=3), Crc32cCodec()),
            attributes={"track": track.name, "add_offset": code.offset, "scale_factor": code.scale},
        )
        for start, _, t in pieces():
            array[start : start + t.size] = code.encode(t)
    return {**asdict(moments), "chrom": chrom, **asdict(code)}


def _folder(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@dataclass
class _Moments:
    """Range, mean and sum of squared deviations of a transformed signal, without its missing bases."""

    covered: int = 0
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    whole: bool = True

    def add(self, t: Float32[ndarray, " base"], covered: int) -> None:
        """Takes in a piece of which `covered` bases have a value in the file."""
        self.covered += covered
        for start in range(0, t.size, AT_ONCE):
            part = t[start : start + AT_ONCE]
            part = part[~np.isnan(part)]
            if not part.size:
                continue
            low, high = float(part.min()), float(part.max())
            self.low, self.high = min(self.low, low), max(self.high, high)
            self.whole = self.whole and bool((part == np.rint(part)).all())
            mean = float(part.mean(dtype=np.float64))
            deviation = part.astype(np.float64) - mean
            self.merge(part.size, mean, float(deviation @ deviation) if low < high else 0.0)

    def merge(self, count: int, mean: float, squares: float) -> None:
        """Joins the moments of another part (Chan, Golub, LeVeque 1979)."""
        total = self.count + count
        shift = mean - self.mean
        self.mean += shift * count / total
        self.squares += squares + shift**2 * self.count * count / total
        self.count = total


def _notes(building: Path, unit: Unit) -> list[Path]:
    """Path of a task's final record."""
    names = [f"{unit.number:03d}.chr{chrom}.json" for chrom in unit.chroms] or [f"{unit.number:03d}.file.json"]
    return [building / NOTES / name for name in names]


def _write_tables(place: Place, tracks: Sequence[TrackSpec], units: Sequence[Unit]) -> None:
    """Makes the tables from the notes."""
    rows: list[dict[str, Any]] = []
    arrays: list[dict[str, Any]] = []
    inputs: dict[str, Any] = {}
    for number, track in enumerate(tracks):
        notes = [
            sealed.read_json(note)
            for unit in units
            if unit.number == number and unit.chroms
            for note in _notes(place.building, unit)
        ]
        held = [note for note in notes if note["covered"]]
        if not held:
            raise DataError(f"track `{track.name}`: `{track.file}` has no value on any chromosome. Leave it out.")
        arrays += [{"track": number, **{key: note[key] for key in _ARRAY_KEYS}} for note in held]
        row = _row(track, held)
        if row["max_error"] > COARSE * row["sd"]:
            logger.warning(
                "track `%s`: stored to +-%.3g, which is %.0f%% of its sd: use `store: float16`, or a transform such as log1p",
                *(track.name, row["max_error"], 100 * row["max_error"] / row["sd"] if row["sd"] else math.inf),
            )
        rows.append(row)
        inputs[track.name] = sealed.read_json(_notes(place.building, Unit(number, track, ()))[0])
    config = {"build": place.build, "tracks": [{**asdict(track), "file": str(track.file)} for track in tracks]}
    provenance = {**sealed.provenance(config), "inputs": inputs}
    STORE.write(
        place.result, pl.DataFrame(rows), pl.DataFrame(arrays), {"build": place.build, "provenance": provenance}
    )


def _row(track: TrackSpec, notes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A track's row in the table of tracks."""
    total = _Moments()
    for note in notes:
        total.merge(note["count"], note["mean"], note["squares"])
    return {
        **{key: getattr(track, key) for key in ("name", "assay", "kind", "transform", "missing", "store")},
        "mean": total.mean,
        "sd": math.sqrt(total.squares / total.count),
        "low": min(note["low"] for note in notes),
        "high": max(note["high"] for note in notes),
        "zero": float(Transform(track.transform)(np.zeros(1, np.float32))[0]),
        "max_error": max(note["max_error"] for note in notes),
        "covered": sum(note["covered"] for note in notes),
    }
