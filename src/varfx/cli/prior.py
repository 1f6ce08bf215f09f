"""`varfx prior`: fit, predict, weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from rich.table import Table

from varfx.cli.console import console, print_notes, progress_bar
from varfx.cli.options import Out, Switch, as_options
from varfx.cli.prior_options import Computing, Effects, FitFiles, Inputs, Model, Split, Training
from varfx.errors import ConfigError
from varfx.io.output_lock import one_writer
from varfx.models.config import ModelConfig
from varfx.prior.config import SplitConfig
from varfx.prior.effects.config import EffectsConfig
from varfx.prior.files import PriorInputs
from varfx.prior.run_options import Float64Device, PredictConfig, WeightsConfig, WeightsWorkers
from varfx.training.gwas.config import TrainConfig

Predicting = Annotated[PredictConfig, as_options(PredictConfig)]
Writing = Annotated[WeightsConfig, as_options(WeightsConfig)]
FewWorkers = Annotated[WeightsWorkers, as_options(WeightsWorkers)]


def fit(
    *,
    out: Out,
    inputs: FitFiles,
    model: Model = ModelConfig(),
    training: Training = TrainConfig(),
    split: Split = SplitConfig(),
    resume: Annotated[bool, Switch] = False,
    overwrite: Annotated[bool, Switch] = False,
) -> None:
    """Fit a prior by the full marginal likelihood.

    Learns the variance of every variant's effect from summary statistics given LD (--panel and --sumstats). Some chromosomes
    (or a stretch of windows) can be held out for `varfx prior evaluate`; part of the others decides when training stops.

        varfx prior fit --panel P.ld.zarr --sumstats S.parquet --annot A.annot.parquet --holdout-chrom 20,21,22 --out RUN
        varfx prior fit --panel P.ld.zarr --sumstats S.parquet --tracks T.tracks.zarr --model enformer --width 384 --out RUN
        varfx prior fit --panel P.ld.zarr --sumstats S.parquet --annot A.annot.parquet --effects mixture --out RUN
        varfx prior fit --panel EUR=P1 --sumstats EUR=S1 --annot EUR=A1 --panel EAS=P2 --sumstats EAS=S2 --annot EAS=A2 --out RUN

    Panels and summary statistics with names are one trait in several ancestries: one network, and for each ancestry its own scale,
    alpha and sigma2. RUN/EUR then is the run of that ancestry, for every other command.

    Args:
        out: The run's folder.
        resume: Continue an interrupted fit.
        overwrite: Replace a finished run.
    """
    from varfx.prior.fit import FitOptions, fit_members
    from varfx.training import processes

    files = inputs.files()

    with progress_bar() as progress:
        options = FitOptions(model=model, training=training, split=split)
        run = fit_members(files, out, options, resume=resume, overwrite=overwrite, progress=progress)
    if processes.rank():
        return  # the first process prints
    table = Table("trait", "variants", "n", "sigma2", "sigma2 (null)", "alpha", "alpha per allele")
    for trait in run.record["traits"]:
        matched = trait["matched"]
        row = (
            f"{matched:,}",
            f"{trait['n_ref']:,.0f}",
            f"{trait['sigma2']:.3f}",
            f"{trait['sigma2_null']:.3f}",
            f"{trait['alpha']:.2f}",
            f"{trait['alpha_per_allele']:.2f}",
        )
        table.add_row(trait["name"], *row)
    console.print(table)
    outcome = run.record["outcome"]
    done = f"{outcome['steps']} steps ({'stopped early' if outcome['stopped'] == 'early' else 'all done'})"
    splits = {name: each["split"] for name, each in run.record.get("ancestries", {"": run.record}).items()}
    shown = [
        f"{f' of {name}' if name else ''}: {len(parts['train'])} training, {len(parts['validation'])} validation, "
        f"{len(parts['holdout'])} held out, {len(parts['gap'])} in gaps"
        for name, parts in splits.items()
    ]
    console.print(
        f"{out}: {model.kind}, {done}, best at step {outcome['best_step']}; windows{'; windows'.join(shown)}",
        soft_wrap=True,
    )
    for trait in run.record["traits"]:
        if "mixture" in trait:
            console.print(
                f"{trait['name']}: sparse effects have {1 - trait['mixture']['background']:.0%} of the variance, the polygenic background "
                f"the rest; second head best at step {run.record['mixture']['best_step']}",
                soft_wrap=True,
                markup=False,
            )


@one_writer
def predict(
    run: Path,
    /,
    *,
    out: Out,
    config: Predicting = PredictConfig(),
    inputs: Inputs = PriorInputs(),
    computing: Computing = Float64Device(),
) -> None:
    """Write the prior variance f of every variant.

    f is the variance of a variant's effect on standardised genotypes. All inputs are by default the run's own, and must then be
    those of the fit. Annotations given here may be of other variants, with the run's channels.

        varfx prior predict RUN --out prior.parquet
        varfx prior predict RUN --out chr22.snpvar.gz --cap 100
        varfx prior predict RUN --out cross.parquet --cross-fit 5

    Args:
        run: A run of `varfx prior fit`.
        out: The file; its ending decides the format: .parquet, .snpvar(.gz) (PolyFun's layout), else TSV (.gz).
    """
    from varfx.prior import predict as predict_prior
    from varfx.prior import write_prediction
    from varfx.prior.held_out import learned_note
    from varfx.prior.predict import check_prediction

    check_prediction(run, out, config)
    cap, folds, device = config.cap, config.cross_fit, computing.device
    if folds is None:
        table, note = predict_prior(run, cap=cap, inputs=inputs, device=device), None
    else:
        from varfx.prior.cross_fit import cross_fit

        with progress_bar() as progress:
            table = cross_fit(
                run, f"{out}.folds", folds=folds, cap=cap, inputs=inputs, device=device, progress=progress
            )
        note = f"cross-fitted in {folds} folds: the f of each chromosome comes from a network that has not seen it"
    note = note or learned_note(run, table)
    write_prediction(table, out, run=run, form=config.format, learned=note)
    console.print(f"{out}: f of {table.height:,} variants", soft_wrap=True)
    console.print(f"note: {note}", soft_wrap=True, markup=False)
    _note_other_files(run, inputs)


@one_writer
def weights(
    run: Path,
    /,
    *,
    out: Out,
    config: Writing = WeightsConfig(),
    effects: Effects = EffectsConfig(),
    inputs: Inputs = PriorInputs(),
    where: FewWorkers = WeightsWorkers(),
    computing: Computing = Float64Device(),
) -> None:
    """Write posterior-mean effects: the weights of a polygenic score.

    A variant at a core's edge uses the associations on both its sides: neighbouring cores are taken together. The run's f is the
    variance of effects; their distribution is normal, or a normal background with sparse larger effects on top, whose share and
    sizes are learned. All inputs are by default the run's own, and must then be those of the fit.

        varfx prior weights RUN --out weights.tsv
        varfx prior weights RUN --effects mixture --workers 4 --out weights.tsv
        varfx prior weights ANCESTRIES --rho 0.8 --out weights.tsv
        varfx score --weights weights.tsv --genotypes TARGET.bed --out score.tsv

    Args:
        run: A run of `varfx prior fit`.
        out: The file; .gz compresses.
    """
    from varfx.prior import write_weights
    from varfx.prior.ancestries.run import has_ancestries
    from varfx.prior.held_out import learned_note
    from varfx.prior.weights import check_form, posterior_weights, write_record

    if has_ancestries(run):
        _weights_of_ancestries(run, out, config, effects, inputs, where, computing)
        return
    if config.rho is not None:
        raise ConfigError(f"`--rho` is for runs of several ancestries, and `{run}` is of one panel. Leave it out.")
    check_form(run, out, config.format)
    with progress_bar() as progress:
        found = posterior_weights(
            run,
            effects,
            inputs,
            where=where,
            folder=out.absolute().parent,
            device=computing.device,
            progress=progress,
        )
    write_weights(found.table, out, run=run, form=config.format)
    console.print(f"{out}: weights of {found.table.height:,} variants", soft_wrap=True)
    if effects.effects != "normal":
        console.print(_effects_table(found.traits))
        for trait in found.traits:
            if "reason" in trait:
                console.print(
                    f"{trait['name']}: {trait['effects']}, as {trait['reason']}", soft_wrap=True, markup=False
                )
        record = write_record(found, out, run=run, effects=effects)
        console.print(f"{record}: evidence, hyperparameters and convergence", soft_wrap=True)
    console.print(f"note: {learned_note(run, found.table)}", soft_wrap=True, markup=False)
    _note_other_files(run, inputs)


def _weights_of_ancestries(
    run: Path,
    out: Path,
    config: WeightsConfig,
    effects: EffectsConfig,
    inputs: PriorInputs,
    where: WeightsWorkers,
    computing: Float64Device,
) -> None:
    """Weights of a run of several ancestries, and the correlations behind them."""
    from varfx.io.run_folder import check_parent
    from varfx.prior.ancestries import weights as of_ancestries
    from varfx.prior.ancestries.run import open_ancestries, require_no_files
    from varfx.prior.held_out import learned_note

    joint = open_ancestries(run)
    check_parent(out)
    require_no_files(joint, inputs.named())
    of_ancestries.check_options(effects.effects, config.format)
    with progress_bar() as progress:
        found = of_ancestries.ancestry_weights(
            joint,
            rho="estimate" if config.rho is None else config.rho,
            where=where,
            folder=out.absolute().parent,
            device=computing.device,
            progress=progress,
        )
    of_ancestries.write_ancestry_weights(found, out, run=joint)
    console.print(f"{out}: weights of {found.table.height:,} variants", soft_wrap=True)
    for each in found.correlations:
        first, second = each["ancestries"]
        error = "" if each["se"] is None else f" (s.e. {each['se']:.2f}, {each['regions']} regions)"
        console.print(
            f"effects of {first} and {second}: correlation {each['rho']:.2f}{error}", soft_wrap=True, markup=False
        )
    console.print(f"note: {learned_note(joint, found.table)}", soft_wrap=True, markup=False)


def _effects_table(traits: list[dict[str, Any]]) -> Table:
    """The effect distribution of each trait."""
    from varfx.prior.effects.convergence import CONVERGED

    table = Table(
        "trait",
        "effects",
        "evidence over normal (nats)",
        "background",
        "sparse effects",
        "R-hat (median, worst, above 1.1)",
    )
    for trait in traits:
        evidence = trait["evidence"]
        gains = [
            f"{name} {value - evidence['normal']:.1f} (± {trait['evidence_error'][name]:.1f})"
            for name, value in evidence.items()
            if name != "normal"
        ]
        windows = trait.get("windows", [])
        r_hat = sorted(window["r_hat"] for window in windows)
        apart = f"{sum(each > CONVERGED for each in r_hat)} of {len(r_hat)}"
        shown = f"{r_hat[len(r_hat) // 2]:.2f}, {r_hat[-1]:.2f}, {apart}" if r_hat else ""
        learned = trait.get("hyperparameters")
        background = "" if learned is None else f"{learned['background']:.3f}"
        effects = "" if learned is None else f"{sum(window['effects'] for window in windows):.0f}"
        table.add_row(trait["name"], trait["effects"], ", ".join(gains), background, effects, shown)
    return table


def _note_other_files(run: Path, given: PriorInputs) -> None:
    """Reports the given files that are not those of the fit."""
    from varfx.prior import open_run
    from varfx.prior.files import other_than_at_fit

    if given.named():
        print_notes(other_than_at_fit(open_run(run), given))
