"""`varfx expr fit`: a sequence model trained on individuals' genomes and expression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts
from cyclopts import Parameter
from rich.table import Table

from varfx.cli.console import console, progress_bar
from varfx.cli.options import HIDDEN, Out, Switch, as_options, genes_option
from varfx.expression.network.config import FitConfig, NetworkChoice, fold_numbers
from varfx.expression.network.target import TargetConfig
from varfx.training.people.config import ExpressionTrainConfig

if TYPE_CHECKING:
    from varfx.expression.run import ExpressionRun


def _folds(type_: Any, tokens: Sequence[cyclopts.Token]) -> tuple[int, ...]:
    return fold_numbers([word for token in tokens for word in token.value.replace(",", " ").split()])


Fitting = Annotated[
    FitConfig,
    as_options(
        FitConfig,
        genes=genes_option(),
        tune_genes=genes_option(),
        folds=Parameter(name=("--folds", "--fold"), converter=_folds),
        network=HIDDEN,
        training=HIDDEN,
        target=HIDDEN,
    ),
]
Network = Annotated[
    NetworkChoice, as_options(NetworkChoice, group="Network", checkpointing=Parameter(alias="--recompute"))
]
PeopleTraining = Annotated[ExpressionTrainConfig, as_options(ExpressionTrainConfig, group="Training")]
Targets = Annotated[TargetConfig, as_options(TargetConfig, group="Target")]
SHOWN = 10  # networks in the table


def fit(
    cohort: Path,
    *,
    out: Out,
    config: Fitting = FitConfig(),
    network: Network = NetworkChoice(),
    target: Targets = TargetConfig(),
    training: PeopleTraining = ExpressionTrainConfig(),
    workers: int = 1,
    scheduler: str | None = None,
    resume: Annotated[bool, Switch] = False,
    overwrite: Annotated[bool, Switch] = False,
) -> None:
    """Train Enformer or Borzoi on individuals' own sequences and expression.

    Reads the window around each gene's TSS, as each individual has it, and predicts that individual's expression (Variformer). One
    network for all training genes, or one a gene. Tuning individuals decide when training stops; predictions of tuning and test
    individuals, of training and held-out genes, are written for `varfx expr evaluate`.

        varfx expr fit COHORT --checkpoint pytorch_model.bin --out RUN
        varfx expr fit COHORT --genes genes.txt --single-gene --checkpoint pytorch_model.bin --fold all --out RUN
        varfx expr fit COHORT --genes genes.txt --single-gene --width 96 --workers 8 --device cuda --out RUN
        varfx expr fit COHORT --genes all --width 96 --depth 2 --out RUN
        varfx expr fit COHORT --model borzoi --checkpoint model.safetensors --readout attention --out RUN
        varfx expr fit COHORT --model borzoi --checkpoint model.safetensors --target coverage --coverage people.tsv --exons genes.gtf.gz --out RUN
        varfx expr fit COHORT --genes all --indels chr22.vcf.gz --reference R.fa.gz --phased --out RUN

    Args:
        cohort: The cohort (`varfx expr prepare`).
        out: The run's folder.
        workers: Networks (of single genes, or of folds) trained at the same time, each in its own process; several share a GPU, and take several GPUs in turn.
        scheduler: Address of a running dask.distributed scheduler, in place of --workers; its workers see the same files.
        resume: Continue an interrupted run.
        overwrite: Replace a finished run.
    """
    from varfx.expression.network.fit import fit_network
    from varfx.training import processes

    config = replace(config, network=network, training=training, target=target)
    with progress_bar() as progress:
        run = fit_network(
            cohort,
            out,
            config,
            workers=workers,
            scheduler=scheduler,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    if not processes.rank():  # the first process prints
        _show(run)


def _show(run: ExpressionRun) -> None:
    record: dict[str, Any] = run.record
    outcomes = record["outcomes"]
    table = Table("network", "best pass", "tuning R2", "stopped")
    for each in outcomes[:SHOWN]:
        stem = f"fold {each['fold']}" if each["gene"] is None else f"{each['gene']}, fold {each['fold']}"
        table.add_row(stem, str(each["best_epoch"]), f"{each['tune_r2']:.3f}", each["stopped"])
    console.print(table)
    if len(outcomes) > SHOWN:
        console.print(f"and {len(outcomes) - SHOWN:,} networks more")
    _show_coverage(record.get("coverage", []))
    if record["checkpoint_sha256"]:
        console.print(f"checkpoint sha256 {record['checkpoint_sha256']}", soft_wrap=True)
    console.print(
        f"{run.path}: {len(record['genes']):,} training genes, {len(record['heldout_genes']):,} held-out genes, "
        f"{run.predictions.height:,} predictions; judge them with `varfx expr evaluate {run.path}`",
        soft_wrap=True,
    )


def _show_coverage(records: list[dict[str, Any]]) -> None:
    """Prints means over genes of how well test individuals' coverage was predicted."""
    if not records:
        return
    table = Table(
        "genes",
        "exon totals",
        "variation across individuals",
        "R2 of exon bins",
        "mean profile",
        title="coverage of test individuals",
    )
    for split in ("hop", "hogp"):
        mine = [each for each in records if each["split"] == split]
        if mine:
            scores = (
                _mean([each[name] for each in mine]) for name in ("total_pcc", "cov_pcc", "bin_r2", "profile_pcc")
            )
            table.add_row(f"{len(mine)} {'training' if split == 'hop' else 'held-out'}", *scores)
    console.print(table)


def _mean(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.3f}" if known else "-"
