"""`varfx annot`: annotations of a panel's variants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table

from varfx.annotations.config import AnnotationFiles
from varfx.cli.console import console
from varfx.cli.options import WORDS, Out, as_options
from varfx.io.output_lock import one_writer

if TYPE_CHECKING:
    from varfx.annotations.file import AnyAnnotations

_SEVERAL = dict.fromkeys(("bed", "bed_score", "table", "annot"), WORDS)
Files = Annotated[AnnotationFiles, as_options(AnnotationFiles, group="Channels", **_SEVERAL)]


@one_writer
def build(
    *,
    panel: Path,
    out: Out,
    files: Files = AnnotationFiles(),
) -> None:
    """Build the annotations of a panel's variants: one named channel per BED file or table column.

    Minor-allele frequency and LD score are always among them, where the panel knows them.

        varfx annot build --panel P.ld.zarr --bed peaks.bed.gz TSS=tss.bed --annot baselineLD.@.annot.gz --out A.annot.parquet

    Args:
        panel: LD panel made by `varfx ld build`; it gives the variants.
        out: The file to make, by convention ending in .annot.parquet.
    """
    from varfx.annotations.requested import write_annotations
    from varfx.genome.builds import said
    from varfx.ld import open_panel

    opened = open_panel(panel)
    built = write_annotations(opened.variants, files, out, panel=panel, panel_build=opened.build)
    _show(built, out)
    console.print(f"genome build: {said(built.build)}{'' if built.build else ' (say it with --build)'}")


def _show(built: AnyAnnotations, out: Path) -> None:
    """Prints each channel's mean, share of variants that are not 0, and share that is missing."""
    listing = Table()
    listing.add_column("channel", overflow="fold")
    for heading in ("mean", "not 0", "missing"):
        listing.add_column(heading, justify="right")
    for name in built.channels:
        column = built.column(name)
        if column.null_count() == column.len():
            listing.add_row(name, "-", "-", "100.00%")
            continue
        mean, present = column.drop_nulls().to_numpy().mean(dtype="float64"), column.len() - column.null_count()
        covered = f"{(column != 0).sum() / present:.2%}"
        listing.add_row(name, f"{mean:.4g}", covered, f"{column.null_count() / column.len():.2%}")
    console.print(listing)
    console.print(f"{out}: {built.height:,} variants, {len(built.channels)} channels", soft_wrap=True)
