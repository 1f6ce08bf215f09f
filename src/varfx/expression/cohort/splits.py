"""Training, tuning and test individuals per fold, and held-out genes; the same for every model.

Individuals are ordered at random, populations evenly along the order, families in one piece. The test set of fold k is the
k-th stretch of that order and its tuning set the stretch behind it (around the end, if need be); all others train.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from varfx.errors import ConfigError, DataError
from varfx.expression.cohort.config import SplitConfig

LEAST_PEOPLE = 10
LEAST_TUNE, LEAST_TEST = 2, 3  # individuals to tune and to test on; scores need three


@dataclass(frozen=True)
class PeopleSplit:
    """One fold by names, each part in the order of the cohort."""

    train: tuple[str, ...]
    tune: tuple[str, ...]
    test: tuple[str, ...]


def split_people(
    people: Sequence[str],
    config: SplitConfig,
    *,
    populations: Mapping[str, str] | None = None,
    relatives: Iterable[tuple[str, str]] = (),
) -> tuple[PeopleSplit, ...]:
    """The folds of a cohort's individuals, the same for the same individuals (in any order), files and seed.

    Args:
        people: distinct names.
        config: shares, number of folds, seed.
        populations: of every individual; each part then holds about the same mixture.
        relatives: pairs who never stand in different parts; individuals outside the cohort are passed over.

    Raises:
        ConfigError: `folds` is no number.
        DataError: too few individuals for the folds, an individual without population, a population of a single individual, or
            families too large for the parts.
    """
    if len(people) < LEAST_PEOPLE:
        raise DataError(
            f"{len(people)} individuals cannot be split: at least {LEAST_PEOPLE} are needed. Add individuals."
        )
    population = _population_of(people, populations)
    unknown = [name for name in config.heldout_populations if name not in population.values()]
    if unknown:
        raise DataError(
            f"`heldout_populations`: nobody in the cohort is of {len(unknown)} of them, first {unknown[0]}. The "
            f"populations are {', '.join(sorted(set(population.values())))}."
        )
    aside = {name for name in people if population[name] in config.heldout_populations}
    units = families(people, relatives)
    mixed = [unit for unit in units if 0 < len(aside & set(unit)) < len(unit)]
    if mixed:
        raise DataError(
            f"`relatives`: {len(mixed)} families have members both inside and outside the held-out populations, first "
            f"{mixed[0][0]}'s. Exclude them with --exclude-people."
        )
    units = [unit for unit in units if unit[0] not in aside]
    order = _ordered(units, population, np.random.default_rng(config.seed))
    if not isinstance(config.folds, int):
        raise ConfigError("`folds` must be a number here; lists are read by `fold_lists.read_folds`.")
    total = sum(len(unit) for unit in order)
    sizes = {
        "tune": max(LEAST_TUNE, round(config.tune * total)),
        "test": max(LEAST_TEST, round(config.test * total)),
    }
    if aside:
        stretches = _stretches(order, [sizes["tune"]] * config.folds)
        parts = [(stretches[number], [sorted(aside)]) for number in range(config.folds)]
    else:
        stretches = _stretches(order, [sizes["test"]] * config.folds)
        parts = [
            (_behind(order, sum(map(len, stretches[: number + 1])), sizes["tune"]), stretches[number])
            for number in range(config.folds)
        ]
    return tuple(_fold(people, tune, test) for tune, test in parts)


def families(people: Sequence[str], relatives: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Individuals grouped so that every pair of relatives is in one group; groups and members sorted by name."""
    parent = {name: name for name in people}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for first, second in relatives:
        if first in parent and second in parent:
            low, high = sorted((root(first), root(second)))
            parent[high] = low
    groups: dict[str, list[str]] = {}
    for name in sorted(people):
        groups.setdefault(root(name), []).append(name)
    return [groups[name] for name in sorted(groups)]


