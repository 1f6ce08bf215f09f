"""The tables of a fine-mapping, from which every file format takes its columns: variants, credible sets, loci."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy import ndarray
from scipy.stats import norm

from varfx.finemap.locus_fit import LocusFit
from varfx.finemap.run import FineMapping
from varfx.finemap.sets import CredibleSet
from varfx.genome.variants import identifier

LN10 = float(np.log(10))


def variant_table(mapping: FineMapping) -> pl.DataFrame:
    """One row per reported variant, in genome order.

    Columns: the panel's `chrom, position, variant_id, effect_allele, other_allele, eaf`; `row` on the panel; `locus, f, z, n,
    log10_p, pip, mean, sd` (posterior effect on standardised genotypes), `from_centre, set` (0 for none), `set_99, set_probability,
    set_probability_99` (probability to be the set's causal variant), `pip_uniform, log_bf` (natural, of the variant's best effect),
    `qc`.
    """
    parts = [_variants_of(mapping, each) for each in mapping.loci]
    return pl.concat([part for part in parts if part.height])


def _variants_of(mapping: FineMapping, each: LocusFit) -> pl.DataFrame:
    shown = np.flatnonzero(each.reported)
    rows, fit = each.rows[shown], each.fit
    data = mapping.study.trait.data
    mean, sd = effect_moments(each)
    number, probability = memberships(each.sets, fit.alpha, each.rows.size)
    number_99, probability_99 = memberships(each.sets_99, fit.alpha, each.rows.size)
    position = mapping.study.panel.variants["position"].to_numpy()[rows]
    f = np.full(rows.size, np.nan) if mapping.study.f is None else mapping.study.f[rows]
    columns = {
        "row": rows,
        "f": f,
        "z": data.z[rows],
        "n": data.n[rows],
        "log10_p": log10_p(data.z[rows]),
        "pip": fit.pip[shown],
        "mean": mean[shown],
        "sd": sd[shown],
        "from_centre": position - each.locus.centre,
        "set": number[shown],
        "set_99": number_99[shown],
        "set_probability": probability[shown],
        "set_probability_99": probability_99[shown],
        "pip_uniform": each.pip_uniform[shown],
        "log_bf": fit.log_bf_variant.max(axis=0)[shown],
    }
    variants = mapping.study.panel.variants[rows]
    return variants.select("chrom", "position", identifier(), "effect_allele", "other_allele", "eaf").with_columns(
        *[pl.Series(name, values) for name, values in columns.items()],
        locus=pl.lit(each.locus.name),
        qc=pl.lit(each.verdict.mark),
    )


def effect_moments(each: LocusFit) -> tuple[ndarray, ndarray]:
    """Posterior mean and standard deviation of each variant's effect on standardised genotypes: sparse effects and background."""
    fit = each.fit
    used = fit.V > 0
    alpha, mean, square = fit.alpha[used], fit.mean[used], fit.square[used]
    scale = np.sqrt(each.n - 1)
    total = (alpha * mean).sum(axis=0) + fit.background_mean
    variance = (alpha * square - np.square(alpha * mean)).sum(axis=0)
    return total / scale, np.sqrt(np.maximum(variance, 0.0)) / scale


def memberships(sets: Sequence[CredibleSet], alpha: ndarray, size: int) -> tuple[ndarray, ndarray]:
    """Number of each variant's set, from 1 (0 for none; the first set wins), and its probability to be that set's variant."""
    number, probability = np.zeros(size, dtype=np.int64), np.zeros(size)
    for place in range(len(sets) - 1, -1, -1):
        rows = sets[place].variants
        number[rows] = place + 1
        probability[rows] = alpha[sets[place].effect, rows]
    return number, probability


def set_table(mapping: FineMapping, *, high: bool = False) -> pl.DataFrame:
    """One row per credible set: the columns of `OUT.cs.tsv`.

    Args:
        mapping: the fine-mapping.
        high: sets of 99 % in place of those of the chosen coverage.
    """
    names = mapping.study.panel.variants.select(identifier())["variant_id"]
    rows = []
    for each in mapping.loci:
        for number, one in enumerate(each.sets_99 if high else each.sets, start=1):
            members = one.variants[np.argsort(-each.fit.alpha[one.effect, one.variants], kind="stable")]
            rows.append(
                {
                    "locus": each.locus.name,
                    "cs": number,
                    "n": len(one),
                    "log10bf": one.log_bf / LN10,
                    "coverage": one.coverage,
                    "purity_min": one.purity,
                    "purity_mean": one.purity_mean,
                    "purity_median": one.purity_median,
                    "lead": names[int(each.rows[one.lead])],
                    "lead_pip": float(each.fit.pip[one.lead]),
                    "cs_r2_min": float(one.r2.min()),
                    "variants": ",".join(names[int(each.rows[row])] for row in members),
                }
            )
    return pl.DataFrame(rows, schema=SET_SCHEMA)


SET_SCHEMA = {
    "locus": pl.String(),
    "cs": pl.Int64(),
    "n": pl.Int64(),
    "log10bf": pl.Float64(),
    "coverage": pl.Float64(),
    "purity_min": pl.Float64(),
    "purity_mean": pl.Float64(),
    "purity_median": pl.Float64(),
    "lead": pl.String(),
    "lead_pip": pl.Float64(),
    "cs_r2_min": pl.Float64(),
    "variants": pl.String(),
}


def locus_table(mapping: FineMapping) -> pl.DataFrame:
    """One row per locus: the columns of `OUT.loci.tsv`."""
    names = mapping.study.panel.variants.select(identifier())["variant_id"]
    z = mapping.study.trait.data.z
    rows = []
    for each in mapping.loci:
        shown = each.rows[each.reported] if each.reported.any() else each.rows
        lead = int(shown[np.abs(z[shown]).argmax()])
        fit, check = each.fit, each.check
        rows.append(
            {
                "locus": each.locus.name,
                "chrom": each.locus.chrom,
                "start": each.locus.start,
                "end": each.locus.end,
                "n_variants": each.rows.size,
                "lead": names[lead],
                "p": scientific(log10_p(z[lead : lead + 1]))[0],
                "L_used": int((fit.V > 0).sum()),
                "n_sets": len(each.sets),
                "converged": "yes" if fit.converged else "no",
                "sigma2": fit.sigma2,
                "kappa": fit.kappa,
                "s_rss": None if check is None else check.s,
                "energy_z": None if check is None else check.energy_z,
                "energy_p": None if check is None else check.energy_p,
                "energy_ratio": None if check is None else check.energy_ratio,
                "Q_art": fit.low_share,
                "lambda_mismatch": fit.mismatch,
                "qc": each.verdict.mark,
                "qc_cause": each.verdict.cause,
                "method": "one effect without LD" if each.without_ld else "SuSiE",
                "n": each.n,
                "sweeps": fit.sweeps,
                "elbo": fit.elbo,
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.col(pl.Float64).fill_nan(None))


def log10_p(z: ndarray) -> ndarray:
    """log10 of the two-sided p-value of each z, however small."""
    return np.asarray((np.log(2) + norm.logsf(np.abs(z))) / LN10)


def scientific(log10: ndarray) -> list[str]:
    """Numbers given by their log10, as text with five decimals."""
    exponent = np.floor(log10)
    mantissa = np.round(10 ** (log10 - exponent), 5)
    exponent, mantissa = exponent + (mantissa >= 10), np.where(mantissa >= 10, 1.0, mantissa)
    return [f"{m:.5f}e{int(e):+03d}" for m, e in zip(mantissa, exponent, strict=True)]
