"""`varfx tracks`: base-resolution signals along the genome."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from rich.table import Table

from varfx.cli.console import console, progress_bar
from varfx.cli.options import WORDS, Out, Where, as_options
from varfx.io.output_lock import one_writer
from varfx.io.workers import Workers
from varfx.tracks.config import AverageConfig, TrackFiles

if TYPE_CHECKING:
    from varfx.tracks.store import TrackStore

Files = Annotated[
    TrackFiles, as_options(TrackFiles, group="Tracks", **dict.fromkeys(("bigwig", "bedgraph", "bed"), WORDS))
]
Averaging = Annotated[AverageConfig, as_options(AverageConfig)]


def build(
    *,
    build: str,
    out: Out,
    files: Files = TrackFiles(),
    where: Where = Workers(),
    overwrite: Annotated[bool, cyclopts.Parameter(negative=())] = False,
) -> None:
    """Build a track store: one named channel per file, in the order given.

    The manifest's tracks come first, then bigWig, bedGraph and BED files. An interrupted build goes on where it
    stopped when the same command is given again.

        varfx tracks build --bigwig H3K27ac=K562.bigWig --bed peaks.bed.gz --build hg19 --out T.tracks.zarr
        varfx tracks build --manifest tracks.yaml --build hg38 --scheduler tcp://head:8786 --out T.tracks.zarr

    Args:
        build: Genome build of all files: hg19 (GRCh37) or hg38 (GRCh38). Their chromosome lengths are checked.
        out: The store to make, by convention ending in .tracks.zarr.
        overwrite: Replace a finished store, when the new one is whole.
    """
    from varfx.tracks.build import build_tracks
    from varfx.tracks.manifest import tracks_of

    tracks = tracks_of(files)
    with progress_bar() as progress:
        built = build_tracks(tracks, out, build=build, **vars(where), overwrite=overwrite, progress=progress)
    _list(built)


def show(path: Path, /) -> None:
    """List the tracks of a store with their mean, sd and the error of what is stored.

    Args:
        path: A store made by `varfx tracks build`.
    """
    from varfx.tracks.store import open_tracks

    _list(open_tracks(path))


@one_writer
def average(*, config: Averaging, out: Out) -> None:
    """Average the tracks around each variant of a panel: annotations for linear models and small networks.

    Variants that the chain file gives no place in the tracks' build are missing.

        varfx tracks average --tracks T.tracks.zarr --panel P.ld.zarr --width 256 --out A.annot.parquet

    Args:
        out: The file to make, by convention ending in .annot.parquet.
    """
    from varfx.genome.builds import require_same_build
    from varfx.genome.liftover import read_chain
    from varfx.io import sealed
    from varfx.ld import open_panel
    from varfx.tracks.average import average_tracks
    from varfx.tracks.store import open_tracks

    width, chain = config.width, config.chain
    inputs = {"tracks": config.tracks, "panel": config.panel} | ({} if chain is None else {"chain": chain})
    store, opened = open_tracks(config.tracks), open_panel(config.panel)
    if chain is None:
        require_same_build(str(config.tracks), store.build, str(config.panel), opened.build)
    built = average_tracks(
        store,
        opened.variants,
        width=width,
        chain=None if chain is None else read_chain(chain),
        metadata={
            "build": opened.build or (store.build if chain is None else None),
            "provenance": sealed.provenance({"width": width}, inputs),
        },
    )
    built.write(out)
    missing = built.table.select(built.channels).null_count().sum_horizontal().item()
    share = missing / (built.table.height * len(built.channels))
    console.print(
        f"{out}: {built.table.height:,} variants, {len(built.channels)} channels, {share:.2%} missing", soft_wrap=True
    )


def _list(store: TrackStore) -> None:
    table = Table()
    table.add_column("track", overflow="fold")
    for heading in ("transform", "missing", "stored", "mean", "sd", "largest error", "bases"):
        table.add_column(heading, justify="right")
    for row in store.tracks.iter_rows(named=True):
        numbers = (f"{row[name]:.4g}" for name in ("mean", "sd", "max_error"))
        table.add_row(row["name"], row["transform"], row["missing"], row["store"], *numbers, f"{row['covered']:,}")
    console.print(table)
    console.print(
        f"{store.path}: {store.tracks.height} tracks, {store.build}, chromosomes {', '.join(store.lengths)}",
        soft_wrap=True,
    )
