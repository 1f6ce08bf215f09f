"""`varfx qc`: associations against LD."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from varfx.cli.console import console, print_notes, progress_bar
from varfx.cli.options import Names, Out, Where
from varfx.genome.matching import Palindromes
from varfx.io.output_lock import one_writer
from varfx.io.workers import Workers

ROWS = 20  # of the table on the screen


@one_writer
def qc(
    *,
    panel: Path,
    sumstats: Path,
    out: Out,
    chrom: Names = (),
    palindromes: Palindromes | None = None,
    min_overlap: float | None = None,
    where: Where = Workers(workers=1),
) -> None:
    """Check a GWAS against the LD of a panel: which windows do not fit, and why.

    Per window the energy outside the panel's directions, the share of z that LD does not explain, and the residual variance; per variant
    of doubtful windows what the others predict. Marks are pass, warn and fail, with the likely cause.

        varfx qc --panel P.ld.zarr --sumstats S.parquet --out Q

    Args:
        panel: LD panel (`varfx ld build`).
        sumstats: Cleaned summary statistics (`varfx sumstats clean`).
        out: The beginning of all names: OUT.windows.tsv, OUT.variants.tsv, OUT.json.
        chrom: Chromosomes to look at.
        palindromes: A/T and C/G variants: infer, drop, or keep.
        min_overlap: Smallest share of variants found in each other; by default 0.2.
    """
    from varfx.io.run_folder import check_parent
    from varfx.prior.files import PriorInputs
    from varfx.prior.quality import quality_control, write_quality

    check_parent(out)
    inputs = PriorInputs.of(panel=panel, sumstats=sumstats, palindromes=palindromes, min_overlap=min_overlap)
    with progress_bar() as progress:
        quality = quality_control(inputs, chrom=chrom, where=where, folder=out.absolute().parent, progress=progress)
    paths = write_quality(quality, out)
    table = Table("window", "variants", "s", "energy", "sigma2", "mark", "likely cause")
    doubtful = quality.windows.filter(quality.windows["qc"] != "pass").sort("qc", "s", descending=[False, True])
    for row in doubtful.head(ROWS).iter_rows(named=True):
        table.add_row(
            row["window"], str(row["n_variants"]), f"{row['s']:.3f}", f"{row['energy_ratio']:.2f}", f"{row['sigma2']:.2f}", row["qc"],
            row["cause"],
        )  # fmt: skip
    if doubtful.height:
        console.print(table)
    summary = quality.to_dict()
    marks = ", ".join(f"{count} {mark}" for mark, count in summary["qc"].items())
    console.print(
        f"{quality.trait}: {summary['n_windows']} windows: {marks}; {summary['n_variants_flagged']} variants flagged",
        soft_wrap=True,
    )
    print_notes(quality.notes)
    console.print(f"written: {', '.join(map(str, paths))}", soft_wrap=True)
