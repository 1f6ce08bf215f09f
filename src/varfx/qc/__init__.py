"""Quality control of associations against LD: per window, and per variant where a window is doubtful.

Imports `ld`. Start with `check_window` for plain arrays and `check_core` for a window of a panel; `check_variants` names the variants,
`judge` gives the mark and the likely cause.
"""

from varfx.qc.marks import Baseline, Verdict, judge
from varfx.qc.panel import baseline_of, check_core, check_core_variants, evenly_spaced, lacks_square_norm, spread_of
from varfx.qc.variants import VariantChecks, check_variants, dentist
from varfx.qc.window import Directions, WindowCheck, check_window, directions_of, estimate_s

__all__ = [
    "Baseline",
    "Directions",
    "VariantChecks",
    "Verdict",
    "WindowCheck",
    "baseline_of",
    "check_core",
    "check_core_variants",
    "check_variants",
    "check_window",
    "dentist",
    "directions_of",
    "estimate_s",
    "evenly_spaced",
    "judge",
    "lacks_square_norm",
    "spread_of",
]
