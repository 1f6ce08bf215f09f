"""Pictures of expression models show the numbers they are given; the drawn objects are read, not pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.image
import pytest

from varfx import report
from varfx.errors import DataError, StoreError
from varfx.report.expression import by_heritability


def gene(name: str, model: str, r2: float | None, pcc: float | None, **more: Any) -> dict[str, Any]:
    return {"gene": name, "model": model, "split": "hop", "gene_set": "training", "r2": r2, "pcc": pcc, **more}


def model(name: str, r2: float, **more: Any) -> dict[str, Any]:
    entry = {"gene_set": "training", "split": "hop", "model": name, "genes": 3, "mean_r2": r2, "mean_pcc": r2 + 0.2}
    return {**entry, "mean_r2_ci95": [r2 - 0.1, r2 + 0.1], "mean_pcc_ci95": None, **more}


HELD_OUT: dict[str, Any] = {"gene_set": "held-out"}
EVALUATION: dict[str, Any] = {
    "gene_means": [
        gene("A", "elastic-net", 0.1, 0.4), gene("B", "elastic-net", 0.3, 0.6), gene("C", "elastic-net", -2.0, None),
        gene("A", "blup", 0.2, 0.5), gene("B", "blup", 0.25, 0.5), gene("C", "blup", -0.1, 0.1),
        gene("A", "enformer", None, None), gene("B", "enformer", 0.5, 0.7),
        gene("Z", "elastic-net", 0.2, 0.5, **HELD_OUT), gene("Z", "enformer", 0.0, 0.1, split="hogp", **HELD_OUT),
    ],
    "models": [
        model("elastic-net", 0.1), model("blup", -0.05), model("enformer", 0.5, mean_r2_ci95=None),
        model("elastic-net", 0.2, genes=1, **HELD_OUT), model("enformer", 0.0, genes=1, split="hogp", **HELD_OUT),
    ],
}  # fmt: skip


def points(axes: Any) -> list[list[float]]:
    (dots,) = [line for line in axes.lines if line.get_marker() == "o"]
    return [list(place) for place in dots.get_xydata()]


def test_scatter_has_a_panel_per_model_and_a_dot_per_gene() -> None:
    figure = report.model_scatter(EVALUATION, against="elastic-net")
    blup, enformer = (axes for axes in figure.axes if axes.get_visible())
    assert points(blup) == [[0.1, 0.2], [0.3, 0.25], [-0.5, -0.1]]  # R2 of -2 is drawn at the edge
    assert points(enformer) == [[0.3, 0.5]]  # the gene without a prediction is not there
    assert blup.get_title(loc="left") == "2 of 3 above, 1 at the edge"
    assert blup.get_ylabel() == "blup"
    assert figure.get_supxlabel() == "elastic-net"
    assert blup.get_xlim() == blup.get_ylim() == enformer.get_xlim()
    (mean,) = [line for line in blup.lines if line.get_marker() == "D"]
    assert mean.get_xydata()[0] == pytest.approx([-0.5, 0.35 / 3])


def test_classes_of_heritability_have_a_point_per_model_and_the_number_of_genes(tmp_path: Path) -> None:
    def entry(name: str, low: float, high: float, r2: float, genes: int) -> dict[str, Any]:
        return model(name, r2, genes=genes, h2_low=low, h2_high=high)

    classes = [
        entry("blup", 0.0, 0.05, 0.01, 9), entry("blup", 0.2, 0.4, 0.2, 1),
        entry("enformer", 0.0, 0.05, -0.1, 9), entry("enformer", 0.2, 0.4, 0.3, 1),
    ]  # fmt: skip
    found = {**EVALUATION, "heritability_classes": classes}
    (axes,) = by_heritability(found).axes
    lines = {line.get_label(): line.get_xydata() for line in axes.lines if line.get_marker() == "o"}
    assert {name: values[:, 1].tolist() for name, values in lines.items()} == {
        "blup": [0.01, 0.2],
        "enformer": [-0.1, 0.3],
    }
    for values in lines.values():
        assert values[:, 0].round().tolist() == [0, 1]
    assert [each.get_text() for each in axes.get_xticklabels()] == ["0 to 0.05\n(9)", "0.2 to 0.4\n(1)"]
    with pytest.raises(DataError, match="holds no classes of heritability"):
        by_heritability(EVALUATION)
    assert "heritability_r2.png" in report.draw_evaluation(found, tmp_path / "figures")


def test_scatter_of_correlations_puts_constant_predictions_at_zero() -> None:
    axes = report.model_scatter(EVALUATION, against="elastic-net", metric="pcc").axes[0]
    assert points(axes)[2] == [0.0, 0.1]


def test_scatter_of_held_out_genes_says_who_knew_them() -> None:
    figure = report.model_scatter(EVALUATION, against="elastic-net", gene_set="held-out")
    assert figure.axes[0].get_ylabel() == "enformer (gene unseen)"
    assert figure.get_supxlabel() == "elastic-net (fitted on this gene)"


def test_means_have_a_row_per_model_with_its_interval() -> None:
    (axes,) = report.model_means(EVALUATION).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "elastic-net", "blup", "enformer", "elastic-net", "enformer"
    ]  # fmt: skip
    texts = [text.get_text() for text in axes.texts]
    assert "3 training genes: held-out individuals" in texts
    assert "1 held-out genes: held-out individuals, models of these genes' own" in texts
    assert "1 held-out genes: held-out genes and individuals" in texts
    assert "0.100 (0.000 to 0.200)" in texts
    assert "\N{MINUS SIGN}0.050 (\N{MINUS SIGN}0.150 to 0.050)" in texts
    assert "0.500" in texts  # no interval
    dots = [list(line.get_xydata()[0]) for line in axes.lines if line.get_marker() == "o"]
    assert [x for x, _ in dots] == [0.1, -0.05, 0.5, 0.2, 0.0]
    assert axes.yaxis_inverted()


def test_nothing_to_draw() -> None:
    with pytest.raises(DataError, match="`ridge` cannot be drawn against other models of training genes"):
        report.model_scatter(EVALUATION, against="ridge")
    alone = {"gene_means": EVALUATION["gene_means"][:3], "models": []}
    with pytest.raises(DataError, match="`elastic-net` cannot be drawn"):
        report.model_scatter(alone, against="elastic-net")
    with pytest.raises(DataError, match="holds no means"):
        report.model_means(alone)


def test_all_pictures_are_written(tmp_path: Path) -> None:
    names = report.draw_evaluation(EVALUATION, tmp_path / "figures")
    assert sorted(names) == sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert set(names) >= {"mean_r2.png", "r2_training_genes.png", "pcc_held-out_genes.png"}
    for name in names:
        assert matplotlib.image.imread(tmp_path / "figures" / name).std() > 0.01
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be made"):
        report.draw_evaluation(EVALUATION, tmp_path / "file")
