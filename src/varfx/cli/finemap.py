"""`varfx finemap`: credible sets of every locus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from varfx.cli.console import console, print_notes, progress_bar
from varfx.cli.options import Names, Out, Switch, Where, as_options
from varfx.cli.prior_options import Inputs
from varfx.errors import ConfigError
from varfx.finemap.config import FinemapConfig, LocusConfig, NoiseConfig, SusieConfig
from varfx.io.output_lock import one_writer
from varfx.io.workers import Workers
from varfx.prior.files import PriorInputs

if TYPE_CHECKING:
    from varfx.finemap.run import FineMapping
    from varfx.finemap.source import Study

as_options(LocusConfig, group="Loci")
as_options(SusieConfig)
as_options(NoiseConfig)
Config = Annotated[
    FinemapConfig,
    as_options(FinemapConfig, group="Fine-mapping", L=Parameter(name=("-L", "--effects"))),
]
ROWS = 20  # of the table on the screen


@one_writer
def finemap(
    *,
    out: Out,
    run: Path | None = None,
    snpvar: Path | None = None,
    uniform: Annotated[bool, Switch] = False,
    inputs: Inputs = PriorInputs(),
    loci: Path | None = None,
    trait: str | None = None,
    allow_missing: Annotated[bool, Switch] = False,
    config: Config = FinemapConfig(),
    format: Names = (),
    device: str = "cpu",
    where: Where = Workers(workers=1),
) -> None:
    """Find the likely causal variants of each locus: inclusion probabilities and credible sets.

    SuSiE with prior weights and a polygenic background from a learned prior (--run, or anybody's variances by --snpvar), or with equal
    weights (--uniform), on the LD of a panel, also across the edges of its cores. Loci are those around genome-wide significant
    associations, or the intervals of --loci. With --run all inputs are by default the run's own. A run of several ancestries is
    fine-mapped in all of them together: effects at the same variants, and per set and ancestry the probability that it has the effect.

        varfx finemap --run RUN --out F
        varfx finemap --snpvar FILE --panel P.ld.zarr --sumstats S.parquet --out F
        varfx finemap --uniform --panel P.ld.zarr --sumstats S.parquet --loci L.bed --out F --format finngen,opentargets

    Args:
        out: The beginning of all names: OUT.pip.tsv.gz, OUT.cs.tsv, OUT.cs99.tsv, OUT.loci.tsv, OUT.json.
        run: A run of `varfx prior fit`.
        snpvar: PolyFun's CHR SNP BP A1 A2 SNPVAR, or a table with variant and f.
        uniform: Equal prior weights.
        loci: A BED file of loci, fitted as they are.
        trait: The trait, where the run has several.
        allow_missing: Go on where --snpvar lacks variants; these can hardly be found causal.
        format: Further files: finngen, finemap, susieinf, opentargets. PolyFun's columns are always written.
        device: Where to compute: cpu, auto (a GPU if there is one), cuda or cuda:N. A GPU fits loci of similar size in step, with the same
            numbers; it was no faster than one processor per locus (docs/finemapping.md).
    """
    from varfx.finemap import finemap as finemap_study
    from varfx.finemap import write_files
    from varfx.finemap.files.write import check_formats
    from varfx.io.run_folder import check_parent
    from varfx.prior.ancestries.run import has_ancestries

    check_parent(out)
    check_formats(format)
    if (run is not None) + (snpvar is not None) + uniform != 1:
        raise ConfigError("give one of --run RUN, --snpvar FILE and --uniform.")
    if run is not None and has_ancestries(run):
        _check_shared(trait, format, device)
        _finemap_ancestries(run, out, inputs, loci, config, where)
        return
    study = _study(run, snpvar, inputs, trait, allow_missing)
    with progress_bar() as progress:
        mapping = finemap_study(
            study,
            bed=loci,
            config=config,
            where=where,
            folder=out.absolute().parent,
            device=device,
            progress=progress,
        )
    paths = write_files(mapping, out, formats=format)
    _print(mapping)
    console.print(f"written: {', '.join(map(str, paths))}", soft_wrap=True)


def _check_shared(trait: str | None, formats: Names, device: str) -> None:
    """Refuses options that a run of several ancestries does not take."""
    given = {
        "--trait": trait,
        "--format": formats,
        "--device": device != "cpu",
    }
    first = next((option for option, value in given.items() if value), None)
    if first is not None:
        raise ConfigError(f"`{first}` is for one panel. Leave it out, or give one ancestry's run, as RUN/NAME.")


def _finemap_ancestries(
    run: Path, out: Path, inputs: PriorInputs, loci: Path | None, config: FinemapConfig, where: Workers
) -> None:
    """Credible sets over the ancestries of a run."""
    from varfx.finemap.ancestries import finemap_ancestries, set_table, write_shared_files
    from varfx.prior.ancestries.run import open_ancestries, require_no_files

    joint = open_ancestries(run)
    require_no_files(joint, inputs.named())
    with progress_bar() as progress:
        mapping = finemap_ancestries(
            joint, bed=loci, config=config, where=where, folder=out.absolute().parent, progress=progress
        )
    paths = write_shared_files(mapping, out)
    names, sets = list(mapping.studies), set_table(mapping)
    table = Table("locus", "cs", "n", "log10 BF", "lead", "PIP", *(f"P in {name}" for name in names))
    for row in sets.sort("lead_pip", descending=True).head(ROWS).iter_rows(named=True):
        exists = ["" if row[f"P.{name}"] is None else f"{row[f'P.{name}']:.3f}" for name in names]
        values = (f"{row['n']}", f"{row['log10bf']:.1f}", row["lead"], f"{row['lead_pip']:.3f}")
        table.add_row(row["locus"], str(row["cs"]), *values, *exists)
    console.print(table)
    console.print(f"{', '.join(names)}: {counted(len(mapping.loci))}, {sets.height} credible sets", soft_wrap=True)
    print_notes(mapping.notes)
    console.print(f"written: {', '.join(map(str, paths))}", soft_wrap=True)


def _study(run: Path | None, snpvar: Path | None, inputs: PriorInputs, trait: str | None, allow_missing: bool) -> Study:
    from varfx.finemap import study_of_run, study_of_variances, study_without_prior

    if run is not None:
        return study_of_run(run, inputs, trait)
    if trait is not None or inputs.annotations or inputs.tracks or inputs.chain:
        raise ConfigError("`--trait`, `--annot`, `--tracks` and `--chain` belong to --run RUN.")
    if snpvar is not None:
        return study_of_variances(snpvar, inputs, allow_missing=allow_missing)
    return study_without_prior(inputs)


def counted(number: int) -> str:
    """The number of loci in words."""
    return "1 locus" if number == 1 else f"{number:,} loci"


def _print(mapping: FineMapping) -> None:
    """The loci with most certain sets, and the notes."""
    from varfx.finemap.tables import locus_table, set_table

    loci, sets = locus_table(mapping), set_table(mapping)
    table = Table(
        "locus", "cs", "n", "log10 BF", "purity", "lead", "PIP", title=f"credible sets of {counted(len(loci))}"
    )
    for row in sets.sort("lead_pip", descending=True).head(ROWS).iter_rows(named=True):
        table.add_row(
            row["locus"], str(row["cs"]), str(row["n"]), f"{row['log10bf']:.1f}", f"{row['purity_min']:.2f}", row["lead"],
            f"{row['lead_pip']:.3f}",
        )  # fmt: skip
    console.print(table)
    summary = mapping.to_dict()
    marks = ", ".join(f"{count} {mark}" for mark, count in summary["qc"].items())
    console.print(
        f"{summary['trait']}: {counted(summary['n_loci'])}, {summary['n_variants']:,} variants, {summary['n_sets']} credible sets; prior: "
        f"{summary['prior']}; quality: {marks}",
        soft_wrap=True,
    )
    for step in mapping.ledger:
        if step["count"]:
            console.print(f"ledger: {step['step']}: {step['count']:,}", soft_wrap=True)
    print_notes(mapping.notes)
