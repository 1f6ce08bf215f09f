"""How the prior was learned, and what it is worth on windows that it has not seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from varfx.errors import ConfigError, DataError
from varfx.io import sealed
from varfx.ld.windows import core_of_name
from varfx.pages.config import ReportConfig
from varfx.pages.study import Study
from varfx.pages.words import fixed, interval, number, rounded, without_folders
from varfx.prior.evaluate import evaluate
from varfx.progress import Progress
from varfx.report.html.blocks import Absent, Block, Chart, Columns, Facts, Prose, Section
from varfx.report.html.charts.learning import calibration, gains, training
from varfx.report.training import UNITS, read_history

MOST_BARS = 240  # windows in the picture of gains, those of largest gain or loss


def learning_section(study: Study) -> Section:
    """The training curve."""
    history, outcome = read_history(study.run.path), study.run.record["outcome"]
    unit = history.columns[2].removeprefix("validation_").removesuffix("_per_association")
    columns: Columns = {
        "step": history["step"].to_list() * 2,
        "value": rounded(history[history.columns[2]], 7) + rounded(history[history.columns[1]], 7),
        "windows": ["validation"] * history.height + ["training"] * history.height,
    }
    ended = "stopped early" if outcome["stopped"] == "early" else "took all its steps"
    words = f"The training {ended} after {outcome['steps']:,} steps; the weights of step {outcome['best_step']:,} were kept."
    chart = training(columns, best_step=int(outcome["best_step"]), unit=UNITS[unit], alternative=words)
    return Section(anchor="training", heading="Training", blocks=(Prose(text=words), chart))


def evaluation_of(study: Study, config: ReportConfig, progress: Progress) -> Mapping[str, Any] | str:
    """The evaluation of a study: the given JSON or one made now; or the reason why there is none.

    Raises:
        DataError: the JSON is no evaluation, or of other traits.
    """
    if config.evaluation is None:
        if not study.run.record["split"]["holdout"]:
            return "The run held out no windows."
        try:
            return evaluate(study.run, inputs=study.given, calibrate=True, progress=progress).to_dict()
        except ConfigError as error:
            return str(error)
    found = sealed.read_json(config.evaluation)
    try:
        names = [entry["name"] for entry in found["traits"]]
        list(found["windows"])
    except (TypeError, KeyError) as error:
        raise DataError(
            f"`{config.evaluation}` is no evaluation. Give the --json of `varfx prior evaluate`."
        ) from error
    if study.trait["name"] not in names:
        raise DataError(
            f"`{config.evaluation}` evaluates {', '.join(names)}, not {study.trait['name']}. Evaluate this run."
        )
    return dict(found)


def held_out_section(study: Study, evaluation: Mapping[str, Any] | str) -> Section:
    """Gain in total and per window, and calibration."""
    heading = "Held-out evaluation"
    if isinstance(evaluation, str):
        command = "varfx prior fit ... --holdout-chrom 20,21,22"
        return Section(anchor="held-out", heading=heading, blocks=(Absent(what=evaluation, command=command),))
    name = study.trait["name"]
    entry = next(each for each in evaluation["traits"] if each["name"] == name)
    rows = [each for each in evaluation["windows"] if each["trait"] == name]
    blocks: list[Block] = [
        Prose(
            text="Windows that the fit has not seen, scored by the likelihood of their associations. The gain is measured from a model without any heritability, the constant prior gives every variant the same variance up to its frequency."
        ),
        Facts(rows=_totals(entry)),
        _gain_chart(study, rows, entry),
    ]
    if "calibration" in entry:
        blocks.append(_calibration_chart(entry))
    else:
        blocks.append(
            Prose(
                text="Calibration is shown where the report evaluates the run itself, without `--evaluation`.",
                emphasis="absent",
            )
        )
    notes = [note for note in evaluation.get("notes", []) if note not in study.run.record.get("warnings", [])]
    blocks += [Prose(text=without_folders(note), emphasis="note") for note in notes]
    return Section(anchor="held-out", heading=heading, blocks=tuple(blocks))


def _totals(entry: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    rows = [
        (
            "held out",
            f"{entry['n_windows']} windows, {entry['n_variants']:,} variants, {entry['rank']:,} independent associations",
        ),
        (
            "gain over no heritability",
            f"{fixed(entry['gain'], 2)} nats (95 % interval {interval(entry['gain_ci95'], 2)})",
        ),
    ]
    constant = entry.get("constant")
    if constant is not None:
        rows.append(
            (
                "gain of the constant prior",
                f"{fixed(constant['gain'], 2)} nats (95 % interval {interval(constant['gain_ci95'], 2)})",
            )
        )
        rows.append(
            (
                "gain over the constant prior",
                f"{fixed(constant['difference'], 2)} nats (95 % interval {interval(constant['difference_ci95'], 2)})",
            )
        )
    if "mean_chi2" in entry:
        rows.append(
            (
                "w′C⁻¹w per association",
                f"{fixed(entry['mean_chi2'])} (95 % interval {interval(entry['mean_chi2_ci95'])}); 1 if the prior's total is right",
            )
        )
    return tuple(rows)


def _gain_chart(study: Study, rows: list[dict[str, Any]], entry: Mapping[str, Any]) -> Chart:
    cores = [core_of_name(each["window"]) for each in rows]
    labels = [f"{core.chrom}:{core.start / 1e6:g}" for core in cores]
    chosen = list(range(len(rows)))
    more = ""
    if len(rows) > MOST_BARS:
        largest = sorted(chosen, key=lambda i: -abs(rows[i]["gain"]))[:MOST_BARS]
        chosen = sorted(largest)
        more = f" Drawn: the {MOST_BARS} windows of {len(rows)} of largest gain or loss."
    kind = study.kind if study.kind != "constant" else "constant (this run)"
    parts = [(kind, "gain")] + ([("constant", "gain_constant")] if rows and "gain_constant" in rows[0] else [])
    columns: Columns = {
        "window": [labels[i] for _ in parts for i in chosen],
        "prior": [name for name, _ in parts for _ in chosen],
        "gain": rounded([rows[i][key] for _, key in parts for i in chosen]),
        "rank": [rows[i]["rank"] for _ in parts for i in chosen],
    }
    above = sum(each["gain"] > 0 for each in rows)
    best = max(rows, key=lambda each: each["gain"])
    words = f"{above} of {len(rows)} windows gain; the most {best['window']} with {number(best['gain'])} nats. In total {number(entry['gain'])} nats."
    return gains(
        columns,
        priors=[name for name, _ in parts],
        alternative=words,
        caption=f"{words} Windows are named by chromosome and start in Mb.{more}",
    )


def _calibration_chart(entry: Mapping[str, Any]) -> Chart:
    groups = entry["calibration"]
    bounds = [each["ratio_ci95"] or (None, None) for each in groups]
    columns: Columns = {
        "group": [each["group"] for each in groups],
        "f": rounded(each["mean_f"] for each in groups),
        "ratio": rounded(each["ratio"] for each in groups),
        "low": rounded(low for low, _ in bounds),
        "high": rounded(high for _, high in bounds),
    }
    ratios = ", ".join(f"{each['ratio']:.2f}" for each in groups)
    return calibration(
        columns,
        alternative=f"Observed over expected squared scores by tenth of predicted f, from the lowest: {ratios}.",
    )
