"""A fitted prior with reports of it, and runs on expression, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from cases.cohort import small_cohort
from cases.reports import EVIL, Reported, write_finemap, write_gtf, write_heritability, write_quality
from cases.simulated_panel import Simulated
from cases.variants import linear_run, network_run, random_network, some_weights
from varfx.expression.cohort.store import Cohort, open_cohort


@pytest.fixture(scope="package")
def reported(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Reported:
    from varfx.cli.app import run as command

    folder = tmp_path_factory.mktemp("reported")
    fit = ["--model", "linear", "--max-steps", "20", "--check-every", "10", "--holdout-chrom", "3"]
    assert command(["prior", "fit", *map(str, simulated.fit_options()), *fit, "--out", str(folder / "RUN")]) == 0
    write_finemap(simulated, folder / "F", evil=True)
    write_heritability(folder / "H")
    write_quality(folder / "Q")
    write_gtf(folder / "g.gtf")
    found = Reported(run=folder / "RUN", folder=folder, html=folder / "report.html")
    assert command(["report", str(found.run), *found.options(), "--out", str(found.html)]) == 0
    return found


@pytest.fixture(scope="package")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Cohort]:
    """A folder with a cohort, a run of a network (N) and one of two linear models (B); the first gene has a bad name."""
    folder = tmp_path_factory.mktemp("expression")
    cohort = open_cohort(small_cohort(folder, window=256, people=100, test=0.25, gene_names=[EVIL]))
    network_run(folder / "N", cohort, random_network())
    linear_run(folder / "B", cohort, {"blup": some_weights(cohort, 12), "elastic-net": some_weights(cohort, 4, 1)})
    return folder, cohort
