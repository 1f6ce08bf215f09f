"""`write_report`: a run's report as one HTML file."""

from __future__ import annotations

import os
from pathlib import Path

from varfx.errors import ConfigError, StoreError
from varfx.io import sealed
from varfx.pages.config import ReportConfig
from varfx.pages.request import ReportRequest
from varfx.prior.files import PriorInputs
from varfx.progress import Progress, silent
from varfx.report.html.blocks import Page
from varfx.report.html.document import document


def write_report(
    run: str | os.PathLike[str],
    out: str | os.PathLike[str],
    config: ReportConfig = ReportConfig(),
    *,
    inputs: PriorInputs = PriorInputs(),
    command: str = "varfx report",
    progress: Progress = silent,
) -> int:
    """Writes the report of a run; returns its size in bytes.

    Args:
        run: of `varfx prior fit`, `varfx expr fit` or `varfx expr baseline`.
        out: the HTML file.
        config: further files, and what is shown.
        inputs: files in place of the run's own (priors).
        command: the line that made it, shown in it.
        progress: told about windows and loci.

    Raises:
        VarfxError: a file that cannot be read, or is of another study.
    """
    page = page_of(ReportRequest(run=run, config=config, inputs=inputs, command=command), progress)
    text = document(page, static=config.static)
    sealed.write_text(out, text)
    return len(text.encode())


def page_of(request: ReportRequest, progress: Progress) -> Page:
    """The page of a run of either kind.

    Raises:
        StoreError: the folder holds no run.
        ConfigError: an option that belongs to the other kind.
    """
    record = Path(request.run) / "run.json"
    if not record.is_file():
        raise StoreError(
            f"`{request.run}` is no finished run. Give the --out of `varfx prior fit`, `varfx expr fit` or `varfx expr baseline`."
        )
    if str(sealed.read_json(record).get("kind", "")).startswith("expression"):
        from varfx.pages.expression import expression_page

        return expression_page(request, progress)
    if request.config.explained is not None:
        raise ConfigError(f"`explained` belongs to reports of runs on expression, but `{request.run}` is a prior.")
    from varfx.pages.prior import prior_page

    return prior_page(request, progress)
