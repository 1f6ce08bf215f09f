"""The files of `varfx prior h2`: S-LDSC's and graphREML's tables, and JSON.

OUT.results                S-LDSC, a row per annotation; ldsc appends `L2_0` to names
OUT.tall.csv               graphREML
OUT.convergence.csv        graphREML
OUT.cell_type_results.txt  ldsc --h2-cts
OUT.quantiles.tsv          quantile_h2g.r, a row per quantile of each continuous annotation
OUT.json                   all numbers
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.stats

from varfx.io import sealed
from varfx.prior.heritability.estimate import Heritability
from varfx.prior.heritability.quantities import AnnotationHeritability, Estimate, log10_p_value

RESULTS = (
    "Category", "Prop._SNPs", "Prop._h2", "Prop._h2_std_error", "Enrichment", "Enrichment_std_error", "Enrichment_p",
    "Coefficient", "Coefficient_std_error", "Coefficient_z-score",
)  # fmt: skip
TALL = (
    "name", "enrichment", "enrichment_SE", "enrichment_log10pval", "heritability", "heritability_SE",
    "heritability_log10pval", "parameter", "parameter_SE", "parameter_log10pval",
)  # fmt: skip
CELL_TYPE = ("Name", "Coefficient", "Coefficient_std_error", "Coefficient_P_value")
QUANTILES = (
    "annotation", "quantile", "h2g", "h2g_se", "prop_h2g", "prop_h2g_se", "enr", "enr_se", "enr_pval",
)  # fmt: skip


def write_heritability(
    found: Heritability,
    out: str | os.PathLike[str],
    *,
    plain_names: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> list[str]:
    """Writes all files; returns their endings.

    Args:
        found: from `heritability`.
        out: beginning of the files' names.
        plain_names: names in OUT.results without `L2_0`.
        provenance: for the JSON file.

    Raises:
        StoreError: a file cannot be written.
    """
    texts = {
        "results": table(RESULTS, _results(found, "" if plain_names else "L2_0")),
        "tall.csv": table(TALL, _tall(found), separator=","),
        "convergence.csv": _convergence(found),
        "cell_type_results.txt": table(CELL_TYPE, _cell_types(found)),
    }
    if found.quantiles:
        texts["quantiles.tsv"] = table(QUANTILES, _quantiles(found))
    for ending, text in texts.items():
        sealed.write_text(f"{os.fspath(out)}.{ending}", text)
    sealed.write_json(f"{os.fspath(out)}.json", {**found.to_dict(), "provenance": dict(provenance or {})})
    return [*texts, "json"]


def table(names: Sequence[str], rows: Sequence[Sequence[Any]], *, separator: str = "\t") -> str:
    """Delimited text; numbers with 10 digits, None and NaN as NA."""
    lines = [names, *rows]
    return "".join(separator.join(map(_cell, line)) + "\n" for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "NA" if value is None or not np.isfinite(value) else f"{value:.10g}"


def _pair(estimate: Estimate | None) -> tuple[float | None, float | None]:
    return (None, None) if estimate is None else (estimate.value, estimate.se)


def _z(estimate: Estimate) -> float | None:
    return estimate.value / estimate.se if estimate.se else None


def _results(found: Heritability, suffix: str) -> list[list[Any]]:
    return [
        [
            f"{each.name}{suffix}",
            each.prop_snps,
            *_pair(each.prop_h2),
            *_pair(each.enrichment),
            each.enrichment_p,
            *_pair(each.tau),
            _z(each.tau),
        ]
        for each in (found.base, *found.annotations)
    ]


def _tall(found: Heritability) -> list[list[Any]]:
    return [
        [
            _quoted(each.name),
            *_pair(each.enrichment),
            each.log10_p_mean,
            *_pair(each.h2),
            log10_p_value(each.h2),
            *_pair(each.tau),
            log10_p_value(each.tau),
        ]
        for each in (found.base, *found.annotations)
    ]


def _quoted(name: str) -> str:
    return f'"{name}"' if "," in name else name


def _convergence(found: Heritability) -> str:
    maximum = found.calibration.maximum
    rounds = maximum.rounds
    head = (
        f"converged,num_iterations,final_likelihood\n{maximum.converged},{len(rounds)},{maximum.pieces.log_p:.10g}\n\n"
    )
    steps = [[number + 1, each.change, each.damping] for number, each in enumerate(rounds)]
    return head + table(("iteration", "likelihood_change", "trust_region_lambda"), steps, separator=",")


def _cell_types(found: Heritability) -> list[list[Any]]:
    def p(each: AnnotationHeritability) -> float | None:
        z = _z(each.tau)
        return None if z is None or each.tau.df is None else float(scipy.stats.t.sf(z, each.tau.df))

    rows = [[each.name, *_pair(each.tau), p(each)] for each in found.annotations]
    return sorted(rows, key=lambda row: (row[3] is None, row[3]))


def _quantiles(found: Heritability) -> list[list[Any]]:
    return [
        [name, each.name.split()[1], *_pair(each.h2), *_pair(each.prop_h2), *_pair(each.enrichment), each.enrichment_p]
        for name, each in found.quantiles
    ]
