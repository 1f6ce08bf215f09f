"""Open Targets' credible sets: `OUT.study_locus.parquet` with gentropy's StudyLocus fields, one row per set.

A variant is named `chrom_position_other_effect`: which allele is the reference's is not known here, so ids of variants whose effect
allele is the reference's differ from Open Targets'. Sets whose natural log Bayes factor is below 2 are left out, as Open Targets does.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import polars as pl

from varfx.finemap.locus_fit import LocusFit
from varfx.finemap.run import FineMapping
from varfx.finemap.sets import CredibleSet
from varfx.finemap.tables import LN10, log10_p

LEAST_LOG_BF = 2.0
METHOD = "SuSiE"
_STATISTICS: dict[str, Any] = {
    "beta": pl.Float64,
    "standardError": pl.Float64,
    "pValueMantissa": pl.Float32,
    "pValueExponent": pl.Int32,
}
_MEMBER: dict[str, Any] = {
    "is95CredibleSet": pl.Boolean, "is99CredibleSet": pl.Boolean, "logBF": pl.Float64, "posteriorProbability": pl.Float64,
    "variantId": pl.String, "r2Overall": pl.Float64, **_STATISTICS,
}  # fmt: skip
_FIELDS: dict[str, Any] = (
    {
        "studyLocusId": pl.String, "studyId": pl.String, "variantId": pl.String, "chromosome": pl.String, "position": pl.Int32,
        "region": pl.String, "beta": pl.Float64, "zScore": pl.Float64, "standardError": pl.Float64, "pValueMantissa": pl.Float32,
        "pValueExponent": pl.Int32, "qualityControls": pl.List(pl.String), "finemappingMethod": pl.String,
        "credibleSetIndex": pl.Int32, "credibleSetlog10BF": pl.Float64, "purityMeanR2": pl.Float64, "purityMinR2": pl.Float64,
        "locusStart": pl.Int32, "locusEnd": pl.Int32, "sampleSize": pl.Int32, "locus": pl.List(pl.Struct(_MEMBER)),
        "confidence": pl.String,
    }
)  # fmt: skip
SCHEMA = pl.Schema(_FIELDS)


def study_loci(mapping: FineMapping) -> pl.DataFrame:
    """One row per credible set, with its 99 % set as `locus`."""
    variants = mapping.study.panel.variants
    names = variants.select(
        pl.concat_str("chrom", "position", "other_allele", "effect_allele", separator="_").alias("name")
    )["name"]
    rows = [
        _row(mapping, each, one, number, names)
        for each in mapping.loci
        for number, one in enumerate(each.sets, start=1)
        if one.log_bf >= LEAST_LOG_BF
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


def _row(mapping: FineMapping, each: LocusFit, one: CredibleSet, number: int, names: pl.Series) -> dict[str, object]:
    study, locus = mapping.study, each.locus
    lead = int(each.rows[one.lead])
    study_id = study.sumstats.trait
    own = hashlib.md5(f"{study_id}{names[lead]}{METHOD}{locus.name}{number}".encode(), usedforsecurity=False)
    wide = next((other for other in each.sets_99 if other.effect == one.effect), one)
    order = np.argsort(-each.fit.alpha[one.effect, wide.variants], kind="stable")
    members = [
        {
            "is95CredibleSet": int(row) in one,
            "is99CredibleSet": True,
            "logBF": float(each.fit.log_bf_variant[one.effect, row]),
            "posteriorProbability": float(each.fit.alpha[one.effect, row]),
            "variantId": names[int(each.rows[row])],
            "r2Overall": float(r2),
            **_statistics(mapping, int(each.rows[row])),
        }
        for row, r2 in zip(wide.variants[order], wide.r2[order], strict=True)
    ]
    return {
        "studyLocusId": own.hexdigest(),
        "studyId": study_id,
        "variantId": names[lead],
        "chromosome": locus.chrom,
        "position": int(study.panel.variants["position"][lead]),
        "region": f"{locus.chrom}:{locus.start + 1}-{locus.end}",
        "zScore": float(study.trait.data.z[lead]),
        **_statistics(mapping, lead),
        "qualityControls": [] if each.verdict.mark == "pass" else [each.verdict.cause],
        "finemappingMethod": METHOD,
        "credibleSetIndex": number,
        "credibleSetlog10BF": one.log_bf / LN10,
        "purityMeanR2": one.purity_mean**2,
        "purityMinR2": one.purity**2,
        "locusStart": locus.start + 1,
        "locusEnd": locus.end,
        "sampleSize": round(each.n),
        "locus": members,
        "confidence": "SuSiE fine-mapped credible set with out-of-sample LD",
    }


def _statistics(mapping: FineMapping, row: int) -> dict[str, float | int | None]:
    """Effect per allele of a trait of variance 1, and the p-value in two parts."""
    data = mapping.study.trait.data
    eaf = mapping.study.panel.variants["eaf"][row]
    z, n = float(data.z[row]), float(data.n[row])
    log10 = float(log10_p(np.array([z]))[0])
    exponent = int(np.floor(log10))
    se = None if eaf is None or not 0 < eaf < 1 else 1 / np.sqrt(2 * eaf * (1 - eaf) * (n + z * z))
    return {
        "beta": None if se is None else z * se,
        "standardError": se,
        "pValueMantissa": float(10 ** (log10 - exponent)),
        "pValueExponent": exponent,
    }
