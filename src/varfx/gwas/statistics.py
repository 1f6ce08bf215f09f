"""z from whatever a file gives, in the order of trust, and never through an underflowing p-value.

    sign(effect) sqrt(chi2)  >  sign(effect) |qnorm(p / 2)| from -log10 p  >  z  >  effect / SE  >  from p itself

p itself comes last because files round it to two digits. A row that lacks one statistic takes the next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import polars as pl
from jaxtyping import Float
from numpy import ndarray
from scipy.special import ndtri_exp

from varfx.errors import DataError
from varfx.io.ledger import Ledger

logger = logging.getLogger(__name__)

_DISAGREEMENT = (0.1, 0.05)  # absolute and relative, on |z|: two-digit p-values stay within


def z_from_neg_log10_p(neg_log10_p: Float[ndarray, " variant"]) -> Float[ndarray, " variant"]:
    """|z| of two-sided p-values given as -log10 p; NaN below 0.

    |z| = -qnorm(p / 2) is evaluated from log(p / 2), so p = 1e-100000 is as exact as p = 0.1.
    """
    values = np.asarray(neg_log10_p, dtype=np.float64)
    half = -values * np.log(10.0) - np.log(2.0)
    with np.errstate(all="ignore"):
        z: ndarray = np.maximum(-ndtri_exp(np.minimum(half, -np.log(2.0))), 0.0)
    # A p of 1 printed with a rounding error is 1; anything further below 0 is no -log10 p.
    return np.where(values < -1e-6, np.nan, z)


def z_scores(raw: pl.DataFrame, ledger: Ledger, *, source: str) -> pl.Series:
    """z of each row by the order of trust above, null where its statistics are missing, NaN where they are wrong.

    Args:
        raw: table of roles from `read_gwas`.
        ledger: how many rows each rule served is noted here.
        source: the file, for messages.

    Raises:
        DataError: the file has no statistic that gives z, or only unsigned ones.
    """
    effect = _effect(raw)
    z = pl.Series("z", [None], dtype=pl.Float64).new_from_index(0, raw.height)
    rules = _rules(raw, effect)
    if not rules:
        raise DataError(
            f"`{source}` gives no z: it has {', '.join(_statistics(raw)) or 'no statistic'}. "
            f"Needed are z, or an effect (beta or odds ratio) with its SE, chi-square or p-value."
        )
    for label, rule in rules:
        lacking = z.is_null()
        if not lacking.any():
            break
        candidate = rule()
        ledger.add("z", int((lacking & candidate.is_not_null()).sum()), label)
        z = pl.select(pl.coalesce(z, candidate)).to_series()
    return z.alias("z")


def _rules(raw: pl.DataFrame, effect: pl.Series | None) -> list[tuple[str, Callable[[], pl.Series]]]:
    has = set(raw.columns).__contains__
    rules: list[tuple[str, Callable[[], pl.Series]]] = []
    if effect is not None:
        sign = effect.sign()
        if has("chisq"):
            rules.append(("sign(effect) * sqrt(chi-square)", lambda: _signed(sign, raw["chisq"].sqrt())))
        if has("chisq_inf"):
            rules.append(("sign(effect) * sqrt(CHISQ_BOLT_LMM_INF)", lambda: _signed(sign, raw["chisq_inf"].sqrt())))
        if has("neg_log10_p"):
            rules.append(("sign(effect) * |qnorm| of -log10 p", lambda: _signed(sign, _from_p(raw["neg_log10_p"]))))
    if has("z"):
        rules.append(("z as given", lambda: raw["z"]))
    if effect is not None and has("se"):
        rules.append(("effect / SE", lambda: _wald(effect, raw["se"])))
    if effect is not None and has("neg_log10_of_p"):
        rules.append(("sign(effect) * |qnorm| of p", lambda: _signed(sign, _from_p(raw["neg_log10_of_p"]))))
    return rules


def note_disagreement(raw: pl.DataFrame, ledger: Ledger, *, source: str) -> int:
    """How many rows have an effect / SE that is not the file's own p-value or chi-square, as after Firth or SPA.

    Rows are compared on the scale of |z|, with room for p-values of two digits. The count goes to the ledger and,
    if it is not 0, to the log as a warning.
    """
    effect = _effect(raw)
    if effect is None or "se" not in raw.columns:
        return 0
    if "chisq_inf" in raw.columns:
        tested, name = raw["chisq_inf"].sqrt(), "CHISQ_BOLT_LMM_INF"
    elif "chisq" in raw.columns:
        tested, name = raw["chisq"].sqrt(), "chi-square"
    elif "neg_log10_p" in raw.columns:
        tested, name = _from_p(raw["neg_log10_p"]), "-log10 p"
    elif "neg_log10_of_p" in raw.columns:
        tested, name = _from_p(raw["neg_log10_of_p"]), "p"
    else:
        return 0
    absolute, relative = _DISAGREEMENT
    wald = _wald(effect, raw["se"]).abs()
    far = ((wald - tested).abs() > absolute + relative * tested) & wald.is_finite() & tested.is_finite()
    count = int(far.fill_null(False).sum())
    if count:
        note = f"effect / SE disagrees with {name} (mixed model, Firth, SPA or rounding)"
        ledger.add("warning", count, note)
        logger.warning("`%s`: %s in %d of %d rows", source, note, count, raw.height)
    return count


def _effect(raw: pl.DataFrame) -> pl.Series | None:
    """The effect on the linear or log scale: beta, else the log of the odds or hazard ratio."""
    scales = [pl.col("beta")] if "beta" in raw.columns else []
    scales += [pl.col(role).log() for role in ("odds_ratio", "hazard_ratio") if role in raw.columns]
    return raw.select(pl.coalesce(scales).alias("effect"))["effect"] if scales else None


def _signed(sign: pl.Series, magnitude: pl.Series) -> pl.Series:
    """sign * magnitude; NaN where the effect is 0 but the statistic is not, because then its sign is lost."""
    lost = (sign == 0) & (magnitude > 0.05)
    return pl.select(pl.when(lost).then(float("nan")).otherwise(sign * magnitude)).to_series()


def _wald(effect: pl.Series, se: pl.Series) -> pl.Series:
    return pl.select(pl.when(se <= 0).then(float("nan")).otherwise(effect / se)).to_series()


def _from_p(neg_log10_p: pl.Series) -> pl.Series:
    """|z|, null where p is missing or is an exact 0, which says nothing about how small it was."""
    z = pl.Series(z_from_neg_log10_p(neg_log10_p.fill_null(0.0).to_numpy()))
    return pl.select(pl.when(neg_log10_p.is_null() | neg_log10_p.is_infinite()).then(None).otherwise(z)).to_series()


def _statistics(raw: pl.DataFrame) -> list[str]:
    names = ("beta", "odds_ratio", "hazard_ratio", "se", "chisq", "neg_log10_p", "neg_log10_of_p")
    return [name for name in names if name in raw.columns]
