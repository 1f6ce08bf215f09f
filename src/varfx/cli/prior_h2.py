"""`varfx prior h2`: heritability and enrichment under any prior."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from varfx.cli.console import console, print_notes, progress_bar
from varfx.cli.feature_inputs import Choice, FeatureInputs, OtherFeatures, check_choice, chosen_source
from varfx.cli.options import Out, as_options
from varfx.errors import ConfigError
from varfx.io.output_lock import one_writer
from varfx.prior.files import PriorInputs
from varfx.prior.heritability.config import HeritabilityConfig
from varfx.prior.run_options import PriorChoice
from varfx.progress import Progress

if TYPE_CHECKING:
    from varfx.prior.heritability.estimate import Heritability
    from varfx.prior.heritability.quantities import Estimate
    from varfx.prior.heritability.source import PriorSource

Estimating = Annotated[HeritabilityConfig, as_options(HeritabilityConfig, group="Estimation")]
ROWS = 60  # of a table on the screen


@one_writer
def h2(
    run: Path | None = None,
    /,
    *,
    out: Out,
    annot: Path | None = None,
    cross_fit: int | None = None,
    choice: Choice = PriorChoice(),
    config: Estimating = HeritabilityConfig(),
    inputs: FeatureInputs = OtherFeatures(),
    scores: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Estimate heritability and enrichment of annotations under a prior, with standard errors.

    The prior's level and the enrichment of each annotation are calibrated to the likelihood of the associations; heritability is that
    of the panel's variants, each counted once. Writes OUT.results (S-LDSC), OUT.tall.csv and OUT.convergence.csv (graphREML),
    OUT.cell_type_results.txt, OUT.quantiles.tsv, OUT.json and OUT.png.

        varfx prior h2 RUN --annot A.annot.parquet --out H
        varfx prior h2 RUN --annot A.annot.parquet --out H --cross-fit 5
        varfx prior h2 --snpvar FILE --panel P.ld.zarr --sumstats S.parquet --annot A.annot.parquet --out H

    Args:
        run: A run of `varfx prior fit`.
        out: Beginning of the files' names.
        annot: Annotations of the panel's variants (`varfx annot build`) whose enrichment is asked; by default the run's own.
        cross_fit: Fit the run's model anew on the other chromosomes of so many folds, and calibrate on all windows. Kept in OUT.folds.
        scores: Write OUT.scores.parquet: the likelihood's derivative per variant, for tests of other annotations.
    """
    from varfx.annotations.file import open_annotations
    from varfx.io import sealed
    from varfx.io.run_folder import check_parent
    from varfx.prior.heritability import estimate, files

    check_parent(out)
    check_choice(run, choice)
    if choice.snpvar is not None and (cross_fit or choice.trait or inputs.annotations or inputs.tracks):
        raise ConfigError("`--snpvar` takes no --cross-fit, --trait, --features or --tracks.")
    with progress_bar() as progress:
        if cross_fit is None:
            found = chosen_source(run, choice, inputs, config.windows, config.device)
        else:
            assert run is not None
            found = _cross_fitted(run, choice, inputs, config, (out, cross_fit), progress)
        path = annot or found.inputs.get("annotations")
        annotations = None if path is None else open_annotations(path)
        result = estimate.heritability(found, annotations, config, annotations_name=str(path), progress=progress)
    inputs_used = {**found.inputs, **({} if path is None else {"annot": path})}
    provenance = sealed.provenance(sealed_options(config), inputs_used)
    endings = files.write_heritability(result, out, plain_names=config.plain_names, provenance=provenance)
    if scores:
        table = estimate.variant_scores(found, result.calibration, config)
        sealed.write_table(table, f"{out}.scores.parquet", kind="variant-scores", metadata={"provenance": provenance})
        endings.append("scores.parquet")
    if result.annotations:
        _draw(result, out)
        endings.append("png")
    _show(result)
    console.print(f"{out}.{{{','.join(endings)}}}: written", soft_wrap=True, markup=False)


