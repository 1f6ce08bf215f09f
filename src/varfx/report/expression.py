"""Models of expression against each other, gene by gene (Variformer's Figure 1), and their means with intervals."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from varfx.errors import DataError, StoreError
from varfx.report.style import BLUE, COLOURS, GREY, ORANGE, name_rows, save, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABELS = {"pcc": "correlation", "r2": "R²"}
PEOPLE = {"hop": "held-out individuals", "hogp": "held-out genes and individuals"}
MAX_COLUMNS = 3
FLOOR = -0.5  # R2 below this is drawn at the edge


def model_scatter(
    evaluation: Mapping[str, Any], *, against: str, metric: str = "r2", gene_set: str = "training"
) -> Figure:
    """A figure with a panel per model: a dot per gene, the other model on the x axis, means over folds.

    Dots above the diagonal are genes that the model of the panel predicts better; the title counts them. Constant predictions
    are drawn at correlation 0.

    Args:
        evaluation: `ExpressionEvaluation.to_dict()`, or the JSON of `varfx expr evaluate`.
        against: the model on the x axis.
        metric: r2 or pcc.
        gene_set: training or held-out.

    Raises:
        DataError: no such model, or no other one with genes in common.
    """
    tables: dict[tuple[str, str], dict[str, float]] = {}
    for entry in evaluation["gene_means"]:
        if entry["gene_set"] == gene_set and entry["r2"] is not None:
            tables.setdefault((entry["model"], entry["split"]), {})[entry["gene"]] = entry[metric] or 0.0
    base = next((key for key in tables if key[0] == against), None)
    others = [key for key in tables if key != base and base is not None and tables[key].keys() & tables[base].keys()]
    if base is None or not others:
        known = ", ".join(dict.fromkeys(model for model, _ in tables)) or "none"
        raise DataError(f"`{against}` cannot be drawn against other models of {gene_set} genes. There are {known}.")
    columns = min(MAX_COLUMNS, len(others))
    rows = -(-len(others) // columns)
    with styled():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(2.6 * columns + 0.3, 2.75 * rows + 0.35), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
        drawn = [max(FLOOR, value) for key in (base, *others) for value in tables[key].values()]
        margin = 0.05 * (max(drawn) - min(drawn)) + 0.005
        limits = (min(drawn) - margin, max(drawn) + margin)
        for axes, key in zip(panels, others, strict=False):
            _scatter(axes, tables[base], tables[key])
            axes.set(ylabel=_name(key, gene_set), xlim=limits, ylim=limits)
            axes.tick_params(labelbottom=True, labelleft=True)
        for axes in panels[len(others) :]:
            axes.set_visible(False)
        figure.supxlabel(_name(base, gene_set), fontsize=9)
        title = f"{LABELS[metric].capitalize()} per gene, {gene_set} genes, held-out individuals; diamond: mean"
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure


def _scatter(axes: Any, x_of: Mapping[str, float], y_of: Mapping[str, float]) -> None:
    genes = [gene for gene in x_of if gene in y_of]
    x = [max(FLOOR, x_of[gene]) for gene in genes]
    y = [max(FLOOR, y_of[gene]) for gene in genes]
    axes.axhline(0, color=GREY, linewidth=0.5, zorder=0)
    axes.axvline(0, color=GREY, linewidth=0.5, zorder=0)
    axes.axline((0, 0), slope=1, color=GREY, linewidth=0.8, linestyle="--", zorder=0)
    axes.plot(x, y, "o", color=BLUE, markersize=4, alpha=0.6, markeredgewidth=0)
    means = (max(FLOOR, sum(table[gene] for gene in genes) / len(genes)) for table in (x_of, y_of))
    axes.plot(*means, "D", color=ORANGE, markersize=6, markeredgecolor="white")
    better = sum(y_of[gene] > x_of[gene] for gene in genes)
    edge = sum(min(x_of[gene], y_of[gene]) < FLOOR for gene in genes)
    axes.set_title(f"{better} of {len(genes)} above" + (f", {edge} at the edge" if edge else ""), fontsize=9)
    axes.set_aspect("equal")


def _name(key: tuple[str, str], gene_set: str) -> str:
    """A model's name; for held-out genes also whether it knew the gene."""
    model, split = key
    if gene_set == "training":
        return model
    return f"{model} ({'gene unseen' if split == 'hogp' else 'fitted on this gene'})"


