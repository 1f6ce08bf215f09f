"""Whose genotypes, expression and covariates are used: people joined by name, and counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from varfx.errors import DataError
from varfx.expression.cohort.genes import Ledger
from varfx.expression.cohort.splits import unrelated


def join_people(
    genotyped: Sequence[str],
    expressed: Sequence[str],
    *,
    covariates: Sequence[str] | None = None,
    keep: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    relatives: Iterable[tuple[str, str]] = (),
) -> Ledger:
    """The people who have everything, in the order of the genotypes; column `person`.

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
    ledger = Ledger(pl.DataFrame({"person": list(genotyped)}, schema={"person": pl.String()}), "with genotypes")
    _restrict(ledger, expressed, "without expression", "genotypes", "expression")
    if covariates is not None:
        _restrict(ledger, covariates, "without covariates", "genotypes and expression", "covariates")
    if keep is not None:
        _restrict(ledger, keep, "not listed in --people", "genotypes and expression", "the list of people")
    if exclude:
        ledger.drop(ledger.frame["person"].is_in(list(exclude)), "excluded")
    left = unrelated(ledger.frame["person"].to_list(), relatives)
    if len(left) < ledger.frame.height:
        ledger.drop(~ledger.frame["person"].is_in(left), "relatives of others")
    if not ledger.frame.height:
        raise DataError(f"Nobody is left ({ledger.why()}). Check the lists of people.")
    return ledger


def _restrict(ledger: Ledger, names: Sequence[str], step: str, these: str, those: str) -> None:
    before = ledger.frame["person"].to_list()
    ledger.drop(~ledger.frame["person"].is_in(list(names)), step)
    if not ledger.frame.height:
        raise DataError(
            f"{these} and {those} have nobody in common: {these} {_some(before)}, {those} {_some(names)}. Names must be "
            "the same; samples can be named by person with --samples FILE."
        )


def _some(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
