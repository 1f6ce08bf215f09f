"""z from whatever a file gives, in the order of trust, and never through an underflowing p-value.

    sign(effect) sqrt(chi2)  >  sign(effect) |qnorm(p / 2)| from -log10 p  >  z  >  effect / SE  >  from p itself

p itself comes late because files round it to two digits; a confidence interval, rounded more, comes last. A row in
which one statistic is missing or impossible takes the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from jaxtyping import Float
from numpy import ndarray
from scipy.special import ndtri_exp

from varfx.errors import DataError
from varfx.gwas.unused import or_named
from varfx.io.ledger import Ledger

ZERO_EFFECT = 1.0  # an effect of 0 is a rounded one if |z| is below this: z is then 0; above, its sign is lost
_CI_WIDTH = 2 * 1.959963984540054  # of a 95 % confidence interval, in standard errors
_NO_EFFECT = 0.05  # |z| of a test that agrees with an effect of 0
P_IS_ZERO = "p is 0, which does not say how small it was, and there is no other statistic"


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


def z_scores(raw: pl.DataFrame, ledger: Ledger, *, source: str, unused: Sequence[str] = ()) -> pl.Series:
    """z of each row by the order of trust above, null where no statistic of the row gives it (see `lacking`).

    Args:
        raw: table of roles from `read_gwas`.
        ledger: how many rows each rule served is noted here.
        source: the file, for messages.
        unused: its columns without a role, for messages.

    Raises:
        DataError: the file has no statistic that gives z, or only unsigned ones.
    """
    effect = _signed_effect(raw)
    z = pl.Series("z", [None], dtype=pl.Float64).new_from_index(0, raw.height)
    rules = _rules(raw, effect)
    if not rules:
        raise DataError(
            f"`{source}` gives no z: it has {', '.join(_statistics(raw)) or 'no statistic'}. "
            "Needed are z, or an effect (beta or odds ratio) with its SE, chi-square or p-value"
            f"{or_named(unused, _lacking_role(raw))}."
        )
    for label, rule in rules:
        open_rows = z.is_null()
        if not open_rows.any():
            break
        candidate = finite(rule())
        served = int((open_rows & candidate.is_not_null()).sum())
        if served:
            ledger.add("z", served, label)
        z = pl.select(pl.coalesce(z, candidate)).to_series()
    if effect is not None and (effect == 0).any():
        rounded = ((effect == 0) & (z == 0) & (tested(raw) > _NO_EFFECT)).fill_null(False)
        if rounded.any():
            note = f"an effect of 0, a rounded one, has no sign: z is 0 where |z| is below {ZERO_EFFECT:g}"
            ledger.add("repaired", int(rounded.sum()), note)
    return z.alias("z")


def _rules(raw: pl.DataFrame, effect: pl.Series | None) -> list[tuple[str, Callable[[], pl.Series]]]:
    has = set(raw.columns).__contains__
    rules: list[tuple[str, Callable[[], pl.Series]]] = []
    if effect is not None:
        sign = effect.sign()
        if has("chisq"):
            rules.append(("sign(effect) * sqrt(chi-square)", lambda: sign * raw["chisq"].sqrt()))
        if has("chisq_inf"):
            rules.append(("sign(effect) * sqrt(CHISQ_BOLT_LMM_INF)", lambda: sign * raw["chisq_inf"].sqrt()))
        if has("neg_log10_p"):
            rules.append(("sign(effect) * |qnorm| of -log10 p", lambda: sign * from_p(raw["neg_log10_p"])))
    if has("z"):
        rules.append(("z as given", lambda: raw["z"]))
    if effect is not None and has("se"):
        rules.append(("effect / SE", lambda: wald(effect, raw["se"])))
    if effect is not None and has("neg_log10_of_p"):
        rules.append(("sign(effect) * |qnorm| of p", lambda: sign * from_p(raw["neg_log10_of_p"])))
    if effect is not None and has("ci_lower") and has("ci_upper"):
        rules.append(("effect / SE, from its 95 % confidence interval", lambda: wald(effect, se_of_interval(raw))))
    return rules


def _lacking_role(raw: pl.DataFrame) -> str:
    """The role that a file without z lacks most."""
    return "beta=NAME or odds_ratio" if _signed_effect(raw) is None else "se"


def lacking(raw: pl.DataFrame) -> pl.Series:
    """Why each of some rows has no z: the first statistic that is impossible, or null where all are missing."""
    effect = effect_of(raw)
    if effect is not None:
        raw = raw.with_columns(effect.alias("_effect"), tested(raw).alias("_tested"))
    found = [
        pl.when(rule.fill_null(False)).then(pl.lit(cause)) for role, cause, rule in _impossible() if role in raw.columns
    ]
    return raw.select(pl.coalesce(*found, pl.lit(None, pl.String)).alias("cause"))["cause"]


def _impossible() -> list[tuple[str, str, pl.Expr]]:
    """Column, fault and its rule, in the order in which they are named."""
    column = pl.col
    ratios = ("odds_ratio", "hazard_ratio")
    rules = [(role, f"the {role.replace('_', ' ')} is 0 or negative", column(role) <= 0) for role in ratios]
    rules += [
        (role, "the effect is not finite (NaN or infinite)", ~column(role).is_finite()) for role in ("beta", *ratios)
    ]
    lost = (column("_effect") == 0) & (column("_tested") >= ZERO_EFFECT)
    rules += [
        ("z", "z is not finite (NaN or infinite)", ~column("z").is_finite()),
        ("_effect", f"an effect of 0 has no sign, but its |z| is {ZERO_EFFECT:g} or more", lost),
        ("se", "SE is 0, negative or not finite", ~(column("se").is_finite() & (column("se") > 0))),
    ]
    rules += [
        (role, "chi-square is negative or not finite", ~(column(role).is_finite() & (column(role) >= 0)))
        for role in ("chisq", "chisq_inf")
    ]
    rules += [
        ("p_outside", "p is outside 0 to 1", column("p_outside").is_not_null()),
        ("neg_log10_p", "-log10 p is negative or NaN", (column("neg_log10_p") < 0) | column("neg_log10_p").is_nan()),
    ]
    rules += [(role, P_IS_ZERO, column(role).is_infinite()) for role in ("neg_log10_p", "neg_log10_of_p")]
    return rules


def tested(raw: pl.DataFrame) -> pl.Series:
    """The largest |z| of each row by its chi-squares and p-values; null where none says it."""
    tests = [finite(raw[role].sqrt()) for role in ("chisq", "chisq_inf") if role in raw.columns]
    tests += [finite(from_p(raw[role])) for role in ("neg_log10_p", "neg_log10_of_p") if role in raw.columns]
    nothing = pl.Series([None], dtype=pl.Float64).new_from_index(0, raw.height)
    return pl.select(pl.max_horizontal(*tests, nothing)).to_series()


def effect_of(raw: pl.DataFrame) -> pl.Series | None:
    """The effect on the linear or log scale, beta or else the log of the odds or hazard ratio; null where impossible."""
    scales = [pl.col("beta")] if "beta" in raw.columns else []
    scales += [
        pl.when(pl.col(role) > 0).then(pl.col(role).log())
        for role in ("odds_ratio", "hazard_ratio")
        if role in raw.columns
    ]
    finite_scales = [pl.when(scale.is_finite()).then(scale) for scale in scales]
    return raw.select(pl.coalesce(finite_scales).alias("effect"))["effect"] if scales else None


def wald(effect: pl.Series, se: pl.Series) -> pl.Series:
    """effect / SE; null where SE is not positive."""
    return pl.select(pl.when((se > 0) & se.is_finite()).then(effect / se)).to_series()


def se_of_interval(raw: pl.DataFrame) -> pl.Series:
    """The standard error in a 95 % confidence interval: row by row of the effect or of the ratio, in whose middle it lies."""
    lower, upper = pl.col("ci_lower"), pl.col("ci_upper")
    log_lower, log_upper = (pl.when(bound > 0).then(bound.log()) for bound in (lower, upper))
    linear, logarithmic = (upper - lower) / _CI_WIDTH, (log_upper - log_lower) / _CI_WIDTH
    if "beta" not in raw.columns:
        return raw.select(se=logarithmic)["se"]
    beta = pl.col("beta")
    nearer = ((log_lower + log_upper) / 2 - beta).abs() < ((lower + upper) / 2 - beta).abs()
    of_ratio = nearer.fill_null(False) | ~beta.is_finite().fill_null(False)
    return raw.select(se=pl.when(of_ratio).then(logarithmic).otherwise(linear))["se"]


def from_p(neg_log10_p: pl.Series) -> pl.Series:
    """|z|, null where p is missing or is an exact 0, which says nothing about how small it was."""
    z = pl.Series(z_from_neg_log10_p(neg_log10_p.fill_null(0.0).to_numpy()))
    return pl.select(pl.when(neg_log10_p.is_null() | neg_log10_p.is_infinite()).then(None).otherwise(z)).to_series()


def finite(values: pl.Series) -> pl.Series:
    """The values, null where they are NaN or infinite."""
    return pl.select(pl.when(values.is_finite()).then(values)).to_series()


def _signed_effect(raw: pl.DataFrame) -> pl.Series | None:
    """The effect; null where it is 0 but a test says otherwise, because then its sign is lost."""
    effect = effect_of(raw)
    if effect is None or not (effect == 0).any():
        return effect
    lost = (effect == 0) & (tested(raw) >= ZERO_EFFECT).fill_null(False)
    return pl.select(pl.when(~lost).then(effect)).to_series()


def _statistics(raw: pl.DataFrame) -> list[str]:
    names = ("beta", "odds_ratio", "hazard_ratio", "se", "chisq", "neg_log10_p", "neg_log10_of_p")
    return [name for name in names if name in raw.columns]