def model_means(evaluation: Mapping[str, Any], *, metric: str = "r2") -> Figure:
    """A figure with a row per set of genes and model: the mean over genes, its 95 % interval, and both as text.

    Args:
        evaluation: `ExpressionEvaluation.to_dict()`, or the JSON of `varfx expr evaluate`.
        metric: r2 or pcc.

    Raises:
        DataError: there is nothing to draw.
    """
    entries = [entry for entry in evaluation["models"] if entry[f"mean_{metric}"] is not None]
    if not entries:
        raise DataError("`evaluation` holds no means: there is nothing to draw.")
    groups = list(dict.fromkeys((entry["gene_set"], entry["split"]) for entry in entries))
    with styled():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 1.2 + 0.3 * (len(entries) + len(groups))), layout="constrained")
        axes = figure.subplots()
        ticks: list[tuple[int, str]] = []
        row = 0
        for group in groups:
            axes.annotate(
                _heading(group, entries), (0, row), xycoords=("axes fraction", "data"), va="center", color=GREY
            )
            row += 1
            for entry in entries:
                if (entry["gene_set"], entry["split"]) == group:
                    _interval(axes, row, entry[f"mean_{metric}"], entry[f"mean_{metric}_ci95"], groups.index(group))
                    ticks.append((row, entry["model"]))
                    row += 1
        name_rows(axes, ticks, row - 0.5, -0.6)
        axes.set(
            xlabel=f"mean {LABELS[metric]} over genes, with 95 % interval", title=f"Mean {LABELS[metric]} of models"
        )
    return figure


def _heading(group: tuple[str, str], entries: Sequence[Mapping[str, Any]]) -> str:
    gene_set, split = group
    count = max(entry["genes"] for entry in entries if (entry["gene_set"], entry["split"]) == group)
    what = (
        PEOPLE[split]
        if gene_set == "training" or split == "hogp"
        else "held-out individuals, models of these genes' own"
    )
    return f"{count} {gene_set} genes: {what}"


def _interval(axes: Any, row: int, value: float, bounds: Sequence[float] | None, group: int) -> None:
    colour = COLOURS[group % len(COLOURS)]
    text = f"{value:.3f}"
    if bounds is not None:
        axes.plot(bounds, [row, row], color=colour, linewidth=2, solid_capstyle="round")
        text += f" ({bounds[0]:.3f} to {bounds[1]:.3f})"
    axes.plot(value, row, "o", color=colour, markersize=6)
    text = text.replace("-", "\N{MINUS SIGN}")
    axes.annotate(text, (1.02, row), xycoords=("axes fraction", "data"), va="center", annotation_clip=False)


def learning_curve(evaluation: Mapping[str, Any], *, metric: str = "r2") -> Figure:
    """A figure with a panel per set of genes: the mean score of each model over its number of training individuals.

    Args:
        evaluation: `ExpressionEvaluation.to_dict()`, or the JSON of `varfx expr evaluate`.
        metric: r2 or pcc.

    Raises:
        DataError: no model was fitted on several numbers of individuals.
    """
    entries = [entry for entry in evaluation.get("learning_curves", ()) if entry[f"mean_{metric}"] is not None]
    if not entries:
        raise DataError("`evaluation` holds no learning curve: fit models with --train-size.")
    sizes = [entry["train_size"] for entry in entries]
    return _lines(
        entries,
        metric,
        lambda entry: float(entry["train_size"]),
        spread=max(sizes) - min(sizes),
        label="training individuals",
    )


