"""Score tests: null annotations, true ones, and those that the prior holds."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from cases.heritability import Draw, with_channel
from varfx.annotations import Annotations
from varfx.errors import DataError
from varfx.likelihood.blocks import Blocks
from varfx.likelihood.maximise import Pieces
from varfx.prior.heritability.score_test import efficient_scores, score_test
from varfx.prior.heritability.source import OwnDirections


def test_a_true_annotation_is_found_and_random_ones_are_calibrated(draw: Draw, active: Annotations) -> None:
    found = score_test(draw(0), active, random_annotations=200, random_fraction=0.1)
    (test,) = found.tests
    assert not test.held
    z = [test.z, *(score_test(draw(seed), active).tests[0].z for seed in range(1, 5))]
    assert np.mean(z) > 1.3
    assert min(z) > 0
    assert found.random_rms is not None
    assert 0.7 < found.random_rms < 1.4
    assert abs(found.random_z.mean()) < 0.3


def test_a_held_annotation_has_z_0(draw: Draw, active: Annotations) -> None:
    prior = draw(1)
    inside = active.table["active"].to_numpy().astype(np.float64)
    slope = np.random.default_rng(2).uniform(0.3, 1, inside.size)
    own = OwnDirections(
        names=("active",), values=(slope * (inside - 0.4))[:, None], coefficients=np.zeros(1), slope=slope
    )
    # the slope itself is the direction of the level in the model's own scale
    own = replace(own, names=("level", "active"), values=np.c_[slope, own.values], coefficients=np.zeros(2))
    found = score_test(replace(prior, own=own), active)
    (test,) = found.tests
    assert test.held
    assert (test.z, test.p) == (0, 1)
    assert any("holds 1 of the annotations already, first `active`" in note for note in found.notes)


def test_two_names_of_one_annotation_have_one_z(draw: Draw, active: Annotations) -> None:
    inside = active.table["active"].to_numpy()
    found = score_test(draw(2), with_channel(active, "opposite", 1 - inside))
    assert found.tests[0].z == pytest.approx(-found.tests[1].z, rel=1e-6)


def test_few_windows_are_tested_by_the_model(draw: Draw, active: Annotations) -> None:
    found = score_test(replace(draw(3), windows=tuple(range(10))), active)
    assert found.tests[0].z == found.tests[0].z_model
    assert any("only 10 windows: z is model-based" in note for note in found.notes)


def test_efficient_scores_of_a_regression(rng: np.random.Generator) -> None:
    """With normal errors of variance 1 the model-based Z is that of the partial regression."""
    x, y = rng.standard_normal((80, 4)), rng.standard_normal(80)
    base = x[:, [0, 1, 3]]  # parameters: base, new, and one that stands for log sigma2
    residual = y - base @ np.linalg.lstsq(base, y, rcond=None)[0]
    pieces = Pieces(0.0, residual[:, None] * x, x[:, :, None] * x[:, None, :])
    bounds = np.array([0, 3, 7, 20, 41, 66, 80])
    found = efficient_scores(pieces, 2, Blocks(bounds, 3, missing=0.19))
    left = x[:, 2] - base @ np.linalg.lstsq(base, x[:, 2], rcond=None)[0]
    assert found.z_model[0] == pytest.approx(left @ y / np.linalg.norm(left), rel=1e-8)
    U = np.array([left[a:b] @ residual[a:b] for a, b in itertools.pairwise(bounds)])
    assert found.z[0] == pytest.approx(0.9 * U.sum() / np.sqrt((U**2).sum()), rel=1e-8)
    assert found.t is not None
    assert found.t[0] == pytest.approx(0.9 * U.mean() / (U.std(ddof=1) / 6**0.5), rel=1e-8)
    parts = np.array([(left[a:b] ** 2).sum() for a, b in itertools.pairwise(bounds)])
    assert found.df is not None
    assert found.df[0] == pytest.approx(parts.sum() ** 2 / (parts**2).sum() - 1, rel=1e-8)
    assert not found.held[0]
    assert efficient_scores(pieces, 2, None).z[0] == found.z_model[0]


def test_an_empty_random_annotation_is_refused(draw: Draw, active: Annotations) -> None:
    with pytest.raises(DataError, match="`random-fraction` 1e-05 of 960 variants is none"):
        score_test(draw(4), active, random_annotations=1, random_fraction=1e-5)
