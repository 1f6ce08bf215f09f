"""`varfx expr baseline`: the linear models of a cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from varfx.cli.console import console, progress_bar
from varfx.cli.options import HIDDEN, Names, Out, Paths, Switch, Where, as_options, genes_option
from varfx.expression.linear.config import BaselineConfig, InformedConfig
from varfx.expression.network.config import ZeroShotConfig
from varfx.io.workers import Workers

_PRIOR = {name: Parameter(name=f"--prior-{name.replace('_', '-')}") for name in InformedConfig.__dataclass_fields__}
_PRIOR["max_genes"] = Parameter(name=("--prior-max-genes", "--prior-genes"))
as_options(InformedConfig, group=None, **_PRIOR)
as_options(ZeroShotConfig, network=HIDDEN)
Baselines = Annotated[
    BaselineConfig,
    as_options(
        BaselineConfig, genes=genes_option(), keep_weights=Parameter(alias="--weights", negative="--no-weights")
    ),
]


def baseline(
    cohort: Path,
    /,
    *,
    out: Out,
    config: Baselines = BaselineConfig(),
    annot: Paths = (),
    bed: Names = (),
    variances: Path | None = None,
    where: Where = Workers(),
    resume: Annotated[bool, Switch] = False,
    overwrite: Annotated[bool, Switch] = False,
) -> None:
    """Fit the linear models of a cohort, each gene on its own dosages.

    The paper's elastic net, lasso and ridge; BLUP with heritability by REML; the best single variant; and informed-blup, a
    BLUP whose prior variances depend on what is known about a variant, in one way for all genes. prior-blup takes them from a file, as
    of a prior learned from GWAS.

        varfx expr baseline COHORT --out RUN
        varfx expr baseline COHORT --models blup,informed-blup --bed open=peaks.bed.gz --out RUN
        varfx expr baseline COHORT --models blup,prior-blup --variances F.parquet --out RUN

    Args:
        cohort: A cohort (`varfx expr prepare`).
        out: The run's folder.
        annot: Annotations (`varfx annot build`) that the prior of informed-blup may use beside the distance to the TSS.
        bed: Genome intervals for the same: PATH or NAME=PATH.
        variances: Prior variances of variants, for prior-blup: of `varfx prior predict`, PolyFun's SNPVAR, or variant and f.
        resume: Continue an interrupted run.
        overwrite: Replace a finished run.
    """
    from varfx.expression.linear.run import fit_baselines

    with progress_bar() as progress:
        run = fit_baselines(
            cohort,
            out,
            config,
            annot=annot,
            beds=bed,
            variances=variances,
            **vars(where),
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    record = run.record
    console.print(
        f"{out}: {', '.join(record['models'])} of {len(record['genes'])} genes in {len(record['folds'])} folds",
        soft_wrap=True,
    )
    for fold, prior in record.get("informed", {}).items():
        gain = prior["gain_heldout_genes"]
        bounds = _bounds(gain["ci95"])
        strength = "flat: it is BLUP" if prior["penalty"] is None else f"penalty {prior['penalty']:g}"
        text = f"fold {fold}: informed prior from {prior['num_genes']} genes, {strength}"
        if gain["genes"]:
            text += f"; {gain['genes']} held-out genes are {gain['nats']:+.1f} nats{bounds} more likely under it"
        console.print(text, soft_wrap=True)
    if "prior_variances" in record:
        prior = record["prior_variances"]
        console.print(
            f"prior-blup: {prior['known']:,} of {prior['variants']:,} variants have a prior variance", soft_wrap=True
        )
        for fold, gains in prior["gains"].items():
            nats = {name: gains[f"gain_{name}_genes"] for name in ("training", "heldout")}
            words = [
                f"{each['genes']} {'held-out' if name == 'heldout' else name} genes {each['nats']:+.1f} nats{_bounds(each['ci95'])}"
                for name, each in nats.items()
                if each["genes"]
            ]
            console.print(f"fold {fold}: over equal variances, {', '.join(words)}", soft_wrap=True)
    if record["skipped"]:
        first = record["skipped"][0]
        console.print(
            f"note: {len(record['skipped'])} genes and folds were left out, first {first['gene']} in fold "
            f"{first['fold']}: {first['reason']}",
            soft_wrap=True,
        )
    for model, count in record["unconverged"].items():
        console.print(f"note: {count} fits of {model} stopped before they converged", soft_wrap=True)


def _bounds(ci95: list[float] | None) -> str:
    return "" if ci95 is None else f" ({ci95[0]:+.1f} to {ci95[1]:+.1f})"
