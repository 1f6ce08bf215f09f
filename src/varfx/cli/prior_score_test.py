"""`varfx prior score-test`: tests of new annotations without refitting a prior."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from varfx.cli.console import console, progress_bar
from varfx.cli.feature_inputs import FeatureInputs, OtherFeatures
from varfx.cli.options import Names
from varfx.errors import ConfigError
from varfx.prior.heritability.config import HeritabilityConfig, WindowChoice


def score_test(
    run: Path | None = None,
    /,
    *,
    annot: Path,
    snpvar: Path | None = None,
    json: Path | None = None,
    channels: Names = (),
    windows: WindowChoice = "auto",
    trait: str | None = None,
    random_annotations: int = 0,
    random_fraction: float = 0.01,
    seed: int = 0,
    device: str = "auto",
    inputs: FeatureInputs = OtherFeatures(),
    exclude_chrom: Names = (),
) -> None:
    """Test whether new annotations would improve a prior, without refitting it.

    z above 0 says that variants of the annotation have larger effects than the prior gives them; an annotation that the prior holds has
    z = 0.

        varfx prior score-test RUN --annot NEW.annot.parquet --json T.json
        varfx prior score-test RUN --annot NEW.annot.parquet --random-annotations 100

    Args:
        run: A run of `varfx prior fit`.
        annot: New annotations of the panel's variants (`varfx annot build`).
        snpvar: Anybody's variances in place of a run, with --panel and --sumstats.
        json: File to write the tests to.
        channels: Annotations to test, by name; by default all.
        windows: Windows that are tested on: held-out, all, or auto (see `varfx prior h2`).
        trait: Which trait of a run of several; by default the first.
        random_annotations: Test so many random annotations too: the root mean square of their z should be 1.
        random_fraction: Share of variants in a random annotation.
        seed: Of the random annotations.
        device: Where windows are computed: auto, cpu, cuda or cuda:N.
        exclude_chrom: Chromosomes to leave out.
    """
    from dataclasses import asdict

    from varfx.annotations import read_annotations
    from varfx.io import sealed
    from varfx.io.run_folder import check_parent
    from varfx.prior.heritability import score_test as tests
    from varfx.prior.heritability import source_of_run, source_of_variances

    if json is not None:
        check_parent(json)
    if (run is None) == (snpvar is None):
        raise ConfigError("give either a RUN or --snpvar FILE, one of the two.")
    if random_annotations < 0:
        raise ConfigError(f"`random-annotations` must be at least 0, got {random_annotations}.")
    config = HeritabilityConfig(windows=windows, channels=channels, device=device)
    if snpvar is not None:
        source = source_of_variances(snpvar, inputs=inputs, exclude_chrom=exclude_chrom)
    else:
        assert run is not None
        source = source_of_run(
            run, inputs=inputs, trait=trait, windows=windows, exclude_chrom=exclude_chrom, device=device
        )
    with progress_bar() as progress:
        found = tests(
            source,
            read_annotations(annot),
            config,
            random_annotations=random_annotations,
            random_fraction=random_fraction,
            seed=seed,
            annotations_name=str(annot),
            progress=progress,
        )
    if json is not None:
        sealed.write_json(json, [asdict(test) for test in found.tests])
    table = Table("annotation", "z", "p", "z (model)")
    for test in found.tests:
        table.add_row(test.name, f"{test.z:.2f}", f"{test.p:.2g}", f"{test.z_model:.2f}")
    console.print(table)
    if found.random_rms is not None:
        beyond = float((abs(found.random_z) > 1.96).mean())
        console.print(
            f"{random_annotations} random annotations: RMS of z {found.random_rms:.3f} (1 if calibrated), |z| > 1.96 in {beyond:.1%} "
            "(5 % if calibrated)",
            soft_wrap=True,
        )
    for note in found.notes:
        console.print(f"note: {note}", soft_wrap=True, markup=False)