def _cross_fitted(
    run: Path,
    choice: PriorChoice,
    inputs: PriorInputs,
    config: HeritabilityConfig,
    folds: tuple[Path, int],
    progress: Progress,
) -> PriorSource:
    """The prior of fits to the other chromosomes; `folds` are the place of the fits and their number."""
    from varfx.prior.heritability import source

    return source.source_of_cross_fit(
        run,
        f"{folds[0]}.folds",
        folds=folds[1],
        inputs=inputs,
        trait=choice.trait,
        exclude_chrom=choice.exclude_chrom,
        device=config.device,
        progress=progress,
    )


def sealed_options(config: HeritabilityConfig) -> dict[str, object]:
    """The options, JSON-able."""
    from dataclasses import asdict

    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}


def _draw(found: Heritability, out: Path) -> None:
    from varfx.report.enrichment import enrichment_forest
    from varfx.report.style import save

    entries = found.to_dict()
    rows = [*(row for row in entries["annotations"] if row["binary"]), *entries["top"]]
    if any(row["enrichment"] is not None for row in rows):
        title = f"{entries['trait']}: h2 = {number(found.h2)}"
        save(enrichment_forest(rows, title=title), f"{out}.png")


def number(estimate: Estimate, digits: int = 4) -> str:
    """An estimate with its standard error, for the screen."""
    return f"{estimate.value:.{digits}g} ({'NA' if estimate.se is None else f'{estimate.se:.2g}'})"


def _show(found: Heritability) -> None:
    record = found.record
    console.print(
        f"{record['trait']}: {record['n_variants']:,} variants, {record['n_windows']} windows, "
        f"{record['n_blocks'] or 'no'} {record['se_method']} blocks",
        soft_wrap=True,
    )
    table = Table("", "estimate (se)", "95 % interval", "plug-in")
    bounds = "NA" if found.h2.ci95 is None else f"{found.h2.ci95[0]:.4g} to {found.h2.ci95[1]:.4g}"
    table.add_row("h2 (observed scale)", number(found.h2), bounds, f"{found.plug_in['h2']:.4g}")
    if found.h2_liability is not None:
        table.add_row("h2 (liability scale)", number(found.h2_liability), "", "")
    table.add_row("sigma2", number(found.sigma2), "", f"{found.plug_in['sigma2']:.4g}")
    console.print(table)
    groups = Table("variants", "share", "h2 (se)", "enrichment (se)", "p", "plug-in", "tau* (se)")
    for each in found.annotations[:ROWS]:
        groups.add_row(
            each.name,
            f"{each.prop_snps:.4g}" if each.binary else "",
            number(each.h2, 3),
            number(each.enrichment, 3) if each.enrichment is not None and each.binary else "",
            f"{each.enrichment_p:.2g}" if each.enrichment_p is not None and each.binary else "",
            f"{each.plug_in_enrichment:.3g}" if each.plug_in_enrichment is not None and each.binary else "",
            number(each.tau_star, 3),
        )
    for group in found.top:
        p = "" if group.enrichment_p is None else f"{group.enrichment_p:.2g}"
        groups.add_row(
            group.name, f"{group.share:.4g}", number(group.h2, 3), number(group.enrichment, 3), p,
            f"{group.plug_in_enrichment:.3g}", "",
        )  # fmt: skip
    console.print(groups)
    if found.coefficients:
        own = Table("coefficient", "fitted", "estimate (se)", "z")
        for row in found.coefficients[:ROWS]:
            se = row["se"]
            own.add_row(
                row["name"], f"{row['fitted']:.4g}", f"{row['estimate']:.4g} ({'NA' if se is None else f'{se:.2g}'})",
                f"{row['estimate'] / se:.2f}" if se else "NA",
            )  # fmt: skip
        console.print(own)
    print_notes(found.notes)
