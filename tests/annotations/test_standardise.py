"""Standardisation by name, with an indicator for what is missing."""

from __future__ import annotations

import json
import logging
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varfx.annotations import Standardiser
from varfx.errors import DataError

NAMES = ("eaf", "peak", "score")


def example() -> tuple[np.ndarray, np.ndarray]:
    """`score` has a gap."""
    values = np.array([[0.1, 1, np.nan], [0.3, 0, 10], [0.5, 0, 30]], dtype=np.float32)
    return values, np.isnan(values)


def test_features_are_standardised_and_gaps_indicated() -> None:
    values, missing = example()
    standardiser = Standardiser.fit(NAMES, values, missing)
    assert standardiser.feature_names == ("eaf", "peak", "score", "score.missing")
    features = standardiser.apply(NAMES, values, missing)
    assert features.dtype == np.float32
    third = np.sqrt(2)
    expected = [
        [-np.sqrt(1.5), third, 0, 1],
        [0, -1 / third, -1, 0],
        [np.sqrt(1.5), -1 / third, 1, 0],
    ]
    np.testing.assert_allclose(features, expected, atol=1e-6)


def test_what_stands_in_a_gap_does_not_matter() -> None:
    values, missing = example()
    filled = np.where(missing, np.float32(1e6), values)
    one, other = Standardiser.fit(NAMES, values, missing), Standardiser.fit(NAMES, filled, missing)
    np.testing.assert_array_equal(one.apply(NAMES, values, missing), other.apply(NAMES, filled, missing))


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(4)), st.integers(0, 2**32 - 1))
def test_columns_are_matched_by_name(order: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = ["a", "b", "c", "extra"]
    values = rng.normal(3, 2, (20, 4)).astype(np.float32)
    missing = rng.uniform(size=values.shape) < 0.2
    standardiser = Standardiser.fit(names[:3], values[:, :3], missing[:, :3])
    features = standardiser.apply(names[:3], values[:, :3], missing[:, :3])
    mixed = standardiser.apply([names[k] for k in order], values[:, order], missing[:, order])
    np.testing.assert_array_equal(mixed, features)
    for k in range(3):
        present = features[~missing[:, k], k]
        assert abs(present.mean()) < 1e-5
        assert abs(present.std() - 1) < 1e-5
        assert (features[missing[:, k], k] == 0).all()
    again = Standardiser.from_dict(json.loads(json.dumps(standardiser.to_dict())))
    np.testing.assert_array_equal(again.apply(names, values, missing), features)
    assert again.to_dict() == standardiser.to_dict()


def test_large_offsets_keep_their_digits() -> None:
    """A float32 sum over a million values of 1e6 + noise would lose the noise."""
    rng = np.random.default_rng(2)
    values = (1e4 + rng.normal(size=(300_000, 1))).astype(np.float32)
    standardiser = Standardiser.fit(["x"], values, np.zeros(values.shape, dtype=bool))
    np.testing.assert_allclose(standardiser.mean, values.astype(np.float64).mean(), rtol=1e-12)
    np.testing.assert_allclose(standardiser.sd, values.astype(np.float64).std(), rtol=1e-9)


def test_constant_and_empty_channels_are_noted_and_harmless() -> None:
    values = np.array([[0.1, np.nan], [0.1, np.nan], [0.1, np.nan]], dtype=np.float32)
    standardiser = Standardiser.fit(["flat", "void"], values, np.isnan(values))
    assert standardiser.sd.tolist() == [1, 1]
    assert standardiser.notes == (
        "Channel `flat` is 0.1 for all variants: it can teach nothing.",
        "Channel `void` is missing for all variants: it can teach nothing.",
    )
    features = standardiser.apply(["flat", "void"], values, np.isnan(values))
    np.testing.assert_array_equal(features, [[0, 0, 1]] * 3)


def test_a_missing_name_is_an_error_and_an_extra_one_a_note(caplog: pytest.LogCaptureFixture) -> None:
    values, missing = example()
    standardiser = Standardiser.fit(NAMES, values, missing)
    with pytest.raises(
        DataError, match=r"2 of 3 channels that the model was fitted with are not there: `eaf`, `score`\."
    ):
        standardiser.apply(["peak"], values[:, 1:2], missing[:, 1:2])
    with caplog.at_level(logging.INFO, logger="varfx"):
        standardiser.apply([*NAMES, "more"], np.c_[values, [1, 2, 3]], np.c_[missing, [False] * 3])
    assert "1 channels unknown to the model are ignored: more" in caplog.text


def test_a_gap_that_is_new_when_predicting_becomes_the_mean_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    values, missing = example()
    standardiser = Standardiser.fit(NAMES, values, missing)
    missing[2, 0] = True
    with caplog.at_level(logging.WARNING, logger="varfx"):
        features = standardiser.apply(NAMES, values, missing)
    assert features[2, 0] == 0
    assert features.shape == (3, 4)
    assert "channel `eaf` is missing for 1 of 3 variants, but was complete when the model was fitted" in caplog.text


def test_arrays_are_checked() -> None:
    values, missing = example()
    with pytest.raises(DataError, match="the name `peak` stands more than once"):
        Standardiser.fit(["eaf", "peak", "peak"], values, missing)
    with pytest.raises(
        DataError, match=r"`values` \(3, 3\) and `missing` \(3, 3\) must both have shape \(variants, 2\)"
    ):
        Standardiser.fit(["eaf", "peak"], values, missing)
    with pytest.raises(DataError, match="at least one variant"):
        Standardiser.fit(NAMES, values[:0], missing[:0])
    with pytest.raises(DataError, match="channel `score` is not finite in 1 of 3 rows, first row 1"):
        Standardiser.fit(NAMES, values, np.zeros_like(missing))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": None}, "not one mean"),
        ({"mean": [0.0, 1.0]}, "not one mean and positive sd per channel"),
        ({"sd": [1.0, 1.0, 0.0]}, "not one mean and positive sd per channel"),
        ({"mean": [0.0, 1.0, "x"]}, "cannot be read"),
    ],
)
def test_a_stored_standardiser_is_checked(change: dict[str, Any], message: str) -> None:
    stored = {**Standardiser.fit(NAMES, *example()).to_dict(), **change}
    with pytest.raises(DataError, match=message):
        Standardiser.from_dict(stored)
    del stored["sd"]
    with pytest.raises(DataError, match="cannot be read"):
        Standardiser.from_dict(stored)


def test_a_channel_that_few_variants_decide_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """One carrier in 72,194 variants used to become a feature of 269 standard deviations without a word."""
    values = np.zeros((72_194, 2), dtype=np.float32)
    values[5, 0] = 1
    values[::2500, 1] = 1  # 29 carriers: 49.9 standard deviations
    standardiser = Standardiser.fit(["rare", "peaks"], values, np.zeros(values.shape, dtype=bool))
    (note,) = standardiser.notes
    assert note.startswith(
        "Channel `rare`: 1 of 72194 variants lie more than 50 standard deviations from the mean, up to 269."
    )
    assert caplog.messages == [note]
