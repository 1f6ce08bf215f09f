"""What a report is asked for: the run, the files beside it, and the command."""

from __future__ import annotations

import os
from dataclasses import dataclass

from varfx.pages.config import ReportConfig
from varfx.prior.files import PriorInputs


@dataclass(frozen=True, kw_only=True)
class ReportRequest:
    """One report."""

    run: str | os.PathLike[str]
    """Folder of the run."""
    config: ReportConfig
    """Further files, and what is shown."""
    inputs: PriorInputs
    """Files in place of the run's own (priors)."""
    command: str
    """The line that made it, shown in it."""
