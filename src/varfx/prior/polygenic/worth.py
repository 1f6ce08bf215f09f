"""Worth of a polygenic score: the share of a phenotype's variance that it explains, and for cases and controls the AUC.

    R2 = r^2, r the correlation of score and phenotype; with covariates r is partial, and R2 the gain over the covariates alone,
         (1 - R2_covariates) r^2. Interval by Fisher's z of r, on n - 3 - (number of covariates) degrees of freedom.
    AUC = P(score of a case > score of a control), ties half; interval by DeLong's variance (1988), on the logit scale. With
         covariates the score is replaced by its residual on them.

No liability scale is assumed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import norm, rankdata

from varfx.errors import DataError
from varfx.io.text_numbers import MISSING
from varfx.io.text_table import open_table

PathLike = str | os.PathLike[str]
Z95 = float(norm.ppf(0.975))
LEAST = 10  # individuals


@dataclass(frozen=True, kw_only=True)
class Worth:
    """What a score tells about a phenotype.

    Attributes:
        score: its name.
        phenotype: its name.
        n: individuals with both, and all covariates.
        cases: of these, for a phenotype of two values; else None.
        r2: see the module.
        r2_ci95: its interval.
        r2_covariates: share explained by the covariates alone.
        auc: for cases and controls; else None.
        auc_ci95: its interval.
    """

    score: str
    phenotype: str
    n: int
    cases: int | None
    r2: float
    r2_ci95: tuple[float, float]
    r2_covariates: float
    auc: float | None
    auc_ci95: tuple[float, float] | None

    def to_dict(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self.__dict__.items()}


def read_columns(
    path: PathLike, people: pl.DataFrame, name: str | None = None
) -> tuple[list[str], Float[ndarray, "individual column"]]:
    """Names and values of the numeric columns of a table, on the rows of `people`; NaN where an individual has none.

    Args:
        path: a table with a header: IID, optionally FID, and columns of numbers; NA, nan, . and empty fields are missing.
        people: `fid, iid`.
        name: the only column wanted.

    Raises:
        FormatError: the file cannot be read.
        DataError: no such column, text where numbers should be, individuals listed twice, or none known.
    """
    table = open_table(path)
    upper = [column.strip().lstrip("#").upper() for column in table.names]
    if "IID" not in upper:
        raise DataError(
            f"`{path}` has no column IID; it has {', '.join(table.names[:10])[:120]}. Add a header with IID."
        )
    wanted = [number for number, word in enumerate(upper) if word not in ("IID", "FID")]
    if name is not None:
        wanted = [number for number in wanted if table.names[number] == name]
    if not wanted:
        columns = ", ".join(table.names[:10])[:120]
        raise DataError(f"`{path}` has no column {f'`{name}`' if name else 'beside FID and IID'}; it has {columns}.")
    frame = table.read([upper.index("IID"), *wanted], MISSING)
    iid = frame[str(upper.index("IID"))] if str(upper.index("IID")) in frame.columns else frame.to_series(0)
    text = frame.drop(frame.columns[0])
    values = text.select(pl.all().cast(pl.Float64, strict=False))
    for column, number in zip(text.columns, wanted, strict=True):
        bad = text[column].is_not_null() & values[column].is_null()
        if bad.any():
            raise DataError(
                f"`{path}`: `{table.names[number]}` is no number in {bad.sum()} of {bad.len()} rows, first row {int(bad.arg_max() or 0) + 1}. "
                "Write NA for missing values, and numbers for groups."
            )
        _refuse_minus_nine(values[column].to_numpy(), table.names[number], path)
    place = {key: row for row, key in enumerate(iid.to_list())}
    if len(place) < iid.len():
        raise DataError(f"`{path}`: {iid.len() - len(place)} individuals are listed twice. Keep one row of each.")
    names = people["iid"].to_list()
    if len(set(names)) < len(names):
        raise DataError(
            f"`{path}`: {len(names) - len(set(names))} individuals with genotypes have the IID of another one, so that a row may belong to "
            "either. Give each its own IID."
        )
    rows = np.array([place.get(key, -1) for key in names])
    if not (rows >= 0).any():
        raise DataError(f"`{path}`: none of its {iid.len()} individuals has genotypes. Check the column IID.")
    found = values.to_numpy()[rows]
    found[rows < 0] = np.nan
    return [table.names[number] for number in wanted], found


def _refuse_minus_nine(values: Float[ndarray, " row"], name: str, path: PathLike) -> None:
    """Refuses -9 that may be PLINK's word for missing: in several rows, or beyond all other values.

    Raises:
        DataError: with how many rows.
    """
    known = values[np.isfinite(values)]
    others, count = known[known != -9], int((known == -9).sum())
    if count and (count > 1 or not others.size or not others.min() < -9):
        raise DataError(
            f"`{path}`: `{name}` is -9 in {count} of {values.size} rows, which PLINK takes for missing. Write NA for missing values, or "
            "add a constant if -9 is a value."
        )


def read_phenotype(
    path: PathLike, people: pl.DataFrame, name: str | None = None
) -> tuple[str, Float[ndarray, " individual"]]:
    """Name and values of a phenotype; two values become 0 and 1, the larger one for cases.

    Raises:
        DataError: several columns and no name, or codes that can be read in two ways.
    """
    names, values = read_columns(path, people, name)
    if len(names) > 1:
        raise DataError(
            f"`{path}` has {len(names)} columns: {', '.join(names[:10])[:120]}. Choose one with --phenotype-name."
        )
    y = values[:, 0]
    found = set(np.unique(y[np.isfinite(y)]).tolist())
    if found == {0.0, 1.0, 2.0}:
        raise DataError(
            f"`{path}`: `{names[0]}` has the values {', '.join(f'{value:g}' for value in sorted(found))}, of which 0 may mean "
            "missing. Write NA for missing values, and two values for controls and cases."
        )
    if len(found) < 2:
        raise DataError(
            f"`{path}`: `{names[0]}` has {len(found)} different values among the individuals scored: it must vary. Check "
            "the column, and whose phenotypes these are."
        )
    return names[0], np.where(np.isfinite(y), y == max(found), np.nan) if len(found) == 2 else y


def worth(
    name: str,
    score: ndarray,
    phenotype: str,
    y: ndarray,
    covariates: Float[ndarray, "individual covariate"] | None = None,
) -> Worth:
    """Worth of one score; individuals with a missing value are left out.

    Raises:
        DataError: fewer than 10 individuals are left, or a score or phenotype without variance.
    """
    given = np.zeros((y.size, 0)) if covariates is None else covariates
    known = np.isfinite(y) & np.isfinite(given).all(1)
    if known.sum() < LEAST + given.shape[1]:
        raise DataError(
            f"only {known.sum()} individuals have a score, the phenotype and all covariates; at least {LEAST + given.shape[1]} are needed."
        )
    y, score = y[known], score[known]
    Z = np.column_stack([np.ones(y.size), given[known]])
    residuals = [each - Z @ np.linalg.lstsq(Z, each, rcond=None)[0] for each in (score, y)]
    spread = [float(each @ each) for each in residuals]
    if spread[0] <= 1e-12 * float(score @ score) or spread[1] <= 1e-12 * float(y @ y):
        which = f"score `{name}`" if spread[0] <= 1e-12 * float(score @ score) else f"phenotype `{phenotype}`"
        beside = " beside the covariates, which explain all of it" if given.shape[1] else ""
        raise DataError(f"the {which} does not vary between the {y.size} individuals{beside}. Check the columns.")
    r = float(residuals[0] @ residuals[1]) / np.sqrt(spread[0] * spread[1])
    left = spread[1] / float(((y - y.mean()) ** 2).sum())
    binary = set(np.unique(y).tolist()) == {0.0, 1.0}
    auc, interval = auc_of(residuals[0], y == 1) if binary else (None, None)
    return Worth(
        score=name,
        phenotype=phenotype,
        n=int(y.size),
        cases=int(y.sum()) if binary else None,
        r2=left * r**2,
        r2_ci95=tuple(left * each for each in _r2_interval(r, y.size - 3 - given.shape[1])),  # type: ignore[arg-type]
        r2_covariates=1 - left,
        auc=auc,
        auc_ci95=interval,
    )


def auc_of(score: Float[ndarray, " individual"], case: ndarray) -> tuple[float, tuple[float, float]]:
    """AUC and its 95 % interval."""
    cases, controls = score[case], score[~case]
    ranks = rankdata(score)
    in_cases = (ranks[case] - rankdata(cases)) / controls.size  # share of controls below each case
    in_controls = 1 - (ranks[~case] - rankdata(controls)) / cases.size
    auc = float(in_cases.mean())
    if min(cases.size, controls.size) < 2 or auc in (0.0, 1.0):
        return auc, (0.0, 1.0)
    error = np.sqrt(in_cases.var(ddof=1) / cases.size + in_controls.var(ddof=1) / controls.size)
    half = Z95 * error / (auc * (1 - auc))
    middle = np.log(auc / (1 - auc))
    low, high = (float(1 / (1 + np.exp(-(middle + side * half)))) for side in (-1, 1))
    return auc, (low, high)


def _r2_interval(r: float, freedom: int) -> tuple[float, float]:
    """Interval of r^2 by Fisher's z."""
    half = Z95 / np.sqrt(freedom)
    low, high = np.tanh(np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15)) + np.array([-half, half]))
    return (0.0 if low < 0 < high else float(min(low**2, high**2))), float(max(low**2, high**2))
