"""Individuals of a cohort: genotypes, expression and covariates joined by name, counted, and divided into folds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Int64
from numpy import ndarray

from varfx.errors import ConfigError, DataError
from varfx.expression.cohort.config import PrepareConfig, PrepareFiles
from varfx.expression.cohort.fold_lists import read_folds, related_across
from varfx.expression.cohort.splits import PeopleSplit, split_people, unrelated
from varfx.genotypes.name_lists import alike, read_individuals, read_mapping
from varfx.genotypes.pair_lists import Pairs, read_pairs
from varfx.io.ledger import Ledger, Sieve

FEW_TESTED = 3  # test individuals; scores of so few say nothing


@dataclass(frozen=True, kw_only=True, eq=False)
class ChosenPeople:
    """The individuals of a cohort, in the order of the genotypes, and their folds."""

    names: tuple[str, ...]
    ledger: Ledger
    folds: tuple[PeopleSplit, ...]

    def training_rows(self) -> list[Int64[ndarray, " train"]]:
        """Rows of the training individuals of each fold."""
        row = {name: place for place, name in enumerate(self.names)}
        return [np.array([row[name] for name in fold.train], dtype=np.int64) for fold in self.folds]


def choose_people(
    inputs: PrepareFiles,
    config: PrepareConfig,
    *,
    genotyped: Sequence[str],
    expressed: Sequence[str],
    covariates: Sequence[str] | None,
) -> ChosenPeople:
    """The individuals of the files who have everything, less those whom the lists leave out; what was used is noted.

    Args:
        inputs: the lists.
        config: the rule for relatives, and the folds.
        genotyped: names in the genotypes.
        expressed: names in the expression file.
        covariates: names in the covariates, if there are any.

    Raises:
        DataError: a list that names nobody of the files, nobody left, or too few individuals for the folds.
        ConfigError: held-out populations without a list of populations.
    """
    known = dict.fromkeys([*genotyped, *expressed, *(covariates or ())])
    notes: list[str] = []
    keep: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    if inputs.people is not None:
        listed = read_individuals(inputs.people, "individuals", known)
        keep = listed.names
        _note_unknown(notes, "--people", listed.unknown, len(listed.names), known)
    if inputs.exclude_people is not None:
        listed = read_individuals(inputs.exclude_people, "individuals", known)
        exclude = listed.names
        _note_unknown(notes, "--exclude-people", listed.unknown, len(listed.names), known)
    pairs = Pairs(()) if inputs.relatives is None else read_pairs(inputs.relatives, "pairs of relatives", genotyped)
    if pairs.first_unknown is not None:
        total = len(pairs.pairs) + pairs.unrelated + pairs.unknown
        notes.append(
            f"--relatives: {pairs.unknown} of {total} pairs name someone without genotypes, first "
            f"{' '.join(pairs.first_unknown)}; {len(pairs.pairs)} pairs are used."
        )
    if pairs.unrelated:
        total = len(pairs.pairs) + pairs.unrelated
        notes.append(
            f"--relatives: {pairs.unrelated} of {total} pairs have {pairs.bound}: beyond the fourth degree, they are no relatives. Give "
            "two columns without that coefficient to use every pair."
        )
    apart = config.relatives_rule == "exclude"
    sieve = join_people(
        genotyped,
        expressed,
        covariates=covariates,
        keep=keep,
        exclude=exclude,
        relatives=pairs.pairs if apart else (),
    )
    for text in notes:
        sieve.ledger.note(text)
    names = tuple(sieve.frame["person"])
    populations = None
    if inputs.populations is not None:
        populations = read_mapping(inputs.populations, "individuals and their populations", known)
    elif config.split.heldout_populations:
        raise ConfigError("`heldout_populations` needs --populations FILE, with an individual and a population a line.")
    relatives = () if apart else pairs.pairs
    if not isinstance(config.split.folds, int):
        folds = _listed_folds(config.split.folds, names, known, pairs.pairs, sieve.ledger)
    else:
        folds = split_people(names, config.split, populations=populations, relatives=relatives)
    fewest = min(len(fold.test) for fold in folds)
    if fewest <= FEW_TESTED:
        says = "little" if fewest == FEW_TESTED else "nothing"
        sieve.ledger.note(
            f"The folds have test sets of {fewest} individuals: scores of so few say {says}. Add individuals, or raise "
            "--test-fraction."
        )
    return ChosenPeople(names=names, ledger=sieve.ledger, folds=folds)


def _listed_folds(
    path: str | os.PathLike[str],
    names: tuple[str, ...],
    known: Iterable[str],
    relatives: Sequence[tuple[str, str]],
    ledger: Ledger,
) -> tuple[PeopleSplit, ...]:
    """The folds of published lists; what was not used is noted."""
    listed = read_folds(path, names, list(known))
    across = related_across(listed.folds, relatives)
    for text in listed.notes:
        ledger.note(text)
    if across:
        ledger.note(
            f"--folds: {across} pairs of --relatives stand in different parts: test individuals have relatives in training."
        )
    return listed.folds


def join_people(
    genotyped: Sequence[str],
    expressed: Sequence[str],
    *,
    covariates: Sequence[str] | None = None,
    keep: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    relatives: Iterable[tuple[str, str]] = (),
) -> Sieve:
    """The individuals who have everything, in the order of the genotypes; column `person`.

    Args:
        genotyped: names in the genotypes.
        expressed: names in the expression file.
        covariates: names in the covariates, if there are any.
        keep: who may be used; by default everyone.
        exclude: who may not.
        relatives: pairs of whom not both are used; give none to use all.

    Raises:
        DataError: genotypes and expression (or covariates) have nobody in common, or nobody is left.
    """
    sieve = Sieve(pl.DataFrame({"person": list(genotyped)}, schema={"person": pl.String()}), "with genotypes")
    _restrict(sieve, expressed, "without expression", "genotypes", "expression")
    if covariates is not None:
        _restrict(sieve, covariates, "without covariates", "genotypes and expression", "covariates")
    if keep is not None:
        _restrict(sieve, keep, "not listed in --people", "genotypes and expression", "the list of individuals")
    if exclude:
        sieve.drop(sieve.frame["person"].is_in(list(exclude)), "excluded")
    left = unrelated(sieve.frame["person"].to_list(), relatives)
    if len(left) < sieve.frame.height:
        sieve.drop(~sieve.frame["person"].is_in(left), "relatives of others")
    if not sieve.frame.height:
        raise DataError(f"Nobody is left ({sieve.why()}). Check the lists of individuals.")
    return sieve


def _note_unknown(notes: list[str], option: str, unknown: Sequence[str], found: int, known: Iterable[str]) -> None:
    if unknown:
        hint = alike(unknown, list(known))
        notes.append(
            f"{option}: {len(unknown)} of {found + len(unknown)} names are in no file, first {unknown[0]!r}; {found} are "
            f"used.{hint}"
        )


def _restrict(sieve: Sieve, names: Sequence[str], step: str, these: str, those: str) -> None:
    before = sieve.frame["person"].to_list()
    sieve.drop(~sieve.frame["person"].is_in(list(names)), step)
    if not sieve.frame.height:
        raise DataError(
            f"{these} and {those} have nobody in common: {these} {_some(before)}, {those} {_some(names)}. Names must be "
            f"the same; samples can be named by individual with --samples FILE.{alike(before, names)}"
        )


def _some(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
