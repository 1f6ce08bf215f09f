"""`varfx prior`: fit, evaluate, predict, weights, ldsc."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from rich.table import Table

from varfx.cli.console import console, progress_bar
from varfx.cli.options import Names, Out, Switch
from varfx.cli.prior_options import Effects, FitFiles, Inputs, Model, Split, Training
from varfx.cli.prior_truth import print_truth
from varfx.errors import ConfigError
from varfx.io.output_lock import one_writer
from varfx.models.config import ModelConfig
from varfx.prior.config import SplitConfig
from varfx.prior.effects.config import EffectsConfig
from varfx.prior.files import PriorInputs
from varfx.training.gwas.config import TrainConfig


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

    Args:
        out: The run's folder.
        resume: Continue an interrupted fit.
        overwrite: Replace a finished run.
    """
    from varfx.prior.fit import FitOptions, fit_inputs
    from varfx.training import processes

    with progress_bar() as progress:
        options = FitOptions(model=model, training=training, split=split)
        run = fit_inputs(inputs, out, options, resume=resume, overwrite=overwrite, progress=progress)
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
    outcome, parts = run.record["outcome"], run.record["split"]
    console.print(
        f"{out}: {model.kind}, {outcome['steps']} steps ({'stopped early' if outcome['stopped'] == 'early' else 'all done'}), best at "
        f"step {outcome['best_step']}; windows: {len(parts['train'])} training, {len(parts['validation'])} validation, "
        f"{len(parts['holdout'])} held out, {len(parts['gap'])} in gaps",
        soft_wrap=True,
    )


def evaluate(
    run: Path | None = None,
    /,
    *,
    snpvar: Path | None = None,
    like: Path | None = None,
    sigma2: float | Literal["fit"] | None = None,
    inputs: Inputs = PriorInputs(),
    chrom: Names = (),
    exclude_chrom: Names = (),
    compare: Path | None = None,
    truth: Path | None = None,
    plot: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    json: Path | None = None,
) -> None:
    """Score a prior on held-out windows.

    The gain is the log-likelihood of held-out associations under the prior, minus that of no heritability at all (sigma2
    refitted), in nats, with a 95 % interval over windows. Beside it stands the gain of the constant prior, and the paired difference: what
    annotations add. `--snpvar` scores anybody's per-variant variances the same way. All inputs are by default the run's own, and
    must then be those of the fit.

        varfx prior evaluate RUN --compare RUN2 --json OUT.json
        varfx prior evaluate --snpvar FILE --like RUN --sigma2 fit
        varfx prior evaluate --snpvar FILE --sigma2 1.0 --panel P.ld.zarr --sumstats S.parquet --chrom 20,21,22

    Args:
        run: A run of `varfx prior fit`.
        snpvar: PolyFun's CHR SNP BP A1 A2 SNPVAR, or a table with variant and f.
        like: A run whose panel, summary statistics, held-out windows, null and constant prior --snpvar is scored with.
        sigma2: Residual variance that goes with --snpvar, or fit (on windows that are not scored); by default that in the file (prior predict
            writes it), or 1.
        chrom: Score these chromosomes instead of the held-out windows.
        exclude_chrom: Leave out these chromosomes.
        compare: A second run, compared on the same windows.
        truth: The truth.parquet of `varfx prior simulate`: adds the error of log f and its calibration.
        plot: Draw the comparison with --truth to this PNG.
        seed: Of the bootstrap.
        device: Where to compute: auto (a GPU if there is one, else the CPU), cpu, cuda or cuda:N. Numbers are computed in float64, for
            mps therefore on the CPU.
        json: Write all numbers to this file.
    """
    from varfx.io import sealed
    from varfx.io.run_folder import check_parent
    from varfx.prior import evaluate as evaluate_run
    from varfx.prior import evaluate_variances

    if json is not None:
        check_parent(json)
    if (run is None) == (snpvar is None):
        raise ConfigError("give either a RUN or --snpvar FILE, one of the two.")
    if plot is not None and truth is None:
        raise ConfigError("`plot` draws the comparison with a truth: give --truth too.")
    with progress_bar() as progress:
        if snpvar is not None:
            others = (compare, truth, inputs.annotations, inputs.tracks, inputs.chain)
            if (
                (like is None and (inputs.panel is None or not inputs.sumstats))
                or len(inputs.sumstats) > 1
                or any(others)
            ):
                raise ConfigError(
                    "`--snpvar` needs --like RUN, or --panel and one --sumstats, and takes no --compare, --truth, --annot, --tracks or "
                    "--chain."
                )
            result = evaluate_variances(
                snpvar,
                like=like,
                sigma2=sigma2,
                inputs=inputs,
                chrom=chrom,
                exclude_chrom=exclude_chrom,
                seed=seed,
                device=device,
                progress=progress,
            )
        else:
            assert run is not None
            if like is not None or sigma2 is not None:
                raise ConfigError("`--like` and `--sigma2` belong to --snpvar FILE.")
            result = evaluate_run(
                run,
                inputs=inputs,
                chrom=chrom,
                exclude_chrom=exclude_chrom,
                compare_with=compare,
                truth=truth,
                seed=seed,
                device=device,
                progress=progress,
            )
    if json is not None:
        sealed.write_json(json, result.to_dict())
    console.print(_gain_table(result.traits))
    console.print(_difference_table(result.traits))
    if truth is not None:
        print_truth(result.traits, plot)
    for note in result.notes:
        console.print(f"note: {note}", soft_wrap=True)


