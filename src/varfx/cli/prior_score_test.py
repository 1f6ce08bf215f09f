"""`varfx prior score-test`: tests of new annotations without refitting a prior."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table

from varfx.cli.console import console, print_notes, progress_bar
from varfx.cli.feature_inputs import Choice, FeatureInputs, OtherFeatures, check_choice, chosen_source
from varfx.cli.options import as_options
from varfx.prior.heritability.config import HeritabilityConfig, ScoreTestConfig
from varfx.prior.run_options import PriorChoice

if TYPE_CHECKING:
    from varfx.prior.heritability.score_test import ScoreTests

Testing = Annotated[ScoreTestConfig, as_options(ScoreTestConfig)]


def score_test(
    run: Path | None = None,
    /,
    *,
    annot: Path,
    json: Path | None = None,
    choice: Choice = PriorChoice(),
    config: Testing = ScoreTestConfig(),
    inputs: FeatureInputs = OtherFeatures(),
) -> None:
    """Test whether new annotations would improve a prior, without refitting it.

    z above 0 says that variants of the annotation have larger effects than the prior gives them; an annotation that the prior holds has
    z = 0.

        varfx prior score-test RUN --annot NEW.annot.parquet --json T.json
        varfx prior score-test RUN --annot NEW.annot.parquet --random-annotations 100

    Args:
        run: A run of `varfx prior fit`.
        annot: New annotations of the panel's variants (`varfx annot build`).
        json: File to write the tests to.
    """
    from dataclasses import asdict

    from varfx.annotations.file import open_annotations
    from varfx.io import sealed
    from varfx.io.run_folder import check_parent
    from varfx.prior.heritability import score_test as tests

    if json is not None:
        check_parent(json)
    check_choice(run, choice)
    estimating = HeritabilityConfig(windows=config.windows, channels=config.channels, device=config.device)
    source = chosen_source(run, choice, inputs, config.windows, config.device)
    with progress_bar() as progress:
        found = tests(
            source,
            open_annotations(annot),
            estimating,
            random_annotations=config.random_annotations,
            random_fraction=config.random_fraction,
            seed=config.seed,
            annotations_name=str(annot),
            progress=progress,
        )
    if json is not None:
        sealed.write_json(json, [asdict(test) for test in found.tests])
    _show(found)


def _show(found: ScoreTests) -> None:
    """Prints the tests, and how the random annotations came out."""
    table = Table("annotation", "z", "p", "z (model)")
    for test in found.tests:
        table.add_row(test.name, f"{test.z:.2f}", f"{test.p:.2g}", f"{test.z_model:.2f}")
    console.print(table)
    if found.random_rms is not None:
        beyond = float((abs(found.random_z) > 1.96).mean())
        console.print(
            f"{found.random_z.size} random annotations: RMS of z {found.random_rms:.3f} (1 if calibrated), |z| > 1.96 in {beyond:.1%} "
            "(5 % if calibrated)",
            soft_wrap=True,
        )
    print_notes(found.notes)
