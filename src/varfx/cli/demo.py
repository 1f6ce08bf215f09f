"""`varfx demo`: the main jobs on real, small data."""

from __future__ import annotations

import cyclopts

app = cyclopts.App(name="demo", help="The main jobs on real, small data: fetch, fit, evaluate, report.")