def _gain_table(traits: list[dict[str, Any]]) -> Table:
    """Each trait's gain."""
    table = Table("trait", "windows", "variants", "rank", "log p", "gain (nats)", "95 % interval", "sigma2")
    for trait in traits:
        table.add_row(
            trait["name"], str(trait["n_windows"]), f"{trait['n_variants']:,}", f"{trait['rank']:,}", f"{trait['log_p']:.2f}",
            f"{trait['gain']:.2f}", interval(trait["gain_ci95"]), f"{trait['sigma2']:.3f}",
        )  # fmt: skip
    return table


def _difference_table(traits: list[dict[str, Any]]) -> Table:
    """Gain of each trait's prior over the constant prior and over the prior it is compared with."""
    table = Table("trait", "compared with", "its gain", "difference", "95 % interval")
    for trait in traits:
        constant = trait["constant"]
        table.add_row(
            trait["name"], "constant prior", f"{constant['gain']:.2f}", f"{constant['difference']:.2f}",
            interval(constant["difference_ci95"]),
        )  # fmt: skip
        if "difference" in trait:
            gain = f"{trait['gain'] - trait['difference']:.2f}"
            table.add_row(
                trait["name"],
                trait["compared_with"],
                gain,
                f"{trait['difference']:.2f}",
                interval(trait["difference_ci95"]),
            )
    return table


def interval(bounds: list[float] | None) -> str:
    """An interval for the screen."""
    return "(one window)" if bounds is None else f"{bounds[0]:.2f} to {bounds[1]:.2f}"


@one_writer
def predict(
    run: Path,
    /,
    *,
    out: Out,
    inputs: Inputs = PriorInputs(),
    format: Literal["parquet", "tsv", "snpvar"] | None = None,
    cap: float | None = None,
    cross_fit: int | None = None,
    device: str = "auto",
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
        format: The format, whatever the ending.
        cap: Largest ratio of f between two variants: lower values are raised, and the sum kept (PolyFun's is 100).
        cross_fit: Fit the run's model anew on the other chromosomes of so many folds, so that no variant's f has seen its own
            associations. The fits are kept in OUT.folds.
        device: Where to compute: auto (a GPU if there is one, else the CPU), cpu, cuda or cuda:N. Numbers are computed in float64, for
            mps therefore on the CPU.
    """
    from varfx.prior import predict as predict_prior
    from varfx.prior import write_prediction
    from varfx.prior.held_out import learned_note

    if cross_fit is None:
        table, note = predict_prior(run, cap=cap, inputs=inputs, device=device), None
    else:
        from varfx.prior.cross_fit import cross_fit as fit_folds

        with progress_bar() as progress:
            table = fit_folds(
                run, f"{out}.folds", folds=cross_fit, cap=cap, inputs=inputs, device=device, progress=progress
            )
        note = f"cross-fitted in {cross_fit} folds: the f of each chromosome comes from a network that has not seen it"
    note = note or learned_note(run, table)
    write_prediction(table, out, run=run, form=format, learned=note)
    console.print(f"{out}: f of {table.height:,} variants", soft_wrap=True)
    console.print(f"note: {note}", soft_wrap=True, markup=False)
    _note_other_files(run, inputs)


@one_writer
def weights(
    run: Path,
    /,
    *,
    out: Out,
    format: Literal["plink", "pgs-catalog"] = "plink",
    effects: Effects = EffectsConfig(),
    inputs: Inputs = PriorInputs(),
    workers: int = 1,
    scheduler: str | None = None,
    device: str = "auto",
) -> None:
    """Write posterior-mean effects: the weights of a polygenic score.

    A variant at a core's edge uses the associations on both its sides: neighbouring cores are taken together. The run's f is the
    variance of effects; their distribution is normal, or a normal background with sparse larger effects on top, whose share and
    sizes are learned. All inputs are by default the run's own, and must then be those of the fit.

        varfx prior weights RUN --out weights.tsv
        varfx prior weights RUN --effects mixture --workers 4 --out weights.tsv
        varfx score --weights weights.tsv --genotypes TARGET.bed --out score.tsv

    Args:
        run: A run of `varfx prior fit`.
        out: The file; .gz compresses.
        format: plink (columns ID A1 WEIGHT, then more) or pgs-catalog (scoring file, format 2.0).
        workers: Processes, each with the memory of two windows.
        scheduler: Address of a running dask.distributed scheduler, in place of --workers; its workers see the same files.
        device: Where to compute: auto (a GPU if there is one, else the CPU), cpu, cuda or cuda:N. Numbers are computed in float64, for
            mps therefore on the CPU. Workers of
            one machine share its GPU.
    """
    from varfx.io.run_folder import check_parent
    from varfx.io.workers import Workers
    from varfx.prior import write_weights
    from varfx.prior.held_out import learned_note
    from varfx.prior.weights import posterior_weights, write_record

    check_parent(out)
    where = Workers(workers=None if scheduler is not None and workers == 1 else workers, scheduler=scheduler)
    with progress_bar() as progress:
        found = posterior_weights(
            run, effects, inputs, where=where, folder=out.absolute().parent, device=device, progress=progress
        )
    write_weights(found.table, out, run=run, form=format)
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

    for note in other_than_at_fit(open_run(run), given):
        console.print(f"note: {note}", soft_wrap=True, markup=False)
