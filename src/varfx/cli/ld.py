"""`varfx ld`: LD panels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter
from rich.table import Table

from varfx.cli.console import console, progress_bar

app = cyclopts.App(name="ld", help="LD panels: windows of whitened linkage disequilibrium, computed once and reused.")


@app.command
def build(
    sources: Annotated[list[Path], Parameter(negative=())],
    /,
    *,
    out: Annotated[Path, Parameter(alias="-o")],
    core: int = 1_000_000,
    flank: int = 1_000_000,
    maf: float = 0.01,
    rank_variance: float | None = None,
    dtype: str = "auto",
    keep: Path | None = None,
    population: str | None = None,
    num_people: int | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
) -> None:
    """Build an LD panel from a reference.

    Each window has a core, whose associations it explains, and a flank on both sides, whose variants may cause them. An
    interrupted build goes on where it stopped when the same command is given again.

        varfx ld build 1000G.chr20.bed 1000G.chr21.bed --out P.ld.zarr
        varfx ld build UKBB_LD/ --out P.ld.zarr

    Args:
        sources: PLINK .bed or .pgen files (or their prefixes), a folder of UKBB_LD .npz files, or LDGM metadata.
        out: The panel to make, by convention ending in .ld.zarr.
        core: Bases of a core.
        flank: Bases of flank on each side of a core.
        maf: Leave out variants with a rarer minor allele (where frequencies are known).
        rank_variance: Share of each core's LD variance to keep; 1 keeps every direction. The default depends on the size
            of the reference: see docs/ld.md.
        dtype: Precision of the stored correlations: float16, float32, float64, or auto (float16 above 8 GiB).
        keep: A file of people to use (FID IID, or IID), for genotypes.
        population: Which population of LDGM metadata.
        num_people: Sample size behind correlations that do not say (UKBB_LD, LDGM).
        workers: Processes; by default one per processor.
        scheduler: Address of a running dask.distributed scheduler, in place of --workers; its workers see the same files.
    """
    from varfx.genotypes.open_ld import input_files, open_source
    from varfx.ld import PanelConfig, build_panel
    from varfx.ld.rank_rule import default_rank_variance

    source = open_source(sources, maf=maf, keep=keep, population=population, num_people=num_people)
    share = default_rank_variance(source.num_people) if rank_variance is None else rank_variance
    config = PanelConfig(core=core, flank=flank, rank_variance=share, dtype=dtype)
    inputs = input_files(sources) + ([] if keep is None else [keep])
    with progress_bar() as progress:
        panel = build_panel(source, out, config, workers=workers, scheduler=scheduler, inputs=inputs, progress=progress)
    table = Table("step", "variants", title="ledger")
    for entry in panel.metadata["ledger"]:
        table.add_row(str(entry["step"]), f"{entry['variants']:,}")
    console.print(table)
    windows = panel.windows
    ranks = windows["rank"].to_numpy()
    console.print(
        f"{out}: {panel.variants.height:,} variants, {windows.height} windows, {panel.num_people:,} people, rank "
        f"{ranks.min()} to {ranks.max()}, rank rule {share:g}, B in {panel.metadata['config']['dtype']}",
        soft_wrap=True,
    )
    for region in panel.metadata["missing"]:
        stretch = f"chr{region['chrom']}:{region['start']}-{region['end']}"
        console.print(f"missing: {stretch}: {region['reason']}", soft_wrap=True)
