"""Splits of windows: no window twice, the gap between parts, spellings of chromosomes, and errors."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from varfx.errors import ConfigError, DataError
from varfx.prior.config import SplitConfig
from varfx.prior.split import split_windows

MEGABASE = 1_000_000


def windows(chroms: dict[str, list[int]], core: int = MEGABASE) -> pl.DataFrame:
    rows = [(chrom, start, start + core) for chrom, starts in chroms.items() for start in starts]
    return pl.DataFrame(rows, schema=["chrom", "start", "end"], orient="row")


THREE = windows({"1": [i * MEGABASE for i in range(10)], "2": [i * MEGABASE for i in range(6)], "X": [0, MEGABASE]})


@st.composite
def panels(draw: st.DrawFn) -> pl.DataFrame:
    chroms = draw(st.lists(st.sampled_from(["1", "2", "7", "22", "X"]), min_size=1, max_size=4, unique=True))
    starts = st.lists(st.integers(0, 30), min_size=1, max_size=15, unique=True).map(
        lambda numbers: [number * MEGABASE for number in sorted(numbers)]
    )
    return windows({chrom: draw(starts) for chrom in chroms})


@given(
    panels(),
    st.floats(0, 0.9),
    st.floats(0, 0.9),
    st.sampled_from([0, 1, MEGABASE // 2, MEGABASE, 3 * MEGABASE]),
    st.integers(0, 5),
    st.data(),
)
def test_parts_are_apart(
    panel: pl.DataFrame, holdout: float, validation: float, flank: int, seed: int, data: st.DataObject
) -> None:
    chroms = panel["chrom"].unique().to_list()
    named = data.draw(st.lists(st.sampled_from(chroms), unique=True, max_size=2))
    excluded = data.draw(st.lists(st.sampled_from(chroms), unique=True, max_size=1))
    excluded = [name for name in excluded if name not in named]
    config = SplitConfig(
        holdout_chrom=tuple(named[:1]),
        validation_chrom=tuple(named[1:]),
        exclude_chrom=tuple(excluded),
        holdout_fraction=holdout,
        validation_fraction=validation,
        seed=seed,
    )
    try:
        split = split_windows(panel, config, flank=flank)
    except ConfigError:
        assume(False)  # nothing is left to train on; see the test of that error
    parts = [split.train, split.validation, split.holdout, split.gap]
    everything = [index for part in parts for index in part]
    assert sorted(everything) == [i for i, name in enumerate(panel["chrom"]) if name not in excluded]
    assert split == split_windows(panel, config, flank=flank)
    assert split.train
    rows = list(panel.iter_rows())
    for number, part in enumerate(parts[:3]):
        for other in parts[number + 1 : 3]:
            for i in part:
                for j in other:
                    first, second = sorted([rows[i], rows[j]])
                    assert first[0] != second[0] or second[1] - first[2] >= flank


def test_named_chromosomes_are_all_held_out() -> None:
    split = split_windows(THREE, SplitConfig(holdout_chrom=("2",), validation_chrom=("X",)), flank=MEGABASE)
    assert split.train == tuple(range(10))
    assert split.holdout == tuple(range(10, 16))
    assert split.validation == (16, 17)
    assert split.gap == ()


@pytest.mark.parametrize("spelling", ["chrX", "X", "23", "x", "chr23"])
def test_spellings(spelling: str) -> None:
    config = SplitConfig(holdout_chrom=("chr2",), validation_chrom=(spelling,))
    assert (config.holdout_chrom, config.validation_chrom) == (("2",), ("X",))
    assert split_windows(THREE, config, flank=0).validation == (16, 17)


def test_fractions_are_contiguous_with_a_gap_of_a_flank_on_both_sides() -> None:
    panel = windows({"1": [i * MEGABASE for i in range(40)]})
    for seed in range(10):
        split = split_windows(
            panel, SplitConfig(holdout_fraction=0.25, validation_fraction=0.2, seed=seed), flank=MEGABASE
        )
        assert len(split.holdout) == 10
        assert list(split.holdout) == list(range(split.holdout[0], split.holdout[0] + 10))
        around = {split.holdout[0] - 1, split.holdout[-1] + 1} & set(range(40))
        assert around <= set(split.gap)
        assert 0 < len(split.gap) <= 4 + 2


def test_nothing_held_out_by_default_but_a_part_validates() -> None:
    split = split_windows(THREE, SplitConfig(), flank=MEGABASE)
    assert split.holdout == ()
    assert len(split.validation) == round(0.15 * 18)


def test_without_validation_fraction_all_windows_train() -> None:
    assert split_windows(THREE, SplitConfig(validation_fraction=0), flank=MEGABASE).train == tuple(range(18))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"holdout_fraction": 1.0}, r"`holdout-fraction` must be at least 0 and below 1, got 1.0"),
        ({"validation_fraction": -0.1}, r"`validation-fraction` must be at least 0 and below 1, got -0.1"),
        (
            {"holdout_chrom": ("1", "2"), "validation_chrom": ("chr2",)},
            "chromosome 2 is named both for holdout and for validation: choose one",
        ),
        (
            {"holdout_chrom": ("23",), "exclude_chrom": ("X",)},
            "chromosome X is named both for holdout and for exclusion: choose one",
        ),
    ],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SplitConfig(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["holdout", "validation", "exclude"])
def test_unknown_chromosomes(name: str) -> None:
    config = SplitConfig(**{f"{name}_chrom": ("21", "1", "20")})  # type: ignore[arg-type]
    message = f"`{name}-chrom` names 2 chromosomes that the panel does not have, first 20. It has 1, 2, X."
    with pytest.raises(ConfigError, match=message):
        split_windows(THREE, config, flank=0)


def test_nothing_left_to_train_on() -> None:
    with pytest.raises(
        ConfigError, match="no training windows are left: of 18 windows with data 18 are held out, 0 validate"
    ):
        split_windows(THREE, SplitConfig(holdout_chrom=("1", "2", "X")), flank=0)


HALF = np.arange(18) < 10  # chromosome 1 has data, 2 and X have none


def test_every_part_is_chosen_among_windows_with_data() -> None:
    for seed in range(20):
        split = split_windows(
            THREE, SplitConfig(holdout_fraction=0.2, validation_fraction=0.15, seed=seed), flank=0, has_data=HALF
        )
        assert len(split.holdout) == 2
        assert len(split.validation) == 1
        assert sorted(split.train + split.validation + split.holdout) == list(range(10))
        assert split.gap == ()


@pytest.mark.parametrize("name", ["holdout", "validation"])
def test_a_named_part_without_data_is_refused(name: str) -> None:
    config = SplitConfig(**{f"{name}_chrom": ("X", "2")})  # type: ignore[arg-type]
    with pytest.raises(DataError, match=rf"`{name}-chrom`: none of the 8 windows on X, 2 holds an association"):
        split_windows(THREE, config, flank=0, has_data=HALF)


def test_no_data_where_training_is_allowed() -> None:
    with pytest.raises(DataError, match="none of the 8 possible training windows holds an association"):
        split_windows(THREE, SplitConfig(holdout_chrom=("1",)), flank=0, has_data=HALF)


def test_a_missing_validation_part_is_said(caplog: pytest.LogCaptureFixture) -> None:
    one = np.arange(18) == 4
    assert split_windows(THREE, SplitConfig(), flank=0, has_data=one).train == (4,)
    assert caplog.messages == ["no validation window is left: the score of the training windows decides when to stop"]
    caplog.clear()
    split_windows(THREE, SplitConfig(validation_fraction=0), flank=0, has_data=one)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"holdout_chrom": ("1", "2", "X")}, "Give fewer chromosomes with --holdout-chrom, or build the panel"),
        ({"validation_chrom": ("1", "2", "X")}, "Give fewer chromosomes with --validation-chrom, or build"),
        ({"exclude_chrom": ("1", "2", "X")}, "Give fewer chromosomes with --exclude-chrom, or build the panel"),
    ],
)
def test_advice_names_the_options_in_use(options: dict[str, tuple[str, ...]], advice: str) -> None:
    with pytest.raises(ConfigError, match=f"no training windows are left.* {advice}"):
        split_windows(THREE, SplitConfig(**options), flank=0)  # type: ignore[arg-type]


def test_what_is_no_chromosome_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"`--validation-chrom` names 'chrQ', which is no chromosome\. Give 1 to 22"):
        SplitConfig(validation_chrom=("chr1", "chrQ"))
    assert SplitConfig(holdout_chrom=("chr1 GL000219.1",)).holdout_chrom == (
        "1",
        "GL000219.1",
    )  # a contig is none's mistake
