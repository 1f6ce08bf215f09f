"""What a report shows: gathered from runs and files, thinned, and put into words. `varfx.report.html` draws it.

Imports every room but `demos` and `cli`. Start with `write_report`; `prior` and `expression` put the sections of the two kinds of run
together, the other modules make a section each. Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.pages.config import ReportConfig
    from varfx.pages.write import write_report

__all__ = ["ReportConfig", "write_report"]

export(__name__, {"config": "ReportConfig", "write": "write_report"})
