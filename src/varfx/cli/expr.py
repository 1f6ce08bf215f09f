"""`varfx expr`: expression from personal genomes; each command stands in a file of its own."""

from __future__ import annotations

import cyclopts

from varfx.cli.expr_baseline import baseline
from varfx.cli.expr_evaluate import evaluate
from varfx.cli.expr_fit import fit
from varfx.cli.expr_prepare import prepare
from varfx.cli.expr_variants import variants

app = cyclopts.App(name="expr", help="Expression from personal genomes: prepare, fit, judge, and score variants.")
app.command(prepare)
app.command(baseline)
app.command(fit)
app.command(evaluate)
app.command(variants)
