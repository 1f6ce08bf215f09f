"""`varfx expr fit`: a sequence model trained on people's genomes and expression."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.table import Table

from varfx.cli.console import Names, console, progress_bar

if TYPE_CHECKING:
    from varfx.expression.run import ExpressionRun

Switch = Parameter(negative=())
SHOWN = 10  # networks in the table


def fit(
    cohort: Path,
    *,
    out: Annotated[Path, Parameter(alias="-o")],
    genes: str = "all",
    fold: Names = ("0",),
    single_gene: Annotated[bool, Switch] = False,
    checkpoint: Path | None = None,
    width: int | None = None,
    depth: int | None = None,
    window: int | None = None,
    phased: Annotated[bool, Switch] = False,
    freeze_trunk: Annotated[bool, Switch] = False,
    lora_rank: int = 0,
    norm: Literal["frozen", "running", "batch", "layer"] | None = None,
    dropout: float | None = None,
    precision: Literal["float32", "bfloat16"] | None = None,
    recompute: Annotated[bool, Switch] = False,
    device: str = "auto",
    devices: int = 1,
    num_nodes: int = 1,
    epochs: int = 150,
    learning_rate: float | None = None,
    weight_decay: float = 0.01,
    batch: int = 128,
    micro_batch: int | None = None,
    keep_graphs: Annotated[bool, Switch] = False,
    max_gradient_norm: float = 0.05,
    patience: int = 20,
    reverse_complement: float = 0.0,
    max_shift: int = 0,
    name: str = "enformer",
    seed: int = 0,
    resume: Annotated[bool, Switch] = False,
    overwrite: Annotated[bool, Switch] = False,
) -> None:
    """Train Enformer on people's own sequences and expression.

    Reads the window around each gene's TSS, as each person has it, and predicts that person's expression (Variformer). One
    network for all training genes, or one a gene. Tuning people decide when training stops; predictions of tuning and test
    people, of training and held-out genes, are written for `varfx expr evaluate`.

        varfx expr fit COHORT --checkpoint pytorch_model.bin --out RUN
        varfx expr fit COHORT --genes genes.txt --single-gene --checkpoint pytorch_model.bin --fold all --out RUN
        varfx expr fit COHORT --genes all --width 96 --depth 2 --out RUN

    Args:
        cohort: The cohort (`varfx expr prepare`).
        out: The run's folder.
        genes: A file of Ensembl ids, one a line; or all. Held-out genes are predicted, not trained on.
        fold: Folds of the people, e.g. 0,1,2; or all.
        single_gene: A network for each gene, in place of one for all.
        checkpoint: The published Enformer as a local file (docs/enformer.md says where to get it); random weights without.
        width: Channels of the transformer; by default 1536 (published) with a checkpoint, 96 without.
        depth: Transformer layers; by default 11 (published) with a checkpoint, 2 without.
        window: Bases around the TSS; by default all of the cohort's.
        phased: Predict from both haplotypes and average, in place of one averaged sequence.
        freeze_trunk: Train the head only.
        lora_rank: Train adapters of this rank on the attention, and the head.
        norm: Batch norms: frozen (default with a checkpoint), running (default without), batch or layer.
        dropout: Of the transformer; by default 0.4 (published) with a checkpoint, 0 without.
        precision: Of the trunk in training; by default bfloat16 on a GPU, float32 elsewhere. Predictions are float32.
        recompute: Save memory: compute each stage again in the backward pass.
        device: Where to compute: auto (a GPU if there is one, else the CPU), cpu, cuda, cuda:N or mps.
        devices: Processes per machine that train a network together, one per GPU, or on the CPU.
        num_nodes: Machines that train together, each with as many devices, where torchrun or srun starts this command.
        epochs: Passes over all training people at most.
        learning_rate: By default 5e-6 with a checkpoint, 1e-3 for random weights, a head alone or adapters.
        weight_decay: AdamW's decay of the weights.
        batch: People of one gene whose loss makes a step.
        micro_batch: People in memory at once, by default 32 on a GPU, 4 elsewhere; the result does not depend on it.
        keep_graphs: Faster, in memory for the whole batch.
        max_gradient_norm: Longer gradients are shortened to this.
        patience: Passes without a better R2 of the tuning people before training stops.
        reverse_complement: Probability that a batch is read from the other strand.
        max_shift: Batches are shifted by up to so many bases.
        name: The model's name in tables.
        seed: Of first weights, order and dropout.
        resume: Go on with an interrupted run.
        overwrite: Replace a finished run.
    """
    from varfx.device import find_device
    from varfx.expression.cohort.store import open_cohort
    from varfx.expression.network.config import FitConfig
    from varfx.expression.network.fit import fit_network, fold_numbers, read_genes
    from varfx.models.config import ExpressionNetworkConfig
    from varfx.training import processes
    from varfx.training.people.config import ExpressionTrainConfig

    random, gpu = checkpoint is None, find_device(device).type == "cuda"
    drop = dropout if dropout is not None else 0.0 if random else 0.4
    published = dropout is None and not random
    rate = 1e-3 if random or freeze_trunk or lora_rank else 5e-6
    config = FitConfig(
        name=name,
        folds=fold_numbers(fold),
        genes=() if genes == "all" else read_genes(genes),
        single_gene=single_gene,
        phased=phased,
        checkpoint=checkpoint,
        network=ExpressionNetworkConfig(
            window=window if window is not None else open_cohort(cohort).window,
            width=width if width is not None else 96 if random else 1536,
            depth=depth if depth is not None else 2 if random else 11,
            dropout=drop,
            attention_dropout=0.05 if published else drop / 8,
            position_dropout=0.01 if published else drop / 40,
            norm=norm or ("running" if random else "frozen"),
            freeze_trunk=freeze_trunk,
            lora_rank=lora_rank,
            precision=precision or ("bfloat16" if gpu else "float32"),
            checkpointing=recompute,
        ),
        training=ExpressionTrainConfig(
            epochs=epochs,
            learning_rate=learning_rate if learning_rate is not None else rate,
            weight_decay=weight_decay,
            batch=batch,
            micro_batch=micro_batch if micro_batch is not None else 32 if gpu else 4,
            keep_graphs=keep_graphs,
            max_gradient_norm=max_gradient_norm,
            patience=patience,
            reverse_complement=reverse_complement,
            max_shift=max_shift,
            device=device,
            devices=devices,
            num_nodes=num_nodes,
            seed=seed,
        ),
    )
    with progress_bar() as progress:
        run = fit_network(cohort, out, config, resume=resume, overwrite=overwrite, progress=progress)
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
    if record["checkpoint_sha256"]:
        console.print(f"checkpoint sha256 {record['checkpoint_sha256']}", soft_wrap=True)
    console.print(
        f"{run.path}: {len(record['genes']):,} training genes, {len(record['heldout_genes']):,} held-out genes, "
        f"{run.predictions.height:,} predictions; judge them with `varfx expr evaluate {run.path}`",
        soft_wrap=True,
    )
