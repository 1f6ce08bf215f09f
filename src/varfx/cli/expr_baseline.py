"""`varfx expr baseline`: the linear models of a cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from varfx.cli.console import Names, Widths, console, progress_bar


def baseline(
    cohort: Path,
    /,
    *,
    out: Annotated[Path, Parameter(alias="-o")],
    models: Names = ("elastic-net", "lasso", "ridge", "blup", "top1", "informed-blup"),
    genes: str = "all",
    folds: Widths = (),
    fit_on: Literal["train", "train+tune"] = "train",
    annot: Annotated[tuple[Path, ...], Parameter(negative=())] = (),
    bed: Names = (),
    prior_network: Literal["linear", "mlp"] = "linear",
    prior_genes: int = 300,
    checkpoint: Path | None = None,
    track: int = 4950,
    device: str = "cpu",
    weights: bool = True,
    workers: int | None = None,
    scheduler: str | None = None,
    seed: int = 0,
    resume: Annotated[bool, Parameter(negative=())] = False,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Fit the linear models of a cohort, each gene on its own dosages.

    The paper's elastic net, lasso and ridge; BLUP with heritability by REML; the best single variant; and informed-blup, a
    BLUP whose prior variances depend on what is known about a variant, in one way for all genes.

        varfx expr baseline COHORT --out RUN
        varfx expr baseline COHORT --models blup,informed-blup --bed open=peaks.bed.gz --out RUN

    Args:
        cohort: A cohort (`varfx expr prepare`).
        out: The run's folder.
        models: Of elastic-net, lasso, ridge, blup, top1, informed-blup, and zero-shot (needs --checkpoint).
        genes: all, a file with one Ensembl id a line, or ids with commas.
        folds: Numbers of the folds, counted from 0; by default all.
        fit_on: People that models are fitted on: train, or train+tune.
        annot: Annotations (`varfx annot build`) that the prior of informed-blup may use beside the distance to the TSS.
        bed: Genome intervals for the same: PATH or NAME=PATH.
        prior_network: How the prior depends on what is known: linear (log-linear) or mlp (a perceptron).
        prior_genes: Training genes that teach the prior at most.
        checkpoint: The published Enformer as a local file, for zero-shot.
        track: Its output track that zero-shot reads; 4950 is 'CAGE:blood, adult, pool1'.
        device: Where zero-shot computes: cpu or cuda.
        weights: Keep the weights of all variants.
        workers: Processes; by default one per core.
        scheduler: Address of a running dask.distributed scheduler, in place of --workers; its workers see the same files.
        seed: Of all that is random.
        resume: Go on with an interrupted run.
        overwrite: Replace a finished run.
    """
    from varfx.expression.linear.informed import InformedConfig
    from varfx.expression.linear.run import BaselineConfig, fit_baselines, read_gene_list
    from varfx.expression.network.zero_shot import ZeroShotConfig

    config = BaselineConfig(
        models=models,
        folds=folds,
        genes=read_gene_list(genes),
        fit_on=fit_on,
        keep_weights=weights,
        seed=seed,
        informed=InformedConfig(network=prior_network, max_genes=prior_genes, seed=seed),
        zero_shot=None if checkpoint is None else ZeroShotConfig(checkpoint=checkpoint, track=track, device=device),
    )
    with progress_bar() as progress:
        run = fit_baselines(
            cohort,
            out,
            config,
            annot=annot,
            beds=bed,
            workers=workers,
            scheduler=scheduler,
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
        bounds = "" if gain["ci95"] is None else f" ({gain['ci95'][0]:+.1f} to {gain['ci95'][1]:+.1f})"
        strength = "flat: it is BLUP" if prior["penalty"] is None else f"penalty {prior['penalty']:g}"
        text = f"fold {fold}: informed prior from {prior['num_genes']} genes, {strength}"
        if gain["genes"]:
            text += f"; {gain['genes']} held-out genes are {gain['nats']:+.1f} nats{bounds} more likely under it"
        console.print(text, soft_wrap=True)
    if record["skipped"]:
        first = record["skipped"][0]
        console.print(
            f"note: {len(record['skipped'])} genes and folds were left out, first {first['gene']} in fold "
            f"{first['fold']}: {first['reason']}",
            soft_wrap=True,
        )
    for model, count in record["unconverged"].items():
        console.print(f"note: {count} fits of {model} stopped before they converged", soft_wrap=True)