def by_heritability(evaluation: Mapping[str, Any], *, metric: str = "r2") -> Figure:
    """A figure with a panel per set of genes: the mean score of each model over the genes of each class of heritability.

    Args:
        evaluation: `ExpressionEvaluation.to_dict()`, or the JSON of `varfx expr evaluate`.
        metric: r2 or pcc.

    Raises:
        DataError: no heritability was estimated.
    """
    entries = [entry for entry in evaluation.get("heritability_classes", ()) if entry[f"mean_{metric}"] is not None]
    if not entries:
        raise DataError("`evaluation` holds no classes of heritability: evaluate runs without --no-heritability.")
    classes = sorted({(entry["h2_low"], entry["h2_high"]) for entry in entries})
    figure = _lines(
        entries,
        metric,
        lambda entry: float(classes.index((entry["h2_low"], entry["h2_high"]))),
        spread=4.0,
        label="cis-heritability (number of genes)",
    )
    for axes, group in zip(figure.axes, _groups(entries), strict=True):
        counts = {
            (each["h2_low"], each["h2_high"]): each["genes"]
            for each in entries
            if (each["gene_set"], each["split"]) == group
        }
        names = [f"{low:g} to {high:g}\n({counts.get((low, high), 0)})" for low, high in classes]
        axes.set_xticks(range(len(classes)), names, fontsize=7)
    return figure


def _groups(entries: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((entry["gene_set"], entry["split"]) for entry in entries))


def _lines(
    entries: Sequence[Mapping[str, Any]],
    metric: str,
    place: Callable[[Mapping[str, Any]], float],
    *,
    spread: float,
    label: str,
) -> Figure:
    """A panel per set of genes, in it a line per model with intervals.

    Args:
        entries: means of models over genes.
        metric: r2 or pcc.
        place: of an entry on the x axis.
        spread: of the places; intervals of different models stand aside by a share of it.
        label: of the x axis.
    """
    groups = _groups(entries)
    models = list(dict.fromkeys(entry["model"] for entry in entries))
    with styled():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4.4 * len(groups) + 0.6, 3.4), layout="constrained")
        for axes, group in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups, strict=True):
            for number, model in enumerate(models):
                points = [e for e in entries if (e["gene_set"], e["split"], e["model"]) == (*group, model)]
                if not points:
                    continue
                colour = COLOURS[number % len(COLOURS)]
                aside = 0.01 * spread * (number - (len(models) - 1) / 2)  # intervals stand side by side
                x, y = [place(point) + aside for point in points], [point[f"mean_{metric}"] for point in points]
                axes.plot(x, y, "o-", color=colour, markersize=4, label=model)
                bounds = [(at, point[f"mean_{metric}_ci95"]) for at, point in zip(x, points, strict=True)]
                for at, interval in bounds:
                    if interval is not None:
                        axes.plot([at, at], interval, color=colour, linewidth=1)
            axes.set(xlabel=label, ylabel=f"mean {LABELS[metric]} over genes", title=f"{group[0]} genes")
            axes.axhline(0, color=GREY, linewidth=0.5)
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def draw_evaluation(
    evaluation: Mapping[str, Any], folder: str | os.PathLike[str], *, against: str | None = None
) -> list[str]:
    """Writes all pictures of an evaluation into a folder, which is made if it is not there; returns their names.

    Args:
        evaluation: see `model_scatter`.
        folder: where.
        against: the model that the others are drawn against; by default the first.

    Raises:
        StoreError: the folder cannot be made.
    """
    root = Path(folder)
    try:
        root.mkdir(exist_ok=True)
    except OSError as error:
        raise StoreError(f"`{root}` cannot be made: {error.strerror or error}.") from error
    names = []
    for metric in LABELS:
        names.append(f"mean_{metric}.png")
        save(model_means(evaluation, metric=metric), root / names[-1])
    if evaluation.get("learning_curves"):  # files of earlier versions have none
        for metric in LABELS:
            names.append(f"learning_curve_{metric}.png")
            save(learning_curve(evaluation, metric=metric), root / names[-1])
    if evaluation.get("heritability_classes"):
        for metric in LABELS:
            names.append(f"heritability_{metric}.png")
            save(by_heritability(evaluation, metric=metric), root / names[-1])
    for gene_set in dict.fromkeys(entry["gene_set"] for entry in evaluation["models"]):
        models = list(dict.fromkeys(entry["model"] for entry in evaluation["models"] if entry["gene_set"] == gene_set))
        base = against if against is not None and against in models else str(models[0])
        if len(models) < 2:
            continue
        for metric in LABELS:
            names.append(f"{metric}_{gene_set}_genes.png")
            save(model_scatter(evaluation, against=base, metric=metric, gene_set=gene_set), root / names[-1])
    return names
