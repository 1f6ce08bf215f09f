"""A fitted prior, and reports of it, made once."""

from __future__ import annotations

import pytest

from cases.reports import Reported, write_finemap, write_gtf, write_heritability, write_quality
from cases.simulated_panel import Simulated


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
