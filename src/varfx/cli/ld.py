"""`varfx ld`: LD panels, and their LD for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts
from rich.table import Table

from varfx.cli.console import console, progress_bar
from varfx.cli.options import LIST, WORDS, Out, Where, as_options
from varfx.genotypes.config import ReferenceConfig
from varfx.io.workers import Workers
from varfx.ld.config import ExportFormat, PanelConfig

Panel = Annotated[PanelConfig, as_options(PanelConfig, group="Panel")]
Reference = Annotated[
    ReferenceConfig,
    as_options(ReferenceConfig, group="Reference", filters=cyclopts.Parameter(alias="--filter"), chrom=LIST),
]


def build(
    sources: Annotated[tuple[str, ...], WORDS],
    /,
    *,
    out: Out,
    panel: Panel = PanelConfig(),
    reference: Reference = ReferenceConfig(),
    where: Where = Workers(),
    build: str | None = None,
    overwrite: Annotated[bool, cyclopts.Parameter(negative=())] = False,
) -> None:
    """Build an LD panel from a reference.

    Each window has a core, whose associations it explains, and a flank on both sides, whose variants may cause them. An
    interrupted build goes on where it stopped when the same command is given again.

        varfx ld build 1000G.chr20.bed 1000G.chr21.bed --out P.ld.zarr
        varfx ld build UKBB_LD/ --out P.ld.zarr
        varfx ld build s3://broad-alkesgroup-ukbb-ld/UKBB_LD --chrom 22 --out P.ld.zarr
        varfx ld build locus.ld --variants locus.z --num-people 5000 --out P.ld.zarr

    Args:
        sources: PLINK .bed or .pgen files (or their prefixes), square matrices of r (.ld, .ld.bin, .vcor1, .npy, .npz), a folder of
            UKBB_LD (or its address: s3://, https://), SBayesRC, PRS-CS, LDpred2 or magenpy, or LDGM metadata.
        out: The panel to make, by convention ending in .ld.zarr.
        build: Genome build of the positions, GRCh37 or GRCh38, where the reference does not state it.
        overwrite: Replace a finished panel, when the new one is whole.
    """
    from varfx.genome.builds import said
    from varfx.genotypes.open_ld import input_files, open_source
    from varfx.ld import build_panel

    source = open_source(sources, **vars(reference))
    inputs = input_files(sources) + [path for path in (reference.keep, reference.variants) if path is not None]
    with progress_bar() as progress:
        built = build_panel(
            source, out, panel, **vars(where), overwrite=overwrite, inputs=inputs, build=build, progress=progress
        )
    table = Table("step", "variants", title="ledger")
    for entry in built.metadata["ledger"]:
        table.add_row(str(entry["step"]), f"{entry['count']:,}")
    console.print(table)
    windows = built.windows
    ranks = windows["rank"].to_numpy()
    console.print(
        f"{out}: {built.variants.height:,} variants, {windows.height} windows, {built.num_people:,} individuals, rank "
        f"{ranks.min()} to {ranks.max()}, rank rule {built.metadata['config']['rank_variance']:g}, B in {built.metadata['config']['dtype']}",
        soft_wrap=True,
    )
    console.print(f"genome build: {said(built.build)}{'' if built.build else ' (say it with --build)'}")
    for region in built.metadata["missing"]:
        stretch = f"chr{region['chrom']}:{region['start']}-{region['end']}"
        console.print(f"missing: {stretch}: {region['reason']}", soft_wrap=True)


def export(
    panel: Path,
    /,
    *,
    form: Annotated[ExportFormat, cyclopts.Parameter(name="--format")],
    out: Out,
) -> None:
    """Write a panel's LD in the layout of another tool, each core a block.

    A panel keeps the leading eigenpairs of each core. Squares of r are `V diag(lam) V'` with their diagonal completed to 1; SBayesRC takes
    the eigenpairs as they are. Correlations between cores are in none of the layouts. `varfx ld build` reads all of them.

        varfx ld export P.ld.zarr --format npz --out SQUARES
        varfx ld export P.ld.zarr --format prscs --out ldblk_1kg_mine

    Args:
        panel: An LD panel (`varfx ld build`).
        form: npz: a square of r per core for NumPy, with a table of its variants; plink: the same as .ld.bin (float32) with a .bim; prscs: HDF5 per
            chromosome for PRS-CS and PRS-CSx (needs varfx[hdf5]); sbayesrc: eigenpairs for SBayesRC and GCTB.
        out: The folder to make.
    """
    from varfx.genome.builds import said
    from varfx.ld import open_panel
    from varfx.ld.export import RECORD, export_panel

    with progress_bar() as progress:
        record = export_panel(open_panel(panel), out, form, progress=progress)
    lacking = record["variance_lacking"]
    console.print(
        f"{out}: {record['variants']:,} variants in {record['cores']} blocks, {form}; LD of {record['num_people']:,} individuals, "
        f"genome build {said(record['build'])}",
        soft_wrap=True,
    )
    done = "" if form == "sbayesrc" else ", which the diagonal of the squares has back"
    console.print(
        f"the eigenpairs lack {lacking['mean']:.2%} of the variants' variance (at most {lacking['largest']:.1%}){done}; LD between cores is left out",
        soft_wrap=True,
    )
    if form != "sbayesrc":
        console.print(
            f"the sample size is in no file of this layout but {RECORD}: --num-people {record['num_people']} reads it back"
        )
