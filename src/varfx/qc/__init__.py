"""Quality control of associations against LD: per window, and per variant where a window is doubtful.

Imports `ld`. Start with `check_window`; `check_variants` names the variants, `judge` the likely cause.
"""

from varfx.qc.marks import Verdict, judge
from varfx.qc.variants import VariantChecks, check_variants, dentist
from varfx.qc.window import Directions, WindowCheck, check_window, directions_of, estimate_s

__all__ = [
    "Directions",
    "VariantChecks",
    "Verdict",
    "WindowCheck",
    "check_variants",
    "check_window",
    "dentist",
    "directions_of",
    "estimate_s",
    "judge",
]
