"""Attributions around a variant: the effect is that of the scores, letters lose what whole passes lose, on both strands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cases.cohort import small_cohort
from cases.variants import network_run, random_network
from varfx.errors import DataError
from varfx.expression.cohort.store import Cohort, open_cohort
from varfx.expression.explain.around import around_top, around_variant
from varfx.expression.network.batches import gene_sequences
from varfx.expression.variants.score import score_variants
from varfx.models.expression import ExpressionNetwork
from varfx.report.logos import logos


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Cohort, ExpressionNetwork]:
    folder = tmp_path_factory.mktemp("around")
    cohort, network = open_cohort(small_cohort(folder, window=256, people=40)), random_network()
    return network_run(folder / "N", cohort, network), cohort, network


@pytest.mark.parametrize("number", [0, 1])
def test_around_a_variant(study: tuple[Path, Cohort, ExpressionNetwork], number: int) -> None:
    """Gene 0 lies on the plus strand, gene 1 on the minus strand."""
    run, cohort, network = study
    gene = cohort.gene(cohort.genes["gene_id"][number])
    scores = score_variants(run).table
    row = scores.filter(scores["gene_id"] == gene.gene_id).row(3, named=True)
    found = around_variant(network, cohort, gene.gene_id, row["position"], row["effect_allele"], flank=6)
    assert found.effect == pytest.approx(row["ism"], abs=2e-5)
    turn = str.maketrans("ACGT", "TGCA") if gene.strand == "-" else str.maketrans("", "")
    assert found.ref[found.marked] == row["other_allele"].translate(turn)
    assert found.alt[found.marked] == row["effect_allele"].translate(turn)
    reference = gene_sequences(cohort, gene.gene_id).reference()
    place = 128 + (row["position"] - gene.tss) * (1 if gene.strand == "+" else -1)
    spelled = "".join("ACGT"[int(each)] for each in reference.argmax(dim=1))
    assert found.ref == spelled[place + found.first : place + found.first + len(found.ref)]
    with torch.no_grad():
        start = float(network(reference[None])[0])
        for column in (0, found.marked, len(found.ref) - 1):
            losses = []
            for other in range(4):
                changed = reference.clone()
                changed[place + found.first + column] = torch.eye(4)[other]
                losses.append(float(network(changed[None])[0]) - start)
            assert found.mutagenesis[column] == pytest.approx(-sum(losses) / 3, abs=2e-5)
    x = reference.clone().requires_grad_()
    network(x[None]).sum().backward()
    assert x.grad is not None
    expected = (x.grad * reference).sum(dim=1).numpy()[place + found.first : place + found.first + len(found.ref)]
    np.testing.assert_allclose(found.gradient_ref, expected, atol=1e-5)


def test_the_highest_of_each_gene_and_its_picture(
    study: tuple[Path, Cohort, ExpressionNetwork], tmp_path: Path
) -> None:
    run, cohort, network = study
    table = score_variants(run).table
    found = list(around_top(run, None, table, 3))
    assert len({row["gene_id"] for row, _ in found}) == 3
    assert abs(found[0][0]["weight"]) == table["weight"].abs().max()
    around = found[0][1]
    rows = [("gradient, reference", around.ref, around.gradient_ref), ("mutagenesis", around.ref, around.mutagenesis)]
    figure = logos(rows, first=around.first, marked=around.marked, title="t", below="gain of M")
    letters = [patch for axis in figure.axes for patch in axis.patches]
    assert len(letters) == 2 + np.count_nonzero(around.gradient_ref) + np.count_nonzero(around.mutagenesis)
    assert "gain of M" in figure.axes[-1].get_xlabel()
    with pytest.raises(DataError, match="must have a finite height for every base"):
        logos([("x", "AC", np.array([1.0]))], first=0, marked=0, title="")
    with pytest.raises(DataError, match="is no base of the network's window"):
        around_variant(network, cohort, found[0][0]["gene_id"], 5, "A")