def unrelated(people: Sequence[str], relatives: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The individuals who stay when, again and again, whoever has the most relatives left is taken out (ties: by name)."""
    links: dict[str, set[str]] = {name: set() for name in people}
    for first, second in relatives:
        if first in links and second in links and first != second:
            links[first].add(second)
            links[second].add(first)
    while True:
        worst = max(sorted(links), key=lambda name: len(links[name]), default=None)
        if worst is None or not links[worst]:
            return tuple(name for name in people if name in links)
        for other in links.pop(worst):
            links[other].discard(worst)


def split_genes(
    windows: Sequence[tuple[str, str, int, int]], config: SplitConfig
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Genes for training and genes held out, no two of which have windows that overlap.

    Whole clusters of overlapping windows are drawn at random while they fit, so that the share held out may fall short.

    Args:
        windows: gene id, chrom, start and end of each gene.
        config: `heldout_fraction` and `seed`.
    """
    target = round(config.heldout_fraction * len(windows))
    clusters = overlapping(windows)
    heldout: set[str] = set()
    for number in np.random.default_rng(config.seed).permutation(len(clusters)):
        if len(heldout) + len(clusters[number]) <= target:
            heldout |= set(clusters[number])
    ids = [window[0] for window in windows]
    return tuple(gene for gene in ids if gene not in heldout), tuple(gene for gene in ids if gene in heldout)


def overlapping(windows: Sequence[tuple[str, str, int, int]]) -> list[list[str]]:
    """Gene ids in clusters: windows that share a base are in the same one. In order of chromosome and start."""
    clusters: list[list[str]] = []
    last, reach = "", -1
    for gene, chrom, start, end in sorted(windows, key=lambda window: (window[1], window[2], window[0])):
        if chrom != last or start >= reach:
            clusters.append([])
            reach = -1
        clusters[-1].append(gene)
        last, reach = chrom, max(reach, end)
    return clusters


def _population_of(people: Sequence[str], populations: Mapping[str, str] | None) -> dict[str, str]:
    if populations is None:
        return dict.fromkeys(people, "")
    absent = [name for name in people if name not in populations]
    if absent:
        raise DataError(
            f"`populations`: {len(absent)} of {len(people)} individuals are not in it, first {absent[0]}. Add them, or leave "
            "them out with --exclude-people."
        )
    population = {name: populations[name] for name in people}
    members: dict[str, list[str]] = {}
    for name, group in population.items():
        members.setdefault(group, []).append(name)
    single = sorted(group for group, names in members.items() if len(names) == 1)
    if single:
        raise DataError(
            f"`populations`: {len(single)} of {len(members)} populations have a single individual, first {single[0]} "
            f"({members[single[0]][0]}): such an individual cannot be spread over train, tune and test. Merge populations, or "
            "leave them out with --exclude-people."
        )
    return population


def _ordered(units: list[list[str]], population: Mapping[str, str], rng: np.random.Generator) -> list[list[str]]:
    """Units at random, each population spread evenly."""
    groups: dict[str, list[list[str]]] = {}
    for unit in units:
        groups.setdefault(population[unit[0]], []).append(unit)
    keyed: list[tuple[float, str, list[str]]] = []
    for name in sorted(groups):
        shuffled = [groups[name][place] for place in rng.permutation(len(groups[name]))]
        offset = rng.random()
        keyed += [((place + offset) / len(shuffled), name, unit) for place, unit in enumerate(shuffled)]
    return [unit for _, _, unit in sorted(keyed, key=lambda entry: entry[:2])]


def _stretches(order: list[list[str]], sizes: list[int]) -> list[list[list[str]]]:
    """Disjoint stretches of units of about the sizes asked for, from the beginning."""
    stretches, place = [], 0
    for size in sizes:
        part = _behind(order, place, size, around=False)
        stretches.append(part)
        place += len(part)
    return stretches


def _behind(order: list[list[str]], place: int, size: int, *, around: bool = True) -> list[list[str]]:
    """Units from `place` on until they hold `size` individuals; over the end and on from the beginning, if `around`."""
    part: list[list[str]] = []
    count = 0
    while count < size and len(part) < len(order):
        if place >= len(order) and not around:
            raise DataError(
                f"{sum(map(len, order))} individuals cannot be split into so many folds with disjoint test sets. Lower --folds."
            )
        part.append(order[place % len(order)])
        count += len(part[-1])
        place += 1
    return part


def _fold(people: Sequence[str], tune: list[list[str]], test: list[list[str]]) -> PeopleSplit:
    tuned, tested = ({name for unit in part for name in unit} for part in (tune, test))
    train = tuple(name for name in people if name not in tuned and name not in tested)
    if len(train) < max(LEAST_TUNE, len(people) // 4) or tuned & tested:
        raise DataError(
            f"Of {len(people)} individuals {len(train)} would be left to train on: families of `relatives` are too large, or "
            "there are too few individuals. Exclude relatives, or lower --folds."
        )
    return PeopleSplit(
        train, tuple(name for name in people if name in tuned), tuple(name for name in people if name in tested)
    )
