"""Folds of individuals and held-out genes: partitions, disjoint test sets, families, populations, and their errors."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from varfx.errors import ConfigError, DataError
from varfx.expression.cohort.splits import (
    PeopleSplit,
    SplitConfig,
    families,
    overlapping,
    split_genes,
    split_people,
    unrelated,
)


def names(count: int) -> list[str]:
    return [f"S{number:03d}" for number in range(count)]


def check(folds: tuple[PeopleSplit, ...], people: list[str]) -> None:
    for fold in folds:
        assert sorted([*fold.train, *fold.tune, *fold.test]) == sorted(people)
        for part in (fold.train, fold.tune, fold.test):
            assert part
            assert sorted(part, key=people.index) == list(part)  # in the cohort's order
    tested = [name for fold in folds for name in fold.test]
    assert len(tested) == len(set(tested))


@given(count=st.integers(10, 300), folds=st.integers(1, 3), seed=st.integers(0, 50))
def test_any_cohort_of_ten_and_more_is_split_in_shares(count: int, folds: int, seed: int) -> None:
    split = split_people(names(count), SplitConfig(folds=folds, seed=seed))
    check(split, names(count))
    tune, test = max(2, round(count / 10)), max(3, round(count / 10))  # a score needs three individuals
    assert all((len(fold.tune), len(fold.test)) == (tune, test) for fold in split)


def test_shares_are_those_of_the_paper() -> None:
    (fold, *_) = split_people(names(838), SplitConfig())
    assert (len(fold.train), len(fold.tune), len(fold.test)) == (670, 84, 84)  # 671, 83, 84 in its files
    ten = split_people(names(838), SplitConfig(folds=9))
    check(ten, names(838))


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_people() -> None:
    people = names(50)
    first = split_people(people, SplitConfig())
    assert first == split_people(people, SplitConfig())
    assert first != split_people(people, SplitConfig(seed=1))
    turned = split_people(people[::-1], SplitConfig())
    assert [set(fold.test) for fold in turned] == [set(fold.test) for fold in first]


@given(
    pairs=st.lists(st.tuples(st.integers(0, 45), st.integers(0, 45)), max_size=25),
    seed=st.integers(0, 20),
)
def test_relatives_never_stand_in_different_parts(pairs: list[tuple[int, int]], seed: int) -> None:
    people = names(40)  # some of the pairs are of others
    related = [(f"S{a:03d}", f"S{b:03d}") for a, b in pairs]
    assume(max(len(group) for group in families(people, related)) <= 6)
    split = split_people(people, SplitConfig(seed=seed), relatives=related)
    check(split, people)
    for fold in split:
        part = {name: k for k, group in enumerate((fold.train, fold.tune, fold.test)) for name in group}
        assert all(part[a] == part[b] for a, b in related if a in part and b in part)


def test_a_family_of_nearly_everyone_cannot_be_split() -> None:
    people = names(20)
    with pytest.raises(DataError, match=r"families of `relatives` are too large|Lower --folds"):
        split_people(people, SplitConfig(), relatives=[(people[0], name) for name in people[1:18]])


def test_families_are_connected_components() -> None:
    assert families(["d", "c", "b", "a", "e"], [("a", "b"), ("b", "d"), ("x", "c"), ("e", "e")]) == [
        ["a", "b", "d"],
        ["c"],
        ["e"],
    ]


def test_unrelated_keeps_as_many_as_the_greedy_rule() -> None:
    star = [("hub", leaf) for leaf in "abc"]
    assert unrelated(["a", "hub", "b", "c"], star) == ("a", "b", "c")
    assert unrelated(["a", "b"], [("b", "a"), ("a", "a"), ("a", "other")]) == ("b",)
    assert unrelated(["a", "b"], []) == ("a", "b")


def test_populations_are_spread_evenly() -> None:
    people = names(200)
    population = {name: "ABCD"[min(3, number // 60)] for number, name in enumerate(people)}  # 60, 60, 60, 20
    for fold in split_people(people, SplitConfig(seed=4), populations=population):
        for part in (fold.train, fold.tune, fold.test):
            counts = Counter(population[name] for name in part)
            for group, size in (("A", 60), ("B", 60), ("C", 60), ("D", 20)):
                assert abs(counts[group] - size * len(part) / 200) <= 1.01


def test_held_out_populations_are_the_test_set_of_every_fold() -> None:
    people = names(60)
    population = {name: "YRI" if number % 5 == 0 else "CEU" for number, name in enumerate(people)}
    split = split_people(people, SplitConfig(heldout_populations=("YRI",)), populations=population)
    for fold in split:
        assert set(fold.test) == {name for name in people if population[name] == "YRI"}
        assert not set(fold.test) & {*fold.train, *fold.tune}
    tuned = [name for fold in split for name in fold.tune]
    assert len(tuned) == len(set(tuned)) == 15
    with pytest.raises(DataError, match=r"nobody in the cohort is of 1 of them, first FIN.*CEU, YRI"):
        split_people(people, SplitConfig(heldout_populations=("FIN",)), populations=population)
    with pytest.raises(DataError, match="1 families have members both inside and outside"):
        split_people(
            people, SplitConfig(heldout_populations=("YRI",)), populations=population, relatives=[("S000", "S001")]
        )


def test_populations_that_cannot_be_split() -> None:
    people = names(20)
    single = dict.fromkeys(people, "CEU") | {"S007": "YRI", "S009": "FIN"}
    with pytest.raises(DataError, match=r"2 of 3 populations have a single individual, first FIN \(S009\)"):
        split_people(people, SplitConfig(), populations=single)
    with pytest.raises(DataError, match="1 of 20 individuals are not in it, first S003"):
        split_people(people, SplitConfig(), populations={name: "CEU" for name in people if name != "S003"})


def test_too_few_people() -> None:
    with pytest.raises(DataError, match="9 individuals cannot be split: at least 10"):
        split_people(names(9), SplitConfig())
    with pytest.raises(DataError, match=r"cannot be split into so many folds.*Lower --folds"):
        split_people(names(10), SplitConfig(folds=6))
    with pytest.raises(DataError, match="would be left to train on"):
        split_people(names(10), SplitConfig(folds=2, tune=0.5, test=0.45))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"folds": 0}, "`folds` must be at least 1"),
        ({"tune": 0.0}, "`tune` must lie between"),
        ({"test": 1.0}, "`test` must lie between"),
        ({"tune": 0.6, "test": 0.4}, "leave nobody to train on"),
        ({"heldout_fraction": 1.0}, r"must be in \[0, 1\)"),
        ({"seed": -1}, "must not be negative"),
    ],
)
def test_options_out_of_range(option: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SplitConfig(**option)  # type: ignore[arg-type]


def windows(
    rng: np.random.Generator, count: int, length: int = 100, span: int = 5_000
) -> list[tuple[str, str, int, int]]:
    starts = rng.integers(0, span, count)
    return [(f"G{k}", str(1 + k % 2), int(start), int(start) + length) for k, start in enumerate(starts)]


@given(seed=st.integers(0, 100), fraction=st.floats(0, 0.6))
def test_held_out_windows_share_no_base_with_training_windows(seed: int, fraction: float) -> None:
    genes = windows(np.random.default_rng(seed), 40)
    train, heldout = split_genes(genes, SplitConfig(heldout_fraction=fraction, seed=seed))
    assert sorted([*train, *heldout]) == sorted(gene for gene, *_ in genes)
    assert len(heldout) <= round(fraction * 40)
    for gene, chrom, start, end in genes:
        for other, other_chrom, other_start, other_end in genes:
            if gene in heldout and other in train:
                assert chrom != other_chrom or end <= other_start or other_end <= start


def test_the_share_of_held_out_genes_is_met_where_windows_are_apart() -> None:
    genes = [(f"G{k}", "1", 100 * k, 100 * k + 100) for k in range(50)]  # touching is not overlapping
    assert len(overlapping(genes)) == 50
    train, heldout = split_genes(genes, SplitConfig())
    assert (len(train), len(heldout)) == (40, 10)
    assert split_genes(genes[::-1], SplitConfig()) == (train[::-1], heldout[::-1])
    assert split_genes(genes, SplitConfig(heldout_fraction=0)) == (tuple(f"G{k}" for k in range(50)), ())
